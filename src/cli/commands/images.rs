//! `stack images`.

use clap::Args;
use serde_json::{Value, json};

use super::image::split_reference;
use crate::api::ImageSummary;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, containers, now, print};
use crate::cli::error::Result;
use crate::cli::render::duration::{absolute, ago, size};
use crate::cli::render::table;

/// List the images of the project's containers.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// table or json.
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    pub(crate) format: String,
    /// Only the ids.
    #[arg(short = 'q', long)]
    quiet: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &ImagesArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let (list, images): (Vec<_>, Vec<ImageSummary>) = block_on(async {
        match context.connect_if_any(Remains::Containers).await? {
            Some(client) => Ok((containers(&client, &target.name).await?, client.get("/v1/images").await?)),
            None => Ok((Vec::new(), Vec::new())),
        }
    })?;
    let used: Vec<(String, String, Option<&ImageSummary>)> = list
        .into_iter()
        .filter(|c| services.is_empty() || services.iter().any(|s| s.as_str() == c.service))
        .map(|c| {
            let image = images.iter().find(|i| i.references.iter().any(|r| same_image(r, &c.image)));
            (c.name, c.image, image)
        })
        .collect();
    let id = |image: &Option<&ImageSummary>| image.map(|i| i.id.clone()).unwrap_or_default();
    if args.quiet {
        let mut ids: Vec<String> = used.iter().map(|(_, _, image)| id(image)).filter(|id| !id.is_empty()).collect();
        ids.sort();
        ids.dedup();
        return print(&ids.iter().map(|i| format!("{}\n", i.trim_start_matches("sha256:"))).collect::<String>());
    }
    if args.format == "json" {
        let list: Vec<Value> = used
            .iter()
            .map(|(container, reference, image)| {
                let (repository, tag) = split_reference(reference);
                json!({
                    "ID": id(image), "ContainerName": container, "Repository": repository, "Tag": tag,
                    "Size": image.map_or(0, |i| i.size),
                    "Created": image.and_then(|i| i.created).map(absolute),
                })
            })
            .collect();
        return print(&(serde_json::to_string(&list)? + "\n"));
    }
    let rows: Vec<Vec<String>> = used
        .iter()
        .map(|(container, reference, image)| {
            let (repository, tag) = split_reference(reference);
            vec![
                container.clone(),
                repository,
                tag,
                short_id(&id(image)),
                size(image.map_or(0, |i| i.size)),
                image.and_then(|i| i.created).map_or_else(|| "N/A".to_owned(), |c| ago(c, now())),
            ]
        })
        .collect();
    print(&table::draw(&["CONTAINER", "REPOSITORY", "TAG", "IMAGE ID", "SIZE", "CREATED"], &rows))
}

/// Returns the twelve digits that tell images apart.
pub(super) fn short_id(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

/// Tells whether a stored name (`docker.io/library/redis:7`) is what a file calls `redis:7`.
fn same_image(stored: &str, named: &str) -> bool {
    let (repository, tag) = split_reference(named);
    let (stored_repository, stored_tag) = split_reference(stored);
    tag == stored_tag && repository == stored_repository
}

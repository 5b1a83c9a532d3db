//! `stack image ...`.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::images::short_id;
use crate::api::client::{ClientError, escape};
use crate::api::{ImageSummary, ImportRequest, LoadRequest, PullRequest};
use crate::cli::context::{Context, block_on, now, print};
use crate::cli::error::{Error, Result};
use crate::cli::operation::{self, Notes};
use crate::cli::render::duration::{absolute, ago, size};
use crate::cli::render::table;
use crate::cli::ui::Progress;

/// Manage images.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Pull images from their registries.
    Pull {
        /// Names, `redis:7` or `registry.example/team/app@sha256:...`.
        #[arg(value_name = "IMAGE", required = true)]
        references: Vec<String>,
        /// Only those that are not there.
        #[arg(long)]
        missing: bool,
        /// No progress.
        #[arg(short = 'q', long)]
        quiet: bool,
    },
    /// Read images from an archive (`docker save` or OCI, compressed or not) or an OCI layout folder.
    Load {
        /// The archive; standard input when absent or `-`.
        #[arg(short = 'i', long, value_name = "FILE")]
        input: Option<PathBuf>,
        /// The archive, as --input.
        #[arg(value_name = "FILE", conflicts_with = "input")]
        file: Option<PathBuf>,
        /// No progress.
        #[arg(short = 'q', long)]
        quiet: bool,
    },
    /// Make an image from a root file system: a tar archive, compressed or not, or a folder.
    Import {
        /// The archive or folder; `-` is standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Name of the image.
        #[arg(value_name = "IMAGE")]
        reference: String,
        /// Set something of its configuration, as a Dockerfile does; repeatable.
        #[arg(short = 'c', long = "change", value_name = "INSTRUCTION")]
        changes: Vec<String>,
    },
    /// List images.
    #[command(visible_alias = "list")]
    Ls {
        /// table, or json (one object a line).
        #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
        format: String,
        /// Only the ids.
        #[arg(short = 'q', long)]
        quiet: bool,
        /// Whole ids.
        #[arg(long)]
        no_trunc: bool,
    },
    /// Remove images.
    #[command(visible_alias = "remove")]
    Rm {
        /// Names or ids.
        #[arg(value_name = "IMAGE", required = true)]
        references: Vec<String>,
    },
    /// Show everything about images, in the shape of `docker image inspect`.
    Inspect {
        /// Names or ids.
        #[arg(value_name = "IMAGE", required = true)]
        references: Vec<String>,
    },
}

pub(crate) fn run(context: &Context, args: &ImageArgs) -> Result<()> {
    match &args.command {
        ImageCommand::Pull { references, missing, quiet } => {
            let request = PullRequest { references: references.clone(), missing_only: *missing };
            operation(context, *quiet, "pull", &request, Notes::Show).map(drop)
        }
        ImageCommand::Load { input, file, quiet } => {
            let input = Input::open(input.as_deref().or(file.as_deref()).unwrap_or(Path::new("-")))?;
            let request = LoadRequest { path: input.path.clone() };
            print_lines(&operation(context, *quiet, "load", &request, Notes::Return)?)
        }
        ImageCommand::Import { file, reference, changes } => {
            let input = Input::open(file)?;
            let request =
                ImportRequest { path: input.path.clone(), reference: reference.clone(), changes: changes.clone() };
            print_lines(&operation(context, false, "import", &request, Notes::Return)?)
        }
        ImageCommand::Ls { format, quiet, no_trunc } => list(context, format, *quiet, *no_trunc),
        ImageCommand::Rm { references } => each(context, references, async |client, reference| {
            if let Err(error) = client.delete(&format!("/v1/images/{}", escape(reference))).await {
                // Who removes does not want to fetch.
                return Err(match error {
                    ClientError::Api { error, .. } if error.message.starts_with("there is no image") => {
                        Error::user(error.message).hint("`stack image ls` lists them")
                    }
                    error => error.into(),
                });
            }
            print(&format!("Removed: {reference}\n"))
        }),
        ImageCommand::Inspect { references } => {
            let mut found: Vec<Value> = Vec::new();
            let outcome = each(context, references, async |client, reference| {
                found.push(client.get(&format!("/v1/images/{}", escape(reference))).await?);
                Ok(())
            });
            print(&(serde_json::to_string_pretty(&found)? + "\n"))?;
            outcome
        }
    }
}

/// Runs an operation on images; returns its sentences.
fn operation(
    context: &Context,
    quiet: bool,
    what: &str,
    request: &impl Serialize,
    notes: Notes,
) -> Result<Vec<String>> {
    let mut context = context.clone();
    if quiet {
        context.ui.progress = Progress::Quiet;
    }
    block_on(async {
        let client = context.connect().await?;
        operation::run(&context, &client, what, &format!("/v1/images/{what}"), request, notes).await
    })
}

/// Does something for each image; goes on after a failure and returns the first.
fn each(
    context: &Context,
    references: &[String],
    mut work: impl AsyncFnMut(&crate::api::client::Client, &str) -> Result<()>,
) -> Result<()> {
    block_on(async {
        let client = context.connect().await?;
        let mut first = Ok(());
        for reference in references {
            let outcome = work(&client, reference).await;
            match (&first, outcome) {
                (Ok(()), outcome) => first = outcome,
                (Err(_), Err(err)) => context.ui.error(&err),
                (Err(_), Ok(())) => {}
            }
        }
        first
    })
}

fn list(context: &Context, format: &str, quiet: bool, whole: bool) -> Result<()> {
    let images: Vec<ImageSummary> = block_on(async {
        let client = context.connect().await?;
        Ok(client.get("/v1/images").await?)
    })?;
    let id = |image: &ImageSummary| if whole { image.id.clone() } else { short_id(&image.id) };
    let mut text = String::new();
    if quiet {
        for image in &images {
            let _ = writeln!(text, "{}", id(image));
        }
        return print(&text);
    }
    // An image is listed once for each of its names.
    let mut rows: Vec<(String, String, &ImageSummary)> = Vec::new();
    for image in &images {
        if image.references.is_empty() {
            rows.push(("<none>".to_owned(), "<none>".to_owned(), image));
        }
        for reference in &image.references {
            let (repository, tag) = split_reference(reference);
            rows.push((repository, tag, image));
        }
    }
    rows.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let now = now();
    let age = |image: &ImageSummary| image.created.map_or_else(|| "N/A".to_owned(), |c| ago(c, now));
    if format == "json" {
        for (repository, tag, image) in &rows {
            let object = json!({
                "Containers": "N/A", "CreatedAt": image.created.map_or_else(|| "N/A".to_owned(), absolute),
                "CreatedSince": age(image), "Digest": image.digest, "ID": id(image), "Repository": repository,
                "Size": size(image.size), "Tag": tag,
            });
            let _ = writeln!(text, "{object}");
        }
        return print(&text);
    }
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(repository, tag, image)| vec![repository.clone(), tag.clone(), id(image), age(image), size(image.size)])
        .collect();
    print(&table::draw(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &rows))
}

fn print_lines(lines: &[String]) -> Result<()> {
    print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// Returns repository and tag as `docker image ls` shows them: Docker Hub goes without saying.
pub(super) fn split_reference(reference: &str) -> (String, String) {
    let (name, digest) = reference.split_once('@').map_or((reference, None), |(n, d)| (n, Some(d)));
    let (repository, tag) = match name.rsplit_once(':') {
        // A colon before a slash belongs to the port of the registry.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    let repository = repository
        .strip_prefix("docker.io/library/")
        .or_else(|| repository.strip_prefix("docker.io/"))
        .unwrap_or(repository);
    let tag = tag.unwrap_or(if digest.is_some() { "<none>" } else { "latest" });
    (repository.to_owned(), tag.to_owned())
}

/// A file that the engine can read by its path.
struct Input {
    path: PathBuf,
    /// Holds what standard input said; removed when the command ends.
    spooled: bool,
}

impl Input {
    /// Opens a file, to tell early why it cannot be read; `-` is standard input, put aside in a
    /// file that only we can read.
    fn open(file: &Path) -> Result<Self> {
        let failed = |doing: &str, err: &io::Error| Error::user(format!("cannot {doing} {}: {err}", file.display()));
        if file.as_os_str() != "-" {
            File::open(file).map_err(|err| failed("read", &err))?;
            let path = std::path::absolute(file).map_err(|err| failed("find", &err))?;
            return Ok(Self { path, spooled: false });
        }
        let path = std::env::temp_dir().join(format!("stack-input-{}", std::process::id()));
        let spool = || -> io::Result<()> {
            use std::os::unix::fs::OpenOptionsExt as _;
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
            io::copy(&mut io::stdin().lock(), &mut file).map(drop)
        };
        let outcome = spool();
        let input = Self { path: path.clone(), spooled: true };
        outcome.map_err(|err| Error::host(format!("cannot put standard input into {}: {err}", path.display())))?;
        Ok(input)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if self.spooled {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split_reference;

    #[test]
    fn names_of_docker_hub_are_short() {
        let check = |reference: &str, repository: &str, tag: &str| {
            assert_eq!(split_reference(reference), (repository.to_owned(), tag.to_owned()));
        };
        check("docker.io/library/redis:7", "redis", "7");
        check("redis", "redis", "latest");
        check("docker.io/grafana/grafana:11", "grafana/grafana", "11");
        check("localhost:5000/app", "localhost:5000/app", "latest");
        check("localhost:5000/app:v1", "localhost:5000/app", "v1");
        check("redis@sha256:00", "redis", "<none>");
    }
}

//! `stack why`.

use clap::Args;

use crate::api::Why;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, now, print, project_path};
use crate::cli::error::{Error, Result};
use crate::cli::operation::nothing_there;
use crate::cli::render::style::Palette;
use crate::cli::render::{card, logs::short_name, ps};

/// Tell why containers of services died or do not run: who ended them, their last words, and what to look at.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The services; all without any.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// text, or json.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub(crate) format: String,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &WhyArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let mut list: Vec<Why> = block_on(async {
        let client = context.connect_if_any(Remains::Containers).await?.ok_or_else(|| nothing_there(&target))?;
        Ok(client.get(&project_path(&target.name, "why")).await?)
    })?;
    list.retain(|why| services.is_empty() || services.iter().any(|s| s.as_str() == why.container.service));
    if list.is_empty() {
        return Err(match args.services.is_empty() {
            true => nothing_there(&target),
            false => Error::user(format!("no containers of {}", args.services.join(", ")))
                .hint("make them with: stack up -d"),
        });
    }
    if args.format == "json" {
        return print(&(serde_json::to_string(&list)? + "\n"));
    }
    print(&draw(&list, context.ui.out, now()))
}

fn draw(list: &[Why], palette: Palette, now: i64) -> String {
    let mut text = String::new();
    for why in list {
        let name = short_name(&why.container.name, why.container.project.as_str());
        text += &format!("{name}: {}\n", ps::status(&why.container, now));
        if !why.error.is_empty() {
            text += &format!("  {} {}\n", palette.red("it did not start:"), why.error);
        }
        if let Some(waits) = &why.check {
            text += &format!("  {waits}\n");
        }
        match &why.card {
            Some(card) => {
                for line in card::draw("the last run", card, palette).lines() {
                    text += &format!("  {line}\n");
                }
            }
            None if why.error.is_empty() => text += "  it has not died\n",
            None => {}
        }
    }
    text
}

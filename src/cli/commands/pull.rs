//! `stack pull`.

use std::collections::BTreeSet;

use clap::Args;

use crate::api::PullRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{Error, Result};
use crate::cli::operation::{self, Notes};
use crate::cli::project;
use crate::cli::ui::Progress;
use crate::compose::model::PullPolicy;
use crate::graph::{Graph, Spans};
use crate::ids::ServiceName;

/// Pull the images of services.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Pull the images of their dependencies, too.
    #[arg(long)]
    include_deps: bool,
    /// Skip services that can be built.
    #[arg(long)]
    ignore_buildable: bool,
    /// Go on and succeed when an image cannot be pulled.
    #[arg(long)]
    ignore_pull_failures: bool,
    /// missing or always, overriding the file.
    #[arg(long, value_name = "POLICY", value_parser = ["missing", "always"])]
    policy: Option<String>,
    /// No progress.
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(long, hide = true)]
    no_parallel: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &PullArgs) -> Result<()> {
    if args.no_parallel {
        context.ui.warn("--no-parallel has no effect");
    }
    let project = project::to_run(&context.ui, &context.project, &args.services)?;
    let mut chosen: Vec<ServiceName> = args.services.iter().map(|s| ServiceName::new(s.as_str())).collect();
    if chosen.is_empty() {
        chosen = project.services.keys().cloned().collect();
    } else if args.include_deps {
        let graph = Graph::build(&project, &Spans::new()).map_err(Error::Diagnostics)?;
        chosen = graph.dependencies_closure(&chosen);
    }
    // Images whose policy is `missing` are asked for apart from those that are always pulled.
    let mut images: [BTreeSet<String>; 2] = [BTreeSet::new(), BTreeSet::new()];
    for service in chosen.iter().filter_map(|name| project.services.get(name)) {
        let Some(image) = &service.image else { continue };
        let missing_only = match (args.policy.as_deref(), service.pull_policy) {
            (Some("missing"), _) => true,
            (None, PullPolicy::Never) => continue,
            _ => false,
        };
        images[usize::from(missing_only)].insert(image.clone());
    }
    let mut context = context.clone();
    if args.quiet {
        context.ui.progress = Progress::Quiet;
    }
    block_on(async {
        let client = context.connect().await?;
        for (missing_only, references) in [(false, &images[0]), (true, &images[1])] {
            if references.is_empty() {
                continue;
            }
            let request = PullRequest { references: references.iter().cloned().collect(), missing_only };
            match operation::run(&context, &client, "pull", "/v1/images/pull", &request, Notes::Show).await {
                Err(Error::Failures(failures)) if args.ignore_pull_failures => {
                    for failure in failures {
                        context.ui.warn(&failure.to_string());
                    }
                }
                other => drop(other?),
            }
        }
        Ok(())
    })
}

//! `stack watch`: bring the project up, then act on files that change.

use clap::{ArgAction, Args};

use super::create::ConvergeArgs;
use crate::api::UpRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, block_on, project_path};
use crate::cli::error::Result;
use crate::cli::operation::{self, Notes};
use crate::cli::watching;

/// Act on files that change: develop.watch of each service, and the project's own files.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Go on in the engine, until `stack down` or another `stack watch` ends.
    #[arg(short = 'd', long)]
    detach: bool,
    /// Leave the containers as they are, rather than bringing the project up first.
    #[arg(long)]
    no_up: bool,
    /// Remove images that a rebuild replaced; none are built yet.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set,
          value_name = "BOOL")]
    prune: Option<bool>,
    /// Do not show the output of builds.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &WatchArgs) -> Result<()> {
    let watched = watching::to_watch(&context.ui, &context.project, &args.services, &[])?;
    let up = ConvergeArgs::default().request(context, watched.project.clone(), &args.services)?;
    let up = UpRequest { start: true, ..up };
    if args.prune == Some(true) {
        context.ui.warn("--prune has no effect: images are not built yet");
    }
    let request = watched.request(&args.services, args.detach);
    block_on(async {
        if !args.no_up {
            let client = context.connect().await?;
            let path = project_path(&up.project.name, "up");
            operation::run(context, &client, "up", &path, &up, Notes::Show).await?;
        }
        if !args.detach {
            return watching::in_front(context, request).await;
        }
        watching::detached(context, &request).await
    })
}

//! `stack reload`: read the files anew and apply the difference.

use clap::Args;

use super::create::ConvergeArgs;
use crate::api::{RewatchRequest, UpRequest};
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, block_on, project_path};
use crate::cli::error::Result;
use crate::cli::operation::{self, Notes, grace};
use crate::cli::watching;

/// Read the project's files anew and apply what differs; a file with a mistake changes nothing.
///
/// As `up -d`, but services that are no longer in the same files are removed, too.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    converge: ConvergeArgs,
    /// Leave dependencies alone.
    #[arg(long)]
    no_deps: bool,
    /// Seconds until a container that does not stop is killed.
    #[arg(short = 't', long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &ReloadArgs) -> Result<()> {
    let context = &args.converge.quieten(context);
    let loaded = watching::to_reload(&context.ui, &context.project, &args.services)?;
    let request = args.converge.request(context, loaded.project.clone(), &args.services)?;
    let request = UpRequest {
        start: true,
        no_deps: args.no_deps,
        timeout: grace(args.timeout),
        edited: args.services.is_empty(),
        ..request
    };
    block_on(async {
        if context.dry_run {
            return super::plan::show(context, &request).await;
        }
        let client = context.connect().await?;
        let name = request.project.name.clone();
        operation::run(context, &client, "reload", &project_path(&name, "up"), &request, Notes::Show).await?;
        let rewatch =
            RewatchRequest { project: loaded.project, sources: loaded.caller.sources, read_ns: loaded.caller.read_ns };
        let _watched: bool = client.consult(&project_path(&name, "rewatch"), &rewatch).await?;
        Ok(())
    })
}

//! `stack scale`.

use clap::Args;

use super::create::ConvergeArgs;
use crate::api::UpRequest;
use crate::cli::args::{ProjectArgs, scale};
use crate::cli::context::{Context, block_on, project_path};
use crate::cli::error::Result;
use crate::cli::operation::{self, Notes};
use crate::cli::project;

/// Change numbers of replicas now; the next `up` goes by the file again.
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// A service and its number of replicas; the last of several for one service counts.
    #[arg(value_name = "SERVICE=REPLICAS", required = true, value_parser = scale)]
    counts: Vec<(String, u32)>,
    /// Leave dependencies alone.
    #[arg(long)]
    no_deps: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &ScaleArgs) -> Result<()> {
    let services: Vec<String> = args.counts.iter().map(|(service, _)| service.clone()).collect();
    let project = project::to_run(&context.ui, &context.project, &services)?;
    let converge = ConvergeArgs::scaling(&args.counts);
    // What another service has left behind is no business of this command.
    let request = UpRequest {
        no_deps: args.no_deps,
        ignore_orphans: true,
        start: true,
        ..converge.request(context, project, &services)?
    };
    block_on(async {
        if context.dry_run {
            return super::plan::show(context, &request).await;
        }
        let client = context.connect().await?;
        let path = project_path(&request.project.name, "up");
        operation::run(context, &client, "scale", &path, &request, Notes::Show).await.map(drop)
    })
}

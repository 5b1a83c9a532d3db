//! `stack rollback`.

use clap::Args;

use crate::api::RollbackRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, project_path};
use crate::cli::error::Result;
use crate::cli::operation::{grace, nothing_there, run_or_tell};

/// Go back to the last definition that `up` succeeded with.
///
/// Where that is what runs, to the one before it. The files stay as they are: the next `up` goes by
/// them again. Replicas are replaced as `deploy.rollback_config` says, or else `deploy.update_config`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Seconds until a container that does not stop is killed.
    #[arg(short = 't', long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &RollbackArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let request = RollbackRequest { services, timeout: grace(args.timeout), dry_run: context.dry_run };
    block_on(async {
        let Some(client) = context.connect_if_any(Remains::Containers).await? else {
            return Err(nothing_there(&target));
        };
        run_or_tell(context, &client, "rollback", &project_path(&target.name, "rollback"), &request).await
    })
}

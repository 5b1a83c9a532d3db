//! `stack start`.

use clap::Args;

use crate::api::ServicesRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::Context;
use crate::cli::error::Result;
use crate::cli::operation::services_operation;

/// Start existing containers, dependencies first.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Wait until they run or are healthy.
    #[arg(long)]
    wait: bool,
    /// Give up waiting after so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    wait_timeout: Option<u64>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &StartArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let request =
        ServicesRequest { services, wait: args.wait, wait_timeout: args.wait_timeout, ..ServicesRequest::default() };
    services_operation(context, &target, "start", &request)
}

//! `stack restart`.

use clap::Args;

use crate::api::ServicesRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::Context;
use crate::cli::error::Result;
use crate::cli::operation::{grace, services_operation};

/// Stop and start existing containers; changes of the file are not applied.
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Leave dependents alone that follow with `restart: true`.
    #[arg(long)]
    no_deps: bool,
    /// Seconds until a container that does not stop is killed.
    #[arg(short = 't', long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &RestartArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let request =
        ServicesRequest { services, timeout: grace(args.timeout), no_deps: args.no_deps, ..ServicesRequest::default() };
    services_operation(context, &target, "restart", &request)
}

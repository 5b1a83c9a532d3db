//! `stack stop`.

use clap::Args;

use crate::api::ServicesRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::Context;
use crate::cli::error::Result;
use crate::cli::operation::{grace, services_operation};

/// Stop containers, dependents first, without removing them.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Seconds until a container that does not stop is killed.
    #[arg(short = 't', long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &StopArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let request = ServicesRequest { services, timeout: grace(args.timeout), ..ServicesRequest::default() };
    services_operation(context, &target, "stop", &request)
}

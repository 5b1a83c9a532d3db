//! `stack kill`.

use clap::Args;

use crate::api::ServicesRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::Context;
use crate::cli::error::Result;
use crate::cli::operation::services_operation;
use crate::ids::signal;

/// Send a signal to containers at once, without grace period.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Name or number of the signal.
    #[arg(short = 's', long, value_name = "SIGNAL", default_value = "SIGKILL", value_parser = signal_number)]
    signal: i32,
    /// Remove containers of services that are no longer in the file.
    #[arg(long)]
    remove_orphans: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &KillArgs) -> Result<()> {
    if args.remove_orphans {
        context.ui.warn("kill --remove-orphans has no effect; stack down --remove-orphans removes them");
    }
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let request = ServicesRequest { services, signal: Some(args.signal), ..ServicesRequest::default() };
    services_operation(context, &target, "kill", &request)
}

fn signal_number(text: &str) -> std::result::Result<i32, String> {
    signal::number(text).ok_or_else(|| "no such signal: a number from 1 to 64 or a name like SIGHUP".to_owned())
}

//! `stack kill`.

use clap::Args;
use nix::sys::signal::Signal;

use crate::api::ServicesRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::Context;
use crate::cli::error::Result;
use crate::cli::operation::services_operation;

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

/// Parses `9`, `KILL`, `SIGKILL` and `sigkill`.
fn signal_number(text: &str) -> std::result::Result<i32, String> {
    const LAST: i32 = 64;
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=LAST).contains(&number) { Ok(number) } else { Err(format!("signals are 1 to {LAST}")) };
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    name.parse::<Signal>().map(|s| s as i32).map_err(|_| "no such signal".to_owned())
}

#[cfg(test)]
mod tests {
    use super::signal_number;

    #[test]
    fn signals_have_names_and_numbers() {
        let check = |text: &str, expected: Option<i32>| assert_eq!(signal_number(text).ok(), expected, "{text}");
        check("SIGTERM", Some(15));
        check("term", Some(15));
        check("9", Some(9));
        check("34", Some(34));
        check("0", None);
        check("SIGNOPE", None);
    }
}

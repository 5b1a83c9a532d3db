//! Picks the role: client, daemon or shim.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("__shim") => stack::engine::shim_main(&args.collect::<Vec<_>>()),
        Some("__daemon") => stack::daemon::run(),
        _ => stack::cli::main(std::env::args_os()),
    }
}

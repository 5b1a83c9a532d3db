//! Picks the role: client, daemon, shim or container init.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("__shim") => stack::engine::shim_main(args),
        Some("__init") => stack::engine::init_main(args),
        Some("__daemon") => stack::daemon::run(),
        _ => stack::cli::main(std::env::args_os()),
    }
}

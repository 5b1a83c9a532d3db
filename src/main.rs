//! Picks the role: client, daemon, shim or container init.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(role) if role == "__shim" => stack::engine::shim_main(&args.collect::<Vec<_>>()),
        _ => ExitCode::SUCCESS,
    }
}

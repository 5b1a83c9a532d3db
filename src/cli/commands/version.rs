//! `stack version`.

use clap::Args;

use crate::cli::context::print;
use crate::cli::error::Result;

/// Show the version.
#[derive(Debug, Default, Args)]
pub(crate) struct VersionArgs {
    /// pretty or json.
    #[arg(short = 'f', long, value_name = "FORMAT", value_parser = ["pretty", "json"])]
    format: Option<String>,
    /// Only the number.
    #[arg(long)]
    short: bool,
}

pub(crate) fn run(args: &VersionArgs) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    match (args.short, args.format.as_deref()) {
        (true, _) => print(&format!("{version}\n")),
        (false, Some("json")) => print(&format!("{}\n", serde_json::json!({ "version": version }))),
        _ => print(&format!("stack version {version}\n")),
    }
}

//! `stack ps`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{ArgAction, Args};

use crate::api::ContainerSummary;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, containers, now, print};
use crate::cli::error::{Error, Result};
use crate::cli::render;

const STATES: [&str; 7] = ["paused", "restarting", "removing", "running", "dead", "created", "exited"];

/// List containers.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Show stopped containers, too.
    #[arg(short = 'a', long)]
    all: bool,
    /// table, or json (one object a line).
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    pub(crate) format: String,
    /// Only the ids.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Only the names of the services.
    #[arg(long = "services", conflicts_with = "quiet")]
    service_names: bool,
    /// Only containers in this state; repeatable.
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    status: Vec<String>,
    /// Only containers with this property: status=STATE.
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Option<String>,
    /// Do not cut long values.
    #[arg(long)]
    no_trunc: bool,
    /// Show containers of services that are no longer in the file.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    orphans: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &PsArgs) -> Result<()> {
    let mut states: BTreeSet<&str> = args.status.iter().map(String::as_str).collect();
    if let Some(filter) = &args.filter {
        states.insert(filtered_state(filter)?);
    }
    let target = context.target(&args.services)?;
    let mut services = target.services(&args.services)?;
    if services.is_empty() && !args.orphans {
        services = target.known_services().unwrap_or_default();
    }
    let mut list = block_on(async {
        match context.connect_if_any(Remains::Containers).await? {
            Some(client) => containers(&client, &target.name).await,
            None => Ok(Vec::new()),
        }
    })?;
    list.retain(|c| {
        let named = services.is_empty() || services.iter().any(|s| s.as_str() == c.service);
        let state = match (states.is_empty(), args.all) {
            (false, _) => states.contains(c.state.as_str()),
            (true, true) => true,
            // As Docker has it, `ps` shows what runs.
            (true, false) => matches!(c.state.as_str(), "running" | "paused" | "restarting"),
        };
        named && state
    });
    print(&draw(args, &list)?)
}

fn draw(args: &PsArgs, list: &[ContainerSummary]) -> Result<String> {
    let mut text = String::new();
    if args.quiet {
        for container in list {
            let _ = writeln!(text, "{}", container.id);
        }
    } else if args.service_names {
        let names: BTreeSet<&str> = list.iter().map(|c| c.service.as_str()).collect();
        for name in names {
            let _ = writeln!(text, "{name}");
        }
    } else if args.format == "json" {
        for container in list {
            let _ = writeln!(text, "{}", render::ps::to_json(container, now(), !args.no_trunc));
        }
    } else {
        text = render::ps::draw(list, now(), !args.no_trunc);
    }
    Ok(text)
}

/// Returns the state of `status=STATE`.
fn filtered_state(filter: &str) -> Result<&str> {
    match filter.split_once('=') {
        Some(("status", state)) if STATES.contains(&state) => Ok(state),
        Some(("status", state)) => {
            Err(Error::user(format!("no such state: {state}")).hint(format!("states are {}", STATES.join(", "))))
        }
        Some((key, _)) => Err(Error::user(format!("unknown filter {key}")).hint("the one filter is status=STATE")),
        None => Err(Error::user("arguments to --filter should be in form KEY=VAL")),
    }
}

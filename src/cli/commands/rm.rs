//! `stack rm`.

use std::io::{self, BufRead as _, Write as _};

use clap::Args;

use crate::api::ServicesRequest;
use crate::cli::args::ProjectArgsLong;
use crate::cli::context::{Context, Remains, block_on, containers, project_path};
use crate::cli::error::Result;
use crate::cli::operation;

/// Remove stopped containers.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Do not ask.
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    /// Stop running ones first.
    #[arg(short = 's', long)]
    stop: bool,
    /// Remove their anonymous volumes, too.
    #[arg(short = 'v', long)]
    volumes: bool,
    #[arg(short = 'a', long, hide = true)]
    all: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgsLong,
}

pub(crate) fn run(context: &Context, args: &RmArgs) -> Result<()> {
    if args.all {
        context.ui.warn("rm --all has no effect");
    }
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    block_on(async {
        let none = || context.ui.say("No stopped containers");
        let Some(client) = context.connect_if_any(Remains::Containers).await? else {
            none();
            return Ok(());
        };
        let names: Vec<String> = containers(&client, &target.name)
            .await?
            .into_iter()
            .filter(|c| services.is_empty() || services.iter().any(|s| s.as_str() == c.service))
            .filter(|c| args.stop || !matches!(c.state.as_str(), "running" | "paused" | "restarting"))
            .map(|c| c.name)
            .collect();
        if names.is_empty() {
            none();
            return Ok(());
        }
        if !args.force && !context.dry_run && !confirm(&names)? {
            return Ok(());
        }
        let (stop, volumes, dry_run) = (args.stop, args.volumes, context.dry_run);
        let request = ServicesRequest { services, stop, volumes, dry_run, ..ServicesRequest::default() };
        operation::run_or_tell(context, &client, "rm", &project_path(&target.name, "rm"), &request).await
    })
}

/// Asks on standard error and reads the answer from standard input; no answer is a no.
fn confirm(names: &[String]) -> Result<bool> {
    {
        let mut stderr = io::stderr().lock();
        write!(stderr, "Going to remove {}\nAre you sure? [yN] ", names.join(", "))?;
        stderr.flush()?;
    }
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    if !answer.ends_with('\n') {
        let _ = writeln!(io::stderr());
    }
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

//! `stack down`.

use clap::Args;

use crate::api::DownRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, project_path};
use crate::cli::error::Result;
use crate::cli::operation::{self, grace};

/// Stop and remove containers and networks.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Only these services and what depends on them.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Remove named volumes of the file and anonymous ones; never external ones.
    #[arg(short = 'v', long)]
    volumes: bool,
    /// Remove containers of services that are no longer in the file.
    #[arg(long, env = "COMPOSE_REMOVE_ORPHANS", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    remove_orphans: bool,
    /// Seconds until a container that does not stop is killed.
    #[arg(short = 't', long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Remove images: all, or local (built here without a name of their own).
    #[arg(long, value_name = "WHICH", value_parser = ["all", "local"])]
    rmi: Option<String>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &DownArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let request = DownRequest {
        services: target.services(&args.services)?,
        known: target.known_services(),
        remove_orphans: args.remove_orphans,
        volumes: args.volumes,
        timeout: grace(args.timeout),
        rmi: args.rmi.clone(),
        dry_run: context.dry_run,
    };
    block_on(async {
        let remains = if args.volumes { Remains::Volumes } else { Remains::Containers };
        let client = match context.connect_if_any(remains).await? {
            Some(client) => client,
            None if args.rmi.is_some() => context.connect().await?,
            None => {
                context.ui.warn(&format!("no resource found to remove for project {:?}", target.name.as_str()));
                return Ok(());
            }
        };
        let path = project_path(&target.name, "down");
        operation::run_or_tell(context, &client, "down", &path, &request).await
    })
}

//! `stack port`.

use clap::Args;

use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, containers, print, replica};
use crate::cli::error::{Error, Result};
use crate::cli::operation::nothing_there;
use crate::cli::render::ps::{host_port, ports};

/// Print the host address and port that a container port is published on.
#[derive(Debug, Args)]
pub(crate) struct PortArgs {
    /// The service.
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Port in the container, with or without `/udp`.
    #[arg(value_name = "PRIVATE_PORT")]
    port: String,
    /// tcp or udp.
    #[arg(long, default_value = "tcp", value_parser = ["tcp", "udp"])]
    protocol: String,
    /// Which replica.
    #[arg(long, value_name = "N", default_value_t = 0)]
    index: u32,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &PortArgs) -> Result<()> {
    let (port, protocol) = args.port.split_once('/').unwrap_or((&args.port, &args.protocol));
    let port: u16 = port.parse().map_err(|_| Error::user(format!("{:?} is no port", args.port)))?;
    let named = [args.service.clone()];
    let target = context.target(&named)?;
    let service = &target.services(&named)?[0];
    let list = block_on(async {
        let client = context.connect_if_any(Remains::Containers).await?.ok_or_else(|| nothing_there(&target))?;
        containers(&client, &target.name).await
    })?;
    let container = replica(&list, service, Some(args.index))?;
    let found = container.publishers.iter().find(|p| p.target_port == port && p.protocol == protocol);
    match found {
        Some(p) => print(&format!("{}\n", host_port(&p.url, &p.published_port.to_string()))),
        None => {
            let error = Error::user(format!("no port {port}/{protocol} for container {}", container.name));
            Err(match ports(container).as_str() {
                "" => error.hint("it publishes none"),
                ports => error.hint(format!("it has {ports}")),
            })
        }
    }
}

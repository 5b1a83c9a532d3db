//! `stack wait`.

use std::collections::BTreeMap;

use clap::Args;

use crate::api::DownRequest;
use crate::api::client::{Lines, escape};
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, containers, print, project_path};
use crate::cli::error::{Error, INTERRUPTED, Result};
use crate::cli::operation::{self, Interrupts, Notes, nothing_there};
use crate::event::{Action, Event};

/// Wait until the containers of services have ended, and print their exit statuses.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The services.
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,
    /// Then stop and remove the project.
    #[arg(long)]
    down_project: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &WaitArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    block_on(async {
        let client = context.connect_if_any(Remains::Containers).await?.ok_or_else(|| nothing_there(&target))?;
        let mut interrupts = Interrupts::listen()?;
        // Opened before the list is read: no end falls between the two.
        let mut events: Lines<Event> =
            client.follow(&format!("/v1/events?project={}", escape(target.name.as_str()))).await?;
        let mut running: BTreeMap<String, String> = BTreeMap::new();
        let mut last = None;
        for container in containers(&client, &target.name).await? {
            if !services.iter().any(|s| s.as_str() == container.service) {
                continue;
            }
            if matches!(container.state.as_str(), "running" | "restarting" | "paused") {
                running.insert(container.name.clone(), container.service.clone());
            } else if container.state == "exited" {
                last = Some(ended(&container.service, container.exit_code)?);
            }
        }
        if running.is_empty() && last.is_none() {
            return Err(Error::user(format!("no containers of {}", args.services.join(", "))));
        }
        while !running.is_empty() {
            let event = tokio::select! {
                () = interrupts.next() => return Err(Error::Status(INTERRUPTED)),
                // Cancel-safe: see `Lines::next`.
                event = events.next() => event?,
            };
            match event {
                Some(Event::Container {
                    name,
                    service,
                    action: Action::Die { exit_code, restart_in_ms: None, .. },
                    ..
                }) if running.remove(&name).is_some() => {
                    last = Some(ended(&service, exit_code)?);
                }
                Some(Event::Container { name, action: Action::Destroy, .. }) => {
                    running.remove(&name);
                }
                Some(_) => {}
                None => return Err(Error::host("the engine ended; the containers run on")),
            }
        }
        if args.down_project {
            let request =
                DownRequest { known: target.known_services(), remove_orphans: true, ..DownRequest::default() };
            operation::run(context, &client, "down", &project_path(&target.name, "down"), &request, Notes::Show)
                .await?;
        }
        match last {
            None | Some(0) => Ok(()),
            Some(code) => Err(Error::Status(u8::try_from(code.rem_euclid(256)).unwrap_or(1))),
        }
    })
}

fn ended(service: &str, code: i32) -> Result<i32> {
    print(&format!("container of service {service:?} exited with status code {code}\n"))?;
    Ok(code)
}

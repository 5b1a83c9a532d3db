//! `stack events`.

use clap::Args;

use crate::api::client::{Lines, escape};
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, block_on, now_ns, print};
use crate::cli::error::{Error, INTERRUPTED, Result};
use crate::cli::operation::Interrupts;
use crate::cli::render::duration::parse_moment;
use crate::cli::render::event::{to_json, to_line};
use crate::event::Event;

/// Show what happens to the containers of a project, now and (--since) before.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also what happened since this time (2026-11-21T22:18:03Z) or duration (10m); it is kept when
    /// the engine ends and when the project is gone.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// End at this time; without it, go on until Ctrl-C.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &EventsArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let now = now_ns();
    let mut path = format!("/v1/events?project={}", escape(target.name.as_str()));
    for (key, text) in [("since", &args.since), ("until", &args.until)] {
        if let Some(text) = text {
            let moment = parse_moment(text, now).map_err(|err| Error::user(format!("--{key}: {err}")))?;
            path += &format!("&{key}={moment}");
        }
    }
    block_on(async {
        let client = context.connect().await?;
        let mut interrupts = Interrupts::listen()?;
        let mut events: Lines<Event> = client.follow(&path).await?;
        let mut text = String::new();
        loop {
            let event = tokio::select! {
                // Cancel-safe: see `Lines::next`.
                event = events.next() => event?,
                () = interrupts.next() => return Err(Error::Status(INTERRUPTED)),
            };
            let Some(event) = event else { break };
            if let Event::Container { service, .. } = &event
                && (services.is_empty() || services.iter().any(|s| s.as_str() == service))
                && let Some(line) =
                    if args.json { to_json(&event).map(|json| json.to_string()) } else { to_line(&event) }
            {
                text += &line;
                text.push('\n');
            }
            if !events.ready() {
                print(&std::mem::take(&mut text))?;
            }
        }
        if args.until.is_none() {
            return Err(Error::host("the engine ended; the containers run on"));
        }
        print(&text)
    })
}

//! `stack logs`.

use clap::Args;

use crate::api::client::Lines;
use crate::api::{LogLine, LogsRequest};
use crate::cli::args::ProjectArgsLong;
use crate::cli::context::{Context, Remains, block_on, containers, now_ns};
use crate::cli::error::{Error, INTERRUPTED, Result};
use crate::cli::operation::{Interrupts, nothing_there};
use crate::cli::render::duration::parse_moment;
use crate::cli::render::logs::{LogPrinter, Style};
use crate::cli::render::style::Palette;
use crate::ids::ServiceName;

/// Show the output of containers, running or not.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Only these services.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Go on with lines as they come.
    #[arg(short = 'f', long)]
    pub(crate) follow: bool,
    /// So many last lines of each container, or all.
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail, allow_negative_numbers = true)]
    tail: Tail,
    /// Time before each line.
    #[arg(short = 't', long)]
    timestamps: bool,
    /// No colours.
    #[arg(long)]
    no_color: bool,
    /// No names before the lines.
    #[arg(long)]
    no_log_prefix: bool,
    /// Not before this time (2026-11-21T22:18:03Z) or duration (10m).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time or duration.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Which replica.
    #[arg(long, value_name = "N", default_value_t = 0)]
    index: u32,
    #[command(flatten)]
    pub(crate) project: ProjectArgsLong,
}

/// So many last lines; `None` is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail(Option<u64>);

pub(crate) fn run(context: &Context, args: &LogsArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let now = now_ns();
    let moment = |option: &str, text: &Option<String>| {
        text.as_deref()
            .map(|t| parse_moment(t, now).map_err(|err| Error::user(format!("--{option}: {err}"))))
            .transpose()
    };
    let request = LogsRequest {
        project: target.name.to_string(),
        services,
        index: Some(args.index).filter(|&i| i > 0),
        follow: args.follow,
        until_all_ended: true,
        tail: args.tail.0,
        since_ns: moment("since", &args.since)?,
        until_ns: moment("until", &args.until)?,
    };
    let palette = if args.no_color { Palette::new(false) } else { context.ui.out };
    let style = Style { palette, prefix: !args.no_log_prefix, timestamps: args.timestamps };
    let known: Vec<String> =
        target.project.as_ref().map(|p| p.services.keys().map(ServiceName::to_string).collect()).unwrap_or_default();
    let mut printer = LogPrinter::new(style, target.name.as_str(), known);
    block_on(async {
        let client = match context.connect_if_any(Remains::Containers).await? {
            Some(client) => client,
            None if args.follow => context.connect().await?,
            None if target.project.is_some() => return Ok(()),
            None => return Err(nothing_there(&target)),
        };
        let wanted =
            |service: &str| request.services.is_empty() || request.services.iter().any(|s| s.as_str() == service);
        for container in containers(&client, &target.name).await?.iter().filter(|c| wanted(&c.service)) {
            printer.expect(&container.name);
        }
        let mut interrupts = Interrupts::listen()?;
        let mut lines: Lines<LogLine> = client.ask("/v1/logs", &request).await?;
        loop {
            tokio::select! {
                biased;
                () = interrupts.next() => {
                    printer.end_open_line();
                    printer.flush()?;
                    return Err(Error::Status(INTERRUPTED));
                }
                // Cancel-safe: see `Lines::next`.
                line = lines.next() => match line? {
                    Some(line) => {
                        match &line.card {
                            Some(card) => printer.card(&line.container, card),
                            None => printer.line(&line),
                        }
                        if !lines.ready() {
                            printer.flush()?;
                        }
                    }
                    None => break,
                },
            }
        }
        printer.end_open_line();
        Ok(printer.flush()?)
    })
}

/// Parses `--tail`: a number, `all`, or below zero for all.
fn tail(text: &str) -> std::result::Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    let number: i64 = text.parse().map_err(|_| "must be a number of lines or all".to_owned())?;
    Ok(Tail(u64::try_from(number).ok()))
}

#[cfg(test)]
mod tests {
    use super::{Tail, tail};

    #[test]
    fn tail_is_a_number_or_all() {
        let check = |text: &str, expected: Option<Tail>| assert_eq!(tail(text).ok(), expected, "{text}");
        check("all", Some(Tail(None)));
        check("10", Some(Tail(Some(10))));
        check("0", Some(Tail(Some(0))));
        check("-1", Some(Tail(None)));
        check("few", None);
    }
}

//! Containers as `ps` shows them: Compose's columns and Compose's JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::duration::{absolute, ago, human};
use super::table;
use crate::api::{ContainerSummary, Publisher};

const COMMAND_WIDTH: usize = 20;
const MOUNT_WIDTH: usize = 15;

/// Returns the table.
pub(crate) fn draw(containers: &[ContainerSummary], now: i64, truncate: bool) -> String {
    let rows: Vec<Vec<String>> = containers
        .iter()
        .map(|c| {
            vec![
                c.name.clone(),
                c.image.clone(),
                command(c, truncate),
                c.service.clone(),
                ago(c.created, now),
                with_cause(c, status(c, now)),
                ports(c),
            ]
        })
        .collect();
    table::draw(&["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"], &rows)
}

/// Returns the container as Compose's JSON has it (keys in the order that it prints).
pub(crate) fn to_json(c: &ContainerSummary, now: i64, truncate: bool) -> Value {
    let labels: Vec<String> = c.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mounts: Vec<String> =
        c.mounts.iter().map(|m| if truncate { table::truncate(m, MOUNT_WIDTH) } else { m.clone() }).collect();
    // Compose counts volumes of the local driver; a path of the host is none.
    let volumes = c.mounts.iter().filter(|m| !m.starts_with('/')).count();
    let publishers: Vec<Value> = all_ports(c)
        .into_iter()
        .map(|p| {
            json!({
                "URL": p.url, "TargetPort": p.target_port, "PublishedPort": p.published_port, "Protocol": p.protocol,
            })
        })
        .collect();
    let mut json = json!({
        "Command": command(c, truncate),
        "CreatedAt": absolute(c.created),
        "ExitCode": c.exit_code,
        "Health": c.health,
        "ID": if truncate { c.id.short() } else { c.id.as_str() },
        "Image": c.image,
        "Labels": labels.join(","),
        "LocalVolumes": volumes.to_string(),
        "Mounts": mounts.join(","),
        "Name": c.name,
        "Names": c.name,
        "Networks": c.networks.join(","),
        "Ports": ports(c),
        "Project": c.project,
        "Publishers": publishers,
        "Ready": c.ready,
        "ReadyRule": c.ready_rule,
        "RunningFor": ago(c.created, now),
        "Service": c.service,
        "Size": "0B",
        "State": c.state,
        "Status": status(c, now),
    });
    // A key of ours, only where there is something to say.
    if !c.cause.is_empty() {
        json["Cause"] = Value::from(c.cause.as_str());
    }
    json
}

/// Returns the state in words: `Up 3 seconds (healthy)`, `Up 3 seconds (ready: HTTP on 80)`, `Exited (0) 2 minutes ago`.
pub(crate) fn status(c: &ContainerSummary, now: i64) -> String {
    let since = c.since.map(|s| std::time::Duration::from_secs(now.saturating_sub(s).max(0).unsigned_abs()));
    let up = || since.map_or_else(|| "Up".to_owned(), |d| format!("Up {}", human(d)));
    let before = |word: &str| match since {
        Some(d) => format!("{word} ({}) {} ago", c.exit_code, human(d)),
        None => format!("{word} ({})", c.exit_code),
    };
    match c.state.as_str() {
        "running" => match c.health.as_str() {
            "" => match (c.ready, c.ready_rule.as_str()) {
                (_, "") => up(),
                (true, rule) => format!("{} (ready: {rule})", up()),
                (false, rule) => format!("{} (waiting for {rule})", up()),
            },
            "starting" => format!("{} (health: starting)", up()),
            health => format!("{} ({health})", up()),
        },
        "paused" => format!("{} (Paused)", up()),
        "restarting" => before("Restarting"),
        "exited" => before("Exited"),
        "created" => "Created".to_owned(),
        "dead" => "Dead".to_owned(),
        other => other.to_owned(),
    }
}

/// Adds why its last run ended.
fn with_cause(c: &ContainerSummary, status: String) -> String {
    if c.cause.is_empty() { status } else { format!("{status}: {}", c.cause) }
}

/// Returns the command, quoted, and cut unless wanted whole.
fn command(c: &ContainerSummary, truncate: bool) -> String {
    let text = c.command.join(" ");
    quote(&if truncate { cut_chars(&text, COMMAND_WIDTH) } else { text })
}

/// Cuts to a number of characters, as Docker does here, not to a width.
fn cut_chars(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}

/// Returns text in double quotes with what does not print escaped, as Go quotes it.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns published and exposed ports; an exposed one has no host address and port 0.
fn all_ports(c: &ContainerSummary) -> Vec<Publisher> {
    let mut all = c.publishers.clone();
    for exposed in &c.exposed {
        let (port, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
        let Ok(target_port) = port.parse() else { continue };
        if all.iter().any(|p| p.target_port == target_port && p.protocol == protocol) {
            continue;
        }
        all.push(Publisher { url: String::new(), target_port, published_port: 0, protocol: protocol.to_owned() });
    }
    all.sort_by(|a, b| {
        (a.target_port, &a.protocol, &a.url, a.published_port).cmp(&(
            b.target_port,
            &b.protocol,
            &b.url,
            b.published_port,
        ))
    });
    all
}

/// Returns the ports as Docker lists them: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`. Neighbours
/// that keep their number on the host are joined (`8000-8002->8000-8002/tcp`), those come first.
pub(crate) fn ports(c: &ContainerSummary) -> String {
    /// Consecutive ports of one address and protocol.
    struct Run {
        url: String,
        protocol: String,
        first: u16,
        last: u16,
    }
    let mut runs: Vec<Run> = Vec::new();
    let mut mapped = Vec::new();
    for p in all_ports(c) {
        if !p.url.is_empty() && p.published_port != p.target_port {
            mapped.push(format!(
                "{}->{}/{}",
                host_port(&p.url, &p.published_port.to_string()),
                p.target_port,
                p.protocol
            ));
            continue;
        }
        let last = runs.iter_mut().rev().find(|r| r.url == p.url && r.protocol == p.protocol);
        match last {
            Some(run) if run.last.checked_add(1) == Some(p.target_port) => run.last = p.target_port,
            _ => runs.push(Run { url: p.url, protocol: p.protocol, first: p.target_port, last: p.target_port }),
        }
    }
    let joined = runs.into_iter().map(|run| {
        let range = if run.first == run.last { run.first.to_string() } else { format!("{}-{}", run.first, run.last) };
        match run.url.as_str() {
            "" => format!("{range}/{}", run.protocol),
            url => format!("{}->{range}/{}", host_port(url, &range), run.protocol),
        }
    });
    joined.chain(mapped).collect::<Vec<_>>().join(", ")
}

/// Returns address and port, an IPv6 address in brackets.
pub(crate) fn host_port(url: &str, port: &str) -> String {
    if url.contains(':') { format!("[{url}]:{port}") } else { format!("{url}:{port}") }
}

#[cfg(test)]
#[path = "ps_tests.rs"]
mod tests;

//! What `ps` shows of a container; pure.

use super::container::{View, label_of};
use crate::api::{ContainerSummary, Publisher};
use crate::crash::Card;
use crate::ids::ProjectName;
use crate::plan::labels;
use crate::spec::{MountKind, Protocol, Ready};

/// Returns the line of `ps` for a container.
pub(super) fn summary(view: &View<'_>) -> ContainerSummary {
    let spec = view.spec;
    let running = matches!(view.state, "running" | "restarting");
    ContainerSummary {
        id: spec.id.clone(),
        name: spec.name.clone(),
        project: ProjectName::new(label_of(spec, labels::PROJECT)),
        service: label_of(spec, labels::SERVICE).to_owned(),
        number: label_of(spec, labels::NUMBER).parse().unwrap_or(1),
        one_off: label_of(spec, labels::ONE_OFF) == "True",
        image: spec.image.reference.clone(),
        command: spec.argv.clone(),
        created: seconds(view.created_ns),
        state: view.state.to_owned(),
        health: view.health.as_ref().map_or("", |h| h.status.word()).to_owned(),
        ready: view.ready.is_some(),
        ready_rule: match (&view.ready, &spec.ready) {
            (Some(rule), _) => rule.to_string(),
            (None, Some(rule)) if running && *rule != Ready::Auto => rule.to_string(),
            _ => String::new(),
        },
        exit_code: if view.state == "running" { 0 } else { view.exit_code },
        since: if running { view.started_ns } else { view.finished_ns.or(view.started_ns) }.map(seconds),
        restarts: view.restarts,
        cause: view.card.filter(|_| view.state != "running").and_then(Card::short).unwrap_or_default(),
        publishers: publishers(view),
        exposed: spec.exposed.clone(),
        labels: spec.labels.clone(),
        networks: spec.endpoints.iter().map(|e| e.network.to_string()).collect(),
        mounts: spec
            .mounts
            .iter()
            .filter_map(|m| match &m.kind {
                MountKind::Bind { source, .. } => Some(source.display().to_string()),
                MountKind::Volume { name, .. } => Some(name.to_string()),
                MountKind::Tmpfs { .. } => None,
            })
            .collect(),
    }
}

/// Returns the published ports as Compose lists them: those that stand open.
fn publishers(view: &View<'_>) -> Vec<Publisher> {
    let mut list: Vec<_> = view
        .bound
        .iter()
        .map(|bound| Publisher {
            url: bound.host_ip.to_string(),
            target_port: bound.container_port,
            published_port: bound.host_port,
            protocol: protocol_word(bound.protocol).to_owned(),
        })
        .collect();
    list.sort_by(|a, b| (a.target_port, &a.protocol, &a.url).cmp(&(b.target_port, &b.protocol, &b.url)));
    list
}

/// Returns `tcp` or `udp`.
pub(super) fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn seconds(ns: i64) -> i64 {
    ns.div_euclid(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::daemon::container::Entry;
    use crate::daemon::fixture;
    use crate::engine::{Bound, ExitStatus};

    fn entry() -> Entry {
        Entry::new(Arc::new(fixture::container()), 5_000_000_000)
    }

    #[track_caller]
    fn check(entry: &Entry, state: &str, exit_code: i32, since: Option<i64>) {
        let summary = summary(&entry.view(0));
        assert_eq!((summary.state.as_str(), summary.exit_code, summary.since), (state, exit_code, since));
    }

    #[test]
    fn a_line_of_ps_tells_the_container() {
        let entry = entry();
        let bound = |ip: &str| Bound {
            host_ip: ip.parse().unwrap(),
            host_port: 8080,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let bound = [bound("::"), bound("0.0.0.0")];
        let line = summary(&View { bound: &bound, ..entry.view(0) });
        assert_eq!((line.project.as_str(), line.service.as_str(), line.number, line.one_off), ("app", "web", 1, false));
        assert_eq!(line.publishers.iter().map(|p| p.url.as_str()).collect::<Vec<_>>(), ["0.0.0.0", "::"]);
        assert_eq!(
            (line.created, line.networks, line.mounts),
            (5, vec!["app_default".into()], vec!["app_data".into()])
        );
    }

    #[test]
    fn a_start_that_failed_leaves_what_was() {
        let mut entry = entry();
        check(&entry, "created", 0, None);
        let failed = ExitStatus { code: 127, oom_killed: false, finished_ns: 9_000_000_000, ..ExitStatus::default() };
        entry.replica = entry.replica.ended(127);
        entry.last_exit = Some(failed);
        check(&entry, "created", 127, None);
        entry.started_ns = Some(7_000_000_000);
        entry.finished_ns = Some(8_000_000_000);
        check(&entry, "exited", 127, Some(8));
    }
}

//! What `ps` shows of a container; pure.

use super::container::{View, label_of};
use crate::api::{ContainerSummary, Publisher};
use crate::ids::ProjectName;
use crate::plan::labels;
use crate::spec::{MountKind, Protocol};

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
        exit_code: if view.state == "running" { 0 } else { view.exit_code },
        since: if running { view.started_ns } else { view.finished_ns.or(view.started_ns) }.map(seconds),
        restarts: view.restarts,
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

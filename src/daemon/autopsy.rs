//! Collects what is known of a run that ended, for its [`Card`]; keeps the card of a crash beside
//! the container, so that the next daemon knows it.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use super::container::{Entry, label_of};
use super::state::State;
use crate::crash::{self, By, Card, Death, Dependency, Memory, MountOwner, Sent};
use crate::engine::{Engine, logs};
use crate::ids::ContainerId;
use crate::plan::labels;
use crate::spec::{Health, MountKind};
use crate::store::{self, Durability};

/// Bytes of a log line on a card.
const LINE: usize = 400;

/// What is remembered of a run for the day it ends.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Signals sent to it.
    pub sent: Vec<Sent>,
    /// Whose wish the next signals are.
    pub asked: Option<By>,
    /// Its shim was killed.
    pub shim_gone: bool,
}

/// Returns the card of a container's run that just ended.
pub(super) fn card(state: &State, id: &ContainerId, code: i32, next_try: Option<Duration>) -> Option<Card> {
    let entry = state.containers.get(id)?;
    let engine = &state.parts().engine;
    let expected = entry.replica.is_stopped_by_user();
    let failed = !entry.error.is_empty();
    let exit = entry.last_exit.unwrap_or_default();
    let time_ns = if failed { super::now_ns() } else { exit.finished_ns };
    let began_ns = entry.started_ns.filter(|_| !failed).unwrap_or(time_ns);
    let mut sent = entry.trail.sent.clone();
    if expected && sent.is_empty() {
        // Asked for by way of an earlier daemon.
        sent.push(Sent { signal: entry.spec.stop_signal, by: By::User { command: "stop".to_owned() } });
    }
    let crash = !expected && (code != 0 || exit.oom_kills > 0);
    let lines = if crash && !failed { last_lines(engine, entry, began_ns) } else { Vec::new() };
    let refused =
        |line: &String| line.contains("ermission denied") || line.contains("EACCES") || line.contains("Read-only");
    let mounts = if lines.iter().any(refused) { mounts(entry) } else { Vec::new() };
    Some(crash::card(&Death {
        time_ns,
        exit_code: code,
        signal: exit.signal.filter(|_| !failed),
        sent: &sent,
        expected,
        memory: Memory {
            kills: if failed { 0 } else { exit.oom_kills },
            limit: entry.spec.resources.memory,
            peak: exit.memory_peak,
        },
        shim_gone: entry.trail.shim_gone,
        start_error: &entry.error,
        uptime: Duration::from_nanos(u64::try_from(time_ns - began_ns).unwrap_or(0)),
        restarts: entry.replica.restarts(),
        next_try,
        init: entry.spec.init,
        grace: entry.spec.stop_grace,
        argv: &entry.spec.argv,
        user: if crash { user(engine, id) } else { None },
        lines,
        mounts,
        dependencies: if crash { dependencies(state, entry) } else { Vec::new() },
    }))
}

/// Keeps the card of a crash.
pub(super) fn keep(engine: &Engine, id: &ContainerId, card: &Card) {
    if let Err(error) = store::write(&path(engine, id), card, Durability::Fast) {
        tracing::warn!(%error, "a crash card could not be kept");
    }
}

/// Returns the card of a container's last crash under an earlier daemon.
pub(super) fn kept(engine: &Engine, id: &ContainerId) -> Option<Card> {
    // A damaged one is no more than a missing one.
    store::read(&path(engine, id)).ok().flatten()
}

fn path(engine: &Engine, id: &ContainerId) -> std::path::PathBuf {
    engine.container_dir(id).join("crash.json")
}

/// Returns the last lines of a run.
fn last_lines(engine: &Engine, entry: &Entry, since_ns: i64) -> Vec<String> {
    let filter = logs::Filter { tail: Some(crash::LINES as u64), since_ns: Some(since_ns), until_ns: None };
    let entries = logs::read(&engine.log_path(&entry.spec.name), filter);
    let text = |entry: logs::Entry| {
        let line = entry.text.trim_end();
        let end = (0..=LINE.min(line.len())).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
        // No control characters: a card is drawn on terminals.
        line[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
    };
    entries.map(text).filter(|line| !line.trim().is_empty()).collect()
}

fn mounts(entry: &Entry) -> Vec<MountOwner> {
    let owner = |mount: &crate::spec::Mount| {
        let (source, shown) = match &mount.kind {
            MountKind::Bind { source, .. } => (source, source.display().to_string()),
            MountKind::Volume { source, name, .. } => (source, format!("volume {name}")),
            MountKind::Tmpfs { .. } => return None,
        };
        let found = source.metadata().ok()?;
        Some(MountOwner {
            target: mount.target.clone(),
            source: shown,
            owner: (found.uid(), found.gid()),
            mode: found.mode(),
            read_only: mount.read_only,
        })
    };
    entry.spec.mounts.iter().filter_map(owner).collect()
}

/// Returns user and group as the bundle has them.
fn user(engine: &Engine, id: &ContainerId) -> Option<(u32, u32)> {
    let text = std::fs::read(engine.container_dir(id).join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let number = |key: &str| u32::try_from(config["process"]["user"][key].as_u64()?).ok();
    Some((number("uid")?, number("gid")?))
}

fn dependencies(state: &State, entry: &Entry) -> Vec<Dependency> {
    let project = label_of(&entry.spec, labels::PROJECT);
    let edges = labels::parse_depends_on(label_of(&entry.spec, labels::DEPENDS_ON));
    let one = |edge: labels::Edge| {
        let replicas = state.containers.values().filter(|other| {
            label_of(&other.spec, labels::PROJECT) == project
                && label_of(&other.spec, labels::SERVICE) == edge.service.as_str()
        });
        // The one that does worst tells.
        let worst = replicas.min_by_key(|other| is_ready(other))?;
        let state = match (worst.replica.word(), worst.replica.health()) {
            ("exited", _) => format!("exited ({})", worst.last_exit.map_or(0, |exit| exit.code)),
            (word, Some(health)) => format!("{word} ({})", health.word()),
            (word, None) => word.to_owned(),
        };
        let checked = worst.spec.healthcheck.is_some();
        Some(Dependency { service: edge.service.to_string(), state, ready: is_ready(worst), checked })
    };
    edges.into_iter().filter_map(one).collect()
}

fn is_ready(entry: &Entry) -> bool {
    let ended_well = entry.replica.word() == "exited" && entry.last_exit.is_some_and(|exit| exit.code == 0);
    let runs = entry.replica.word() == "running";
    ended_well || runs && entry.replica.health().is_none_or(|health| health == Health::Healthy)
}

//! Collects what is known of a run that ended, for its [`Card`]; keeps the card of a crash beside
//! the container, so that the next daemon knows it.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::container::{Entry, label_of};
use super::state::State;
use crate::crash::{self, By, Card, Death, Dependency, Memory, MountOwner, Sent};
use crate::engine::{Engine, ExitStatus, logs};
use crate::ids::ContainerId;
use crate::plan::labels;
use crate::spec::{ContainerSpec, Health, MountKind};
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

/// A run that just ended: what the state knows of it.
pub(super) struct Autopsy {
    engine: Engine,
    spec: Arc<ContainerSpec>,
    exit: ExitStatus,
    code: i32,
    /// Why it did not start; empty when it did.
    error: String,
    expected: bool,
    sent: Vec<Sent>,
    shim_gone: bool,
    time_ns: i64,
    began_ns: i64,
    restarts: u32,
    next_try: Option<Duration>,
    dependencies: Vec<Dependency>,
}

/// What is on disk of a run that ended.
#[derive(Default)]
struct Found {
    lines: Vec<String>,
    mounts: Vec<MountOwner>,
    user: Option<(u32, u32)>,
}

impl Autopsy {
    /// Begins with what the state knows; `None` when the container is gone.
    pub(super) fn begin(state: &State, id: &ContainerId, code: i32, next_try: Option<Duration>) -> Option<Self> {
        let entry = state.containers.get(id)?;
        let expected = entry.replica.is_stopped_by_user();
        let failed = !entry.error.is_empty();
        let exit = entry.last_exit.unwrap_or_default();
        let time_ns = if failed { super::now_ns() } else { exit.finished_ns };
        let mut sent = entry.trail.sent.clone();
        if expected && sent.is_empty() {
            // Asked for by way of an earlier daemon.
            sent.push(Sent { signal: entry.spec.stop_signal, by: By::User { command: "stop".to_owned() } });
        }
        let mut autopsy = Self {
            engine: state.parts().engine.clone(),
            spec: Arc::clone(&entry.spec),
            exit,
            code,
            error: entry.error.clone(),
            expected,
            sent,
            shim_gone: entry.trail.shim_gone,
            time_ns,
            began_ns: entry.started_ns.filter(|_| !failed).unwrap_or(time_ns),
            restarts: entry.replica.restarts(),
            next_try,
            dependencies: Vec::new(),
        };
        if autopsy.is_of_crash() {
            autopsy.dependencies = dependencies(state, entry);
        }
        Some(autopsy)
    }

    /// Tells whether it is worth reading what the run left.
    pub(super) fn is_of_crash(&self) -> bool {
        !self.expected && (self.code != 0 || self.exit.oom_kills > 0)
    }

    /// Returns the card without reading anything.
    pub(super) fn card(&self) -> Card {
        self.card_with(Found::default())
    }

    /// Returns the card with what the run left; keeps it when it is one of a crash. On a thread of its own and not for long: a
    /// disk that hangs holds nobody up.
    pub(super) async fn read(self) -> Card {
        /// After so long the card does without.
        const PATIENCE: Duration = Duration::from_secs(2);
        let without = self.card();
        let reading = tokio::task::spawn_blocking(move || {
            let card = self.card_with(self.look());
            if card.is_crash() {
                keep(&self.engine, &self.spec.id, &card);
            }
            card
        });
        tokio::time::timeout(PATIENCE, reading).await.ok().and_then(Result::ok).unwrap_or(without)
    }

    fn look(&self) -> Found {
        let lines = if self.error.is_empty() { self.last_lines() } else { Vec::new() };
        let refused =
            |line: &String| line.contains("ermission denied") || line.contains("EACCES") || line.contains("Read-only");
        let mounts = if lines.iter().any(refused) { mounts(&self.spec) } else { Vec::new() };
        Found { lines, mounts, user: user(&self.engine, &self.spec.id) }
    }

    fn card_with(&self, found: Found) -> Card {
        let failed = !self.error.is_empty();
        crash::card(&Death {
            time_ns: self.time_ns,
            exit_code: self.code,
            signal: self.exit.signal.filter(|_| !failed),
            sent: &self.sent,
            expected: self.expected,
            memory: Memory {
                kills: if failed { 0 } else { self.exit.oom_kills },
                limit: self.spec.resources.memory,
                peak: self.exit.memory_peak,
            },
            shim_gone: self.shim_gone,
            start_error: &self.error,
            uptime: Duration::from_nanos(u64::try_from(self.time_ns - self.began_ns).unwrap_or(0)),
            restarts: self.restarts,
            next_try: self.next_try,
            init: self.spec.init,
            grace: self.spec.stop_grace,
            argv: &self.spec.argv,
            user: found.user,
            lines: found.lines,
            mounts: found.mounts,
            dependencies: self.dependencies.clone(),
        })
    }

    /// Returns the last lines of the run.
    fn last_lines(&self) -> Vec<String> {
        let filter = logs::Filter { tail: Some(crash::LINES as u64), since_ns: Some(self.began_ns), until_ns: None };
        let entries = logs::read(&self.engine.log_path(&self.spec.name), filter);
        let text = |entry: logs::Entry| {
            let line = entry.text.trim_end();
            let end = (0..=LINE.min(line.len())).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
            // No control characters: a card is drawn on terminals.
            line[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
        };
        entries.map(text).filter(|line| !line.trim().is_empty()).collect()
    }
}

/// Keeps the card of a crash.
fn keep(engine: &Engine, id: &ContainerId, card: &Card) {
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

fn mounts(spec: &ContainerSpec) -> Vec<MountOwner> {
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
    spec.mounts.iter().filter_map(owner).collect()
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

//! What the daemon knows of one container besides its specification.

use crate::engine::Bound;
use crate::spec::{ContainerSpec, Health};

/// A container as it is now: read by `ps`, `inspect` and the planner.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    /// What it was made from.
    pub spec: &'a ContainerSpec,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: i64,
    /// `created`, `running`, `restarting`, `exited`.
    pub state: &'static str,
    /// Host process id of process 1 while it runs.
    pub pid: Option<u32>,
    /// When the newest run began, nanoseconds since 1970.
    pub started_ns: Option<i64>,
    /// When the newest ended run ended.
    pub finished_ns: Option<i64>,
    /// Exit status of the newest ended run.
    pub exit_code: i32,
    /// The kernel ended it for want of memory.
    pub oom_killed: bool,
    /// Why the newest start failed; empty when it did not.
    pub error: &'a str,
    /// Times the engine started it again.
    pub restarts: u32,
    /// Health, where the container has a check.
    pub health: Option<HealthView>,
    /// Sockets that stand open on the host for it.
    pub bound: &'a [Bound],
}

/// Health of a container with a check.
#[derive(Debug, Clone)]
pub(super) struct HealthView {
    /// The state.
    pub status: Health,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The newest probes, oldest first.
    pub log: Vec<ProbeRecord>,
}

/// One probe as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbeRecord {
    /// When it began, nanoseconds since 1970.
    pub start_ns: i64,
    /// When it ended.
    pub end_ns: i64,
    /// Exit status; -1 when it was ended for taking too long.
    pub exit_code: i32,
    /// The first 4 KiB of what it printed.
    pub output: String,
}

/// Returns the label's value, empty when it is not set.
pub(super) fn label_of<'a>(spec: &'a ContainerSpec, key: &str) -> &'a str {
    spec.labels.get(key).map_or("", String::as_str)
}

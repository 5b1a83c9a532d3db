//! What the daemon knows of one container besides its specification.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::autopsy::Trail;
use super::launch::Sandbox;
use super::mounts::Looking;
use super::presence::Reason;
use super::ready::Prober;
use crate::crash::Card;
use crate::engine::{Bound, ExitStatus, ShimNotice, ShimStatus};
use crate::host::HostError;
use crate::ids::ServiceName;
use crate::lifecycle::ready::Rule;
use crate::lifecycle::{Budget, Replica, Settings, Time, condition};
use crate::plan::ContainerState;
use crate::spec::{ContainerSpec, Health};

/// Where the answer to a request goes.
pub(super) type Reply = oneshot::Sender<Result<(), HostError>>;

/// One container, owned by the state.
pub(super) struct Entry {
    pub spec: Arc<ContainerSpec>,
    pub created_ns: i64,
    pub replica: Replica,
    /// What it is up in; `None` while it is at rest.
    pub sandbox: Option<Sandbox>,
    /// Counts starts: answers that belong to an earlier one are stale.
    pub run: u64,
    pub pid: Option<u32>,
    pub started_ns: Option<i64>,
    pub finished_ns: Option<i64>,
    pub last_exit: Option<ExitStatus>,
    /// Why the newest start failed; empty when it did not.
    pub error: String,
    /// Who waits for it to run.
    pub starting: Vec<Reply>,
    /// Who waits for it to have ended.
    pub ending: Vec<Reply>,
    /// A shim on its way out.
    pub closing: Option<JoinHandle<()>>,
    /// Reads what its last crash left.
    pub autopsy: Option<JoinHandle<()>>,
    /// Looks for when its run is ready.
    pub prober: Option<Prober>,
    /// When the run began whose log had the line that means ready.
    pub said_ready_ns: Option<i64>,
    /// When its timer fires.
    pub armed: Option<Time>,
    /// A start is under way.
    pub launching: bool,
    /// How long its network took when it was started last; `None` when it had one.
    pub connecting: Option<Duration>,
    /// How it ended, told before the answer to the start came.
    pub early_exit: Option<ExitStatus>,
    /// Keeps the daemon while the container is not at rest.
    pub reason: Option<Reason>,
    /// What will tell why its run ended.
    pub trail: Trail,
    /// How its last run ended.
    pub card: Option<Card>,
    /// Whether its mounts are being looked at.
    pub looking: Looking,
    /// When mounts that vanish are put back.
    pub mount_budget: Arc<Mutex<Budget>>,
}

impl Entry {
    pub(super) fn new(spec: Arc<ContainerSpec>, created_ns: i64) -> Self {
        Self {
            replica: Replica::new(Settings::of(&spec)),
            spec,
            created_ns,
            sandbox: None,
            run: 0,
            pid: None,
            started_ns: None,
            finished_ns: None,
            last_exit: None,
            error: String::new(),
            starting: Vec::new(),
            ending: Vec::new(),
            closing: None,
            autopsy: None,
            prober: None,
            said_ready_ns: None,
            armed: None,
            launching: false,
            connecting: None,
            early_exit: None,
            reason: None,
            trail: Trail::default(),
            card: None,
            looking: Looking::default(),
            mount_budget: super::mounts::budget(),
        }
    }

    /// Sends a signal to its process, or (SIGKILL) to all of its processes.
    ///
    /// A shim that knows of no process answers with how it ended: that goes to `notices`, so a
    /// lost message cannot leave anybody waiting.
    pub(super) fn signal(&self, signal: i32, notices: mpsc::UnboundedSender<ShimNotice>) {
        let Some(sandbox) = &self.sandbox else { return };
        let (shim, id) = (sandbox.shim.clone(), self.spec.id.clone());
        tokio::spawn(async move {
            let Err(error) = shim.signal(signal).await else { return };
            tracing::warn!(%error, signal, "signal not delivered");
            if let Ok(ShimStatus { pid: None, exit: Some(status), .. }) = shim.status().await {
                let _ = notices.send(ShimNotice::Exited { id, status });
            }
        });
    }

    /// Returns where to look when somebody waits for it in vain; `None` when it does well.
    pub(super) fn why_not_ready(&self, service: &ServiceName) -> Option<String> {
        match self.replica.phase() {
            condition::Phase::Running { health: Some(Health::Unhealthy), .. } => {
                let said = self.replica.probe_log().last().map(|probe| {
                    let output = match probe.output.trim().lines().next_back() {
                        Some(line) => format!(": {}", line.trim_end()),
                        None => String::new(),
                    };
                    match probe.code {
                        // It did not run to its end; what is kept says why.
                        ..0 => format!("its check failed{output}"),
                        code => format!("its check ended with status {code}{output}"),
                    }
                });
                Some(format!(
                    "{}; its output: stack logs {service}",
                    said.unwrap_or_else(|| "its check fails".to_owned())
                ))
            }
            condition::Phase::Exited { code } if code != 0 => Some(format!("its output: stack logs {service}")),
            _ => None,
        }
    }

    /// Returns the word that `ps` and `inspect` show: what never ran is `created`, also after a
    /// start that failed, as Docker has it.
    pub(super) fn word(&self) -> &'static str {
        match self.replica.word() {
            "exited" if self.started_ns.is_none() => "created",
            word => word,
        }
    }

    /// Returns what the planner sees.
    pub(super) fn state(&self) -> ContainerState {
        match self.word() {
            "created" => ContainerState::Created,
            "restarting" => ContainerState::Restarting,
            "exited" => ContainerState::Exited(self.last_exit.map_or(0, |e| e.code)),
            _ => ContainerState::Running,
        }
    }

    /// Returns the container as `ps` and `inspect` show it; `epoch_ns` is when times begin.
    pub(super) fn view(&self, epoch_ns: i64) -> View<'_> {
        let wall = |time: Time| epoch_ns.saturating_add(i64::try_from(time.0.as_nanos()).unwrap_or(i64::MAX));
        View {
            spec: &self.spec,
            created_ns: self.created_ns,
            state: self.word(),
            pid: self.pid,
            started_ns: self.started_ns,
            finished_ns: self.finished_ns,
            exit_code: self.last_exit.map_or(0, |e| e.code),
            oom_killed: self.last_exit.is_some_and(|e| e.oom_killed),
            error: &self.error,
            restarts: self.replica.restarts(),
            health: self.replica.health().map(|status| HealthView {
                status,
                failing_streak: self.replica.failing_streak(),
                log: self
                    .replica
                    .probe_log()
                    .map(|probe| ProbeRecord {
                        start_ns: wall(probe.began),
                        end_ns: wall(probe.ended),
                        exit_code: probe.code,
                        output: probe.output.clone(),
                    })
                    .collect(),
            }),
            card: self.card.as_ref(),
            ready: self.replica.readiness(),
            bound: self.sandbox.as_ref().map_or(&[], |s| s.bound.as_slice()),
        }
    }
}

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
    /// How its last run ended.
    pub card: Option<&'a Card>,
    /// What decided that it is ready; `None` when it is not.
    pub ready: Option<Rule>,
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

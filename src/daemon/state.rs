//! The sole owner of what runs: one task turns inputs into steps of each container's
//! [`Replica`] and the commands that come out of them into effects, each on a task of its own
//! that reports back as an input.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Parts;
use super::container::{HealthView, ProbeRecord, View, label_of};
use super::launch::{self, Launched, Namespace, Sandbox};
use super::presence::{Presence, Reason};
use crate::engine::{ContainerRecord, ExitStatus, Probe, ShimNotice};
use crate::event::{Action, Event};
use crate::host::HostError;
use crate::ids::{ContainerId, NetworkName, ProjectName, ServiceName};
use crate::lifecycle::condition::{self, Verdict};
use crate::lifecycle::{self, Command, Replica, Report, Settings, Time};
use crate::plan::{ContainerState, Observed, ObservedContainer, ObservedNetwork, Wait, labels};
use crate::spec::{ContainerSpec, Health, NetworkSpec};

type Reply = oneshot::Sender<Result<(), HostError>>;

/// What the owner is told or asked.
pub(super) enum Input {
    /// Everything as it is now, for the planner.
    Observe(oneshot::Sender<Observed>),
    /// Answers a question about the containers by a closure that runs between two inputs.
    Read(Box<dyn FnOnce(&mut State) + Send>),
    /// A network was made.
    Network(NetworkSpec),
    /// A network was removed.
    NetworkGone(NetworkName),
    /// A container was made.
    Created { spec: Arc<ContainerSpec>, created_ns: i64 },
    /// Start it.
    Start { id: ContainerId, reply: Reply },
    /// Ask it to stop; answers once it has ended.
    Stop { id: ContainerId, signal: i32, grace: Duration, reply: Reply },
    /// Send it a signal.
    Kill { id: ContainerId, signal: i32, reply: Reply },
    /// Forget it; answers once its shim has gone.
    Remove { id: ContainerId, reply: Reply },
    /// Wait for a condition.
    Await { wait: Wait, reply: Reply },
    /// Send container events of a project, or of all.
    Subscribe { project: Option<ProjectName>, sink: mpsc::UnboundedSender<Event> },
    /// A start ended.
    Launched { id: ContainerId, run: u64, result: Result<Launched, (i32, HostError)> },
    /// A probe ended.
    Probed { id: ContainerId, run: u64, probe: u64, began: Time, code: i32, output: String },
    /// A shim said something.
    Notice(ShimNotice),
}

/// One container.
pub(super) struct Entry {
    pub spec: Arc<ContainerSpec>,
    pub created_ns: i64,
    pub replica: Replica,
    pub sandbox: Option<Sandbox>,
    /// Counts starts: answers that belong to an earlier one are stale.
    run: u64,
    pub pid: Option<u32>,
    pub started_ns: Option<i64>,
    pub finished_ns: Option<i64>,
    pub last_exit: Option<ExitStatus>,
    pub error: String,
    /// Exit status that stands for the newest start, when it failed.
    failed: Option<i32>,
    /// Who waits for it to run.
    starting: Vec<Reply>,
    /// Who waits for it to have ended.
    ending: Vec<Reply>,
    /// A shim on its way out.
    closing: Option<JoinHandle<()>>,
    /// When its timer fires.
    armed: Option<Time>,
    /// A start is under way.
    launching: bool,
    /// How it ended, told before the answer to the start came.
    early_exit: Option<ExitStatus>,
    /// Keeps the daemon while the container is not at rest.
    reason: Option<Reason>,
}

/// The owner's data.
pub(super) struct State {
    parts: Parts,
    inputs: mpsc::UnboundedSender<Input>,
    notices: mpsc::UnboundedSender<ShimNotice>,
    notice_source: Option<mpsc::UnboundedReceiver<ShimNotice>>,
    presence: Presence,
    epoch: Instant,
    /// The wall clock's time at `epoch`, nanoseconds since 1970.
    epoch_ns: i64,
    pub containers: HashMap<ContainerId, Entry>,
    pub networks: BTreeMap<NetworkName, NetworkSpec>,
    waits: Vec<(Wait, Reply)>,
    timers: BTreeSet<(Time, ContainerId)>,
    subscribers: Vec<(Option<ProjectName>, mpsc::UnboundedSender<Event>)>,
}

impl State {
    pub(super) fn new(parts: Parts, inputs: mpsc::UnboundedSender<Input>, presence: Presence) -> Self {
        let (notices, source) = mpsc::unbounded_channel();
        Self {
            networks: super::network_record::read_all(&parts.paths).into_iter().map(|n| (n.name.clone(), n)).collect(),
            parts,
            inputs,
            notices,
            notice_source: Some(source),
            presence,
            epoch: Instant::now(),
            epoch_ns: super::now_ns(),
            containers: HashMap::new(),
            waits: Vec::new(),
            timers: BTreeSet::new(),
            subscribers: Vec::new(),
        }
    }

    /// Where shims of this daemon report.
    pub(super) fn notices(&self) -> mpsc::UnboundedSender<ShimNotice> {
        self.notices.clone()
    }

    /// Runs for as long as the process.
    pub(super) async fn run(mut self, mut inputs: mpsc::UnboundedReceiver<Input>) {
        let mut notices = self.notice_source.take().expect("run is called once");
        loop {
            let due = self.timers.first().map(|(at, _)| self.epoch + at.0);
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // All arms are cancel-safe: two receives and a deadline that is read anew.
                Some(input) = inputs.recv() => self.handle(input),
                Some(notice) = notices.recv() => self.handle(Input::Notice(notice)),
                () = timer => self.fire(),
            }
        }
    }

    fn now(&self) -> Time {
        Time(self.epoch.elapsed())
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Observe(reply) => {
                let _ = reply.send(self.observed());
            }
            Input::Read(look) => look(self),
            Input::Network(spec) => {
                self.networks.insert(spec.name.clone(), spec);
            }
            Input::NetworkGone(name) => {
                self.networks.remove(&name);
            }
            Input::Created { spec, created_ns } => {
                let id = spec.id.clone();
                // Made again after an interruption: what is known of it stays.
                self.containers.entry(id.clone()).or_insert_with(|| Entry::new(spec, created_ns));
                self.emit(&id, Action::Create);
            }
            Input::Start { id, reply } => match self.containers.get_mut(&id) {
                Some(entry) => {
                    entry.starting.push(reply);
                    entry.error.clear();
                    self.step(&id, lifecycle::Input::StartRequested);
                    self.settle(&id);
                }
                None => no_such(&id, reply),
            },
            Input::Stop { id, signal, grace, reply } => match self.containers.get_mut(&id) {
                Some(entry) => {
                    entry.ending.push(reply);
                    self.step(&id, lifecycle::Input::StopRequested { signal, grace });
                    self.settle(&id);
                }
                None => {
                    // Gone is stopped.
                    let _ = reply.send(Ok(()));
                }
            },
            Input::Kill { id, signal, reply } => self.kill(&id, signal, reply),
            Input::Remove { id, reply } => self.remove(&id, reply),
            Input::Await { wait, reply } => {
                self.waits.push((wait, reply));
                self.answer_waits();
            }
            Input::Subscribe { project, sink } => self.subscribers.push((project, sink)),
            Input::Launched { id, run, result } => self.launched(&id, run, result),
            Input::Probed { id, run, probe, began, code, output } => {
                if self.containers.get(&id).is_some_and(|e| e.run == run) {
                    self.step(&id, lifecycle::Input::ProbeEnded { probe, began, code, output });
                }
            }
            Input::Notice(notice) => self.notice(notice),
        }
    }

    /// Takes a container into the state as a new daemon found it; `inputs` are what happened
    /// to it while nobody was there.
    pub(super) fn take_over(&mut self, entry: Entry, inputs: Vec<lifecycle::Input>) {
        let id = entry.spec.id.clone();
        self.containers.insert(id.clone(), entry);
        for input in inputs {
            self.step(&id, input);
        }
        self.presence_of(&id);
    }

    /// Changes a container's durable record; a failure costs memory of the past, no more.
    fn record(&self, id: &ContainerId, change: impl FnOnce(&mut ContainerRecord)) {
        if let Err(error) = self.parts.engine.update_record(id, change) {
            tracing::warn!(%error, "a container's record could not be kept");
        }
    }

    fn record_exit(&self, id: &ContainerId, status: ExitStatus) {
        self.record(id, |record| record.exit = Some(status));
    }

    /// When times of probes begin, nanoseconds since 1970.
    pub(super) fn epoch_ns(&self) -> i64 {
        self.epoch_ns
    }

    /// The layers below.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Fires every timer that is due.
    fn fire(&mut self) {
        let now = self.now();
        while let Some((at, id)) = self.timers.first().cloned()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(entry) = self.containers.get_mut(&id) {
                entry.armed = None;
            }
            self.step(&id, lifecycle::Input::Timer);
        }
    }

    /// Steps a container's state machine and carries out what it asks for.
    pub(super) fn step(&mut self, id: &ContainerId, input: lifecycle::Input) {
        let now = self.now();
        let Some(entry) = self.containers.get_mut(id) else { return };
        let stopped = entry.replica.is_stopped_by_user();
        let commands = entry.replica.step(input, now);
        if !stopped && entry.replica.is_stopped_by_user() {
            self.record(id, |record| record.stopped_by_user = true);
        }
        for command in commands {
            self.carry_out(id, command);
        }
        if self.containers.get(id).is_some_and(|e| e.replica.is_at_rest()) {
            self.rest(id);
        }
        self.presence_of(id);
        self.answer_waits();
    }

    fn carry_out(&mut self, id: &ContainerId, command: Command) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        match command {
            Command::Start => self.launch(id),
            Command::Probe { probe, timeout } => self.probe(id, probe, timeout),
            Command::SetTimer(at) => {
                if let Some(armed) = entry.armed.replace(at) {
                    self.timers.remove(&(armed, id.clone()));
                }
                self.timers.insert((at, id.clone()));
            }
            Command::Signal(signal) => entry.signal(signal),
            Command::Kill => entry.signal(nix::libc::SIGKILL),
            Command::Report(report) => self.emit(id, action_of(report)),
        }
    }

    /// Begins a start on a task of its own.
    fn launch(&mut self, id: &ContainerId) {
        let namespace = self.namespace_of(id);
        let Some(entry) = self.containers.get_mut(id) else { return };
        entry.run += 1;
        entry.launching = true;
        let (run, spec, sandbox, closing) =
            (entry.run, Arc::clone(&entry.spec), entry.sandbox.clone(), entry.closing.take());
        let (parts, notices, inputs, id) = (self.parts.clone(), self.notices.clone(), self.inputs.clone(), id.clone());
        tokio::spawn(async move {
            let work = async {
                if let Some(closing) = closing {
                    let _ = closing.await;
                }
                let fresh = sandbox.is_none();
                let sandbox = match sandbox {
                    Some(sandbox) => sandbox,
                    None => {
                        let prepared = match namespace {
                            Ok(namespace) => launch::prepare(&parts, &spec, namespace, notices).await,
                            Err(error) => Err(error),
                        };
                        prepared.map_err(|error| (NOT_STARTED, error))?
                    }
                };
                match sandbox.shim.start().await {
                    Ok(started) => {
                        let (pid, started_ns, warnings) = (started.pid, started.time_ns, started.warnings);
                        Ok(Launched { sandbox, pid, started_ns, warnings })
                    }
                    Err(error) => {
                        let code = error.exit_code;
                        if fresh {
                            sandbox.shim.shutdown().await;
                        }
                        Err((code, launch::start_error(error)))
                    }
                }
            };
            let result = work.await;
            let _ = inputs.send(Input::Launched { id, run, result });
        });
    }

    /// Returns where the container's network namespace comes from.
    fn namespace_of(&self, id: &ContainerId) -> Result<Namespace, HostError> {
        let Some(entry) = self.containers.get(id) else { return Ok(Namespace::Host) };
        if entry.spec.host_network {
            return Ok(Namespace::Host);
        }
        if let Some(other) = &entry.spec.network_of {
            let netns = self.containers.get(other).and_then(|e| e.sandbox.as_ref()).and_then(|s| s.netns.clone());
            return netns.map(Namespace::Shared).ok_or_else(|| {
                HostError::new(format!("the container whose network it shares ({}) does not run", other.short()))
            });
        }
        let networks = entry.spec.endpoints.iter().map(|endpoint| {
            self.networks.get(&endpoint.network).cloned().ok_or_else(|| {
                HostError::new(format!("its network {} has gone", endpoint.network))
                    .hint("run `stack up` to make it again")
            })
        });
        networks.collect::<Result<_, _>>().map(Namespace::Own)
    }

    fn launched(&mut self, id: &ContainerId, run: u64, result: Result<Launched, (i32, HostError)>) {
        let Some(entry) = self.containers.get_mut(id).filter(|e| e.run == run) else { return };
        entry.launching = false;
        match result {
            Ok(launched) => {
                entry.failed = None;
                entry.pid = Some(launched.pid);
                entry.started_ns = Some(launched.started_ns);
                entry.sandbox = Some(launched.sandbox);
                let (started_ns, restarts) = (launched.started_ns, entry.replica.restarts());
                for warning in launched.warnings {
                    tracing::warn!(container = entry.spec.name, "{warning}");
                }
                self.record(id, |record| {
                    record.started_ns = Some(started_ns);
                    record.restarts = restarts;
                    record.stopped_by_user = false;
                });
                let Some(entry) = self.containers.get_mut(id) else { return };
                for reply in entry.starting.drain(..) {
                    let _ = reply.send(Ok(()));
                }
                self.step(id, lifecycle::Input::Started);
                let early = self.containers.get_mut(id).and_then(|entry| entry.early_exit.take());
                if let Some(status) = early {
                    self.notice(ShimNotice::Exited { id: id.clone(), status });
                }
            }
            Err((code, error)) => {
                let (why, hint) = error.into_parts();
                tracing::warn!(container = entry.spec.name, why, "start failed");
                entry.error.clone_from(&why);
                entry.failed = Some(code);
                for reply in entry.starting.drain(..) {
                    let error = HostError::new(why.clone());
                    let _ = reply.send(Err(match &hint {
                        Some(hint) => error.hint(hint.clone()),
                        None => error,
                    }));
                }
                self.step(id, lifecycle::Input::StartFailed { code });
            }
        }
        self.settle(id);
    }

    /// Runs the health check once, on a task of its own.
    fn probe(&mut self, id: &ContainerId, probe: u64, timeout: Duration) {
        let Some(entry) = self.containers.get(id) else { return };
        let (Some(sandbox), Some(check)) = (&entry.sandbox, entry.spec.healthcheck.clone()) else { return };
        let (shim, inputs, id, run) = (sandbox.shim.clone(), self.inputs.clone(), id.clone(), entry.run);
        let began = self.now();
        let request = Probe {
            argv: check.argv,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            max_output: PROBE_OUTPUT,
            ..Probe::default()
        };
        tokio::spawn(async move {
            let (code, output) = match shim.exec_wait(request).await {
                Ok(output) if output.timed_out => {
                    let why = format!("the check took longer than its timeout of {timeout:?}");
                    (-1, if output.output.is_empty() { why } else { format!("{why}: {}", output.output) })
                }
                Ok(output) => (output.exit_code, output.output),
                Err(error) => (-1, HostError::new(error).to_string()),
            };
            let _ = inputs.send(Input::Probed { id, run, probe, began, code, output });
        });
    }

    fn notice(&mut self, notice: ShimNotice) {
        match notice {
            ShimNotice::Exited { id, status } => {
                let Some(entry) = self.containers.get_mut(&id) else { return };
                if entry.launching {
                    // A short run: its end overtook the answer to its start.
                    entry.early_exit = Some(status);
                    return;
                }
                entry.pid = None;
                entry.finished_ns = Some(status.finished_ns);
                entry.last_exit = Some(status);
                self.record_exit(&id, status);
                self.step(&id, lifecycle::Input::Exited { code: status.code, oom: status.oom_killed });
                self.settle(&id);
            }
            ShimNotice::Gone { id } => {
                let Some(entry) = self.containers.get_mut(&id) else { return };
                if entry.sandbox.take().is_none() {
                    return;
                }
                tracing::warn!(container = entry.spec.name, "its shim has gone");
                let ran = entry.pid.take().is_some();
                self.parts.net.stop_dns(&id);
                self.parts.net.set_records(&id, None);
                self.parts.engine.kill_leftovers(&id);
                if ran {
                    let entry = self.containers.get_mut(&id).expect("looked up above");
                    let status = ExitStatus { code: 137, oom_killed: false, finished_ns: super::now_ns() };
                    entry.finished_ns = Some(status.finished_ns);
                    entry.last_exit = Some(status);
                    self.record_exit(&id, status);
                }
                self.step(&id, lifecycle::Input::ShimGone);
                self.settle(&id);
            }
        }
    }

    fn kill(&mut self, id: &ContainerId, signal: i32, reply: Reply) {
        let Some(entry) = self.containers.get_mut(id) else { return no_such(id, reply) };
        if entry.pid.is_none() {
            let why = format!("container {} is not running", entry.spec.name);
            let _ = reply.send(Err(HostError::new(why)));
            return;
        }
        if signal == nix::libc::SIGKILL {
            entry.ending.push(reply);
        } else {
            let _ = reply.send(Ok(()));
        }
        self.step(id, lifecycle::Input::KillRequested { signal });
    }

    /// Forgets a container that is at rest.
    fn remove(&mut self, id: &ContainerId, reply: Reply) {
        let Some(entry) = self.containers.get(id) else {
            let _ = reply.send(Ok(()));
            return;
        };
        if !entry.replica.is_at_rest() {
            let why = format!("container {} still runs", entry.spec.name);
            let _ = reply.send(Err(HostError::new(why).hint("stop it first, or use `rm -s`")));
            return;
        }
        self.rest(id);
        self.emit(id, Action::Destroy);
        let entry = self.containers.remove(id).expect("looked up above");
        self.timers.retain(|(_, of)| of != id);
        self.answer_waits();
        tokio::spawn(async move {
            if let Some(closing) = entry.closing {
                let _ = closing.await;
            }
            let _ = reply.send(Ok(()));
        });
    }

    /// Lets go of what a container needs only while it is up.
    fn rest(&mut self, id: &ContainerId) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        if let Some(sandbox) = entry.sandbox.take() {
            self.parts.net.stop_dns(id);
            self.parts.net.set_records(id, None);
            entry.closing = Some(tokio::spawn(async move { sandbox.shim.shutdown().await }));
        }
        self.timers.retain(|(_, of)| of != id);
    }

    /// Answers those who wait for the container to have ended or to run.
    fn settle(&mut self, id: &ContainerId) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        if entry.replica.is_at_rest() {
            for reply in entry.ending.drain(..) {
                let _ = reply.send(Ok(()));
            }
            for reply in entry.starting.drain(..) {
                let _ = reply.send(Err(HostError::new("it was stopped before it ran")));
            }
        } else if entry.pid.is_some() {
            for reply in entry.starting.drain(..) {
                let _ = reply.send(Ok(()));
            }
        }
    }

    /// Holds the daemon while the container is not at rest.
    fn presence_of(&mut self, id: &ContainerId) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        match (entry.replica.is_at_rest(), &entry.reason) {
            (true, Some(_)) => entry.reason = None,
            (false, None) => entry.reason = Some(self.presence.hold()),
            _ => {}
        }
    }

    /// Answers every wait whose condition holds, or cannot hold any more.
    fn answer_waits(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        let containers = &self.containers;
        let verdict = |wait: &Wait| {
            let phase = |id: &ContainerId| containers.get(id).map_or(condition::Phase::Gone, |e| e.replica.phase());
            let phases = wait.containers.iter().map(|(id, name)| (name.as_str(), phase(id)));
            condition::evaluate(&wait.service, wait.condition, phases)
        };
        let mut open = Vec::with_capacity(self.waits.len());
        for (wait, reply) in self.waits.drain(..) {
            match verdict(&wait) {
                _ if reply.is_closed() => {}
                Verdict::Pending => open.push((wait, reply)),
                Verdict::Met => drop(reply.send(Ok(()))),
                Verdict::Failed(why) => {
                    let error = HostError::new(why);
                    let hint =
                        wait.containers.iter().find_map(|(id, _)| containers.get(id)?.why_not_ready(&wait.service));
                    drop(reply.send(Err(match hint {
                        Some(hint) => error.hint(hint),
                        None => error,
                    })));
                }
            }
        }
        self.waits = open;
    }

    /// Tells subscribers and the log what happened.
    fn emit(&mut self, id: &ContainerId, action: Action) {
        let Some(entry) = self.containers.get(id) else { return };
        let spec = &entry.spec;
        tracing::info!(container = spec.name, ?action, "container");
        if self.subscribers.is_empty() {
            return;
        }
        let event = Event::Container {
            time_ns: super::now_ns(),
            project: ProjectName::new(label_of(spec, labels::PROJECT)),
            service: label_of(spec, labels::SERVICE).to_owned(),
            name: spec.name.clone(),
            id: id.clone(),
            action,
        };
        self.subscribers.retain(|(project, sink)| match project {
            Some(project) if project.as_str() != label_of(spec, labels::PROJECT) => !sink.is_closed(),
            _ => sink.send(event.clone()).is_ok(),
        });
    }

    fn observed(&self) -> Observed {
        let containers = self.containers.values().map(|entry| ObservedContainer {
            spec: ContainerSpec::clone(&entry.spec),
            state: entry.state(),
            health: entry.replica.health(),
        });
        Observed {
            containers: containers.collect(),
            networks: self.networks.values().map(|spec| ObservedNetwork { spec: spec.clone(), alive: false }).collect(),
            volumes: Vec::new(),
        }
    }
}

/// Exit status of a container whose shim or network could not be made, as `docker run` has it.
const NOT_STARTED: i32 = 125;
/// Bytes of a probe's output that are kept, as Docker keeps them.
const PROBE_OUTPUT: usize = 4096;

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
            failed: None,
            starting: Vec::new(),
            ending: Vec::new(),
            closing: None,
            armed: None,
            launching: false,
            early_exit: None,
            reason: None,
        }
    }

    /// Sends a signal to its process, or (SIGKILL) to all of its processes.
    fn signal(&self, signal: i32) {
        let Some(sandbox) = &self.sandbox else { return };
        let shim = sandbox.shim.clone();
        tokio::spawn(async move {
            if let Err(error) = shim.signal(signal).await {
                tracing::warn!(%error, signal, "signal not delivered");
            }
        });
    }

    /// Returns where to look when somebody waits for it in vain; `None` when it does well.
    fn why_not_ready(&self, service: &ServiceName) -> Option<String> {
        match self.replica.phase() {
            condition::Phase::Running { health: Some(Health::Unhealthy) } => {
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

    /// Returns what the planner sees.
    fn state(&self) -> ContainerState {
        match self.replica.word() {
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
            // What never ran has not ended: Docker calls it created, with the status of the attempt.
            state: match self.replica.word() {
                "exited" if self.failed.is_some() && self.started_ns.is_none() => "created",
                word => word,
            },
            pid: self.pid,
            started_ns: self.started_ns,
            finished_ns: self.finished_ns,
            exit_code: self.failed.or(self.last_exit.map(|e| e.code)).unwrap_or(0),
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
            bound: self.sandbox.as_ref().map_or(&[], |s| s.bound.as_slice()),
        }
    }
}

/// Returns the event that tells a report.
fn action_of(report: Report) -> Action {
    match report {
        Report::Started => Action::Start,
        Report::Died { code, oom, restart_in } => Action::Die {
            exit_code: code,
            oom,
            restart_in_ms: restart_in.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        },
        Report::Stopped => Action::Stop,
        Report::Health(health) => Action::Health { status: health.word().to_owned() },
    }
}

fn no_such(id: &ContainerId, reply: Reply) {
    let _ = reply.send(Err(HostError::new(format!("container {} has gone", id.short()))));
}

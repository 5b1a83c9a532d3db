//! The sole owner of what runs: one task turns inputs into steps of each container's
//! [`Replica`] and the commands that come out of them into effects, each on a task of its own
//! that reports back as an input.

mod starting;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};

use super::Parts;
use super::announce::Announcer;
use super::autopsy::Autopsy;
use super::container::{Entry, Reply};
use super::history::History;
use super::hold;
use super::launch::{self, Launched};
use super::mounts;
use super::presence::Presence;
use super::ready::Prober;
use crate::crash::{By, Card, Sent};
use crate::engine::{ExitStatus, Runs, ShimNotice};
use crate::event::{Action, Event};
use crate::host::HostError;
use crate::ids::{ContainerId, NetworkName, ProjectName};
use crate::lifecycle::condition::{self, Verdict};
use crate::lifecycle::ready::Rule;
use crate::lifecycle::{self, Command, Report, Time};
use crate::plan::{Observed, ObservedContainer, ObservedNetwork, Wait};
use crate::spec::{ContainerSpec, Goal, Health, NetworkSpec, Ready};

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
    Stop { id: ContainerId, signal: i32, grace: Duration, by: By, reply: Reply },
    /// Send it a signal.
    Kill { id: ContainerId, signal: i32, by: By, reply: Reply },
    /// Forget it; answers once its shim has gone.
    Remove { id: ContainerId, reply: Reply },
    /// Wait for a condition.
    Await { wait: Wait, reply: Reply },
    /// Send container events of a project, or of all.
    Subscribe { project: Option<ProjectName>, sink: mpsc::Sender<Event> },
    /// A start ended.
    Launched { id: ContainerId, run: u64, result: Result<Launched, (i32, HostError)> },
    /// A probe ended.
    Probed { id: ContainerId, run: u64, probe: u64, began: Time, code: i32, output: String },
    /// Its check fails: its policy may start it again.
    Ailing { id: ContainerId, run: u64 },
    /// It was found ready.
    Ready { id: ContainerId, run: u64, rule: Rule },
    /// A shim said something.
    Notice(ShimNotice),
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
    /// Containers whose restart waits for a dependency.
    pub held: Vec<ContainerId>,
    announcer: Announcer,
    /// Told when a container started or became healthy: others may have to follow.
    news: Arc<Notify>,
}

impl State {
    pub(super) fn new(parts: Parts, inputs: mpsc::UnboundedSender<Input>, presence: Presence) -> Self {
        let (notices, source) = mpsc::unbounded_channel();
        let history = History::open(&parts.paths.root);
        Self {
            announcer: Announcer::new(history),
            news: Arc::default(),
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
            held: Vec::new(),
        }
    }

    /// What is told when a container started or became healthy.
    pub(super) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Where tasks of this daemon report.
    pub(super) fn inputs(&self) -> mpsc::UnboundedSender<Input> {
        self.inputs.clone()
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

    pub(super) fn now(&self) -> Time {
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
                    // Who asks for it by name does not wait for others.
                    if let Some(at) = self.held.iter().position(|held| *held == id) {
                        self.held.remove(at);
                        self.launch(&id);
                    }
                }
                None => no_such(&id, reply),
            },
            Input::Stop { id, signal, grace, by, reply } => match self.containers.get_mut(&id) {
                Some(entry) => {
                    entry.trail.asked = Some(by);
                    entry.ending.push(reply);
                    self.step(&id, lifecycle::Input::StopRequested { signal, grace });
                }
                None => {
                    // Gone is stopped.
                    let _ = reply.send(Ok(()));
                }
            },
            Input::Kill { id, signal, by, reply } => self.kill(&id, signal, by, reply),
            Input::Remove { id, reply } => self.remove(&id, reply),
            Input::Await { wait, reply } => {
                if wait.goal == Goal::Ready {
                    let probers = wait.containers.iter().filter_map(|(id, _)| self.containers.get(id)?.prober.as_ref());
                    probers.for_each(Prober::hurry);
                }
                self.waits.push((wait, reply));
                self.answer_waits();
            }
            Input::Subscribe { project, sink } => self.announcer.subscribe(project, sink),
            Input::Launched { id, run, result } => self.launched(&id, run, result),
            Input::Probed { id, run, probe, began, code, output } => {
                if self.containers.get(&id).is_some_and(|e| e.run == run) {
                    self.step(&id, lifecycle::Input::ProbeEnded { probe, began, code, output });
                }
            }
            Input::Ailing { id, run } => self.ailing(&id, run),
            Input::Ready { id, run, rule } => {
                if let Some(entry) = self.containers.get_mut(&id).filter(|e| e.run == run) {
                    let began = entry.started_ns;
                    if matches!(rule, Rule::Given(Ready::Log(_))) && entry.said_ready_ns != began {
                        entry.said_ready_ns = began;
                        self.record(&id, |runs| runs.said_ready_ns = began);
                    }
                    self.step(&id, lifecycle::Input::Ready { rule });
                }
            }
            Input::Notice(notice) => self.notice(notice),
        }
    }

    /// Has a container whose check fails started again, where its policy does that.
    fn ailing(&mut self, id: &ContainerId, run: u64) {
        let Some(entry) = self.containers.get_mut(id).filter(|e| e.run == run && e.trail.asked.is_none()) else {
            return;
        };
        let cause = format!("its check failed {} times in a row", entry.replica.failing_streak());
        entry.trail.asked = Some(By::Engine { why: cause.clone() });
        let grace = entry.spec.stop_grace;
        self.step(id, lifecycle::Input::Ailing { grace });
        let Some(entry) = self.containers.get_mut(id) else { return };
        if entry.replica.is_ended_for_health() {
            self.emit(id, Action::Heal { cause, remedy: "restart".to_owned() });
        } else {
            entry.trail.asked = None;
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
    fn record(&self, id: &ContainerId, change: impl FnOnce(&mut Runs)) {
        if let Err(error) = self.parts.engine.update_runs(id, change) {
            tracing::warn!(%error, "a container's record could not be kept");
        }
    }

    fn record_exit(&self, id: &ContainerId, status: ExitStatus) {
        self.record(id, |runs| runs.exit = Some(status));
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
        let before = entry.replica.is_stopped_by_user();
        let asks = matches!(input, lifecycle::Input::StopRequested { .. });
        let commands = entry.replica.step(input, now);
        let stopped = entry.replica.is_stopped_by_user();
        // A stop of the engine's own is half of a restart: an engine that dies before the other half leaves it to
        // the policy.
        let half = stopped && matches!(entry.trail.asked, Some(By::Engine { .. }));
        if !half && (stopped != before || asks) {
            self.record(id, |runs| runs.stopped_by_user = stopped);
        }
        for command in commands {
            self.carry_out(id, command);
        }
        if stopped && let Some(at) = self.held.iter().position(|held| held == id) {
            // It was not started, and will not be.
            self.held.remove(at);
            let code = self.containers.get(id).and_then(|e| e.last_exit).map_or(0, |exit| exit.code);
            self.emit(id, Action::Stop);
            return self.step(id, lifecycle::Input::StartFailed { code });
        }
        if self.containers.get(id).is_some_and(|e| e.replica.is_at_rest()) {
            self.rest(id);
        }
        self.settle(id);
        self.presence_of(id);
        self.answer_waits();
        for id in hold::released(self) {
            self.launch(&id);
        }
    }

    fn carry_out(&mut self, id: &ContainerId, command: Command) {
        if command == Command::Start && hold::hold(self, id) {
            return;
        }
        let Some(entry) = self.containers.get_mut(id) else { return };
        match command {
            Command::Start => self.launch(id),
            Command::Probe { probe, timeout } => self.probe(id, probe, timeout),
            Command::WatchReady => self.look_for_readiness(id),
            Command::SetTimer(at) => {
                if let Some(armed) = entry.armed.replace(at) {
                    self.timers.remove(&(armed, id.clone()));
                }
                self.timers.insert((at, id.clone()));
            }
            Command::Signal(signal) => self.signal(id, signal),
            Command::Kill => self.signal(id, nix::libc::SIGKILL),
            Command::Report(report) => {
                if matches!(report, Report::Died { oom: true, .. }) {
                    self.emit(id, Action::Oom);
                }
                self.report(id, report);
            }
        }
    }

    /// Tells what a container's state machine reports; a death with its card.
    fn report(&mut self, id: &ContainerId, report: Report) {
        if let (Report::Health(Health::Unhealthy), Some(entry)) = (&report, self.containers.get(id)) {
            // Not at once: the state machine is in the middle of a step.
            let _ = self.inputs.send(Input::Ailing { id: id.clone(), run: entry.run });
        }
        if matches!(report, Report::Started | Report::Health(Health::Healthy)) {
            self.news.notify_one();
        }
        if report == Report::Started && !self.containers.get(id).is_none_or(|e| e.spec.mounts.is_empty()) {
            // What an earlier daemon did not see.
            mounts::look(self, id);
        }
        let Report::Died { code, oom, restart_in } = report else { return self.emit(id, action_of(report)) };
        let Some(autopsy) = Autopsy::begin(self, id, code, restart_in) else { return };
        let restart_in_ms = restart_in.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let die = move |card: Card| Action::Die { exit_code: code, oom, restart_in_ms, card: Some(Box::new(card)) };
        if !autopsy.is_of_crash() {
            let card = autopsy.card();
            return self.died(id, card.clone(), |state| state.emit(id, die(card)));
        }
        let Some(entry) = self.containers.get_mut(id) else { return };
        // What happens to it from now on is told after its death.
        let place = self.announcer.hold(&entry.spec);
        let (inputs, id) = (self.inputs.clone(), id.clone());
        entry.autopsy = Some(tokio::spawn(async move {
            let card = autopsy.read().await;
            let told = move |state: &mut Self| {
                state.died(&id, card.clone(), |state| state.announcer.tell(place, die(card)));
            };
            let _ = inputs.send(Input::Read(Box::new(told)));
        }));
    }

    /// Returns the containers of which something happened that is not told yet.
    pub(super) fn untold(&self) -> HashSet<ContainerId> {
        self.announcer.held()
    }

    /// Lets go of `reply` once all that happened by now is told.
    pub(super) fn when_told(&mut self, reply: oneshot::Sender<()>) {
        self.announcer.when_told(reply);
    }

    /// Remembers how a container died and tells it.
    fn died(&mut self, id: &ContainerId, card: Card, tell: impl FnOnce(&mut Self)) {
        if let Some(entry) = self.containers.get_mut(id) {
            entry.card = Some(card);
        }
        tell(self);
    }

    fn signal(&mut self, id: &ContainerId, signal: i32) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        let by = entry.trail.asked.clone().unwrap_or_else(|| By::Engine { why: String::new() });
        entry.trail.sent.push(Sent { signal, by });
        entry.signal(signal, self.notices.clone());
        self.emit(id, Action::Kill { signal });
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
            }
            ShimNotice::MountsChanged { id } => mounts::look(self, &id),
            ShimNotice::Gone { id } => {
                let Some(entry) = self.containers.get_mut(&id) else { return };
                if entry.sandbox.take().is_none() {
                    return;
                }
                tracing::warn!(container = entry.spec.name, "its shim has gone");
                let ran = entry.pid.take().is_some();
                entry.trail.shim_gone = true;
                launch::withdraw_names(&self.parts, &entry.spec);
                self.parts.engine.kill_leftovers(&id);
                if ran {
                    let entry = self.containers.get_mut(&id).expect("looked up above");
                    let status = ExitStatus {
                        code: 137,
                        oom_killed: false,
                        finished_ns: super::now_ns(),
                        ..ExitStatus::default()
                    };
                    entry.finished_ns = Some(status.finished_ns);
                    entry.last_exit = Some(status);
                    self.record_exit(&id, status);
                }
                self.step(&id, lifecycle::Input::ShimGone);
                self.step_in(&id);
            }
        }
    }

    fn kill(&mut self, id: &ContainerId, signal: i32, by: By, reply: Reply) {
        let Some(entry) = self.containers.get_mut(id) else { return no_such(id, reply) };
        if entry.replica.is_at_rest() {
            let why = format!("container {} is not running", entry.spec.name);
            let _ = reply.send(Err(HostError::new(why)));
            return;
        }
        entry.trail.asked = Some(by);
        // One that is about to be started again is kept from it.
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
        let Some(entry) = self.containers.remove(id) else { return };
        self.answer_waits();
        tokio::spawn(async move {
            if let Some(closing) = entry.closing {
                let _ = closing.await;
            }
            // It writes beside the container.
            if let Some(autopsy) = entry.autopsy {
                let _ = autopsy.await;
            }
            let _ = reply.send(Ok(()));
        });
    }

    /// Lets go of what a container needs only while it is up.
    fn rest(&mut self, id: &ContainerId) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        if let Some(at) = entry.armed.take() {
            self.timers.remove(&(at, id.clone()));
        }
        if let Some(sandbox) = entry.sandbox.take() {
            launch::withdraw_names(&self.parts, &entry.spec);
            entry.closing = Some(tokio::spawn(async move { sandbox.shim.shutdown().await }));
            self.step_in(id);
        }
    }

    /// Answers those who wait for the container to have ended or to run.
    fn settle(&mut self, id: &ContainerId) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        if entry.pid.is_none() {
            entry.prober = None;
        }
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
            condition::evaluate(&wait.service, wait.goal, phases)
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
    pub(super) fn emit(&mut self, id: &ContainerId, action: Action) {
        let Some(entry) = self.containers.get(id) else { return };
        self.announcer.announce(&entry.spec, action);
    }

    pub(super) fn observed(&self) -> Observed {
        let containers = self.containers.values().map(|entry| ObservedContainer {
            spec: ContainerSpec::clone(&entry.spec),
            state: entry.state(),
            health: entry.replica.health(),
            ready: entry.replica.readiness().is_some(),
        });
        Observed {
            containers: containers.collect(),
            networks: self.networks.values().map(|spec| ObservedNetwork { spec: spec.clone(), alive: false }).collect(),
            volumes: Vec::new(),
        }
    }
}

/// Returns the event that tells a report.
fn action_of(report: Report) -> Action {
    match report {
        Report::Started => Action::Start,
        Report::Died { code, oom, .. } => Action::Die { exit_code: code, oom, restart_in_ms: None, card: None },
        Report::Stopped => Action::Stop,
        Report::Health(health) => Action::Health { status: health.word().to_owned() },
        Report::Ready(rule) => Action::Ready { rule: rule.to_string() },
    }
}

fn no_such(id: &ContainerId, reply: Reply) {
    let _ = reply.send(Err(HostError::new(format!("container {} has gone", id.short()))));
}

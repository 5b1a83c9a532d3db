//! What the user asks for, from request to applied plan: one operation a project at a time.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinSet;

use super::container::label_of;
use super::http::Sink;
use super::intent::{Images, Intent, moved};
use super::machine::Machine;
use super::preflight::preflight;
use super::state::Input;
use super::timings::{Began, Outline};
use super::{Daemon, project_record, rollback};
use crate::api::{DownRequest, PullRequest, RollbackRequest, ServicesRequest, UpRequest};
use crate::apply::{self, DEFAULT_LIMIT, Lap};
use crate::compose::model::{Project, PullPolicy};
use crate::crash::By;
use crate::event::{Event, Failure, FailureKind, Resource, Status};
use crate::host::HostError;
use crate::ids::{ProjectName, ServiceName};
use crate::plan::review::review;
use crate::plan::{
    self, Action, Cause, Down, Observed, ObservedContainer, Op, Plan, Services, Step, StepId, Wait, labels,
};
use crate::spec::{Goal, VolumeSpec};

impl Daemon {
    /// Converges a project to its model.
    pub(super) async fn up(self: Arc<Self>, request: UpRequest, sink: Sink) -> Vec<Failure> {
        let Some(_turn) = self.turn(&request.project.name, &sink).await else { return Vec::new() };
        self.converge("up", &request, &request.project, &sink).await
    }

    /// Tells what [`Daemon::converge`] would do.
    pub(super) async fn tell_up(self: &Arc<Self>, request: &UpRequest, sink: &Sink) -> Vec<Failure> {
        match self.intend(request, Images::AtHand).await {
            Ok(intent) => tell(&intent.plan, sink),
            Err(failures) => failures,
        }
    }

    /// Carries a request out, for who has the turn; `kept` is the project as it is remembered.
    pub(super) async fn converge(
        self: &Arc<Self>,
        command: &str,
        request: &UpRequest,
        kept: &Project,
        sink: &Sink,
    ) -> Vec<Failure> {
        let began = Began::now();
        let Intent { plan, observed, planning, fetched, .. } = match self.intend(request, Images::Fetched(sink)).await {
            Ok(intent) => intent,
            Err(failures) => return failures,
        };
        if let Some(expected) = &request.expected
            && let Some(failure) = moved(expected, &review(&plan, &observed, &[]))
        {
            return vec![failure];
        }
        let failures = preflight(&request.project, &plan, &observed, &[]);
        if !failures.is_empty() {
            return failures;
        }
        let _reservation = self.reservations.reserve(&plan);
        drop(planning);
        if plan.errors.is_empty() {
            if let Err(error) = project_record::write(&self.parts.paths, kept) {
                return vec![failed("keep the project's definition", HostError::new(error))];
            }
            self.project_changed(kept);
        }
        let limit = request.wait_timeout.filter(|_| request.wait).map(Duration::from_secs);
        let revocable = rollback::revocable(&plan, &request.project);
        let refused = !plan.errors.is_empty();
        let outline = Outline::of(&plan, fetched);
        let deaths = self.tell_deaths(&kept.name, sink);
        let applied = Instant::now();
        let (mut failures, laps) = self.carry_out(user(command), plan, sink, Until::ClientGone(limit)).await;
        deaths.end(self).await;
        if command == "up" && !refused {
            self.keep_timings(&kept.name, outline, began, applied, &laps).await;
        }
        if failures.is_empty() {
            if request.start
                && !sink.is_closed()
                && let Err(error) = rollback::succeeded(&self.parts.paths, kept, &request.services)
            {
                tracing::warn!(%error, "the definition cannot be gone back to");
            }
        } else if !refused && !revocable.is_empty() {
            let services: Vec<_> =
                revocable.into_iter().filter(|name| failures.iter().any(|f| is_about(f, kept, name))).collect();
            if !services.is_empty() {
                let names: Vec<_> = services.iter().map(ToString::to_string).collect();
                let message = format!("the update fails and is taken back: {}", names.join(", "));
                let _ = sink.send(Event::Note { message });
                let back = RollbackRequest { services, timeout: request.timeout, dry_run: false };
                failures.extend(self.go_back(&kept.name, &back, sink).await);
            }
        }
        told_apart(request.wait, failures)
    }

    /// Stops and removes a project, or some of its services.
    pub(super) async fn down(self: Arc<Self>, name: ProjectName, request: DownRequest, sink: Sink) -> Vec<Failure> {
        if request.services.is_empty() && !request.dry_run {
            // First: whoever watches takes turns, too.
            self.end_watch(&name).await;
        }
        let Some(_turn) = self.turn(&name, &sink).await else { return Vec::new() };
        let observed = self.observe().await;
        let project = request.rmi.as_ref().and_then(|_| project_record::read(&self.parts.paths, &name));
        let plan = plan::plan_down(
            &Down {
                project: &name,
                services: &request.services,
                known: request.known.as_deref(),
                remove_orphans: request.remove_orphans,
                volumes: request.volumes,
                timeout: request.timeout.map(Duration::from_secs),
            },
            &observed,
        );
        if request.dry_run {
            return tell(&plan, &sink);
        }
        let whole = request.services.is_empty();
        let mut failures = self.apply(user("down"), plan, &sink, Until::Done).await;
        let remains = |c: &ObservedContainer| label_of(&c.spec, labels::PROJECT) == name.as_str();
        if whole
            && failures.is_empty()
            && !self.observe().await.containers.iter().any(remains)
            && let Err(error) = project_record::remove(&self.parts.paths, &name)
                .and_then(|()| rollback::forget(&self.parts.paths, &name))
        {
            failures.push(failed("forget the project's definition", HostError::new(error)));
        }
        if let (Some(which), Some(project)) = (&request.rmi, &project)
            && failures.is_empty()
        {
            failures.extend(self.remove_project_images(project, which, &sink).await);
        }
        failures
    }

    /// Starts, stops, restarts, kills or removes containers that exist.
    pub(super) async fn services(
        self: Arc<Self>,
        name: ProjectName,
        action: Action,
        request: ServicesRequest,
        sink: Sink,
    ) -> Vec<Failure> {
        // Whoever kills does not want to wait for a stop, or an `up`, that goes on.
        let _turn = match action {
            Action::Kill => None,
            _ => match self.turn(&name, &sink).await {
                Some(turn) => Some(turn),
                None => return Vec::new(),
            },
        };
        let observed = self.observe().await;
        let plan = plan::plan_services(
            action,
            &Services {
                project: &name,
                services: &request.services,
                timeout: request.timeout.map(Duration::from_secs),
                signal: request.signal,
                stop: request.stop,
                volumes: request.volumes,
                no_deps: request.no_deps,
                wait: request.wait,
            },
            &observed,
        );
        if request.dry_run {
            return tell(&plan, &sink);
        }
        let limit = request.wait_timeout.filter(|_| request.wait).map(Duration::from_secs);
        let until = match action {
            Action::Start => Until::ClientGone(limit),
            Action::Restart => Until::Limit(limit),
            _ => Until::Done,
        };
        let command = match action {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
            Action::Kill => "kill",
            Action::Remove => "rm",
        };
        told_apart(request.wait, self.apply(user(command), plan, &sink, until).await)
    }

    /// Fetches images side by side.
    pub(super) async fn pull(self: Arc<Self>, request: PullRequest, sink: Sink) -> Vec<Failure> {
        let policy = if request.missing_only { PullPolicy::Missing } else { PullPolicy::Always };
        let wanted = request.references.into_iter().collect::<BTreeSet<_>>();
        let pulls: JoinSet<_> = wanted
            .into_iter()
            .map(|reference| Arc::clone(&self).provide_image(reference, policy, sink.clone()))
            .collect();
        pulls.join_all().await.into_iter().filter_map(|(_, result)| result.err()).collect()
    }

    /// Returns once it is this operation's turn; says whom it waits for. `None` when the client
    /// went away while it waited: what it asked for is no longer wanted.
    pub(super) async fn turn(&self, name: &ProjectName, sink: &Sink) -> Option<OwnedMutexGuard<()>> {
        let lock = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(turns.entry(name.clone()).or_default())
        };
        if let Ok(guard) = Arc::clone(&lock).try_lock_owned() {
            return Some(guard);
        }
        let message = format!("waiting for another command on project {name}");
        let _ = sink.send(Event::Note { message });
        tokio::select! {
            // Cancel-safe: the place in the queue is given up with the client.
            guard = lock.lock_owned() => Some(guard),
            () = sink.closed() => None,
        }
    }

    /// Executes a plan that somebody asked for; returns what failed.
    pub(super) async fn apply(self: &Arc<Self>, by: By, plan: Plan, sink: &Sink, until: Until) -> Vec<Failure> {
        self.carry_out(by, plan, sink, until).await.0
    }

    /// Executes a plan that somebody asked for; returns what failed, and when each step was carried out.
    async fn carry_out(
        self: &Arc<Self>,
        by: By,
        plan: Plan,
        sink: &Sink,
        until: Until,
    ) -> (Vec<Failure>, Vec<Option<Lap>>) {
        for note in &plan.notes {
            let _ = sink.send(Event::Note { message: note.to_string() });
        }
        if !plan.errors.is_empty() {
            return (refusals(&plan), Vec::new());
        }
        if !plan.steps.is_empty() {
            tracing::info!(steps = plan.steps.len(), "applying\n{plan}");
        }
        let (stop, cancelled) = watch::channel(false);
        let (leaves, limit) = match until {
            Until::Done => (false, None),
            Until::Limit(limit) => (false, limit),
            Until::ClientGone(limit) => (true, limit),
        };
        let watcher = {
            let sink = sink.clone();
            tokio::spawn(async move {
                tokio::select! {
                    // Both arms wait for a level.
                    () = sink.closed(), if leaves => {}
                    () = tokio::time::sleep(limit.unwrap_or_default()), if limit.is_some() => {}
                    else => std::future::pending().await,
                }
                let _ = stop.send(true);
            })
        };
        let host = Arc::new(Machine(Arc::clone(self), by));
        let events = {
            let sink = sink.clone();
            move |event| {
                let _ = sink.send(event);
            }
        };
        let waits = waits(&plan);
        let mut outcome = apply::apply(plan, &host, DEFAULT_LIMIT, cancelled, events).await;
        watcher.abort();
        if let (true, Some(limit)) = (outcome.cancelled && !sink.is_closed(), limit) {
            let left: BTreeSet<_> = outcome.skipped.iter().filter(|s| s.because.is_none()).map(|s| s.step).collect();
            let unmet: Vec<&str> =
                waits.iter().filter(|(step, _)| left.contains(step)).map(|(_, what)| what.as_str()).collect();
            let mut why = format!("not ready after {} s", limit.as_secs());
            if !unmet.is_empty() {
                why += &format!(": {}", unmet.join("; "));
            }
            outcome.failures.push(Failure {
                hint: Some("`stack ps` and `stack logs` show what they do".to_owned()),
                kind: FailureKind::TimeOut,
                ..failure("wait for the services", why)
            });
        }
        (outcome.failures, outcome.laps)
    }

    /// `down --rmi`.
    async fn remove_project_images(&self, project: &Project, which: &str, sink: &Sink) -> Vec<Failure> {
        if which == "local" {
            // Images of `build` without a name: none exist before building is in force.
            return Vec::new();
        }
        let references: BTreeSet<_> = project.services.values().filter_map(|s| s.image.as_deref()).collect();
        let mut failures = Vec::new();
        for reference in references {
            match self.remove_image(reference).await {
                Ok(_) => progress(sink, Resource::Image(reference.to_owned()), Status::Removed, ""),
                Err(error) => failures.push(Failure {
                    hint: error.hint,
                    ..failure(&format!("remove image {reference:?}"), error.message)
                }),
            }
        }
        failures
    }

    /// Returns everything as it is now.
    pub(super) async fn observe(&self) -> Observed {
        let mut observed: Observed = self.ask(Input::Observe).await;
        let volume = |info: crate::volume::VolumeInfo| VolumeSpec {
            name: info.name,
            labels: info.labels,
            external: false,
            device: info.device,
        };
        observed.volumes = self.parts.volumes.list().into_iter().map(volume).collect();
        let standing = self.parts.net.observe().await.unwrap_or_default().bridges;
        let standing: BTreeSet<&str> = standing.iter().map(|bridge| bridge.name.as_str()).collect();
        for network in &mut observed.networks {
            network.alive = standing.contains(network.spec.bridge.as_str());
        }
        observed
    }

    /// Returns once the condition holds for all containers, or cannot hold any more.
    pub(crate) async fn await_condition(&self, wait: &Wait) -> Result<(), HostError> {
        let wait = wait.clone();
        self.request(|reply| Input::Await { wait, reply }).await
    }
}

/// How long a plan's steps go on to begin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// To its end, whatever becomes of the client.
    Done,
    /// Until its waits took too long.
    Limit(Option<Duration>),
    /// Until then or until the client has gone.
    ClientGone(Option<Duration>),
}

/// Returns a user with this command.
fn user(command: &str) -> By {
    By::User { command: command.to_owned() }
}

/// Tells whether a failure is one of a service's update: of a container of it, or of the watch over them.
fn is_about(failure: &Failure, project: &Project, service: &ServiceName) -> bool {
    let doing = failure.doing.as_str();
    doing == format!("update service {:?}", service.as_str())
        || doing.contains(&format!("container \"{}-{service}-", project.name))
}

/// Returns failures as a command that waits tells them apart, or as any other command does not.
fn told_apart(wait: bool, mut failures: Vec<Failure>) -> Vec<Failure> {
    if !wait {
        failures.iter_mut().for_each(|failure| failure.kind = FailureKind::Other);
    }
    failures
}

/// Returns who waits for what in a plan: `web waits for db to be healthy`.
fn waits(plan: &Plan) -> Vec<(StepId, String)> {
    let words = |step: &Step| {
        let wait = match &step.op {
            Op::AwaitCondition(wait) => wait,
            Op::WatchReplicas(batch) => return Some(format!("the update of {} goes on", batch.service)),
            _ => return None,
        };
        let (others, own) = match wait.goal {
            Goal::Started => ("to start", "does not run"),
            Goal::Healthy => ("to be healthy", "is not healthy"),
            Goal::Completed => ("to end", "has not ended"),
            Goal::Ready => ("to be ready", "is not ready"),
        };
        Some(match &step.cause {
            Cause::NeededBy(by) => format!("{by} waits for {} {others}", wait.service),
            _ => format!("{} {own}", wait.service),
        })
    };
    plan.steps.iter().filter_map(|step| Some((step.id, words(step)?))).collect()
}

/// Tells what a plan would do, for a dry run; returns why it cannot be applied.
fn tell(plan: &Plan, sink: &Sink) -> Vec<Failure> {
    if plan.errors.is_empty() {
        let text = if plan.steps.is_empty() { format!("nothing to do\n{plan}") } else { plan.to_string() };
        for line in text.lines() {
            let _ = sink.send(Event::Note { message: line.to_owned() });
        }
    }
    refusals(plan)
}

/// Returns why a plan cannot be applied.
pub(super) fn refusals(plan: &Plan) -> Vec<Failure> {
    let with_hint = |e: &plan::PlanError| Failure { hint: e.hint(), ..failure("", e.to_string()) };
    plan.errors.iter().map(with_hint).collect()
}

pub(super) fn progress(sink: &Sink, resource: Resource, status: Status, detail: &str) {
    let _ = sink.send(Event::Progress { resource, status, detail: detail.to_owned() });
}

pub(super) fn failure(doing: &str, why: String) -> Failure {
    Failure { doing: doing.to_owned(), why, hint: None, kind: FailureKind::Other }
}

pub(super) fn failed(doing: &str, error: HostError) -> Failure {
    let (why, hint) = error.into_parts();
    Failure { doing: doing.to_owned(), why, hint, kind: FailureKind::Other }
}

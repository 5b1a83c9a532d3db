//! What the user asks for, from request to applied plan: one operation a project at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinSet;

use super::container::label_of;
use super::http::Sink;
use super::machine::Machine;
use super::state::Input;
use super::{Daemon, project_record};
use crate::api::{DownRequest, PullRequest, ServicesRequest, UpRequest};
use crate::apply::{self, DEFAULT_LIMIT};
use crate::compose::model::{Project, PullPolicy};
use crate::event::{Event, Failure, Resource, Status};
use crate::host::HostError;
use crate::ids::{ProjectName, ServiceName};
use crate::image::{Image, ImageError, PullPhase, PullProgress};
use crate::plan::{
    self, Action, Down, HostFacts, ImageInfo, Inputs, Observed, ObservedContainer, Plan, Services, Wait, labels,
};
use crate::spec::VolumeSpec;

impl Daemon {
    /// Converges a project to its model.
    pub(super) async fn up(self: Arc<Self>, request: UpRequest, sink: Sink) -> Vec<Failure> {
        let Some(_turn) = self.turn(&request.project.name, &sink).await else { return Vec::new() };
        let project = &request.project;
        let graph = match crate::graph::Graph::build(project, &Default::default()) {
            Ok(graph) => graph,
            Err(problems) => return problems.into_iter().map(|p| failure("resolve the project", p.message)).collect(),
        };
        let selected: BTreeSet<ServiceName> = if request.services.is_empty() {
            project.services.keys().cloned().collect()
        } else if request.no_deps {
            request.services.iter().cloned().collect()
        } else {
            graph.dependencies_closure(&request.services).into_iter().collect()
        };
        let pull = if request.dry_run { Some(PullPolicy::Never) } else { request.pull };
        let images = match self.provide_images(project, &selected, pull, &sink).await {
            Ok(images) => images,
            Err(failures) if request.dry_run => {
                let here = "it is not here, and a dry run fetches nothing".to_owned();
                return failures.into_iter().map(|failure| Failure { why: here.clone(), ..failure }).collect();
            }
            Err(failures) => return failures,
        };
        let planning = self.reservations.planning().await;
        let facts = match self.facts(wants_host(project) && !request.dry_run).await {
            Ok(facts) => facts,
            Err(error) => return vec![failed("read the host's routes", error)],
        };
        let mut observed = self.observe().await;
        self.reservations.add_to(&mut observed);
        let plan = plan::plan_up(
            &Inputs {
                project,
                images: &images,
                services: &request.services,
                scale: &request.scale,
                no_deps: request.no_deps,
                recreate: request.recreate,
                remove_orphans: request.remove_orphans,
                ignore_orphans: request.ignore_orphans,
                renew_anon_volumes: request.renew_anon_volumes,
                start: request.start,
                wait: request.wait,
                timeout: request.timeout.map(Duration::from_secs),
                seed: self.seed(),
                host: &facts,
            },
            &observed,
        );
        if request.dry_run {
            return tell(&plan, &sink);
        }
        let _reservation = self.reservations.reserve(&plan);
        drop(planning);
        if plan.errors.is_empty()
            && let Err(error) = project_record::write(&self.parts.paths, project)
        {
            return vec![failed("keep the project's definition", HostError::new(error))];
        }
        let limit = request.wait_timeout.filter(|_| request.wait).map(Duration::from_secs);
        self.apply(plan, &sink, Until::ClientGone(limit)).await
    }

    /// Stops and removes a project, or some of its services.
    pub(super) async fn down(self: Arc<Self>, name: ProjectName, request: DownRequest, sink: Sink) -> Vec<Failure> {
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
        let mut failures = self.apply(plan, &sink, Until::Done).await;
        let remains = |c: &ObservedContainer| label_of(&c.spec, labels::PROJECT) == name.as_str();
        if whole
            && failures.is_empty()
            && !self.observe().await.containers.iter().any(remains)
            && let Err(error) = project_record::remove(&self.parts.paths, &name)
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
        self.apply(plan, &sink, until).await
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
    async fn turn(&self, name: &ProjectName, sink: &Sink) -> Option<OwnedMutexGuard<()>> {
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

    /// Executes a plan.
    async fn apply(self: &Arc<Self>, plan: Plan, sink: &Sink, until: Until) -> Vec<Failure> {
        for note in &plan.notes {
            let _ = sink.send(Event::Note { message: note.to_string() });
        }
        if !plan.errors.is_empty() {
            return refusals(&plan);
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
        let host = Arc::new(Machine(Arc::clone(self)));
        let events = {
            let sink = sink.clone();
            move |event| {
                let _ = sink.send(event);
            }
        };
        let mut outcome = apply::apply(plan, &host, DEFAULT_LIMIT, cancelled, events).await;
        watcher.abort();
        if let (true, Some(limit)) = (outcome.cancelled && !sink.is_closed(), limit) {
            outcome.failures.push(Failure {
                hint: Some("`stack ps` and `stack logs` show what they do".to_owned()),
                ..failure("wait for the services", format!("not ready after {} s", limit.as_secs()))
            });
        }
        outcome.failures
    }

    /// Returns the images of the selected services, fetched where the policy says so.
    async fn provide_images(
        self: &Arc<Self>,
        project: &Project,
        selected: &BTreeSet<ServiceName>,
        policy: Option<PullPolicy>,
        sink: &Sink,
    ) -> Result<BTreeMap<String, ImageInfo>, Vec<Failure>> {
        let mut wanted: BTreeMap<&str, PullPolicy> = BTreeMap::new();
        for (name, service) in &project.services {
            let (Some(image), true) = (&service.image, selected.contains(name)) else { continue };
            let policy = policy.unwrap_or(service.pull_policy);
            let entry = wanted.entry(image).or_insert(policy);
            if policy == PullPolicy::Always {
                *entry = policy;
            }
        }
        let provided: JoinSet<_> = wanted
            .into_iter()
            .map(|(reference, policy)| Arc::clone(self).provide_image(reference.to_owned(), policy, sink.clone()))
            .collect();
        let mut images = BTreeMap::new();
        let mut failures = Vec::new();
        for (reference, result) in provided.join_all().await {
            match result {
                Ok(info) => {
                    images.insert(reference, info);
                }
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() { Ok(images) } else { Err(failures) }
    }

    /// Returns an image by the name it was asked for, fetched where the policy says so.
    async fn provide_image(
        self: Arc<Self>,
        reference: String,
        policy: PullPolicy,
        sink: Sink,
    ) -> (String, Result<ImageInfo, Failure>) {
        let result = self.image_for(&reference, policy, &sink).await;
        (reference, result)
    }

    async fn image_for(&self, reference: &str, policy: PullPolicy, sink: &Sink) -> Result<ImageInfo, Failure> {
        let doing = || format!("provide image {reference:?}");
        let refused = |error: HostError| {
            let failure = failed(&doing(), error);
            progress(sink, Resource::Image(reference.to_owned()), Status::Error, &failure.why);
            failure
        };
        let local = self.parts.images.get(reference).map_err(|error| refused(image_error(error)))?;
        let image = match (local, policy) {
            (Some(image), PullPolicy::Missing | PullPolicy::Never) => image,
            (None, PullPolicy::Never) => {
                return Err(Failure {
                    hint: Some(format!("stack image pull {reference}")),
                    ..failure(&doing(), "it is not here and its pull_policy is never".to_owned())
                });
            }
            (_, PullPolicy::Always | PullPolicy::Missing) => {
                let resource = Resource::Image(reference.to_owned());
                progress(sink, resource.clone(), Status::Pulling, "");
                let image = self.fetch(reference, resource.clone(), sink).await.map_err(refused)?;
                progress(sink, resource, Status::Pulled, "");
                image
            }
        };
        Ok(ImageInfo { id: image.id, layers: image.layers, config: image.config })
    }

    /// Fetches an image, on a thread that unpacking may keep busy.
    async fn fetch(&self, reference: &str, resource: Resource, sink: &Sink) -> Result<Image, HostError> {
        let (images, reference, sink) = (self.parts.images.clone(), reference.to_owned(), sink.clone());
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let client = sink.clone();
            let report = move |p: PullProgress| progress(&sink, resource.clone(), Status::Pulling, &pull_detail(&p));
            runtime.block_on(async {
                tokio::select! {
                    // Cut off, it can be done again: what has arrived is kept or swept.
                    pulled = images.pull(&reference, &report) => pulled.map(Some),
                    () = client.closed() => Ok(None),
                }
            })
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(Some(image))) => Ok(image),
            Ok(Ok(None)) => Err(HostError::new("the client has gone")),
            Ok(Err(error)) => Err(image_error(error)),
            Err(died) => Err(HostError::new(died)),
        }
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

    /// Returns what the planner must know of the host.
    async fn facts(&self, wants_host: bool) -> Result<HostFacts, HostError> {
        if wants_host {
            // The address is chosen with the uplink, which the first network would make.
            self.parts.net.ensure_way_out().await.map_err(HostError::new)?;
        }
        let used_subnets = self.parts.net.used_subnets().await.map_err(HostError::new)?;
        Ok(HostFacts {
            used_subnets,
            pool: plan::default_pool(),
            host_gateway: self.parts.net.host_address().map(Into::into),
        })
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

    /// Returns a number that makes this plan's ids differ from those of all others.
    fn seed(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64
    }
}

/// How long a plan's steps go on to begin.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// To its end, whatever becomes of the client.
    Done,
    /// Until its waits took too long.
    Limit(Option<Duration>),
    /// Until then or until the client has gone.
    ClientGone(Option<Duration>),
}

/// Tells whether a service names the host.
fn wants_host(project: &Project) -> bool {
    project.services.values().any(|service| service.extra_hosts.iter().any(|(_, to)| to.is_none()))
}

/// Returns an image's error with its advice.
fn image_error(error: ImageError) -> HostError {
    let hint = error.hint();
    let error = HostError::new(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
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
fn refusals(plan: &Plan) -> Vec<Failure> {
    let with_hint = |e: &plan::PlanError| Failure { hint: e.hint(), ..failure("", e.to_string()) };
    plan.errors.iter().map(with_hint).collect()
}

/// Returns `a1b2c3 12.5MB/40MB`, what a layer's progress line ends with.
fn pull_detail(progress: &PullProgress) -> String {
    let megabytes = |bytes: u64| format!("{:.1}MB", bytes as f64 / 1e6);
    match (progress.phase, progress.total) {
        (PullPhase::Downloading, Some(total)) => {
            format!("{} {}/{}", progress.layer, megabytes(progress.downloaded), megabytes(total))
        }
        (PullPhase::Downloading, None) => format!("{} {}", progress.layer, megabytes(progress.downloaded)),
        (PullPhase::Unpacking, _) => format!("{} unpacking", progress.layer),
        (PullPhase::Resolving, _) => "resolving".to_owned(),
        (PullPhase::Exists | PullPhase::Done, _) => String::new(),
    }
}

pub(super) fn progress(sink: &Sink, resource: Resource, status: Status, detail: &str) {
    let _ = sink.send(Event::Progress { resource, status, detail: detail.to_owned() });
}

pub(super) fn failure(doing: &str, why: String) -> Failure {
    Failure { doing: doing.to_owned(), why, hint: None }
}

pub(super) fn failed(doing: &str, error: HostError) -> Failure {
    let (why, hint) = error.into_parts();
    Failure { doing: doing.to_owned(), why, hint }
}

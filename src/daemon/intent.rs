//! What `up` is going to do, before it does it: for `up` itself and for who only asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, mpsc};

use super::Daemon;
use super::http::Sink;
use super::operations::{failed, failure, refusals};
use super::preflight::preflight;
use super::provide::Fetched;
use crate::api::{PlanAnswer, ResolveRequest, UpRequest};
use crate::compose::model::Project;
use crate::event::Failure;
use crate::host::HostError;
use crate::ids::ServiceName;
use crate::plan::review::{Review, review};
use crate::plan::{self, HostFacts, Inputs, Observed, Plan};

/// A plan, and the world it was made for.
pub(super) struct Intent {
    pub(super) plan: Plan,
    pub(super) observed: Observed,
    /// References of images that are to be fetched first.
    pub(super) pulls: Vec<String>,
    /// When images were fetched.
    pub(super) fetched: Vec<Fetched>,
    /// Nobody else plans as long as it is held.
    pub(super) planning: OwnedMutexGuard<()>,
}

/// What becomes of images that are not here.
#[derive(Clone, Copy)]
pub(super) enum Images<'a> {
    /// They are fetched, as the policy says, and the client hears of it.
    Fetched(&'a Sink),
    /// Nothing: who only asks what would be done changes nothing.
    AtHand,
}

impl Daemon {
    /// Plans what a request asks for.
    pub(super) async fn intend(
        self: &Arc<Self>,
        request: &UpRequest,
        images: Images<'_>,
    ) -> Result<Intent, Vec<Failure>> {
        let project = &request.project;
        let selected = selected(request)?;
        let (images, pulls, fetched, makes) = match images {
            Images::Fetched(sink) => {
                let (images, fetched) = self.provide_images(project, &selected, request.pull, sink).await?;
                (images, Vec::new(), fetched, true)
            }
            Images::AtHand => {
                let found = self.images_at_hand(project, &selected, request.pull)?;
                (found.images, found.pulls, Vec::new(), false)
            }
        };
        let planning = self.reservations.planning().await;
        let facts = self.facts(makes && wants_host(project)).await;
        let facts = facts.map_err(|error| vec![failed("read the host's routes", error)])?;
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
                remove_orphans: request.remove_orphans || self.is_edited(request),
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
        Ok(Intent { plan, observed, pulls, fetched, planning })
    }

    /// Tells what a request would do; changes nothing.
    pub(super) async fn review(self: Arc<Self>, request: UpRequest) -> PlanAnswer {
        // While another command works on the project, what is there is neither old nor new.
        let (sink, _client) = mpsc::unbounded_channel();
        let _turn = self.turn(&request.project.name, &sink).await;
        match self.intend(&request, Images::AtHand).await {
            Ok(Intent { plan, observed, pulls, .. }) if plan.errors.is_empty() => {
                // Registries are asked, nothing is fetched.
                let (notes, _) = mpsc::unbounded_channel();
                let asked = ResolveRequest { references: pulls.clone() };
                let mut errors = Arc::clone(&self).resolve(asked, notes).await;
                errors.extend(preflight(&request.project, &plan, &observed, &pulls));
                let review = errors.is_empty().then(|| review(&plan, &observed, &pulls));
                PlanAnswer { review, errors }
            }
            Ok(intent) => PlanAnswer { review: None, errors: refusals(&intent.plan) },
            Err(errors) => PlanAnswer { review: None, errors },
        }
    }

    /// Tells whether the project was read again from the files that it was made from.
    fn is_edited(&self, request: &UpRequest) -> bool {
        let project = &request.project;
        let kept = || super::project_record::read(&self.parts.paths, &project.name);
        request.edited && kept().is_some_and(|kept| kept.files == project.files)
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

    /// Returns a number that makes this plan's ids differ from those of all others.
    fn seed(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64
    }
}

/// Returns the services that take part.
fn selected(request: &UpRequest) -> Result<BTreeSet<ServiceName>, Vec<Failure>> {
    let project = &request.project;
    let graph = crate::graph::Graph::build(project, &Default::default()).map_err(|problems| {
        problems.into_iter().map(|problem| failure("resolve the project", problem.message)).collect::<Vec<_>>()
    })?;
    Ok(match (request.services.is_empty(), request.no_deps) {
        (true, _) => project.services.keys().cloned().collect(),
        (false, true) => request.services.iter().cloned().collect(),
        (false, false) => graph.dependencies_closure(&request.services).into_iter().collect(),
    })
}

/// Returns why a plan that was looked at is not carried out: the world is not the one that it
/// was made for.
pub(super) fn moved(expected: &Review, now: &Review) -> Option<Failure> {
    let moved = expected.moved(now);
    if moved.is_empty() {
        return None;
    }
    let names: BTreeMap<&str, ()> = moved.into_iter().map(|(_, name)| (name, ())).collect();
    let names: Vec<&str> = names.into_keys().collect();
    Some(Failure {
        hint: Some("look at the plan again: stack plan --out FILE".to_owned()),
        ..failure("carry out the plan", format!("what is there has changed since it was made: {}", names.join(", ")))
    })
}

/// Tells whether a service names the host.
fn wants_host(project: &Project) -> bool {
    project.services.values().any(|service| service.extra_hosts.iter().any(|(_, to)| to.is_none()))
}

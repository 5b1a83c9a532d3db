//! `down`, `start`, `stop`, `restart`, `kill` and `rm`: they work on what is there, from its
//! labels, so the file need not exist any more (spec row `life-down-scope`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::build::{Builder, Draft};
use super::labels::{self, Edge};
use super::reconcile::anonymous_volumes;
use super::{Cause, ContainerState, Health, Note, Observed, ObservedContainer, Op, Plan, PlanError, Wait, networks};
use crate::compose::model::Condition;
use crate::ids::{ContainerId, ProjectName, ServiceName, VolumeName};
use crate::spec::{Goal, Ready};

const SIGKILL: i32 = 9;

/// What `down` removes.
#[derive(Debug, Clone)]
pub struct Down<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// Only these services, and then no network or volume; empty is all.
    pub services: &'a [ServiceName],
    /// Services the file knows, all others are orphans; `None`: no file, all go.
    pub known: Option<&'a [ServiceName]>,
    /// Remove orphans too.
    pub remove_orphans: bool,
    /// Remove named volumes that the project made, and anonymous ones.
    pub volumes: bool,
    /// Overrides each container's grace.
    pub timeout: Option<Duration>,
}

/// What is done with services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start containers that do not run.
    Start,
    /// Stop containers, dependents first.
    Stop,
    /// Stop and start again; dependents with `restart: true` follow.
    Restart,
    /// Send a signal.
    Kill,
    /// Remove containers that do not run.
    Remove,
}

/// What `start`, `stop`, `restart`, `kill` and `rm` act on.
#[derive(Debug, Clone)]
pub struct Services<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// Only these services; empty is all.
    pub services: &'a [ServiceName],
    /// Overrides each container's grace.
    pub timeout: Option<Duration>,
    /// Signal for [`Action::Kill`]; SIGKILL when absent.
    pub signal: Option<i32>,
    /// [`Action::Remove`] stops containers first.
    pub stop: bool,
    /// [`Action::Remove`] removes anonymous volumes too.
    pub volumes: bool,
    /// [`Action::Restart`]: dependents do not follow.
    pub no_deps: bool,
    /// End only when all that was started runs or is healthy.
    pub wait: bool,
}

/// Returns the steps that remove a project, or some services of it.
pub fn plan_down(down: &Down<'_>, observed: &Observed) -> Plan {
    let cause = Cause::Requested("down");
    let mut plan = Plan::default();
    let project: Vec<_> = observed.containers.iter().filter(|c| c.is_of(down.project)).collect();
    let known: Option<HashSet<&str>> = down.known.map(|known| known.iter().map(ServiceName::as_str).collect());
    let goes = |container: &ObservedContainer| {
        let service = container.service();
        if down.services.is_empty() {
            down.remove_orphans || known.as_ref().is_none_or(|known| known.contains(service))
        } else {
            down.services.iter().any(|name| name.as_str() == service)
        }
    };
    let chosen: Vec<_> = project.iter().copied().filter(|container| goes(container)).collect();
    let orphans: Vec<_> =
        project.iter().filter(|c| down.services.is_empty() && !goes(c)).map(|c| c.spec.name.clone()).collect();
    if !orphans.is_empty() {
        plan.notes.push(Note::Orphans(orphans));
    }
    let mut b = Builder::default();
    let stops = stop_all(&mut b, &chosen, down.timeout, &cause);
    let gone: HashSet<&ContainerId> = chosen.iter().map(|container| &container.spec.id).collect();
    let own = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get(labels::PROJECT).map(String::as_str) == Some(down.project.as_str())
    };
    let own_networks: Vec<_> = observed.networks.iter().filter(|network| own(&network.spec.labels)).collect();
    let whole = down.services.is_empty();
    let mut used_networks: HashMap<&str, &str> = HashMap::new();
    let mut used_volumes: HashMap<&VolumeName, &str> = HashMap::new();
    for container in observed.containers.iter().filter(|c| whole && !gone.contains(&c.spec.id)) {
        let name = container.spec.name.as_str();
        used_networks.extend(container.spec.endpoints.iter().map(|e| (e.network.as_str(), name)));
        used_volumes.extend(volume_names(container).map(|volume| (volume, name)));
    }
    // All links of the project in one message, where nobody else is on its bridges: far cheaper
    // than one pair at a time.
    let idle = own_networks.iter().all(|network| !used_networks.contains_key(network.spec.name.as_str()));
    let links =
        (whole && idle && !own_networks.is_empty() && own_networks.iter().any(|network| network.alive)).then(|| {
            let groups: BTreeSet<u32> = own_networks.iter().map(|network| network.spec.group).collect();
            let steps: Vec<_> = groups
                .into_iter()
                .map(|group| {
                    let step = b.add(Op::RemoveLinks { group }, cause.clone());
                    b.follows(step, stops.values().copied());
                    step
                })
                .collect();
            steps
        });
    let mut removes: HashMap<&ContainerId, Draft> = HashMap::new();
    for container in chosen.iter().rev() {
        let volumes = match down.volumes {
            true => anonymous_volumes(&container.spec).map(|(_, name)| name.clone()).collect(),
            false => Vec::new(),
        };
        let step = b.add(Op::RemoveContainer { target: container.target(), volumes }, cause.clone());
        b.after(step, stops.get(&container.spec.id).copied());
        b.follows(step, links.iter().flatten().copied());
        removes.insert(&container.spec.id, step);
    }
    if whole {
        for network in own_networks {
            let name = network.spec.name.as_str();
            if let Some(user) = used_networks.get(name) {
                let (network, user) = (name.to_owned(), (*user).to_owned());
                plan.notes.push(Note::NetworkInUse { network, user });
                continue;
            }
            let step = b.add(Op::RemoveNetwork(Box::new(network.spec.clone())), cause.clone());
            let users = chosen.iter().filter(|container| networks::uses(container, name));
            b.after(step, users.map(|user| removes[&user.spec.id]));
            b.follows(step, links.iter().flatten().copied());
        }
        for volume in observed.volumes.iter().filter(|volume| down.volumes && !volume.external && own(&volume.labels)) {
            if let Some(user) = used_volumes.get(&volume.name) {
                let (volume, user) = (volume.name.clone(), (*user).to_owned());
                plan.notes.push(Note::VolumeInUse { volume, user });
                continue;
            }
            let step = b.add(Op::RemoveVolume(volume.name.clone()), cause.clone());
            let users = chosen.iter().filter(|container| volume_names(container).any(|name| *name == volume.name));
            b.after(step, users.map(|user| removes[&user.spec.id]));
        }
    }
    plan.steps = b.finish().unwrap_or_default();
    if plan.steps.is_empty() && plan.notes.is_empty() {
        plan.notes.push(Note::NothingToDo("No resource found to remove"));
    }
    plan
}

/// Returns the steps of `start`, `stop`, `restart`, `kill` or `rm`.
pub fn plan_services(action: Action, request: &Services<'_>, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let project: Vec<_> = observed.containers.iter().filter(|c| c.is_of(request.project) && !c.is_one_off()).collect();
    let there: HashSet<&str> = project.iter().map(|container| container.service()).collect();
    let missing = request.services.iter().filter(|name| !there.contains(name.as_str()));
    plan.errors.extend(missing.map(|name| PlanError::NoSuchService(name.clone())));
    if !plan.errors.is_empty() {
        return plan;
    }
    let named: HashSet<&str> = request.services.iter().map(ServiceName::as_str).collect();
    let is_named = |container: &ObservedContainer| named.is_empty() || named.contains(container.service());
    let chosen: Vec<_> = project.iter().copied().filter(|container| is_named(container)).collect();
    let mut b = Builder::default();
    match action {
        Action::Start => {
            let idle: Vec<_> =
                chosen.into_iter().filter(|c| !c.is_up()).map(|c| (c, Cause::Requested("start"))).collect();
            start_all(&mut b, &idle, &HashMap::new(), &project, request.wait);
        }
        Action::Stop => {
            stop_all(&mut b, &chosen, request.timeout, &Cause::Requested("stop"));
        }
        Action::Restart => {
            let restarted = followers(&chosen, &project, request.no_deps);
            let containers: Vec<_> = restarted.iter().map(|(container, _)| *container).collect();
            let stops = stop_all(&mut b, &containers, request.timeout, &Cause::Requested("restart"));
            start_all(&mut b, &restarted, &stops, &project, request.wait);
        }
        Action::Kill => {
            let signal = request.signal.unwrap_or(SIGKILL);
            for container in chosen.into_iter().filter(|container| container.is_up()) {
                b.add(Op::KillContainer { target: container.target(), signal }, Cause::Requested("kill"));
            }
        }
        Action::Remove => {
            let cause = Cause::Requested("rm");
            let chosen: Vec<_> = chosen.into_iter().filter(|c| request.stop || !c.is_up()).collect();
            let stops = stop_all(&mut b, &chosen, request.timeout, &cause);
            for container in chosen.iter().rev() {
                let volumes = match request.volumes {
                    true => anonymous_volumes(&container.spec).map(|(_, name)| name.clone()).collect(),
                    false => Vec::new(),
                };
                let step = b.add(Op::RemoveContainer { target: container.target(), volumes }, cause.clone());
                b.after(step, stops.get(&container.spec.id).copied());
            }
            if chosen.is_empty() {
                plan.notes.push(Note::NothingToDo("No stopped containers"));
            }
        }
    }
    plan.steps = b.finish().unwrap_or_default();
    plan
}

/// Adds stops of all that run, dependents before what they depend on.
pub(super) fn stop_all(
    b: &mut Builder,
    chosen: &[&ObservedContainer],
    timeout: Option<Duration>,
    cause: &Cause,
) -> HashMap<ContainerId, Draft> {
    let mut stops = HashMap::new();
    let mut by_service: HashMap<&str, Vec<Draft>> = HashMap::new();
    let ordered = in_order(chosen);
    for container in ordered.iter().rev().filter(|container| container.is_up()) {
        let grace = timeout.unwrap_or(container.spec.stop_grace);
        let op = Op::StopContainer { target: container.target(), signal: container.spec.stop_signal, grace };
        let step = b.add(op, cause.clone());
        stops.insert(container.spec.id.clone(), step);
        by_service.entry(container.service()).or_default().push(step);
    }
    for (container, step) in ordered.iter().filter_map(|c| stops.get(&c.spec.id).map(|step| (c, *step))) {
        for edge in edges(container) {
            for &dependency in by_service.get(edge.service.as_str()).into_iter().flatten() {
                if edge.service.as_str() != container.service() {
                    b.follows(dependency, [step]);
                }
            }
        }
    }
    stops
}

/// Adds starts in dependency order, each after the conditions of its label hold.
pub(super) fn start_all(
    b: &mut Builder,
    starting: &[(&ObservedContainer, Cause)],
    stops: &HashMap<ContainerId, Draft>,
    project: &[&ObservedContainer],
    wait: bool,
) {
    let causes: HashMap<&ContainerId, &Cause> = starting.iter().map(|(c, cause)| (&c.spec.id, cause)).collect();
    let containers: Vec<_> = starting.iter().map(|(container, _)| *container).collect();
    let mut replicas: HashMap<&str, Vec<&ObservedContainer>> = HashMap::new();
    for container in project {
        replicas.entry(container.service()).or_default().push(container);
    }
    let mut starts: HashMap<&str, Vec<Draft>> = HashMap::new();
    let mut waits: HashMap<(String, Goal), Option<Draft>> = HashMap::new();
    let ordered = in_order(&containers);
    let mut started: HashMap<&ContainerId, Draft> = HashMap::new();
    for container in &ordered {
        let mut before: Vec<Draft> = stops.get(&container.spec.id).copied().into_iter().collect();
        before.extend(container.spec.network_of.as_ref().and_then(|owner| started.get(owner)));
        for edge in edges(container).into_iter().filter(|edge| edge.service.as_str() != container.service()) {
            let running = starts.get(edge.service.as_str());
            let all = replicas.get(edge.service.as_str()).map(Vec::as_slice).unwrap_or_default();
            let by_rule = |c: &&ObservedContainer| c.spec.ready.as_ref().is_some_and(|rule| *rule != Ready::None);
            let goal = labels::goal(edge.condition, all.iter().any(by_rule));
            if goal == Goal::Started {
                before.extend(running.into_iter().flatten());
                continue;
            }
            let key = (edge.service.as_str().to_owned(), goal);
            let step = *waits.entry(key).or_insert_with(|| {
                let holds = running.is_none_or(Vec::is_empty) && all.iter().all(|c| holds(c, goal));
                (!holds && all.iter().any(|c| c.is_up() || started.contains_key(&c.spec.id))).then(|| {
                    let cause = Cause::NeededBy(container.service().into());
                    let step = b.add(await_op(&edge.service, all, goal), cause);
                    b.after(step, running.into_iter().flatten().copied());
                    step
                })
            });
            before.extend(step);
        }
        let cause = causes.get(&container.spec.id).copied().cloned().unwrap_or(Cause::NotRunning);
        let step = b.add(Op::StartContainer(container.target()), cause);
        b.after(step, before);
        starts.entry(container.service()).or_default().push(step);
        started.insert(&container.spec.id, step);
    }
    if wait {
        let ends: HashSet<ServiceName> = project
            .iter()
            .flat_map(|container| edges(container))
            .filter(|edge| edge.condition == Condition::ServiceCompletedSuccessfully)
            .map(|edge| edge.service)
            .collect();
        let mut services: Vec<_> = starts.into_iter().collect();
        services.sort_unstable();
        for (service, steps) in services {
            let all = replicas.get(service).map(Vec::as_slice).unwrap_or_default();
            let goal = if ends.contains(service) { Goal::Completed } else { Goal::Ready };
            if !waits.contains_key(&(service.to_owned(), goal)) {
                let step = b.add(await_op(&service.into(), all, goal), Cause::Waited);
                b.after(step, steps);
            }
        }
    }
}

fn await_op(service: &ServiceName, replicas: &[&ObservedContainer], goal: Goal) -> Op {
    let containers = replicas.iter().map(|c| (c.spec.id.clone(), c.spec.name.clone())).collect();
    Op::AwaitCondition(Wait { service: service.clone(), containers, goal, required: true })
}

pub(super) fn holds(container: &ObservedContainer, goal: Goal) -> bool {
    let running = container.state == ContainerState::Running;
    match goal {
        Goal::Started => container.is_up(),
        Goal::Healthy => running && container.health == Some(Health::Healthy),
        Goal::Completed => container.state == ContainerState::Exited(0),
        Goal::Ready => (running && container.ready) || container.state == ContainerState::Exited(0),
    }
}

/// Returns what restarts: the chosen containers and those that follow them.
pub(super) fn followers<'a>(
    chosen: &[&'a ObservedContainer],
    project: &[&'a ObservedContainer],
    no_deps: bool,
) -> Vec<(&'a ObservedContainer, Cause)> {
    let mut all: Vec<_> = chosen.iter().map(|container| (*container, Cause::Requested("restart"))).collect();
    if no_deps {
        return all;
    }
    let mut services: HashSet<&str> = chosen.iter().map(|container| container.service()).collect();
    for container in in_order(project) {
        if services.contains(container.service()) {
            // Other replicas of a service that follows.
            if let Some((_, cause)) = all.iter().find(|(c, _)| c.service() == container.service())
                && container.is_up()
                && !all.iter().any(|(other, _)| other.spec.id == container.spec.id)
            {
                let cause = cause.clone();
                all.push((container, cause));
            }
            continue;
        }
        let edge = edges(container).into_iter().find(|edge| edge.restart && services.contains(edge.service.as_str()));
        if let (Some(edge), true) = (edge, container.is_up()) {
            services.insert(container.service());
            all.push((container, Cause::DependencyRestarted(edge.service)));
        }
    }
    all
}

/// Returns the containers, what they depend on before them, otherwise by service and number.
/// Labels of other tools may hold a circle: it is broken where it is met.
fn in_order<'a>(containers: &[&'a ObservedContainer]) -> Vec<&'a ObservedContainer> {
    let mut services: std::collections::BTreeMap<&str, Vec<&'a ObservedContainer>> = std::collections::BTreeMap::new();
    for container in containers {
        services.entry(container.service()).or_default().push(container);
    }
    let depends: HashMap<&str, Vec<Edge>> = services.iter().map(|(name, all)| (*name, edges(all[0]))).collect();
    let mut done: HashSet<&str> = HashSet::new();
    let mut order = Vec::with_capacity(containers.len());
    for name in services.keys() {
        // Depth first with a stack of its own: a service comes once all below it came.
        let mut stack = vec![(*name, false)];
        while let Some((name, ready)) = stack.pop() {
            if ready {
                let mut replicas = services[name].clone();
                replicas.sort_by_key(|container| container.number());
                order.extend(replicas);
            } else if done.insert(name) {
                stack.push((name, true));
                for edge in depends[name].iter().rev() {
                    if let Some((below, _)) = services.get_key_value(edge.service.as_str())
                        && !done.contains(below)
                    {
                        stack.push((below, false));
                    }
                }
            }
        }
    }
    order
}

pub(super) fn edges(container: &ObservedContainer) -> Vec<Edge> {
    container.label(labels::DEPENDS_ON).map(labels::parse_depends_on).unwrap_or_default()
}

fn volume_names(container: &ObservedContainer) -> impl Iterator<Item = &VolumeName> {
    container.spec.mounts.iter().filter_map(|mount| match &mount.kind {
        crate::spec::MountKind::Volume { name, .. } => Some(name),
        _ => None,
    })
}

//! `up`: what must happen so that the project becomes what its files say.
//!
//! In this order: which services, which containers are kept, made anew or go; addresses;
//! the steps. Spec rows `life-*`.

mod attach;
mod diverge;
mod in_place;
mod limits;
mod rolling;
mod steps;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use self::diverge::Fate;
use self::in_place::Amended;
use self::rolling::Update;
use super::build::{Builder, Draft};
use super::desired::{self, ImageInfo, Replica};
use super::networks::{self, Net};
use super::{
    Cause, ContainerState, Health, Inputs, Note, Observed, ObservedContainer, Op, Plan, PlanError, Recreate, Target,
    Wait, hash, labels, observed,
};
use crate::compose::model::{Condition, NetworkMode, Service};
use crate::graph::{Graph, Spans};
use crate::ids::{ContainerId, ServiceName, VolumeName};
use crate::spec::{ContainerSpec, Endpoint, MountKind, PublishedPort, VolumeSpec};

/// Returns the steps that make the project what its files say.
pub fn plan_up(inputs: &Inputs<'_>, observed: &Observed) -> Plan {
    // Batches that wait for each other in a circle (two services swap addresses, say) are none.
    attempt(inputs, observed, true).or_else(|| attempt(inputs, observed, false)).unwrap_or_default()
}

/// Returns the plan; `None` when its steps wait for each other in a circle.
fn attempt(inputs: &Inputs<'_>, observed: &Observed, rolling: bool) -> Option<Plan> {
    let mut up = match Up::new(inputs, observed, rolling) {
        Ok(up) => up,
        Err(errors) => return Some(Plan { errors, ..Plan::default() }),
    };
    up.decide_networks();
    up.decide_fates();
    up.decide_addresses();
    up.follow_namespaces();
    up.follow_restarts();
    let specs = up.specs();
    up.check_ports(&specs);
    up.check_bridges();
    if up.plan.errors.is_empty() && !up.steps(specs) {
        return None;
    }
    Some(up.plan)
}

/// A service that takes part.
struct Unit<'a> {
    name: &'a ServiceName,
    service: &'a Service,
    image: Option<&'a ImageInfo>,
    config_hash: String,
    shape: OnceCell<String>,
    slots: Vec<Slot<'a>>,
    /// How its replicas are replaced, where some are.
    update: Option<Update>,
    /// Containers that go: there are too many.
    excess: Vec<&'a ObservedContainer>,
}

impl Unit<'_> {
    /// Returns the hash of what needs a new container; hardly ever needed.
    fn shape(&self) -> &str {
        self.shape.get_or_init(|| hash::shape(self.service))
    }
}

/// A replica as it shall be.
struct Slot<'a> {
    number: u32,
    name: String,
    current: Option<&'a ObservedContainer>,
    /// Why it is made (anew); `None` keeps `current`.
    make: Option<Cause>,
    /// Why `current`, which is kept, is changed in place.
    change: Option<Cause>,
    /// Why `current` is stopped and started though it is kept.
    restart: Option<Cause>,
    id: ContainerId,
    /// Goes once this one has taken over: `current` where the new one starts first, else one that
    /// an earlier update left.
    outgoing: Option<&'a ObservedContainer>,
    /// Which of the batches it is replaced in.
    batch: Option<usize>,
    /// Static addresses by network key are taken from these containers, which go first.
    waits_for: Vec<ContainerId>,
}

impl Slot<'_> {
    fn is_up(&self) -> bool {
        self.current.is_some_and(ObservedContainer::is_up)
    }

    fn target(&self, service: &ServiceName) -> Target {
        Target { id: self.id.clone(), name: self.name.clone(), service: service.clone(), number: self.number }
    }

    fn remake(&mut self, cause: Cause, seed: u64) {
        if self.make.is_none() {
            self.make = Some(cause);
            self.change = None;
            let replaced = self.current.map_or("", |current| current.spec.id.as_str());
            self.id = hash::id(seed, &["container", &self.name, replaced]);
        }
    }
}

struct Up<'a> {
    inputs: &'a Inputs<'a>,
    observed: &'a Observed,
    /// In dependency order.
    units: Vec<Unit<'a>>,
    by_name: HashMap<&'a ServiceName, usize>,
    orphans: Vec<&'a ObservedContainer>,
    nets: BTreeMap<&'a str, Net>,
    volumes: BTreeMap<VolumeName, VolumeSpec>,
    /// Containers that are changed in place, by unit and slot.
    amended: BTreeMap<(usize, usize), Amended>,
    /// Replicas may be replaced by and by.
    rolling: bool,
    plan: Plan,
}

impl<'a> Up<'a> {
    fn new(inputs: &'a Inputs<'a>, observed: &'a Observed, rolling: bool) -> Result<Self, Vec<PlanError>> {
        let project = inputs.project;
        let graph = Graph::build(project, &Spans::new())
            .map_err(|problems| problems.into_iter().map(|p| PlanError::Dependencies(p.message)).collect::<Vec<_>>())?;
        let mut plan = Plan::default();
        let unknown = inputs.services.iter().filter(|name| !project.services.contains_key(*name));
        plan.errors.extend(unknown.map(|name| PlanError::NoSuchService(name.clone())));
        let chosen: HashSet<ServiceName> = match (inputs.services.is_empty(), inputs.no_deps) {
            (true, _) => project.services.keys().cloned().collect(),
            (false, true) => inputs.services.iter().cloned().collect(),
            (false, false) => graph.dependencies_closure(inputs.services).into_iter().collect(),
        };
        let counts = chosen.iter().filter_map(|name| Some((name, replicas(inputs, name, project.services.get(name)?))));
        if let Some(error) = limits::too_many(counts) {
            plan.errors.push(error);
            return Err(plan.errors);
        }
        let mut existing = observed::by_service(observed, &project.name);
        let mut units = Vec::with_capacity(chosen.len());
        for name in graph.order().filter(|name| chosen.contains(*name)) {
            let Some((name, service)) = project.services.get_key_value(name) else { continue };
            let image = service.image.as_ref().and_then(|reference| inputs.images.get(reference));
            let replicas = existing.remove(name.as_str()).unwrap_or_default();
            let config_hash = hash::service(service);
            let (shape, slots) = (OnceCell::new(), Vec::new());
            let unit = Unit { name, service, image, config_hash, shape, slots, update: None, excess: replicas };
            if image.is_none() && wanted(inputs, &unit) > 0 {
                let image = service.image.clone().unwrap_or_default();
                plan.errors.push(PlanError::ImageMissing { service: name.clone(), image });
            }
            units.push(unit);
        }
        let known: HashSet<&str> = project.services.keys().chain(&project.disabled).map(ServiceName::as_str).collect();
        let orphans: Vec<_> =
            existing.into_iter().filter(|(service, _)| !known.contains(service)).flat_map(|(_, all)| all).collect();
        if !orphans.is_empty() && !inputs.remove_orphans && !inputs.ignore_orphans {
            plan.notes.push(Note::Orphans(orphans.iter().map(|orphan| orphan.spec.name.clone()).collect()));
        }
        let orphans = if inputs.remove_orphans { orphans } else { Vec::new() };
        let by_name = units.iter().enumerate().map(|(i, unit)| (unit.name, i)).collect();
        let (nets, volumes, amended) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { inputs, observed, units, by_name, orphans, nets, volumes, amended, rolling, plan })
    }

    fn decide_networks(&mut self) {
        let services: Vec<_> = self.units.iter().map(|unit| (unit.name, unit.service)).collect();
        let inside: HashSet<_> =
            self.units.iter().flat_map(|unit| &unit.excess).chain(&self.orphans).map(|c| &c.spec.id).collect();
        self.nets = networks::decide(self.inputs, self.observed, &services, &inside, &mut self.plan);
        self.volumes = networks::volumes(self.inputs, self.observed, &services, &mut self.plan);
    }

    /// Decides for each service which containers stay, which are made and which go.
    fn decide_fates(&mut self) {
        let (inputs, nets) = (self.inputs, &self.nets);
        for unit in &mut self.units {
            let wanted = wanted(inputs, unit);
            if wanted > 1 && unit.service.container_name.is_some() {
                self.plan.errors.push(PlanError::NameNotUnique(unit.name.clone()));
                continue;
            }
            let mut existing: Vec<_> = std::mem::take(&mut unit.excess)
                .into_iter()
                .map(|container| (diverge::fate(inputs, nets, unit, container), container))
                .collect();
            // Of too many, the outdated go first, then the highest numbers (spec row `life-scale`).
            existing.sort_by_key(|(fate, container)| (matches!(fate, Fate::Replace(_)), container.number()));
            let mut taken: HashSet<u32> = existing.iter().map(|(_, container)| container.number()).collect();
            let highest = taken.iter().copied().max().unwrap_or(0);
            let old: Vec<_> = existing.iter().map(|(_, container)| *container).collect();
            let first = self.rolling
                && existing.iter().any(|(fate, _)| matches!(fate, Fate::Replace(_)))
                && Self::starts_first(inputs, nets, unit, &old, &mut self.plan);
            unit.excess = existing.split_off(existing.len().min(wanted)).into_iter().map(|(_, c)| c).collect();
            unit.excess.sort_by_key(|container| std::cmp::Reverse(container.number()));
            existing.sort_by_key(|(_, container)| container.number());
            for (fate, container) in existing {
                // Both are there for a while: the new one has the lowest number that is free.
                let goes_later =
                    matches!(&fate, Fate::Replace(cause) if first && *cause != Cause::Incomplete && container.is_up());
                let number = match goes_later {
                    true => (1..).find(|number| taken.insert(*number)).unwrap_or(highest + 1),
                    false => container.number().max(1),
                };
                let mut slot = slot(inputs, unit, number, Some(container));
                slot.outgoing = slot.current.filter(|_| goes_later);
                match fate {
                    Fate::Replace(cause) => slot.remake(cause, inputs.seed),
                    Fate::Change(cause) => {
                        slot.name.clone_from(&container.spec.name);
                        slot.change = Some(cause);
                    }
                    Fate::Keep => slot.name.clone_from(&container.spec.name),
                }
                unit.slots.push(slot);
            }
            let missing = wanted - unit.slots.len();
            for number in (highest + 1..).filter(|number| !taken.contains(number)).take(missing) {
                let mut slot = slot(inputs, unit, number, None);
                slot.remake(Cause::Missing, inputs.seed);
                unit.slots.push(slot);
            }
            // The first one is whose network others share, now and when they are looked at again.
            unit.slots.sort_by_key(|slot| slot.number);
            if self.rolling && inputs.start {
                Self::resume(unit);
            }
        }
        self.decide_names();
    }

    /// Reports names that others have; waits for those that give them up.
    fn decide_names(&mut self) {
        if self.units.iter().flat_map(|unit| &unit.slots).all(|slot| slot.make.is_none()) {
            return;
        }
        let goes = self.goes();
        let holders: HashMap<&str, &ObservedContainer> =
            self.observed.containers.iter().map(|container| (container.spec.name.as_str(), container)).collect();
        let mut made: HashSet<String> = HashSet::new();
        for unit in &mut self.units {
            for slot in unit.slots.iter_mut().filter(|slot| slot.make.is_some()) {
                let by = match holders.get(slot.name.as_str()) {
                    Some(holder) if goes.contains(&holder.spec.id) => {
                        slot.waits_for.push(holder.spec.id.clone());
                        None
                    }
                    Some(holder) => Some(format!("container {}", holder.spec.id.short())),
                    None => None,
                };
                let by = by.or_else(|| (!made.insert(slot.name.clone())).then(|| "another service".to_owned()));
                if let Some(by) = by {
                    let (service, name) = (unit.name.clone(), slot.name.clone());
                    self.plan.errors.push(PlanError::NameTaken { service, name, by });
                }
            }
        }
    }

    /// Returns the name of a container, or the text itself where it is no id.
    fn name_of(&self, id: &str) -> String {
        let slots = self.units.iter().flat_map(|unit| &unit.slots).map(|slot| (slot.id.as_str(), &slot.name));
        let existing = self.observed.containers.iter().map(|c| (c.spec.id.as_str(), &c.spec.name));
        let found = slots.chain(existing).find(|(other, _)| *other == id);
        found.map_or(id, |(_, name)| name).to_owned()
    }

    /// Makes containers anew that share the network of one that is made anew (`life-cascade`).
    fn follow_namespaces(&mut self) {
        for u in 0..self.units.len() {
            let Some(NetworkMode::Service(owner)) = &self.units[u].service.network_mode else { continue };
            let Some(first) = self.by_name.get(owner).and_then(|owner| self.units[*owner].slots.first()) else {
                continue;
            };
            let id = first.id.clone();
            for slot in &mut self.units[u].slots {
                if slot.current.is_some_and(|current| current.spec.network_of.as_ref() != Some(&id))
                    && self.inputs.recreate != Recreate::Never
                {
                    slot.remake(Cause::NamespaceOf(owner.clone()), self.inputs.seed);
                }
            }
        }
    }

    /// Restarts kept containers whose dependency is made anew, where the file says so, and those
    /// whose network namespace is.
    fn follow_restarts(&mut self) {
        if !self.inputs.start {
            return;
        }
        let mut restarting: HashSet<&ServiceName> = HashSet::new();
        // A container that starts after it was stopped gets a new network namespace: guests that
        // still run sit in the old one.
        let moves = |unit: &Unit<'_>| unit.slots.first().is_some_and(|slot| slot.make.is_none() && !slot.is_up());
        let moving: HashSet<ServiceName> =
            self.units.iter().filter(|unit| moves(unit)).map(|unit| unit.name.clone()).collect();
        for unit in &mut self.units {
            let host = match &unit.service.network_mode {
                Some(NetworkMode::Service(owner)) if moving.contains(owner) => Some(owner),
                _ => None,
            };
            let dependency = unit
                .service
                .depends_on
                .iter()
                .find(|(name, dependency)| dependency.restart && restarting.contains(name))
                .map(|(name, _)| name);
            for slot in &mut unit.slots {
                if slot.make.is_some() {
                    if slot.current.is_some() {
                        restarting.insert(unit.name);
                    }
                } else if let (Some(host), true) = (host, slot.is_up()) {
                    slot.restart = Some(Cause::NamespaceOf(host.clone()));
                    restarting.insert(unit.name);
                } else if let (Some(dependency), true) = (dependency, slot.is_up()) {
                    slot.restart = Some(Cause::DependencyRestarted(dependency.clone()));
                    restarting.insert(unit.name);
                }
            }
        }
    }

    /// Returns the specifications of all containers that are made, by unit and slot.
    fn specs(&mut self) -> HashMap<(usize, usize), ContainerSpec> {
        let mut specs = HashMap::new();
        for u in 0..self.units.len() {
            let shared = self.shared_network(u);
            for s in 0..self.units[u].slots.len() {
                let slot = &self.units[u].slots[s];
                let kept = slot.current.filter(|_| slot.make.is_none());
                if kept.is_some() && slot.change.is_none() {
                    continue;
                }
                let Some(image) = self.units[u].image else { continue };
                let endpoints = self.endpoints(u, s);
                let (unit, slot) = (&self.units[u], &self.units[u].slots[s]);
                let default_route = endpoints.iter().find(|e| e.default_route).map(|e| &e.network);
                let gateway = self.nets.values().find(|net| Some(&net.spec.name) == default_route);
                let replica = Replica {
                    id: slot.id.clone(),
                    name: slot.name.clone(),
                    number: slot.number,
                    config_hash: &unit.config_hash,
                    shape: unit.shape(),
                    endpoints,
                    network_of: shared.clone(),
                    host_gateway: self
                        .inputs
                        .host
                        .host_gateway
                        .or_else(|| gateway.map(|net| IpAddr::V4(net.spec.gateway))),
                    inherited: self.inherited(slot),
                    replaces: slot.current.map(|current| &current.spec.id),
                };
                match desired::container(self.inputs, unit.name, unit.service, image, replica) {
                    Ok(spec) => match kept {
                        None => {
                            specs.insert((u, s), spec);
                        }
                        Some(current) => {
                            let keys = self.interfaces(unit.service);
                            let amended = in_place::amend(&current.spec, spec, unit.service, &keys);
                            self.amended.insert((u, s), amended);
                        }
                    },
                    Err(error) => {
                        if !self.plan.errors.contains(&error) {
                            self.plan.errors.push(error);
                        }
                    }
                }
            }
            let unit = &self.units[u];
            let ignored =
                desired::uses_host_network(self.inputs.project, unit.service) || unit.service.network_mode.is_some();
            if ignored && !unit.service.ports.is_empty() && unit.slots.iter().any(|slot| slot.make.is_some()) {
                self.plan.notes.push(Note::PortsIgnored(unit.name.clone()));
            }
        }
        specs
    }

    /// Returns the owner of the network namespace that a service's containers share, and its
    /// host name.
    fn shared_network(&mut self, u: usize) -> Option<(ContainerId, String)> {
        let service = self.units[u].service;
        match service.network_mode.as_ref()? {
            NetworkMode::Service(owner) => {
                let unit = self.by_name.get(owner).map(|owner| &self.units[*owner]);
                if let Some(slot) = unit.and_then(|unit| unit.slots.first()) {
                    let hostname = unit.and_then(|unit| unit.service.hostname.clone());
                    return Some((slot.id.clone(), hostname.unwrap_or_else(|| slot.id.short().to_owned())));
                }
                // Not part of this command (`--no-deps`): the container that is there.
                let project = &self.inputs.project.name;
                let found = self
                    .observed
                    .containers
                    .iter()
                    .find(|c| c.is_of(project) && c.service() == owner.as_str() && !c.is_one_off());
                self.found(u, found, owner.as_str())
            }
            NetworkMode::Container(wanted) => {
                let found = self.observed.containers.iter().find(|c| {
                    c.spec.name == *wanted || (wanted.len() >= 12 && c.spec.id.as_str().starts_with(wanted.as_str()))
                });
                self.found(u, found, wanted)
            }
            NetworkMode::None | NetworkMode::Host => None,
        }
    }

    fn found(&mut self, u: usize, found: Option<&ObservedContainer>, wanted: &str) -> Option<(ContainerId, String)> {
        if found.is_none() && !self.units[u].slots.is_empty() {
            let (service, container) = (self.units[u].name.clone(), wanted.to_owned());
            self.plan.errors.push(PlanError::NoSuchContainer { service, container });
        }
        found.map(|container| (container.spec.id.clone(), container.spec.hostname.clone()))
    }

    fn inherited(&self, slot: &Slot<'a>) -> HashMap<&'a str, &'a VolumeName> {
        let current = slot.current.filter(|_| !self.inputs.renew_anon_volumes);
        current.map(|current| anonymous_volumes(&current.spec).collect()).unwrap_or_default()
    }

    /// Returns all containers that this plan removes.
    fn goes(&self) -> HashSet<&'a ContainerId> {
        let replaced =
            self.units.iter().flat_map(|u| &u.slots).filter(|s| s.make.is_some()).filter_map(|slot| slot.current);
        let excess = self.units.iter().flat_map(|unit| unit.excess.iter().copied());
        let outgoing = self.units.iter().flat_map(|unit| &unit.slots).filter_map(|slot| slot.outgoing);
        replaced
            .chain(excess)
            .chain(outgoing)
            .chain(self.orphans.iter().copied())
            .map(|container| &container.spec.id)
            .collect()
    }
}

/// Returns how many replicas a service shall have.
fn wanted(inputs: &Inputs<'_>, unit: &Unit<'_>) -> usize {
    replicas(inputs, unit.name, unit.service) as usize
}

fn replicas(inputs: &Inputs<'_>, name: &ServiceName, service: &Service) -> u32 {
    inputs.scale.get(name).copied().or_else(|| service.replicas()).unwrap_or(1)
}

fn slot<'a>(inputs: &Inputs<'_>, unit: &Unit<'_>, number: u32, current: Option<&'a ObservedContainer>) -> Slot<'a> {
    let name = match &unit.service.container_name {
        Some(name) => name.clone(),
        None => format!("{}-{}-{number}", inputs.project.name, unit.name),
    };
    let id = match current {
        Some(current) => current.spec.id.clone(),
        None => hash::id(inputs.seed, &["container", &name, ""]),
    };
    Slot {
        number,
        name,
        current,
        make: None,
        change: None,
        restart: None,
        id,
        outgoing: None,
        batch: None,
        waits_for: Vec::new(),
    }
}

/// Returns target and name of the container's anonymous volumes.
pub(super) fn anonymous_volumes(spec: &ContainerSpec) -> impl Iterator<Item = (&str, &VolumeName)> {
    spec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name, anonymous: true, .. } => Some((mount.target.as_str(), name)),
        _ => None,
    })
}

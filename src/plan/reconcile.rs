//! `up`: what must happen so that the project becomes what its files say.
//!
//! In this order: which services, which containers are kept, made anew or go; addresses;
//! the steps. Spec rows `life-*`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use super::addresses;
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

/// Most ports that a Linux bridge can have (`BR_MAX_PORTS`).
const BRIDGE_PORTS: usize = 1023;

/// Returns the steps that make the project what its files say.
pub fn plan_up(inputs: &Inputs<'_>, observed: &Observed) -> Plan {
    let mut up = match Up::new(inputs, observed) {
        Ok(up) => up,
        Err(errors) => return Plan { errors, ..Plan::default() },
    };
    up.decide_networks();
    up.decide_fates();
    up.decide_addresses();
    up.follow_namespaces();
    up.follow_restarts();
    let specs = up.specs();
    up.check_ports(&specs);
    up.check_bridges();
    if up.plan.errors.is_empty() {
        up.steps(specs);
    }
    up.plan
}

/// A service that takes part.
struct Unit<'a> {
    name: &'a ServiceName,
    service: &'a Service,
    image: Option<&'a ImageInfo>,
    config_hash: String,
    slots: Vec<Slot<'a>>,
    /// Containers that go: there are too many.
    excess: Vec<&'a ObservedContainer>,
}

/// A replica as it shall be.
struct Slot<'a> {
    number: u32,
    name: String,
    current: Option<&'a ObservedContainer>,
    /// Why it is made (anew); `None` keeps `current`.
    make: Option<Cause>,
    /// Why `current` is stopped and started though it is kept.
    restart: Option<Cause>,
    id: ContainerId,
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
    plan: Plan,
}

impl<'a> Up<'a> {
    fn new(inputs: &'a Inputs<'a>, observed: &'a Observed) -> Result<Self, Vec<PlanError>> {
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
        let mut existing = observed::by_service(observed, &project.name);
        let mut units = Vec::with_capacity(chosen.len());
        for name in graph.order().filter(|name| chosen.contains(*name)) {
            let Some((name, service)) = project.services.get_key_value(name) else { continue };
            let image = service.image.as_ref().and_then(|reference| inputs.images.get(reference));
            let replicas = existing.remove(name.as_str()).unwrap_or_default();
            let config_hash = hash::service(service);
            let mut unit = Unit { name, service, image, config_hash, slots: Vec::new(), excess: replicas };
            if image.is_none() && wanted(inputs, &unit) > 0 {
                let image = service.image.clone().unwrap_or_default();
                plan.errors.push(PlanError::ImageMissing { service: name.clone(), image });
            }
            unit.excess.retain(|container| container.number() > 0 || !container.spec.name.is_empty());
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
        let (nets, volumes) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { inputs, observed, units, by_name, orphans, nets, volumes, plan })
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
        let mut names: Option<HashMap<&str, &ObservedContainer>> = None;
        let mut made: HashSet<String> = HashSet::new();
        for unit in &mut self.units {
            let wanted = wanted(inputs, unit);
            if wanted > 1 && unit.service.container_name.is_some() {
                self.plan.errors.push(PlanError::NameNotUnique(unit.name.clone()));
                continue;
            }
            let mut existing: Vec<_> = std::mem::take(&mut unit.excess)
                .into_iter()
                .map(|container| (differs(inputs, nets, unit, container), container))
                .collect();
            // Of too many, the outdated go first, then the highest numbers (spec row `life-scale`).
            existing.sort_by_key(|(cause, container)| (cause.is_some(), container.number()));
            let highest = existing.iter().map(|(_, container)| container.number()).max().unwrap_or(0);
            unit.excess = existing.split_off(existing.len().min(wanted)).into_iter().map(|(_, c)| c).collect();
            unit.excess.sort_by_key(|container| std::cmp::Reverse(container.number()));
            existing.sort_by_key(|(_, container)| container.number());
            for (cause, container) in existing {
                let mut slot = slot(inputs, unit, container.number().max(1), Some(container));
                match cause {
                    Some(cause) => slot.remake(cause, inputs.seed),
                    None => slot.name.clone_from(&container.spec.name),
                }
                unit.slots.push(slot);
            }
            for number in (highest + 1..).take(wanted - unit.slots.len()) {
                let mut slot = slot(inputs, unit, number, None);
                slot.remake(Cause::Missing, inputs.seed);
                unit.slots.push(slot);
            }
            for slot in &unit.slots {
                if slot.make.is_none() {
                    continue;
                }
                let names = names.get_or_insert_with(|| {
                    self.observed.containers.iter().map(|c| (c.spec.name.as_str(), c)).collect()
                });
                let holder = names.get(slot.name.as_str()).filter(|holder| {
                    let same_service = holder.is_of(&inputs.project.name) && holder.service() == unit.name.as_str();
                    !same_service || holder.is_one_off()
                });
                let by = match holder {
                    Some(holder) => Some(format!("container {}", holder.spec.id.short())),
                    None if !made.insert(slot.name.clone()) => Some("another service".to_owned()),
                    None => None,
                };
                if let Some(by) = by {
                    let (service, name) = (unit.name.clone(), slot.name.clone());
                    self.plan.errors.push(PlanError::NameTaken { service, name, by });
                }
            }
        }
    }

    /// Reserves static addresses; who has one that another service asks for is made anew.
    fn decide_addresses(&mut self) {
        let mut wishes = Vec::new();
        for (u, unit) in self.units.iter().enumerate() {
            for (key, attachment) in &unit.service.networks {
                let Some(address) = attachment.addresses.ipv4 else { continue };
                for s in 0..unit.slots.len() {
                    wishes.push((u, s, key.as_str(), address));
                }
            }
        }
        if wishes.is_empty() {
            return;
        }
        let mut slot_of: HashMap<String, (usize, usize)> = HashMap::new();
        let mut goes: HashMap<String, ContainerId> = HashMap::new();
        for (u, unit) in self.units.iter().enumerate() {
            for (s, slot) in unit.slots.iter().enumerate() {
                if let Some(current) = slot.current {
                    slot_of.insert(current.spec.name.clone(), (u, s));
                }
            }
            goes.extend(unit.excess.iter().map(|c| (c.spec.name.clone(), c.spec.id.clone())));
        }
        goes.extend(self.orphans.iter().map(|c| (c.spec.name.clone(), c.spec.id.clone())));
        let mut granted: HashSet<(&str, std::net::Ipv4Addr)> = HashSet::new();
        for (u, s, key, address) in wishes {
            let Some(net) = self.nets.get_mut(key) else { continue };
            let service = self.units[u].name.clone();
            let network = net.spec.name.as_str().to_owned();
            if !addresses::usable(net.pool.subnet, address) {
                let (address, subnet) = (IpAddr::V4(address), net.pool.subnet.to_string());
                self.plan.errors.push(PlanError::AddressOutside { service, address, network, subnet });
                continue;
            }
            let holder = net.pool.holder(address).map(str::to_owned);
            let first = granted.insert((key, address));
            match holder {
                None => {}
                Some(holder) if first && slot_of.get(&holder) == Some(&(u, s)) => {}
                Some(holder) if first && goes.contains_key(&holder) => {
                    let id = goes[&holder].clone();
                    self.units[u].slots[s].waits_for.push(id);
                }
                Some(holder) if first && self.is_dynamic(slot_of.get(&holder), key) => {
                    let (other, place) = slot_of[&holder];
                    let slot = &mut self.units[other].slots[place];
                    slot.remake(Cause::AddressNeeded(service), self.inputs.seed);
                    let id = slot.current.map(|current| current.spec.id.clone());
                    self.units[u].slots[s].waits_for.extend(id);
                }
                Some(by) => {
                    let address = IpAddr::V4(address);
                    self.plan.errors.push(PlanError::AddressTaken { service, address, network, by });
                    continue;
                }
            }
            // The name in the pool is what the container will be called.
            let name = self.units[u].slots[s].name.clone();
            if let Some(net) = self.nets.get_mut(key) {
                net.pool.take(address, &name);
            }
        }
    }

    /// Tells whether a replica has its address on a network by chance.
    fn is_dynamic(&self, place: Option<&(usize, usize)>, key: &str) -> bool {
        place.is_some_and(|(u, _)| {
            self.units[*u].service.networks.get(key).is_none_or(|attachment| attachment.addresses.ipv4.is_none())
        })
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

    /// Restarts kept containers whose dependency is made anew, where the file says so.
    fn follow_restarts(&mut self) {
        if !self.inputs.start {
            return;
        }
        let mut restarting: HashSet<&ServiceName> = HashSet::new();
        for unit in &mut self.units {
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
                if self.units[u].slots[s].make.is_none() {
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
                    Ok(spec) => {
                        specs.insert((u, s), spec);
                    }
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

    /// Chooses the addresses of a replica: the file's, its predecessor's, else the next free.
    fn endpoints(&mut self, u: usize, s: usize) -> Vec<Endpoint> {
        let unit = &self.units[u];
        let slot = &unit.slots[s];
        let project = self.inputs.project;
        if unit.service.network_mode.is_some() {
            return Vec::new();
        }
        // Interfaces in the order of priority, then of name (spec row `svc-networks-any-priority`).
        let mut keys: Vec<&str> = unit.service.networks.keys().map(String::as_str).collect();
        keys.retain(|key| self.nets.contains_key(key));
        keys.sort_by_key(|key| {
            (std::cmp::Reverse(unit.service.networks[*key].priority), project.networks.get(*key).map(|n| &n.name))
        });
        // The highest gw_priority that leads out holds the default route; ties go by name.
        let default_route = keys
            .iter()
            .filter(|key| !self.nets[**key].spec.internal)
            .min_by_key(|key| {
                (std::cmp::Reverse(unit.service.networks[**key].gw_priority), &self.nets[**key].spec.name)
            })
            .copied();
        let mut endpoints = Vec::with_capacity(keys.len());
        for (index, key) in keys.into_iter().enumerate() {
            let attachment = &unit.service.networks[key];
            let Some(net) = self.nets.get_mut(key) else { continue };
            let previous = slot
                .current
                .and_then(|current| current.spec.endpoints.iter().find(|e| e.network == net.spec.name))
                .map(|endpoint| endpoint.address)
                .filter(|address| net.replaced.is_none() || net.pool.holder(*address).is_none());
            let old_name = slot.current.map(|current| current.spec.name.as_str());
            let address = match (attachment.addresses.ipv4, previous) {
                (Some(address), _) => Ok(address),
                (None, Some(address)) if old_name.is_some() && net.pool.holder(address) == old_name => {
                    net.pool.free(address);
                    if net.pool.try_take(address, &slot.name) { Ok(address) } else { net.pool.take_next(&slot.name) }
                }
                (None, Some(address)) if net.pool.try_take(address, &slot.name) => Ok(address),
                _ => net.pool.take_next(&slot.name),
            };
            let address = match address {
                Ok(address) => address,
                Err(error) => {
                    if !self.plan.errors.contains(&error) {
                        self.plan.errors.push(error);
                    }
                    continue;
                }
            };
            let octets = address.octets();
            let mut aliases = vec![unit.name.as_str().to_owned()];
            for alias in &attachment.aliases {
                if !aliases.contains(alias) {
                    aliases.push(alias.clone());
                }
            }
            let link = hash::id(0, &["veth", slot.id.as_str(), net.spec.name.as_str()]);
            endpoints.push(Endpoint {
                network: net.spec.name.clone(),
                interface: attachment.interface_name.clone().unwrap_or_else(|| format!("eth{index}")),
                veth: format!("veth{}", &link.as_str()[..11]),
                address,
                address6: match (attachment.addresses.ipv6, net.spec.ipv6) {
                    (Some(address), Some(_)) => Some(address),
                    (None, Some((subnet, _))) => Some(addresses::paired(subnet, address)),
                    (_, None) => None,
                },
                mac: attachment.mac_address.unwrap_or([2, 0x42, octets[0], octets[1], octets[2], octets[3]]),
                aliases,
                default_route: default_route == Some(key),
            });
        }
        endpoints
    }

    /// Reports ports of the host that two containers want.
    fn check_ports(&mut self, specs: &HashMap<(usize, usize), ContainerSpec>) {
        if specs.values().all(|spec| spec.ports.is_empty()) {
            return;
        }
        let goes = self.goes();
        let mut held: HashMap<u16, Vec<(&PublishedPort, &str)>> = HashMap::new();
        let fixed = |port: &&PublishedPort| port.host_port.start != 0 && port.host_port.start == port.host_port.end;
        for container in self.observed.containers.iter().filter(|c| c.is_up() && !goes.contains(&c.spec.id)) {
            for port in container.spec.ports.iter().filter(fixed) {
                held.entry(port.host_port.start).or_default().push((port, &container.spec.name));
            }
        }
        let mut places: Vec<_> = specs.keys().copied().collect();
        places.sort_unstable();
        for place in places {
            let spec = &specs[&place];
            for port in spec.ports.iter().filter(fixed) {
                let holders = held.entry(port.host_port.start).or_default();
                if let Some((_, by)) = holders.iter().find(|(other, _)| collide(port, other)) {
                    self.plan.errors.push(PlanError::PortTaken {
                        service: self.units[place.0].name.clone(),
                        port: port_text(port),
                        by: (*by).to_owned(),
                    });
                }
                holders.push((port, &spec.name));
            }
        }
    }

    /// Reports bridges that would have more ports than Linux allows.
    fn check_bridges(&mut self) {
        if self.units.iter().flat_map(|unit| &unit.slots).all(|slot| slot.make.is_none()) {
            return;
        }
        let goes = self.goes();
        let mut count: HashMap<&str, usize> = HashMap::new();
        for container in self.observed.containers.iter().filter(|c| !goes.contains(&c.spec.id)) {
            for endpoint in &container.spec.endpoints {
                *count.entry(endpoint.network.as_str()).or_default() += 1;
            }
        }
        for unit in &self.units {
            let made = unit.slots.iter().filter(|slot| slot.make.is_some()).count();
            for net in unit.service.networks.keys().filter_map(|key| self.nets.get(key.as_str())) {
                *count.entry(net.spec.name.as_str()).or_default() += made;
            }
        }
        for net in self.nets.values() {
            if let Some(count) = count.get(net.spec.name.as_str()).copied().filter(|count| *count > BRIDGE_PORTS) {
                let network = net.spec.name.as_str().to_owned();
                self.plan.errors.push(PlanError::TooManyPorts { network, count });
            }
        }
    }

    /// Returns all containers that this plan removes.
    fn goes(&self) -> HashSet<&'a ContainerId> {
        let replaced =
            self.units.iter().flat_map(|u| &u.slots).filter(|s| s.make.is_some()).filter_map(|slot| slot.current);
        let excess = self.units.iter().flat_map(|unit| unit.excess.iter().copied());
        replaced.chain(excess).chain(self.orphans.iter().copied()).map(|container| &container.spec.id).collect()
    }
}

/// Returns how many replicas a service shall have.
fn wanted(inputs: &Inputs<'_>, unit: &Unit<'_>) -> usize {
    inputs.scale.get(unit.name).copied().or(unit.service.replicas).unwrap_or(1) as usize
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
    Slot { number, name, current, make: None, restart: None, id, waits_for: Vec::new() }
}

/// Returns why a container must be made anew (spec row `life-converge`).
fn differs(
    inputs: &Inputs<'_>,
    nets: &BTreeMap<&str, Net>,
    unit: &Unit<'_>,
    container: &ObservedContainer,
) -> Option<Cause> {
    if container.state == ContainerState::Incomplete {
        return Some(Cause::Incomplete);
    }
    match inputs.recreate {
        // As in Compose, dependencies that were not named are only made anew when they differ.
        Recreate::Force if inputs.services.is_empty() || inputs.services.contains(unit.name) => {
            return Some(Cause::Forced);
        }
        Recreate::Never => return None,
        Recreate::Diverged | Recreate::Force => {}
    }
    if container.label(labels::CONFIG_HASH) != Some(unit.config_hash.as_str()) {
        return Some(Cause::ConfigChanged);
    }
    if unit.image.is_some_and(|image| image.id != container.spec.image.id) {
        return Some(Cause::ImageChanged);
    }
    network_differs(nets, unit.service, container).or_else(|| volume_differs(inputs, unit.service, container))
}

fn network_differs(nets: &BTreeMap<&str, Net>, service: &Service, container: &ObservedContainer) -> Option<Cause> {
    let mut wanted: Vec<&Net> = Vec::with_capacity(service.networks.len());
    if service.network_mode.is_none() {
        wanted.extend(service.networks.keys().filter_map(|key| nets.get(key.as_str())));
    }
    let endpoints = &container.spec.endpoints;
    for net in &wanted {
        let fits = endpoints.iter().any(|e| e.network == net.spec.name && net.spec.subnet.contains(e.address));
        // A lost bridge takes the links of containers that run; a stopped one gets new ones when it starts.
        let lost = net.replaced.is_some() || (net.is_new() && (container.is_up() || net.ensure != Some(Cause::Lost)));
        if !fits || lost {
            return Some(Cause::NetworkChanged(net.spec.name.as_str().to_owned()));
        }
    }
    let left = endpoints.iter().find(|endpoint| wanted.iter().all(|net| net.spec.name != endpoint.network));
    left.map(|endpoint| Cause::NetworkChanged(endpoint.network.as_str().to_owned()))
}

fn volume_differs(inputs: &Inputs<'_>, service: &Service, container: &ObservedContainer) -> Option<Cause> {
    use crate::compose::model::VolumeMountKind;
    service.volumes.iter().find_map(|mount| {
        let VolumeMountKind::Volume { source: Some(key), .. } = &mount.kind else { return None };
        let wanted = &inputs.project.volumes.get(key)?.name;
        let same = container.spec.mounts.iter().any(|other| {
            other.target == mount.target
                && matches!(&other.kind, MountKind::Volume { name, .. } if name.as_str() == wanted)
        });
        (!same).then(|| Cause::VolumeChanged(mount.target.clone()))
    })
}

/// Returns target and name of the container's anonymous volumes.
pub(super) fn anonymous_volumes(spec: &ContainerSpec) -> impl Iterator<Item = (&str, &VolumeName)> {
    spec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name, anonymous: true, .. } => Some((mount.target.as_str(), name)),
        _ => None,
    })
}

/// Tells whether two published ports cannot both be bound.
fn collide(a: &PublishedPort, b: &PublishedPort) -> bool {
    let all = |ip: Option<IpAddr>, other: Option<IpAddr>| match (ip, other) {
        (None, _) => true,
        (Some(ip), Some(other)) => ip.is_unspecified() && ip.is_ipv4() == other.is_ipv4(),
        (Some(_), None) => false,
    };
    a.protocol == b.protocol
        && a.host_port.start == b.host_port.start
        && (a.host_ip == b.host_ip || all(a.host_ip, b.host_ip) || all(b.host_ip, a.host_ip))
}

fn port_text(port: &PublishedPort) -> String {
    let protocol = match port.protocol {
        crate::spec::Protocol::Tcp => "tcp",
        crate::spec::Protocol::Udp => "udp",
    };
    match port.host_ip {
        Some(IpAddr::V6(ip)) => format!("[{ip}]:{}/{protocol}", port.host_port.start),
        Some(ip) => format!("{ip}:{}/{protocol}", port.host_port.start),
        None => format!("{}/{protocol}", port.host_port.start),
    }
}

mod steps;

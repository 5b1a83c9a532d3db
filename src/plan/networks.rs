//! The networks and volumes that a project needs, decided before its containers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use super::addresses::{self, Pool, Subnets};
use super::{Cause, Inputs, Note, Observed, ObservedContainer, Plan, PlanError, Recreate, hash, labels, observed};
use crate::compose::model::{Service, VolumeMountKind};
use crate::ids::{ContainerId, ServiceName, VolumeName};
use crate::spec::{NetworkSpec, VolumeSpec};

/// A network of the project.
pub(super) struct Net {
    pub(super) spec: NetworkSpec,
    /// Why it is made; `None` when it is there.
    pub(super) ensure: Option<Cause>,
    /// The network of the same name that goes away first.
    pub(super) replaced: Option<NetworkSpec>,
    pub(super) pool: Pool,
}

impl Net {
    /// Tells whether containers that run on it have lost it or are about to.
    pub(super) fn is_new(&self) -> bool {
        self.ensure.is_some()
    }
}

/// Returns the networks that the services use, by their key in the file.
pub(super) fn decide<'a>(
    inputs: &Inputs<'a>,
    observed: &Observed,
    services: &[(&'a ServiceName, &'a Service)],
    inside: &HashSet<&ContainerId>,
    plan: &mut Plan,
) -> BTreeMap<&'a str, Net> {
    let existing = observed::networks_by_name(observed);
    let mut subnets = Subnets::new(inputs.host, observed);
    let mut wanted: BTreeMap<&str, &ServiceName> = BTreeMap::new();
    for (name, service) in services.iter().filter(|(_, service)| service.network_mode.is_none()) {
        for key in service.networks.keys() {
            wanted.entry(key).or_insert(name);
        }
    }
    let mut group = None;
    let mut nets = BTreeMap::new();
    for (key, service) in wanted {
        let Some(network) = inputs.project.networks.get(key) else {
            let name = key.to_owned();
            plan.errors.push(PlanError::Undefined { service: service.clone(), kind: "network", name });
            continue;
        };
        if network.external && matches!(network.name.as_str(), "host" | "none") {
            continue;
        }
        let found = existing.get(network.name.as_str());
        let range = addresses::range(network);
        if network.external {
            match found {
                Some(found) => {
                    let ensure = (!found.alive).then_some(Cause::Lost);
                    let pool = Pool::new(&found.spec, None);
                    nets.insert(key, Net { spec: found.spec.clone(), ensure, replaced: None, pool });
                }
                None => plan.errors.push(PlanError::ExternalMissing { kind: "network", name: network.name.clone() }),
            }
            continue;
        }
        if let Some(driver) = network.driver.as_deref().filter(|driver| !matches!(*driver, "" | "bridge" | "default")) {
            let driver = driver.to_owned();
            plan.errors.push(PlanError::UnsupportedDriver { network: network.name.clone(), driver });
            continue;
        }
        let mut replaced = None;
        if let Some(found) = found {
            let own = found.spec.labels.get(labels::PROJECT).map(String::as_str) == Some(inputs.project.name.as_str());
            if !own {
                plan.notes.push(Note::Foreign { kind: "network", name: network.name.clone() });
            }
            let definition = found.spec.labels.get(labels::CONFIG_HASH);
            let drifted = own && definition.is_some_and(|definition| *definition != hash::network(network));
            let user = match drifted {
                true => observed.containers.iter().find(|c| {
                    uses(c, network.name.as_str())
                        && (inputs.recreate == Recreate::Never || !inside.contains(&c.spec.id))
                }),
                false => None,
            };
            if let Some(user) = user {
                let user = user.spec.name.clone();
                plan.notes.push(Note::NetworkKept { network: network.name.clone(), user });
            }
            if !drifted || user.is_some() {
                let ensure = (!found.alive).then_some(Cause::Lost);
                let pool = Pool::new(&found.spec, range.filter(|range| found.spec.subnet.contains(range.network())));
                nets.insert(key, Net { spec: found.spec.clone(), ensure, replaced: None, pool });
                continue;
            }
            replaced = Some(found.spec.clone());
        }
        let group = *group.get_or_insert_with(|| device_group(inputs, observed));
        match addresses::network(inputs, key, network, group, replaced.as_ref(), &mut subnets) {
            Ok(spec) => {
                let pool = Pool::new(&spec, range);
                let cause = match &replaced {
                    Some(_) => Cause::NetworkChanged(network.name.clone()),
                    None => Cause::Missing,
                };
                nets.insert(key, Net { spec, ensure: Some(cause), replaced, pool });
            }
            Err(error) => plan.errors.push(error),
        }
    }
    fill_pools(&mut nets, observed);
    nets
}

/// Tells whether a container is on a network.
pub(super) fn uses(container: &ObservedContainer, network: &str) -> bool {
    container.spec.endpoints.iter().any(|endpoint| endpoint.network.as_str() == network)
}

/// Takes the addresses of all containers that exist out of the pools.
fn fill_pools(nets: &mut BTreeMap<&str, Net>, observed: &Observed) {
    let mut pools: HashMap<String, &mut Pool> = nets
        .values_mut()
        .filter(|net| net.replaced.is_none())
        .map(|net| (net.spec.name.as_str().to_owned(), &mut net.pool))
        .collect();
    for container in &observed.containers {
        for endpoint in &container.spec.endpoints {
            if let Some(pool) = pools.get_mut(endpoint.network.as_str()) {
                pool.take(endpoint.address, &container.spec.name);
            }
        }
    }
}

/// Returns the device group of the project's links: the one it has, else one that is free.
fn device_group(inputs: &Inputs<'_>, observed: &Observed) -> u32 {
    let project = inputs.project.name.as_str();
    let owner = |spec: &NetworkSpec| spec.labels.get(labels::PROJECT).map(String::as_str) == Some(project);
    if let Some(own) = observed.networks.iter().find(|network| owner(&network.spec)) {
        return own.spec.group;
    }
    let used: HashSet<u32> = observed.networks.iter().map(|network| network.spec.group).collect();
    let first = hash::group(project);
    (first..=u32::MAX).find(|group| !used.contains(group)).unwrap_or(first)
}

/// Returns the volumes that are missing, by name.
pub(super) fn volumes(
    inputs: &Inputs<'_>,
    observed: &Observed,
    services: &[(&ServiceName, &Service)],
    plan: &mut Plan,
) -> BTreeMap<VolumeName, VolumeSpec> {
    let existing: HashMap<&str, &VolumeSpec> = observed.volumes.iter().map(|v| (v.name.as_str(), v)).collect();
    let mut seen = HashSet::new();
    let mut missing = BTreeMap::new();
    for (service, key) in services.iter().flat_map(|(name, service)| named(service).map(move |key| (*name, key))) {
        if !seen.insert(key) {
            continue;
        }
        let Some(volume) = inputs.project.volumes.get(key) else {
            let name = key.to_owned();
            plan.errors.push(PlanError::Undefined { service: service.clone(), kind: "volume", name });
            continue;
        };
        let name = VolumeName::new(&volume.name);
        match existing.get(volume.name.as_str()) {
            Some(_) if volume.external => {}
            Some(found) => {
                if found.labels.get(labels::PROJECT).map(String::as_str) != Some(inputs.project.name.as_str()) {
                    plan.notes.push(Note::Foreign { kind: "volume", name: volume.name.clone() });
                } else if found.labels.get(labels::CONFIG_HASH).is_some_and(|hash| *hash != hash::volume(volume)) {
                    plan.notes.push(Note::VolumeDrift(name));
                }
            }
            None if volume.external => {
                plan.errors.push(PlanError::ExternalMissing { kind: "volume", name: volume.name.clone() });
            }
            None => {
                if let Some(driver) = volume.driver.as_deref().filter(|driver| !matches!(*driver, "" | "local")) {
                    let driver = driver.to_owned();
                    plan.notes.push(Note::DriverIgnored { kind: "volume", name: volume.name.clone(), driver });
                }
                let own = [
                    (labels::PROJECT, inputs.project.name.as_str().to_owned()),
                    (labels::VOLUME, key.to_owned()),
                    (labels::CONFIG_HASH, hash::volume(volume)),
                    (labels::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
                ];
                let mut all_labels = volume.labels.clone();
                all_labels.extend(own.map(|(label, value)| (label.to_owned(), value)));
                let bound =
                    volume.driver_opts.get("o").is_some_and(|o| o.split(',').any(|o| matches!(o, "bind" | "rbind")));
                let device = volume.driver_opts.get("device").filter(|_| bound).map(PathBuf::from);
                missing.insert(name.clone(), VolumeSpec { name, labels: all_labels, external: false, device });
            }
        }
    }
    missing
}

/// Returns the keys of the named volumes of a service.
pub(super) fn named(service: &Service) -> impl Iterator<Item = &str> {
    service.volumes.iter().filter_map(|mount| match &mount.kind {
        VolumeMountKind::Volume { source: Some(key), .. } => Some(key.as_str()),
        _ => None,
    })
}

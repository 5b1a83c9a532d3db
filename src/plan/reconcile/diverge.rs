//! Whether a container still is what its service asks for.

use super::*;
use crate::compose::model::VolumeMountKind;

/// What becomes of a container that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as it should be.
    Keep,
    /// It goes on, and is changed while it does.
    Change(Cause),
    /// Another takes its place.
    Replace(Cause),
}

/// Returns what becomes of a container (spec row `life-converge`).
///
/// Only what cannot be changed in place asks for a new container. Compose makes one whenever the
/// configuration differs.
pub(super) fn fate(
    inputs: &Inputs<'_>,
    nets: &BTreeMap<&str, Net>,
    unit: &Unit<'_>,
    container: &ObservedContainer,
) -> Fate {
    if container.state == ContainerState::Incomplete {
        return Fate::Replace(Cause::Incomplete);
    }
    match inputs.recreate {
        // As in Compose, dependencies that were not named are only made anew when they differ.
        Recreate::Force if inputs.services.is_empty() || inputs.services.contains(unit.name) => {
            return Fate::Replace(Cause::Forced);
        }
        Recreate::Never => return Fate::Keep,
        Recreate::Diverged | Recreate::Force => {}
    }
    let differs = container.label(labels::CONFIG_HASH) != Some(unit.config_hash.as_str());
    if differs && container.spec.shape != unit.shape() {
        return Fate::Replace(Cause::ConfigChanged);
    }
    if unit.image.is_some_and(|image| image.id != container.spec.image.id) {
        return Fate::Replace(Cause::ImageChanged);
    }
    let places = places(inputs, nets, unit.service, container, differs);
    if let Fate::Replace(_) = places {
        return places;
    }
    if let Some(cause) = volume_differs(inputs, unit.service, container) {
        return Fate::Replace(cause);
    }
    if differs || !depends_as_before(unit.service, container) {
        return Fate::Change(Cause::ConfigChanged);
    }
    places
}

/// Compares the networks that a container is on with those that it shall be on. One can be joined
/// and left while it runs, unless something else was made for it as it is.
fn places(
    inputs: &Inputs<'_>,
    nets: &BTreeMap<&str, Net>,
    service: &Service,
    container: &ObservedContainer,
    differs: bool,
) -> Fate {
    let changed = |name: &crate::ids::NetworkName| Cause::NetworkChanged(name.as_str().to_owned());
    let endpoints = &container.spec.endpoints;
    let mut wanted = Vec::with_capacity(service.networks.len());
    if service.network_mode.is_none() {
        wanted.extend(service.networks.iter().filter_map(|(key, own)| Some((own, nets.get(key.as_str())?))));
    }
    let mut change = None;
    for (own, net) in &wanted {
        let network = &net.spec.name;
        let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.network == *network) else {
            change.get_or_insert_with(|| changed(network));
            continue;
        };
        // A lost bridge takes the links of containers that run; a stopped one gets new ones when it starts.
        let lost = net.replaced.is_some() || (net.is_new() && (container.is_up() || net.ensure != Some(Cause::Lost)));
        let pinned = own.ipv4_address.is_none_or(|address| address == endpoint.address)
            && own.ipv6_address.is_none_or(|address| net.spec.ipv6.is_none() || Some(address) == endpoint.address6)
            && own.mac_address.is_none_or(|mac| mac.0 == endpoint.mac)
            && own.interface_name.as_ref().is_none_or(|name| *name == endpoint.interface);
        if lost || !net.spec.subnet.contains(endpoint.address) || (differs && !pinned) {
            return Fate::Replace(changed(network));
        }
    }
    for endpoint in endpoints.iter().filter(|e| wanted.iter().all(|(_, net)| net.spec.name != e.network)) {
        // The network goes once nobody is on it: who leaves it meanwhile could wait for it in a circle.
        if nets.values().any(|net| net.replaced.is_some() && net.spec.name == endpoint.network) {
            return Fate::Replace(changed(&endpoint.network));
        }
        change.get_or_insert_with(|| changed(&endpoint.network));
    }
    if change.is_none() && !differs {
        return Fate::Keep;
    }
    // The address of the host in its files, and where its published ports lead, are those of this network.
    let before = endpoints.iter().find(|e| e.default_route).map(|e| &e.network);
    let after = super::attach::default_network(nets, service).map(|key| &nets[key].spec.name);
    let named = inputs.host.host_gateway.is_none() && service.extra_hosts.iter().any(|(_, to)| to.is_none());
    let led = !container.spec.ports.is_empty() && !endpoints.is_empty();
    let first_stays = endpoints.first().is_some_and(|e| wanted.iter().any(|(_, net)| net.spec.name == e.network));
    let moved = (before != after && (named || led)) || (led && after.is_none() && !first_stays);
    // Its resolver is the engine's only where it is on a network.
    if moved || endpoints.is_empty() != wanted.is_empty() {
        let name = after.or(before).map(|name| name.as_str().to_owned());
        return Fate::Replace(name.map_or(Cause::ConfigChanged, Cause::NetworkChanged));
    }
    change.map_or(Fate::Keep, Fate::Change)
}

/// Tells whether the container's label still says what its service depends on: `stop` and
/// `restart` read it.
fn depends_as_before(service: &Service, container: &ObservedContainer) -> bool {
    let label = container.label(labels::DEPENDS_ON).unwrap_or_default();
    if service.depends_on.is_empty() { label.is_empty() } else { labels::depends_on(service) == label }
}

fn volume_differs(inputs: &Inputs<'_>, service: &Service, container: &ObservedContainer) -> Option<Cause> {
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

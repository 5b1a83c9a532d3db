//! Whether a container still is what its service asks for.

use super::*;
use crate::compose::model::VolumeMountKind;

/// Returns why a container must be made anew (spec row `life-converge`).
pub(super) fn differs(
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

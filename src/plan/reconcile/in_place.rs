//! Containers that are changed while they live.

use super::*;
use crate::plan::review;

/// A container as it shall be, and what of it differs from what is there.
pub(super) struct Amended {
    pub(super) spec: ContainerSpec,
    /// Attributes as a Compose file names them.
    pub(super) fields: Vec<String>,
}

/// Returns the container that is there with everything of the wanted one that can be changed in
/// place. `wanted` has the same id and name.
pub(super) fn amend(current: &ContainerSpec, wanted: ContainerSpec, service: &Service, net_keys: &[&str]) -> Amended {
    let mut labels = wanted.labels;
    if let Some(id) = current.labels.get(labels::REPLACES) {
        labels.insert(labels::REPLACES.to_owned(), id.clone());
    }
    let spec = ContainerSpec {
        labels,
        shape: wanted.shape,
        resources: wanted.resources,
        stop_signal: wanted.stop_signal,
        stop_grace: wanted.stop_grace,
        restart: wanted.restart,
        healthcheck: wanted.healthcheck,
        ready: wanted.ready,
        exposed: wanted.exposed,
        endpoints: endpoints(&current.endpoints, wanted.endpoints, service, net_keys),
        ..current.clone()
    };
    let fields = review::changed(current, &spec).into_iter().map(|change| change.field).collect();
    Amended { spec, fields }
}

/// Returns the places of a container that stays: those it keeps as they are, new ones after them.
///
/// Interfaces keep their names, so a new one has the next free one, also where a container that is
/// made anew would have another order. `keys` are the networks' keys, in the order of `wanted`.
fn endpoints(current: &[Endpoint], wanted: Vec<Endpoint>, service: &Service, keys: &[&str]) -> Vec<Endpoint> {
    let mut kept = Vec::with_capacity(wanted.len());
    let mut joined = Vec::new();
    for (at, endpoint) in wanted.into_iter().enumerate() {
        match current.iter().position(|old| old.network == endpoint.network) {
            Some(place) => {
                let Endpoint { aliases, default_route, .. } = endpoint;
                kept.push((place, Endpoint { aliases, default_route, ..current[place].clone() }));
            }
            None => joined.push((at, endpoint)),
        }
    }
    kept.sort_by_key(|(place, _)| *place);
    let mut all: Vec<Endpoint> = kept.into_iter().map(|(_, endpoint)| endpoint).collect();
    for (at, mut endpoint) in joined {
        let named = keys.get(at).and_then(|key| service.networks.get(*key)).and_then(|n| n.interface_name.as_ref());
        if named.is_none() {
            // Not the name of one that is left, either: it goes last.
            let taken = |name: &str| current.iter().chain(&all).any(|other| other.interface == name);
            let free = (0..).map(|n| format!("eth{n}")).find(|name| !taken(name));
            endpoint.interface = free.unwrap_or(endpoint.interface);
        }
        all.push(endpoint);
    }
    all
}

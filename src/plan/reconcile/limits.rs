//! What cannot be, however it is planned: two holders of one port, too many ports on a bridge.

use std::cmp::Reverse;

use super::*;
use crate::compose::model::MAX_CONTAINERS;

/// Most ports that a Linux bridge can have (`BR_MAX_PORTS`).
const BRIDGE_PORTS: usize = 1023;

impl Up<'_> {
    /// Reports ports of the host that two containers want.
    pub(super) fn check_ports(&mut self, specs: &HashMap<(usize, usize), ContainerSpec>) {
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
    pub(super) fn check_bridges(&mut self) {
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

/// Returns the error for more containers than a project can have, before anything is made for each of them.
pub(super) fn too_many<'a>(counts: impl Iterator<Item = (&'a ServiceName, u32)>) -> Option<PlanError> {
    let counts: Vec<_> = counts.collect();
    let count = counts.iter().map(|(_, of)| u64::from(*of)).sum();
    let (service, of) = counts.into_iter().max_by_key(|(name, of)| (*of, Reverse(*name)))?;
    (count > MAX_CONTAINERS.into()).then(|| PlanError::TooManyContainers { count, service: service.clone(), of })
}

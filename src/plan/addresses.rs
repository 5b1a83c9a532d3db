//! Subnets for networks and addresses for containers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use super::{HostFacts, Inputs, Observed, PlanError, hash, labels};
use crate::compose::model::Network;
use crate::ids::NetworkName;
use crate::spec::NetworkSpec;

/// Returns the subnets that networks get unless the file names one: Docker's, then more, so
/// that the thirty-second network is no problem.
pub fn default_pool() -> Vec<IpNetwork> {
    let v4 = |a, b, c, prefix| Ipv4Network::new(Ipv4Addr::new(a, b, c, 0), prefix).map(IpNetwork::V4);
    let docker_large = (17..=31).map(|b| v4(172, b, 0, 16));
    let docker_small = (0..16).map(|c| v4(192, 168, c * 16, 20));
    let more = (201..=254).flat_map(|b| (0..16).map(move |c| v4(10, b, c * 16, 20)));
    // The prefixes above are valid, so nothing is dropped here.
    docker_large.chain(docker_small).chain(more).flatten().collect()
}

/// Tells whether two subnets share an address.
pub(super) fn overlap(a: IpNetwork, b: IpNetwork) -> bool {
    match (a, b) {
        (IpNetwork::V4(a), IpNetwork::V4(b)) => a.contains(b.network()) || b.contains(a.network()),
        (IpNetwork::V6(a), IpNetwork::V6(b)) => a.contains(b.network()) || b.contains(a.network()),
        _ => false,
    }
}

/// Subnets that are used: by other networks, and by networks of this very plan.
pub(super) struct Subnets<'a> {
    facts: &'a HostFacts,
    /// With the name of the network that has it.
    used: Vec<(IpNetwork, String)>,
    next: usize,
}

impl<'a> Subnets<'a> {
    pub(super) fn new(facts: &'a HostFacts, observed: &Observed) -> Self {
        let used = observed.networks.iter().flat_map(|network| {
            let spec = &network.spec;
            let v6 = spec.ipv6.map(|(subnet, _)| IpNetwork::V6(subnet));
            std::iter::once(IpNetwork::V4(spec.subnet)).chain(v6).map(|subnet| (subnet, spec.name.as_str().to_owned()))
        });
        Self { facts, used: used.collect(), next: 0 }
    }

    /// Gives the subnets of a network that is made anew back.
    pub(super) fn release(&mut self, network: &str) {
        self.used.retain(|(_, holder)| holder != network);
    }

    fn holder(&self, subnet: IpNetwork) -> Option<&str> {
        self.used.iter().find(|(used, _)| overlap(*used, subnet)).map(|(_, holder)| holder.as_str())
    }

    fn claim(&mut self, subnet: IpNetwork, network: &str) -> Result<(), PlanError> {
        if let Some(other) = self.holder(subnet) {
            let other = format!("network {other}");
            return Err(PlanError::SubnetTaken { network: network.to_owned(), subnet: subnet.to_string(), other });
        }
        self.used.push((subnet, network.to_owned()));
        Ok(())
    }

    fn next_of_pool(&mut self, network: &str) -> Result<Ipv4Network, PlanError> {
        while let Some(candidate) = self.facts.pool.get(self.next).copied() {
            self.next += 1;
            let IpNetwork::V4(subnet) = candidate else { continue };
            let free = !self.facts.used_subnets.iter().any(|used| overlap(*used, candidate));
            if free && self.holder(candidate).is_none() {
                self.used.push((candidate, network.to_owned()));
                return Ok(subnet);
            }
        }
        Err(PlanError::SubnetsExhausted(network.to_owned()))
    }
}

/// Returns a new network as the file defines it; `previous` is the one it replaces, whose
/// subnet it keeps where the file leaves the choice.
pub(super) fn network(
    inputs: &Inputs<'_>,
    key: &str,
    network: &Network,
    group: u32,
    previous: Option<&NetworkSpec>,
    subnets: &mut Subnets<'_>,
) -> Result<NetworkSpec, PlanError> {
    let name = network.name.as_str();
    let bad = |why: String| PlanError::BadIpam { network: name.to_owned(), why };
    if previous.is_some() {
        subnets.release(name);
    }
    let asked = network.ipam.config.iter().find_map(|pool| match pool.subnet {
        Some(IpNetwork::V4(subnet)) => Some(subnet),
        _ => None,
    });
    let subnet = match (asked, previous) {
        (Some(subnet), _) => {
            let subnet = normal(subnet);
            if subnet.prefix() > 30 || subnet.prefix() == 0 {
                return Err(bad(format!("subnet {subnet} has no room for a gateway and containers")));
            }
            subnets.claim(IpNetwork::V4(subnet), name)?;
            subnet
        }
        (None, Some(previous)) if subnets.claim(IpNetwork::V4(previous.subnet), name).is_ok() => previous.subnet,
        (None, _) => subnets.next_of_pool(name)?,
    };
    let gateway = network.ipam.config.iter().find_map(|pool| match pool.gateway {
        Some(IpAddr::V4(gateway)) => Some(gateway),
        _ => None,
    });
    let gateway = gateway.unwrap_or_else(|| Ipv4Addr::from(u32::from(subnet.network()) + 1));
    if !usable(subnet, gateway) {
        return Err(bad(format!("gateway {gateway} is no host address of subnet {subnet}")));
    }
    if let Some(range) = range(network)
        && !(subnet.contains(range.network()) && subnet.contains(range.broadcast()))
    {
        return Err(bad(format!("ip_range {range} is not in subnet {subnet}")));
    }
    let ipv6 = match network.enable_ipv6 {
        true => Some(ipv6(network, previous, subnets)?),
        false => None,
    };
    let id = hash::id(inputs.seed, &["network", name, previous.map_or("", |previous| &previous.id)]);
    let mut all_labels = network.labels.clone();
    let own = [
        (labels::PROJECT, inputs.project.name.as_str().to_owned()),
        (labels::NETWORK, key.to_owned()),
        (labels::CONFIG_HASH, hash::network(network)),
        (labels::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
    ];
    all_labels.extend(own.map(|(label, value)| (label.to_owned(), value)));
    Ok(NetworkSpec {
        name: NetworkName::new(name),
        bridge: format!("br-{}", id.short()),
        id: id.as_str().to_owned(),
        group,
        subnet,
        gateway,
        ipv6,
        internal: network.internal,
        external: false,
        mtu: network.driver_opts.get("com.docker.network.driver.mtu").and_then(|mtu| mtu.parse().ok()),
        labels: all_labels,
    })
}

/// Returns the IPv6 subnet and gateway: the file's, the previous ones, or a unique local
/// prefix (RFC 4193) derived from the network's name.
fn ipv6(
    network: &Network,
    previous: Option<&NetworkSpec>,
    subnets: &mut Subnets<'_>,
) -> Result<(Ipv6Network, Ipv6Addr), PlanError> {
    let name = network.name.as_str();
    let bad = |why: String| PlanError::BadIpam { network: name.to_owned(), why };
    let asked = network.ipam.config.iter().find_map(|pool| match pool.subnet {
        Some(IpNetwork::V6(subnet)) => Some(subnet),
        _ => None,
    });
    let derived = || {
        let bytes = hash::derive(0, &["ula", name]);
        let global = [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]];
        let [a, b, c, d, e] = global.map(u16::from);
        Ipv6Network::new(Ipv6Addr::new(0xfd00 | a, b << 8 | c, d << 8 | e, 0, 0, 0, 0, 0), 64)
            .map_err(|err| bad(err.to_string()))
    };
    let subnet = match (asked, previous.and_then(|previous| previous.ipv6)) {
        (Some(subnet), _) => subnet,
        (None, Some((subnet, _))) => subnet,
        (None, None) => derived()?,
    };
    if subnet.prefix() > 96 {
        return Err(bad(format!("IPv6 subnet {subnet} is smaller than /96")));
    }
    subnets.claim(IpNetwork::V6(subnet), name)?;
    let gateway = network.ipam.config.iter().find_map(|pool| match pool.gateway {
        Some(IpAddr::V6(gateway)) => Some(gateway),
        _ => None,
    });
    let gateway = gateway.unwrap_or_else(|| Ipv6Addr::from(u128::from(subnet.network()) + 1));
    if !subnet.contains(gateway) {
        return Err(bad(format!("gateway {gateway} is not in subnet {subnet}")));
    }
    Ok((subnet, gateway))
}

/// Returns the range that dynamic addresses come from, if the file names one.
pub(super) fn range(network: &Network) -> Option<Ipv4Network> {
    network.ipam.config.iter().find_map(|pool| match pool.ip_range {
        Some(IpNetwork::V4(range)) => Some(normal(range)),
        _ => None,
    })
}

/// Returns the IPv6 address that goes with an IPv4 one: the subnet's prefix and the IPv4 address
/// as its last 32 bits, so that it is unique where that is.
pub(super) fn paired(subnet: Ipv6Network, address: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(subnet.network()) | u128::from(u32::from(address)))
}

/// Tells whether a container or gateway can have the address.
pub(super) fn usable(subnet: Ipv4Network, address: Ipv4Addr) -> bool {
    subnet.contains(address) && address != subnet.network() && address != subnet.broadcast()
}

/// The addresses of one network.
pub(super) struct Pool {
    network: String,
    pub(super) subnet: Ipv4Network,
    range: Ipv4Network,
    gateway: Ipv4Addr,
    /// Address to the id of the container that has it.
    taken: HashMap<Ipv4Addr, String>,
    next: u64,
}

impl Pool {
    pub(super) fn new(spec: &NetworkSpec, range: Option<Ipv4Network>) -> Self {
        let range = range.unwrap_or(spec.subnet);
        Self {
            network: spec.name.as_str().to_owned(),
            subnet: spec.subnet,
            range,
            gateway: spec.gateway,
            taken: HashMap::new(),
            next: u64::from(u32::from(range.network())),
        }
    }

    /// Returns the id of the container that has the address, or that it is the gateway's.
    pub(super) fn holder(&self, address: Ipv4Addr) -> Option<&str> {
        match self.taken.get(&address) {
            Some(holder) => Some(holder),
            None if address == self.gateway => Some("the gateway"),
            None => None,
        }
    }

    pub(super) fn take(&mut self, address: Ipv4Addr, holder: &str) {
        self.taken.insert(address, holder.to_owned());
    }

    pub(super) fn free(&mut self, address: Ipv4Addr) {
        self.taken.remove(&address);
    }

    /// Takes the address if a container can have it and nobody has.
    pub(super) fn try_take(&mut self, address: Ipv4Addr, holder: &str) -> bool {
        let free = usable(self.subnet, address) && self.holder(address).is_none();
        if free {
            self.take(address, holder);
        }
        free
    }

    /// Takes the lowest address of the range that is free.
    pub(super) fn take_next(&mut self, holder: &str) -> Result<Ipv4Addr, PlanError> {
        let last = u64::from(u32::from(self.range.broadcast()));
        while self.next <= last {
            // `next` is at most the broadcast address, which has 32 bits.
            let address = Ipv4Addr::from(u32::try_from(self.next).unwrap_or(u32::MAX));
            self.next += 1;
            if self.try_take(address, holder) {
                return Ok(address);
            }
        }
        Err(PlanError::AddressesExhausted { network: self.network.clone(), range: self.range.to_string() })
    }
}

/// Returns the subnet with its host bits cleared.
fn normal(subnet: Ipv4Network) -> Ipv4Network {
    Ipv4Network::new(subnet.network(), subnet.prefix()).unwrap_or(subnet)
}

//! What links of running containers are missing, and how they come back. Pure.
//!
//! The desired state are the specifications of the containers that run: nothing that a user takes
//! down is made again.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{ContainerId, NetworkName};
use crate::spec::{ContainerSpec, NetworkSpec};

/// The links that stand in the router namespace and are up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Names of bridges.
    pub bridges: BTreeSet<String>,
    /// The router's side of each pair, and the bridge it hangs on.
    pub veths: BTreeMap<String, Option<String>>,
    /// The way out.
    pub uplink: bool,
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// The way out of the router namespace.
    Uplink,
    /// A network's bridge.
    Bridge(NetworkName),
    /// A container's place on a network.
    Endpoint {
        /// The container.
        container: ContainerId,
        /// The network.
        network: NetworkName,
        /// What is wrong.
        cause: String,
    },
}

/// Returns what must be mended so that the containers that run are connected as specified, in this
/// order. Those that share the network of another, or of the host, have nothing of their own.
pub fn repairs<'a>(
    networks: &BTreeMap<NetworkName, NetworkSpec>,
    running: impl IntoIterator<Item = &'a ContainerSpec>,
    links: &Links,
) -> Vec<Repair> {
    let mut bridges: BTreeMap<&NetworkName, ()> = BTreeMap::new();
    let mut endpoints = Vec::new();
    let mut way_out = false;
    let mut running: Vec<&ContainerSpec> = running.into_iter().collect();
    running.sort_by(|a, b| a.name.cmp(&b.name));
    for spec in running {
        for endpoint in &spec.endpoints {
            let Some(network) = networks.get(&endpoint.network) else { continue };
            way_out |= !network.internal;
            let cause = if !links.bridges.contains(&network.bridge) {
                bridges.insert(&network.name, ());
                format!("bridge {} of network {} was removed", network.bridge, network.name)
            } else {
                match links.veths.get(&endpoint.veth) {
                    Some(Some(bridge)) if *bridge == network.bridge => continue,
                    Some(_) => format!("link {} was taken off bridge {}", endpoint.veth, network.bridge),
                    None => format!("link {} to network {} was removed or set down", endpoint.veth, network.name),
                }
            };
            endpoints.push(Repair::Endpoint { container: spec.id.clone(), network: network.name.clone(), cause });
        }
    }
    let uplink = (way_out && !links.uplink).then_some(Repair::Uplink);
    let bridges = bridges.into_keys().map(|name| Repair::Bridge(name.clone()));
    uplink.into_iter().chain(bridges).chain(endpoints).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::fixture;

    fn network() -> NetworkSpec {
        NetworkSpec {
            name: NetworkName::new("app_default"),
            id: "0".repeat(64),
            bridge: "br0".to_owned(),
            group: 7,
            subnet: "10.1.0.0/24".parse().unwrap(),
            gateway: [10, 1, 0, 1].into(),
            ipv6: None,
            internal: false,
            external: false,
            mtu: None,
            labels: BTreeMap::new(),
        }
    }

    /// Two containers on one network; `links` says what stands.
    #[track_caller]
    fn check(links: &Links, expected: &[&str]) {
        let networks = BTreeMap::from([(network().name, network())]);
        let container = |digit: char, name: &str, veth: &str| {
            let mut spec = fixture::container();
            (spec.id, spec.name) = (fixture::id(digit), name.to_owned());
            veth.clone_into(&mut spec.endpoints[0].veth);
            spec
        };
        let specs = [container('a', "web", "vethweb"), container('b', "db", "vethdb")];
        let name = |id: &ContainerId| specs.iter().find(|s| s.id == *id).map_or("?", |s| s.name.as_str());
        let shown: Vec<String> = repairs(&networks, &specs, links)
            .iter()
            .map(|repair| match repair {
                Repair::Uplink => "uplink".to_owned(),
                Repair::Bridge(name) => format!("bridge of {name}"),
                Repair::Endpoint { container, cause, .. } => format!("{}: {cause}", name(container)),
            })
            .collect();
        assert_eq!(shown, expected);
    }

    fn links(bridges: &[&str], veths: &[(&str, Option<&str>)]) -> Links {
        Links {
            bridges: bridges.iter().map(ToString::to_string).collect(),
            veths: veths.iter().map(|(veth, bridge)| (veth.to_string(), bridge.map(str::to_owned))).collect(),
            uplink: true,
        }
    }

    #[test]
    fn nothing_to_mend() {
        let whole = links(&["br0"], &[("vethweb", Some("br0")), ("vethdb", Some("br0")), ("other", None)]);
        check(&whole, &[]);
        check(&Links { uplink: false, ..whole }, &["uplink"]);
        let networks = BTreeMap::from([(network().name, network())]);
        assert_eq!(repairs(&networks, [], &Links::default()), [], "nobody runs: nothing is made again");
    }

    #[test]
    fn links_come_back() {
        check(
            &links(&["br0"], &[("vethdb", Some("br0"))]),
            &["web: link vethweb to network app_default was removed or set down"],
        );
        check(
            &links(&["br0"], &[("vethdb", None), ("vethweb", Some("br0"))]),
            &["db: link vethdb was taken off bridge br0"],
        );
        check(
            &links(&[], &[("vethdb", None), ("vethweb", None)]),
            &[
                "bridge of app_default",
                "db: bridge br0 of network app_default was removed",
                "web: bridge br0 of network app_default was removed",
            ],
        );
    }
}

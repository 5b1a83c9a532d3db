//! Networks, a service's place on them, and its ports.

use std::collections::HashSet;
use std::net::IpAddr;

use indexmap::IndexMap;

use super::Binder;
use super::read::{entries, flag, items, text, texts, texts_by_key};
use crate::compose::model::{ExternalLink, Ipam, IpamPool, Network, Port, ServiceNetwork};
use crate::compose::tree::Node;
use crate::ids::ServiceName;
use crate::spec::{PortRange, Protocol};

/// Longest name of an interface, in bytes (`IFNAMSIZ` and its final 0).
const INTERFACE_NAME: usize = 15;

impl Binder<'_> {
    pub(super) fn network(&mut self, node: &Node) -> Network {
        Network {
            name: text(node, "name").unwrap_or_default(),
            external: flag(node, "external"),
            driver: text(node, "driver"),
            driver_opts: texts_by_key(node, "driver_opts"),
            internal: flag(node, "internal"),
            enable_ipv4: node.get("enable_ipv4").map(Node::is_true),
            enable_ipv6: flag(node, "enable_ipv6"),
            ipam: node.get("ipam").map(|ipam| self.ipam(ipam)).unwrap_or_default(),
            attachable: flag(node, "attachable"),
            labels: texts_by_key(node, "labels"),
        }
    }

    fn ipam(&mut self, node: &Node) -> Ipam {
        let pools = items(node, "config").iter().map(|pool| IpamPool {
            subnet: self.parse(pool.get("subnet"), "a subnet such as 10.5.0.0/16"),
            gateway: self.parse(pool.get("gateway"), "an IP address"),
            ip_range: self.parse(pool.get("ip_range"), "a range such as 10.5.1.0/24"),
            aux_addresses: entries(pool, "aux_addresses")
                .filter_map(|(host, at)| Some((host.clone(), self.parse(Some(at), "an IP address")?)))
                .collect(),
        });
        let config = pools.collect();
        Ipam { driver: text(node, "driver"), config, options: texts_by_key(node, "options") }
    }

    /// Returns a service's networks; `network_mode: bridge` is the default one.
    pub(super) fn networks(&mut self, node: &Node) -> IndexMap<String, ServiceNetwork> {
        let mode = node.get("network_mode").and_then(Node::as_text);
        if matches!(mode, Some("bridge" | "default")) {
            return IndexMap::from([("default".to_owned(), ServiceNetwork::default())]);
        }
        entries(node, "networks").map(|(key, node)| (key.clone(), self.endpoint(node))).collect()
    }

    pub(super) fn endpoint(&mut self, node: &Node) -> ServiceNetwork {
        let number = |key: &str| node.get(key).and_then(Node::as_int).unwrap_or_default();
        ServiceNetwork {
            aliases: texts(node, "aliases"),
            ipv4_address: self.parse(node.get("ipv4_address"), "an IPv4 address"),
            ipv6_address: self.parse(node.get("ipv6_address"), "an IPv6 address"),
            link_local_ips: self.addresses(node, "link_local_ips"),
            mac_address: node.get("mac_address").and_then(|at| self.unit(at)),
            interface_name: node.get("interface_name").and_then(|at| self.interface_name(at)),
            priority: number("priority"),
            gw_priority: number("gw_priority"),
            driver_opts: texts_by_key(node, "driver_opts"),
        }
    }

    fn interface_name(&mut self, node: &Node) -> Option<String> {
        let name = node.as_text().filter(|name| !name.is_empty())?;
        let wrong = |c: char| c == '/' || c == ':' || c.is_whitespace();
        if name.len() > INTERFACE_NAME || name.contains(wrong) || name.starts_with('.') {
            self.error(node, format!("{name:?} is not the name of an interface: at most 15 characters, no / or :"));
        }
        Some(name.to_owned())
    }

    pub(super) fn ports(&mut self, node: &Node) -> Vec<Port> {
        // One file may have given a port as a number, another as a text: that is one.
        let mut seen = HashSet::new();
        let ports = items(node, "ports").iter().filter_map(|item| self.port(item));
        let same = |port: &Port| (port.published.map(|p| (p.start, p.end)), port.target, port.host_ip, port.protocol);
        ports.filter(|port| port.published.is_none() || seen.insert(same(port))).collect()
    }

    pub(super) fn port(&mut self, node: &Node) -> Option<Port> {
        let target = node.get("target")?;
        let Some(number) = target.as_int().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0) else {
            self.error(target, "a port is a number from 1 to 65535".to_owned());
            return None;
        };
        let published = match node.get("published").and_then(Node::as_text) {
            None | Some("") => None,
            Some(_) => self.parse(node.get("published"), "a port or a range of ports"),
        };
        let protocol = match node.get("protocol").and_then(Node::as_text).map(str::to_lowercase).as_deref() {
            None | Some("tcp" | "") => Protocol::Tcp,
            Some("udp") => Protocol::Udp,
            Some(other) => {
                let at = node.get("protocol").unwrap_or(node);
                self.error(at, format!("ports of the protocol {other:?} cannot be published: only tcp and udp"));
                self.meant(other, ["tcp", "udp"]);
                Protocol::Tcp
            }
        };
        let host_ip = self.parse(node.get("host_ip"), "an IP address");
        let mode = self.word(node.get("mode"), &["ingress", "host"]).unwrap_or_default();
        let (name, app_protocol) = (text(node, "name"), text(node, "app_protocol"));
        Some(Port { target: number, published, host_ip, protocol, mode, name, app_protocol })
    }

    /// Checks `expose`: it is kept as written.
    pub(super) fn expose(&mut self, node: &Node) -> Vec<String> {
        for item in items(node, "expose") {
            let text = item.as_text().unwrap_or_default();
            let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let known = matches!(protocol, "tcp" | "udp" | "sctp");
            if !known || ports.parse::<PortRange>().is_err() {
                self.error(item, format!("{text:?} is not a port, a range of ports or PORT/PROTOCOL"));
            }
        }
        texts(node, "expose")
    }

    pub(super) fn extra_hosts(&mut self, node: &Node) -> Vec<(String, Option<IpAddr>)> {
        let items = items(node, "extra_hosts");
        let mut hosts = Vec::with_capacity(items.len());
        for item in items {
            let Some((host, address)) = item.as_text().and_then(|text| text.split_once('=')) else { continue };
            if address == "host-gateway" {
                hosts.push((host.to_owned(), None));
            } else {
                match address.parse() {
                    Ok(address) => hosts.push((host.to_owned(), Some(address))),
                    Err(_) => self.error(item, format!("{address:?} is neither an IP address nor host-gateway")),
                }
            }
        }
        hosts
    }

    pub(super) fn addresses(&mut self, node: &Node, key: &str) -> Vec<IpAddr> {
        items(node, key).iter().filter_map(|item| self.parse(Some(item), "an IP address")).collect()
    }
}

pub(super) fn links(node: &Node) -> Vec<(ServiceName, String)> {
    let pair = |link: &String| {
        let (service, alias) = link.split_once(':').unwrap_or((link, link));
        (ServiceName::new(service), alias.to_owned())
    };
    texts(node, "links").iter().map(pair).collect()
}

pub(super) fn external_links(node: &Node) -> Vec<ExternalLink> {
    let link = |link: &String| {
        let (container, alias) = link.split_once(':').unwrap_or((link, link));
        ExternalLink { container: container.to_owned(), alias: alias.to_owned() }
    };
    texts(node, "external_links").iter().map(link).collect()
}

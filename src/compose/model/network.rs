//! Networks, and a service's place on them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use super::units::MacAddress;
use crate::spec::{PortRange, Protocol};

attributes! {
    /// A top-level network: a segment of its own, whose containers find each other by name.
    pub struct Network {
        /// Engine-wide name, `project_key` or `name:`.
        pub name: String,
        /// Must exist already and is never removed.
        pub external: bool,
        /// `bridge` unless named; `host` and `none` are accepted for external ones.
        pub driver: Option<String>,
        /// `driver_opts`: `com.docker.network.driver.mtu`, ...
        pub driver_opts: BTreeMap<String, String>,
        /// No way out.
        pub internal: bool,
        /// IPv4; true when absent.
        pub enable_ipv4: Option<bool>,
        /// IPv6 as well.
        pub enable_ipv6: bool,
        /// Where its addresses come from.
        pub ipam: Ipam,
        /// A switch of Swarm clusters: containers may join by hand, which they always may here.
        pub attachable: bool,
        /// User labels.
        pub labels: BTreeMap<String, String>,
    }

    /// `ipam`: where a network's addresses come from.
    pub struct Ipam {
        /// `default` unless named; there is no other here.
        pub driver: Option<String>,
        /// Pools, one for IPv4 and one for IPv6; chosen from a private range when empty.
        pub config: Vec<IpamPool>,
        /// Settings of the driver.
        pub options: BTreeMap<String, String>,
    }

    /// One entry of `ipam.config`.
    pub struct IpamPool {
        /// Addresses of the network.
        pub subnet: Option<IpNetwork>,
        /// The bridge's address; the first of the subnet when absent.
        pub gateway: Option<IpAddr>,
        /// Addresses that containers without one of their own may get; the whole subnet when absent.
        pub ip_range: Option<IpNetwork>,
        /// `aux_addresses`: addresses of other machines, by name, that no container gets.
        pub aux_addresses: BTreeMap<String, IpAddr>,
    }

    /// A service's place on a network.
    pub struct ServiceNetwork {
        /// Further names on this network.
        pub aliases: Vec<String>,
        /// `ipv4_address`: the one it always has; the network needs a subnet of its own.
        pub ipv4_address: Option<Ipv4Addr>,
        /// `ipv6_address`, alike.
        pub ipv6_address: Option<Ipv6Addr>,
        /// `link_local_ips`: further addresses of the interface.
        pub link_local_ips: Vec<IpAddr>,
        /// `mac_address`; made from the IPv4 address when absent.
        pub mac_address: Option<MacAddress>,
        /// `interface_name`: at most 15 bytes; `eth0`, `eth1`, ... when absent.
        pub interface_name: Option<String>,
        /// `priority`: networks with a higher one are connected first; 0 when absent.
        pub priority: i64,
        /// `gw_priority`: the network with the highest holds the default route; 0 when absent.
        pub gw_priority: i64,
        /// `driver_opts` of the endpoint.
        pub driver_opts: BTreeMap<String, String>,
    }
}

/// One published port. A range in the file is one entry a container port here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Port in the container.
    pub target: u16,
    /// Host port or range to choose from; `None` lets the kernel choose.
    pub published: Option<PortRange>,
    /// Host address; all when absent.
    pub host_ip: Option<IpAddr>,
    /// Transport.
    pub protocol: Protocol,
    /// `mode`: a cluster's choice between all its hosts and the one that runs it, which is the
    /// same here.
    #[serde(default, skip_serializing_if = "super::says_nothing")]
    pub mode: PortMode,
    /// `name`: what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `app_protocol`: what is spoken over it, `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// `ports.mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortMode {
    /// On all hosts.
    #[default]
    Ingress,
    /// On the host that runs the container.
    Host,
}

/// One `external_links` entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalLink {
    /// Name of a container outside the project.
    pub container: String,
    /// Name it is found by; its own when the file gives none.
    pub alias: String,
}

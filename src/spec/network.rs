//! Networks, endpoints and published ports, fully decided.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{Ipv4Network, Ipv6Network};
use serde::{Deserialize, Serialize};

use crate::ids::NetworkName;

/// One bridge network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Its engine-wide name, `project_default`.
    pub name: NetworkName,
    /// 64 hexadecimal digits, shown by `inspect`.
    pub id: String,
    /// Name of the bridge link in the router namespace, at most 15 bytes (IFNAMSIZ).
    pub bridge: String,
    /// Device group of all links of the project: `down` removes them with one message.
    pub group: u32,
    /// Addresses of the network.
    pub subnet: Ipv4Network,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// IPv6 subnet and the bridge's address in it, when enabled.
    pub ipv6: Option<(Ipv6Network, Ipv6Addr)>,
    /// No way out.
    pub internal: bool,
    /// Made by another project: must exist, is never removed.
    pub external: bool,
    /// Link MTU; `None` for the uplink's.
    pub mtu: Option<u32>,
    /// Labels, Compose's own among them.
    pub labels: BTreeMap<String, String>,
}

/// A container's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkName,
    /// Link name inside the container, `eth0`.
    pub interface: String,
    /// Link name of the router's side, at most 15 bytes.
    pub veth: String,
    /// Address in the network's subnet.
    pub address: Ipv4Addr,
    /// IPv6 address where the network has IPv6.
    pub address6: Option<Ipv6Addr>,
    /// Hardware address; `02:42:` and the IPv4 address unless the file says otherwise.
    pub mac: [u8; 6],
    /// Names it answers to on this network besides container name and short id: the service
    /// name, aliases, the host name.
    pub aliases: Vec<String>,
    /// The default route goes through this network.
    pub default_route: bool,
}

/// Transport of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Host ports to choose from, both ends included; `0-0` lets the kernel choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// First.
    pub start: u16,
    /// Last.
    pub end: u16,
}

impl std::fmt::Display for PortRange {
    /// Writes `80`, or `8000-8010`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.start)?;
        if self.start == self.end { Ok(()) } else { write!(f, "-{}", self.end) }
    }
}

impl std::str::FromStr for PortRange {
    type Err = NotPorts;

    /// Reads `80` or `8000-8010`.
    fn from_str(text: &str) -> Result<Self, NotPorts> {
        let (start, end) = text.split_once('-').unwrap_or((text, text));
        match (start.parse(), end.parse()) {
            (Ok(start), Ok(end)) if start <= end => Ok(Self { start, end }),
            _ => Err(NotPorts(text.to_owned())),
        }
    }
}

/// A text is neither a port nor a range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a port or a range of ports such as 8000-8010")]
pub struct NotPorts(pub String);

/// A port of the container that is reachable on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Host address; `None` for all, IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// Host port or ports to try.
    pub host_port: PortRange,
    /// Port in the container.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Most sockets of published ports that one container can hand over to another: with one message of a unix socket
/// go 253 (`SCM_MAX_FD`).
pub const MOST_HANDED_OVER: usize = 250;

impl PublishedPort {
    /// Returns how many sockets it has on the host, at most: one for each version of IP.
    pub fn sockets(&self) -> usize {
        if self.host_ip.is_none() { 2 } else { 1 }
    }
}

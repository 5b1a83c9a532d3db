//! What of the model's nested attributes makes a container what it is, in the form it has been
//! hashed in from the first version on: these types must not change but for attributes that are
//! new in force, and those are left out while they are absent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use ipnetwork::IpNetwork;
use serde::Serialize;

use crate::compose::model::{
    self, Bytes, HealthTest, IpamPool, MacAddress, Mode, ServiceNetwork, VolumeMount, VolumeMountKind,
};
use crate::spec::{PortRange, Protocol};

#[derive(PartialEq, Serialize)]
pub(super) struct Port {
    target: u16,
    published: Option<PortRange>,
    host_ip: Option<IpAddr>,
    protocol: Protocol,
}

impl Port {
    pub(super) fn of(port: &model::Port) -> Self {
        Self { target: port.target, published: port.published, host_ip: port.host_ip, protocol: port.protocol }
    }
}

#[derive(PartialEq, Serialize)]
pub(super) struct Mount<'a> {
    target: &'a str,
    read_only: bool,
    kind: MountKind<'a>,
}

#[derive(PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum MountKind<'a> {
    Bind { source: &'a Path, create_host_path: bool, propagation: &'a str },
    Volume { source: &'a Option<String>, nocopy: bool, subpath: &'a Option<String> },
    Tmpfs { size: Option<u64>, mode: Option<u32>, options: &'a [String] },
}

impl<'a> Mount<'a> {
    /// Returns `None` for a mount that is not made.
    pub(super) fn of(mount: &'a VolumeMount) -> Option<Self> {
        let kind = match &mount.kind {
            VolumeMountKind::Bind { source, create_host_path, propagation, recursive: _, selinux: _ } => {
                MountKind::Bind { source, create_host_path: *create_host_path, propagation }
            }
            VolumeMountKind::Volume { source, nocopy, subpath, labels: _ } => {
                MountKind::Volume { source, nocopy: *nocopy, subpath }
            }
            VolumeMountKind::Tmpfs { size, mode, options } => {
                MountKind::Tmpfs { size: size.map(Bytes::get), mode: mode.map(Mode::bits), options }
            }
            VolumeMountKind::Image { .. } | VolumeMountKind::Npipe { .. } | VolumeMountKind::Cluster { .. } => {
                return None;
            }
        };
        Some(Self { target: &mount.target, read_only: mount.read_only, kind })
    }
}

#[derive(PartialEq, Serialize)]
pub(super) struct Endpoint<'a> {
    aliases: &'a [String],
    addresses: Addresses,
    mac_address: Option<[u8; 6]>,
    priority: i64,
    gw_priority: i64,
    interface_name: &'a Option<String>,
}

#[derive(PartialEq, Serialize)]
struct Addresses {
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
}

impl<'a> Endpoint<'a> {
    pub(super) fn of(network: &'a ServiceNetwork) -> Self {
        Self {
            aliases: &network.aliases,
            addresses: Addresses { ipv4: network.ipv4_address, ipv6: network.ipv6_address },
            mac_address: network.mac_address.map(|MacAddress(bytes)| bytes),
            priority: network.priority,
            gw_priority: network.gw_priority,
            interface_name: &network.interface_name,
        }
    }
}

#[derive(PartialEq, Serialize)]
pub(super) struct Healthcheck<'a> {
    test: &'a Option<HealthTest>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    retries: Option<u32>,
    start_period: Option<Duration>,
    start_interval: Option<Duration>,
}

impl<'a> Healthcheck<'a> {
    pub(super) fn of(check: &'a model::Healthcheck) -> Self {
        Self {
            test: &check.test,
            interval: check.interval,
            timeout: check.timeout,
            retries: check.retries,
            start_period: check.start_period,
            start_interval: check.start_interval,
        }
    }
}

#[derive(PartialEq, Serialize)]
pub(super) struct Pool {
    subnet: Option<IpNetwork>,
    gateway: Option<IpAddr>,
    ip_range: Option<IpNetwork>,
}

impl Pool {
    pub(super) fn of(pool: &IpamPool) -> Self {
        Self { subnet: pool.subnet, gateway: pool.gateway, ip_range: pool.ip_range }
    }
}

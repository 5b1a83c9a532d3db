//! The typed model of a resolved project: paths absolute, variables substituted, short forms
//! expanded, defaults filled in. Units are types. The canonical tree, not this model, is what
//! `config` prints; this is what the planner reads and what crosses the daemon's socket.

mod service;

pub use service::{
    Condition, Dependency, HealthTest, Healthcheck, NetworkMode, Port, PullPolicy, Service, ServiceNetwork, Ulimit,
    VolumeMount, VolumeMountKind,
};

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use indexmap::IndexMap;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::ids::{ProjectName, ServiceName};

/// A resolved project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name (spec row `project-name-precedence`).
    pub name: ProjectName,
    /// Folder that relative paths were resolved against.
    pub working_dir: PathBuf,
    /// The files it was read from, absolute.
    pub files: Vec<PathBuf>,
    /// Enabled services, in the order of the file.
    pub services: IndexMap<ServiceName, Service>,
    /// Names of services that no active profile enables; they are no orphans.
    pub disabled: Vec<ServiceName>,
    /// Networks by the key of the file; `default` is present when any service uses it.
    pub networks: IndexMap<String, Network>,
    /// Volumes by the key of the file.
    pub volumes: IndexMap<String, Volume>,
}

/// A top-level network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Engine-wide name, `project_key` or `name:`.
    pub name: String,
    /// Must exist already and is never removed.
    pub external: bool,
    /// `bridge` unless named; `host` and `none` are accepted for external ones.
    pub driver: Option<String>,
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// No way out.
    pub internal: bool,
    /// IPv6 as well.
    pub enable_ipv6: bool,
    /// `ipam.config`.
    pub ipam: Vec<IpamPool>,
    /// User labels.
    pub labels: BTreeMap<String, String>,
}

/// One entry of `ipam.config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IpamPool {
    /// Addresses of the network.
    pub subnet: Option<IpNetwork>,
    /// The bridge's address.
    pub gateway: Option<std::net::IpAddr>,
    /// Addresses that containers without one of their own may get.
    pub ip_range: Option<IpNetwork>,
}

/// A top-level volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Engine-wide name, `project_key` or `name:`.
    pub name: String,
    /// Must exist already and is never removed.
    pub external: bool,
    /// `local` unless named.
    pub driver: Option<String>,
    /// `driver_opts`.
    pub driver_opts: BTreeMap<String, String>,
    /// User labels.
    pub labels: BTreeMap<String, String>,
}

/// Static addresses of a service on a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StaticAddresses {
    /// `ipv4_address`.
    pub ipv4: Option<Ipv4Addr>,
    /// `ipv6_address`.
    pub ipv6: Option<Ipv6Addr>,
}

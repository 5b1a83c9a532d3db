//! A service of the resolved project.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::StaticAddresses;
use crate::ids::ServiceName;
use crate::spec::{PortRange, Protocol, Resources, RestartPolicy};

/// A service: what each of its replicas is made from.
///
/// The doc comment of a field names the Compose attribute where the name differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Reference of the image; `None` only for services with `build` alone, which are refused.
    pub image: Option<String>,
    /// Replaces the image's command; `Some([])` clears it.
    pub command: Option<Vec<String>>,
    /// Replaces the image's entrypoint and drops its command; `Some([])` clears both.
    pub entrypoint: Option<Vec<String>>,
    /// `env_file` and `environment` merged, values final.
    pub environment: IndexMap<String, String>,
    /// `ports`, ranges expanded to one entry a container port.
    pub ports: Vec<Port>,
    /// `expose`, as written (`80`, `8000-8010/udp`).
    pub expose: Vec<String>,
    /// `volumes` and `tmpfs`.
    pub volumes: Vec<VolumeMount>,
    /// Networks by the project's key; empty with a `network_mode`.
    pub networks: IndexMap<String, ServiceNetwork>,
    /// `network_mode`.
    pub network_mode: Option<NetworkMode>,
    /// Services it waits for; `links` among them.
    pub depends_on: IndexMap<ServiceName, Dependency>,
    /// `links`: further names of services, as (service, alias).
    pub links: Vec<(ServiceName, String)>,
    /// `healthcheck`; `None` leaves the image's in force.
    pub healthcheck: Option<Healthcheck>,
    /// `restart`, or `deploy.restart_policy` where `restart` is absent.
    pub restart: RestartPolicy,
    /// User labels.
    pub labels: BTreeMap<String, String>,
    /// `annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `domainname`.
    pub domainname: Option<String>,
    /// `container_name`; forbids more than one replica.
    pub container_name: Option<String>,
    /// `user`.
    pub user: Option<String>,
    /// `group_add`.
    pub group_add: Vec<String>,
    /// `working_dir`.
    pub working_dir: Option<String>,
    /// Number of the `stop_signal`.
    pub stop_signal: Option<i32>,
    /// `stop_grace_period`; 10 s when absent.
    pub stop_grace_period: Option<Duration>,
    /// `init`.
    pub init: bool,
    /// `tty`.
    pub tty: bool,
    /// `stdin_open`.
    pub stdin_open: bool,
    /// `read_only`.
    pub read_only: bool,
    /// `privileged`.
    pub privileged: bool,
    /// `cap_add`, upper case without `CAP_`.
    pub cap_add: Vec<String>,
    /// `cap_drop`, upper case without `CAP_`.
    pub cap_drop: Vec<String>,
    /// `security_opt`, as written.
    pub security_opt: Vec<String>,
    /// `mem_limit`, `cpus`, `pids_limit`, ... and `deploy.resources`.
    pub resources: Resources,
    /// `ulimits`.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// `sysctls`.
    pub sysctls: BTreeMap<String, String>,
    /// `shm_size` in bytes; 64 MiB when absent.
    pub shm_size: Option<u64>,
    /// `extra_hosts` with a fixed address; `host-gateway` is `None`.
    pub extra_hosts: Vec<(String, Option<IpAddr>)>,
    /// `dns`.
    pub dns: Vec<IpAddr>,
    /// `dns_search`.
    pub dns_search: Vec<String>,
    /// `dns_opt`.
    pub dns_opt: Vec<String>,
    /// `deploy.replicas` or `scale`; 1 when absent.
    pub replicas: Option<u32>,
    /// `pull_policy`.
    pub pull_policy: PullPolicy,
    /// `profiles`.
    pub profiles: Vec<String>,
    /// `attach`: its output is shown by a foreground `up`; true when absent.
    pub attach: Option<bool>,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Port in the container.
    pub target: u16,
    /// Host port or range to choose from; `None` lets the kernel choose.
    pub published: Option<PortRange>,
    /// Host address.
    pub host_ip: Option<IpAddr>,
    /// Transport.
    pub protocol: Protocol,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// Path in the container.
    pub target: String,
    /// No writes.
    pub read_only: bool,
    /// What is mounted.
    pub kind: VolumeMountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum VolumeMountKind {
    /// A path of the host.
    Bind {
        /// Absolute.
        source: PathBuf,
        /// A missing source is made (short syntax, `create_host_path`).
        create_host_path: bool,
        /// `bind.propagation`; `rprivate` when empty.
        propagation: String,
    },
    /// A volume of the project, by its key; `None` is an anonymous one.
    Volume {
        /// Key in `Project::volumes`.
        source: Option<String>,
        /// `volume.nocopy`.
        nocopy: bool,
        /// `volume.subpath`.
        subpath: Option<String>,
    },
    /// Memory.
    Tmpfs {
        /// Bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
        /// Options of the `tmpfs` attribute, `noexec`.
        options: Vec<String>,
    },
}

/// A service's place on a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceNetwork {
    /// Further names on this network.
    pub aliases: Vec<String>,
    /// `ipv4_address`, `ipv6_address`.
    pub addresses: StaticAddresses,
    /// `mac_address`.
    pub mac_address: Option<[u8; 6]>,
    /// `priority`: higher ones are connected first.
    pub priority: i64,
    /// `gw_priority`: the highest holds the default route.
    pub gw_priority: i64,
    /// `interface_name`.
    pub interface_name: Option<String>,
}

/// `network_mode`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Only `lo`.
    None,
    /// The host's namespace.
    Host,
    /// Another service's namespace.
    Service(ServiceName),
    /// Another container's namespace, by name or id.
    Container(String),
}

/// One `depends_on` entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dependency {
    /// What must be true of it.
    pub condition: Condition,
    /// Without it the service cannot start; false only warns.
    pub required: bool,
    /// The service follows when the dependency is restarted by a command.
    pub restart: bool,
}

/// What a dependent waits for (spec rows `service-depends_on-*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its process runs.
    ServiceStarted,
    /// Its healthcheck succeeded.
    ServiceHealthy,
    /// It ended with exit status 0.
    ServiceCompletedSuccessfully,
}

/// `healthcheck`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// What is run; `None` takes the image's.
    pub test: Option<HealthTest>,
    /// 30 s when absent.
    pub interval: Option<Duration>,
    /// 30 s when absent.
    pub timeout: Option<Duration>,
    /// 3 when absent.
    pub retries: Option<u32>,
    /// 0 when absent.
    pub start_period: Option<Duration>,
    /// 5 s when absent.
    pub start_interval: Option<Duration>,
}

/// What a healthcheck runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthTest {
    /// `NONE` or `disable: true`.
    None,
    /// `CMD`: an argument list.
    Exec(Vec<String>),
    /// `CMD-SHELL`: a line for the container's `/bin/sh -c`.
    Shell(String),
}

/// One entry of `ulimits`; -1 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// `pull_policy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// Each time.
    Always,
    /// Never.
    Never,
}

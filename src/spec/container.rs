//! One container, fully decided.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Endpoint, HealthcheckSpec, PublishedPort, Ready};
use crate::ids::{ContainerId, Digest, VolumeName};

/// What the engine needs to create and start one container.
///
/// Image defaults (entrypoint, environment, user, ...) are already folded in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The container's id.
    pub id: ContainerId,
    /// Its engine-wide name, `project-service-1`.
    pub name: String,
    /// The image it runs.
    pub image: ImageIdentity,
    /// Labels, Compose's own among them.
    pub labels: BTreeMap<String, String>,
    /// Hash of all that cannot be changed while it lives: another one asks for a new container.
    /// Empty for one that an earlier version made.
    #[serde(default)]
    pub shape: String,
    /// The program and its arguments (entrypoint and command joined); never empty.
    pub argv: Vec<String>,
    /// How many leading words of `argv` are the entrypoint (`inspect` shows `Path`, `Args`).
    pub entrypoint_len: usize,
    /// `KEY=value`, in order, each key once.
    pub env: Vec<String>,
    /// Working directory in the container; made when missing.
    pub cwd: String,
    /// `user[:group]`, names or numbers, resolved against the image's `/etc/passwd`; empty is root.
    pub user: String,
    /// Supplementary groups, names or numbers.
    pub group_add: Vec<String>,
    /// Host name; the short id unless the file says otherwise.
    pub hostname: String,
    /// NIS domain name, empty for none.
    pub domainname: String,
    /// Standard streams are a terminal.
    pub tty: bool,
    /// Standard input stays open.
    pub stdin_open: bool,
    /// A reaper of ours is process 1.
    pub init: bool,
    /// The root file system is read-only.
    pub read_only: bool,
    /// Mounts besides the standard ones.
    pub mounts: Vec<Mount>,
    /// Capabilities beyond or short of Docker's default set.
    pub capabilities: Capabilities,
    /// All capabilities, all devices, no masked paths, no seccomp.
    pub privileged: bool,
    /// `no_new_privs` is set.
    pub no_new_privileges: bool,
    /// Which system-call filter.
    pub seccomp: Seccomp,
    /// cgroup limits.
    pub resources: Resources,
    /// Resource limits of the process.
    pub rlimits: Vec<Rlimit>,
    /// Namespaced kernel settings, `net.core.somaxconn` to value.
    pub sysctls: BTreeMap<String, String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Extra lines of `/etc/hosts`: name, address.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// Name servers besides 127.0.0.11's default upstreams.
    pub dns: Vec<IpAddr>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_options: Vec<String>,
    /// Number of the signal that asks the process to stop.
    pub stop_signal: i32,
    /// How long it may take before SIGKILL.
    pub stop_grace: Duration,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How its health is probed; `None` when it is not.
    #[serde(default)]
    pub healthcheck: Option<HealthcheckSpec>,
    /// How it is known that it is ready; `None`: as [`Ready::Auto`], but nobody who waits for its start
    /// waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// Ports the image or the file exposes without publishing them, `6379/tcp`.
    #[serde(default)]
    pub exposed: Vec<String>,
    /// Names that only this container sees (`links`): the name, and the one it stands for.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// Shares the network namespace of this container (`network_mode: service:` and `container:`).
    #[serde(default)]
    pub network_of: Option<ContainerId>,
    /// Networks it is on, in interface order (`eth0` first). Empty: no network but `lo`.
    pub endpoints: Vec<Endpoint>,
    /// Shares the host's network namespace (`network_mode: host`).
    pub host_network: bool,
    /// Ports published on the host.
    pub ports: Vec<PublishedPort>,
    /// Path below which the container's cgroups are made, `stack/<project>`.
    pub cgroup_parent: String,
}

/// The image of a container, as `inspect` and the planner need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageIdentity {
    /// As the file names it, `redis:7`.
    pub reference: String,
    /// Digest of the image's configuration: what Docker calls the image id.
    pub id: Digest,
    /// Unpacked layer directories, lowest first.
    pub layers: Vec<PathBuf>,
}

/// Something mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container; parents are made.
    pub target: String,
    /// No writes.
    pub read_only: bool,
    /// What it is.
    pub kind: MountKind,
}

/// Kinds of mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MountKind {
    /// A file or folder of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// Make a folder when the source is missing (short volume syntax).
        create: bool,
        /// `rprivate`, `rshared`, ... (mount_namespaces(7)).
        propagation: String,
    },
    /// A named or anonymous volume.
    Volume {
        /// Its engine-wide name.
        name: VolumeName,
        /// Folder that holds its data; filled in before the container is created.
        source: PathBuf,
        /// Do not copy the image's content into an empty volume.
        nocopy: bool,
        /// Folder below the volume's root.
        subpath: Option<String>,
        /// Has no name in the file: goes away with the container's last use.
        anonymous: bool,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; `None` for half of the memory.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
        /// Further mount options, as tmpfs(5) has them.
        options: Vec<String>,
    },
}

/// Changes to Docker's default capability set; names without `CAP_`, upper case; `ALL` allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Added after dropping.
    pub add: Vec<String>,
    /// Dropped.
    pub drop: Vec<String>,
}

/// Which system-call filter a container gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Docker's default profile for the container's capabilities.
    Default,
    /// None.
    Unconfined,
}

/// cgroup limits; `None` is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory kept for it under pressure.
    pub memory_reservation: Option<u64>,
    /// Bytes of memory and swap together; -1 unlimited swap.
    pub memory_swap: Option<i64>,
    /// CPUs in billionths (`cpus: 1.5` is 1_500_000_000).
    pub nano_cpus: Option<u64>,
    /// Relative weight as cgroup v1 has it, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// CPUs it may run on, `0-1,3`.
    pub cpuset: Option<String>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// One `ulimits` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `nofile`, `nproc`, ... (without `RLIMIT_`, lower case).
    pub name: String,
    /// Soft limit; `u64::MAX` is unlimited.
    pub soft: u64,
    /// Hard limit; `u64::MAX` is unlimited.
    pub hard: u64,
}

/// When a container that ended is started again (spec row `restart`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whatever the exit status; also after the engine starts anew.
    Always,
    /// When the exit status is not 0, at most so many times (`None`: without end).
    OnFailure(Option<u32>),
    /// As `Always`, but not once the user stopped it.
    UnlessStopped,
}

//! A service of the resolved project.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;

use super::units::duration;
use super::{
    BlkioConfig, Build, Bytes, CgroupMode, Cpus, CredentialSpec, Dependency, Deploy, Develop, Device, DeviceRequest,
    DeviceRule, EnvFile, ExternalLink, FileGrant, Healthcheck, Hook, IpcMode, Logging, MacAddress, NetworkMode,
    PidMode, Platform, Port, PreStartHook, Provider, PullPolicy, ServiceModel, ServiceNetwork, SwapLimit, Ulimit,
    UtsMode, VolumeMount, VolumesFrom, XStack,
};
use crate::ids::ServiceName;
use crate::spec::RestartPolicy;

attributes! {
    /// A service: what each of its replicas is made from.
    pub struct Service {
        // What is run.

        /// Reference of the image; `None` for services with `build` or `provider` alone.
        pub image: Option<String>,
        /// How the image is made.
        pub build: Option<Build>,
        /// When the image is fetched; when it is not there, by default.
        pub pull_policy: PullPolicy,
        /// Age from which an image is fetched again; goes with `pull_policy: refresh`.
        #[serde(with = "duration")]
        pub pull_refresh_after: Option<Duration>,
        /// What the image must be made for; the host's platform when absent.
        pub platform: Option<Platform>,
        /// Replaces the image's command; `Some([])` clears it.
        pub command: Option<Vec<String>>,
        /// Replaces the image's entrypoint and drops its command; `Some([])` clears both.
        pub entrypoint: Option<Vec<String>>,
        /// `env_file` and `environment` merged, values final.
        pub environment: IndexMap<String, String>,
        /// Files that were read for `environment`.
        pub env_file: Vec<EnvFile>,
        /// User it runs as, `name`, `uid` or either with `:group`; the image's when absent.
        pub user: Option<String>,
        /// Further groups of that user, names or numbers.
        pub group_add: Vec<String>,
        /// Folder it runs in; the image's when absent.
        pub working_dir: Option<String>,
        /// A terminal is its input and output.
        pub tty: bool,
        /// Its input stays open while nobody is attached.
        pub stdin_open: bool,
        /// A small first process reaps children and passes signals on.
        pub init: bool,
        /// `hostname`; the container's short id when absent.
        pub hostname: Option<String>,
        /// `domainname`.
        pub domainname: Option<String>,
        /// Runs the service in place of containers.
        pub provider: Option<Provider>,
        /// Program that runs containers: its name; the built-in one when absent.
        pub runtime: Option<String>,

        // When it runs.

        /// Services it waits for; those that `links` and shared namespaces imply among them.
        pub depends_on: IndexMap<ServiceName, Dependency>,
        /// The service exists only where one of these is active; always when empty.
        pub profiles: Vec<String>,
        /// Number of containers; 1 when absent. `deploy.replicas` says the same: see [`Service::replicas`].
        pub scale: Option<u32>,
        /// When a container that ended is started again; never when absent. See [`Service::restart_policy`].
        pub restart: Option<RestartPolicy>,
        /// How its health is probed; `None` leaves the image's check in force.
        pub healthcheck: Option<Healthcheck>,
        /// Number of the signal that asks it to stop; the image's, else SIGTERM, when absent.
        pub stop_signal: Option<i32>,
        /// Time from that signal to SIGKILL; 10 s when absent.
        #[serde(with = "duration")]
        pub stop_grace_period: Option<Duration>,
        /// Run in containers of their own before it starts, one after the other.
        pub pre_start: Vec<PreStartHook>,
        /// Run in the container once it has started.
        pub post_start: Vec<Hook>,
        /// Run in the container before it is asked to stop.
        pub pre_stop: Vec<Hook>,
        /// What `watch` does while files are edited.
        pub develop: Option<Develop>,
        /// `x-stack`: when it counts as ready, and what `watch` does besides.
        pub x_stack: XStack,
        /// How many containers there are and what they may use.
        pub deploy: Option<Deploy>,
        /// Its output is shown by a foreground `up`; true when absent.
        pub attach: Option<bool>,
        /// Where its output goes.
        pub logging: Option<Logging>,

        // How it is known.

        /// Name of its only container; `project-service-number` when absent.
        pub container_name: Option<String>,
        /// `label_file` and `labels` merged.
        pub labels: BTreeMap<String, String>,
        /// Files that were read for `labels`, absolute.
        pub label_file: Vec<PathBuf>,
        /// Notes for whoever runs containers; no labels.
        pub annotations: BTreeMap<String, String>,

        // What it can reach.

        /// Networks by the project's key; empty with a `network_mode`.
        pub networks: IndexMap<String, ServiceNetwork>,
        /// Whose network namespace it has; one on its `networks` when absent.
        pub network_mode: Option<NetworkMode>,
        /// Hardware address on the network of the highest priority, which has it too.
        pub mac_address: Option<MacAddress>,
        /// Published ports, ranges expanded to one entry a container port.
        pub ports: Vec<Port>,
        /// Ports that others may use, as written (`80`, `8000-8010/udp`); nothing is opened by it.
        pub expose: Vec<String>,
        /// Further names of services, as (service, alias).
        pub links: Vec<(ServiceName, String)>,
        /// Names of containers outside the project.
        pub external_links: Vec<ExternalLink>,
        /// Lines of `/etc/hosts`; `host-gateway` is `None`.
        pub extra_hosts: Vec<(String, Option<IpAddr>)>,
        /// Servers that names of no container are asked of; the host's when empty.
        pub dns: Vec<IpAddr>,
        /// Domains that are tried behind a name; the host's when empty.
        pub dns_search: Vec<String>,
        /// Options of the resolver, `ndots:1`.
        pub dns_opt: Vec<String>,
        /// AI models by the project's key.
        pub models: IndexMap<String, ServiceModel>,
        /// The socket of the engine is mounted, with the user's credentials.
        pub use_api_socket: bool,

        // What is in its file system.

        /// Mounts; those of `tmpfs` stand there. See [`Service::mounts`].
        pub volumes: Vec<VolumeMount>,
        /// Mounts of memory that are written `PATH[:options]`.
        pub tmpfs: Vec<VolumeMount>,
        /// Containers whose mounts it has too.
        pub volumes_from: Vec<VolumesFrom>,
        /// Configs it finds as files.
        pub configs: Vec<FileGrant>,
        /// Secrets it finds as files.
        pub secrets: Vec<FileGrant>,
        /// No writes to the image's files.
        pub read_only: bool,
        /// Size of `/dev/shm`; 64 MiB when absent.
        pub shm_size: Option<Bytes>,
        /// Limits of what it may write, `size`.
        pub storage_opt: BTreeMap<String, String>,

        // What it may do.

        /// All capabilities and devices, no filters.
        pub privileged: bool,
        /// Capabilities besides the default ones, upper case without `CAP_`.
        pub cap_add: Vec<String>,
        /// Default capabilities it does not get, upper case without `CAP_`.
        pub cap_drop: Vec<String>,
        /// Filters and labels, as written.
        pub security_opt: Vec<String>,
        /// Kernel parameters of its namespaces.
        pub sysctls: BTreeMap<String, String>,
        /// Limits of its processes by name, `nofile`.
        pub ulimits: BTreeMap<String, Ulimit>,
        /// Devices of the host it finds below `/dev`.
        pub devices: Vec<Device>,
        /// Devices it may use besides those, wherever their nodes come from.
        pub device_cgroup_rules: Vec<DeviceRule>,
        /// Accelerators it needs.
        pub gpus: Vec<DeviceRequest>,
        /// Whose IPC namespace it has; one of its own when absent.
        pub ipc: Option<IpcMode>,
        /// Whose PID namespace it has; one of its own when absent.
        pub pid: Option<PidMode>,
        /// Whose UTS namespace it has; one of its own when absent.
        pub uts: Option<UtsMode>,
        /// Whose user namespace it has, `host`; the engine's choice when absent.
        pub userns_mode: Option<String>,
        /// Whose cgroup namespace it has; one of its own when absent.
        pub cgroup: Option<CgroupMode>,
        /// Cgroup below which its own is made; the engine's choice when absent.
        pub cgroup_parent: Option<String>,
        /// Account of a Windows domain.
        pub credential_spec: Option<CredentialSpec>,
        /// How Windows separates it: `default`, `process` or `hyperv`.
        pub isolation: Option<String>,

        // How much it may use. What is in force is `Service::resources`.

        /// CPUs; no limit when absent.
        pub cpus: Option<Cpus>,
        /// Share of CPU time where it is short, 2 to 262144; 1024 when absent.
        pub cpu_shares: Option<u64>,
        /// CPU time in each period; no limit when absent. In the file: microseconds.
        #[serde(with = "duration")]
        pub cpu_quota: Option<Duration>,
        /// The period; 100 ms when absent. In the file: microseconds.
        #[serde(with = "duration")]
        pub cpu_period: Option<Duration>,
        /// Real-time CPU time in each real-time period. In the file: microseconds.
        #[serde(with = "duration")]
        pub cpu_rt_runtime: Option<Duration>,
        /// The real-time period. In the file: microseconds.
        #[serde(with = "duration")]
        pub cpu_rt_period: Option<Duration>,
        /// CPUs it may run on, `0-1,3`; all when absent.
        pub cpuset: Option<String>,
        /// Whole CPUs; no limit when absent.
        pub cpu_count: Option<u32>,
        /// Percentage of all CPUs of the host, 0 to 100; no limit when absent.
        pub cpu_percent: Option<f64>,
        /// Memory; no limit when absent.
        pub mem_limit: Option<Bytes>,
        /// Memory it keeps when it is short; none when absent.
        pub mem_reservation: Option<Bytes>,
        /// Memory and swap together; twice the memory when absent.
        pub memswap_limit: Option<SwapLimit>,
        /// How readily its memory is swapped out, 0 to 100; the host's choice when absent.
        pub mem_swappiness: Option<u8>,
        /// It is not killed when its memory is used up.
        pub oom_kill_disable: bool,
        /// How readily it is killed when the host's memory is short: -1000 (never) to 1000.
        pub oom_score_adj: Option<i32>,
        /// Processes and threads; no limit when absent.
        pub pids_limit: Option<u64>,
        /// Shares and limits of block I/O.
        pub blkio_config: Option<BlkioConfig>,
    }
}

//! Attributes of a service.

use super::Convert;
use super::attachments::{BLKIO, CREDENTIAL_SPEC, DEVICE, ENDPOINT, MOUNT, PORT};
use super::build::{BUILD, ULIMITS};
use super::deploy::{DEPLOY, DEVICE_REQUEST};
use super::process::{
    DEPENDENCY, DEVELOP, ENV_FILE, EXTENDS, HEALTHCHECK, HOOK, LOGGING, MODEL_GRANT, PRE_START, PROVIDER,
};
use super::resources::FILE_GRANT;
use super::{Bare, Index, Merge, Object, PathRule, Shape, Size, Twice, Values, Whole, field};
use crate::compose::model::PullPolicy;
use crate::compose::short;

const NOT_YET: &str = "the engine does not act on it yet";
const WINDOWS: &str = "it only has a meaning on Windows";

/// One service.
pub(crate) static SERVICE: Object = Object {
    index: Index::new(),
    name: "a service",
    required: &[],
    fields: rows![
        /// Image that is run: `[registry/][path/]name[:tag][@digest]`. Default tag: `latest`. With `build`, the name of
        /// what is built.
        field("image", Shape::Text),
        /// How the image is built. A string is the folder with the build context.
        field("build", Shape::Short(Convert::Build, &Shape::Object(&BUILD))),
        /// Takes the place of the image's command. A string is split as a shell would do it, but no shell runs it.
        /// Empty: no command. Default: the image's.
        field("command", Shape::Command).replace().always().null(),
        /// Takes the place of the image's entrypoint, and drops the image's command. A string is split as a shell would
        /// do it. Default: the image's.
        field("entrypoint", Shape::Command).replace().always().null(),
        /// Environment variables, as mapping or as list of `NAME=VALUE`. A name without a value is taken from the
        /// environment of `stack`, or left out. Wins over `env_file`.
        field("environment", Shape::KeyValues(Bare::Null)),
        /// Files with environment variables. Later ones win; `environment` wins over all. Relative to the project's
        /// folder.
        field(
            "env_file",
            Shape::Short(Convert::EnvFiles, &Shape::List(&Shape::Object(&ENV_FILE), Twice::By(short::path_of))),
        )
        .never(),
        /// Container ports that are published on this machine: `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, where ports may be
        /// ranges, or the long form. Without a host port a free one is taken.
        field(
            "ports",
            Shape::Short(Convert::Ports, &Shape::List(&Shape::Object(&PORT), Twice::By(short::port_identity))),
        ),
        /// Ports on which the containers listen, as documentation: `80`, `3000-3005`, `53/udp`. Containers on one
        /// network reach each other without it.
        field("expose", Shape::Labels(Twice::By(short::whole))),
        /// What is mounted: `[SOURCE:]TARGET[:OPTIONS]` or the long form. A source that begins with `.`, `/` or `~` is
        /// a path on this machine, another one a volume; without a source an unnamed volume is made.
        field(
            "volumes",
            Shape::List(&Shape::Short(Convert::Volume, &Shape::Object(&MOUNT)), Twice::By(short::target_of)),
        )
        .path(PathRule::Mount),
        /// Networks that the containers join, as list of names or as mapping with settings. Default: the network
        /// `default`.
        field(
            "networks",
            Shape::Short(
                Convert::Names,
                &Shape::Map(&Values { shape: Shape::Object(&ENDPOINT), null: true, names: true }),
            ),
        ),
        /// Services that are started before this one and stopped after it. A list waits until they have started; the
        /// mapping can wait until they are healthy or done.
        field(
            "depends_on",
            Shape::Short(
                Convert::DependsOn,
                &Shape::Map(&Values { shape: Shape::Object(&DEPENDENCY), null: false, names: true }),
            ),
        ),
        /// A command that is run in the container again and again to learn whether it works. What is not given comes
        /// from the image.
        field("healthcheck", Shape::Object(&HEALTHCHECK)),
        /// When a container that ended is started again: `no`, `always`, `on-failure[:N]` (at most N times) or
        /// `unless-stopped`. Default: `no`.
        field("restart", Shape::Short(Convert::Restart, &Shape::Text))
            .such_as(&["no", "always", "on-failure", "on-failure:3", "unless-stopped"]),
        /// Labels of the containers, as mapping or as list of `KEY=VALUE`.
        field("labels", Shape::KeyValues(Bare::Empty)),
        /// Files with labels, `KEY=VALUE` a line. Later ones win; `labels` wins over all.
        field("label_file", Shape::TextOrTexts(Twice::Keep)).path(PathRule::Path).never(),
        /// Name of the container, which is also a name in DNS. Only one container can have it. Default:
        /// `PROJECT-SERVICE-NUMBER`.
        field("container_name", Shape::Text),
        /// Host name in the container. Default: the first 12 digits of the container's id.
        field("hostname", Shape::Text),
        /// Domain name in the container.
        field("domainname", Shape::Text),
        /// User that the process runs as: `NAME|UID[:GROUP|GID]`. Names are looked up in the container. Default: the
        /// image's, or root.
        field("user", Shape::Text),
        /// Folder in the container in which the process starts; made if missing. Default: the image's, or `/`.
        field("working_dir", Shape::Text),
        /// The service is only there when one of these profiles is active (`--profile`, `COMPOSE_PROFILES`). Default:
        /// it always is.
        field("profiles", Shape::Texts(Twice::Once)),
        /// Another service, of this file or of another, on which this one is built. A string is a service of this file.
        field("extends", Shape::Short(Convert::Extends, &Shape::Object(&EXTENDS))),
        /// How many containers run, and within which limits.
        field("deploy", Shape::Object(&DEPLOY)).null(),
        /// Number of containers. Must agree with `deploy.replicas`. Default: 1.
        field("scale", Shape::Int(Whole::Usual)).within(0, i64::MAX).given(),
        /// Runs a small init process as number 1, which passes signals on and reaps what has ended. Default: `false`.
        field("init", Shape::Bool).given(),
        /// Gives the process a terminal. Default: `false`.
        field("tty", Shape::Bool),
        /// Keeps standard input open though nobody is attached. Default: `false`.
        field("stdin_open", Shape::Bool),
        /// Makes the root file system read-only; mounts are not affected. Default: `false`.
        field("read_only", Shape::Bool),
        /// Gives the container all capabilities and devices, and no confinement. Default: `false`.
        field("privileged", Shape::Bool),
        /// File systems in memory, `PATH[:OPTIONS]` with `size`, `mode`, `uid`, `gid` and mount flags.
        field("tmpfs", Shape::TextOrTexts(Twice::Once)),
        /// `none` (only loopback), `host`, `service:NAME` or `container:NAME` (the network of that container). Excludes
        /// `networks`. Default: the project's networks.
        field("network_mode", Shape::Text).such_as(&["none", "host", "service:NAME", "container:NAME"]),
        /// Services on a common network that get another name here, `SERVICE[:ALIAS]`. They are started before this
        /// one.
        field("links", Shape::Texts(Twice::Once)),
        /// Containers of other projects on a common network that get another name here, `CONTAINER[:ALIAS]`.
        field("external_links", Shape::Texts(Twice::Refuse)).unused(NOT_YET),
        /// Lines of `/etc/hosts` in the container, `HOST=ADDRESS` or a mapping. `host-gateway` stands for this machine.
        field("extra_hosts", Shape::Hosts),
        /// Name servers that are asked for names from outside the project. Default: those of this machine.
        field("dns", Shape::TextOrTexts(Twice::Once)),
        /// Domains in which short names are looked up; `.` alone means none. Default: those of this machine.
        field("dns_search", Shape::TextOrTexts(Twice::Once)),
        /// Options of the resolver, as in `resolv.conf`.
        field("dns_opt", Shape::Texts(Twice::Once)),
        /// Signal that asks the process to end, by name or number. Default: the image's, or `SIGTERM`.
        field("stop_signal", Shape::Text).such_as(&["SIGTERM", "SIGINT", "SIGQUIT", "SIGKILL"]),
        /// How long a container may take to stop before it is killed, as `1m30s`. Default: `10s`.
        field("stop_grace_period", Shape::Duration).given(),
        /// Capabilities that are added to the default ones, as `NET_ADMIN`, or `ALL`.
        field("cap_add", Shape::Texts(Twice::Once)),
        /// Capabilities that are taken away, or `ALL`. `cap_add` is applied after it.
        field("cap_drop", Shape::Texts(Twice::Once)),
        /// Security options: `no-new-privileges[:true|false]`, `seccomp=unconfined`, `seccomp=PROFILE`, `apparmor=...`,
        /// `label=...`.
        field("security_opt", Shape::Texts(Twice::Refuse)),
        /// Most memory that a container may use, in bytes or as `512m`; more gets it killed. Default: no limit.
        field("mem_limit", Shape::Bytes(Size::Number)),
        /// Memory that is left to a container while the machine is short of it, in bytes or as `256m`. Default: none.
        field("mem_reservation", Shape::Bytes(Size::Whole)),
        /// Most memory and swap together, in bytes or as `1g`. -1: unlimited. Needs `mem_limit`. Default: twice
        /// `mem_limit`.
        field("memswap_limit", Shape::Bytes(Size::Number)),
        /// How readily memory is swapped, from 0 to 100. Default: as the machine.
        field("mem_swappiness", Shape::Bytes(Size::Whole)).unused(NOT_YET),
        /// Most CPU time that a container may use, as number of CPUs: `0.5` is half of one. Default: no limit.
        field("cpus", Shape::Number),
        /// Weight of a container when CPUs are short, from 2 to 262144. Default: 1024.
        field("cpu_shares", Shape::Int(Whole::Cut)),
        /// CPUs on which the processes may run: `0-3` or `0,1`. Default: all.
        field("cpuset", Shape::Text),
        /// Most processes and threads in a container; -1 is unlimited. Default: no limit.
        field("pids_limit", Shape::Int(Whole::Cut)),
        /// Changes the order in which the kernel kills when memory runs out, from -1000 (late) to 1000 (early).
        /// Default: 0.
        field("oom_score_adj", Shape::Int(Whole::Usual)).within(-1000, 1000),
        /// Keeps the kernel from killing processes of the container when memory runs out. Default: `false`.
        field("oom_kill_disable", Shape::Bool).elsewhere("cgroup v2 has no such switch"),
        /// Size of `/dev/shm`, in bytes or as `128m`. Default: `64m`.
        field("shm_size", Shape::Bytes(Size::Number)),
        /// Limits of each process by name, as `nofile: 65536` or with `soft` and `hard`. -1 is unlimited. Default:
        /// inherited.
        field("ulimits", ULIMITS),
        /// Kernel parameters of the container's own namespaces, as `net.core.somaxconn: 1024`.
        field("sysctls", Shape::KeyValues(Bare::Empty)),
        /// More groups of the process, by name or number.
        field("group_add", Shape::Labels(Twice::Refuse)),
        /// Annotations of the container, as mapping or as list of `KEY=VALUE`. Unlike labels they are for the runtime.
        field("annotations", Shape::KeyValues(Bare::Empty)).unused(NOT_YET),
        /// Whether `up` shows the logs of this service. Default: `true`.
        field("attach", Shape::Bool).given().late(),
        /// When the image is pulled: `always`, `never`, `missing`, `build`, `daily`, `weekly` or `every_DURATION`.
        /// Default: `missing`.
        field("pull_policy", Shape::Text)
            .matches(
                "^(always|never|missing|if_not_present|build|refresh|daily|weekly|every_([0-9]+[wdhms])+)$",
                "write always, never, missing, build, refresh, daily, weekly or every_AGE, as in every_12h",
            )
            .read_by(|text| text.parse::<PullPolicy>().is_ok())
            .such_as(&["always", "never", "missing", "build", "daily", "weekly", "every_12h"]),
        /// Age from which an image is pulled again where `pull_policy` is `refresh`, as `12h`.
        field("pull_refresh_after", Shape::Duration).unused(NOT_YET),
        /// Hardware address of the container in its first network. Default: made from its address.
        field("mac_address", Shape::Text),
        /// What becomes of the output of the containers.
        field("logging", Shape::Object(&LOGGING)).merge(Merge::Logging),
        /// Secrets that the containers get as files in `/run/secrets`: names, or the long form.
        field(
            "secrets",
            Shape::List(&Shape::Short(Convert::Source, &Shape::Object(&FILE_GRANT)), Twice::By(short::secret_target)),
        )
        .unused("secrets are not mounted yet"),
        /// Configs that the containers get as files: names, or the long form.
        field(
            "configs",
            Shape::List(&Shape::Short(Convert::Source, &Shape::Object(&FILE_GRANT)), Twice::By(short::config_target)),
        )
        .unused("configs are not mounted yet"),
        /// Platform of the image, `os[/arch[/variant]]`. Default: that of this machine.
        field("platform", Shape::Text).unused("the image's own platform is run"),
        /// Container runtime that is used.
        field("runtime", Shape::Text).unused("the built-in runtime is used"),
        /// Devices of this machine that a container may use: `HOST[:CONTAINER[:PERMISSIONS]]`, a CDI name, or the long
        /// form.
        field(
            "devices",
            Shape::List(&Shape::Short(Convert::Device, &Shape::Object(&DEVICE)), Twice::By(short::target_of)),
        )
        .unused(NOT_YET),
        /// Rules for devices that are made later, as `c 1:3 mr`.
        field("device_cgroup_rules", Shape::Texts(Twice::Refuse)).unused(NOT_YET),
        /// GPUs that a container may use: `all`, or a list of requests.
        field("gpus", Shape::Short(Convert::Gpus, &Shape::List(&Shape::Object(&DEVICE_REQUEST), Twice::Keep)))
            .unused(NOT_YET),
        /// Limits for reading from and writing to block devices.
        field("blkio_config", Shape::Object(&BLKIO)).unused(NOT_YET),
        /// Control group namespace: `private`, or `host` for that of the machine. Default: `private`.
        field("cgroup", Shape::OneOf(&["host", "private"])).unused(NOT_YET),
        /// Control group below which that of the container is made.
        field("cgroup_parent", Shape::Text).unused(NOT_YET),
        /// Number of whole CPUs that a container may use. Default: all.
        field("cpu_count", Shape::Int(Whole::Usual)).within(0, i64::MAX).unused(NOT_YET),
        /// Share of all CPUs that a container may use, from 0 to 100. Default: no limit.
        field("cpu_percent", Shape::Int(Whole::Usual)).within(0, 100).unused(NOT_YET),
        /// Length of the period in which `cpu_quota` holds, in microseconds. Default: 100000.
        field("cpu_period", Shape::Int(Whole::Cut)).unused(NOT_YET),
        /// CPU time that a container may use in each period, in microseconds; -1 is unlimited. Excludes `cpus`.
        /// Default: no limit.
        field("cpu_quota", Shape::Int(Whole::Cut)).unused(NOT_YET),
        /// Length of the period in which `cpu_rt_runtime` holds, in microseconds.
        field("cpu_rt_period", Shape::Int(Whole::Cut)).elsewhere("the kernel has no realtime group scheduling on cgroup v2"),
        /// CPU time for realtime processes in each period, in microseconds.
        field("cpu_rt_runtime", Shape::Int(Whole::Cut)).elsewhere("the kernel has no realtime group scheduling on cgroup v2"),
        /// Managed service account of a Windows container.
        field("credential_spec", Shape::Object(&CREDENTIAL_SPEC)).elsewhere(WINDOWS),
        /// How a Windows container is isolated: `default`, `process` or `hyperv`.
        field("isolation", Shape::Text).such_as(&["default", "process", "hyperv"]).elsewhere(WINDOWS),
        /// Namespace for shared memory and queues: `private`, `shareable`, `none`, `host`, `service:NAME` or
        /// `container:NAME`. Default: `private`.
        field("ipc", Shape::Text).such_as(&["private", "shareable", "none", "host", "service:NAME", "container:NAME"]).unused(NOT_YET),
        /// Namespace for processes: `host`, `service:NAME` or `container:NAME`. Default: one of its own.
        field("pid", Shape::Text).such_as(&["host", "service:NAME", "container:NAME"]).null().unused(NOT_YET),
        /// Namespace for host names: `host` is that of the machine. Default: one of its own.
        field("uts", Shape::Text).such_as(&["host"]).unused(NOT_YET),
        /// Namespace for users: `host` is that of the machine.
        field("userns_mode", Shape::Text).such_as(&["host"]).unused(NOT_YET),
        /// Options of the container's own file system, as `size: 10g`.
        field("storage_opt", Shape::Options { null: true }).unused(NOT_YET),
        /// Services or containers whose mounts are taken over: `[container:]NAME[:ro|rw]`. Default: `rw`.
        field("volumes_from", Shape::Texts(Twice::Refuse)).unused(NOT_YET),
        /// What happens while you edit the sources.
        field("develop", Shape::Object(&DEVELOP)).null(),
        /// Commands that are run in a container right after its start. One that fails makes the start fail.
        field("post_start", Shape::List(&Shape::Object(&HOOK), Twice::Keep)).unused(NOT_YET),
        /// Commands that are run in containers of their own, one after the other, before the first start. One that
        /// fails makes the start fail.
        field("pre_start", Shape::List(&Shape::Object(&PRE_START), Twice::Keep)).unused(NOT_YET),
        /// Commands that are run in a container before it is asked to stop.
        field("pre_stop", Shape::List(&Shape::Object(&HOOK), Twice::Keep)).unused(NOT_YET),
        /// A program that provides the service in place of a container.
        field("provider", Shape::Object(&PROVIDER)).unused(NOT_YET),
        /// Models that the service uses, as list of names or as mapping. Their address and name become environment
        /// variables.
        field(
            "models",
            Shape::Short(
                Convert::Names,
                &Shape::Map(&Values { shape: Shape::Object(&MODEL_GRANT), null: true, names: true }),
            ),
        )
        .elsewhere("there is no model runner"),
        /// Mounts the socket of the Docker API, and the credentials for registries. Default: `false`.
        field("use_api_socket", Shape::Bool).elsewhere("there is no Docker socket"),
    ],
};

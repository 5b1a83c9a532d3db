//! Attributes of a service.

use super::Convert;
use super::build::{BUILD, ULIMITS};
use super::deploy::{DEPLOY, DEVICE_REQUEST};
use super::resources::FILE_GRANT;
use super::{Bare, Merge, Object, PathRule, Shape, Twice, Values, field};
use crate::compose::short;

const NOT_YET: &str = "the engine does not act on it yet";
const WINDOWS: &str = "it only has a meaning on Windows";

/// One service.
pub(crate) static SERVICE: Object = Object {
    name: "a service",
    required: &[],
    fields: &[
        field("image", Shape::Text),
        field("build", Shape::Short(Convert::Build, &Shape::Object(&BUILD))),
        field("command", Shape::Command).replace().always().null(),
        field("entrypoint", Shape::Command).replace().always().null(),
        field("environment", Shape::KeyValues(Bare::Null)),
        field(
            "env_file",
            Shape::Short(Convert::EnvFiles, &Shape::List(&Shape::Object(&ENV_FILE), Twice::By(short::path_of))),
        ),
        field(
            "ports",
            Shape::Short(Convert::Ports, &Shape::List(&Shape::Object(&PORT), Twice::By(short::port_identity))),
        ),
        field("expose", Shape::Labels(Twice::Once)),
        field(
            "volumes",
            Shape::List(&Shape::Short(Convert::Volume, &Shape::Object(&MOUNT)), Twice::By(short::target_of)),
        )
        .path(PathRule::Mount),
        field(
            "networks",
            Shape::Short(
                Convert::Names,
                &Shape::Map(&Values { shape: Shape::Object(&ENDPOINT), null: true, names: true }),
            ),
        ),
        field(
            "depends_on",
            Shape::Short(
                Convert::DependsOn,
                &Shape::Map(&Values { shape: Shape::Object(&DEPENDENCY), null: false, names: true }),
            ),
        ),
        field("healthcheck", Shape::Object(&HEALTHCHECK)),
        field("restart", Shape::Text),
        field("labels", Shape::KeyValues(Bare::Empty)),
        field("label_file", Shape::TextOrTexts(Twice::Keep)).path(PathRule::Path),
        field("container_name", Shape::Text),
        field("hostname", Shape::Text),
        field("domainname", Shape::Text),
        field("user", Shape::Text),
        field("working_dir", Shape::Text),
        field("profiles", Shape::Texts(Twice::Once)),
        field("extends", Shape::Short(Convert::Extends, &Shape::Object(&EXTENDS))),
        field("deploy", Shape::Object(&DEPLOY)).null(),
        field("scale", Shape::Int).given(),
        field("init", Shape::Bool).given(),
        field("tty", Shape::Bool),
        field("stdin_open", Shape::Bool),
        field("read_only", Shape::Bool),
        field("privileged", Shape::Bool),
        field("tmpfs", Shape::TextOrTexts(Twice::Once)),
        field("network_mode", Shape::Text),
        field("links", Shape::Texts(Twice::Once)),
        field("external_links", Shape::Texts(Twice::Refuse)).unused(NOT_YET),
        field("extra_hosts", Shape::Hosts),
        field("dns", Shape::TextOrTexts(Twice::Once)),
        field("dns_search", Shape::TextOrTexts(Twice::Once)),
        field("dns_opt", Shape::Texts(Twice::Once)),
        field("stop_signal", Shape::Text),
        field("stop_grace_period", Shape::Duration).given(),
        field("cap_add", Shape::Texts(Twice::Once)),
        field("cap_drop", Shape::Texts(Twice::Once)),
        field("security_opt", Shape::Texts(Twice::Refuse)),
        field("mem_limit", Shape::Bytes),
        field("mem_reservation", Shape::Bytes),
        field("memswap_limit", Shape::Bytes),
        field("mem_swappiness", Shape::Bytes).unused(NOT_YET),
        field("cpus", Shape::Number),
        field("cpu_shares", Shape::Int),
        field("cpuset", Shape::Text),
        field("pids_limit", Shape::Int),
        field("oom_score_adj", Shape::Int),
        field("oom_kill_disable", Shape::Bool).unused("cgroup v2 has no such switch"),
        field("shm_size", Shape::Bytes),
        field("ulimits", ULIMITS),
        field("sysctls", Shape::KeyValues(Bare::Empty)),
        field("group_add", Shape::Labels(Twice::Refuse)),
        field("annotations", Shape::KeyValues(Bare::Empty)),
        field("attach", Shape::Bool).given(),
        field("pull_policy", Shape::Text),
        field("pull_refresh_after", Shape::Duration).unused(NOT_YET),
        field("mac_address", Shape::Text),
        field("logging", Shape::Object(&LOGGING)).merge(Merge::Logging),
        field(
            "secrets",
            Shape::List(&Shape::Short(Convert::Source, &Shape::Object(&FILE_GRANT)), Twice::By(short::secret_target)),
        )
        .unused("secrets are not mounted yet"),
        field(
            "configs",
            Shape::List(&Shape::Short(Convert::Source, &Shape::Object(&FILE_GRANT)), Twice::By(short::config_target)),
        )
        .unused("configs are not mounted yet"),
        field("platform", Shape::Text).unused("the image's own platform is run"),
        field("runtime", Shape::Text).unused("the built-in runtime is used"),
        field(
            "devices",
            Shape::List(&Shape::Short(Convert::Device, &Shape::Object(&DEVICE)), Twice::By(short::target_of)),
        )
        .unused(NOT_YET),
        field("device_cgroup_rules", Shape::Texts(Twice::Refuse)).unused(NOT_YET),
        field("gpus", Shape::Short(Convert::Gpus, &Shape::List(&Shape::Object(&DEVICE_REQUEST), Twice::Keep)))
            .unused(NOT_YET),
        field("blkio_config", Shape::Object(&BLKIO)).unused(NOT_YET),
        field("cgroup", Shape::OneOf(&["host", "private"])).unused(NOT_YET),
        field("cgroup_parent", Shape::Text).unused(NOT_YET),
        field("cpu_count", Shape::Int).unused(NOT_YET),
        field("cpu_percent", Shape::Number).unused(NOT_YET),
        field("cpu_period", Shape::Int).unused(NOT_YET),
        field("cpu_quota", Shape::Int).unused(NOT_YET),
        field("cpu_rt_period", Shape::Int).unused("the kernel has no realtime group scheduling on cgroup v2"),
        field("cpu_rt_runtime", Shape::Int).unused("the kernel has no realtime group scheduling on cgroup v2"),
        field("credential_spec", Shape::Object(&CREDENTIAL_SPEC)).unused(WINDOWS),
        field("isolation", Shape::Text).unused(WINDOWS),
        field("ipc", Shape::Text).unused(NOT_YET),
        field("pid", Shape::Text).null().unused(NOT_YET),
        field("uts", Shape::Text).unused(NOT_YET),
        field("userns_mode", Shape::Text).unused(NOT_YET),
        field("storage_opt", Shape::Options).unused(NOT_YET),
        field("volumes_from", Shape::Texts(Twice::Refuse)).unused(NOT_YET),
        field("develop", Shape::Object(&DEVELOP)).null().unused("files are not watched yet"),
        field("post_start", Shape::List(&Shape::Object(&HOOK), Twice::Keep)).unused(NOT_YET),
        field("pre_start", Shape::List(&Shape::Object(&HOOK), Twice::Keep)).unused(NOT_YET),
        field("pre_stop", Shape::List(&Shape::Object(&HOOK), Twice::Keep)).unused(NOT_YET),
        field("provider", Shape::Object(&PROVIDER)).unused(NOT_YET),
        field(
            "models",
            Shape::Short(
                Convert::Names,
                &Shape::Map(&Values { shape: Shape::Object(&MODEL_GRANT), null: true, names: true }),
            ),
        )
        .unused("there is no model runner"),
        field("use_api_socket", Shape::Bool).unused("there is no Docker socket"),
    ],
};

static ENV_FILE: Object = Object {
    name: "an env file",
    required: &["path"],
    fields: &[
        field("path", Shape::Text).path(PathRule::Path),
        field("required", Shape::Bool).given(),
        field("format", Shape::OneOf(&["raw"])),
    ],
};

static PORT: Object = Object {
    name: "a port",
    required: &["target"],
    fields: &[
        field("target", Shape::Int),
        field("published", Shape::Label),
        field("host_ip", Shape::Text),
        field("protocol", Shape::Text),
        field("mode", Shape::Text),
        field("name", Shape::Text),
        field("app_protocol", Shape::Text),
    ],
};

static MOUNT: Object = Object {
    name: "a mount",
    required: &["type"],
    fields: &[
        field("type", Shape::Text),
        field("source", Shape::Text),
        field("target", Shape::Text),
        field("read_only", Shape::Bool),
        field("consistency", Shape::Text),
        field("bind", Shape::Object(&MOUNT_BIND)),
        field("volume", Shape::Object(&MOUNT_VOLUME)),
        field("tmpfs", Shape::Object(&MOUNT_TMPFS)),
        field("image", Shape::Object(&MOUNT_IMAGE)),
    ],
};

static MOUNT_BIND: Object = Object {
    name: "bind options",
    required: &[],
    fields: &[
        field("propagation", Shape::Text),
        field("create_host_path", Shape::Bool),
        field("recursive", Shape::OneOf(&["enabled", "disabled", "writable", "readonly"])).unused(NOT_YET),
        // SELinux is off where it is not known, so this is silent.
        field("selinux", Shape::OneOf(&["z", "Z"])),
    ],
};

static MOUNT_VOLUME: Object = Object {
    name: "volume options",
    required: &[],
    fields: &[
        field("nocopy", Shape::Bool),
        field("subpath", Shape::Text),
        field("labels", Shape::KeyValues(Bare::Empty)).unused(NOT_YET),
    ],
};

static MOUNT_TMPFS: Object =
    Object { name: "tmpfs options", required: &[], fields: &[field("size", Shape::Bytes), field("mode", Shape::Mode)] };

static MOUNT_IMAGE: Object = Object { name: "image options", required: &[], fields: &[field("subpath", Shape::Text)] };

static ENDPOINT: Object = Object {
    name: "a service's network",
    required: &[],
    fields: &[
        field("aliases", Shape::Texts(Twice::Once)),
        field("ipv4_address", Shape::Text),
        field("ipv6_address", Shape::Text),
        field("link_local_ips", Shape::Texts(Twice::Once)).unused(NOT_YET),
        field("mac_address", Shape::Text),
        field("interface_name", Shape::Text),
        field("priority", Shape::Int),
        field("gw_priority", Shape::Int),
        field("driver_opts", Shape::Options).unused(NOT_YET),
    ],
};

/// One `depends_on` entry.
pub(super) static DEPENDENCY: Object = Object {
    name: "a dependency",
    required: &["condition"],
    fields: &[
        field("condition", Shape::OneOf(&["service_started", "service_healthy", "service_completed_successfully"])),
        field("required", Shape::Bool).given(),
        field("restart", Shape::Bool),
    ],
};

static HEALTHCHECK: Object = Object {
    name: "a healthcheck",
    required: &[],
    fields: &[
        field("test", Shape::HealthTest).replace(),
        field("interval", Shape::Duration).given(),
        field("timeout", Shape::Duration).given(),
        field("retries", Shape::Int).given(),
        field("start_period", Shape::Duration).given(),
        field("start_interval", Shape::Duration).given(),
        field("disable", Shape::Bool),
    ],
};

/// `extends`.
pub(super) static EXTENDS: Object = Object {
    name: "extends",
    required: &["service"],
    fields: &[field("service", Shape::Text), field("file", Shape::Text)],
};

static LOGGING: Object = Object {
    name: "logging",
    required: &[],
    fields: &[field("driver", Shape::Text), field("options", Shape::Options)],
};

static DEVICE: Object = Object {
    name: "a device",
    required: &["source"],
    fields: &[field("source", Shape::Text), field("target", Shape::Text), field("permissions", Shape::Text)],
};

static BLKIO: Object = Object {
    name: "blkio_config",
    required: &[],
    fields: &[
        field("weight", Shape::Int),
        field("weight_device", Shape::List(&Shape::Object(&BLKIO_WEIGHT), Twice::Keep)),
        field("device_read_bps", Shape::List(&Shape::Object(&BLKIO_RATE), Twice::Keep)),
        field("device_read_iops", Shape::List(&Shape::Object(&BLKIO_RATE), Twice::Keep)),
        field("device_write_bps", Shape::List(&Shape::Object(&BLKIO_RATE), Twice::Keep)),
        field("device_write_iops", Shape::List(&Shape::Object(&BLKIO_RATE), Twice::Keep)),
    ],
};

static BLKIO_WEIGHT: Object = Object {
    name: "a device weight",
    required: &[],
    fields: &[field("path", Shape::Text), field("weight", Shape::Int)],
};

static BLKIO_RATE: Object =
    Object { name: "a device rate", required: &[], fields: &[field("path", Shape::Text), field("rate", Shape::Bytes)] };

static CREDENTIAL_SPEC: Object = Object {
    name: "credential_spec",
    required: &[],
    fields: &[field("config", Shape::Text), field("file", Shape::Text), field("registry", Shape::Text)],
};

static DEVELOP: Object = Object {
    name: "develop",
    required: &[],
    fields: &[field("watch", Shape::List(&Shape::Object(&WATCH), Twice::Keep))],
};

static WATCH: Object = Object {
    name: "a watch rule",
    required: &["path", "action"],
    fields: &[
        field("path", Shape::Text).path(PathRule::Path),
        field("action", Shape::OneOf(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
        field("target", Shape::Text),
        field("ignore", Shape::TextOrTexts(Twice::Keep)),
        field("include", Shape::TextOrTexts(Twice::Keep)),
        field("initial_sync", Shape::Bool),
        field("exec", Shape::Object(&HOOK)).always(),
    ],
};

/// A command in a running container: `post_start`, `pre_stop`, `develop.watch.exec`.
pub(super) static HOOK: Object = Object {
    name: "a hook",
    required: &[],
    fields: &[
        field("command", Shape::Command).replace().always().null(),
        field("image", Shape::Text),
        field("user", Shape::Text),
        field("privileged", Shape::Bool),
        field("working_dir", Shape::Text),
        field("environment", Shape::KeyValues(Bare::Null)),
        field("per_replica", Shape::Bool),
    ],
};

static PROVIDER: Object = Object {
    name: "a provider",
    required: &["type"],
    fields: &[field("type", Shape::Text), field("options", Shape::Any)],
};

static MODEL_GRANT: Object = Object {
    name: "a service's model",
    required: &[],
    fields: &[field("endpoint_var", Shape::Text), field("model_var", Shape::Text)],
};

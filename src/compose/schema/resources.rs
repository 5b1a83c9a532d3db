//! Attributes of what stands beside the services: networks, volumes, configs, secrets, models,
//! and `include`.

use super::{Bare, Index, Merge, Object, PathRule, Shape, Twice, Whole, field};

/// One network.
pub(super) static NETWORK: Object = Object {
    index: Index::new(),
    name: "a network",
    required: &[],
    fields: rows![
        /// Name of the network, which gets no prefix. Default: `PROJECT_KEY`.
        field("name", Shape::Text),
        /// Kind of network, `bridge` if not given.
        field("driver", Shape::Text).such_as(&["bridge"]),
        /// Options of the driver, as `com.docker.network.driver.mtu: 1450`.
        field("driver_opts", Shape::Options { null: false }),
        /// Address ranges of the network.
        field("ipam", Shape::Object(&IPAM)).always(),
        /// The network belongs to somebody else: it must exist, and is neither made nor removed. Default: `false`.
        field("external", Shape::Bool),
        /// Cuts the network off from the outside. Default: `false`.
        field("internal", Shape::Bool),
        /// Whether containers get IPv4 addresses. Default: `true`.
        field("enable_ipv4", Shape::Bool).given().unused("networks always have IPv4"),
        /// Whether containers get IPv6 addresses. Default: `false`.
        field("enable_ipv6", Shape::Bool).given(),
        // Every local network is attachable.
        /// Whether containers from outside the project may join; they always may. Default: `false`.
        field("attachable", Shape::Bool),
        /// Labels of the network, as mapping or as list of `KEY=VALUE`.
        field("labels", Shape::KeyValues(Bare::Empty)),
    ],
};

/// `ipam`.
pub(super) static IPAM: Object = Object {
    index: Index::new(),
    name: "ipam",
    required: &[],
    fields: rows![
        /// Who gives the addresses out; `default` is the only one.
        field("driver", Shape::Text),
        /// Address ranges, one for each IP version.
        field("config", Shape::List(&Shape::Object(&POOL), Twice::Keep)).merge(Merge::Ipam),
        /// Options of the driver.
        field("options", Shape::Strings).never().unused("there is only the default driver"),
    ],
};

static POOL: Object = Object {
    index: Index::new(),
    name: "an address pool",
    required: &[],
    fields: rows![
        /// Addresses of the network in CIDR notation, as `172.28.0.0/16`. Default: a free range.
        field("subnet", Shape::Text),
        /// Part of the subnet from which addresses are given out. Default: all of it.
        field("ip_range", Shape::Text),
        /// Address of the way to the outside. Default: the first of the subnet.
        field("gateway", Shape::Text),
        /// Addresses that are not given out, by host name.
        field("aux_addresses", Shape::Strings).unused("the engine does not act on it yet"),
    ],
};

/// One volume.
pub(super) static VOLUME: Object = Object {
    index: Index::new(),
    name: "a volume",
    required: &[],
    fields: rows![
        /// Name of the volume, which gets no prefix. Default: `PROJECT_KEY`.
        field("name", Shape::Text),
        /// Kind of volume, `local` if not given.
        field("driver", Shape::Text).such_as(&["local"]),
        /// Options of the driver. `local` takes `type`, `o` and `device`, as mount(8) does.
        field("driver_opts", Shape::Options { null: false }),
        /// The volume belongs to somebody else: it must exist, and is neither made nor removed. Default: `false`.
        field("external", Shape::Bool),
        /// Labels of the volume, as mapping or as list of `KEY=VALUE`.
        field("labels", Shape::KeyValues(Bare::EmptyOnce)),
    ],
};

/// One config.
pub(super) static CONFIG: Object = Object {
    index: Index::new(),
    name: "a config",
    required: &[],
    fields: rows![
        /// Name of the config. Default: `PROJECT_KEY`.
        field("name", Shape::Text),
        /// File with the content, relative to the project's folder.
        field("file", Shape::Text).path(PathRule::HostPath),
        /// Environment variable with the content.
        field("environment", Shape::Text),
        /// The content itself. Variables in it are replaced; `$$` stands for `$`.
        field("content", Shape::Text),
        /// The config exists outside the project. Default: `false`.
        field("external", Shape::Bool),
        /// Labels of the config, as mapping or as list of `KEY=VALUE`.
        field("labels", Shape::KeyValues(Bare::EmptyOnce)),
        /// Program that fills in templates in the content.
        field("template_driver", Shape::Text).elsewhere("nothing fills in templates"),
    ],
};

/// One secret.
pub(super) static SECRET: Object = Object {
    index: Index::new(),
    name: "a secret",
    required: &[],
    fields: rows![
        /// Name of the secret. Default: `PROJECT_KEY`.
        field("name", Shape::Text),
        /// File with the content, relative to the project's folder.
        field("file", Shape::Text).path(PathRule::HostPath),
        /// Environment variable with the content.
        field("environment", Shape::Text),
        /// The secret exists outside the project. Default: `false`.
        field("external", Shape::Bool),
        /// Labels of the secret, as mapping or as list of `KEY=VALUE`.
        field("labels", Shape::KeyValues(Bare::EmptyOnce)),
        /// Program that keeps the secret.
        field("driver", Shape::Text).elsewhere("there are no drivers for secrets"),
        /// Options of that program.
        field("driver_opts", Shape::Options { null: false }).elsewhere("there are no drivers for secrets"),
        /// Program that fills in templates in the content.
        field("template_driver", Shape::Text).elsewhere("nothing fills in templates"),
    ],
};

/// One model.
pub(super) static MODEL: Object = Object {
    index: Index::new(),
    name: "a model",
    required: &["model"],
    fields: rows![
        /// Name of the model. Default: `PROJECT_KEY`.
        field("name", Shape::Text),
        /// Artifact with the model, as `ai/smollm2`.
        field("model", Shape::Text),
        /// Most tokens in its context. Default: the model's own.
        field("context_size", Shape::Int(Whole::Usual)),
        /// Arguments of the inference server.
        field("runtime_flags", Shape::Texts(Twice::Keep)),
    ],
};

/// A service's use of a config or secret.
pub(super) static FILE_GRANT: Object = Object {
    index: Index::new(),
    name: "a file grant",
    required: &["source"],
    fields: rows![
        /// Name of the config or secret at the top level.
        field("source", Shape::Text),
        /// Path of the file in the container; for a build, the id of the secret. Default: `/NAME` for a config,
        /// `/run/secrets/NAME` for a secret.
        field("target", Shape::Text),
        /// Number of the user who owns the file. Default: 0.
        field("uid", Shape::Text),
        /// Number of the group that owns the file. Default: 0.
        field("gid", Shape::Text),
        /// Permission bits of the file, octal as `0440`. Default: `0444`.
        field("mode", Shape::Mode).given(),
    ],
};

/// One `include` item.
pub(super) static INCLUDE: Object = Object {
    index: Index::new(),
    name: "an include",
    required: &["path"],
    fields: rows![
        /// File of the other project, or several that are merged.
        field("path", Shape::TextOrTexts(Twice::Keep)),
        /// Files with variables for it; variables of this project win. Default: `.env` in its folder.
        field("env_file", Shape::TextOrTexts(Twice::Keep)),
        /// Folder to which its relative paths belong. Default: that of the first file.
        field("project_directory", Shape::Text),
    ],
};

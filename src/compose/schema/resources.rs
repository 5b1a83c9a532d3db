//! Attributes of what stands beside the services: networks, volumes, configs, secrets, models,
//! and `include`.

use super::{Bare, Merge, Object, PathRule, Shape, Twice, field};

/// One network.
pub(super) static NETWORK: Object = Object {
    name: "a network",
    required: &[],
    fields: &[
        field("name", Shape::Text),
        field("driver", Shape::Text),
        field("driver_opts", Shape::Options),
        field("ipam", Shape::Object(&IPAM)).always(),
        field("external", Shape::Bool),
        field("internal", Shape::Bool),
        field("enable_ipv4", Shape::Bool).given().unused("networks always have IPv4"),
        field("enable_ipv6", Shape::Bool).given(),
        // Every local network is attachable.
        field("attachable", Shape::Bool),
        field("labels", Shape::KeyValues(Bare::Empty)),
    ],
};

/// `ipam`.
pub(super) static IPAM: Object = Object {
    name: "ipam",
    required: &[],
    fields: &[
        field("driver", Shape::Text),
        field("config", Shape::List(&Shape::Object(&POOL), Twice::Keep)).merge(Merge::Ipam),
        field("options", Shape::Options).never().unused("there is only the default driver"),
    ],
};

static POOL: Object = Object {
    name: "an address pool",
    required: &[],
    fields: &[
        field("subnet", Shape::Text),
        field("ip_range", Shape::Text),
        field("gateway", Shape::Text),
        field("aux_addresses", Shape::Options).unused("the engine does not act on it yet"),
    ],
};

/// One volume.
pub(super) static VOLUME: Object = Object {
    name: "a volume",
    required: &[],
    fields: &[
        field("name", Shape::Text),
        field("driver", Shape::Text),
        field("driver_opts", Shape::Options),
        field("external", Shape::Bool),
        field("labels", Shape::KeyValues(Bare::Empty)),
    ],
};

/// One config.
pub(super) static CONFIG: Object = Object {
    name: "a config",
    required: &[],
    fields: &[
        field("name", Shape::Text),
        field("file", Shape::Text).path(PathRule::Path),
        field("environment", Shape::Text),
        field("content", Shape::Text),
        field("external", Shape::Bool),
        field("labels", Shape::KeyValues(Bare::Empty)),
        field("template_driver", Shape::Text),
    ],
};

/// One secret.
pub(super) static SECRET: Object = Object {
    name: "a secret",
    required: &[],
    fields: &[
        field("name", Shape::Text),
        field("file", Shape::Text).path(PathRule::Path),
        field("environment", Shape::Text),
        field("external", Shape::Bool),
        field("labels", Shape::KeyValues(Bare::Empty)),
        field("driver", Shape::Text),
        field("driver_opts", Shape::Options),
        field("template_driver", Shape::Text),
    ],
};

/// One model.
pub(super) static MODEL: Object = Object {
    name: "a model",
    required: &["model"],
    fields: &[
        field("name", Shape::Text),
        field("model", Shape::Text),
        field("context_size", Shape::Int),
        field("runtime_flags", Shape::Texts(Twice::Keep)),
    ],
};

/// A service's use of a config or secret.
pub(super) static FILE_GRANT: Object = Object {
    name: "a file grant",
    required: &["source"],
    fields: &[
        field("source", Shape::Text),
        field("target", Shape::Text),
        field("uid", Shape::Text),
        field("gid", Shape::Text),
        field("mode", Shape::Mode).given(),
    ],
};

/// One `include` item.
pub(super) static INCLUDE: Object = Object {
    name: "an include",
    required: &["path"],
    fields: &[
        field("path", Shape::TextOrTexts(Twice::Keep)),
        field("env_file", Shape::TextOrTexts(Twice::Keep)),
        field("project_directory", Shape::Text),
    ],
};

//! `x-stack`: attributes of this program's own. To Compose it is an extension like any other, so it
//! is no row of the tables of a service and of the file: it is printed and merged as it was written.

use super::{Index, Object, Shape, field};

const WATCH: &[&str] = &["restart"];

/// `x-stack` of a service.
pub(crate) static SERVICE_X_STACK: Object = Object {
    index: Index::new(),
    name: "a service's x-stack",
    required: &[],
    fields: rows![
        /// How it is known that a container is ready: `auto`, `tcp:PORT` (a connection is accepted), `http:PORT/PATH`
        /// (the answer's status is below 400), `log:REGEX` (a line of output matches) or `none` (its process runs).
        /// `auto` asks the healthcheck, else a known protocol, else the first port that listens. Services with this one
        /// in `depends_on` then wait until it is ready, also with `service_started`. Default: they do not wait.
        field("ready", Shape::Text)
            .matches(
                "^(auto|none|tcp:[0-9]{1,5}|http:[0-9]{1,5}(/[!-~]*)?|log:.+)$",
                "write auto, tcp:PORT, http:PORT/PATH, log:REGEX or none",
            )
            .such_as(&["auto", "tcp:6379", "http:8080/health", "log:ready to accept connections", "none"]),
        /// `restart`: the containers are restarted when a source of a bind mount or an `env_file` changes while the
        /// project is watched. Default: nothing is watched but what `develop.watch` names.
        field("watch", Shape::OneOf(WATCH)),
    ],
};

/// `x-stack` at the top of the file.
pub(crate) static PROJECT_X_STACK: Object = Object {
    index: Index::new(),
    name: "a project's x-stack",
    required: &[],
    fields: rows![
        /// What `ready` is for services that do not say it themselves: `auto` or `none`.
        field("ready", Shape::OneOf(&["auto", "none"])),
        /// What `watch` is for services that do not say it themselves.
        field("watch", Shape::OneOf(WATCH)),
    ],
};

//! What goes on around a service's processes: environment, order, checks, hooks, logs.

use super::{Bare, Index, Object, PathRule, Shape, Twice, Whole, field};

/// One entry of `env_file`.
pub(super) static ENV_FILE: Object = Object {
    index: Index::new(),
    name: "an env file",
    required: &["path"],
    fields: rows![
        /// Path of the file, relative to the project's folder.
        field("path", Shape::Text).path(PathRule::Path),
        /// Whether it is a mistake when the file is missing. Default: `true`.
        field("required", Shape::Bool).given(),
        /// `raw`: values are taken as they are, without quotes and variables. Default: as in `.env`.
        field("format", Shape::OneOf(&["raw"])),
    ],
};

/// One `depends_on` entry.
pub(super) static DEPENDENCY: Object = Object {
    index: Index::new(),
    name: "a dependency",
    required: &["condition"],
    fields: rows![
        /// What is waited for: that it has started, is healthy, or has ended with status 0.
        field("condition", Shape::OneOf(&["service_started", "service_healthy", "service_completed_successfully"])),
        /// `false`: a missing or failed dependency is only a warning. Default: `true`.
        field("required", Shape::Bool).given(),
        /// Restarts this service when a command restarts or recreates the dependency. Default: `false`.
        field("restart", Shape::Bool),
    ],
};

/// `healthcheck`.
pub(super) static HEALTHCHECK: Object = Object {
    index: Index::new(),
    name: "a healthcheck",
    required: &[],
    fields: rows![
        /// The command: a list that begins with `CMD` (a program), `CMD-SHELL` (for the image's shell) or `NONE` (no
        /// check), or a string for the shell. Status 0 is healthy. Default: the image's.
        field("test", Shape::HealthTest).replace(),
        /// Time between the end of one check and the next, as `30s`. Default: `30s`.
        field("interval", Shape::Duration).given(),
        /// Time after which a check has failed. Default: `30s`.
        field("timeout", Shape::Duration).given(),
        /// Failures in a row that make a container unhealthy. Default: 3.
        field("retries", Shape::Int(Whole::Cut)).within(0, i64::MAX).given(),
        /// Time after the start in which failures do not count. Default: `0s`.
        field("start_period", Shape::Duration).given(),
        /// Time between checks in the start period. Default: `5s`.
        field("start_interval", Shape::Duration).given(),
        /// Turns the image's check off. Default: `false`.
        field("disable", Shape::Bool),
    ],
};

/// `extends`.
pub(super) static EXTENDS: Object = Object {
    index: Index::new(),
    name: "extends",
    required: &["service"],
    fields: rows![
        /// Name of the service.
        field("service", Shape::Text),
        /// File it is in, relative to the project's folder. Default: this file.
        field("file", Shape::Text).path(PathRule::Path),
    ],
};

/// `logging`.
pub(super) static LOGGING: Object = Object {
    index: Index::new(),
    name: "logging",
    required: &[],
    fields: rows![
        /// `json-file`, `local`, `none` or that of another system. Default: `json-file`.
        field("driver", Shape::Text).such_as(&["json-file", "local", "none"]),
        /// Options of the driver, as `max-size: 10m` and `max-file: 3`.
        field("options", Shape::Options { null: true }).unused("logs are kept in 5 files of 10 MiB"),
    ],
};

/// `develop`.
pub(super) static DEVELOP: Object = Object {
    index: Index::new(),
    name: "develop",
    required: &[],
    fields: rows![
        /// Paths that `watch` looks at, and what it does when a file below them changes.
        field("watch", Shape::List(&Shape::Object(&WATCH), Twice::Keep)),
    ],
};

static WATCH: Object = Object {
    index: Index::new(),
    name: "a watch rule",
    required: &["path", "action"],
    fields: rows![
        /// File or folder that is watched, relative to the project's folder.
        field("path", Shape::Text).path(PathRule::Path),
        /// What a change does: builds and recreates the service, copies the files, restarts it, or copies and then
        /// restarts or runs a command.
        field("action", Shape::OneOf(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
        /// Folder in the container that the files are copied to.
        field("target", Shape::Text),
        /// Patterns of files that are not watched, as in `.dockerignore`.
        field("ignore", Shape::TextOrTexts(Twice::Keep)),
        /// Patterns of files that are watched. Default: all.
        field("include", Shape::TextOrTexts(Twice::Keep)),
        /// Copies files that differ when watching begins. Default: `false`.
        field("initial_sync", Shape::Bool),
        /// Command that is run in the container after `sync+exec` copied files.
        field("exec", Shape::Object(&HOOK)).always(),
    ],
};

/// A command in a running container: `post_start`, `pre_stop`, `develop.watch.exec`.
pub(super) static HOOK: Object = Object {
    index: Index::new(),
    name: "a hook",
    required: &["command"],
    fields: rows![
        /// The command: a list, or a string that is split as a shell would do it.
        field("command", Shape::Command).replace().always().null(),
        /// User that it runs as. Default: that of the service.
        field("user", Shape::Text),
        /// Gives it all capabilities. Default: `false`.
        field("privileged", Shape::Bool),
        /// Folder in which it starts. Default: that of the service.
        field("working_dir", Shape::Text),
        /// Environment variables, added to those of the service.
        field("environment", Shape::KeyValues(Bare::Null)),
    ],
};

/// A container that must succeed before the service starts: `pre_start`.
pub(super) static PRE_START: Object = Object {
    index: Index::new(),
    name: "a pre_start hook",
    required: &[],
    fields: rows![
        /// The command: a list, or a string that is split as a shell would do it. Default: that of the image.
        field("command", Shape::Command).replace().always().null(),
        /// Image in which it runs. Default: that of the service.
        field("image", Shape::Text),
        /// User that it runs as. Default: that of the service.
        field("user", Shape::Text),
        /// Gives it all capabilities. Default: `false`.
        field("privileged", Shape::Bool),
        /// Folder in which it starts. Default: that of the service.
        field("working_dir", Shape::Text),
        /// Environment variables, added to those of the service.
        field("environment", Shape::KeyValues(Bare::Null)),
        /// Runs it once for each container, not once for the service. Default: `false`.
        field("per_replica", Shape::Bool),
    ],
};

/// `provider`.
pub(super) static PROVIDER: Object = Object {
    index: Index::new(),
    name: "a provider",
    required: &["type"],
    fields: rows![
        /// Name of the program, which is looked for in `PATH`.
        field("type", Shape::Text),
        /// Options of the program: each becomes `--NAME=VALUE`.
        field("options", Shape::Several),
    ],
};

/// One entry of `models`.
pub(super) static MODEL_GRANT: Object = Object {
    index: Index::new(),
    name: "a service's model",
    required: &[],
    fields: rows![
        /// Variable that gets the address of the model. Default: the model's name in capitals with `_URL`.
        field("endpoint_var", Shape::Text),
        /// Variable that gets the name of the model. Default: the model's name in capitals.
        field("model_var", Shape::Text),
    ],
};

//! Labels as Compose sets them (spec row `labels-system`): other tools read them.

use crate::compose::model::{Condition, Service};
use crate::ids::ServiceName;
use crate::spec::Goal;

/// The project.
pub const PROJECT: &str = "com.docker.compose.project";
/// The service.
pub const SERVICE: &str = "com.docker.compose.service";
/// Replica number, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// `True` for containers of `run`.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
/// What decides whether a container must be made anew.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// Digest of the image.
pub const IMAGE: &str = "com.docker.compose.image";
/// Project folder.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The files, joined by commas.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// `db:service_healthy:true`, joined by commas; the last part is `restart`.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Version of the program.
pub const VERSION: &str = "com.docker.compose.version";
/// Key of a network in the file.
pub const NETWORK: &str = "com.docker.compose.network";
/// Key of a volume in the file.
pub const VOLUME: &str = "com.docker.compose.volume";
/// Id of the container that this one took the place of.
pub const REPLACES: &str = "com.docker.compose.replace";

/// One entry of the label [`DEPENDS_ON`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The dependency.
    pub service: ServiceName,
    /// What it must have come to first.
    pub condition: Condition,
    /// The dependent is restarted with it.
    pub restart: bool,
}

/// Returns the value of [`DEPENDS_ON`] for a service.
pub(super) fn depends_on(service: &Service) -> String {
    let entry = |(name, dependency): (&ServiceName, &crate::compose::model::Dependency)| {
        format!("{name}:{}:{}", condition_word(dependency.condition), dependency.restart)
    };
    service.depends_on.iter().map(entry).collect::<Vec<_>>().join(",")
}

/// Reads a value of [`DEPENDS_ON`]; entries of other tools that make no sense are left out.
pub fn parse_depends_on(text: &str) -> Vec<Edge> {
    let edge = |entry: &str| {
        let mut parts = entry.split(':');
        let service = parts.next().filter(|name| !name.is_empty())?;
        let condition = match parts.next() {
            Some("service_healthy") => Condition::ServiceHealthy,
            Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
            _ => Condition::ServiceStarted,
        };
        Some(Edge { service: service.into(), condition, restart: parts.next() == Some("true") })
    };
    text.split(',').filter_map(edge).collect()
}

/// Returns what a dependent waits for; `ready` tells that it waits for more than the start.
pub(super) fn goal(condition: Condition, ready: bool) -> Goal {
    match condition {
        Condition::ServiceStarted if ready => Goal::Ready,
        Condition::ServiceStarted => Goal::Started,
        Condition::ServiceHealthy => Goal::Healthy,
        Condition::ServiceCompletedSuccessfully => Goal::Completed,
    }
}

/// Returns a condition as Compose files spell it.
pub(super) fn condition_word(condition: Condition) -> &'static str {
    goal(condition, false).word()
}

//! Watching a project's files: what crosses the socket.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::compose::model::Project;
use crate::ids::ServiceName;

/// Watch a project; containers are left as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchRequest {
    /// The resolved project.
    pub project: Project,
    /// Only these services; empty is all.
    pub services: Vec<ServiceName>,
    /// Go on when the client has gone, and when the engine is started again. Else watching ends
    /// with the connection.
    pub detach: bool,
    /// The engine that watched until now is gone: go on from what it left.
    pub resume: bool,
    /// How the project's own files are read anew when they change; `None`: they are not watched.
    pub caller: Option<Caller>,
}

/// How a project was resolved: the same again, later, reads its files anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The command line, `reload` and its options.
    pub arguments: Vec<String>,
    /// Folder that the command ran in.
    pub folder: PathBuf,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Every file that was read, and those that would have been had they been there; absolute.
    pub sources: Vec<PathBuf>,
    /// When reading them began, nanoseconds since 1970: what changed since was not seen.
    pub read_ns: i64,
}

/// The project's own files were read again: what is watched follows them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewatchRequest {
    /// The resolved project.
    pub project: Project,
    /// As [`Caller::sources`].
    pub sources: Vec<PathBuf>,
    /// As [`Caller::read_ns`].
    pub read_ns: i64,
}

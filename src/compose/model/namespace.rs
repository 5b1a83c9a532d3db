//! Whose namespaces a container lives in.

use serde::{Deserialize, Serialize};

use crate::ids::ServiceName;

/// `network_mode` (spec row `svc-network-mode`). `bridge` and `default` are not here: they put
/// the service on the project's default network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Only `lo`.
    None,
    /// The host's namespace.
    Host,
    /// Another service's namespace.
    Service(ServiceName),
    /// Another container's namespace, by name or id.
    Container(String),
}

/// `ipc`: shared memory and message queues (spec row `svc-ipc`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpcMode {
    /// A namespace of its own without `/dev/shm`.
    None,
    /// A namespace of its own.
    Private,
    /// The host's.
    Host,
    /// A namespace of its own that others may join.
    Shareable,
    /// That of a service's first container.
    Service(ServiceName),
    /// Another container's, by name or id.
    Container(String),
}

/// `pid`: which processes are seen (spec row `svc-pid`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PidMode {
    /// Only its own.
    Private,
    /// The host's.
    Host,
    /// Those of a service's first container too.
    Service(ServiceName),
    /// Those of another container too, by name or id.
    Container(String),
}

/// `uts`: whose host name is seen (spec row `svc-uts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UtsMode {
    /// The host's; the service then has no `hostname`.
    Host,
}

/// `cgroup`: which part of the cgroup tree is seen (spec row `svc-cgroup`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupMode {
    /// All of the host's.
    Host,
    /// Only its own.
    Private,
}

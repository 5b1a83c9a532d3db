//! The typed model of a resolved project: every attribute of the Compose Specification, paths
//! absolute, variables substituted, short forms expanded. The canonical tree, not this model, is
//! what `config` prints; this is what the planner reads and what crosses the daemon's socket.
//!
//! Fields have the names of the attributes; where one differs, its doc comment says which it is.
//! Units are types. `None` and empty stand for "not given", and the doc comment then names the
//! default. What several attributes say together (`restart` and `deploy.restart_policy`, say) is
//! a method of [`Service`]; whether this program acts on an attribute is not said here but by the
//! warnings of [`Loaded::unsupported`](super::Loaded::unsupported).

/// Declares structs whose fields are attributes that may all be absent. What is absent is not
/// written either: a service of three lines stays one on its way to the daemon.
macro_rules! attributes {
    ($($(#[$about:meta])* pub struct $name:ident { $($(#[$field_about:meta])* pub $field:ident: $kind:ty,)* })*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name { $(
            $(#[$field_about])*
            #[serde(skip_serializing_if = "super::says_nothing")]
            pub $field: $kind,
        )* }
    )* };
}

mod build;
mod deploy;
mod develop;
mod device;
mod effective;
mod lifecycle;
mod models;
mod mount;
mod namespace;
mod network;
mod service;
mod storage;
mod units;
mod x_stack;

pub use build::Build;
pub use deploy::{
    Deploy, DeployMode, DeployResources, DeployRestartPolicy, EndpointMode, FailureAction, GenericResource, Placement,
    PlacementPreference, ResourceLimits, ResourceReservations, RestartCondition, UpdateConfig, UpdateOrder,
};
pub use develop::{Develop, Hook, PreStartHook, WatchAction, WatchRule};
pub use device::{
    BlkioConfig, BlkioOperations, BlkioRate, BlkioWeight, Device, DeviceAccess, DeviceCount, DeviceKind, DeviceRequest,
    DeviceRule,
};
pub use effective::MAX_CONTAINERS;
pub use lifecycle::{
    Condition, CredentialSpec, Dependency, EnvFile, EnvFileFormat, HealthTest, Healthcheck, Logging, Provider,
    PullPolicy, Ulimit,
};
pub use models::{Model, ServiceModel};
pub use mount::{BindRecursion, FileGrant, SelinuxLabel, VolumeMount, VolumeMountKind, VolumesFrom, VolumesFromSource};
pub use namespace::{CgroupMode, IpcMode, NetworkMode, PidMode, UtsMode};
pub use network::{ExternalLink, Ipam, IpamPool, Network, Port, PortMode, ServiceNetwork};
pub use service::Service;
pub use storage::{Content, ContentSource, Volume};
pub use units::{Bytes, Cpus, MacAddress, Mode, Platform, SwapLimit, UnitError};
pub use x_stack::{WatchMode, XStack};

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::ids::{ProjectName, ServiceName};

/// A resolved project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name (spec row `project-name-precedence`).
    pub name: ProjectName,
    /// Folder that relative paths were resolved against.
    pub working_dir: PathBuf,
    /// The files it was read from, absolute.
    pub files: Vec<PathBuf>,
    /// Enabled services, in the order of the file.
    pub services: IndexMap<ServiceName, Service>,
    /// Names of services that no active profile enables; they are no orphans.
    pub disabled: Vec<ServiceName>,
    /// Networks by the key of the file; `default` is present when any service uses it.
    pub networks: IndexMap<String, Network>,
    /// Volumes by the key of the file.
    pub volumes: IndexMap<String, Volume>,
    /// Configs by the key of the file.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub configs: IndexMap<String, Content>,
    /// Secrets by the key of the file.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub secrets: IndexMap<String, Content>,
    /// AI models by the key of the file.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub models: IndexMap<String, Model>,
}

/// Tells whether an attribute is as if it had not been given.
fn says_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

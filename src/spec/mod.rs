//! Specifications: the plain data that `plan` makes and `engine`, `net` and `volume` execute.
//!
//! Everything is decided here already: ids, names, addresses, the full argument list. The
//! types are stored in records, so each record that holds them carries a version.

mod batch;
mod container;
#[cfg(test)]
pub(crate) mod fixture;
mod image;
mod network;
mod ready;

pub use batch::Batch;
pub use container::{
    Capabilities, ContainerSpec, ImageIdentity, Mount, MountKind, Resources, RestartPolicy, Rlimit, Seccomp,
};
pub(crate) use image::null_is_default;
pub use image::{Health, HealthcheckSpec, ImageConfig, ImageHealthcheck};
pub use network::{Endpoint, MOST_HANDED_OVER, NetworkSpec, NotPorts, PortRange, Protocol, PublishedPort};
pub use ready::{Goal, NotReady, Ready};

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::VolumeName;

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Its engine-wide name.
    pub name: VolumeName,
    /// Labels, Compose's own among them.
    pub labels: BTreeMap<String, String>,
    /// Made by somebody else: must exist, is never removed.
    pub external: bool,
    /// A folder of the host that is the volume (`driver_opts: {type: none, o: bind, device}`).
    pub device: Option<PathBuf>,
}

/// Which containers are made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recreate {
    /// Those that differ.
    #[default]
    Diverged,
    /// All (`--force-recreate`).
    Force,
    /// None (`--no-recreate`).
    Never,
}

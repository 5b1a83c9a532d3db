//! What a service finds in its file system besides the image.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::units::{Bytes, Mode};
use crate::ids::ServiceName;

attributes! {
    /// A service's use of a config or secret: a file in the container.
    pub struct FileGrant {
        /// Key of the config or secret.
        pub source: String,
        /// Path in the container, or the id that a build sees. Relative ones are below `/` for a
        /// config and below `/run/secrets` for a secret; the source's key when absent.
        pub target: Option<String>,
        /// Number of the user that owns the file; 0 when absent.
        pub uid: Option<u32>,
        /// Number of the group that owns the file; 0 when absent.
        pub gid: Option<u32>,
        /// Permission bits; 0444 when absent.
        pub mode: Option<Mode>,
    }
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// Absolute path in the container.
    pub target: String,
    /// No writes.
    pub read_only: bool,
    /// What is mounted.
    pub kind: VolumeMountKind,
    /// `consistency`: a hint for Docker on macOS, without meaning here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<String>,
}

/// What is mounted: `type`, `source` and the section of that type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum VolumeMountKind {
    /// A path of the host.
    Bind {
        /// Absolute.
        source: PathBuf,
        /// A missing source is made (short syntax, `create_host_path`).
        create_host_path: bool,
        /// `bind.propagation`; `rprivate` when empty.
        propagation: String,
        /// `bind.recursive`: whether mounts below the source come along; they do when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recursive: Option<BindRecursion>,
        /// `bind.selinux`: the source gets another label, where SELinux is on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selinux: Option<SelinuxLabel>,
    },
    /// A volume of the project, by its key; `None` is an anonymous one.
    Volume {
        /// Key in `Project::volumes`.
        source: Option<String>,
        /// `volume.nocopy`: an empty volume stays empty, rather than getting the image's files.
        nocopy: bool,
        /// `volume.subpath`: only this folder of the volume.
        subpath: Option<String>,
        /// `volume.labels`, for an anonymous volume.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
    },
    /// Memory.
    Tmpfs {
        /// Most that it may hold; half of the memory when absent.
        size: Option<Bytes>,
        /// Permission bits; 1777 when absent.
        mode: Option<Mode>,
        /// Options of the `tmpfs` attribute, `noexec`.
        options: Vec<String>,
    },
    /// The files of an image, read-only.
    Image {
        /// Reference of the image, or name of a service that is built.
        source: String,
        /// `image.subpath`: only this folder of the image.
        subpath: Option<String>,
    },
    /// A pipe of Windows; nothing is mounted.
    Npipe {
        /// Its path on the host.
        source: Option<String>,
    },
    /// A volume of a Swarm cluster; nothing is mounted.
    Cluster {
        /// Its name.
        source: Option<String>,
    },
}

impl VolumeMountKind {
    /// Tells whether this program mounts it.
    pub fn is_in_force(&self) -> bool {
        matches!(self, Self::Bind { .. } | Self::Volume { .. } | Self::Tmpfs { .. })
    }
}

/// `bind.recursive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindRecursion {
    /// They come along, and are read-only with it where the kernel can do that.
    Enabled,
    /// They do not come along.
    Disabled,
    /// They come along and stay writable.
    Writable,
    /// They come along and are read-only, or the mount fails.
    Readonly,
}

/// `bind.selinux`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelinuxLabel {
    /// `z`: all containers may use the source.
    #[serde(rename = "z")]
    Shared,
    /// `Z`: only this container may use it.
    #[serde(rename = "Z")]
    Private,
}

/// One `volumes_from` entry: all mounts of another container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// Whose.
    pub source: VolumesFromSource,
    /// `:ro`.
    pub read_only: bool,
}

/// Whose mounts are taken over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumesFromSource {
    /// Those of a service's first container.
    Service(ServiceName),
    /// Those of a container outside the project, by name or id.
    Container(String),
}

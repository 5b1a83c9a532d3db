//! The shim: parent of one container's first process, across its restarts. It holds what must
//! outlive the daemon: network namespace, published sockets, log file, exit status, sessions.
//!
//! ```text
//! stack __shim (one per daemon)  --fork-->  shim of container A  --clone3-->  its process 1
//!                                --fork-->  shim of container B  --clone3-->  its process 1
//! ```
//!
//! Shims are copies of one small server that the daemon starts: a fork takes a tenth of the
//! time of an exec, and the copies share their memory. Each runs a single thread.

mod container;
mod mounts;
mod output;
mod ports;
mod serve;
mod server;
mod session;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroup::Hierarchies;
use super::rootfs::Subpath;
use crate::ids::ContainerId;
use crate::spec::Resources;

pub use server::shim_main;

/// Everything a shim knows of its container; the first message of the daemon that started it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) id: ContainerId,
    /// Folder of the bundle, below the durable root.
    pub(crate) bundle: PathBuf,
    /// Folder for this run: socket, exit status.
    pub(crate) run_dir: PathBuf,
    /// The log file.
    pub(crate) log: PathBuf,
    /// How to start a daemon: program and the folders it serves.
    pub(crate) exe: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) run: PathBuf,
    pub(crate) tty: bool,
    pub(crate) stdin_open: bool,
    /// The daemon is told when the mounts change.
    pub(crate) watch_mounts: bool,
    pub(crate) init: bool,
    pub(crate) host_network: bool,
    pub(crate) privileged: bool,
    pub(crate) seccomp: bool,
    pub(crate) user: String,
    pub(crate) group_add: Vec<String>,
    /// Unpacked layers, lowest first.
    pub(crate) layers: Vec<PathBuf>,
    /// Where the root is mounted, in the container's own namespace.
    pub(crate) mount_point: PathBuf,
    pub(crate) hierarchies: Hierarchies,
    pub(crate) subpaths: Vec<Subpath>,
    pub(crate) cgroup_parent: String,
    pub(crate) resources: Resources,
    /// Published ports show the application who calls (the default route leads back).
    pub(crate) transparent: bool,
    /// Which descriptors come with the message, in this order.
    pub(crate) has_netns: bool,
    pub(crate) has_router: bool,
}

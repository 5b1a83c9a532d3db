//! One container at a time: its bundle, its shim, its first process, sessions in it, its log.
//!
//! [`Engine`] is the entry point: [`Engine::create`] writes the OCI bundle and the record,
//! [`Engine::spawn_shim`] starts the process that holds the container across restarts of its
//! program and of the daemon, [`Shim::start`] runs the program, [`Engine::remove`] leaves
//! nothing behind. [`exec`] is the client's half of sessions, [`logs`] reads logs.
//!
//! ```text
//! create -> (record, bundle) -> spawn_shim -> start -> Exited -> start ... -> shutdown -> remove
//! ```
//!
//! The engine has not heard of Compose, and of networks only as a namespace descriptor.

mod amend;
mod bundle;
mod capability;
mod cgroup;
mod create;
mod devices;
pub mod exec;
mod failure;
mod handle;
mod init;
pub mod logs;
mod protocol;
mod record;
mod refused;
pub mod remount;
mod rootfs;
mod seccomp;
mod shim;
mod user;
mod wire;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;

pub use crate::net::publish::Lent;
pub use crate::sys::memory::trim as give_memory_back;
pub use bundle::{MASKED_PATHS, READ_ONLY_PATHS};
pub use create::foresee;
pub use failure::StartError;
pub use handle::{Shim, ShimError};
pub use protocol::{
    AttachRequest, Bound, ExecOutput, ExecRequest, ExitStatus, Probe, PublishFailure, ShimStatus, Started, Upstream,
};
pub use record::{ContainerRecord, Runs};
pub use shim::shim_main;

use crate::ids::ContainerId;
use crate::paths::Paths;
use crate::spec::ContainerSpec;
use crate::store::Trash;
use cgroup::{Cgroup, Hierarchies};

/// Where the engine keeps its state and how it starts its own program.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Durable and runtime folder.
    pub paths: Paths,
    /// This program (`/proc/self/exe`, resolved); it is run as `__shim` and `__daemon`.
    pub exe: PathBuf,
}

/// The container engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: EngineConfig,
    hierarchies: Hierarchies,
    trash: Trash,
    /// Held while a record is read, changed and written.
    records: std::sync::Mutex<()>,
    /// What all containers share is on disk.
    prepared: AtomicBool,
    /// The server that forks shims, started with the first of them.
    server: tokio::sync::Mutex<Option<handle::Server>>,
}

/// Something the engine could not do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file or folder could not be made, read or removed.
    #[error("failed to {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bundle could not be moved away.
    #[error("failed to remove a container's folder")]
    Trash(#[source] crate::store::StoreError),
    /// A record or bundle could not be read or written as JSON.
    #[error("failed to {doing} {}", path.display())]
    Json {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The specification cannot be rendered as an OCI bundle.
    #[error("failed to render the bundle of {name}")]
    Bundle {
        /// The container.
        name: String,
        /// Why.
        #[source]
        source: Box<oci_spec::OciSpecError>,
    },
    /// The specification asks for something that does not exist.
    #[error("{name}: {why}")]
    Invalid {
        /// The container.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The server of shims, or a shim, could not be started or reached.
    #[error("failed to {doing}")]
    Shim {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Descriptors a shim is given for good.
#[derive(Debug, Default)]
pub struct ShimFds {
    /// The container's network namespace. `None`: the host's where the specification says so, else
    /// a new one at each start with nothing but `lo`.
    pub netns: Option<OwnedFd>,
    /// The router's namespace, for published ports.
    pub router: Option<OwnedFd>,
}

/// What a shim tells on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShimNotice {
    /// The container's program ended; the shim stays.
    Exited {
        /// The container.
        id: ContainerId,
        /// How.
        status: ExitStatus,
    },
    /// Something was mounted or unmounted in the container.
    MountsChanged {
        /// The container.
        id: ContainerId,
    },
    /// The shim is gone, and the container with it.
    Gone {
        /// The container.
        id: ContainerId,
    },
}

/// A shim found alive by a new daemon.
#[derive(Debug)]
pub struct Adopted {
    /// Its container.
    pub id: ContainerId,
    /// The shim.
    pub shim: Shim,
    /// What it knows of the container.
    pub status: ShimStatus,
    /// The container's network namespace.
    pub netns: Option<OwnedFd>,
}

impl Engine {
    /// Returns an engine; nothing is read or written yet.
    pub fn new(config: EngineConfig) -> Self {
        // Without mountinfo every limit is reported as not enforced.
        let hierarchies = Hierarchies::detect().unwrap_or_default();
        Self {
            inner: Arc::new(Inner {
                trash: Trash::new(&config.paths.root),
                config,
                hierarchies,
                records: std::sync::Mutex::default(),
                prepared: AtomicBool::new(false),
                server: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Returns the container's log file.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.inner.config.paths.root.join("logs").join(name).join(format!("{name}.json.log"))
    }

    /// Returns the socket of the container's shim, for `exec` and `attach`.
    pub fn shim_socket(&self, id: &ContainerId) -> PathBuf {
        self.run_dir(id).join("shim.sock")
    }

    /// Starts the server that forks shims, so that the first container need not wait for it.
    pub async fn warm_up(&self) -> Result<(), EngineError> {
        handle::ensure_server(self).await
    }

    /// Starts a shim for a created container and returns it when it answers.
    pub async fn spawn_shim(
        &self,
        spec: &ContainerSpec,
        fds: ShimFds,
        events: UnboundedSender<ShimNotice>,
    ) -> Result<Shim, EngineError> {
        handle::spawn(self, spec, fds, events).await
    }

    /// Connects to every shim that lives; called once by a new daemon. Containers whose shim
    /// is gone are killed, and an exit status that such a shim left behind goes into the
    /// record.
    pub async fn adopt(&self, events: UnboundedSender<ShimNotice>) -> Vec<Adopted> {
        handle::adopt(self, events).await
    }

    /// Kills whatever is left of a container whose shim died.
    pub fn kill_leftovers(&self, id: &ContainerId) {
        match record::load(&self.container_dir(id)) {
            Ok(record) => self.cgroup(&record.spec).kill(),
            // Somebody deleted its files.
            Err(_) => Cgroup::find(&self.inner.hierarchies, id.as_str()).iter().for_each(Cgroup::kill),
        }
    }

    fn containers_dir(&self) -> PathBuf {
        self.inner.config.paths.root.join("containers")
    }

    /// Returns the container's bundle: `config.json`, `upper`, `hosts`, ...
    pub fn container_dir(&self, id: &ContainerId) -> PathBuf {
        self.containers_dir().join(id.as_str())
    }

    fn run_dirs(&self) -> PathBuf {
        self.inner.config.paths.run.join("containers")
    }

    fn run_dir(&self, id: &ContainerId) -> PathBuf {
        self.run_dirs().join(id.as_str())
    }

    fn cgroup(&self, spec: &ContainerSpec) -> Cgroup {
        Cgroup::new(self.inner.hierarchies.clone(), &spec.cgroup_parent, spec.id.as_str())
    }
}

/// Returns the time, nanoseconds since 1970.
fn now_ns() -> i64 {
    // The clock is past 1970 and before 2262.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// Returns a path by which a socket can be named however long its own is (sockaddr_un holds
/// 108 bytes), and the folder's descriptor that must live as long as the path is used.
fn short_socket_path(socket: &Path) -> std::io::Result<(OwnedFd, PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let folder = socket.parent().unwrap_or(Path::new("."));
    let name = socket.file_name().unwrap_or_default();
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, rustix::fs::Mode::empty())?;
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((folder, path))
}

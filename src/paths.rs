//! Where state lives on disk (design section 7).

use std::path::{Path, PathBuf};

/// The durable and the runtime folder of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Durable: images, volumes, projects, containers. `STACK_ROOT`, else `/var/lib/stack`.
    pub root: PathBuf,
    /// Runtime: sockets, locks, pid files. `STACK_RUN`, else `/run/stack`.
    pub run: PathBuf,
}

impl Paths {
    /// Returns the folders that the environment names, else the defaults for root.
    pub fn from_env() -> Self {
        let folder = |key: &str, default: &str| {
            std::env::var_os(key).filter(|v| !v.is_empty()).map_or_else(|| PathBuf::from(default), PathBuf::from)
        };
        Self { root: folder("STACK_ROOT", "/var/lib/stack"), run: folder("STACK_RUN", "/run/stack") }
    }

    /// Returns the daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("stack.sock")
    }

    /// Returns the lock whose holder is the daemon.
    pub fn daemon_lock(&self) -> PathBuf {
        self.run.join("daemon.lock")
    }

    /// Returns the name of this engine's router namespace and the stem of its host links:
    /// `stack` for the default runtime folder, `stack-<hash>` for any other, so that many
    /// engines run side by side.
    pub fn instance(&self) -> String {
        if self.run == Path::new("/run/stack") {
            return "stack".to_owned();
        }
        let digest = crate::ids::Digest::of(self.run.as_os_str().as_encoded_bytes());
        format!("stack-{}", &digest.hex()[..8])
    }
}

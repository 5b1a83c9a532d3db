//! `develop` (spec rows `svc-develop-*`) and commands beside a service's own.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

attributes! {
    /// `develop`: what `watch` does while files are edited. No part of a container.
    pub struct Develop {
        /// `watch`: rules, each for a path.
        pub watch: Vec<WatchRule>,
    }

    /// One rule of `develop.watch`.
    pub struct WatchRule {
        /// File or folder of the host, absolute.
        pub path: PathBuf,
        /// What a change leads to.
        pub action: WatchAction,
        /// Where it is copied to in the container; the sync actions need it.
        pub target: Option<String>,
        /// Patterns below `path`, as in `.dockerignore`, that are not watched.
        pub ignore: Vec<String>,
        /// Patterns that alone are watched; all when empty.
        pub include: Vec<String>,
        /// Files that differ are copied once when watching begins.
        pub initial_sync: bool,
        /// What `sync+exec` runs in the container.
        pub exec: Option<Hook>,
    }

    /// A command in the service's container: `post_start`, `pre_stop`, `develop.watch.exec`.
    pub struct Hook {
        /// Argument list.
        pub command: Vec<String>,
        /// User it runs as; the service's when absent.
        pub user: Option<String>,
        /// All capabilities.
        pub privileged: bool,
        /// Folder it runs in; the service's when absent.
        pub working_dir: Option<String>,
        /// Variables over the service's own; `None` for one without a value.
        pub environment: IndexMap<String, Option<String>>,
    }

    /// A command in a container of its own, before the service starts: `pre_start`.
    pub struct PreStartHook {
        /// Argument list; the image's command when absent.
        pub command: Option<Vec<String>>,
        /// Image of its container; the service's when absent.
        pub image: Option<String>,
        /// User it runs as; that of the service, or of the image where it has one of its own, when absent.
        pub user: Option<String>,
        /// All capabilities.
        pub privileged: bool,
        /// Folder it runs in; the service's when absent.
        pub working_dir: Option<String>,
        /// Variables over the service's own; `None` for one without a value.
        pub environment: IndexMap<String, Option<String>>,
        /// Before each replica, rather than once before all.
        pub per_replica: bool,
    }
}

/// What a change of a watched file leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchAction {
    /// The image is built and the containers are made anew.
    #[default]
    Rebuild,
    /// The file is copied into the containers.
    Sync,
    /// The containers are restarted.
    Restart,
    /// Copied, then restarted.
    #[serde(rename = "sync+restart")]
    SyncRestart,
    /// Copied, then `exec` is run.
    #[serde(rename = "sync+exec")]
    SyncExec,
}

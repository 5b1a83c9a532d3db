//! What crosses the daemon's socket: HTTP/1.1 with JSON bodies over a unix socket; operations
//! answer with one [`Event`](crate::event::Event) a line (NDJSON), the last one `done`.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `GET /v1/version` | | [`Version`] |
//! | `POST /v1/projects/NAME/up` | [`UpRequest`] | events |
//! | `POST /v1/projects/NAME/plan` | [`UpRequest`] | [`PlanAnswer`] |
//! | `POST /v1/projects/NAME/down` | [`DownRequest`] | events |
//! | `POST /v1/projects/NAME/{start,stop,restart,kill,rm}` | [`ServicesRequest`] | events |
//! | `POST /v1/projects/NAME/watch` | [`WatchRequest`] | events |
//! | `POST /v1/projects/NAME/rewatch` | [`RewatchRequest`] | whether it is watched, as JSON |
//! | `POST /v1/projects/NAME/rollback` | [`RollbackRequest`] | events |
//! | `GET /v1/projects/NAME/containers` | | [`Vec<ContainerSummary>`] |
//! | `GET /v1/projects/NAME/why` | | [`Vec<Why>`] |
//! | `GET /v1/projects` | | [`Vec<ProjectSummary>`] |
//! | `POST /v1/logs` | [`LogsRequest`] | [`LogLine`]s |
//! | `GET /v1/events?project=NAME&since=NS&until=NS` | | events from now on or, with `since`, also the kept ones; to `until` or without end (nanoseconds since 1970) |
//! | `GET /v1/containers/REF` | | Docker's container inspect object |
//! | `GET /v1/containers/REF/shim` | | [`ShimAddress`], where `exec` and `attach` talk |
//! | `GET /v1/images`, `GET /v1/images/REF` | | [`Vec<ImageSummary>`], Docker's image inspect |
//! | `POST /v1/images/pull` | [`PullRequest`] | events |
//! | `POST /v1/images/resolve` | [`ResolveRequest`] | events; a note for each reference: it, a blank, it with its digest |
//! | `POST /v1/images/load` | [`LoadRequest`] | events; a note for each image, `Loaded image: REF` |
//! | `POST /v1/images/import` | [`ImportRequest`] | events; one note, the image's id |
//! | `DELETE /v1/images/REF` | | 200 or an error |
//!
//! `REF` is one segment of the path: a `/` in it is percent-encoded.
//!
//! An error is a status of 400 or above with an [`ApiError`] body.

pub mod client;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::compose::model::Project;
use crate::crash::Card;
use crate::event::Failure;
use crate::ids::{ContainerId, ProjectName, ServiceName};
pub use crate::plan::review::{Change, Effect, Kind, Review, Reviewed};
pub use crate::spec::Recreate;
pub use watch::{Caller, RewatchRequest, WatchRequest};

/// Version of this protocol; client and daemon must agree exactly.
pub const VERSION: u32 = 2;

/// Answer of `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// [`VERSION`] of the daemon.
    pub api: u32,
    /// Version of the program that runs as daemon.
    pub program: String,
    /// The daemon's process id.
    pub pid: u32,
}

/// Body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What was being done and why it failed.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Converge a project to its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpRequest {
    /// The resolved project.
    pub project: Project,
    /// Only these services (and, without `no_deps`, what they depend on); empty is all.
    pub services: Vec<ServiceName>,
    /// Replica counts that override the file's.
    pub scale: BTreeMap<ServiceName, u32>,
    /// Leave dependencies alone.
    pub no_deps: bool,
    /// Which containers are made anew.
    pub recreate: Recreate,
    /// Remove containers of services that are no longer in the file.
    pub remove_orphans: bool,
    /// Do not even report orphans (`COMPOSE_IGNORE_ORPHANS`).
    pub ignore_orphans: bool,
    /// Anonymous volumes are made anew rather than kept (`-V`).
    pub renew_anon_volumes: bool,
    /// Start what was created (`create` and `up --no-start` do not).
    pub start: bool,
    /// Answer `done` only when all are running or healthy (`--wait`).
    pub wait: bool,
    /// Bound for `wait`, seconds.
    pub wait_timeout: Option<u64>,
    /// Grace in seconds for containers that are replaced (`-t`).
    pub timeout: Option<u64>,
    /// Overrides each service's pull policy (`--pull`).
    pub pull: Option<crate::compose::model::PullPolicy>,
    /// What the user has seen and agreed to (`--plan`): anything else is refused.
    #[serde(default)]
    pub expected: Option<Review>,
    /// The project is the one that is here, its files edited: services that the same files no longer
    /// have are removed.
    #[serde(default)]
    pub edited: bool,
}

/// What an [`UpRequest`] would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// The plan; `None` when there can be none.
    pub review: Option<Review>,
    /// Why there can be none.
    pub errors: Vec<Failure>,
}

/// Stop and remove a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownRequest {
    /// Only these services; empty is all, and the networks.
    pub services: Vec<ServiceName>,
    /// Services the file knows; containers of others are orphans. `None`: no file, all go.
    pub known: Option<Vec<ServiceName>>,
    /// Remove orphans too.
    pub remove_orphans: bool,
    /// Remove named (not external) and anonymous volumes.
    pub volumes: bool,
    /// Grace in seconds (`-t`).
    pub timeout: Option<u64>,
    /// Remove images: `all` or `local`.
    pub rmi: Option<String>,
    /// Answer with the plan, a note a step, and change nothing (`--dry-run`).
    #[serde(default)]
    pub dry_run: bool,
}

/// Go back to the last definition that `up` succeeded with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// Only these services; empty is all.
    pub services: Vec<ServiceName>,
    /// Grace in seconds (`-t`).
    pub timeout: Option<u64>,
    /// Answer with the plan, a note a step, and change nothing (`--dry-run`).
    pub dry_run: bool,
}

/// `start`, `stop`, `restart`, `kill` and `rm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicesRequest {
    /// Only these services; empty is all.
    pub services: Vec<ServiceName>,
    /// Grace in seconds (`-t`).
    pub timeout: Option<u64>,
    /// Signal number for `kill`; SIGKILL when absent.
    pub signal: Option<i32>,
    /// `rm -s`: stop first. `rm` otherwise only takes stopped containers.
    pub stop: bool,
    /// `rm -v`: anonymous volumes too.
    pub volumes: bool,
    /// `restart --no-deps`: dependents do not follow.
    pub no_deps: bool,
    /// `start --wait`, and `restart` alike.
    pub wait: bool,
    /// Bound for `wait`, seconds.
    #[serde(default)]
    pub wait_timeout: Option<u64>,
    /// Answer with the plan, a note a step, and change nothing (`--dry-run`).
    #[serde(default)]
    pub dry_run: bool,
}

/// One line of `ps`, enough for every format of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSummary {
    /// Id.
    pub id: ContainerId,
    /// Name.
    pub name: String,
    /// Project.
    pub project: ProjectName,
    /// Service.
    pub service: String,
    /// Replica number, from 1.
    pub number: u32,
    /// A one-off container of `run`.
    pub one_off: bool,
    /// Image as the file names it.
    pub image: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// `created`, `running`, `restarting`, `exited`, `paused`, `dead`.
    pub state: String,
    /// `starting`, `healthy`, `unhealthy`; empty without a healthcheck.
    pub health: String,
    /// It is ready.
    #[serde(default)]
    pub ready: bool,
    /// What decided that it is; before that the rule of the file, empty where it gives none.
    #[serde(default)]
    pub ready_rule: String,
    /// Exit status of the last run; 0 while it runs.
    pub exit_code: i32,
    /// When the current run began, or the last one ended, seconds since 1970.
    pub since: Option<i64>,
    /// Times the engine started it again.
    pub restarts: u32,
    /// Why its last run ended, in a few words; empty while it runs and where the exit status says it.
    #[serde(default)]
    pub cause: String,
    /// Published ports, one entry a host address.
    pub publishers: Vec<Publisher>,
    /// Ports the container exposes without publishing them, `6379/tcp`.
    pub exposed: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of its networks.
    pub networks: Vec<String>,
    /// Mount sources (volume names, host paths).
    pub mounts: Vec<String>,
}

/// Why a container is as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The container.
    pub container: ContainerSummary,
    /// Why its newest start failed; empty when it did not.
    pub error: String,
    /// What its health check said last, where it fails.
    pub check: Option<String>,
    /// How its last run ended; `None` when none did.
    pub card: Option<Card>,
}

/// One published port of a container that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publisher {
    /// Host address, `0.0.0.0` or `::` for all.
    pub url: String,
    /// Port in the container.
    pub target_port: u16,
    /// Port on the host.
    pub published_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// One line of `ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSummary {
    /// Name.
    pub name: ProjectName,
    /// Number of containers by state, `running` to 3.
    pub states: BTreeMap<String, u32>,
    /// Its files.
    pub files: Vec<PathBuf>,
}

/// Which log lines to send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Project.
    pub project: String,
    /// Only these services; empty is all.
    pub services: Vec<ServiceName>,
    /// Only this replica (`--index`).
    pub index: Option<u32>,
    /// Go on with lines as they come, also of containers that appear later.
    pub follow: bool,
    /// Following ends when none of the containers runs or starts again (`logs -f`).
    #[serde(default)]
    pub until_all_ended: bool,
    /// So many last lines of each container; `None` is all.
    pub tail: Option<u64>,
    /// Not before, nanoseconds since 1970.
    pub since_ns: Option<i64>,
    /// Not after, nanoseconds since 1970.
    pub until_ns: Option<i64>,
}

/// One log line (or piece of one: `text` keeps its line feed when it has one).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Container name.
    pub container: String,
    /// Service.
    pub service: String,
    /// Replica number.
    pub number: u32,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// When it was written, nanoseconds since 1970.
    pub time_ns: i64,
    /// The text.
    pub text: String,
    /// In place of a line: the container died unexpectedly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Box<Card>>,
}

/// Where to talk to a container's shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimAddress {
    /// The container.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The shim's socket.
    pub socket: PathBuf,
    /// The container's own terminal setting: what `attach` needs to know.
    pub tty: bool,
}

/// Fetch images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// References as the user writes them.
    pub references: Vec<String>,
    /// Skip those that are there.
    pub missing_only: bool,
}

/// Ask registries which image exactly a reference means now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveRequest {
    /// References as the user writes them.
    pub references: Vec<String>,
}

/// Read images from an archive on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRequest {
    /// Absolute path of a `docker save` or OCI archive (compressed or not), or an OCI layout folder.
    pub path: PathBuf,
}

/// Make an image from a root file system on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// Absolute path of a tar archive (compressed or not) or a folder.
    pub path: PathBuf,
    /// Name of the image.
    pub reference: String,
    /// Dockerfile instructions that set its configuration, `CMD ["sh"]`.
    pub changes: Vec<String>,
}

/// One line of `image ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSummary {
    /// Digest of the configuration.
    pub id: String,
    /// Names, `docker.io/library/redis:7`, as stored.
    pub references: Vec<String>,
    /// Manifest digest.
    pub digest: String,
    /// Bytes unpacked.
    pub size: u64,
    /// Seconds since 1970; `None` where the image does not say.
    pub created: Option<i64>,
}

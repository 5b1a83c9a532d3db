//! The engine's process: sole owner of state. Observe, plan, apply; health, DNS, adoption.
//!
//! ```text
//! socket --http--> Daemon (operations) --Input--> state (one task, owns all containers)
//!                     |  plan, apply                   |  lifecycle::Replica -> commands
//!                     v                                v
//!                  machine (networks, volumes,      launch, probes, timers, signals
//!                  bundles)                            |
//!                                                      v
//!                                          shims --ShimNotice--> state
//! ```
//!
//! [`run`] is the entry point. The daemon leaves when nobody needs it: no container runs, none
//! is to be started again, no client is connected. It takes the router namespace with it.

mod adopt;
mod amend;
mod announce;
mod autopsy;
mod container;
mod deaths;
mod deleted;
mod events;
#[cfg(debug_assertions)]
mod faults;
#[cfg(test)]
mod fixture;
mod follow;
mod hand_over;
mod heal;
mod history;
mod hold;
mod http;
mod images;
mod inspect;
mod intent;
mod launch;
mod log_file;
mod logs;
mod machine;
mod mounts;
mod network_record;
mod operations;
mod preflight;
mod presence;
mod project_record;
mod provide;
mod queries;
mod ready;
mod reservations;
mod rollback;
mod socket;
mod state;
mod summary;
mod timings;
mod watch;

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::engine::{Engine, EngineConfig};
use crate::host::HostError;
use crate::ids::ProjectName;
use crate::image::ImageStore;
use crate::net::{Net, NetConfig};
use crate::paths::Paths;
use crate::volume::Volumes;

/// How long nobody must have needed the daemon before it leaves: long enough for the next
/// command of a script, short enough that nobody finds it idle.
const QUIET: Duration = Duration::from_secs(1);

/// The layers below, cheap to clone.
#[derive(Clone)]
struct Parts {
    paths: Paths,
    engine: Engine,
    net: Net,
    images: ImageStore,
    volumes: Volumes,
}

/// What requests talk to.
pub(crate) struct Daemon {
    parts: Parts,
    inputs: mpsc::UnboundedSender<state::Input>,
    /// Operations keep the daemon, also when their client has gone.
    presence: presence::Presence,
    /// Operations on one project take turns.
    turns: Mutex<HashMap<ProjectName, Arc<tokio::sync::Mutex<()>>>>,
    /// What plans that are being carried out are about to make.
    reservations: reservations::Reservations,
    /// Projects whose files are watched.
    watchers: watch::Watchers,
}

impl Daemon {
    /// Tells the owner of the state something.
    fn send(&self, input: state::Input) {
        // The owner lives as long as the process.
        let _ = self.inputs.send(input);
    }

    /// Asks the owner of the state for something that is known at once.
    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> state::Input) -> T {
        let (reply, answer) = oneshot::channel();
        self.send(input(reply));
        match answer.await {
            Ok(answer) => answer,
            // The owner has died, and `serve` ends the process.
            Err(_) => std::future::pending().await,
        }
    }

    /// Asks the owner of the state to do something.
    async fn request(&self, input: impl FnOnce(container::Reply) -> state::Input) -> Result<(), HostError> {
        let (reply, answer) = oneshot::channel();
        self.send(input(reply));
        answer.await.unwrap_or_else(|_| Err(HostError::new("the container was removed before it was done")))
    }
}

/// Runs the daemon until nobody needs it. Prints `ready` on standard output, and closes it, as
/// soon as a daemon (this one or the one that was there before) accepts connections.
pub fn run() -> ExitCode {
    forget_caller();
    let paths = Paths::from_env();
    match start(&paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log or, before there is one, what the client shows.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(paths: &Paths) -> Result<(), Box<dyn std::error::Error>> {
    let lock =
        match socket::race(paths).map_err(|e| format!("cannot become the daemon in {}: {e}", paths.run.display()))? {
            socket::Race::Won(lock) => lock,
            socket::Race::Lost => {
                ready();
                return Ok(());
            }
        };
    trace(paths);
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(serve(paths));
    // Tasks that still write logs or fetch images are cut off here; all they do can be redone.
    runtime.shutdown_background();
    drop(lock);
    result
}

async fn serve(paths: &Paths) -> Result<(), Box<dyn std::error::Error>> {
    let exe = std::env::current_exe()?;
    let parts = Parts {
        paths: paths.clone(),
        engine: Engine::new(EngineConfig { paths: paths.clone(), exe }),
        net: Net::open(NetConfig { instance: paths.instance(), run: paths.run.clone(), root: paths.root.clone() })
            .await?,
        images: ImageStore::open(&paths.root)?,
        volumes: Volumes::open(&paths.root)?,
    };
    let warm = parts.engine.clone();
    let first_shim = tokio::spawn(async move { warm.warm_up().await });
    let cleaning = parts.clone();
    tokio::task::spawn_blocking(move || {
        crate::store::Trash::new(&cleaning.paths.root).empty();
        // Records that an earlier daemon had not written to their end.
        for folder in ["projects", "watch"] {
            crate::store::remove_leftovers(&cleaning.paths.root.join(folder));
        }
        if let Err(error) = cleaning.images.sweep() {
            tracing::warn!(%error, "leftovers of images could not be removed");
        }
    });
    let presence = presence::Presence::default();
    let (inputs, receiver) = mpsc::unbounded_channel();
    let mut state = state::State::new(parts.clone(), inputs.clone(), presence.clone());
    adopt::adopt(&mut state).await;
    let news = state.news();
    let owner = tokio::spawn(state.run(receiver));
    let daemon = Arc::new(Daemon {
        parts: parts.clone(),
        inputs,
        presence: presence.clone(),
        turns: Mutex::default(),
        reservations: reservations::Reservations::default(),
        watchers: watch::Watchers::default(),
    });
    tokio::spawn(heal::links(Arc::clone(&daemon)));
    tokio::spawn(deleted::containers(Arc::clone(&daemon)));
    tokio::spawn(follow::followers(Arc::clone(&daemon), news));
    daemon.resume_watches();
    if let Err(error) = first_shim.await? {
        tracing::warn!(%error, "the server of shims did not start");
    }
    let listener =
        socket::listen(&paths.socket()).map_err(|e| format!("cannot listen on {}: {e}", paths.socket().display()))?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    ready();
    tracing::info!(socket = %paths.socket().display(), "listening");
    tokio::select! {
        // Whichever comes first ends the process: nothing is lost with the other arms.
        () = socket::serve(listener, Arc::clone(&daemon), &presence, QUIET) => {
            // From here a new client starts a new daemon, which waits for our lock.
            let _ = std::fs::remove_file(paths.socket());
            parts.net.teardown().await?;
            tracing::info!("nobody needs the daemon: it leaves");
            Ok(())
        }
        _ = terminate.recv() => {
            let _ = std::fs::remove_file(paths.socket());
            daemon.say_goodbye().await;
            tracing::info!("asked to end: containers run on, the next command starts a new daemon");
            Ok(())
        }
        // Shims start a new daemon, which takes everything over.
        ended = owner => Err(format!("the owner of the state has ended: {ended:?}").into()),
    }
}

/// Lets go of what is the caller's alone: a file mode mask that would hide `/etc/hosts` from a
/// container's users, open files whose locks would be held for as long as anything runs.
fn forget_caller() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // Before anything of ours is open.
    if let Err(error) = crate::sys::process::close_range(3, u32::MAX) {
        tracing::warn!(%error, "open files of the caller stay open");
    }
}

/// Tells whoever started this process that the socket answers.
fn ready() {
    let mut out = std::io::stdout();
    let _ = out.write_all(b"ready\n").and_then(|()| out.flush());
    // The reader waits for the end of the stream; the log goes on standard error.
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Each container costs a handful of descriptors: sockets of its DNS, its shim, its namespace.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Sends the log to `daemon.log` in the runtime folder, filtered by `STACK_LOG` (`info` unless set).
fn trace(paths: &Paths) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STACK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = Mutex::new(log_file::LogFile::open(paths.run.join("daemon.log")));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(log).try_init();
}

/// Returns the time, nanoseconds since 1970.
fn now_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

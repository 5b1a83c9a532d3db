//! The daemon's end of a shim.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};

use super::failure::StartError;
use super::protocol::{
    Bound, ExecOutput, ExitStatus, FromShim, Hello, Operation, Probe, PublishFailure, Reply, ShimStatus, Started,
    ToShim, Upstream,
};
use super::rootfs::Subpath;
use super::shim::Setup;
use super::wire::{self, Frame, Receiver, Sender};
use super::{Adopted, Engine, EngineError, ShimFds, ShimNotice, create, short_socket_path};
use crate::ids::ContainerId;
use crate::net::publish::Lent;
use crate::spec::{ContainerSpec, MountKind, PublishedPort, Resources, Seccomp};
use crate::sys::mount::{Attributes, set_attributes};

/// How long a shim may take to answer what takes it no time.
const ANSWER: Duration = Duration::from_secs(10);

/// A running shim; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shim {
    inner: Arc<ShimInner>,
}

/// Who waits for the answer of that number, and for what comes with it.
type Waiting = HashMap<u64, oneshot::Sender<(Reply, Vec<OwnedFd>)>>;

#[derive(Debug)]
struct ShimInner {
    id: ContainerId,
    pid: u32,
    sender: Sender,
    next: AtomicU64,
    /// Requests that are not answered yet; `None` when the shim is gone.
    waiting: Mutex<Option<Waiting>>,
    /// Turns true when the shim is gone.
    gone: watch::Sender<bool>,
    /// Gone on request: nobody is told.
    leaving: std::sync::atomic::AtomicBool,
}

/// A request that a shim did not fulfil.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShimError {
    /// It is gone, and the container with it.
    #[error("the container's shim is gone")]
    Gone,
    /// It cannot do that now.
    #[error("{0}")]
    Refused(String),
    /// The program did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A port could not be published.
    #[error(transparent)]
    Publish(#[from] PublishFailure),
}

impl Shim {
    /// Returns the shim's own process id.
    pub fn pid(&self) -> u32 {
        self.inner.pid
    }

    /// Starts the container's program and returns when it executes, or why it does not.
    pub async fn start(&self) -> Result<Started, StartError> {
        match self.request(Operation::Start).await {
            Ok(Reply::Started(started)) => Ok(started),
            Ok(Reply::StartFailed(failure)) => Err(failure),
            Ok(other) => Err(StartError::new("start the container", unexpected(&other))),
            Err(err) => Err(StartError::new("start the container", err)),
        }
    }

    /// Sends a signal to the container's first process; SIGKILL to all of its processes.
    pub async fn signal(&self, signal: i32) -> Result<(), ShimError> {
        done(self.request(Operation::Signal(signal)).await?)
    }

    /// Binds the host's sockets of these ports and serves them until the shim ends.
    /// Ports among `lent` go on with the sockets that another shim had open for them.
    pub async fn publish(
        &self,
        ports: Vec<PublishedPort>,
        upstream: Upstream,
        lent: Vec<Lent>,
    ) -> Result<Vec<Bound>, ShimError> {
        let (lent, fds) = lent.into_iter().map(|lent| (lent.port, lent.fd)).unzip();
        match self.request_with(Operation::Publish { ports, upstream, lent }, fds).await?.0 {
            Reply::Bound(bound) => Ok(bound),
            Reply::PublishFailed(failure) => Err(failure.into()),
            other => Err(ShimError::Refused(unexpected(&other))),
        }
    }

    /// Returns the sockets of the published ports, for another shim. This one goes on to serve them.
    pub async fn lend(&self) -> Result<Vec<Lent>, ShimError> {
        let answer = tokio::time::timeout(ANSWER, self.request_with(Operation::Lend, Vec::new())).await;
        let late = |_| ShimError::Refused(format!("the shim did not answer within {} s", ANSWER.as_secs()));
        match answer.map_err(late)?? {
            (Reply::Lent(ports), fds) => Ok(ports.into_iter().zip(fds).map(|(port, fd)| Lent { port, fd }).collect()),
            (Reply::Refused(why), _) => Err(ShimError::Refused(why)),
            (other, _) => Err(ShimError::Refused(unexpected(&other))),
        }
    }

    /// Accepts nothing more on the published ports; returns when the last connection has ended, or
    /// after so long.
    pub async fn retire(&self, within: Duration) -> Result<(), ShimError> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        done(self.request(Operation::Retire { within_ms }).await?)
    }

    /// Runs a program in the container and captures its output.
    pub async fn exec_wait(&self, probe: Probe) -> Result<ExecOutput, ShimError> {
        match self.request(Operation::Probe(probe)).await? {
            Reply::Output(output) => Ok(output),
            Reply::StartFailed(failure) => Err(failure.into()),
            other => Err(ShimError::Refused(unexpected(&other))),
        }
    }

    /// Changes the container's limits; returns warnings about those that this host cannot enforce.
    ///
    /// # Errors
    ///
    /// A limit that the kernel refuses. Then all are as before.
    pub async fn limit(&self, resources: Resources) -> Result<Vec<String>, ShimError> {
        match self.request(Operation::Limit(resources)).await? {
            Reply::Limited(warnings) => Ok(warnings),
            Reply::Refused(why) => Err(ShimError::Refused(why)),
            other => Err(ShimError::Refused(unexpected(&other))),
        }
    }

    /// Returns what the shim knows of the container.
    pub async fn status(&self) -> Result<ShimStatus, ShimError> {
        match self.request(Operation::Status).await? {
            Reply::Status(status) => Ok(status),
            other => Err(ShimError::Refused(unexpected(&other))),
        }
    }

    /// Ends the shim, and the container if it still runs; returns when it is gone.
    pub async fn shutdown(&self) {
        self.inner.leaving.store(true, Ordering::Relaxed);
        // Gone already is what was wanted.
        let _ = self.request(Operation::Shutdown).await;
        let mut gone = self.inner.gone.subscribe();
        // The channel lives as long as this handle; a shim that answered ends at once.
        let _ = tokio::time::timeout(ANSWER, gone.wait_for(|gone| *gone)).await;
    }

    /// Tells the shim that the daemon leaves in good order and none need be started.
    pub async fn goodbye(&self) {
        self.inner.leaving.store(true, Ordering::Relaxed);
        let _ = self.inner.sender.control(&ToShim::Goodbye).await;
        let _ = tokio::time::timeout(ANSWER, self.inner.sender.flushed()).await;
    }

    async fn request(&self, op: Operation) -> Result<Reply, ShimError> {
        self.request_with(op, Vec::new()).await.map(|(reply, _)| reply)
    }

    async fn request_with(&self, op: Operation, fds: Vec<OwnedFd>) -> Result<(Reply, Vec<OwnedFd>), ShimError> {
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.inner.waiting().as_mut().ok_or(ShimError::Gone)?.insert(id, reply);
        let _asks = Asks { shim: &self.inner, id };
        let frame = Frame::control(&ToShim::Request { id, op }, fds);
        self.inner.sender.send(frame).await.map_err(|_| ShimError::Gone)?;
        answer.await.map_err(|_| ShimError::Gone)
    }
}

/// Somebody waits for an answer; who gives up leaves nothing behind.
struct Asks<'a> {
    shim: &'a ShimInner,
    id: u64,
}

impl Drop for Asks<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.shim.waiting().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

impl ShimInner {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn done(reply: Reply) -> Result<(), ShimError> {
    match reply {
        Reply::Done => Ok(()),
        Reply::Refused(why) => Err(ShimError::Refused(why)),
        other => Err(ShimError::Refused(unexpected(&other))),
    }
}

fn unexpected(reply: &Reply) -> String {
    format!("the shim gave an unexpected answer: {reply:?}")
}

/// The process that forks shims.
#[derive(Debug)]
pub(super) struct Server {
    socket: OwnedFd,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its socket is shut, and a child must be waited for; one that does not
        // end is left to the kernel.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let _ = self.child.try_wait();
    }
}

/// Starts the server unless it runs.
pub(super) async fn ensure_server(engine: &Engine) -> Result<(), EngineError> {
    let mut server = engine.inner.server.lock().await;
    if server.is_none() {
        *server = Some(start_server(engine)?);
    }
    Ok(())
}

fn start_server(engine: &Engine) -> Result<Server, EngineError> {
    let failed = |source: io::Error| EngineError::Shim { doing: "start the server of shims", source };
    let (socket, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|err| failed(err.into()))?;
    let exe = &engine.inner.config.exe;
    let guarded = guarded_program(exe);
    let program =
        guarded.as_ref().map_or_else(|_| exe.clone(), |fd| format!("/proc/self/fd/{}", fd.as_raw_fd()).into());
    let child = Command::new(program)
        .arg0(exe)
        .arg("__shim")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    Ok(Server { socket, child })
}

/// Returns a descriptor of the program on a mount of its own that cannot be written: through the
/// `/proc/PID/exe` of a shim's child, root in a container could else change the host's file
/// (CVE-2019-5736). It is inherited; the server closes it.
fn guarded_program(exe: &std::path::Path) -> io::Result<OwnedFd> {
    use rustix::mount::OpenTreeFlags;
    let mount = rustix::mount::open_tree(rustix::fs::CWD, exe, OpenTreeFlags::OPEN_TREE_CLONE)?;
    let read_only = Attributes { set: nix::libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
    set_attributes(mount.as_fd(), read_only, false)?;
    Ok(mount)
}

/// Asks the server for a shim; starts the server anew when it has died.
async fn fork_shim(engine: &Engine, run_dir: &std::path::Path, fds: &[OwnedFd]) -> Result<(), EngineError> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut slot = engine.inner.server.lock().await;
    for attempt in 0..2 {
        if slot.is_none() {
            *slot = Some(start_server(engine)?);
        }
        let Some(server) = slot.as_ref() else { break };
        match wire::send(server.socket.as_fd(), &[IoSlice::new(run_dir.as_os_str().as_bytes())], fds) {
            Ok(_) => return Ok(()),
            Err(source) if attempt == 1 => return Err(EngineError::Shim { doing: "ask for a shim", source }),
            Err(_) => *slot = None,
        }
    }
    Ok(())
}

/// Starts a shim and waits until it answers.
pub(super) async fn spawn(
    engine: &Engine,
    spec: &ContainerSpec,
    fds: ShimFds,
    events: UnboundedSender<ShimNotice>,
) -> Result<Shim, EngineError> {
    let run_dir = engine.run_dir(&spec.id);
    let file = |doing, source| EngineError::File { doing, path: run_dir.clone(), source };
    std::fs::create_dir_all(&run_dir).map_err(|source| file("make", source))?;
    let listener = listen(&run_dir.join("shim.sock")).map_err(|source| file("listen in", source))?;
    let failed = |source| EngineError::Shim { doing: "start a shim", source };
    let (ours, theirs) = StdStream::pair().map_err(failed)?;
    fork_shim(engine, &run_dir, &[listener.into(), theirs.into()]).await?;
    let setup = setup(engine, spec, &fds);
    let stream = connected(ours).map_err(failed)?;
    let fds = fds.netns.into_iter().chain(fds.router).collect();
    wire::write(&stream, Frame::control(&setup, fds)).await.map_err(failed)?;
    let greeted = tokio::time::timeout(ANSWER, greet(spec.id.clone(), stream, events)).await;
    let (shim, ..) = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(failed)?;
    Ok(shim)
}

fn listen(socket: &std::path::Path) -> io::Result<StdListener> {
    let (_folder, path) = short_socket_path(socket)?;
    match std::fs::remove_file(&path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    let listener = StdListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

fn connected(stream: StdStream) -> io::Result<Arc<UnixStream>> {
    stream.set_nonblocking(true)?;
    Ok(Arc::new(UnixStream::from_std(stream)?))
}

fn setup(engine: &Engine, spec: &ContainerSpec, fds: &ShimFds) -> Setup {
    let subpath = |mount: &crate::spec::Mount| match &mount.kind {
        MountKind::Volume { source, subpath: Some(below), .. } => {
            Some(Subpath { target: mount.target.clone(), volume: source.clone(), below: below.clone() })
        }
        _ => None,
    };
    let config = &engine.inner.config;
    Setup {
        id: spec.id.clone(),
        bundle: engine.container_dir(&spec.id),
        run_dir: engine.run_dir(&spec.id),
        log: engine.log_path(&spec.name),
        exe: config.exe.clone(),
        root: config.paths.root.clone(),
        run: config.paths.run.clone(),
        tty: spec.tty,
        stdin_open: spec.stdin_open,
        watch_mounts: !spec.mounts.is_empty(),
        init: spec.init,
        host_network: spec.host_network,
        privileged: spec.privileged,
        seccomp: spec.seccomp == Seccomp::Default && !spec.privileged,
        user: spec.user.clone(),
        group_add: spec.group_add.clone(),
        layers: std::iter::once(engine.base_layer()).chain(spec.image.layers.iter().cloned()).collect(),
        mount_point: engine.mount_point(),
        hierarchies: engine.inner.hierarchies.clone(),
        subpaths: spec.mounts.iter().filter_map(subpath).collect(),
        cgroup_parent: spec.cgroup_parent.clone(),
        resources: spec.resources.clone(),
        transparent: spec.endpoints.iter().any(|endpoint| endpoint.default_route),
        has_netns: fds.netns.is_some(),
        has_router: fds.router.is_some(),
    }
}

/// Takes the shim's greeting and starts the tasks of its connection.
async fn greet(
    id: ContainerId,
    stream: Arc<UnixStream>,
    events: UnboundedSender<ShimNotice>,
) -> io::Result<(Shim, ShimStatus, Option<OwnedFd>)> {
    let mut receiver = Receiver::new(Arc::clone(&stream));
    let Some(frame) = receiver.next().await? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let FromShim::Hello { pid, status } = frame.message()? else { return Err(io::ErrorKind::InvalidData.into()) };
    let netns = frame.fds.into_iter().next();
    let (sender, task) = wire::sender(stream);
    tokio::spawn(task);
    let shim = Shim {
        inner: Arc::new(ShimInner {
            id,
            pid,
            sender,
            next: AtomicU64::new(0),
            waiting: Mutex::new(Some(HashMap::new())),
            gone: watch::Sender::new(false),
            leaving: std::sync::atomic::AtomicBool::new(false),
        }),
    };
    tokio::spawn(listen_to(shim.clone(), receiver, events));
    Ok((shim, status, netns))
}

async fn listen_to(shim: Shim, mut receiver: Receiver, events: UnboundedSender<ShimNotice>) {
    let id = shim.inner.id.clone();
    while let Ok(Some(frame)) = receiver.next().await {
        match frame.message() {
            Ok(FromShim::Reply { id, reply }) => {
                let waiting = shim.inner.waiting().as_mut().and_then(|waiting| waiting.remove(&id));
                if let Some(waiting) = waiting {
                    let _ = waiting.send((reply, frame.fds)); // whoever asked may have given up
                }
            }
            // Nobody listens any more when the daemon is about to end.
            Ok(FromShim::Exited(status)) => drop(events.send(ShimNotice::Exited { id: id.clone(), status })),
            Ok(FromShim::MountsChanged) => drop(events.send(ShimNotice::MountsChanged { id: id.clone() })),
            Ok(FromShim::Hello { .. }) => {}
            Err(err) => {
                tracing::error!("the shim of {} sent something unreadable: {err}", id.short());
                break;
            }
        }
    }
    *shim.inner.waiting() = None;
    shim.inner.gone.send_replace(true);
    if !shim.inner.leaving.load(Ordering::Relaxed) {
        let _ = events.send(ShimNotice::Gone { id });
    }
}

/// Connects to the shims in the runtime folder, all at the same time.
pub(super) async fn adopt(engine: &Engine, events: UnboundedSender<ShimNotice>) -> Vec<Adopted> {
    let Ok(entries) = std::fs::read_dir(engine.run_dirs()) else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<ContainerId>().ok());
    let one = |id: ContainerId| {
        let events = events.clone();
        async move {
            match tokio::time::timeout(ANSWER, adopt_one(engine, id.clone(), events)).await {
                Ok(Ok(adopted)) => Some(adopted),
                _ => {
                    bury(engine, &id);
                    if !engine.container_dir(&id).exists()
                        && let Err(err) = engine.remove(&id).await
                    {
                        tracing::warn!("what a container whose files are gone left behind stays: {err}");
                    }
                    None
                }
            }
        }
    };
    futures_util::future::join_all(ids.map(one)).await.into_iter().flatten().collect()
}

async fn adopt_one(engine: &Engine, id: ContainerId, events: UnboundedSender<ShimNotice>) -> io::Result<Adopted> {
    let (_folder, path) = short_socket_path(&engine.shim_socket(&id))?;
    let stream = Arc::new(UnixStream::connect(&path).await?);
    wire::write(&stream, Frame::control(&Hello::Daemon, Vec::new())).await?;
    let (shim, status, netns) = greet(id.clone(), stream, events).await?;
    Ok(Adopted { id, shim, status, netns })
}

/// A container without a shim: nothing of it may run, and what its shim wrote down is kept.
fn bury(engine: &Engine, id: &ContainerId) {
    engine.kill_leftovers(id);
    let kept = std::fs::read(engine.run_dir(id).join("exit.json"));
    let exit: Option<ExitStatus> = kept.ok().and_then(|text| serde_json::from_slice(&text).ok());
    // Of an earlier run where the newest one began after it.
    let newest = |runs: &mut super::Runs| {
        if runs.started_ns.is_none_or(|started| started <= exit.map_or(0, |exit| exit.finished_ns)) {
            runs.exit = exit;
        }
    };
    if exit.is_some()
        && let Err(err) = engine.update_runs(id, newest)
    {
        tracing::warn!("the exit status of {} is lost: {err}", id.short());
    }
    if let Err(err) = create::remove_all(&engine.run_dir(id)) {
        tracing::warn!("{err}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_on_an_answer_leaves_nothing_behind() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let theirs = Arc::new(theirs);
        wire::write(&theirs, Frame::control(&FromShim::Hello { pid: 1, status: ShimStatus::default() }, Vec::new()))
            .await
            .unwrap();
        let (events, _notices) = tokio::sync::mpsc::unbounded_channel();
        let id = ContainerId::from_bytes([7; 32]);
        let (shim, ..) = greet(id, Arc::new(ours), events).await.unwrap();
        let refused = ShimError::Refused("the shim did not answer within 10 s".to_owned());
        assert_eq!(shim.lend().await.unwrap_err(), refused);
        assert_eq!(shim.inner.waiting().as_ref().map(HashMap::len), Some(0));
    }
}

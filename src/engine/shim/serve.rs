//! The shim's event loop: its daemon, and callers of `exec` and `attach`.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::{UnixListener, UnixStream};

use super::container::Container;
use super::output::Process;
use super::{Setup, session};
use crate::engine::protocol::{FromShim, Hello, Operation, Reply, ToShim};
use crate::engine::wire::{self, Frame, Receiver, Sender};
use crate::net::publish::Lent;
use crate::sys::process as sys;

/// Runs the shim with its listening socket and its connection to the daemon that started it.
pub(super) fn run(listener: OwnedFd, daemon: OwnedFd) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let Ok(runtime) = runtime else { sys::exit_now(1) };
    let served = tokio::task::LocalSet::new().block_on(&runtime, serve(listener, daemon));
    sys::exit_now(i32::from(served.is_err()))
}

async fn serve(listener: OwnedFd, daemon: OwnedFd) -> io::Result<()> {
    let listener = StdListener::from(listener);
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let stream = StdStream::from(daemon);
    stream.set_nonblocking(true)?;
    let stream = Arc::new(UnixStream::from_std(stream)?);
    let mut receiver = Receiver::new(Arc::clone(&stream));
    let Some(first) = receiver.next().await? else { return Ok(()) };
    let setup: Setup = first.message()?;
    let mut fds = first.fds.into_iter();
    let netns = if setup.has_netns { fds.next() } else { None };
    let router = if setup.has_router { fds.next() } else { None };
    let container = Container::new(setup, netns, router);
    tokio::task::spawn_local(daemon_connection(Rc::clone(&container), stream, receiver));
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // Out of descriptors or memory: nothing to do but to wait for better times.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if may_talk(&stream) {
            tokio::task::spawn_local(connection(Rc::clone(&container), stream));
        }
    }
}

/// Tells whether the peer is root or this engine's own user.
fn may_talk(stream: &UnixStream) -> bool {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    uid.is_ok_and(|uid| uid == 0 || uid == rustix::process::geteuid().as_raw())
}

async fn connection(container: Rc<Container>, stream: UnixStream) {
    let stream = Arc::new(stream);
    let mut receiver = Receiver::new(Arc::clone(&stream));
    let Ok(Some(frame)) = receiver.next().await else { return };
    match frame.message() {
        Ok(Hello::Daemon) => daemon_connection(container, stream, receiver).await,
        Ok(Hello::Exec(request)) => {
            let caller = writer(&stream);
            session::exec(container, request, caller, receiver).await;
        }
        Ok(Hello::Attach(request)) => {
            let caller = writer(&stream);
            session::attach(container, request, caller, receiver).await;
        }
        Err(_) => {} // speaks another language: an engine of another version
    }
}

fn writer(stream: &Arc<UnixStream>) -> Sender {
    let (sender, task) = wire::sender(Arc::clone(stream));
    tokio::task::spawn_local(task);
    sender
}

/// Serves a daemon until it is gone. A new one takes the place of the last.
async fn daemon_connection(container: Rc<Container>, stream: Arc<UnixStream>, mut receiver: Receiver) {
    let sender = writer(&stream);
    let hello = FromShim::Hello { pid: std::process::id(), status: container.status() };
    let netns = container.netns.as_ref().and_then(|fd| fd.try_clone().ok());
    if sender.send(Frame::control(&hello, netns.into_iter().collect())).await.is_err() {
        return;
    }
    *container.daemon.borrow_mut() = Some(sender.clone());
    let mut orderly = false;
    while let Ok(Some(frame)) = receiver.next().await {
        match frame.message() {
            Ok(ToShim::Goodbye) => orderly = true,
            Ok(ToShim::Request { id, op }) => {
                let fds = frame.fds;
                let (container, sender, stream) = (Rc::clone(&container), sender.clone(), Arc::clone(&stream));
                tokio::task::spawn_local(async move {
                    let shutdown = matches!(op, Operation::Shutdown);
                    let (reply, fds) = match op {
                        Operation::Lend => lend(&container),
                        op => (answer(&container, op, fds).await, Vec::new()),
                    };
                    // A daemon that left does not miss the answer.
                    let _ = sender.send(Frame::control(&FromShim::Reply { id, reply }, fds)).await;
                    if shutdown {
                        sender.flushed().await;
                        close_sockets(&stream);
                        // Nothing of the container is left but its mounts, which may take the
                        // kernel a while: who waits for this shim need not.
                        let _ = rustix::net::shutdown(&*stream, rustix::net::Shutdown::Both);
                        sys::exit_now(0);
                    }
                });
            }
            Err(_) => break,
        }
    }
    let current = container.daemon.borrow().as_ref().is_some_and(|daemon| daemon.is_same(&sender));
    if !current {
        return; // another daemon has taken over
    }
    *container.daemon.borrow_mut() = None;
    container.keep_exit();
    if !orderly {
        bring_daemon_back(&container).await;
    }
}

/// Closes all sockets but this one, so that the published ports are free for whoever waits for this
/// shim: its end may take the kernel a while. Nothing may run afterwards that owns one of them.
fn close_sockets(but: &UnixStream) {
    let number = |entry: std::fs::DirEntry| {
        let is_socket =
            std::fs::read_link(entry.path()).is_ok_and(|link| link.to_string_lossy().starts_with("socket:"));
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        (is_socket && i64::from(number) != i64::from(but.as_raw_fd())).then_some(number)
    };
    let numbers: Vec<u32> =
        std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().filter_map(number).collect();
    for number in numbers {
        let _ = sys::close_range(number, number);
    }
}

/// Answers with the sockets of the published ports.
fn lend(container: &Container) -> (Reply, Vec<OwnedFd>) {
    match container.lend() {
        Ok(lent) if lent.len() > wire::MAX_FDS => (Reply::Refused(too_many(lent.len())), Vec::new()),
        Ok(lent) => {
            let (ports, fds) = lent.into_iter().map(|lent| (lent.port, lent.fd)).unzip();
            (Reply::Lent(ports), fds)
        }
        Err(err) => (Reply::Refused(err.to_string()), Vec::new()),
    }
}

/// Says why so many sockets stay where they are.
fn too_many(sockets: usize) -> String {
    format!(
        "the published ports have {sockets} sockets, and at most {} can be handed over: publish fewer ports, or \
         let the old container stop first (deploy.update_config.order: stop-first)",
        wire::MAX_FDS
    )
}

async fn answer(container: &Rc<Container>, op: Operation, fds: Vec<OwnedFd>) -> Reply {
    match op {
        Operation::Start => match container.start().await {
            Ok(started) => Reply::Started(started),
            Err(failure) => Reply::StartFailed(failure),
        },
        Operation::Signal(number) => signal(container, number),
        Operation::Publish { ports, upstream, lent } => {
            let lent = lent.into_iter().zip(fds).map(|(port, fd)| Lent { port, fd }).collect();
            match container.publish(&ports, upstream, lent) {
                Ok(bound) => Reply::Bound(bound),
                Err(failure) => Reply::PublishFailed(failure),
            }
        }
        Operation::Lend => lend(container).0,
        Operation::Retire { within_ms } => {
            container.retire(Duration::from_millis(within_ms)).await;
            Reply::Done
        }
        Operation::Probe(probe) => match session::probe(Rc::clone(container), probe).await {
            Ok(output) => Reply::Output(output),
            Err(failure) => Reply::StartFailed(failure),
        },
        Operation::Limit(resources) => match container.limit(resources) {
            Ok(warnings) => Reply::Limited(warnings),
            Err(refused) => Reply::Refused(refused.to_string()),
        },
        Operation::Status => Reply::Status(container.status()),
        Operation::Shutdown => {
            if let Some(process) = container.process() {
                container.cgroup.borrow().kill();
                let _ = process.signal(Signal::KILL.as_raw());
                process.wait().await;
                container.until_ended().await;
            }
            Reply::Done
        }
    }
}

fn signal(container: &Container, number: i32) -> Reply {
    let Some(process) = container.process() else { return Reply::Refused("the container is not running".to_owned()) };
    if number == Signal::KILL.as_raw() {
        container.cgroup.borrow().kill();
    }
    match process.signal(number) {
        Ok(()) => Reply::Done,
        Err(err) if err.kind() == io::ErrorKind::InvalidInput => Reply::Refused(format!("there is no signal {number}")),
        Err(err) => Reply::Refused(err.to_string()),
    }
}

/// Starts a daemon unless one answers, again and again with growing pauses, until one has
/// come back to this shim. Shims wait differently long, so that not all of them do it.
async fn bring_daemon_back(container: &Container) {
    let setup = &container.setup;
    let spread = u64::from(rustix::process::getpid().as_raw_nonzero().get() as u32 % 16) * 10;
    let mut pause = Duration::from_millis(20 + spread);
    loop {
        tokio::time::sleep(pause).await;
        if container.daemon.borrow().is_some() {
            return;
        }
        if !setup.bundle.exists() {
            // Somebody deleted the engine's folder: no daemon will ever ask for this container.
            container.cgroup.borrow().kill();
            sys::exit_now(0);
        }
        if UnixStream::connect(setup.run.join("stack.sock")).await.is_err() {
            start_daemon(setup);
        }
        pause = (pause * 2).clamp(Duration::from_millis(500), Duration::from_secs(60));
    }
}

fn start_daemon(setup: &Setup) {
    let mut command = Command::new(&setup.exe);
    command.arg("__daemon").env("STACK_ROOT", &setup.root).env("STACK_RUN", &setup.run);
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    // The loser of the race for the lock ends at once and must not stay as a zombie.
    let child = started.ok().and_then(|daemon| {
        let pid = rustix::process::Pid::from_raw(i32::try_from(daemon.id()).ok()?)?;
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
        Process::new(daemon.id(), pidfd).ok()
    });
    if let Some(child) = child {
        tokio::task::spawn_local(async move { child.wait().await });
    }
}

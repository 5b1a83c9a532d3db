//! The container a shim holds: starting its first process, and what becomes of it.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use tokio::sync::Notify;

use super::Setup;
use super::output::{Input, Output, Process};
use super::ports::Ports;
use crate::engine::cgroup::{Cgroup, Refused};
use crate::engine::failure::{StartError, Step};
use crate::engine::init::{self, Report, Stdio};
use crate::engine::logs::{Stream, Writer};
use crate::engine::now_ns;
use crate::engine::protocol::{Bound, ExitStatus, FromShim, PublishFailure, ShimStatus, Started, Upstream};
use crate::engine::wire::{self, Frame, Kind, Sender};
use crate::net::publish::Lent;
use crate::spec::{PublishedPort, Resources};
use crate::sys::process::{self as sys, CloneFlags, Fork};
use crate::sys::watch::watch;

/// How long the processes of a run that was killed may take to end before the next run fails.
const LAST_RUN: Duration = Duration::from_secs(10);

/// One container; all tasks of the shim share it.
pub(super) struct Container {
    pub(super) setup: Setup,
    pub(super) netns: Option<OwnedFd>,
    router: Option<OwnedFd>,
    pub(super) cgroup: RefCell<Cgroup>,
    /// Its limits: they may change while it lives.
    resources: RefCell<Resources>,
    state: RefCell<State>,
    log: RefCell<Writer>,
    ports: RefCell<Ports>,
    /// The daemon's connection, while there is one.
    pub(super) daemon: RefCell<Option<Sender>>,
    /// Connections that see the output as it comes.
    attached: RefCell<Vec<Sender>>,
    /// Told when a run's last output and status are recorded.
    recorded: Notify,
}

#[derive(Default)]
struct State {
    status: ShimStatus,
    process: Option<Rc<Process>>,
    input: Option<Rc<Input>>,
    starting: bool,
    cgroup_warnings: Option<Vec<String>>,
    /// The mount namespace of the last run. Whoever lets go of an overlay last waits until the
    /// kernel has written the whole file system below it to the disk: not the container's
    /// process while it ends, nor who waits for that.
    mounts: Option<OwnedFd>,
}

impl Container {
    pub(super) fn new(setup: Setup, netns: Option<OwnedFd>, router: Option<OwnedFd>) -> Rc<Self> {
        Rc::new(Self {
            cgroup: RefCell::new(Cgroup::new(setup.hierarchies.clone(), &setup.cgroup_parent, setup.id.as_str())),
            resources: RefCell::new(setup.resources.clone()),
            state: RefCell::default(),
            log: RefCell::new(Writer::new(setup.log.clone())),
            ports: RefCell::default(),
            daemon: RefCell::default(),
            attached: RefCell::default(),
            recorded: Notify::new(),
            setup,
            netns,
            router,
        })
    }

    pub(super) fn status(&self) -> ShimStatus {
        self.state.borrow().status.clone()
    }

    /// Returns the container's first process while it runs.
    pub(super) fn process(&self) -> Option<Rc<Process>> {
        self.state.borrow().process.clone().filter(|process| !process.has_ended())
    }

    /// Returns the container's standard input, when it is kept open.
    pub(super) fn input(&self) -> Option<Rc<Input>> {
        self.state.borrow().input.clone()
    }

    /// Closes the container's standard input.
    pub(super) fn close_input(&self) {
        if !self.setup.tty {
            self.state.borrow_mut().input = None;
        }
    }

    /// Has the output go to this connection too.
    pub(super) fn attach(&self, session: Sender) {
        self.attached.borrow_mut().push(session);
    }

    pub(super) fn publish(
        &self,
        ports: &[PublishedPort],
        upstream: Upstream,
        lent: Vec<Lent>,
    ) -> Result<Vec<Bound>, PublishFailure> {
        let (transparent, router) = (self.setup.transparent, self.router.as_ref());
        let bound = self.ports.borrow_mut().publish(ports, upstream, transparent, router, lent)?;
        self.state.borrow_mut().status.bound.clone_from(&bound);
        // One that stood by runs already.
        if self.process().is_some() {
            self.ports.borrow_mut().set_running(true);
        }
        Ok(bound)
    }

    pub(super) fn lend(&self) -> std::io::Result<Vec<Lent>> {
        self.ports.borrow().lend()
    }

    /// Accepts nothing more; returns when the last connection has ended, or after so long.
    pub(super) async fn retire(&self, within: Duration) {
        self.state.borrow_mut().status.bound.clear();
        let retired = self.ports.borrow_mut().retire();
        if let Some(publisher) = retired {
            // Whoever takes longer is cut off with the container.
            let _ = tokio::time::timeout(within, publisher.drained()).await;
        }
    }

    /// Changes its limits, now and for its next starts; returns warnings about those that this host
    /// cannot enforce.
    pub(super) fn limit(&self, resources: Resources) -> Result<Vec<String>, Refused> {
        let made = self.state.borrow().cgroup_warnings.is_some();
        let old = self.resources.borrow().clone();
        let warnings = if made { self.cgroup.borrow_mut().change(&old, &resources)? } else { Vec::new() };
        self.resources.replace(resources);
        Ok(warnings)
    }

    /// Starts the first process; waits until it has executed its program.
    pub(super) async fn start(self: &Rc<Self>) -> Result<Started, StartError> {
        {
            let mut state = self.state.borrow_mut();
            if state.starting || state.status.pid.is_some() {
                return Err(StartError::new("start the container", "it runs already"));
            }
            state.starting = true;
        }
        let started = self.start_process().await;
        self.state.borrow_mut().starting = false;
        started
    }

    async fn start_process(self: &Rc<Self>) -> Result<Started, StartError> {
        let warnings = self.make_cgroup().await?;
        let oom_kills = self.cgroup.borrow().oom_kills();
        self.cgroup.borrow().forget_peak();
        let (stdio, mut ends) = self.stdio()?;
        // The same upper folder must not be mounted twice.
        self.state.borrow_mut().mounts = None;
        let mut flags = CloneFlags::PID | CloneFlags::MOUNT | CloneFlags::UTS | CloneFlags::IPC;
        if self.netns.is_none() && !self.setup.host_network {
            flags = flags | CloneFlags::NET;
        }
        let (process, report) = spawn(flags, self.cgroup.borrow().unified_fd(), |report| {
            let cgroup = self.cgroup.borrow();
            init::first(&self.setup, &cgroup, self.netns.as_ref().map(AsFd::as_fd), stdio, report)
        })?;
        match executed(report).await {
            Ok(None) => {}
            Ok(Some(master)) => ends.terminal(master)?,
            Err(failure) => {
                process.wait().await;
                return Err(failure);
            }
        }
        let time_ns = now_ns();
        let started = Started { pid: process.pid, time_ns, warnings };
        {
            let mut state = self.state.borrow_mut();
            let bound = std::mem::take(&mut state.status.bound);
            state.status = ShimStatus { pid: Some(process.pid), started_ns: Some(time_ns), exit: None, bound };
            state.process = Some(Rc::clone(&process));
            // One that has ended already has let go itself.
            state.mounts = std::fs::File::open(format!("/proc/{}/ns/mnt", process.pid)).ok().map(OwnedFd::from);
            state.input = ends.input.map(Rc::new);
        }
        self.ports.borrow_mut().set_running(true);
        let pumps: Vec<_> = ends
            .outputs
            .into_iter()
            .map(|(stream, output)| {
                let (container, process) = (Rc::clone(self), Rc::clone(&process));
                tokio::task::spawn_local(async move {
                    output.pump(process, async |bytes| container.written(stream, bytes)).await;
                })
            })
            .collect();
        let watching = self
            .setup
            .watch_mounts
            .then(|| tokio::task::spawn_local(super::mounts::tell_of_changes(Rc::clone(self), Rc::clone(&process))));
        let container = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let code = process.wait().await;
            // It holds the mount namespace, which the next run must not meet.
            if let Some(watching) = watching {
                let _ = watching.await;
            }
            for pump in pumps {
                // A pump that panicked has lost its output; the exit is told all the same.
                let _ = pump.await;
            }
            container.ended(code, process.signal_of_end(), oom_kills).await;
        });
        Ok(started)
    }

    /// Makes its cgroups anew; returns warnings about limits that this host cannot enforce.
    async fn make_cgroup(&self) -> Result<Vec<String>, StartError> {
        self.state.borrow_mut().cgroup_warnings = None;
        // They may be of a run that an earlier shim held, whose processes end just now.
        let last = self.cgroup.borrow().clone();
        last.clear(LAST_RUN).await.map_err(|err| {
            StartError::os("clear the control group of its last run", &err).hint(
                "a process of it was killed and has not ended; one that waits for a disk or a network folder may not",
            )
        })?;
        let made = self.cgroup.borrow_mut().create(&self.resources.borrow());
        let mut warnings = made.map_err(|err| StartError::os(err.to_string(), &err.source))?;
        if !self.setup.privileged {
            warnings.extend(self.cgroup.borrow_mut().restrict_devices());
        }
        self.state.borrow_mut().cgroup_warnings = Some(warnings.clone());
        Ok(warnings)
    }

    fn stdio(&self) -> Result<(Stdio, Ends), StartError> {
        if self.setup.tty {
            return Ok((Stdio::Terminal { rows: 0, columns: 0 }, Ends::default()));
        }
        let (fds, ends) = pipes(self.setup.stdin_open)?;
        Ok((Stdio::Descriptors(fds), ends))
    }

    fn written(&self, stream: Stream, bytes: &[u8]) {
        self.log.borrow_mut().write(stream, bytes, now_ns());
        let mut attached = self.attached.borrow_mut();
        if !attached.is_empty() {
            let kind = if stream == Stream::Stdout { Kind::Stdout } else { Kind::Stderr };
            // One that does not keep up is let go rather than holding the container up.
            attached.retain(|session| session.try_send(Frame::data(kind, bytes)).is_ok());
        }
    }

    async fn ended(&self, code: i32, signal: Option<i32>, oom_before: u64) {
        self.ports.borrow_mut().set_running(false);
        self.log.borrow_mut().finish(now_ns());
        let oom_kills = self.cgroup.borrow().oom_kills().saturating_sub(oom_before);
        let memory_peak = self.cgroup.borrow().memory_peak();
        let exit =
            ExitStatus { code, oom_killed: oom_kills > 0, finished_ns: now_ns(), signal, oom_kills, memory_peak };
        {
            let mut state = self.state.borrow_mut();
            state.status.pid = None;
            state.status.exit = Some(exit);
            state.process = None;
            state.input = None;
        }
        self.attached.borrow_mut().clear();
        self.recorded.notify_waiters();
        let daemon = self.daemon.borrow().clone();
        let told = match daemon {
            Some(daemon) => daemon.control(&FromShim::Exited(exit)).await.is_ok(),
            None => false,
        };
        if !told {
            self.keep_exit();
        }
        sys::trim_heap();
    }

    /// Waits until the output and the status of a run that ended are recorded.
    pub(super) async fn until_ended(&self) {
        loop {
            let recorded = self.recorded.notified();
            if self.state.borrow().process.is_none() {
                return;
            }
            recorded.await;
        }
    }

    /// Writes the status to disk: should this shim be killed before a daemon comes back, the
    /// exit status is still known.
    pub(super) fn keep_exit(&self) {
        if let Some(exit) = self.state.borrow().status.exit {
            let text = serde_json::to_vec(&exit).expect("plain data");
            // The shim still holds the status; the file is only its shadow.
            let _ = std::fs::write(self.setup.run_dir.join("exit.json"), text);
        }
    }
}

/// The shim's ends of a process's standard streams.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) input: Option<Input>,
    pub(super) outputs: Vec<(Stream, Output)>,
}

impl Ends {
    /// Takes the master of a terminal as input and output.
    pub(super) fn terminal(&mut self, master: OwnedFd) -> Result<(), StartError> {
        let step = || "take the terminal".to_owned();
        let again = master.try_clone().step(step)?;
        self.outputs.push((Stream::Stdout, Output::new(master).step(step)?));
        self.input = Some(Input::new(again).step(step)?);
        Ok(())
    }
}

/// Returns pipes for standard streams; without `stdin` that one is empty.
pub(super) fn pipes(stdin: bool) -> Result<([OwnedFd; 3], Ends), StartError> {
    let step = || "make pipes".to_owned();
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).step(step);
    let (stdin, input) = if stdin {
        let (reader, writer) = pipe()?;
        (reader, Some(Input::new(writer).step(step)?))
    } else {
        (null().step(step)?, None)
    };
    let (out_reader, stdout) = pipe()?;
    let (err_reader, stderr) = pipe()?;
    let outputs = vec![
        (Stream::Stdout, Output::new(out_reader).step(step)?),
        (Stream::Stderr, Output::new(err_reader).step(step)?),
    ];
    Ok(([stdin, stdout, stderr], Ends { input, outputs }))
}

/// Returns `/dev/null`.
pub(super) fn null() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// Clones a process that runs `child`, and returns it with the socket on which it reports.
pub(super) fn spawn(
    flags: CloneFlags,
    cgroup: Option<OwnedFd>,
    child: impl FnOnce(&OwnedFd),
) -> Result<(Rc<Process>, OwnedFd), StartError> {
    let step = || "make the process".to_owned();
    let (report, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).step(step)?;
    match sys::fork(flags, cgroup.as_ref().map(AsFd::as_fd)).step(step)? {
        Fork::Child => {
            // Nor may the container come by a folder of the host.
            drop((report, cgroup));
            child(&theirs);
            sys::exit_now(125)
        }
        Fork::Parent { pid, pidfd } => Ok((Process::new(pid, pidfd).step(step)?, report)),
    }
}

/// Waits until a process has executed its program; returns the terminal it made.
pub(super) async fn executed(report: OwnedFd) -> Result<Option<OwnedFd>, StartError> {
    let step = || "hear from the new process".to_owned();
    let report = watch(report, tokio::io::Interest::READABLE).step(step)?;
    let mut terminal = None;
    loop {
        let mut ready = report.readable().await.step(step)?;
        // Readable means a whole message, or the end: no call here blocks.
        ready.clear_ready();
        let (message, fds) = wire::receive_blocking(report.get_ref().as_fd()).step(step)?;
        if message.is_empty() {
            return Ok(terminal);
        }
        match serde_json::from_slice(&message) {
            Ok(Report::Terminal) => terminal = fds.into_iter().next(),
            Ok(Report::Failed(failure)) => return Err(failure),
            Err(err) => return Err(StartError::new(step(), err)),
        }
    }
}

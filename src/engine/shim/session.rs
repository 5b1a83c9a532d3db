//! Further programs in the container: exec sessions and captured probes; and attaching to
//! the container's own streams.

use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::thread::ThreadNameSpaceType;

use super::container::{Container, Ends, executed, null, pipes, spawn};
use super::output::{Input, Process};
use crate::engine::capability::CapabilitySet;
use crate::engine::cgroup::Session as SessionCgroup;
use crate::engine::failure::{StartError, Step};
use crate::engine::init::{self, Program, Stdio};
use crate::engine::logs::Stream;
use crate::engine::protocol::{AttachRequest, ExecOutput, ExecRequest, FromSession, Probe, ToSession};
use crate::engine::wire::{Frame, Kind, Receiver, Sender};
use crate::sys::process::CloneFlags;

/// A program running in the container.
struct Session {
    process: Rc<Process>,
    ends: Ends,
    cgroup: Option<SessionCgroup>,
}

/// What to run and how its streams look.
struct Wanted {
    exec: ExecRequest,
    stdio: Stdio,
    ends: Ends,
    /// In a cgroup of its own, so that all of it can be killed.
    own_cgroup: bool,
}

async fn start(container: &Rc<Container>, wanted: Wanted) -> Result<Session, StartError> {
    thread_local!(static SESSIONS: Cell<u64> = const { Cell::new(0) });
    let Wanted { exec, stdio, mut ends, own_cgroup } = wanted;
    let first = container.process().ok_or_else(|| {
        StartError::new("run a program in the container", "the container is not running").hint("start it first")
    })?;
    let number = SESSIONS.replace(SESSIONS.get() + 1);
    let cgroup = if own_cgroup { container.cgroup.borrow().session(&format!("exec-{number}")) } else { None };
    let fd = match &cgroup {
        Some(session) => session.fd(),
        None => container.cgroup.borrow().unified_fd(),
    };
    // Children of this process, from now on, are born in the container's pid namespace; that
    // of this process does not change. It has one thread, so nobody else is born meanwhile.
    let step = || "join the container's pid namespace".to_owned();
    let own = std::fs::File::open("/proc/self/ns/pid").step(step)?;
    rustix::thread::move_into_thread_name_spaces(first.pidfd().as_fd(), ThreadNameSpaceType::PROCESS_ID).step(step)?;
    let spawned = spawn(CloneFlags::NONE, fd, |report| {
        let groups = container.cgroup.borrow();
        let setup = &container.setup;
        init::further(setup, &groups, first.pidfd().as_fd(), |own| program(container, exec, own), stdio, report)
    });
    rustix::thread::move_into_link_name_space(own.as_fd(), Some(rustix::thread::LinkNameSpaceType::ProcessID))
        .step(step)?;
    let (process, report) = spawned?;
    match executed(report).await {
        Ok(None) => {}
        Ok(Some(master)) => ends.terminal(master)?,
        Err(failure) => {
            process.wait().await;
            return Err(failure);
        }
    }
    Ok(Session { process, ends, cgroup })
}

/// Returns the program with the container's own settings where the request has none.
fn program(container: &Container, exec: ExecRequest, own: &oci_spec::runtime::Process) -> Program {
    let like = Program::like_container(&container.setup, own);
    let mut env = own.env().clone().unwrap_or_default();
    // Only the container's own user has the home that the container was given.
    if exec.user.is_some() {
        env.retain(|entry| !entry.starts_with("HOME="));
    }
    let key = |entry: &str| entry.split('=').next().map(str::to_owned);
    for entry in exec.env {
        env.retain(|old| key(old) != key(&entry));
        env.push(entry);
    }
    if exec.tty && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    Program {
        argv: exec.argv,
        env,
        cwd: exec.cwd.unwrap_or_else(|| own.cwd().to_string_lossy().into_owned()),
        groups: if exec.user.is_some() { Vec::new() } else { like.groups },
        user: exec.user.unwrap_or(like.user),
        capabilities: if exec.privileged { CapabilitySet::held() } else { like.capabilities },
        seccomp: like.seccomp && !exec.privileged,
        ..like
    }
}

/// Serves one exec session on its connection until the program ends.
pub(super) async fn exec(container: Rc<Container>, request: ExecRequest, caller: Sender, receiver: Receiver) {
    let (tty, detach) = (request.tty, request.detach);
    let wanted = streams(request);
    let started = match wanted {
        Ok(wanted) => start(&container, wanted).await,
        Err(failure) => Err(failure),
    };
    // From here on a caller that is gone is no failure of the program's.
    let Session { process, ends, .. } = match started {
        Ok(session) => session,
        Err(failure) => return drop(caller.control(&FromSession::Failed(failure)).await),
    };
    let _ = caller.control(&FromSession::Started { tty }).await;
    if detach {
        process.wait().await;
        return;
    }
    let input = Rc::new(RefCell::new(ends.input.map(Rc::new)));
    let reader = tokio::task::spawn_local(take_input(receiver, Rc::clone(&input), Some(Rc::clone(&process)), tty));
    let pumps: Vec<_> = ends
        .outputs
        .into_iter()
        .map(|(stream, output)| {
            let (caller, process) = (caller.clone(), Rc::clone(&process));
            let kind = if stream == Stream::Stdout { Kind::Stdout } else { Kind::Stderr };
            tokio::task::spawn_local(async move {
                output
                    .pump(process, async |bytes| {
                        let _ = caller.send(Frame::data(kind, bytes)).await;
                    })
                    .await;
            })
        })
        .collect();
    let code = process.wait().await;
    for pump in pumps {
        let _ = pump.await;
    }
    reader.abort();
    let _ = caller.control(&FromSession::Ended(code)).await;
}

fn streams(exec: ExecRequest) -> Result<Wanted, StartError> {
    let (stdio, ends) = if exec.detach {
        let null = || null().step(|| "open /dev/null".to_owned());
        (Stdio::Descriptors([null()?, null()?, null()?]), Ends::default())
    } else if exec.tty {
        (Stdio::Terminal { rows: exec.size.0, columns: exec.size.1 }, Ends::default())
    } else {
        let (fds, ends) = pipes(exec.interactive)?;
        (Stdio::Descriptors(fds), ends)
    };
    Ok(Wanted { exec, stdio, ends, own_cgroup: false })
}

/// Passes the caller's input and requests on; ends when the caller is gone.
async fn take_input(
    mut receiver: Receiver,
    input: Rc<RefCell<Option<Rc<Input>>>>,
    process: Option<Rc<Process>>,
    tty: bool,
) {
    while let Ok(Some(frame)) = receiver.next().await {
        let to = input.borrow().clone();
        match frame.kind {
            Kind::Stdin if frame.payload.is_empty() => {
                if !tty {
                    *input.borrow_mut() = None;
                }
            }
            Kind::Stdin => {
                if let Some(to) = to
                    && to.write(&frame.payload).await.is_err()
                {
                    *input.borrow_mut() = None; // nobody reads it
                }
            }
            Kind::Control => match frame.message() {
                Ok(ToSession::Resize { rows, columns }) => {
                    if let Some(to) = to {
                        resize(&to, rows, columns);
                    }
                }
                Ok(ToSession::Signal(number)) => {
                    if let Some(process) = &process {
                        let _ = process.signal(number);
                    }
                }
                Err(_) => return,
            },
            Kind::Stdout | Kind::Stderr => return,
        }
    }
    // The caller is gone: a terminal hangs up with its master, a pipe reaches its end.
    *input.borrow_mut() = None;
}

fn resize(terminal: &Input, rows: u16, columns: u16) {
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // A size the terminal cannot have changes nothing.
    let _ = rustix::termios::tcsetwinsize(terminal.fd(), size);
}

/// Connects a caller to the container's own streams until its process ends.
pub(super) async fn attach(container: Rc<Container>, request: AttachRequest, caller: Sender, receiver: Receiver) {
    let Some(process) = container.process() else {
        let failure = StartError::new("attach to the container", "the container is not running");
        return drop(caller.control(&FromSession::Failed(failure)).await);
    };
    let _ = caller.control(&FromSession::Started { tty: container.setup.tty }).await;
    container.attach(caller.clone());
    let input = container.input();
    if let (Some(terminal), true, (rows @ 1.., columns)) = (&input, container.setup.tty, request.size) {
        resize(terminal, rows, columns);
    }
    let input = Rc::new(RefCell::new(input.filter(|_| request.stdin || container.setup.tty)));
    let closes = Rc::clone(&container);
    let shared = Rc::clone(&input);
    let reader = tokio::task::spawn_local(async move {
        take_input(receiver, shared, None, closes.setup.tty).await;
        if request.stdin {
            closes.close_input();
        }
    });
    let code = process.wait().await;
    // The last output comes before the end: the log pumps hand it to this connection first.
    container.until_ended().await;
    reader.abort();
    let _ = caller.control(&FromSession::Ended(code)).await;
}

/// Runs a program and captures its output; kills it, and all it started, after the timeout.
pub(super) async fn probe(container: Rc<Container>, probe: Probe) -> Result<ExecOutput, StartError> {
    let Probe { argv, env, user, cwd, privileged, timeout_ms, max_output } = probe;
    let exec = ExecRequest { argv, env, user, cwd, privileged, ..ExecRequest::default() };
    let Wanted { exec, stdio, ends, .. } = streams(exec)?;
    let Session { process, ends, cgroup } = start(&container, Wanted { exec, stdio, ends, own_cgroup: true }).await?;
    let output = Rc::new(RefCell::new(Vec::new()));
    let pumps: Vec<_> = ends
        .outputs
        .into_iter()
        .map(|(_, stream)| {
            let (output, process) = (Rc::clone(&output), Rc::clone(&process));
            tokio::task::spawn_local(stream.pump(process, async move |bytes: &[u8]| {
                let mut output = output.borrow_mut();
                let room = max_output.saturating_sub(output.len());
                output.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }))
        })
        .collect();
    let limit = Duration::from_millis(if timeout_ms == 0 { u64::MAX / 4 } else { timeout_ms });
    let timed_out = tokio::time::timeout(limit, process.wait()).await.is_err();
    if timed_out {
        match &cgroup {
            Some(cgroup) => cgroup.kill(),
            None => kill_group(&process),
        }
    }
    let exit_code = process.wait().await;
    for pump in pumps {
        let _ = pump.await;
    }
    let output = String::from_utf8_lossy(&output.borrow()).into_owned();
    Ok(ExecOutput { exit_code, output, timed_out })
}

/// Without a v2 tree: the program leads a process group of its own.
fn kill_group(process: &Process) {
    let _ = process.signal(rustix::process::Signal::KILL.as_raw());
    if let Some(group) = i32::try_from(process.pid).ok().and_then(rustix::process::Pid::from_raw) {
        // Gone already is what was wanted.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

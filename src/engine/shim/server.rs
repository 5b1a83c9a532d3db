//! The server that shims are copies of.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};

use super::serve;
use crate::engine::{devices, seccomp, wire};
use crate::sys::process::{self as sys, CloneFlags, Fork};

/// `stack __shim`: standard input is a socket (SEQPACKET) on which each message asks for one
/// shim and brings its listening socket and its connection to the daemon. Ends with the
/// daemon; the shims live on.
pub fn shim_main(_args: &[std::ffi::OsString]) -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("stack __shim: {err}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let requests = io::stdin().as_fd().try_clone_to_owned()?;
    // No more than a name in a container's /proc/PID/exe: a process in there cannot open the
    // program through a shim's child that is about to execute (CVE-2019-5736).
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::thread::set_name(c"stack-shims")?;
    rustix::process::setsid()
        .or_else(|err| if err == rustix::io::Errno::PERM { Ok(rustix::process::getpid()) } else { Err(err) })?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    // Standard error stays the daemon's: what goes wrong here is its business.
    rustix::process::chdir("/")?;
    sys::ignore_child_exits();
    seccomp::prepare();
    devices::prepare();
    loop {
        let (message, fds) = wire::receive_blocking(requests.as_fd())?;
        if message.is_empty() {
            return Ok(());
        }
        let Ok([listener, daemon]) = <[OwnedFd; 2]>::try_from(fds) else { continue };
        match sys::fork(CloneFlags::NONE, None) {
            Ok(Fork::Child) => {
                drop(requests);
                become_shim(&null, listener, daemon, &message)
            }
            // The connection closes and the daemon sees that nobody answers.
            Err(err) => eprintln!("stack __shim: failed to fork: {err}"),
            Ok(Fork::Parent { .. }) => {}
        }
    }
}

fn become_shim(null: &OwnedFd, listener: OwnedFd, daemon: OwnedFd, run_dir: &[u8]) -> ! {
    use std::os::unix::ffi::OsStrExt as _;
    sys::watch_child_exits();
    // Nothing here can be worth keeping a container from starting.
    let _ = rustix::stdio::dup2_stderr(null);
    let _ = rustix::thread::set_name(c"stack-shim");
    let _ = rustix::process::setsid();
    let notes = Path::new(std::ffi::OsStr::from_bytes(run_dir)).join("shim.log");
    std::panic::set_hook(Box::new(move |info| {
        let _ = std::fs::write(&notes, format!("{info}\n"));
    }));
    serve::run(listener, daemon)
}

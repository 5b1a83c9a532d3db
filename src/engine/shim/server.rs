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
    // Whatever the daemon, and whoever started it, had open.
    sys::close_range(3, u32::MAX)?;
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
    settle();
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

/// Takes back what the daemon has of the terminal it was started from: containers get what a
/// service manager would give, whoever starts the first. What the kernel refuses stays.
fn settle() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const MOST_FILES: u64 = 1 << 20;
    const STACK: u64 = 8 << 20;
    let no_limit = Rlimit { current: None, maximum: None };
    for resource in [
        Resource::Core,
        Resource::Cpu,
        Resource::Fsize,
        Resource::Data,
        Resource::As,
        Resource::Rss,
        Resource::Nproc,
        Resource::Locks,
    ] {
        let _ = setrlimit(resource, no_limit);
    }
    let _ = setrlimit(Resource::Stack, Rlimit { current: Some(STACK), maximum: None });
    let files = getrlimit(Resource::Nofile);
    if files.maximum.is_some_and(|hard| hard < MOST_FILES) {
        let _ = setrlimit(Resource::Nofile, Rlimit { maximum: Some(MOST_FILES), ..files });
    }
    let _ = rustix::process::setpriority_process(None, 0);
    // With a shim its container ends; the container's own score is set when it starts.
    let score = |score: &str| std::fs::write("/proc/self/oom_score_adj", score);
    let _ = score("-999").or_else(|_| score("0"));
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

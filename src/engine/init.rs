//! The life of a container's first process, and of a further one that joins it, from clone to
//! exec. It runs in a copy of the shim; a failure goes to the shim as one [`Report`].

use std::ffi::CString;
use std::fs;
use std::io::{self, IoSlice, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use nix::libc;
use oci_spec::runtime as oci;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Resource, Rlimit, Signal, Uid};
use rustix::thread::ThreadNameSpaceType;
use serde::{Deserialize, Serialize};

use super::bundle::DEFAULT_PATH;
use super::capability::CapabilitySet;
use super::cgroup::Cgroup;
use super::failure::{StartError, Step};
use super::rootfs;
use super::seccomp;
use super::shim::Setup;
use super::user::{self, User};
use super::wire;
use crate::sys::process::{self as sys, CloneFlags, Fork};

/// What a starting process tells the shim before it executes its program; the end of the
/// socket without a `Failed` is success.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The master of its terminal comes with this message.
    Terminal,
    /// It did not come to executing the program.
    Failed(StartError),
}

/// Standard streams of a process.
#[derive(Debug)]
pub(crate) enum Stdio {
    /// A new terminal of the container's.
    Terminal { rows: u16, columns: u16 },
    /// These, in order.
    Descriptors([OwnedFd; 3]),
}

/// A program to run inside.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    pub(crate) capabilities: CapabilitySet,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: bool,
    pub(crate) rlimits: Vec<oci::PosixRlimit>,
}

/// Becomes process 1 of the container. Does not return.
pub(crate) fn first(
    setup: &Setup,
    cgroup: &Cgroup,
    netns: Option<BorrowedFd<'_>>,
    stdio: Stdio,
    report: &OwnedFd,
) -> ! {
    guarded(report, || {
        die_with_shim(report)?;
        join_cgroups(cgroup)?;
        let config = read_config(&setup.bundle)?;
        set_oom_score(&config)?;
        sys::new_session_keyring().or_else(ignore_unsupported).step(|| "make a session keyring".to_owned())?;
        if let Some(netns) = netns {
            rustix::thread::move_into_link_name_space(netns, Some(rustix::thread::LinkNameSpaceType::Network))
                .step(|| "join the network namespace".to_owned())?;
        } else if !setup.host_network {
            sys::loopback_up().step(|| "set lo up".to_owned())?;
        }
        if let Some(name) = config.hostname() {
            nix::unistd::sethostname(name).step(|| format!("set the host name to {name:?}"))?;
        }
        if let Some(name) = config.domainname() {
            rustix::system::setdomainname(name.as_bytes()).step(|| format!("set the domain name to {name:?}"))?;
        }
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let root = rootfs::Root {
            layers: &setup.layers,
            bundle: &setup.bundle,
            mount_point: &setup.mount_point,
            subpaths: &setup.subpaths,
            cgroups: cgroup.views(),
            host_network: setup.host_network,
        };
        rootfs::enter(&config, &root)?;
        let process =
            config.process().as_ref().ok_or_else(|| StartError::new("read config.json", "it names no process"))?;
        let program = Program {
            argv: process.args().clone().unwrap_or_default(),
            env: process.env().clone().unwrap_or_default(),
            cwd: process.cwd().to_string_lossy().into_owned(),
            ..Program::like_container(setup, process)
        };
        if setup.init { reap(program, stdio, report) } else { execute(program, stdio, report) }
    })
}

/// Becomes a further process of the container whose first one `container` is. The caller has
/// put it into the pid namespace already. Does not return.
pub(crate) fn further(
    setup: &Setup,
    cgroup: &Cgroup,
    container: BorrowedFd<'_>,
    program: impl FnOnce(&oci::Process) -> Program,
    stdio: Stdio,
    report: &OwnedFd,
) -> ! {
    guarded(report, || {
        die_with_shim(report)?;
        cgroup.join_legacy().map_err(|err| StartError::os(err.to_string(), &err.source))?;
        let config = read_config(&setup.bundle)?;
        set_oom_score(&config)?;
        sys::new_session_keyring().or_else(ignore_unsupported).step(|| "make a session keyring".to_owned())?;
        let mut spaces = ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::CONTROL_GROUP
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION;
        if !setup.host_network {
            spaces |= ThreadNameSpaceType::NETWORK;
        }
        rustix::thread::move_into_thread_name_spaces(container, spaces).step(|| "join the container".to_owned())?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let process =
            config.process().as_ref().ok_or_else(|| StartError::new("read config.json", "it names no process"))?;
        execute(program(process), stdio, report)
    })
}

impl Program {
    /// Returns a program with the rights of the container; what it runs is left empty.
    pub(crate) fn like_container(setup: &Setup, process: &oci::Process) -> Self {
        let bounding = process.capabilities().as_ref().and_then(|c| c.bounding().clone()).unwrap_or_default();
        let names: Vec<String> = bounding.iter().map(ToString::to_string).collect();
        Self {
            argv: Vec::new(),
            env: Vec::new(),
            cwd: String::new(),
            user: setup.user.clone(),
            groups: setup.group_add.clone(),
            capabilities: CapabilitySet::from_names(names.iter().map(String::as_str)),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            seccomp: setup.seccomp,
            rlimits: process.rlimits().clone().unwrap_or_default(),
        }
    }
}

/// Runs the steps; reports the one that failed, and ends the process.
fn guarded(report: &OwnedFd, steps: impl FnOnce() -> Result<std::convert::Infallible, StartError>) -> ! {
    // A panic must not unwind into the shim's code, of which this process is a copy.
    let failure = match catch_unwind(AssertUnwindSafe(steps)) {
        Ok(Err(failure)) => failure,
        Ok(Ok(never)) => match never {},
        Err(_) => StartError::new("start the container", "the engine made a mistake (panic)"),
    };
    let code = failure.exit_code;
    // If the shim is gone, nobody is left to be told.
    let _ = tell(report, &Report::Failed(failure), &[]);
    sys::exit_now(code)
}

fn tell(report: &OwnedFd, message: &Report, fds: &[OwnedFd]) -> io::Result<()> {
    let text = serde_json::to_vec(message).map_err(io::Error::other)?;
    wire::send(report.as_fd(), &[IoSlice::new(&text)], fds).map(|_| ())
}

/// Has the kernel end this process with the shim, its parent.
fn die_with_shim(report: &OwnedFd) -> Result<(), StartError> {
    let step = || "tie the container to its shim".to_owned();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step(step)?;
    // It may have ended before that call: then its end of the socket is closed.
    let mut polled = [rustix::event::PollFd::new(report, rustix::event::PollFlags::empty())];
    rustix::event::poll(&mut polled, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).step(step)?;
    if polled[0].revents().contains(rustix::event::PollFlags::HUP) {
        sys::exit_now(137)
    }
    Ok(())
}

fn join_cgroups(cgroup: &Cgroup) -> Result<(), StartError> {
    cgroup.join_legacy().map_err(|err| StartError::os(err.to_string(), &err.source))?;
    // Only now, so that the root of the namespace is the container's cgroup.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP).step(|| "make a cgroup namespace".to_owned())
}

/// Sets what the container is to have, else 0: the shim is worth more than that.
fn set_oom_score(config: &oci::Spec) -> Result<(), StartError> {
    let score = config.process().as_ref().and_then(oci::Process::oom_score_adj);
    let set = fs::write("/proc/self/oom_score_adj", score.unwrap_or(0).to_string());
    match score {
        Some(score) => set.step(|| format!("set oom_score_adj to {score}")),
        // A shim without the right to lower its own score has none to raise here.
        None => Ok(()),
    }
}

fn ignore_unsupported(err: io::Error) -> io::Result<()> {
    match err.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT) => Ok(()),
        _ => Err(err),
    }
}

fn read_config(bundle: &Path) -> Result<oci::Spec, StartError> {
    let path = bundle.join("config.json");
    let step = || format!("read {}", path.display());
    let text = fs::read(&path).step(step)?;
    serde_json::from_slice(&text).map_err(|err| StartError::new(step(), err))
}

/// Replaces this process with the program.
fn execute(program: Program, stdio: Stdio, report: &OwnedFd) -> Result<std::convert::Infallible, StartError> {
    let who = who(&program)?;
    execute_as(program, &who, stdio, report)
}

fn execute_as(
    mut program: Program,
    who: &User,
    stdio: Stdio,
    report: &OwnedFd,
) -> Result<std::convert::Infallible, StartError> {
    // A session of its own: signals of a terminal stay inside.
    rustix::process::setsid()
        .map(|_| ())
        .or_else(|err| if err == rustix::io::Errno::PERM { Ok(()) } else { Err(err) })
        .step(|| "make a session".to_owned())?;
    set_stdio(stdio, who, report)?;
    set_rlimits(&program.rlimits)?;
    if !program.env.iter().any(|entry| entry.starts_with("HOME=") && entry.len() > "HOME=".len()) {
        program.env.retain(|entry| !entry.starts_with("HOME="));
        program.env.push(format!("HOME={}", who.home));
    }
    change_directory(&program.cwd)?;
    let path = find_program(&program)?;
    let text = |s: &str| CString::new(s).map_err(|_| StartError::new(format!("pass {s:?}"), "it contains a zero byte"));
    let argv = program.argv.iter().map(|s| text(s)).collect::<Result<Vec<_>, _>>()?;
    let env = program.env.iter().map(|s| text(s)).collect::<Result<Vec<_>, _>>()?;
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|err| StartError::new("execute the program", err))?;

    drop_rights(&program, who)?;
    // Changing the user cleared it (prctl(2), PR_SET_PDEATHSIG).
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .step(|| "tie the container to its shim".to_owned())?;
    sys::reset_signals();
    sys::close_on_exec_from(3).step(|| "close what the container must not see".to_owned())?;
    let err = match nix::unistd::execve(&name, &argv, &env) {
        Ok(never) => match never {},
        Err(err) => io::Error::from(err),
    };
    let failure = StartError::os(format!("execute {}", path.display()), &err);
    Err(match err.raw_os_error() {
        Some(libc::ENOENT) => failure
            .hint("the interpreter that its first line or its ELF header names is missing in the image")
            .exit_code(127),
        Some(libc::ENOEXEC) => {
            failure.hint("it was built for another machine, or is a script without #! in its first line").exit_code(126)
        }
        _ => failure.exit_code(126),
    })
}

/// Gives up every right that the program is not to have and becomes its user.
fn drop_rights(program: &Program, who: &User) -> Result<(), StartError> {
    let caps_step = |err: caps::errors::CapsError| StartError::new("set the capabilities", err);
    let filter = program.seccomp.then(|| seccomp::program(program.capabilities));
    let load = || {
        filter.as_deref().map_or(Ok(()), |filter| {
            crate::sys::seccomp::load_filter(filter).step(|| "load the system-call filter".to_owned())
        })
    };
    if !program.no_new_privileges {
        load()?; // needs CAP_SYS_ADMIN, which is about to go
    }
    program.capabilities.bound().map_err(caps_step)?;
    let step = || format!("become user {}:{}", who.uid, who.gid);
    rustix::thread::set_keep_capabilities(true).step(step)?;
    let groups: Vec<Gid> = who.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    rustix::thread::set_thread_groups(&groups).step(step)?;
    let (gid, uid) = (Gid::from_raw(who.gid), Uid::from_raw(who.uid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).step(step)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).step(step)?;
    rustix::thread::set_keep_capabilities(false).step(step)?;
    program.capabilities.apply().map_err(caps_step)?;
    if program.no_new_privileges {
        rustix::thread::set_no_new_privs(true).step(|| "set no_new_privs".to_owned())?;
        load()?;
    }
    Ok(())
}

/// Stays as process 1: starts the program, passes signals on to it, and takes care of
/// processes that lost their parent, until the program ends.
fn reap(program: Program, stdio: Stdio, report: &OwnedFd) -> Result<std::convert::Infallible, StartError> {
    let who = who(&program)?;
    sys::block_signals();
    let child = match sys::fork(CloneFlags::NONE, None).step(|| "start the program below init".to_owned())? {
        Fork::Child => {
            // Its parent is init now, and ends only with the container.
            return execute_as(program, &who, stdio, report);
        }
        Fork::Parent { pid, .. } => pid as i32,
    };
    drop(stdio);
    // The same user, for it may have no other right to signal the program.
    drop_rights(&program, &who)?;
    // Changing the user cleared it (prctl(2), PR_SET_PDEATHSIG).
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .step(|| "tie the container to its shim".to_owned())?;
    rustix::thread::set_name(c"init").step(|| "name init".to_owned())?;
    // Everything here is the program's or the shim's; init keeps nothing open.
    if sys::close_range(0, u32::MAX).is_err() {
        sys::exit_now(125);
    }
    loop {
        let signal = sys::wait_signal();
        if signal != libc::SIGCHLD {
            // The program may just have ended: SIGCHLD follows.
            let _ = sys::kill(child, signal);
            continue;
        }
        while let Ok(Some((pid, status))) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get() == child {
                sys::exit_now(status.exit_status().or(status.terminating_signal().map(|n| 128 + n)).unwrap_or(125));
            }
        }
    }
}

/// Looks the user up in the container's files.
fn who(program: &Program) -> Result<User, StartError> {
    let (passwd, group) = (read_small("/etc/passwd")?, read_small("/etc/group")?);
    user::resolve(&program.user, &program.groups, &passwd, &group).map_err(|err| {
        StartError::new(format!("find user {:?}", program.user), err)
            .hint("use a number, or a name that the image knows")
    })
}

/// Returns the text of a file of the container, empty when it is missing. An image may have
/// anything there: only a plain file of sensible size is read.
fn read_small(path: &str) -> Result<String, StartError> {
    const MOST: u64 = 4 << 20;
    let step = || format!("read {path}");
    let file = match fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        file => file.step(step)?,
    };
    if !file.metadata().step(step)?.is_file() {
        return Err(StartError::new(step(), "it is not a plain file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).step(step)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn set_stdio(stdio: Stdio, who: &User, report: &OwnedFd) -> Result<(), StartError> {
    let step = || "connect the standard streams".to_owned();
    let install = |[stdin, stdout, stderr]: [BorrowedFd<'_>; 3]| -> rustix::io::Result<()> {
        rustix::stdio::dup2_stdin(stdin)?;
        rustix::stdio::dup2_stdout(stdout)?;
        rustix::stdio::dup2_stderr(stderr)
    };
    match stdio {
        Stdio::Descriptors(fds) => {
            for fd in &fds {
                // A program may reopen /dev/stdout, also as another user. Pipes only.
                if rustix::fs::fstat(fd)
                    .is_ok_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode) == rustix::fs::FileType::Fifo)
                {
                    rustix::fs::fchown(fd, Some(Uid::from_raw(who.uid)), None).step(step)?;
                }
            }
            install(fds.each_ref().map(AsFd::as_fd)).step(step)
        }
        Stdio::Terminal { rows, columns } => {
            let step = || "open a terminal".to_owned();
            let master = nix::pty::posix_openpt(
                nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NOCTTY | nix::fcntl::OFlag::O_CLOEXEC,
            )
            .step(step)?;
            nix::pty::unlockpt(&master).step(step)?;
            let name = nix::pty::ptsname_r(&master).step(step)?;
            let slave = rustix::fs::open(name.as_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
                .step(step)?;
            let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            if rows != 0 {
                rustix::termios::tcsetwinsize(&slave, size).step(step)?;
            }
            rustix::fs::fchown(&slave, Some(Uid::from_raw(who.uid)), None).step(step)?;
            rustix::process::ioctl_tiocsctty(&slave).step(step)?;
            install([slave.as_fd(); 3]).step(step)?;
            console(&slave);
            let master = master.as_fd().try_clone_to_owned().step(step)?;
            tell(report, &Report::Terminal, &[master]).step(step)
        }
    }
}

/// Shows the terminal as `/dev/console` too; a convenience that an exec session cannot have.
fn console(slave: &OwnedFd) {
    use rustix::mount::{MoveMountFlags, OpenTreeFlags};
    if rustix::process::getpid().as_raw_nonzero().get() != 1 {
        return;
    }
    let make = || -> rustix::io::Result<()> {
        rustix::fs::open(
            "/dev/console",
            OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o600),
        )?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = rustix::mount::open_tree(slave, "", flags)?;
        rustix::mount::move_mount(
            tree.as_fd(),
            "",
            rustix::fs::CWD,
            "/dev/console",
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    // Programs that insist on a console are rare; the terminal itself works without.
    let _ = make();
}

/// Applies the limits; the number of open files is as high as allowed unless one says
/// otherwise (Docker's engine runs without a limit and hands that down).
fn set_rlimits(limits: &[oci::PosixRlimit]) -> Result<(), StartError> {
    const MOST_FILES: u64 = 1 << 20;
    let set = |resource, current, maximum, step: &dyn Fn() -> String| {
        rustix::process::setrlimit(resource, Rlimit { current, maximum }).step(step)
    };
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum.map_or(MOST_FILES, |hard| hard.min(MOST_FILES));
    set(Resource::Nofile, Some(hard), Some(hard), &|| "raise the limit of open files".to_owned())?;
    for limit in limits {
        let resource = match limit.typ() {
            oci::PosixRlimitType::RlimitCpu => Resource::Cpu,
            oci::PosixRlimitType::RlimitFsize => Resource::Fsize,
            oci::PosixRlimitType::RlimitData => Resource::Data,
            oci::PosixRlimitType::RlimitStack => Resource::Stack,
            oci::PosixRlimitType::RlimitCore => Resource::Core,
            oci::PosixRlimitType::RlimitRss => Resource::Rss,
            oci::PosixRlimitType::RlimitNproc => Resource::Nproc,
            oci::PosixRlimitType::RlimitNofile => Resource::Nofile,
            oci::PosixRlimitType::RlimitMemlock => Resource::Memlock,
            oci::PosixRlimitType::RlimitAs => Resource::As,
            oci::PosixRlimitType::RlimitLocks => Resource::Locks,
            oci::PosixRlimitType::RlimitSigpending => Resource::Sigpending,
            oci::PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
            oci::PosixRlimitType::RlimitNice => Resource::Nice,
            oci::PosixRlimitType::RlimitRtprio => Resource::Rtprio,
            oci::PosixRlimitType::RlimitRttime => Resource::Rttime,
        };
        let value = |n: u64| (n != u64::MAX).then_some(n);
        set(resource, value(limit.soft()), value(limit.hard()), &|| format!("set the limit {}", limit.typ()))?;
    }
    Ok(())
}

fn change_directory(cwd: &str) -> Result<(), StartError> {
    let step = || format!("change to the working directory {cwd:?}");
    match rustix::process::chdir(cwd) {
        Err(rustix::io::Errno::NOENT) => {
            fs::create_dir_all(cwd).step(|| format!("make the working directory {cwd:?}"))?;
            rustix::process::chdir(cwd).step(step)?;
        }
        done => done.step(step)?,
    }
    // By /proc/self/fd/N it could be a folder of the host (CVE-2024-21626): the kernel's own
    // answer then does not begin at the root.
    let inside = rustix::process::getcwd(Vec::new()).is_ok_and(|path| path.as_bytes().starts_with(b"/"));
    if inside { Ok(()) } else { Err(StartError::new(step(), "it is outside of the container")) }
}

/// Returns the file to execute, looked up in the program's own PATH, with the exit statuses
/// of a shell where there is none.
fn find_program(program: &Program) -> Result<PathBuf, StartError> {
    let Some(name) = program.argv.first().filter(|name| !name.is_empty()) else {
        return Err(StartError::new("start the program", "neither the image nor the file names one").exit_code(127));
    };
    let step = || format!("start {name:?}");
    let runnable = |path: &Path| -> io::Result<()> {
        let meta = fs::metadata(path)?;
        if meta.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        if meta.permissions().mode() & 0o111 == 0 { Err(io::Error::from_raw_os_error(libc::EACCES)) } else { Ok(()) }
    };
    if name.contains('/') {
        return match runnable(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            Err(err) if matches!(err.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                Err(StartError::os(step(), &err).hint("there is no such file in the image").exit_code(127))
            }
            Err(err) => Err(StartError::os(step(), &err).hint("the file is not executable").exit_code(126)),
        };
    }
    let path = program.env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut denied = None;
    for folder in path.split(':') {
        let candidate = Path::new(if folder.is_empty() { "." } else { folder }).join(name);
        match runnable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => denied = Some(err),
            Err(_) => {}
        }
    }
    Err(match denied {
        Some(err) => StartError::os(step(), &err).hint("the file is not executable").exit_code(126),
        None => StartError::new(step(), format!("executable file not found in $PATH ({path})"))
            .hint("correct the command, or use an image that has it")
            .exit_code(127),
    })
}

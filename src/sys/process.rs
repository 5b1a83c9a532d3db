//! Making, entering and leaving processes.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;

/// Namespaces and conditions of a new process (clone(2), `CLONE_NEW*`).
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneFlags(u64);

impl CloneFlags {
    /// A plain copy of the caller, as fork(2) makes it.
    pub const NONE: Self = Self(0);
    /// New pid namespace.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    /// New mount namespace.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    /// New uts namespace.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// New ipc namespace.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    /// New network namespace.
    pub const NET: Self = Self(libc::CLONE_NEWNET as u64);
}

impl std::ops::BitOr for CloneFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which side of a [`fork`] the caller is on.
#[derive(Debug)]
pub enum Fork {
    /// The new process. It must end with exec or [`exit_now`].
    Child,
    /// The old one.
    Parent {
        /// The child's pid, in the caller's pid namespace.
        pid: u32,
        /// The child's descriptor; close-on-exec.
        pidfd: OwnedFd,
    },
}

/// Makes a copy of this process, in new namespaces and directly in a cgroup (v2) where asked.
///
/// # Errors
///
/// `EDEADLK` when the caller has more than one thread: the copy would hold locks whose owner
/// is gone. Otherwise what clone3(2) says; `EACCES` and `EBUSY` speak of the cgroup.
pub fn fork(flags: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    if !single_threaded()? {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    let mut pidfd: libc::c_int = -1;
    // SAFETY: `clone_args` is plain integers, for which zero is the documented "absent".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags.0 | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        // Linux's own value: libc's constant is of a type too narrow for it.
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child gets a copy of the address space, so no stack is
    // needed; `args` and `pidfd` outlive the call; the caller has one thread (checked above),
    // so no lock is held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        // SAFETY: on success the kernel has stored a new descriptor that nobody else owns.
        pid => Ok(Fork::Parent { pid: pid as u32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// Tells whether this process has one thread.
fn single_threaded() -> io::Result<bool> {
    // One link for each thread, two for the folder itself.
    Ok(rustix::fs::stat("/proc/self/task")?.st_nlink == 3)
}

/// Ends the process at once: no destructors, no `atexit`, which belong to the process this
/// one was copied from.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Gives every signal its default action and unblocks all, as a fresh program expects:
/// ignored signals (Rust ignores SIGPIPE) would survive exec.
pub fn reset_signals() {
    // `struct kernel_sigaction`: handler, flags, restorer and mask. Zero is SIG_DFL.
    const DEFAULT: [u64; 4] = [0; 4];
    const MASK_SIZE: usize = 8;
    for signal in 1..=64 {
        // Past libc, which does not let its own signals 32 and 33 be reset.
        // SAFETY: the kernel reads the structure, which lives through the call, and installs no
        // code; errors (SIGKILL and SIGSTOP cannot be changed) are harmless.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), std::ptr::null_mut::<u64>(), MASK_SIZE)
        };
    }
    // SAFETY: `sigset_t` is plain data that sigemptyset initialises before it is read.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Blocks every signal, so that they can be taken with [`wait_signal`].
pub fn block_signals() {
    // SAFETY: `sigset_t` is plain data that sigfillset initialises before it is read.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

/// Waits for the next blocked signal and returns its number.
pub fn wait_signal() -> i32 {
    // SAFETY: the set is initialised by sigfillset; a null info pointer is allowed.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigwaitinfo(&raw const all, std::ptr::null_mut())
    }
}

/// Sends any signal, a real-time one too, to a process.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: `kill` has no preconditions.
    if unsafe { libc::kill(pid, signal) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends any signal, a real-time one too, to the process of a descriptor.
///
/// # Errors
///
/// `ESRCH` when it is gone, `EINVAL` when there is no such signal (pidfd_send_signal(2)).
pub fn pidfd_kill(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null info pointer is allowed; the descriptor is borrowed.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, no_info, 0) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets the kernel reap this process's children.
pub fn ignore_child_exits() {
    // SAFETY: SIG_IGN installs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Undoes [`ignore_child_exits`].
pub fn watch_child_exits() {
    // SAFETY: SIG_DFL installs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Marks every descriptor from `first` on close-on-exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: the call changes flags only; nothing is closed before exec.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes every descriptor from `first` to `last`.
pub fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: callers own nothing there that is used or dropped afterwards: they have just begun
    // (daemon, server of shims), are a copy that ends without running destructors (init), or end at
    // once (shim).
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Leaves the session keyring for a new, empty one (keyrings(7)).
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    let done =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets the network interface `lo` of this network namespace up.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: `ifreq` is plain data; the name is `lo` and a terminating zero; the flags are
    // the member of the union that SIOCSIFFLAGS reads.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives unused heap pages back to the kernel.
pub fn trim_heap() {
    // SAFETY: `malloc_trim` has no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

//! Mounts of a container that runs: whether they are there, and how one that vanished comes back
//! without a restart.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

use crate::sys::mount::{Attributes, set_attributes};

/// Tells whether something is mounted at a path of the container with this first process.
///
/// # Errors
///
/// The process is gone, or the path.
pub fn is_mounted(pid: u32, target: &str) -> io::Result<bool> {
    let root = rustix::fs::open(
        format!("/proc/{pid}/root"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let at = resolve(root.as_fd(), target)?;
    let found = rustix::fs::statx(at, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Mounts a folder or file of the host in the container with this first process.
pub fn bind(pid: u32, source: &Path, target: &str, read_only: bool) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, source, flags)?;
    let set = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let attributes = Attributes { set, propagation: libc::MS_PRIVATE, ..Attributes::default() };
    set_attributes(tree.as_fd(), attributes, true)?;
    let namespace: OwnedFd = std::fs::File::open(format!("/proc/{pid}/ns/mnt"))?.into();
    std::thread::scope(|scope| {
        let enter = || {
            // A thread that shares its folders with others may not change its mount namespace.
            unshare(CloneFlags::CLONE_FS)?;
            setns(&namespace, CloneFlags::CLONE_NEWNS)?;
            let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            let at = resolve(root.as_fd(), target)?;
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            rustix::mount::move_mount(tree.as_fd(), "", at.as_fd(), "", flags)?;
            Ok(())
        };
        let thread = std::thread::Builder::new().name("mntns".to_owned()).spawn_scoped(scope, enter)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread inside the mount namespace panicked")))
    })
}

/// Opens a path below a root: no link leads out of it.
fn resolve(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how)?)
}

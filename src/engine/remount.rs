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

/// A container's first process as it was found under its number: what is opened stays that one's,
/// whoever gets the number later.
#[derive(Debug)]
pub struct Opened {
    root: OwnedFd,
    namespace: OwnedFd,
}

impl Opened {
    /// Opens the root and the mount namespace of the process that has this number now. Whether it is
    /// the container's is to be asked of its shim afterwards.
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub fn new(pid: u32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Both through one folder, which is of one process even when the number is given away.
        let process = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())?;
        let root = rustix::fs::openat(&process, "root", flags, Mode::empty())?;
        let namespace = rustix::fs::openat(&process, "ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, namespace })
    }
}

/// Tells whether something is mounted at a path of a container.
///
/// # Errors
///
/// The path is gone.
pub fn is_mounted(container: &Opened, target: &str) -> io::Result<bool> {
    let at = resolve(container.root.as_fd(), target)?;
    let found = rustix::fs::statx(at, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Mounts a folder or file of the host in a container.
pub fn bind(container: &Opened, source: &Path, target: &str, read_only: bool) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, source, flags)?;
    let set = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let attributes = Attributes { set, propagation: libc::MS_PRIVATE, ..Attributes::default() };
    set_attributes(tree.as_fd(), attributes, true)?;
    std::thread::scope(|scope| {
        let enter = || {
            // A thread that shares its folders with others may not change its mount namespace.
            unshare(CloneFlags::CLONE_FS)?;
            setns(&container.namespace, CloneFlags::CLONE_NEWNS)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_stays_that_of_its_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let opened = Opened::new(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_mounted(&opened, "/proc").unwrap());
        assert!(!is_mounted(&opened, "/proc/self/fd").unwrap_or(false));
        assert!(Opened::new(child.id()).is_err());
    }
}

//! Network namespaces: entered only on threads of their own, kept as descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{FsWord, fstatfs};

/// `NSFS_MAGIC` of linux/magic.h: the file system of namespace descriptors.
const NSFS_MAGIC: FsWord = 0x6e73_6673;

/// Which namespace a helper thread works in.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// An existing one.
    In(BorrowedFd<'a>),
    /// A fresh one, which lives as long as a descriptor or a socket of it.
    New,
}

/// Returns what `work` returns, run on a thread that is in the given namespace and ends there.
///
/// The caller's thread waits but never changes its namespace. `work` may open sockets: they
/// stay in the namespace they were made in.
pub(super) fn run_in<T: Send>(place: Place<'_>, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let enter = || match place {
        Place::In(namespace) => setns(namespace, CloneFlags::CLONE_NEWNET),
        Place::New => unshare(CloneFlags::CLONE_NEWNET),
    };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("netns".to_owned()).stack_size(256 * 1024).spawn_scoped(scope, || {
                enter()?;
                work()
            })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread inside the network namespace panicked")))
    })
}

/// Puts the calling thread into a network namespace for good: for threads that do nothing else.
///
/// # Errors
/// When the descriptor is no network namespace.
pub fn enter_for_good(namespace: BorrowedFd<'_>) -> io::Result<()> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

/// As [`run_in`] a new one, without a waiting thread: the kernel takes a millisecond and more for
/// a namespace, in which the caller's thread can do other work.
pub(super) async fn run_in_new<T: Send + 'static>(work: fn() -> io::Result<T>) -> io::Result<T> {
    let (report, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("netns".to_owned()).stack_size(256 * 1024).spawn(move || {
        let made = unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from).and_then(|()| work());
        // Whoever asked may have given up: then the namespace goes with its descriptors.
        let _ = report.send(made);
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the thread inside the network namespace panicked")))
}

/// Returns a descriptor of the calling thread's network namespace.
pub(super) fn current() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Returns what tells this namespace from every other (device and inode of its file).
pub(super) fn identity(namespace: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(namespace)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Writes a kernel setting of the calling thread's namespace; `key` is below `/proc/sys/net`.
pub(super) fn set(key: &str, value: &str) -> io::Result<()> {
    // One write(2), as these files demand.
    std::fs::write(Path::new("/proc/sys/net").join(key), value)
}

/// Returns the path that `ip netns` knows as `name`.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// Keeps the calling thread's namespace under a name until [`forget`].
pub(super) fn keep(name: &str) -> io::Result<()> {
    let path = path(name);
    std::fs::create_dir_all("/run/netns")?;
    File::create(&path)?;
    mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

/// Returns the namespace kept under a name, if there is one.
pub(super) fn kept(name: &str) -> io::Result<Option<OwnedFd>> {
    let file = match File::open(path(name)) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(err),
    };
    // After a reboot or a half-done teardown the file is there but no namespace is mounted on it.
    Ok((fstatfs(&file)?.f_type == NSFS_MAGIC).then(|| file.into()))
}

/// Takes the name away; the namespace goes when its last descriptor does.
pub(super) fn forget(name: &str) -> io::Result<()> {
    let path = path(name);
    match umount2(&path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
        Err(err) => return Err(err.into()),
    }
    match std::fs::remove_file(&path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

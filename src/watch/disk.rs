//! Looks at files and has the kernel tell where they change.
//!
//! Each folder has a watch of its own, so that folders that no rule looks into cost none (a
//! recursive one would take `node_modules` along). While nothing changes nothing runs.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::rules::Host;
use super::tree::{Kind, Stamp};

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Host for Disk {
    fn real(&self, path: &Path) -> PathBuf {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        // What is not there yet is below something that is.
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => self.real(parent).join(name),
            _ => path.to_owned(),
        }
    }

    fn is_there(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn text(&self, path: &Path) -> Option<String> {
        fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Something that the kernel told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something happened to a path.
    Changed(PathBuf),
    /// More happened than it could keep.
    Lost,
    /// Folders are not watched.
    Failed(String),
}

/// Watches on folders.
#[derive(Debug)]
pub struct Watches {
    watcher: RecommendedWatcher,
}

impl Watches {
    /// Returns a set of no watches yet, and what will be told by them.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no more instances (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<(Self, mpsc::UnboundedReceiver<Told>)> {
        let (tell, told) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Nobody listens any more when the receiver is dropped.
            let send = |told| drop(tell.send(told));
            match event {
                Ok(event) if event.need_rescan() => send(Told::Lost),
                Ok(event) if counts(event.kind) => event.paths.into_iter().map(Told::Changed).for_each(send),
                Ok(_) => {}
                Err(error) => send(Told::Failed(explain(error).to_string())),
            }
        });
        Ok((Self { watcher: watcher.map_err(explain)? }, told))
    }

    /// Watches a folder (or a file), not what is below it. Again is no error: a folder that
    /// was removed and made again has lost its watch.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no more watches (`fs.inotify.max_user_watches`). A path that is gone is none.
    pub fn add(&mut self, path: &Path) -> io::Result<()> {
        match self.watcher.watch(path, RecursiveMode::NonRecursive) {
            Err(notify::Error { kind: notify::ErrorKind::PathNotFound, .. }) => Ok(()),
            Err(notify::Error { kind: notify::ErrorKind::Io(error), .. })
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(())
            }
            Err(error) => Err(explain(error)),
            Ok(()) => Ok(()),
        }
    }
}

/// Tells whether an event may mean that a file differs. Reading one is told, too.
fn counts(kind: EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    match kind {
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
        EventKind::Access(AccessKind::Close(mode)) => mode == AccessMode::Write,
        _ => false,
    }
}

/// Names the setting that is in the way.
fn explain(error: notify::Error) -> io::Error {
    let limit = |name: &str| {
        let now = fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).unwrap_or_default();
        format!("the kernel's limit fs.inotify.{name} ({}) is reached: raise it with sysctl", now.trim())
    };
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => io::Error::other(limit("max_user_watches")),
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(nix::libc::EMFILE) => {
            io::Error::other(limit("max_user_instances"))
        }
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(nix::libc::ENOSPC) => {
            io::Error::other(limit("max_user_watches"))
        }
        notify::ErrorKind::Io(error) => error,
        other => io::Error::other(notify::Error::new(other)),
    }
}

/// Returns what is at a path and below it. `enters` says which folders are looked into, `watch`
/// is called for each of them before it is read, so that nothing is missed in between.
///
/// # Errors
///
/// What `watch` returns. What cannot be read or is gone meanwhile counts as not there.
pub fn look(
    at: &Path,
    enters: &dyn Fn(&Path) -> bool,
    watch: &mut dyn FnMut(&Path) -> io::Result<()>,
) -> io::Result<Vec<(PathBuf, Stamp)>> {
    let mut found = Vec::new();
    let Some(stamp) = stamp(at) else { return Ok(found) };
    found.push((at.to_owned(), stamp));
    let mut folders = Vec::new();
    if stamp.kind == Kind::Folder && enters(at) {
        folders.push(at.to_owned());
    }
    while let Some(folder) = folders.pop() {
        watch(&folder)?;
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Some(stamp) = entry.metadata().ok().and_then(|metadata| stamp_of(&metadata)) else { continue };
            if stamp.kind == Kind::Folder {
                if !enters(&path) {
                    continue;
                }
                folders.push(path.clone());
            }
            found.push((path, stamp));
        }
    }
    Ok(found)
}

/// Returns what is at a path; `None` where nothing is, or a pipe, socket or device.
pub fn stamp(path: &Path) -> Option<Stamp> {
    stamp_of(&fs::symlink_metadata(path).ok()?)
}

/// A file system's clock ticks as often as the kernel's: every 10 ms at the least.
const TICK_NS: i64 = 10_000_000;

fn stamp_of(metadata: &Metadata) -> Option<Stamp> {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Link,
        _ => return None,
    };
    let mode = metadata.mode() & 0o7777;
    if kind == Kind::Folder {
        // All else of a folder changes with what is in it.
        return Some(Stamp { kind, mode, size: 0, inode: 0, modified_ns: 0, changed_ns: 0, fresh: false });
    }
    let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    let changed_ns = nanoseconds(metadata.ctime(), metadata.ctime_nsec());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX).saturating_sub(changed_ns);
    Some(Stamp {
        kind,
        mode,
        size: metadata.size(),
        inode: metadata.ino(),
        modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns,
        fresh: (0..TICK_NS).contains(&age),
    })
}

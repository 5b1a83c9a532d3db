//! Looks at files and has the kernel tell where they change.
//!
//! Each folder has a watch of its own, so that folders that no rule looks into cost none (a
//! recursive one would take `node_modules` along). While nothing changes nothing runs.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

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

/// With more paths than these, comparing everything costs less than to remember them.
const MANY: usize = 20_000;

/// What the kernel told since it was last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Paths that something happened to.
    pub changed: BTreeSet<PathBuf>,
    /// More happened than could be kept.
    pub lost: bool,
    /// Why folders are not watched.
    pub failed: Option<String>,
}

impl Told {
    fn changed(&mut self, path: PathBuf) {
        if !self.lost {
            self.changed.insert(path);
        }
        if self.changed.len() > MANY {
            self.lost();
        }
    }

    fn lost(&mut self) {
        self.changed.clear();
        self.lost = true;
    }
}

/// Where the kernel's words wait, each path once, however long nobody asks for them.
#[derive(Debug, Clone, Default)]
pub struct News(Arc<(Mutex<Told>, Notify)>);

impl News {
    fn add(&self, add: impl FnOnce(&mut Told)) {
        add(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_one();
    }

    /// Takes what was told by now.
    pub fn take(&self) -> Told {
        std::mem::take(&mut *self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what was told, once there is something. Cancel-safe: it is taken when it is returned.
    pub async fn next(&self) -> Told {
        loop {
            let told = self.take();
            if told != Told::default() {
                return told;
            }
            self.0.1.notified().await;
        }
    }
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
    pub fn new() -> io::Result<(Self, News)> {
        let news = News::default();
        let tell = news.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => tell.add(Told::lost),
            Ok(event) if counts(event.kind) => {
                tell.add(|told| event.paths.into_iter().for_each(|path| told.changed(path)));
            }
            Ok(_) => {}
            Err(error) => tell.add(|told| told.failed = Some(explain(error).to_string())),
        });
        Ok((Self { watcher: watcher.map_err(explain)? }, news))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn however_much_is_told_little_is_kept() {
        let news = News::default();
        for n in 0..100 {
            news.add(|told| told.changed(PathBuf::from(format!("/s/{}", n % 2))));
        }
        let both = BTreeSet::from([PathBuf::from("/s/0"), PathBuf::from("/s/1")]);
        assert_eq!(news.next().await, Told { changed: both, ..Told::default() });
        for n in 0..MANY + 10 {
            news.add(|told| told.changed(PathBuf::from(format!("/s/{n}"))));
        }
        assert_eq!(news.next().await, Told { lost: true, ..Told::default() });
        assert_eq!(news.take(), Told::default());
    }
}

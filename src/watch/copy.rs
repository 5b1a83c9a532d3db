//! Brings files of the host into the file system of a container, from outside: nothing of the
//! image is needed for it.
//!
//! Every path is resolved below the container's root by the kernel (openat2 with RESOLVE_IN_ROOT);
//! from its folder on only names are used, which are never followed. So a link in the container
//! leads where it leads inside, and nowhere else.
//!
//! On the host no link is followed at all: what is watched may be written by a container, whose
//! links must not make the daemon read what is elsewhere.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timestamps, Uid};
use rustix::io::Errno;

use super::ASIDE;
use super::rules::{Copy, Rule};

/// What copying did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Paths on the host that were written into the container.
    pub written: Vec<PathBuf>,
    /// Paths on the host whose copies were removed.
    pub removed: Vec<PathBuf>,
    /// Paths in the container and why they are not as they should be.
    pub failed: Vec<(String, String)>,
    /// Paths on the host that are in the container by a mount: copying them would go on for ever.
    pub same: Vec<PathBuf>,
}

/// Makes what is at each target as it is on the host: written aside and renamed, or removed.
///
/// Modes and times are kept; the owner is that of the folder it is put in. With `lacking`, files
/// that are there with the same size, mode and time are left alone. Where `goes_on` says no, the rest
/// is left as it is.
pub fn copy(root: BorrowedFd<'_>, copies: &[Copy], lacking: bool, goes_on: &dyn Fn() -> bool) -> Copied {
    let mut copied = Copied::default();
    let mut writes = Vec::new();
    // What is gone goes first, the deepest first; what is made is made from the top.
    let mut source = Source::default();
    for copy in copies.iter().rev().take_while(|_| goes_on()) {
        match source.stat(&copy.from) {
            Ok(stat) => writes.push((copy, stat)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => match remove(root, Path::new(&copy.to)) {
                Ok(true) => copied.removed.push(copy.from.clone()),
                Ok(false) => {}
                Err(error) => copied.failed.push((copy.to.clone(), error.to_string())),
            },
            Err(error) => copied.failed.push((copy.to.clone(), explain(error.into(), "read").to_string())),
        }
    }
    let mut target =
        Target { root, device: rustix::fs::fstat(root).map_or(0, |stat| stat.st_dev), folder: None, lacking };
    let mut source = Source::default();
    for (copy, stat) in writes.into_iter().rev().take_while(|_| goes_on()) {
        let written = source
            .open(&copy.from)
            .map_err(|error| io::Error::from(if error == Errno::LOOP { Errno::NOENT } else { error }))
            .and_then(|from| target.write(from, &stat, Path::new(&copy.to)));
        match written {
            Ok(Written::New) => copied.written.push(copy.from.clone()),
            Ok(Written::There) => {}
            Ok(Written::Same) => copied.same.push(copy.from.clone()),
            // It went away meanwhile: that is another change.
            Err(error) if error.kind() == io::ErrorKind::NotFound && source.stat(&copy.from).is_err() => {}
            Err(error) => copied.failed.push((copy.to.clone(), error.to_string())),
        }
    }
    copied.removed.reverse();
    copied
}

/// The host's files, with the folder that was used last.
#[derive(Default)]
struct Source {
    folder: Option<(PathBuf, OwnedFd)>,
}

/// A file of the host: its folder and its name there.
#[derive(Clone, Copy)]
struct Place<'a> {
    folder: BorrowedFd<'a>,
    name: &'a OsStr,
}

impl Source {
    /// Finds a path that has no link above its last name; `ELOOP` if it has.
    fn open<'a>(&'a mut self, path: &'a Path) -> Result<Place<'a>, Errno> {
        let (parent, name) = path.parent().zip(path.file_name()).ok_or(Errno::INVAL)?;
        if self.folder.as_ref().is_none_or(|(path, _)| path != parent) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let open = || rustix::fs::openat2(CWD, parent, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
            let folder = settled(open)?;
            self.folder = Some((parent.to_owned(), folder));
        }
        let (_, folder) = self.folder.as_ref().expect("it was just opened");
        Ok(Place { folder: folder.as_fd(), name })
    }

    fn stat(&mut self, path: &Path) -> Result<Stat, Errno> {
        let place = self.open(path)?;
        rustix::fs::statat(place.folder, place.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

enum Written {
    New,
    There,
    Same,
}

/// The container's file system, with the folder that was used last.
struct Target<'a> {
    root: BorrowedFd<'a>,
    /// Of the root: no other container that runs has the same.
    device: u64,
    folder: Option<(PathBuf, OwnedFd, Stat)>,
    lacking: bool,
}

impl Target<'_> {
    fn write(&mut self, from: Place<'_>, stat: &Stat, to: &Path) -> io::Result<Written> {
        let (parent, name) = split(to)?;
        if self.folder.as_ref().is_none_or(|(path, ..)| path != parent) {
            let folder = make_folders(self.root, parent)?;
            let stat = rustix::fs::fstat(&folder)?;
            self.folder = Some((parent.to_owned(), folder, stat));
        }
        let (_, folder, owner) = self.folder.as_ref().expect("it was just opened");
        let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
        let there = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Some(there),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        if there.is_some_and(|there| (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino)) {
            return Ok(Written::Same);
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_folder = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if let Some(there) = &there {
            if self.lacking && alike(stat, there) {
                return Ok(Written::There);
            }
            if is_folder(there) && kind == FileType::Directory {
                // By its descriptor: chmod by name would follow a link that took its place.
                open_folder(folder, name)
                    .and_then(|there| rustix::fs::fchmod(&there, Mode::from_raw_mode(stat.st_mode & 0o7777)))
                    .map_err(|error| explain(error.into(), "write"))?;
                return Ok(if there.st_mode == stat.st_mode { Written::There } else { Written::New });
            }
            if is_folder(there) {
                // Files of the container in it are nobody's to delete.
                rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR).map_err(|error| match error {
                    Errno::NOTEMPTY => io::Error::other("a folder with files of the container is in its place"),
                    error => explain(error.into(), "remove"),
                })?;
            } else if kind == FileType::Directory {
                rustix::fs::unlinkat(folder, name, AtFlags::empty())
                    .map_err(|error| explain(error.into(), "remove"))?;
            }
        }
        let aside = aside(self.device, name);
        let placed = match kind {
            FileType::Directory => place_folder(folder, name, stat, uid, gid),
            FileType::Symlink => place_link(folder, name, &aside, from, uid, gid),
            FileType::RegularFile => place_file(folder, name, &aside, from, uid, gid),
            _ => Err(io::Error::other("only files, folders and links are copied")),
        };
        placed.map(|()| Written::New).map_err(|error| explain(error, "write"))
    }
}

/// Tells whether a file in a container is a copy of one on the host.
fn alike(host: &Stat, there: &Stat) -> bool {
    let kind = FileType::from_raw_mode(host.st_mode);
    host.st_mode == there.st_mode
        && (kind == FileType::Directory
            || host.st_size == there.st_size
                && (host.st_mtime, host.st_mtime_nsec) == (there.st_mtime, there.st_mtime_nsec))
}

fn place_folder(folder: &OwnedFd, name: &OsStr, stat: &Stat, uid: Uid, gid: Gid) -> io::Result<()> {
    rustix::fs::mkdirat(folder, name, Mode::RWXU)?;
    let made = open_folder(folder, name)?;
    rustix::fs::fchown(&made, Some(uid), Some(gid))?;
    Ok(rustix::fs::fchmod(&made, Mode::from_raw_mode(stat.st_mode & 0o7777))?)
}

fn place_link(folder: &OwnedFd, name: &OsStr, aside: &OsStr, from: Place<'_>, uid: Uid, gid: Gid) -> io::Result<()> {
    let to = rustix::fs::readlinkat(from.folder, from.name, Vec::new())?;
    let stat = rustix::fs::statat(from.folder, from.name, AtFlags::SYMLINK_NOFOLLOW)?;
    anew(folder, aside, || rustix::fs::symlinkat(&to, folder, aside))?;
    rustix::fs::chownat(folder, aside, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .and_then(|()| rustix::fs::utimensat(folder, aside, &times(&stat), AtFlags::SYMLINK_NOFOLLOW))
        .and_then(|()| rustix::fs::renameat(folder, aside, folder, name))
        .inspect_err(|_| discard(folder, aside))?;
    Ok(())
}

fn place_file(folder: &OwnedFd, name: &OsStr, aside: &OsStr, from: Place<'_>, uid: Uid, gid: Gid) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut source = File::from(rustix::fs::openat(from.folder, from.name, flags, Mode::empty())?);
    // As it is before its content is read: a change meanwhile makes it differ from the copy.
    let stat = rustix::fs::fstat(&source)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(folder, aside, flags, Mode::RUSR | Mode::WUSR);
    let mut file = File::from(anew(folder, aside, open)?);
    let placed = io::copy(&mut source, &mut file).and_then(|_| {
        // Changing the owner takes bits of the mode away.
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        rustix::fs::futimens(&file, &times(&stat))?;
        Ok(rustix::fs::renameat(folder, aside, folder, name)?)
    });
    placed.inspect_err(|_| discard(folder, aside))
}

fn discard(folder: &OwnedFd, aside: &OsStr) {
    let _ = rustix::fs::unlinkat(folder, aside, AtFlags::empty());
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Removes a file, link or empty folder; returns whether anything was removed. A folder with
/// files that were not copied stays.
fn remove(root: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
    let (parent, name) = split(path)?;
    let folder = match resolve(root, parent) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(false),
        folder => folder?,
    };
    match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(explain(error.into(), "remove")),
    }
    match rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(false),
        Err(error) => Err(explain(error.into(), "remove")),
    }
}

/// Returns a folder of the container, made where it is missing, with the owner of what it is in.
fn make_folders(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    match resolve(root, path) {
        Err(Errno::NOENT) => {}
        folder => return folder.map_err(|error| explain(error.into(), "open")),
    }
    let (parent, name) = split(path)?;
    let parent = make_folders(root, parent)?;
    let owner = rustix::fs::fstat(&parent)?;
    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => {
            let made = open_folder(&parent, name)?;
            rustix::fs::fchown(&made, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))?;
            rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
            Ok(made)
        }
        // A link that leads nowhere, or somebody was faster.
        Err(Errno::EXIST) => resolve(root, path).map_err(|error| explain(error.into(), "open")),
        Err(error) => Err(explain(error.into(), "make its folder")),
    }
}

/// Opens a folder as a process of the container would find it.
fn resolve(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    settled(|| rustix::fs::openat2(root, path, flags, Mode::empty(), inside))
}

/// Opens again while folders are renamed meanwhile, which the kernel tells by `EAGAIN` (openat2(2)).
/// So often that only a program that renames without end is given up on: `EAGAIN` is returned then.
fn settled(mut open: impl FnMut() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    const TRIES: usize = 1000;
    (0..TRIES).map(|_| open()).find(|opened| !matches!(opened, Err(Errno::AGAIN))).unwrap_or(Err(Errno::AGAIN))
}

fn open_folder(folder: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder.as_fd(), name, flags, Mode::empty())
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    path.parent().zip(path.file_name()).ok_or_else(|| io::Error::other("it is the root of the container"))
}

/// Returns the name that a copy is written to before it takes its place: always the same in one container, so
/// that what a daemon left that was killed meanwhile goes with the next copy.
fn aside(device: u64, name: &OsStr) -> OsString {
    let mut hasher = DefaultHasher::new();
    (device, name).hash(&mut hasher);
    OsString::from(format!("{ASIDE}{:016x}", hasher.finish()))
}

/// Makes something in the place of what was left there.
fn anew<T>(folder: &OwnedFd, aside: &OsStr, make: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    make().or_else(|error| {
        if error != Errno::EXIST {
            return Err(error);
        }
        discard(folder, aside);
        make()
    })
}

fn explain(error: io::Error, doing: &str) -> io::Error {
    let why = match error.raw_os_error() {
        Some(nix::libc::EROFS) => "the container's file system is read-only there".to_owned(),
        Some(nix::libc::EBUSY) => "it is a mount of the container".to_owned(),
        Some(nix::libc::ENOSPC) => "no space is left in the container's file system".to_owned(),
        Some(nix::libc::EAGAIN) => "folders on the way to it are renamed without end".to_owned(),
        Some(nix::libc::ENOTDIR) => "a file is where its folder should be".to_owned(),
        Some(_) => format!("cannot {doing} it: {error}"),
        None => return error,
    };
    io::Error::new(error.kind(), why)
}

/// Returns the copies that a rule makes of these paths, without doubles, by path.
pub fn all<'a>(rule: &Rule, paths: impl Iterator<Item = &'a Path>) -> Vec<Copy> {
    let copies: BTreeSet<Copy> = paths.filter(|path| rule.wants(path)).filter_map(|path| rule.copy(path)).collect();
    copies.into_iter().collect()
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;

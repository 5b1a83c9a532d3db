//! One layer's tar stream becomes a folder that overlayfs takes as a lower directory.
//!
//! Nothing in the stream is trusted. Every path is resolved below the layer's own root by the
//! kernel (openat2 with RESOLVE_IN_ROOT), so that neither `..` nor a symbolic link made by an
//! earlier entry leads out; sizes and counts are bounded; memory used for headers is bounded.
//!
//! Whiteouts (OCI image spec, layer.md) become what overlayfs has for them: `.wh.NAME` a
//! character device 0/0 named `NAME`, `.wh..wh..opq` the attribute `trusted.overlay.opaque`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use tar::EntryType;

/// The attribute that hides what lower layers have in a folder.
pub(super) const OPAQUE: &str = "trusted.overlay.opaque";

/// Bytes of headers (long names, extended attributes) that one entry may have.
const HEADER_LIMIT: u64 = 4 << 20;

/// What a layer may cost at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of file content.
    pub(super) bytes: u64,
    /// Number of entries.
    pub(super) entries: u64,
}

impl Limits {
    /// Returns the limits for unpacking below `dir`: nine tenths of the free space, but never
    /// more than 100 GiB, and five million entries.
    pub(super) fn for_dir(dir: &Path) -> Self {
        let free = rustix::fs::statvfs(dir).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
        Self { bytes: (free / 10 * 9).min(100 << 30), entries: 5_000_000 }
    }
}

/// What unpacking found.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    /// Bytes of file content.
    pub(super) size: u64,
    /// Folders that no entry describes but that entries lie in, the root as the empty path:
    /// their attributes are those of the layer below.
    pub(super) implicit: BTreeSet<PathBuf>,
    /// The root itself is marked opaque, which overlayfs does not look at.
    pub(super) opaque_root: bool,
}

/// A layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum UnpackError {
    #[error("the tar stream is damaged")]
    Tar(#[source] io::Error),
    #[error("failed to {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the entry {0:?} leads out of the layer")]
    Escape(String),
    #[error("the entry {path:?} is a hard link to {target:?}, which is not in the layer")]
    HardLink { path: String, target: String },
    #[error("it unpacks to more than {} MiB", .0 >> 20)]
    TooBig(u64),
    #[error("it has more than {0} entries")]
    TooMany(u64),
}

/// Unpacks a tar stream (already decompressed) into the empty folder `dest`.
pub(super) fn unpack(stream: impl Read, dest: &Path, limits: &Limits) -> Result<Unpacked, UnpackError> {
    let budget = Cell::new(HEADER_LIMIT);
    let mut archive = tar::Archive::new(Budgeted { stream, budget: &budget });
    let mut layer = Layer::open(dest, limits)?;
    let mut entries = archive.entries().map_err(UnpackError::Tar)?;
    loop {
        budget.set(HEADER_LIMIT);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(UnpackError::Tar)?;
        budget.set(u64::MAX);
        layer.entry(&mut entry)?;
        // What an entry of an unknown type carries is passed over here, not in `next`.
        io::copy(&mut entry, &mut io::sink()).map_err(UnpackError::Tar)?;
    }
    Ok(layer.finish())
}

/// Ends a stream that gives more bytes than expected at this point.
struct Budgeted<'a, R> {
    stream: R,
    budget: &'a Cell<u64>,
}

impl<R: Read> Read for Budgeted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        match self.budget.get().checked_sub(read as u64) {
            Some(left) => self.budget.set(left),
            None => {
                return Err(io::Error::other(format!("an entry has more than {} MiB of headers", HEADER_LIMIT >> 20)));
            }
        }
        Ok(read)
    }
}

/// Attributes of an entry.
struct Attributes {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    times: Timestamps,
    xattrs: Vec<(OsString, Vec<u8>)>,
}

struct Layer<'a> {
    dest: &'a Path,
    root: OwnedFd,
    limits: &'a Limits,
    entries: u64,
    found: Unpacked,
    /// Set at the end, because making entries in a folder changes its times.
    folder_times: Vec<(PathBuf, Timestamps)>,
    /// The folder of the last entry: entries come folder by folder.
    parent: Option<(PathBuf, OwnedFd)>,
    buffer: Vec<u8>,
    /// Owners are kept only by root.
    privileged: bool,
}

impl<'a> Layer<'a> {
    fn open(dest: &'a Path, limits: &'a Limits) -> Result<Self, UnpackError> {
        let root = rustix::fs::open(dest, AT, Mode::empty()).map_err(io_error("open", dest))?;
        Ok(Self {
            dest,
            root,
            limits,
            entries: 0,
            found: Unpacked { implicit: BTreeSet::from([PathBuf::new()]), ..Unpacked::default() },
            folder_times: Vec::new(),
            parent: None,
            buffer: vec![0; 256 << 10],
            privileged: rustix::process::geteuid().is_root(),
        })
    }

    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(UnpackError::TooMany(self.limits.entries));
        }
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let path = relative(&entry.path_bytes())?;
        let attributes = attributes(entry).map_err(UnpackError::Tar)?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            if !kind.is_dir() {
                return Err(UnpackError::Escape(path.display().to_string()));
            }
            return self.folder_attributes(&self.dup_root()?, &path, attributes);
        };
        let parent_path = path.parent().unwrap_or(Path::new(""));
        let parent = match self.parent.take() {
            Some((at, fd)) if at == parent_path => fd,
            _ => self.open_folder(parent_path, 0).map_err(io_error("open the folder", parent_path))?,
        };
        match name.as_bytes().strip_prefix(b".wh.") {
            Some(b".wh..opq") => self.opaque(&parent, parent_path)?,
            // Other names of this kind are notes of the aufs driver to itself.
            Some(rest) if rest.starts_with(b".wh.") => {}
            Some(b"" | b"." | b"..") => return Err(UnpackError::Escape(path.display().to_string())),
            Some(hidden) => self.whiteout(&parent, OsStr::from_bytes(hidden)).map_err(io_error("hide", &path))?,
            None => self.plain(entry, kind, &path, &parent, &name, attributes)?,
        }
        self.parent = Some((parent_path.to_owned(), parent));
        Ok(())
    }

    fn plain(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        kind: EntryType,
        path: &Path,
        parent: &OwnedFd,
        name: &OsStr,
        attributes: Attributes,
    ) -> Result<(), UnpackError> {
        let existing = stat(parent, name).map_err(io_error("look at", path))?;
        if kind.is_dir() {
            let hides = existing.as_ref().is_some_and(is_whiteout);
            if !existing.is_some_and(|stat| is_folder(&stat)) {
                self.clear(parent, name).map_err(io_error("replace", path))?;
                rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))
                    .map_err(io_error("make the folder", path))?;
            } else {
                self.found.implicit.remove(path);
            }
            let folder = open_below(parent, name).map_err(io_error("open the folder", path))?;
            if hides {
                set_opaque(&folder).map_err(io_error("hide the content below", path))?;
            }
            return self.folder_attributes(&folder, path, attributes);
        }
        if kind.is_hard_link() {
            return self.hard_link(entry, path, parent, name);
        }
        if existing.is_some() {
            self.clear(parent, name).map_err(io_error("replace", path))?;
        }
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, path, parent, name, attributes)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                rustix::fs::symlinkat(OsStr::from_bytes(&target), parent, name)
                    .map_err(io_error("make the link", path))?;
                self.node_attributes(parent, name, path, attributes, false)
            }
            EntryType::Fifo => {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(parent, name, FileType::Fifo, mode, 0).map_err(io_error("make the pipe", path))?;
                self.node_attributes(parent, name, path, attributes, true)
            }
            EntryType::Char | EntryType::Block => {
                let header = entry.header();
                let device = (header.device_major().ok().flatten(), header.device_minor().ok().flatten());
                let (Some(major), Some(minor)) = device else { return Ok(()) };
                // A container's /dev is never the image's, and a device node is a way to the
                // host's hardware: only those that any process may have are kept. 0/0 among
                // them would hide a lower layer's file.
                if kind != EntryType::Char || !is_harmless(major, minor) {
                    tracing::debug!(path = %path.display(), major, minor, "leaving out a device node");
                    return Ok(());
                }
                let (mode, device) = (Mode::from_raw_mode(0o600), rustix::fs::makedev(major, minor));
                rustix::fs::mknodat(parent, name, FileType::CharacterDevice, mode, device)
                    .map_err(io_error("make the device", path))?;
                self.node_attributes(parent, name, path, attributes, true)
            }
            other => {
                tracing::debug!(path = %path.display(), ?other, "leaving out an entry of an unknown type");
                Ok(())
            }
        }
    }

    fn file(
        &mut self,
        entry: &mut impl Read,
        path: &Path,
        parent: &OwnedFd,
        name: &OsStr,
        attributes: Attributes,
    ) -> Result<(), UnpackError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file: File = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
            .map_err(io_error("create", path))?
            .into();
        loop {
            let read = entry.read(&mut self.buffer).map_err(UnpackError::Tar)?;
            if read == 0 {
                break;
            }
            self.found.size += read as u64;
            if self.found.size > self.limits.bytes {
                return Err(UnpackError::TooBig(self.limits.bytes));
            }
            file.write_all(&self.buffer[..read]).map_err(io_error("write", path))?;
        }
        self.attributes_of(&file, path, &attributes)?;
        rustix::fs::futimens(&file, &attributes.times).map_err(io_error("set the times of", path))
    }

    fn hard_link(
        &mut self,
        entry: &tar::Entry<'_, impl Read>,
        path: &Path,
        parent: &OwnedFd,
        name: &OsStr,
    ) -> Result<(), UnpackError> {
        let target = relative(&entry.link_name_bytes().unwrap_or_default())?;
        let missing =
            || UnpackError::HardLink { path: path.display().to_string(), target: target.display().to_string() };
        let (Some(target_name), target_parent) = (target.file_name(), target.parent().unwrap_or(Path::new(""))) else {
            return Err(missing());
        };
        if target == path {
            return Ok(());
        }
        let folder = if target_parent.as_os_str().is_empty() {
            self.dup_root()?
        } else {
            open_in_root(&self.root, target_parent, AT).map_err(|_| missing())?
        };
        match stat(&folder, target_name) {
            Ok(Some(stat)) if !is_folder(&stat) && !is_whiteout(&stat) => {}
            _ => return Err(missing()),
        }
        self.clear(parent, name).map_err(io_error("replace", path))?;
        rustix::fs::linkat(&folder, target_name, parent, name, AtFlags::empty()).map_err(io_error("link", path))
    }

    /// Hides `name` of the layers below. What this layer itself has under that name stays
    /// (whiteouts are for the layers below, whatever the order of entries).
    fn whiteout(&mut self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        match stat(parent, name)? {
            Some(stat) if is_folder(&stat) => set_opaque(&open_below(parent, name)?),
            Some(_) => Ok(()),
            None => Ok(rustix::fs::mknodat(
                parent,
                name,
                FileType::CharacterDevice,
                Mode::empty(),
                rustix::fs::makedev(0, 0),
            )?),
        }
    }

    fn opaque(&mut self, folder: &OwnedFd, path: &Path) -> Result<(), UnpackError> {
        if path.as_os_str().is_empty() {
            self.found.opaque_root = true;
            return Ok(());
        }
        let readable = rustix::fs::openat(folder, c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .map_err(io_error("open the folder", path))?;
        set_opaque(&readable).map_err(io_error("hide the content below", path))
    }

    /// Opens a folder of the layer, following symbolic links inside the layer only, and makes
    /// what is missing of it.
    fn open_folder(&mut self, path: &Path, depth: u32) -> io::Result<OwnedFd> {
        if path.as_os_str().is_empty() {
            return self.root.try_clone();
        }
        match open_in_root(&self.root, path, AT) {
            Ok(folder) => return Ok(folder),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(error);
            }
            // Each symbolic link that leads nowhere, and each folder that is missing, is one step.
            Err(error) if depth > 255 => return Err(error),
            Err(_) => {}
        }
        let (Some(name), above) = (path.file_name(), path.parent().unwrap_or(Path::new(""))) else {
            return self.root.try_clone();
        };
        let parent = self.open_folder(above, depth + 1)?;
        if let Ok(target) = rustix::fs::readlinkat(&parent, name, Vec::new()) {
            let target = above.join(OsStr::from_bytes(target.as_bytes()));
            return self.open_folder(&clamped(&target), depth + 8);
        }
        let hides = match stat(&parent, name)? {
            Some(stat) if is_whiteout(&stat) => {
                self.clear(&parent, name)?;
                true
            }
            Some(stat) if is_folder(&stat) => return Ok(open_below(&parent, name)?),
            Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
            None => false,
        };
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        let folder = open_below(&parent, name)?;
        if hides {
            set_opaque(&folder)?;
        }
        // By its real place: `path` may lead through symbolic links.
        let real = std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
        let real = real.strip_prefix(std::fs::canonicalize(self.dest)?).unwrap_or(path).to_owned();
        self.found.implicit.insert(real);
        Ok(folder)
    }

    /// Removes what has this name, if anything.
    fn clear(&mut self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(rustix::io::Errno::ISDIR) => {
                std::fs::remove_dir_all(Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn folder_attributes(&mut self, folder: &OwnedFd, path: &Path, attributes: Attributes) -> Result<(), UnpackError> {
        if path.as_os_str().is_empty() {
            self.found.implicit.remove(path);
        }
        self.attributes_of(folder, path, &attributes)?;
        self.folder_times.push((path.to_owned(), attributes.times));
        Ok(())
    }

    /// Sets owner, mode and extended attributes; the owner first, as changing it drops set-uid
    /// bits and capabilities.
    fn attributes_of(&self, file: impl AsFd, path: &Path, attributes: &Attributes) -> Result<(), UnpackError> {
        if self.privileged {
            rustix::fs::fchown(&file, Some(attributes.uid), Some(attributes.gid))
                .map_err(io_error("set the owner of", path))?;
        }
        rustix::fs::fchmod(&file, attributes.mode).map_err(io_error("set the mode of", path))?;
        for (name, value) in &attributes.xattrs {
            optional(rustix::fs::fsetxattr(&file, name.as_os_str(), value, XattrFlags::empty()), path, name)?;
        }
        Ok(())
    }

    /// The same for what cannot be opened.
    fn node_attributes(
        &self,
        parent: &OwnedFd,
        name: &OsStr,
        path: &Path,
        attributes: Attributes,
        has_mode: bool,
    ) -> Result<(), UnpackError> {
        if self.privileged {
            let (uid, gid) = (Some(attributes.uid), Some(attributes.gid));
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(io_error("set the owner of", path))?;
        }
        if has_mode {
            // Just made by this process and no link: nothing to follow.
            rustix::fs::chmodat(parent, name, attributes.mode, AtFlags::empty())
                .map_err(io_error("set the mode of", path))?;
        }
        for (attribute, value) in &attributes.xattrs {
            let at = Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
            optional(rustix::fs::lsetxattr(&at, attribute.as_os_str(), value, XattrFlags::empty()), path, attribute)?;
        }
        rustix::fs::utimensat(parent, name, &attributes.times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(io_error("set the times of", path))
    }

    fn dup_root(&self) -> Result<OwnedFd, UnpackError> {
        rustix::fs::openat(&self.root, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(io_error("open", self.dest))
    }

    fn finish(self) -> Unpacked {
        for (path, times) in self.folder_times.iter().rev() {
            // A folder that a later entry replaced has no times to set.
            let at = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(folder) = open_in_root(&self.root, at, flags) {
                _ = rustix::fs::futimens(&folder, times);
            }
        }
        self.found
    }
}

/// Returns the path of an entry relative to the root: without leading slashes and `.`.
fn relative(path: &[u8]) -> Result<PathBuf, UnpackError> {
    let path = Path::new(OsStr::from_bytes(path));
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if !name.as_bytes().contains(&0) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            _ => return Err(UnpackError::Escape(path.display().to_string())),
        }
    }
    Ok(clean)
}

/// Returns the path as seen from the root, where `..` of the root is the root.
fn clamped(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => _ = clean.pop(),
            // `join` with an absolute target starts over, at the layer's root.
            Component::RootDir => clean.clear(),
            _ => {}
        }
    }
    clean
}

fn attributes(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Attributes> {
    let header = entry.header();
    let id = |id: u64| u32::try_from(id).map_err(|_| io::Error::other("an owner's number is out of range"));
    // Old tar programs leave fields blank that they have no number for.
    let raw = header.as_old();
    let blank = |field: &[u8]| field.iter().all(|b| matches!(b, 0 | b' '));
    let uid = if blank(&raw.uid) { 0 } else { id(header.uid()?)? };
    let gid = if blank(&raw.gid) { 0 } else { id(header.gid()?)? };
    let mode = if blank(&raw.mode) { 0 } else { header.mode()? & 0o7777 };
    let mtime = if blank(&raw.mtime) { 0 } else { header.mtime()? };
    let mut modified = Timespec { tv_sec: i64::try_from(mtime).unwrap_or(0), tv_nsec: 0 };
    let mut xattrs = Vec::new();
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            let key = extension.key_bytes();
            if key == b"mtime" {
                modified = extension.value().ok().and_then(timespec).unwrap_or(modified);
            } else if let Some(name) = key.strip_prefix(b"SCHILY.xattr.").filter(|name| is_kept(name)) {
                xattrs.push((OsString::from_vec(name.to_vec()), extension.value_bytes().to_vec()));
            }
        }
    }
    let times = Timestamps { last_access: modified, last_modification: modified };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(Attributes { uid, gid, mode: Mode::from_raw_mode(mode), times, xattrs })
}

/// Extended attributes that a layer may set. `trusted.overlay.*` would steer the file system
/// that the layer becomes part of, and the rest of `security.*` is the host's business.
fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability"
        || name.starts_with(b"system.posix_acl_")
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// Returns the time in a pax record, `1350244992.023960108`.
fn timespec(text: &str) -> Option<Timespec> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some(Timespec { tv_sec: seconds.parse().ok()?, tv_nsec: nanos.parse().ok()? })
}

/// null, zero, full, random, urandom, tty, console, ptmx.
fn is_harmless(major: u32, minor: u32) -> bool {
    matches!((major, minor), (1, 3 | 5 | 7 | 8 | 9) | (5, 0..=2))
}

/// What a folder is opened with that things are made in.
const AT: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn open_in_root(root: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: somebody renamed something while the kernel went through a `..` of a link.
    for _ in 0..64 {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(rustix::io::Errno::AGAIN) => {}
            other => return Ok(other?),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

fn open_below(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn stat(parent: &OwnedFd, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn set_opaque(folder: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(folder, OPAQUE, b"y", XattrFlags::empty())?)
}

/// Lets an attribute go that this file system does not have.
fn optional(result: rustix::io::Result<()>, path: &Path, name: &OsStr) -> Result<(), UnpackError> {
    match result {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) => {
            tracing::debug!(path = %path.display(), ?name, "the file system does not take an extended attribute");
            Ok(())
        }
        other => other.map_err(io_error("set an extended attribute of", path)),
    }
}

fn io_error<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> UnpackError {
    let path = path.to_owned();
    move |source| UnpackError::Io { action, path, source: source.into() }
}

#[cfg(test)]
mod tests;

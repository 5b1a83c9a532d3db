//! Copies a folder of an image, as its layers together show it, with all that a file is.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::merged::{self, Entry};

/// Copies in which the disk is waited for file by file; more of them are flushed together.
const FEW: u32 = 64;

/// Copies what the image has at `target` into the existing folder `to`, which also gets owner,
/// mode and times; nothing happens where the image has no folder there. The error comes with
/// the path it is about.
pub(super) fn fill(layers: &[PathBuf], target: &str, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    let found = merged::resolve(layers, target).map_err(|error| (PathBuf::from(target), error))?;
    let Some(Entry::Folder(folders)) = found else { return Ok(()) };
    let mut copy = Copy { links: HashMap::new(), files: 0 };
    copy.content(&folders, to)?;
    let failed = |error| (to.to_owned(), error);
    if copy.files > FEW {
        File::open(to).and_then(|dir| Ok(rustix::fs::syncfs(&dir)?)).map_err(failed)?;
    }
    Ok(())
}

struct Copy {
    /// Copies of files with more than one name, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    /// Files with content.
    files: u32,
}

impl Copy {
    fn content(&mut self, folders: &[PathBuf], to: &Path) -> Result<(), (PathBuf, io::Error)> {
        let failed = |error| (to.to_owned(), error);
        for name in merged::names(folders).map_err(failed)? {
            let to = to.join(&name);
            let failed = |error| (to.clone(), error);
            match merged::lookup(folders, &name).map_err(failed)? {
                None => {}
                Some(Entry::Folder(folders)) => {
                    fs::create_dir(&to).map_err(failed)?;
                    self.content(&folders, &to)?;
                }
                Some(Entry::Other(from)) => self.node(&from, &to).map_err(failed)?,
            }
        }
        // After its content, which changes its times.
        folders.first().map_or(Ok(()), |top| attributes(top, to)).map_err(failed)
    }

    fn node(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(from)?;
        let kind = metadata.file_type();
        if metadata.nlink() > 1 {
            if let Some(first) = self.links.get(&(metadata.dev(), metadata.ino())) {
                return fs::hard_link(first, to);
            }
            self.links.insert((metadata.dev(), metadata.ino()), to.to_owned());
        }
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
        } else if kind.is_file() {
            let mut copy = File::create_new(to)?;
            io::copy(&mut File::open(from)?, &mut copy)?;
            if metadata.len() > 0 {
                self.files += 1;
                // The volume is the user's from now on, and is never filled again.
                if self.files <= FEW {
                    copy.sync_data()?;
                }
            }
        } else if kind.is_fifo() {
            rustix::fs::mknodat(CWD, to, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        } else if kind.is_char_device() {
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(CWD, to, FileType::CharacterDevice, mode, metadata.rdev())?;
        } else {
            // Sockets are nothing without their process.
            return Ok(());
        }
        attributes(from, to)
    }
}

fn attributes(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = (Some(Uid::from_raw(metadata.uid())), Some(Gid::from_raw(metadata.gid())));
        rustix::fs::chownat(CWD, to, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if !metadata.is_symlink() {
        rustix::fs::chmodat(CWD, to, Mode::from_raw_mode(metadata.mode() & 0o7777), AtFlags::empty())?;
    }
    let mut names = [0; 16 << 10];
    let length = rustix::fs::llistxattr(from, &mut names[..]).unwrap_or(0);
    for name in names[..length].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        // What steers overlayfs is the layer's, not the content's.
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let name = OsStr::from_bytes(name);
        let mut value = vec![0; 64 << 10];
        if let Ok(length) = rustix::fs::lgetxattr(from, name, &mut value[..]) {
            match rustix::fs::lsetxattr(to, name, &value[..length], XattrFlags::empty()) {
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let time = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

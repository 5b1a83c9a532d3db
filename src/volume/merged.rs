//! Layers seen as the one tree that overlayfs would show, without mounting anything.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

/// Symbolic links followed on the way to one path, as many as the kernel follows.
const MAX_LINKS: u32 = 40;

/// What the layers have under a name.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// A folder: the layers' folders that make it up, topmost first.
    Folder(Vec<PathBuf>),
    /// Anything else: where it lies.
    Other(PathBuf),
}

/// Returns what is at an absolute path of an image; symbolic links on the way lead to places
/// in the image. `layers` are lowest first.
pub(super) fn resolve(layers: &[PathBuf], path: &str) -> io::Result<Option<Entry>> {
    let root: Vec<PathBuf> = layers.iter().rev().cloned().collect();
    let mut at: Vec<Vec<PathBuf>> = vec![root];
    let mut left: Vec<OsString> = components(Path::new(path));
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            if at.len() > 1 {
                at.pop();
            }
            continue;
        }
        let here = at.last().map(Vec::as_slice).unwrap_or_default();
        match lookup(here, &name)? {
            None => return Ok(None),
            Some(Entry::Folder(folders)) => at.push(folders),
            Some(Entry::Other(path)) if path.is_symlink() => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()));
                }
                let target = fs::read_link(&path)?;
                if target.is_absolute() {
                    at.truncate(1);
                }
                left.extend(components(&target));
            }
            Some(other) if left.is_empty() => return Ok(Some(other)),
            Some(Entry::Other(_)) => return Ok(None),
        }
    }
    Ok(at.pop().map(Entry::Folder))
}

/// Returns the names in a folder, sorted.
pub(super) fn names(folders: &[PathBuf]) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            names.insert(entry?.file_name());
        }
    }
    Ok(names)
}

/// Returns what a folder has under a name, by the rules of overlayfs: the topmost counts, a
/// whiteout hides what is below, folders merge down to an opaque one.
pub(super) fn lookup(folders: &[PathBuf], name: &OsStr) -> io::Result<Option<Entry>> {
    let mut merged = Vec::new();
    for folder in folders {
        let path = folder.join(name);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !metadata.is_dir() {
            let whiteout = metadata.file_type().is_char_device() && metadata.rdev() == 0;
            if merged.is_empty() && !whiteout {
                return Ok(Some(Entry::Other(path)));
            }
            break;
        }
        let mut mark = [0; 1];
        let opaque = rustix::fs::lgetxattr(&path, "trusted.overlay.opaque", &mut mark[..]).is_ok_and(|_| mark == *b"y");
        merged.push(path);
        if opaque {
            break;
        }
    }
    Ok((!merged.is_empty()).then_some(Entry::Folder(merged)))
}

/// Returns the names of a path in reverse, to be popped.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

//! What a container that stays has on disk, as it changes.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::bundle;
use super::record::{self, ContainerRecord};
use super::{Engine, EngineError};
use crate::spec::ContainerSpec;

/// Longest `/etc/hosts` that is changed: its content is the container's.
const LONGEST: u64 = 1 << 20;

impl Engine {
    /// Writes down that a container is as `after` says. The record comes first; then the bundle,
    /// which its next start reads, and its names in `/etc/hosts`. Running it again is fine.
    pub fn amend(&self, before: &ContainerSpec, after: &ContainerSpec) -> Result<(), EngineError> {
        let folder = self.container_dir(&after.id);
        {
            let _writing = self.inner.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let old = record::load(&folder)?;
            record::save(&folder, &ContainerRecord { spec: after.clone(), ..old })?;
        }
        self.write_bundle(after, &folder)?;
        // What the container made of it is its own business, and no reason to fail.
        if let Err(error) = change_hosts(&folder.join("hosts"), &bundle::hosts(before), &bundle::hosts(after)) {
            tracing::warn!(container = after.name, %error, "its /etc/hosts stays as it is");
        }
        Ok(())
    }
}

/// Changes the lines of a hosts file that differ, if it is there; the same file stays, which is
/// mounted in the container.
fn change_hosts(path: &Path, before: &str, after: &str) -> io::Result<()> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let mut file = match fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut bytes = Vec::new();
    (&file).take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    if let Some(bytes) = merged(&bytes, before, after) {
        io::Seek::rewind(&mut file)?;
        file.set_len(0)?;
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// Returns a file with the lines that differ between `before` and `after`, and all that others have
/// written into it; `None` where nothing changes. Pure.
fn merged(text: &[u8], before: &str, after: &str) -> Option<Vec<u8>> {
    let old: HashSet<&[u8]> = before.lines().map(str::as_bytes).collect();
    let new: HashSet<&[u8]> = after.lines().map(str::as_bytes).collect();
    if old == new {
        return None;
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let others = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let kept: Vec<&[u8]> =
        others.filter(|_| !text.is_empty()).filter(|line| !old.contains(line) || new.contains(line)).collect();
    let added = after.lines().map(str::as_bytes).filter(|line| !kept.contains(line));
    Some(kept.iter().copied().chain(added).flat_map(|line| [line, b"\n"]).flatten().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_stay_in_the_hosts_file() {
        let check = |text: &[u8], before, after, expected: Option<&[u8]>| {
            assert_eq!(merged(text, before, after), expected.map(<[u8]>::to_vec));
        };
        check(b"lo\na\n", "lo\na\n", "lo\na\n", None);
        check(b"lo\na\nmine\n", "lo\na\n", "lo\nb\n", Some(b"lo\nmine\nb\n"));
        check(b"lo\na\nb\n", "lo\na\n", "lo\na\nb\n", Some(b"lo\na\nb\n"));
        check(b"lo\n", "lo\na\n", "lo\n", Some(b"lo\n"));
        check(b"lo\n\xff", "lo\n", "lo\na\n", Some(b"lo\n\xff\na\n"));
        check(b"", "lo\n", "lo\na\n", Some(b"lo\na\n"));
    }

    #[test]
    fn a_hosts_file_of_any_length_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        change_hosts(&path, "", "a\n").unwrap();
        fs::write(&path, b"lo\n\xff\n").unwrap();
        change_hosts(&path, "lo\n", "a\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"\xff\na\n");
        fs::File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        let error = change_hosts(&path, "lo\n", "a\n").unwrap_err();
        assert_eq!(error.to_string(), "it is longer than 1 MiB");
    }
}

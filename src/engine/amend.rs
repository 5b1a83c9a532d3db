//! What a container that stays has on disk, as it changes.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;

use super::bundle;
use super::record::{self, ContainerRecord};
use super::{Engine, EngineError};
use crate::spec::ContainerSpec;

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
        let path = folder.join("hosts");
        let failed = |source| EngineError::File { doing: "change", path: path.clone(), source };
        let text = match fs::read_to_string(&path) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
            text => text.map_err(failed)?,
        };
        match merged(&text, &bundle::hosts(before), &bundle::hosts(after)) {
            // The same file, which is mounted in the container.
            Some(text) => fs::write(&path, text).map_err(failed),
            None => Ok(()),
        }
    }
}

/// Returns a file with the lines that differ between `before` and `after`, and all that others have
/// written into it; `None` where nothing changes. Pure.
fn merged(text: &str, before: &str, after: &str) -> Option<String> {
    let (old, new): (HashSet<&str>, HashSet<&str>) = (before.lines().collect(), after.lines().collect());
    if old == new {
        return None;
    }
    let kept: Vec<&str> = text.lines().filter(|line| !old.contains(line) || new.contains(line)).collect();
    let added = after.lines().filter(|line| !kept.contains(line));
    Some(kept.iter().copied().chain(added).flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_stay_in_the_hosts_file() {
        let check = |text, before, after, expected: Option<&str>| {
            assert_eq!(merged(text, before, after).as_deref(), expected);
        };
        check("lo\na\n", "lo\na\n", "lo\na\n", None);
        check("lo\na\nmine\n", "lo\na\n", "lo\nb\n", Some("lo\nmine\nb\n"));
        check("lo\na\nb\n", "lo\na\n", "lo\na\nb\n", Some("lo\na\nb\n"));
        check("lo\n", "lo\na\n", "lo\n", Some("lo\n"));
    }
}

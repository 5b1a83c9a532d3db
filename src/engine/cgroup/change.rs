//! Limits of a container that lives: all of the new ones are in force afterwards, or the old.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ALWAYS, Cgroup, Setting, inherit_cpuset, listed, make, settings, unenforced};
use crate::spec::Resources;

/// A limit that the kernel does not take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    limit: &'static str,
    value: String,
    why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {} is refused: {}", self.limit, self.value, self.why)
    }
}

/// A file that changes.
struct Change {
    to: Setting,
    /// What it holds now, to go back.
    from: String,
}

impl Cgroup {
    /// Changes the limits of the container's cgroups, whether or not something runs in them. Returns
    /// warnings about limits that this host cannot enforce, as [`Cgroup::create`] does.
    ///
    /// # Errors
    ///
    /// The first limit that is refused, for example of less memory than is in use. Those that had
    /// been changed are as before.
    pub(crate) fn change(&mut self, old: &Resources, new: &Resources) -> Result<Vec<String>, Refused> {
        let v2 = self.hierarchies.legacy.is_empty();
        let mut warnings = Vec::new();
        let mut done: Vec<(PathBuf, String)> = Vec::new();
        for Change { to, from } in changes(old, new, v2) {
            let at = if v2 {
                self.hierarchies.unified.as_ref().map(|root| root.join(&self.path))
            } else {
                self.legacy_folder(to.controller)
            };
            let Some(at) = at else {
                warnings.push(unenforced(&to, &format!("the {} controller is not available", to.controller)));
                continue;
            };
            let file = at.join(to.file);
            let value = if to.value.is_empty() && !v2 { parents(&at, to.file) } else { to.value.clone() };
            let written = match room(&at, &to) {
                Ok(()) => fs::write(&file, &value).map_err(|err| (err.kind(), reason(&at, &to, &err))),
                Err(why) => Err((io::ErrorKind::ResourceBusy, why)),
            };
            match written {
                Ok(()) => {
                    let back = if from.is_empty() && !v2 { parents(&at, to.file) } else { from };
                    done.push((file, back));
                }
                // Without swap accounting or swap there is nothing to limit.
                Err((io::ErrorKind::NotFound, _)) if to.limit == "swap limit" => {}
                Err((io::ErrorKind::NotFound, why)) => warnings.push(unenforced(&to, &why)),
                Err((_, why)) => {
                    for (file, back) in done.iter().rev() {
                        if let Err(error) = fs::write(file, back) {
                            tracing::warn!(%error, "{} is not as it was", file.display());
                        }
                    }
                    return Err(Refused { limit: to.limit, value: shown(&to), why });
                }
            }
        }
        Ok(warnings)
    }

    /// Returns the container's folder of a v1 controller. One that no limit needed so far is made,
    /// and the container's processes join it.
    fn legacy_folder(&mut self, controller: &str) -> Option<PathBuf> {
        let root = self.hierarchies.legacy(controller)?.to_owned();
        let at = root.join(&self.path);
        if self.joined.iter().any(|joined| joined == controller) {
            return Some(at);
        }
        make(&at).ok()?;
        if controller == "cpuset" {
            inherit_cpuset(&root, &self.path);
        }
        let all = self.hierarchies.legacy(ALWAYS[0])?.join(&self.path);
        let mut moved = HashSet::new();
        // Those that were cloned meanwhile are where their parents were.
        loop {
            let left: Vec<i32> = listed(&all).into_iter().filter(|pid| moved.insert(*pid)).collect();
            if left.is_empty() {
                break;
            }
            for pid in left {
                // One that has ended needs no limit.
                let _ = fs::write(at.join("cgroup.procs"), pid.to_string());
            }
        }
        self.joined.push(controller.to_owned());
        Some(at)
    }
}

/// Returns the files that differ, in an order that the kernel takes: memory and swap together are
/// never less than memory.
fn changes(old: &Resources, new: &Resources, v2: bool) -> Vec<Change> {
    let (before, after) = (settings(old, v2), settings(new, v2));
    let value = |list: &[Setting], file: &str| list.iter().find(|s| s.file == file).map(|s| s.value.clone());
    let gone = before.iter().filter(|b| after.iter().all(|a| a.file != b.file));
    let gone = gone.map(|b| Setting { value: unlimited(b.file).to_owned(), ..b.clone() });
    let mut list: Vec<Change> = after
        .iter()
        .cloned()
        .chain(gone)
        .map(|to| Change { from: value(&before, to.file).unwrap_or_else(|| unlimited(to.file).to_owned()), to })
        .filter(|change| change.to.value != change.from)
        .collect();
    let amount = |text: &str| text.parse::<i64>().ok().filter(|n| *n >= 0).unwrap_or(i64::MAX);
    let both = list.iter().position(|c| c.to.file == "memory.memsw.limit_in_bytes");
    let alone = list.iter().position(|c| c.to.file == "memory.limit_in_bytes");
    if let (Some(both), Some(alone)) = (both, alone) {
        let grows = amount(&list[both].to.value) > amount(&list[both].from);
        if grows == (alone < both) {
            list.swap(both, alone);
        }
    }
    list
}

/// Returns what a file holds that nobody has written; empty for the parent's value.
fn unlimited(file: &str) -> &'static str {
    match file {
        "memory.low" => "0",
        "cpu.max" => "max 100000",
        "cpu.weight" => "100",
        "memory.limit_in_bytes" | "memory.soft_limit_in_bytes" | "memory.memsw.limit_in_bytes" | "cpu.cfs_quota_us" => {
            "-1"
        }
        "cpu.cfs_period_us" => "100000",
        "cpu.shares" => "1024",
        "cpuset.cpus" => "",
        _ => "max",
    }
}

fn parents(at: &Path, file: &str) -> String {
    let parent = at.parent().unwrap_or(at);
    fs::read_to_string(parent.join(file)).unwrap_or_default().trim().to_owned()
}

/// Refuses a limit of less memory than is in use after the kernel has taken back what it can: v2
/// would end processes for it (v1 refuses it by itself).
fn room(at: &Path, to: &Setting) -> Result<(), String> {
    if to.file != "memory.max" {
        return Ok(());
    }
    let Ok(limit) = to.value.parse::<u64>() else { return Ok(()) };
    let Some(used) = used(at).filter(|used| *used > limit) else { return Ok(()) };
    // Fails where not all of it can be had, and where the kernel does not know it.
    let _ = fs::write(at.join("memory.reclaim"), (used - limit).to_string());
    match self::used(at) {
        Some(used) if used > limit => Err(in_use(used)),
        _ => Ok(()),
    }
}

/// Returns the bytes of memory in use.
fn used(at: &Path) -> Option<u64> {
    let text = ["memory.current", "memory.usage_in_bytes"].iter().find_map(|f| fs::read_to_string(at.join(f)).ok())?;
    text.trim().parse().ok()
}

fn in_use(used: u64) -> String {
    format!("the container uses {} MiB", used.div_ceil(1 << 20))
}

fn reason(at: &Path, to: &Setting, err: &io::Error) -> String {
    match (err.kind(), used(at)) {
        (io::ErrorKind::ResourceBusy, Some(used)) if to.limit == "memory limit" => in_use(used),
        _ => format!("{}: {err}", at.join(to.file).display()),
    }
}

fn shown(to: &Setting) -> String {
    match to.value.parse::<u64>() {
        Ok(bytes) if to.controller == "memory" && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ => to.value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cgroup::Hierarchies;

    const MIB: u64 = 1 << 20;

    fn check(old: &Resources, new: &Resources, v2: bool, expected: &[&str]) {
        let list = changes(old, new, v2);
        let list: Vec<_> = list.iter().map(|c| format!("{}: {} -> {}", c.to.file, c.from, c.to.value)).collect();
        assert_eq!(list, expected);
    }

    #[test]
    fn only_what_differs_is_written_and_what_goes_is_unlimited() {
        let none = Resources::default();
        let some = Resources {
            memory: Some(64 * MIB),
            nano_cpus: Some(500_000_000),
            pids: Some(10),
            cpuset: Some("0".into()),
            ..Resources::default()
        };
        check(&some, &some, true, &[]);
        let more = Resources { pids: Some(20), ..some.clone() };
        check(&some, &more, true, &["pids.max: 10 -> 20"]);
        check(
            &some,
            &none,
            true,
            &[
                "memory.max: 67108864 -> max",
                "memory.swap.max: 67108864 -> max",
                "cpu.max: 50000 100000 -> max 100000",
                "cpuset.cpus: 0 -> ",
                "pids.max: 10 -> max",
            ],
        );
    }

    #[test]
    fn memory_and_swap_together_are_never_less_than_memory() {
        let of = |mib: u64| Resources { memory: Some(mib * MIB), ..Resources::default() };
        check(
            &of(2),
            &of(1),
            false,
            &["memory.limit_in_bytes: 2097152 -> 1048576", "memory.memsw.limit_in_bytes: 4194304 -> 2097152"],
        );
        check(
            &of(1),
            &of(2),
            false,
            &["memory.memsw.limit_in_bytes: 2097152 -> 4194304", "memory.limit_in_bytes: 1048576 -> 2097152"],
        );
        check(
            &Resources::default(),
            &of(1),
            false,
            &["memory.limit_in_bytes: -1 -> 1048576", "memory.memsw.limit_in_bytes: -1 -> 2097152"],
        );
    }

    /// A folder in the part of a v2 tree: nothing takes memory back.
    #[test]
    fn what_is_in_use_cannot_be_taken_away_and_the_old_limits_stay() {
        let root = tempfile::tempdir().unwrap();
        let at = root.path().join("stack/app/c");
        fs::create_dir_all(&at).unwrap();
        let write = |file: &str, text: &str| fs::write(at.join(file), text).unwrap();
        let read = |file: &str| fs::read_to_string(at.join(file)).unwrap();
        write("memory.current", "9437184\n");
        write("memory.max", "max");
        write("memory.swap.max", "max");
        let hierarchies = Hierarchies { unified: Some(root.path().to_owned()), legacy: Vec::new() };
        let mut cgroup = Cgroup::new(hierarchies, "stack/app", "c");
        let pids = Resources { pids: Some(5), ..Resources::default() };
        let both = Resources { memory: Some(8 * MIB), ..pids };
        let refused = cgroup.change(&Resources::default(), &both).unwrap_err();
        assert_eq!(refused.to_string(), "the memory limit 8 MiB is refused: the container uses 9 MiB");
        assert_eq!(read("memory.max"), "max");
        let enough = Resources { memory: Some(16 * MIB), ..Resources::default() };
        assert_eq!(cgroup.change(&Resources::default(), &enough), Ok(Vec::new()));
        assert_eq!((read("memory.max"), read("memory.swap.max")), ("16777216".to_owned(), "16777216".to_owned()));
        assert_eq!(cgroup.change(&enough, &Resources::default()), Ok(Vec::new()));
        assert_eq!(read("memory.max"), "max");
    }
}

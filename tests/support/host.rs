//! A picture of what programs can leave behind on a host.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::program::run;

/// Everything that an engine makes on a host outside its own two folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    processes: BTreeSet<String>,
    mounts: BTreeSet<String>,
    links: BTreeSet<String>,
    namespaces: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl Snapshot {
    /// Returns what is there now; of the processes only those that run `program`.
    pub(crate) fn take(program: &Path) -> Self {
        Self {
            processes: processes()
                .filter(|p| p.executable == program)
                .map(|p| format!("{} {}", p.pid, p.command))
                .collect(),
            mounts: mounts().into_iter().collect(),
            links: links(),
            namespaces: names("/run/netns"),
            cgroups: cgroups(),
            tables: tables(),
        }
    }

    /// Adds processes found in another way.
    pub(crate) fn add_processes(&mut self, processes: impl Iterator<Item = String>) {
        self.processes.extend(processes);
    }

    /// Returns what is here and not in the other, one a line with its kind; empty for nothing.
    pub(crate) fn beyond(&self, before: &Self) -> String {
        let mut text = String::new();
        for (kind, now, then) in [
            ("process", &self.processes, &before.processes),
            ("mount", &self.mounts, &before.mounts),
            ("link", &self.links, &before.links),
            ("namespace", &self.namespaces, &before.namespaces),
            ("cgroup", &self.cgroups, &before.cgroups),
            ("nft table", &self.tables, &before.tables),
        ] {
            for left in now.difference(then) {
                text += &format!("{kind}: {left}\n");
            }
        }
        text
    }

    /// Returns the part whose names hold one of the words: what one engine among many left.
    pub(crate) fn naming(&self, words: &[String]) -> Self {
        let part = |all: &BTreeSet<String>| {
            all.iter().filter(|name| words.iter().any(|word| name.contains(word.as_str()))).cloned().collect()
        };
        Self {
            processes: part(&self.processes),
            mounts: part(&self.mounts),
            links: part(&self.links),
            namespaces: part(&self.namespaces),
            cgroups: part(&self.cgroups),
            tables: part(&self.tables),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.beyond(&Self::default()))
    }
}

/// A process of this machine.
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: i32,
    /// The program it runs.
    pub(crate) executable: PathBuf,
    /// Program and arguments, separated by spaces.
    pub(crate) command: String,
    /// `KEY=value`s it was started with.
    pub(crate) environment: Vec<String>,
    /// Its parent.
    pub(crate) parent: i32,
}

impl Process {
    /// Tells whether it is an engine rather than a shim or a command.
    pub(crate) fn is_daemon(&self) -> bool {
        self.command.split(' ').nth(1).is_some_and(|word| word.trim_start_matches('_') == "daemon")
    }
}

/// Returns all processes that can be looked at; zombies have no program and are not among them.
pub(crate) fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let executable = fs::read_link(entry.path().join("exe")).ok()?;
        let words = |name: &str| -> Option<Vec<String>> {
            let bytes = fs::read(entry.path().join(name)).ok()?;
            Some(
                bytes
                    .split(|b| *b == 0)
                    .map(|w| String::from_utf8_lossy(w).into_owned())
                    .filter(|w| !w.is_empty())
                    .collect(),
            )
        };
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"))?.trim().parse().ok()?;
        let words_of_command = words("cmdline")?;
        // A shim runs its program from a mount of its own, whose root is the file.
        let executable = match words_of_command.first() {
            Some(first) if executable == Path::new("/") => PathBuf::from(first),
            _ => executable,
        };
        Some(Process { pid, executable, command: words_of_command.join(" "), environment: words("environ")?, parent })
    })
}

/// Returns the state letter of a process, `None` once it is gone.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim().chars().next()
}

/// Tells whether a process is there and no zombie.
pub(crate) fn runs(pid: i32) -> bool {
    state(pid).is_some_and(|letter| letter != 'Z')
}

/// Returns the mount points of this process's mount namespace.
pub(crate) fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("/proc is there");
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

fn links() -> BTreeSet<String> {
    names("/sys/class/net")
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn tables() -> BTreeSet<String> {
    run(Command::new("nft").args(["list", "tables"]), Duration::from_secs(10)).ok().lines().map(str::to_owned).collect()
}

/// Returns the folders of all mounted cgroup hierarchies.
fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.insert(entry.path().display().to_string());
                left.push(entry.path());
            }
        }
    }
    found
}

/// Returns an address of this machine that is not loopback, as others reach it; `None` without a network.
pub(crate) fn own_address() -> Option<std::net::Ipv4Addr> {
    let addresses = nix::ifaddrs::getifaddrs().expect("getifaddrs");
    addresses
        .filter(|link| !link.interface_name.starts_with("stack"))
        .filter_map(|link| Some(link.address?.as_sockaddr_in()?.ip()))
        .find(|ip| !ip.is_loopback())
}

//! Control groups of one container, on cgroup v2, v1 and both at once (hybrid).
//!
//! Where memory, cpu and pids are v1 controllers, a container has a folder in each that it
//! needs and, where a v2 tree is mounted beside them, one there for `cgroup.kill`.

mod change;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub(crate) use self::change::Refused;
use super::devices;
use crate::spec::Resources;

/// Where the controllers are mounted on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hierarchies {
    /// The v2 tree.
    unified: Option<PathBuf>,
    /// v1 trees by controller, only of those that this module uses.
    legacy: Vec<(String, PathBuf)>,
}

/// v1 controllers that every container gets, for its statistics and the OOM counter.
const ALWAYS: &[&str] = &["memory"];
/// v1 controllers that only a container with such a limit gets.
const ON_DEMAND: &[&str] = &["cpu", "cpuset", "pids"];
/// The v1 controller of devices, for hosts without the v2 tree.
const DEVICES: &str = "devices";
/// v2 controllers, in the order they are switched on.
const UNIFIED: &[&str] = &["memory", "cpu", "cpuset", "pids"];

impl Hierarchies {
    /// Returns those of this host.
    pub(crate) fn detect() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/self/mountinfo")?))
    }

    /// Returns those that `mountinfo` (proc_pid_mountinfo(5)) lists.
    fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
            let mut mount = mount.split(' ').skip(3);
            let (Some("/"), Some(at)) = (mount.next(), mount.next()) else { continue };
            let mut filesystem = filesystem.split(' ');
            match (filesystem.next(), filesystem.nth(1)) {
                (Some("cgroup2"), _) if found.unified.is_none() => found.unified = Some(at.into()),
                (Some("cgroup"), Some(options)) => {
                    for controller in options.split(',') {
                        let used =
                            ALWAYS.contains(&controller) || ON_DEMAND.contains(&controller) || controller == DEVICES;
                        if used && !found.legacy.iter().any(|(name, _)| name == controller) {
                            found.legacy.push((controller.to_owned(), at.into()));
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn legacy(&self, controller: &str) -> Option<&Path> {
        self.legacy.iter().find(|(name, _)| name == controller).map(|(_, at)| at.as_path())
    }
}

/// The cgroups of one container.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    hierarchies: Hierarchies,
    /// `stack/<project>/<id>`, the same in every tree.
    path: PathBuf,
    /// v1 controllers whose folder was made.
    joined: Vec<String>,
}

/// A cgroup could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} {}", path.display())]
pub(crate) struct CgroupError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    pub(crate) source: io::Error,
}

/// One file to write below the container's folder of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    /// v1 controller, or the v2 one that must be on.
    controller: &'static str,
    file: &'static str,
    value: String,
    /// As users know it.
    limit: &'static str,
}

impl Cgroup {
    /// Returns the container's cgroups, made or not.
    pub(crate) fn new(hierarchies: Hierarchies, parent: &str, id: &str) -> Self {
        let path = Path::new(parent.trim_start_matches('/')).join(id);
        Self { hierarchies, path, joined: Vec::new() }
    }

    /// Returns the cgroups of a container of which nothing but its id is known; `None` when there are none.
    pub(crate) fn find(hierarchies: &Hierarchies, id: &str) -> Option<Self> {
        let roots = hierarchies.legacy.iter().map(|(_, root)| root).chain(&hierarchies.unified);
        roots.into_iter().find_map(|root| {
            let mut left = vec![root.clone()];
            while let Some(folder) = left.pop() {
                if folder.file_name().is_some_and(|name| name == id) {
                    let path = folder.strip_prefix(root).ok()?.to_owned();
                    let hierarchies = hierarchies.clone();
                    return Some(Self { hierarchies, path, joined: Vec::new() });
                }
                left.extend(children(&folder));
            }
            None
        })
    }

    /// Makes the folders and writes the limits. Returns a warning for each limit that this
    /// host cannot enforce.
    pub(crate) fn create(&mut self, resources: &Resources) -> Result<Vec<String>, CgroupError> {
        let mut warnings = Vec::new();
        let wanted = |on_v2| settings(resources, on_v2);
        if let Some(root) = self.hierarchies.unified.clone() {
            let at = root.join(&self.path);
            let legacy_free = self.hierarchies.legacy.is_empty();
            if legacy_free {
                make_with_controllers(&root, &self.path)?;
            } else {
                make(&at)?;
            }
            if legacy_free {
                write_settings(&wanted(true), |_| Some(at.clone()), &mut warnings);
            }
        }
        if !self.hierarchies.legacy.is_empty() {
            let settings = wanted(false);
            self.joined.clear();
            for (controller, root) in &self.hierarchies.legacy {
                let needed =
                    ALWAYS.contains(&controller.as_str()) || settings.iter().any(|s| s.controller == controller);
                if needed {
                    let at = root.join(&self.path);
                    make(&at)?;
                    if controller == "cpuset" {
                        inherit_cpuset(root, &self.path);
                    }
                    self.joined.push(controller.clone());
                }
            }
            write_settings(&settings, |c| Some(self.hierarchies.legacy(c)?.join(&self.path)), &mut warnings);
        } else if self.hierarchies.unified.is_none() {
            warnings.extend(wanted(true).iter().map(|s| unenforced(s, "no cgroup tree is mounted")));
        }
        Ok(warnings)
    }

    /// Lets the container open no device but the harmless ones. Returns a warning where this
    /// host cannot do that.
    pub(crate) fn restrict_devices(&mut self) -> Option<String> {
        let v2 = self.unified_fd().ok_or_else(|| io::ErrorKind::NotFound.into());
        let Err(err) = v2.and_then(|fd| devices::restrict(fd.as_fd())) else { return None };
        match self.restrict_devices_v1() {
            Ok(()) => None,
            Err(_) => Some(format!("access to devices is not restricted: {err}")),
        }
    }

    fn restrict_devices_v1(&mut self) -> io::Result<()> {
        let root = self.hierarchies.legacy(DEVICES).ok_or(io::ErrorKind::NotFound)?;
        let at = root.join(&self.path);
        fs::create_dir_all(&at)?;
        fs::write(at.join("devices.deny"), "a")?;
        for rule in devices::legacy_rules() {
            fs::write(at.join("devices.allow"), rule)?;
        }
        self.joined.push(DEVICES.to_owned());
        Ok(())
    }

    /// Returns the v2 folder for `CLONE_INTO_CGROUP`.
    pub(crate) fn unified_fd(&self) -> Option<OwnedFd> {
        let at = self.hierarchies.unified.as_ref()?.join(&self.path);
        fs::File::open(at).ok().map(OwnedFd::from)
    }

    /// Makes a folder below the v2 one, for one exec session. `None` without a v2 tree.
    pub(crate) fn session(&self, name: &str) -> Option<Session> {
        let at = self.hierarchies.unified.as_ref()?.join(&self.path).join(name);
        fs::create_dir(&at).ok()?;
        Some(Session { at })
    }

    /// Puts the calling process into the v1 folders.
    ///
    /// Writing 0 to `tasks` moves just the calling thread, for which the kernel need not wait
    /// for all processes of the system to stand still, as it must for `cgroup.procs`.
    pub(crate) fn join_legacy(&self) -> Result<(), CgroupError> {
        for controller in &self.joined {
            let Some(root) = self.hierarchies.legacy(controller) else { continue };
            let path = root.join(&self.path).join("tasks");
            fs::write(&path, "0").map_err(|source| CgroupError { doing: "join the cgroup", path, source })?;
        }
        Ok(())
    }

    /// Returns the v1 controllers joined, and whether there is a v2 tree.
    pub(crate) fn views(&self) -> (Vec<String>, bool) {
        let shown = self.joined.iter().filter(|controller| *controller != DEVICES).cloned();
        (shown.collect(), self.hierarchies.unified.is_some())
    }

    /// Returns how often the kernel ended a process of the container for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let (root, file) = match self.hierarchies.legacy("memory") {
            Some(root) => (root, "memory.oom_control"),
            None => match &self.hierarchies.unified {
                Some(root) => (root.as_path(), "memory.events"),
                None => return 0,
            },
        };
        let text = fs::read_to_string(root.join(&self.path).join(file)).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Returns the most memory that the container had in use since [`Self::forget_peak`], bytes.
    pub(crate) fn memory_peak(&self) -> Option<u64> {
        let (root, file) = match self.hierarchies.legacy("memory") {
            Some(root) => (root, "memory.max_usage_in_bytes"),
            None => (self.hierarchies.unified.as_deref()?, "memory.peak"),
        };
        fs::read_to_string(root.join(&self.path).join(file)).ok()?.trim().parse().ok()
    }

    /// Lets the peak begin anew with the next run. On v2 each run has a folder of its own.
    pub(crate) fn forget_peak(&self) {
        if let Some(root) = self.hierarchies.legacy("memory") {
            // A peak that is too high is only told as such.
            let _ = fs::write(root.join(&self.path).join("memory.max_usage_in_bytes"), "0");
        }
    }

    /// Sends SIGKILL to every process in the container's cgroups.
    pub(crate) fn kill(&self) {
        if let Some(root) = &self.hierarchies.unified {
            let at = root.join(&self.path);
            if fs::write(at.join("cgroup.kill"), "1").is_ok() {
                return;
            }
            kill_listed(&at);
        }
        for (_, root) in &self.hierarchies.legacy {
            kill_listed(&root.join(&self.path));
        }
    }

    /// Removes the v2 folder of the last run, and kills what is left in it; no run may begin in it.
    ///
    /// A folder whose `cgroup.kill` was once written, by whomever, kills whatever is cloned into it: the
    /// kernel (6.18 still) compares its count of kills with the one of the cloning process.
    ///
    /// # Errors
    ///
    /// A process in it has not ended within that time.
    pub(crate) async fn clear(&self, within: Duration) -> io::Result<()> {
        let Some(root) = &self.hierarchies.unified else { return Ok(()) };
        let at = root.join(&self.path);
        self.kill_until(within, || remove_tree(&at)).await
    }

    /// Removes the folders, and the parents that are empty then, and kills what is left in them. Those that
    /// are gone already are fine.
    ///
    /// # Errors
    ///
    /// A process in them has not ended within that time.
    pub(crate) async fn remove(&self, within: Duration) -> io::Result<()> {
        self.kill_until(within, || self.try_remove()).await
    }

    async fn kill_until(&self, within: Duration, remove: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let began = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            // What fails: something still runs in it, or ended so recently that the kernel still counts it.
            match remove() {
                Err(_) if began.elapsed() < within => {}
                done => return done,
            }
            self.kill();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn try_remove(&self) -> io::Result<()> {
        for root in self.hierarchies.legacy.iter().map(|(_, root)| root).chain(&self.hierarchies.unified) {
            remove_tree(&root.join(&self.path))?;
            let parents = self.path.ancestors().skip(1).take_while(|p| !p.as_os_str().is_empty());
            for parent in parents {
                if fs::remove_dir(root.join(parent)).is_err() {
                    break; // not empty, or not there
                }
            }
        }
        Ok(())
    }
}

/// A cgroup of one exec session, removed with it.
#[derive(Debug)]
pub(crate) struct Session {
    at: PathBuf,
}

impl Session {
    pub(crate) fn fd(&self) -> Option<OwnedFd> {
        fs::File::open(&self.at).ok().map(OwnedFd::from)
    }

    /// Sends SIGKILL to everything that the session started.
    pub(crate) fn kill(&self) {
        if fs::write(self.at.join("cgroup.kill"), "1").is_err() {
            kill_listed(&self.at);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Background processes of the session stay; then the folder goes with the container.
        let _ = fs::remove_dir(&self.at);
    }
}

/// Returns what to write for these limits.
fn settings(resources: &Resources, v2: bool) -> Vec<Setting> {
    const PERIOD_US: u64 = 100_000;
    let mut list = Vec::new();
    let mut add = |controller, limit, file, value: String| list.push(Setting { controller, file, value, limit });
    let or_max = |value: i64| if value < 0 { "max".to_owned() } else { value.to_string() };
    if let Some(bytes) = resources.memory {
        add("memory", "memory limit", if v2 { "memory.max" } else { "memory.limit_in_bytes" }, bytes.to_string());
    }
    if let Some(bytes) = resources.memory_reservation {
        let file = if v2 { "memory.low" } else { "memory.soft_limit_in_bytes" };
        add("memory", "memory reservation", file, bytes.to_string());
    }
    // Docker's default: as much swap as memory.
    let memory = resources.memory.and_then(|bytes| i64::try_from(bytes).ok());
    if let Some(both) = resources.memory_swap.or(memory.map(|bytes| bytes.saturating_mul(2))) {
        match (v2, memory) {
            (true, Some(memory)) if both >= 0 => {
                add("memory", "swap limit", "memory.swap.max", or_max((both - memory).max(0)));
            }
            (true, _) => add("memory", "swap limit", "memory.swap.max", or_max(both)),
            (false, _) => add("memory", "swap limit", "memory.memsw.limit_in_bytes", both.to_string()),
        }
    }
    if let Some(nano) = resources.nano_cpus {
        let quota = (nano * PERIOD_US / 1_000_000_000).max(1000);
        if v2 {
            add("cpu", "cpus", "cpu.max", format!("{quota} {PERIOD_US}"));
        } else {
            add("cpu", "cpus", "cpu.cfs_period_us", PERIOD_US.to_string());
            add("cpu", "cpus", "cpu.cfs_quota_us", quota.to_string());
        }
    }
    if let Some(shares) = resources.cpu_shares.filter(|&shares| shares != 0) {
        let shares = shares.clamp(2, 262_144);
        // The kernel's documented range 1 to 10000, mapped as OCI runtimes do.
        let (file, value) = if v2 { ("cpu.weight", 1 + (shares - 2) * 9999 / 262_142) } else { ("cpu.shares", shares) };
        add("cpu", "cpu shares", file, value.to_string());
    }
    if let Some(cpus) = &resources.cpuset {
        add("cpuset", "cpuset", "cpuset.cpus", cpus.clone());
    }
    if let Some(count) = resources.pids {
        let value = if count == u64::MAX { "max".to_owned() } else { count.to_string() };
        add("pids", "pids limit", "pids.max", value);
    }
    list
}

fn write_settings(settings: &[Setting], folder: impl Fn(&str) -> Option<PathBuf>, warnings: &mut Vec<String>) {
    for setting in settings {
        let Some(at) = folder(setting.controller) else {
            warnings.push(unenforced(setting, &format!("the {} controller is not available", setting.controller)));
            continue;
        };
        let file = at.join(setting.file);
        if let Err(err) = fs::write(&file, &setting.value) {
            // Without swap accounting or swap there is nothing to limit.
            let no_swap = setting.limit == "swap limit" && err.kind() == io::ErrorKind::NotFound;
            if !no_swap {
                warnings.push(unenforced(setting, &format!("{}: {err}", file.display())));
            }
        }
    }
}

fn unenforced(setting: &Setting, why: &str) -> String {
    format!("{} {:?} is not enforced: {why}", setting.limit, setting.value)
}

fn make(at: &Path) -> Result<(), CgroupError> {
    let made = match fs::create_dir(at) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => fs::create_dir_all(at),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    made.map_err(|source| CgroupError { doing: "make the cgroup", path: at.to_owned(), source })
}

/// Makes a v2 folder and hands every controller down to it.
fn make_with_controllers(root: &Path, path: &Path) -> Result<(), CgroupError> {
    let mut at = root.to_owned();
    for part in path.components() {
        let enabled = fs::read_to_string(at.join("cgroup.subtree_control")).unwrap_or_default();
        for controller in UNIFIED.iter().filter(|name| !enabled.split_whitespace().any(|on| on == **name)) {
            // A controller that is not there shows when a limit is written.
            let _ = fs::write(at.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        at.push(part);
        make(&at)?;
    }
    Ok(())
}

/// Gives each v1 cpuset on the way its parent's CPUs and memory nodes: an empty one takes no process.
fn inherit_cpuset(root: &Path, path: &Path) {
    let mut at = root.to_owned();
    for part in path.components() {
        let parent = at.clone();
        at.push(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let empty = fs::read_to_string(at.join(file)).is_ok_and(|text| text.trim().is_empty());
            if empty && let Ok(value) = fs::read_to_string(parent.join(file)) {
                // The join fails with a clear error where this did.
                let _ = fs::write(at.join(file), value.trim());
            }
        }
    }
}

fn listed(at: &Path) -> Vec<i32> {
    let text = fs::read_to_string(at.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 0).collect()
}

fn kill_listed(at: &Path) {
    for pid in listed(at).into_iter().filter_map(rustix::process::Pid::from_raw) {
        // Gone already is what was wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    children(at).iter().for_each(|child| kill_listed(child));
}

fn children(at: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(at) else { return Vec::new() };
    let folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(folder).map(|entry| entry.path()).collect()
}

fn remove_tree(at: &Path) -> io::Result<()> {
    match fs::remove_dir(at) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(err) => {
            let children = children(at);
            if children.is_empty() {
                return Err(err);
            }
            children.iter().try_for_each(|child| remove_tree(child))?;
            fs::remove_dir(at)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_a_hybrid_host() {
        let found = Hierarchies::parse(
            "31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
             32 23 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             33 23 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             34 23 0:29 /docker/x /elsewhere rw - cgroup cgroup rw,memory\n",
        );
        let at = |path: &str| Path::new("/sys/fs/cgroup").join(path);
        assert_eq!(found.unified, Some(at("unified")));
        assert_eq!(found.legacy("cpu"), Some(at("cpu,cpuacct").as_path()));
        assert_eq!(found.legacy("memory"), Some(at("memory").as_path()));
        assert_eq!(found.legacy("pids"), None);
    }

    #[test]
    fn limits_as_files() {
        let resources = Resources {
            memory: Some(64 << 20),
            nano_cpus: Some(1_500_000_000),
            cpu_shares: Some(1024),
            pids: Some(100),
            ..Resources::default()
        };
        let show = |v2| settings(&resources, v2).iter().map(|s| format!("{}={}", s.file, s.value)).collect::<Vec<_>>();
        assert_eq!(
            show(true),
            [
                "memory.max=67108864",
                "memory.swap.max=67108864",
                "cpu.max=150000 100000",
                "cpu.weight=39",
                "pids.max=100"
            ]
        );
        assert_eq!(
            show(false),
            [
                "memory.limit_in_bytes=67108864",
                "memory.memsw.limit_in_bytes=134217728",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=150000",
                "cpu.shares=1024",
                "pids.max=100"
            ]
        );
    }

    #[test]
    fn limits_of_memory_and_cpus_as_files() {
        let resources = Resources {
            memory: Some(64 << 20),
            memory_reservation: Some(16 << 20),
            memory_swap: Some(96 << 20),
            cpuset: Some("0-1,3".into()),
            ..Resources::default()
        };
        let show = |resources: &Resources| {
            settings(resources, true).iter().map(|s| format!("{}={}", s.file, s.value)).collect::<Vec<_>>()
        };
        assert_eq!(
            show(&resources),
            ["memory.max=67108864", "memory.low=16777216", "memory.swap.max=33554432", "cpuset.cpus=0-1,3"]
        );
        let all = Resources { memory: Some(1), memory_swap: Some(-1), ..Resources::default() };
        assert_eq!(show(&all), ["memory.max=1", "memory.swap.max=max"]);
    }

    #[test]
    fn a_limit_without_a_controller_is_named() {
        let mut warnings = Vec::new();
        let resources = Resources { pids: Some(5), ..Resources::default() };
        write_settings(&settings(&resources, false), |_| None, &mut warnings);
        assert_eq!(warnings, ["pids limit \"5\" is not enforced: the pids controller is not available"]);
    }
}

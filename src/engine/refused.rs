//! Limits of a container that this host's kernel refuses, known before anything is tried.

use std::fs;
use std::path::Path;

use crate::spec::ContainerSpec;

/// Most processes that a machine can have (`PID_MAX_LIMIT`): no cgroup takes a greater limit.
const MOST_PROCESSES: u64 = 1 << 22;

/// Returns a sentence for each limit that the kernel of this host refuses.
pub(super) fn by_this_host(spec: &ContainerSpec) -> Vec<String> {
    let resources = &spec.resources;
    if spec.rlimits.is_empty() && spec.sysctls.is_empty() && resources.cpuset.is_none() && resources.pids.is_none() {
        // Most containers: nothing to look up.
        return Vec::new();
    }
    refused(spec, &Host::of_kernel(), |path| Path::new("/proc/sys").join(path).exists())
}

/// What the host allows.
struct Host {
    /// CPUs that are on, by number.
    cpus: String,
    /// Most files that a process may open (`fs.nr_open`).
    files: u64,
}

impl Host {
    /// Returns what this one allows; where it does not tell, what all do.
    fn of_kernel() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Self {
            cpus: read("/sys/devices/system/cpu/online").unwrap_or_default(),
            files: read("/proc/sys/fs/nr_open").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX),
        }
    }
}

/// The same for a host; `is_setting` tells whether a path below `/proc/sys` is there.
fn refused(spec: &ContainerSpec, host: &Host, is_setting: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for limit in &spec.rlimits {
        if limit.soft > limit.hard {
            let (soft, hard) = (words(limit.soft), words(limit.hard));
            problems.push(format!("ulimit {}: the soft limit {soft} is above the hard limit {hard}", limit.name));
        } else if limit.name == "nofile" && limit.hard > host.files {
            problems.push(format!(
                "ulimit nofile: {} is more than this host allows a process to open, {} (fs.nr_open)",
                words(limit.hard),
                host.files
            ));
        }
    }
    if let Some(cpus) = &spec.resources.cpuset {
        let on = numbers(&host.cpus);
        let off: Vec<String> = numbers(cpus)
            .into_iter()
            .filter(|&(first, last)| !on.is_empty() && !on.iter().any(|on| on.0 <= first && last <= on.1))
            .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
            .collect();
        if !off.is_empty() {
            problems.push(format!("cpuset: this host has no CPU {}, it has {}", off.join(","), host.cpus));
        }
    }
    if let Some(count) = spec.resources.pids.filter(|&count| count != u64::MAX && count > MOST_PROCESSES) {
        problems.push(format!("pids limit: {count} is more than a machine can have, {MOST_PROCESSES}"));
    }
    for key in spec.sysctls.keys() {
        let path = if key.contains('/') { key.clone() } else { key.replace('.', "/") };
        // Those of a link are where the link is: in the container.
        let of_link = path.split('/').any(|part| part == "conf" || part == "neigh");
        if !of_link && !is_setting(&path) {
            problems.push(format!("this kernel has no setting {key}"));
        }
    }
    problems
}

/// Returns the spans of a list such as `0-3,5`; what is none is left out.
fn numbers(list: &str) -> Vec<(u32, u32)> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let span = |part: &str| match part.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(part).map(|one| (one, one)),
    };
    list.split(',').filter_map(span).collect()
}

fn words(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Resources, Rlimit, fixture};

    fn check(change: impl FnOnce(&mut ContainerSpec), expected: &[&str]) {
        let host = Host { cpus: "0-1,4".to_owned(), files: 1000 };
        let mut spec = fixture::container();
        spec.rlimits.clear();
        spec.sysctls.clear();
        spec.resources = Resources::default();
        change(&mut spec);
        assert_eq!(refused(&spec, &host, |path| path == "net/core/somaxconn"), expected);
    }

    fn rlimit(name: &str, soft: u64, hard: u64) -> Vec<Rlimit> {
        vec![Rlimit { name: name.to_owned(), soft, hard }]
    }

    #[test]
    fn limits_of_a_process() {
        check(|spec| spec.rlimits = rlimit("nofile", 10, 1000), &[]);
        check(
            |spec| spec.rlimits = rlimit("core", 20, 10),
            &["ulimit core: the soft limit 20 is above the hard limit 10"],
        );
        check(
            |spec| spec.rlimits = rlimit("nofile", 10, u64::MAX),
            &["ulimit nofile: unlimited is more than this host allows a process to open, 1000 (fs.nr_open)"],
        );
        check(|spec| spec.rlimits = rlimit("nproc", u64::MAX, u64::MAX), &[]);
    }

    #[test]
    fn cpus_and_processes() {
        check(|spec| spec.resources.cpuset = Some("0,4".to_owned()), &[]);
        check(
            |spec| spec.resources.cpuset = Some("0-2,7".to_owned()),
            &["cpuset: this host has no CPU 0-2,7, it has 0-1,4"],
        );
        check(|spec| spec.resources.pids = Some(u64::MAX), &[]);
        check(
            |spec| spec.resources.pids = Some(5_000_000),
            &["pids limit: 5000000 is more than a machine can have, 4194304"],
        );
    }

    #[test]
    fn settings_of_the_kernel() {
        let set = |key: &str| {
            let key = key.to_owned();
            move |spec: &mut ContainerSpec| drop(spec.sysctls.insert(key, "1".to_owned()))
        };
        check(set("net.core.somaxconn"), &[]);
        check(set("net.ipv4.conf.eth0.forwarding"), &[]);
        check(set("net.core.nosuch"), &["this kernel has no setting net.core.nosuch"]);
    }
}

//! How much a service may use.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Binder;
use super::read::{bytes, entries};
use crate::compose::model::{Bytes, Cpus, Service, SwapLimit, Ulimit};
use crate::compose::tree::{Node, Value};
use crate::compose::units;

/// Less memory than this no container starts in; Docker's bound.
const LEAST_MEMORY: Bytes = Bytes(6 << 20);

impl Binder<'_> {
    /// Reads `mem_*`, `cpu*`, `pids_limit`, `oom_*` and `blkio_config` into the service.
    pub(super) fn limits(&mut self, node: &Node, service: &mut Service) {
        self.memory_limits(node, service);
        self.cpu_limits(node, service);
        service.pids_limit = node.get("pids_limit").and_then(Node::as_int).and_then(|pids| u64::try_from(pids).ok());
        service.oom_kill_disable = node.get("oom_kill_disable").is_some_and(Node::is_true);
        service.oom_score_adj = self.whole(node, "oom_score_adj", -1000..=1000);
        service.blkio_config = node.get("blkio_config").map(|blkio| self.blkio(blkio));
    }

    fn memory_limits(&mut self, node: &Node, service: &mut Service) {
        service.mem_limit = self.memory(node, "mem_limit");
        service.mem_reservation = bytes(node, "mem_reservation");
        service.memswap_limit = match node.get("memswap_limit").and_then(Node::as_text) {
            Some("-1") => Some(SwapLimit::Unlimited),
            _ => bytes(node, "memswap_limit").map(SwapLimit::Total),
        };
        service.mem_swappiness = match node.get("mem_swappiness").and_then(Node::as_text) {
            Some("-1") => None,
            _ => self.whole(node, "mem_swappiness", 0..=100),
        };
        let section = |kind: &str| node.get("deploy")?.get("resources")?.get(kind);
        let reservations = section("reservations");
        let limit = service.mem_limit.or_else(|| bytes(section("limits")?, "memory"));
        let kept = service.mem_reservation.or_else(|| bytes(reservations?, "memory"));
        if let (Some(limit), Some(kept)) = (limit, kept)
            && kept > limit
            && let Some(at) = node.get("mem_reservation").or_else(|| reservations?.get("memory"))
        {
            self.error(at, format!("`mem_reservation` is more than the limit of memory: {kept} of {limit}"));
        }
        if let (Some(SwapLimit::Total(total)), Some(at)) = (service.memswap_limit, node.get("memswap_limit")) {
            match limit {
                Some(limit) if total < limit => {
                    self.error(at, format!("memory and swap together are {total}, but memory alone is {limit}"));
                }
                Some(_) => {}
                None => self.error(at, "`memswap_limit` is memory and swap together, so it needs `mem_limit`"),
            }
        }
    }

    /// Reads a limit of memory; 0 is none.
    pub(super) fn memory(&mut self, node: &Node, key: &str) -> Option<Bytes> {
        let limit = bytes(node, key)?;
        if limit < LEAST_MEMORY
            && let Some(at) = node.get(key)
        {
            self.error(at, format!("{limit} of memory are too little: a container needs {LEAST_MEMORY}"));
        }
        Some(limit)
    }

    /// Reads a number of CPUs.
    pub(super) fn cpus(&mut self, node: &Node) -> Option<Cpus> {
        let cpus = Cpus::from_number(node.as_float()?);
        if cpus.is_none() {
            self.error(node, "`cpus` cannot be negative");
        }
        cpus
    }

    fn cpu_limits(&mut self, node: &Node, service: &mut Service) {
        service.cpus = node.get("cpus").and_then(|at| self.cpus(at));
        service.cpu_shares = node.get("cpu_shares").and_then(Node::as_int).and_then(|n| u64::try_from(n).ok());
        service.cpuset = node.get("cpuset").and_then(|at| self.cpuset(at));
        service.cpu_count = self.whole(node, "cpu_count", 0..=i64::from(u32::MAX));
        service.cpu_percent = node.get("cpu_percent").and_then(Node::as_float);
        if let (Some(percent), Some(at)) = (service.cpu_percent, node.get("cpu_percent"))
            && !(0.0..=100.0).contains(&percent)
        {
            self.error(at, "`cpu_percent` is a number from 0 to 100");
        }
        service.cpu_period = microseconds(node, "cpu_period");
        service.cpu_quota = microseconds(node, "cpu_quota");
        service.cpu_rt_period = microseconds(node, "cpu_rt_period");
        service.cpu_rt_runtime = microseconds(node, "cpu_rt_runtime");
        let least = Duration::from_millis(1);
        if let (Some(period), Some(at)) = (service.cpu_period, node.get("cpu_period"))
            && !(least..=Duration::from_secs(1)).contains(&period)
        {
            self.error(at, "`cpu_period` is a number of microseconds from 1000 to 1000000");
        }
        if let (Some(quota), Some(at)) = (service.cpu_quota, node.get("cpu_quota"))
            && quota < least
        {
            self.error(at, "`cpu_quota` is a number of microseconds: 1000 or more, or -1 for no limit");
        }
        let whole = service.cpus.filter(|cpus| cpus.nano > 0);
        for (key, other) in [("cpu_quota", service.cpu_quota), ("cpu_period", service.cpu_period)] {
            if let (Some(_), Some(_), Some(at)) = (whole, other, node.get(key)) {
                self.error(at, format!("`cpus` and `{key}` set the same limit: keep one of them"));
            }
        }
    }

    /// Reads CPUs by number: `0-3,5`.
    fn cpuset(&mut self, node: &Node) -> Option<String> {
        let text = node.as_text().filter(|text| !text.is_empty())?;
        let number = |text: &str| text.trim().parse::<u16>().ok();
        let span = |part: &str| match part.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
            None => number(part).is_some(),
        };
        if !text.split(',').all(span) {
            self.error(node, format!("{text:?} is not a list of CPUs such as 0-3 or 0,2"));
        }
        Some(text.to_owned())
    }

    pub(super) fn ulimits(&mut self, node: &Node) -> BTreeMap<String, Ulimit> {
        const NAMES: [&str; 16] = [
            "as",
            "core",
            "cpu",
            "data",
            "fsize",
            "locks",
            "memlock",
            "msgqueue",
            "nice",
            "nofile",
            "nproc",
            "rss",
            "rtprio",
            "rttime",
            "sigpending",
            "stack",
        ];
        let mut limits = BTreeMap::new();
        for (name, value) in entries(node, "ulimits") {
            if !NAMES.contains(&name.as_str()) {
                let at = Node { span: value.key_or_span(), ..value.clone() };
                self.error(&at, format!("{name:?} is not a limit: {}", NAMES.join(", ")));
                self.meant(name, NAMES);
                continue;
            }
            let part = |key: &str| value.get(key).and_then(Node::as_int);
            let limit = match value.value {
                Value::Int(number) => Some(Ulimit { soft: number, hard: number }),
                _ => part("soft").zip(part("hard")).map(|(soft, hard)| Ulimit { soft, hard }),
            };
            limits.extend(limit.map(|limit| (name.clone(), limit)));
        }
        limits
    }
}

/// Reads microseconds, or a duration; 0 and less is none.
fn microseconds(node: &Node, key: &str) -> Option<Duration> {
    let at = node.get(key)?;
    let count = at.as_int().and_then(|count| u64::try_from(count).ok());
    let duration = count.map(Duration::from_micros).or_else(|| units::duration(at.as_text()?));
    duration.filter(|duration| !duration.is_zero())
}

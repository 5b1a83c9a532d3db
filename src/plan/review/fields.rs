//! What a specification says, attribute by attribute, in the words of a Compose file.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::Change;
use crate::plan::labels;
use crate::secrecy;
use crate::spec::{
    Capabilities, ContainerSpec, HealthcheckSpec, Mount, MountKind, NetworkSpec, PublishedPort, Resources,
    RestartPolicy, Seccomp,
};

/// Attributes that say something, in the order in which they are shown.
#[derive(Debug, Default)]
pub(super) struct Fields {
    values: IndexMap<String, Told>,
}

/// A value as it is, and as it is shown: two secrets that look the same may differ.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    real: String,
    shown: String,
}

/// Labels of the engine and of Compose: they change with everything else and say nothing new.
const OWN_LABELS: &str = "com.docker.compose.";

impl Fields {
    fn put(&mut self, name: impl Into<String>, value: &(impl ToString + ?Sized)) {
        let value = value.to_string();
        if !value.is_empty() {
            self.values.insert(name.into(), Told { shown: value.clone(), real: value });
        }
    }

    /// Puts the value of a user's variable or label: also when it is empty, and hidden when it is secret.
    fn put_own(&mut self, group: &str, key: &str, value: &str) {
        let shown = quoted(&secrecy::shown(key, value));
        self.values.insert(format!("{group}.{key}"), Told { real: value.to_owned(), shown });
    }

    fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.put(name, &"true");
        }
    }

    fn words(&mut self, name: &str, words: &[String]) {
        self.put(name, &words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "));
    }

    /// Returns what a network's specification says.
    pub(super) fn network(spec: &NetworkSpec) -> Self {
        let mut fields = Self::default();
        fields.put("subnet", &spec.subnet);
        fields.put("gateway", &spec.gateway);
        if let Some((subnet, _)) = &spec.ipv6 {
            fields.put("ipv6 subnet", &subnet);
        }
        fields.flag("internal", spec.internal);
        if let Some(mtu) = spec.mtu {
            fields.put("mtu", &mtu);
        }
        fields.labels(&spec.labels);
        fields
    }

    /// Returns what a container's specification says.
    pub(super) fn container(spec: &ContainerSpec) -> Self {
        let mut fields = Self::default();
        let (entrypoint, command) = spec.argv.split_at(spec.entrypoint_len.min(spec.argv.len()));
        let id = spec.image.id.to_string();
        let digits = id.split_once(':').map_or(id.as_str(), |(_, digits)| digits);
        fields.put("image", &format!("{} ({})", spec.image.reference, digits.get(..12).unwrap_or(digits)));
        fields.words("entrypoint", entrypoint);
        fields.words("command", command);
        fields.put("working_dir", &(if spec.cwd == "/" { "" } else { &spec.cwd }));
        fields.put("user", &spec.user);
        fields.words("group_add", &spec.group_add);
        for variable in &spec.env {
            let (key, value) = variable.split_once('=').unwrap_or((variable, ""));
            // A replica's own name is its id, which each new one has.
            if (key, value) != ("HOSTNAME", spec.hostname.as_str()) {
                fields.put_own("environment", key, value);
            }
        }
        fields.labels(&spec.labels);
        for mount in &spec.mounts {
            fields.put(format!("volumes.{}", mount.target), &mounted(mount));
        }
        for endpoint in &spec.endpoints {
            let names = endpoint.aliases.join(" ");
            fields.put(format!("networks.{}", endpoint.network), &names);
            if endpoint.default_route {
                fields.put("default_route", &endpoint.network);
            }
        }
        for edge in labels::parse_depends_on(spec.labels.get(labels::DEPENDS_ON).map_or("", String::as_str)) {
            let follows = if edge.restart { ", restart" } else { "" };
            let condition = labels::condition_word(edge.condition);
            fields.put(format!("depends_on.{}", edge.service), &format!("{condition}{follows}"));
        }
        if spec.network_of.is_some() {
            // Which one is told by the cause: ids are new with each plan.
            fields.put("network_mode", &"of another container");
        }
        if spec.host_network {
            fields.put("network_mode", &"host");
        }
        for port in &spec.ports {
            // Several host ports may lead to one.
            let (name, value) = published(port);
            let all = match fields.values.get(&name) {
                Some(others) => format!("{}, {value}", others.real),
                None => value,
            };
            fields.put(name, &all);
        }
        fields.words("expose", &spec.exposed);
        // A guest of another's network has that one's name.
        if spec.hostname != spec.id.short() && spec.network_of.is_none() {
            fields.put("hostname", &spec.hostname);
        }
        fields.put("domainname", &spec.domainname);
        for (name, address) in &spec.extra_hosts {
            fields.put(format!("extra_hosts.{name}"), &address);
        }
        fields.put("dns", &spec.dns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        fields.words("dns_search", &spec.dns_search);
        fields.words("dns_opt", &spec.dns_options);
        for (alias, name) in &spec.links {
            fields.put(format!("links.{alias}"), &name);
        }
        fields.flag("tty", spec.tty);
        fields.flag("stdin_open", spec.stdin_open);
        fields.flag("init", spec.init);
        fields.flag("read_only", spec.read_only);
        fields.flag("privileged", spec.privileged);
        let Capabilities { add, drop } = &spec.capabilities;
        fields.words("cap_add", add);
        fields.words("cap_drop", drop);
        fields.flag("security_opt.no-new-privileges", spec.no_new_privileges);
        if spec.seccomp == Seccomp::Unconfined {
            fields.put("security_opt.seccomp", &"unconfined");
        }
        fields.resources(&spec.resources);
        fields.put("shm_size", &bytes(spec.shm_size));
        for limit in &spec.rlimits {
            fields.put(format!("ulimits.{}", limit.name), &format!("{}:{}", limit.soft, limit.hard));
        }
        for (key, value) in &spec.sysctls {
            fields.put(format!("sysctls.{key}"), &value);
        }
        fields.put("stop_signal", &crate::ids::signal::name(spec.stop_signal));
        fields.put("stop_grace_period", &span(spec.stop_grace));
        fields.put("restart", &policy(spec.restart));
        if let Some(ready) = &spec.ready {
            fields.put("x-stack.ready", &ready);
        }
        if let Some(check) = &spec.healthcheck {
            fields.healthcheck(check);
        }
        fields
    }

    fn labels(&mut self, labels: &std::collections::BTreeMap<String, String>) {
        for (key, value) in labels.iter().filter(|(key, _)| !key.starts_with(OWN_LABELS)) {
            self.put_own("labels", key, value);
        }
    }

    fn resources(&mut self, resources: &Resources) {
        let Resources { memory, memory_reservation, memory_swap, nano_cpus, cpu_shares, cpuset, pids, oom_score_adj } =
            resources;
        self.put("mem_limit", &memory.map(bytes).unwrap_or_default());
        self.put("mem_reservation", &memory_reservation.map(bytes).unwrap_or_default());
        self.put(
            "memswap_limit",
            &memory_swap.map(|n| u64::try_from(n).map_or("-1".to_owned(), bytes)).unwrap_or_default(),
        );
        self.put("cpus", &nano_cpus.map(|n| (n as f64 / 1e9).to_string()).unwrap_or_default());
        self.put("cpu_shares", &cpu_shares.map(|n| n.to_string()).unwrap_or_default());
        self.put("cpuset", &cpuset.as_deref().unwrap_or_default());
        self.put("pids_limit", &pids.map(|n| n.to_string()).unwrap_or_default());
        self.put("oom_score_adj", &oom_score_adj.map(|n| n.to_string()).unwrap_or_default());
    }

    fn healthcheck(&mut self, check: &HealthcheckSpec) {
        let HealthcheckSpec { argv, shell, interval, timeout, start_period, start_interval, retries } = check;
        match (shell, argv.last()) {
            (true, Some(line)) => self.put("healthcheck.test", &quoted(line)),
            _ => self.words("healthcheck.test", argv),
        }
        self.put("healthcheck.interval", &span(*interval));
        self.put("healthcheck.timeout", &span(*timeout));
        self.put("healthcheck.start_period", &span(*start_period));
        self.put("healthcheck.start_interval", &span(*start_interval));
        self.put("healthcheck.retries", &retries);
    }
}

/// Returns the attributes that differ: changed and new ones in their order, then those that go.
pub(super) fn difference(before: &Fields, after: &Fields) -> Vec<Change> {
    let shown = |told: &Told| told.shown.clone();
    let mut changes = Vec::new();
    for (field, value) in &after.values {
        let old = before.values.get(field);
        if old != Some(value) {
            changes.push(Change { field: field.clone(), before: old.map(shown), after: Some(shown(value)) });
        }
    }
    let gone = before.values.iter().filter(|(field, _)| !after.values.contains_key(*field));
    changes.extend(gone.map(|(field, value)| Change { field: field.clone(), before: Some(shown(value)), after: None }));
    changes
}

/// Returns a duration as a person writes it.
fn span(duration: std::time::Duration) -> String {
    if duration.is_zero() { "0s".to_owned() } else { format!("{duration:?}") }
}

fn mounted(mount: &Mount) -> String {
    let mut text = match &mount.kind {
        MountKind::Bind { source, propagation, .. } => match propagation.as_str() {
            "" | "rprivate" => format!("bind {}", source.display()),
            other => format!("bind {} ({other})", source.display()),
        },
        MountKind::Volume { anonymous: true, .. } => "anonymous volume".to_owned(),
        MountKind::Volume { name, subpath: None, .. } => format!("volume {name}"),
        MountKind::Volume { name, subpath: Some(path), .. } => format!("volume {name}, folder {path}"),
        MountKind::Tmpfs { size, mode, options } => {
            let mut text = "tmpfs".to_owned();
            if let Some(size) = size {
                let _ = write!(text, " {}", bytes(*size));
            }
            if let Some(mode) = mode {
                let _ = write!(text, " mode {mode:o}");
            }
            for option in options {
                let _ = write!(text, " {option}");
            }
            text
        }
    };
    if mount.read_only {
        text += " (read-only)";
    }
    text
}

fn published(port: &PublishedPort) -> (String, String) {
    let protocol = format!("{:?}", port.protocol).to_lowercase();
    let range = match (port.host_port.start, port.host_port.end) {
        (0, 0) => "any free port".to_owned(),
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}-{end}"),
    };
    let value = match port.host_ip {
        Some(address) => {
            std::net::SocketAddr::new(address, 0).to_string().trim_end_matches(":0").to_owned() + ":" + &range
        }
        None => range,
    };
    (format!("ports.{}/{protocol}", port.container_port), value)
}

fn policy(policy: RestartPolicy) -> String {
    match policy {
        RestartPolicy::No => "no".to_owned(),
        RestartPolicy::Always => "always".to_owned(),
        RestartPolicy::UnlessStopped => "unless-stopped".to_owned(),
        RestartPolicy::OnFailure(None) => "on-failure".to_owned(),
        RestartPolicy::OnFailure(Some(times)) => format!("on-failure:{times}"),
    }
}

/// Returns a size as a person writes it: in the largest unit that divides it.
fn bytes(count: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| count != 0 && count.is_multiple_of(1 << shift)) {
        Some((unit, shift)) => format!("{} {unit}", count >> shift),
        None => format!("{count} B"),
    }
}

/// Returns a word as it is, or in quotes where it would be read as several, or as none.
fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
    if plain { word.to_owned() } else { format!("{word:?}") }
}

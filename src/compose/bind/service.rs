//! One service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;

use super::{Binder, flag, text, texts, texts_by_key};
use crate::compose::model::{
    Condition, Dependency, HealthTest, Healthcheck, NetworkMode, Port, PullPolicy, Service, ServiceNetwork,
    StaticAddresses, Ulimit, VolumeMount, VolumeMountKind,
};
use crate::compose::tree::{Map, Node, Value};
use crate::compose::{paths, units};
use crate::ids::ServiceName;
use crate::ids::reference::Source;
use crate::ids::signal;
use crate::spec::{PortRange, Protocol, Resources, RestartPolicy};

impl Binder<'_> {
    pub(super) fn service(&mut self, node: &Node, enabled: &Map) -> Service {
        let deploy = node.get("deploy");
        let replicas = match self.is_global(node) {
            // One on each host, and there is one.
            true => Some(1),
            false => node.get("scale").or_else(|| deploy?.get("replicas")).and_then(Node::as_int),
        };
        let mut networks = self.networks(node);
        if let Some(mac) = node.get("mac_address")
            && let Some((key, first)) =
                networks.iter_mut().min_by(|(a, x), (b, y)| (y.priority, a).cmp(&(x.priority, b)))
        {
            let (own, address) = (first.mac_address, self.mac_address(mac));
            if own.is_some() && address.is_some() && own != address {
                let message = format!("`mac_address` differs from the one of the network `{key}`");
                self.error(mac, message);
            }
            first.mac_address = own.or(address);
        }
        Service {
            image: node.get("image").and_then(|node| self.image(node)),
            command: arguments(node, "command"),
            entrypoint: arguments(node, "entrypoint"),
            environment: environment(node),
            ports: self.ports(node),
            expose: self.expose(node),
            volumes: self.mounts(node),
            networks,
            network_mode: network_mode(node),
            depends_on: dependencies(node, enabled),
            links: links(node),
            healthcheck: node.get("healthcheck").map(|node| self.healthcheck(node)),
            restart: self.restart(node),
            labels: texts_by_key(node, "labels"),
            annotations: texts_by_key(node, "annotations"),
            hostname: text(node, "hostname"),
            domainname: text(node, "domainname"),
            container_name: node.get("container_name").and_then(|node| self.container_name(node)),
            user: text(node, "user"),
            group_add: texts(node, "group_add"),
            working_dir: text(node, "working_dir"),
            stop_signal: node.get("stop_signal").and_then(|node| self.signal(node)),
            stop_grace_period: duration(node, "stop_grace_period"),
            init: flag(node, "init"),
            tty: flag(node, "tty"),
            stdin_open: flag(node, "stdin_open"),
            read_only: flag(node, "read_only"),
            privileged: flag(node, "privileged"),
            cap_add: self.capabilities(node, "cap_add"),
            cap_drop: self.capabilities(node, "cap_drop"),
            security_opt: texts(node, "security_opt"),
            resources: self.resources(node),
            ulimits: self.ulimits(node),
            sysctls: texts_by_key(node, "sysctls"),
            shm_size: bytes(node, "shm_size"),
            extra_hosts: self.extra_hosts(node),
            dns: self.addresses(node, "dns"),
            dns_search: texts(node, "dns_search"),
            dns_opt: texts(node, "dns_opt"),
            replicas: replicas.and_then(|count| u32::try_from(count).ok()),
            pull_policy: self.pull_policy(node),
            profiles: texts(node, "profiles"),
            attach: node.get("attach").map(Node::is_true),
        }
    }

    fn ports(&mut self, node: &Node) -> Vec<Port> {
        let items = node.get("ports").and_then(Node::as_list).unwrap_or_default();
        items.iter().filter_map(|item| self.port(item)).collect()
    }

    /// Reads `deploy.mode` (spec row `svc-deploy-mode`).
    fn is_global(&mut self, node: &Node) -> bool {
        let Some(mode) = node.get("deploy").and_then(|deploy| deploy.get("mode")) else { return false };
        let text = mode.as_text().unwrap_or_default();
        if !matches!(text, "" | "replicated" | "global") {
            self.error(mode, format!("{text:?} is not a mode: replicated or global"));
        }
        text == "global"
    }

    /// Reads `PORT[-PORT][/PROTOCOL]`.
    fn expose(&mut self, node: &Node) -> Vec<String> {
        for item in node.get("expose").and_then(Node::as_list).unwrap_or_default() {
            let text = item.as_text().unwrap_or_default();
            let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            if port_range(ports).is_none() || !matches!(protocol, "tcp" | "udp" | "sctp") {
                self.error(item, format!("{text:?} is not a port, a range of ports or PORT/PROTOCOL"));
            }
        }
        texts(node, "expose")
    }

    fn port(&mut self, node: &Node) -> Option<Port> {
        let target = node.get("target")?;
        let Some(number) = target.as_int().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0) else {
            self.error(target, "a port is a number from 1 to 65535".to_owned());
            return None;
        };
        let published = match node.get("published") {
            Some(published) => match published.as_text() {
                Some("") => None,
                Some(text) => match port_range(text) {
                    Some(range) => Some(range),
                    None => {
                        self.error(published, format!("{text:?} is not a port or a range of ports"));
                        None
                    }
                },
                None => None,
            },
            None => None,
        };
        let protocol = match node.get("protocol").and_then(Node::as_text).map(str::to_lowercase).as_deref() {
            None | Some("tcp" | "") => Protocol::Tcp,
            Some("udp") => Protocol::Udp,
            Some(other) => {
                let at = node.get("protocol").unwrap_or(node);
                self.error(at, format!("ports of the protocol {other:?} cannot be published: only tcp and udp"));
                Protocol::Tcp
            }
        };
        let host_ip = self.parse(node.get("host_ip"), "an IP address");
        Some(Port { target: number, published, host_ip, protocol })
    }

    fn mounts(&mut self, node: &Node) -> Vec<VolumeMount> {
        let items = node.get("volumes").and_then(Node::as_list).unwrap_or_default();
        let mut mounts: Vec<VolumeMount> = items.iter().filter_map(mount).map(undo_drive_letter).collect();
        for item in node.get("tmpfs").and_then(Node::as_list).unwrap_or_default() {
            mounts.extend(self.tmpfs(item));
        }
        for node in items.iter().filter_map(|item| item.get("bind")?.get("propagation")) {
            let text = node.as_text().unwrap_or_default();
            if !matches!(text.strip_prefix('r').unwrap_or(text), "" | "private" | "shared" | "slave") {
                self.error(node, format!("{text:?} is not a propagation: [r]private, [r]shared or [r]slave"));
            }
        }
        for item in items.iter().filter_map(|item| item.get("target")) {
            if item.as_text().is_some_and(|target| !target.starts_with('/') && !paths::is_windows_drive(target)) {
                let target = item.as_text().unwrap_or_default();
                self.error(item, format!("the mount target {target:?} is not an absolute path"));
            }
        }
        mounts
    }

    /// Reads `PATH[:options]` of the `tmpfs` attribute.
    fn tmpfs(&mut self, node: &Node) -> Option<VolumeMount> {
        let (target, written) = node.as_text()?.split_once(':').unwrap_or((node.as_text()?, ""));
        let (mut size, mut mode, mut options) = (None, None, Vec::new());
        for option in written.split(',').filter(|option| !option.is_empty()) {
            if let Some(text) = option.strip_prefix("size=") {
                size = units::bytes(text).and_then(|n| u64::try_from(n).ok());
                if size.is_none() {
                    self.error(node, format!("{text:?} is not a size"));
                }
            } else if let Some(text) = option.strip_prefix("mode=") {
                mode = u32::from_str_radix(text, 8).ok();
                if mode.is_none() {
                    self.error(node, format!("{text:?} is not an octal number"));
                }
            } else {
                options.push(option.to_owned());
            }
        }
        if !target.starts_with('/') {
            self.error(node, format!("the mount target {target:?} is not an absolute path"));
        }
        let kind = VolumeMountKind::Tmpfs { size, mode, options };
        Some(VolumeMount { target: target.to_owned(), read_only: false, kind })
    }

    fn networks(&mut self, node: &Node) -> IndexMap<String, ServiceNetwork> {
        let mode = node.get("network_mode").and_then(Node::as_text);
        if matches!(mode, Some("bridge" | "default")) {
            return IndexMap::from([("default".to_owned(), ServiceNetwork::default())]);
        }
        let entries = node.get("networks").and_then(Node::as_map).into_iter().flatten();
        entries.map(|(key, node)| (key.clone(), self.endpoint(node))).collect()
    }

    fn endpoint(&mut self, node: &Node) -> ServiceNetwork {
        ServiceNetwork {
            aliases: texts(node, "aliases"),
            addresses: StaticAddresses {
                ipv4: self.parse(node.get("ipv4_address"), "an IPv4 address"),
                ipv6: self.parse(node.get("ipv6_address"), "an IPv6 address"),
            },
            mac_address: node.get("mac_address").and_then(|node| self.mac_address(node)),
            priority: node.get("priority").and_then(Node::as_int).unwrap_or_default(),
            gw_priority: node.get("gw_priority").and_then(Node::as_int).unwrap_or_default(),
            interface_name: self.interface_name(node),
        }
    }

    fn interface_name(&mut self, node: &Node) -> Option<String> {
        let name = text(node, "interface_name")?;
        // The kernel's rule.
        if name.len() > 15
            || name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
            || name.starts_with('.')
        {
            let at = node.get("interface_name").unwrap_or(node);
            self.error(at, format!("{name:?} is not the name of an interface: at most 15 characters, no / or :"));
        }
        Some(name)
    }

    fn mac_address(&mut self, node: &Node) -> Option<[u8; 6]> {
        let text = node.as_text().filter(|text| !text.is_empty())?;
        let parts: Vec<u8> =
            text.split([':', '-']).filter(|p| p.len() == 2).filter_map(|p| u8::from_str_radix(p, 16).ok()).collect();
        let address = <[u8; 6]>::try_from(parts).ok().filter(|_| text.len() == 17);
        if address.is_none() {
            self.error(node, format!("{text:?} is not a MAC address such as 02:42:ac:11:65:43"));
        }
        address
    }

    fn healthcheck(&mut self, node: &Node) -> Healthcheck {
        let words = texts(node, "test");
        let test = match words.split_first() {
            _ if flag(node, "disable") => Some(HealthTest::None),
            Some((first, _)) if first == "NONE" => Some(HealthTest::None),
            Some((first, rest)) if first == "CMD-SHELL" => Some(HealthTest::Shell(rest.join(" "))),
            Some((_, rest)) => Some(HealthTest::Exec(rest.to_vec())),
            None => None,
        };
        if let (Some(HealthTest::Exec(words)), Some(at)) = (&test, node.get("test"))
            && words.is_empty()
        {
            self.error(at, "a healthcheck's test names no program".to_owned());
        }
        Healthcheck {
            test,
            interval: duration(node, "interval"),
            timeout: duration(node, "timeout"),
            retries: node.get("retries").and_then(Node::as_int).and_then(|n| u32::try_from(n).ok()),
            start_period: duration(node, "start_period"),
            start_interval: duration(node, "start_interval"),
        }
    }

    /// Reads `restart`; `deploy.restart_policy` wins (spec row `svc-deploy-restart-policy`).
    fn restart(&mut self, node: &Node) -> RestartPolicy {
        if let Some(policy) = node.get("deploy").and_then(|deploy| deploy.get("restart_policy")) {
            let attempts = policy.get("max_attempts").and_then(Node::as_int).and_then(|n| u32::try_from(n).ok());
            return match policy.get("condition").and_then(Node::as_text) {
                None | Some("any" | "always" | "") => RestartPolicy::Always,
                Some("none") => RestartPolicy::No,
                Some("on-failure") => RestartPolicy::OnFailure(attempts.filter(|n| *n > 0)),
                Some(other) => {
                    let at = policy.get("condition").unwrap_or(policy);
                    self.error(at, format!("{other:?} is not a condition: none, on-failure or any"));
                    RestartPolicy::No
                }
            };
        }
        let Some(restart) = node.get("restart") else { return RestartPolicy::No };
        let text = restart.as_text().unwrap_or_default();
        match text.split_once(':').unwrap_or((text, "")) {
            ("no" | "", "") => RestartPolicy::No,
            ("always", "") => RestartPolicy::Always,
            ("unless-stopped", "") => RestartPolicy::UnlessStopped,
            ("on-failure", "") => RestartPolicy::OnFailure(None),
            ("on-failure", count) if count.parse::<u32>().is_ok() => {
                RestartPolicy::OnFailure(count.parse().ok().filter(|n| *n > 0))
            }
            _ => {
                let message = format!("{text:?} is not a restart policy: no, always, on-failure[:N] or unless-stopped");
                self.error(restart, message);
                RestartPolicy::No
            }
        }
    }

    fn image(&mut self, node: &Node) -> Option<String> {
        let text = node.as_text()?;
        // An empty one has a message of its own.
        if !text.is_empty()
            && let Err(why) = Source::parse(text, Path::new("/"))
        {
            self.error(node, format!("{text:?} is not the name of an image: {why}"));
        }
        Some(text.to_owned())
    }

    /// Docker's rule; the engine checks it again.
    fn container_name(&mut self, node: &Node) -> Option<String> {
        let text = node.as_text()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !text.chars().all(plain) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || text.len() > 200 {
            self.error(node, format!("{text:?} is not a container name: letters, digits and _ . - after the first"));
        }
        Some(text.to_owned())
    }

    fn signal(&mut self, node: &Node) -> Option<i32> {
        let text = node.as_text().filter(|text| !text.is_empty())?;
        let number = signal::number(text);
        if number.is_none() {
            self.error(node, format!("{text:?} is not a signal"));
        }
        number
    }

    fn capabilities(&mut self, node: &Node, key: &str) -> Vec<String> {
        let mut names = Vec::new();
        for item in node.get(key).and_then(Node::as_list).unwrap_or_default() {
            let Some(text) = item.as_text() else { continue };
            let upper = text.to_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if !CAPABILITIES.contains(&name) {
                self.error(item, format!("{text:?} is not a capability"));
            }
            names.push(name.to_owned());
        }
        names
    }

    fn resources(&mut self, node: &Node) -> Resources {
        let section = |kind: &str| node.get("deploy")?.get("resources")?.get(kind);
        let limits = section("limits");
        let reservations = section("reservations");
        let own_or = |key: &str, other: Option<&Node>, name: &str| bytes(node, key).or_else(|| bytes(other?, name));
        let cpus = node.get("cpus").or_else(|| limits?.get("cpus"));
        let pids = node.get("pids_limit").or_else(|| limits?.get("pids"));
        let oom_score_adj = node.get("oom_score_adj");
        if let Some(at) = cpus
            && at.as_float().is_some_and(|n| n < 0.0)
        {
            self.error(at, "`cpus` cannot be negative".to_owned());
        }
        let memory = own_or("mem_limit", limits, "memory");
        let memory_reservation = own_or("mem_reservation", reservations, "memory");
        if let (Some(most), Some(kept)) = (memory, memory_reservation)
            && kept > most
            && let Some(at) = node.get("mem_reservation").or_else(|| reservations?.get("memory"))
        {
            self.error(at, "`mem_reservation` is more than the limit of memory".to_owned());
        }
        let swap = node.get("memswap_limit");
        let memory_swap = swap.and_then(Node::as_text).and_then(units::bytes).filter(|n| *n != 0);
        if let (Some(at), None, Some(1..)) = (swap, memory, memory_swap) {
            self.error(at, "`memswap_limit` is memory and swap together, so it needs `mem_limit`".to_owned());
        }
        Resources {
            memory,
            memory_reservation,
            memory_swap,
            nano_cpus: cpus.and_then(Node::as_float).filter(|n| *n > 0.0).map(|n| (n * 1e9).round() as u64),
            cpu_shares: node
                .get("cpu_shares")
                .and_then(Node::as_int)
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| *n > 0),
            cpuset: text(node, "cpuset"),
            pids: pids.and_then(Node::as_int).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0),
            oom_score_adj: oom_score_adj.and_then(Node::as_int).and_then(|n| i32::try_from(n).ok()),
        }
    }

    fn ulimits(&mut self, node: &Node) -> std::collections::BTreeMap<String, Ulimit> {
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
        let mut limits = std::collections::BTreeMap::new();
        for (name, value) in node.get("ulimits").and_then(Node::as_map).into_iter().flatten() {
            if !NAMES.contains(&name.as_str()) {
                let at = Node { span: value.key_or_span(), ..value.clone() };
                self.error(&at, format!("{name:?} is not a limit: {}", NAMES.join(", ")));
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

    fn extra_hosts(&mut self, node: &Node) -> Vec<(String, Option<std::net::IpAddr>)> {
        let items = node.get("extra_hosts").and_then(Node::as_list).unwrap_or_default();
        let mut hosts = Vec::with_capacity(items.len());
        for item in items {
            let Some((host, address)) = item.as_text().and_then(|text| text.split_once('=')) else { continue };
            if address == "host-gateway" {
                hosts.push((host.to_owned(), None));
            } else {
                match address.parse() {
                    Ok(address) => hosts.push((host.to_owned(), Some(address))),
                    Err(_) => self.error(item, format!("{address:?} is neither an IP address nor host-gateway")),
                }
            }
        }
        hosts
    }

    fn addresses(&mut self, node: &Node, key: &str) -> Vec<std::net::IpAddr> {
        let items = node.get(key).and_then(Node::as_list).unwrap_or_default();
        items.iter().filter_map(|item| self.parse(Some(item), "an IP address")).collect()
    }

    fn pull_policy(&mut self, node: &Node) -> PullPolicy {
        let Some(policy) = node.get("pull_policy") else { return PullPolicy::Missing };
        match policy.as_text().unwrap_or_default() {
            "" | "missing" | "if_not_present" | "build" => PullPolicy::Missing,
            "always" => PullPolicy::Always,
            "never" => PullPolicy::Never,
            "refresh" | "daily" | "weekly" => PullPolicy::Missing,
            text if text.strip_prefix("every_").is_some_and(|age| units::age(age).is_some()) => PullPolicy::Missing,
            text => {
                let message = format!(
                    "{text:?} is not a pull policy: always, missing, never, build, daily, weekly or every_DURATION"
                );
                self.error(policy, message);
                PullPolicy::Missing
            }
        }
    }
}

fn arguments(node: &Node, key: &str) -> Option<Vec<String>> {
    node.get(key).and_then(Node::as_list).map(|_| texts(node, key))
}

fn environment(node: &Node) -> IndexMap<String, String> {
    let entries = node.get("environment").and_then(Node::as_map).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_text()?.to_owned()))).collect()
}

fn duration(node: &Node, key: &str) -> Option<Duration> {
    node.get(key).and_then(Node::as_text).and_then(units::duration)
}

/// Returns a size of more than nothing.
fn bytes(node: &Node, key: &str) -> Option<u64> {
    let number = node.get(key).and_then(Node::as_text).and_then(units::bytes)?;
    u64::try_from(number).ok().filter(|n| *n > 0)
}

fn port_range(text: &str) -> Option<PortRange> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (low.parse().ok()?, high.parse().ok()?);
    (start <= end).then_some(PortRange { start, end })
}

fn mount(node: &Node) -> Option<VolumeMount> {
    let source = text(node, "source");
    let option = |section: &str, key: &str| node.get(section).and_then(|node| text(node, key));
    let kind = match node.get("type")?.as_text()? {
        "bind" => VolumeMountKind::Bind {
            source: PathBuf::from(source?),
            create_host_path: node.get("bind").and_then(|bind| bind.get("create_host_path")).is_none_or(Node::is_true),
            propagation: option("bind", "propagation").unwrap_or_default(),
        },
        "volume" => VolumeMountKind::Volume {
            source,
            nocopy: node.get("volume").is_some_and(|volume| flag(volume, "nocopy")),
            subpath: option("volume", "subpath"),
        },
        "tmpfs" => {
            let tmpfs = node.get("tmpfs");
            VolumeMountKind::Tmpfs {
                size: tmpfs.and_then(|tmpfs| bytes(tmpfs, "size")),
                mode: tmpfs.and_then(|t| t.get("mode")).and_then(Node::as_int).and_then(|n| u32::try_from(n).ok()),
                options: Vec::new(),
            }
        }
        _ => return None,
    };
    Some(VolumeMount { target: text(node, "target")?, read_only: flag(node, "read_only"), kind })
}

/// The short form reads `v:/data` as a folder on drive V, as the reference does; here it can only
/// be the volume `v`.
fn undo_drive_letter(mut mount: VolumeMount) -> VolumeMount {
    if let VolumeMountKind::Volume { source, .. } = &mut mount.kind
        && source.is_none()
        && paths::is_windows_drive(&mount.target)
    {
        *source = Some(mount.target[..1].to_owned());
        mount.target.drain(..2);
    }
    mount
}

fn network_mode(node: &Node) -> Option<NetworkMode> {
    match node.get("network_mode")?.as_text()? {
        "none" => Some(NetworkMode::None),
        "host" => Some(NetworkMode::Host),
        mode => {
            let service = mode.strip_prefix("service:").map(|name| NetworkMode::Service(ServiceName::new(name)));
            service.or_else(|| mode.strip_prefix("container:").map(|name| NetworkMode::Container(name.to_owned())))
        }
    }
}

/// Returns the dependencies that are enabled.
fn dependencies(node: &Node, enabled: &Map) -> IndexMap<ServiceName, Dependency> {
    let entries = node.get("depends_on").and_then(Node::as_map).into_iter().flatten();
    entries
        .filter(|(name, _)| enabled.contains_key(*name))
        .map(|(name, node)| {
            let condition = match node.get("condition").and_then(Node::as_text) {
                Some("service_healthy") => Condition::ServiceHealthy,
                Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
                _ => Condition::ServiceStarted,
            };
            let required = node.get("required").is_none_or(Node::is_true);
            (ServiceName::new(name), Dependency { condition, required, restart: flag(node, "restart") })
        })
        .collect()
}

fn links(node: &Node) -> Vec<(ServiceName, String)> {
    let links = texts(node, "links");
    let pair = |link: &String| {
        let (service, alias) = link.split_once(':').unwrap_or((link, link));
        (ServiceName::new(service), alias.to_owned())
    };
    links.iter().map(pair).collect()
}

/// Names of capabilities without `CAP_`, by number (`capabilities(7)`), and what stands for all.
const CAPABILITIES: [&str; 42] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
    "ALL",
];

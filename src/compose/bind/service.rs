//! One service.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::read::{arguments, duration, entries, flag, items, paths, text, texts, texts_by_key, texts_in_order};
use super::{Binder, develop, network};
use crate::compose::model::{
    Condition, CredentialSpec, Dependency, EnvFile, HealthTest, Healthcheck, Logging, MAX_CONTAINERS, MacAddress,
    Provider, PullPolicy, Service, ServiceModel, XStack,
};
use crate::compose::tree::{Map, Node, Value};
use crate::diag::nearest;
use crate::ids::ServiceName;
use crate::ids::reference::Source;
use crate::ids::signal;
use crate::spec::RestartPolicy;

impl Binder<'_> {
    pub(super) fn service(&mut self, node: &Node, enabled: &Map, x_stack: &XStack) -> Service {
        let mut networks = self.networks(node);
        let mac_address: Option<MacAddress> = node.get("mac_address").and_then(|at| self.unit(at));
        if let Some(at) = node.get("mac_address")
            && let Some((key, first)) =
                networks.iter_mut().min_by(|(a, x), (b, y)| (y.priority, a).cmp(&(x.priority, b)))
        {
            let own = first.mac_address;
            if own.is_some() && mac_address.is_some() && own != mac_address {
                self.error(at, format!("`mac_address` differs from the one of the network `{key}`"));
            }
            first.mac_address = own.or(mac_address);
        }
        let mut service = Service {
            image: node.get("image").and_then(|at| self.image(at)),
            build: node.get("build").map(|build| self.build(build)),
            pull_policy: node.get("pull_policy").and_then(|at| self.unit(at)).unwrap_or(PullPolicy::Missing),
            pull_refresh_after: duration(node, "pull_refresh_after"),
            platform: node.get("platform").and_then(|at| self.unit(at)),
            command: arguments(node, "command"),
            entrypoint: arguments(node, "entrypoint"),
            environment: texts_in_order(node, "environment"),
            env_file: self.env_files(node),
            user: text(node, "user"),
            group_add: texts(node, "group_add"),
            working_dir: text(node, "working_dir"),
            tty: flag(node, "tty"),
            stdin_open: flag(node, "stdin_open"),
            init: flag(node, "init"),
            hostname: text(node, "hostname"),
            domainname: text(node, "domainname"),
            provider: node.get("provider").map(|provider| self.provider(provider)),
            runtime: text(node, "runtime"),

            depends_on: dependencies(node, enabled),
            profiles: texts(node, "profiles"),
            scale: self.whole(node, "scale", 0..=MAX_CONTAINERS.into()),
            restart: node.get("restart").and_then(|at| self.restart(at)),
            healthcheck: node.get("healthcheck").map(|node| self.healthcheck(node)),
            stop_signal: node.get("stop_signal").and_then(|at| self.signal(at)),
            stop_grace_period: duration(node, "stop_grace_period"),
            pre_start: develop::pre_start(node),
            post_start: self.hooks(node, "post_start"),
            pre_stop: self.hooks(node, "pre_stop"),
            develop: node.get("develop").map(|develop| self.develop(develop)),
            x_stack: self.x_stack(node, x_stack),
            deploy: node.get("deploy").map(|deploy| self.deploy(deploy)),
            attach: node.get("attach").map(Node::is_true),
            logging: node.get("logging").map(|logging| Logging {
                driver: text(logging, "driver"),
                options: texts_in_order(logging, "options"),
            }),

            container_name: node.get("container_name").and_then(|at| self.container_name(at)),
            labels: texts_by_key(node, "labels"),
            label_file: paths(node, "label_file"),
            annotations: texts_by_key(node, "annotations"),

            networks,
            network_mode: self.network_mode(node),
            mac_address,
            ports: self.ports(node),
            expose: self.expose(node),
            links: network::links(node),
            external_links: network::external_links(node),
            extra_hosts: self.extra_hosts(node),
            dns: self.addresses(node, "dns"),
            dns_search: texts(node, "dns_search"),
            dns_opt: texts(node, "dns_opt"),
            models: entries(node, "models").map(|(key, node)| (key.clone(), service_model(node))).collect(),
            use_api_socket: flag(node, "use_api_socket"),

            volumes: self.mounts(node),
            tmpfs: self.tmpfs_mounts(node),
            volumes_from: self.volumes_from(node),
            configs: self.grants(node, "configs"),
            secrets: self.grants(node, "secrets"),
            read_only: flag(node, "read_only"),
            shm_size: super::read::bytes(node, "shm_size"),
            storage_opt: texts_by_key(node, "storage_opt"),

            privileged: flag(node, "privileged"),
            cap_add: self.capabilities(node, "cap_add"),
            cap_drop: self.capabilities(node, "cap_drop"),
            security_opt: self.security_options(node),
            sysctls: texts_by_key(node, "sysctls"),
            ulimits: self.ulimits(node),
            devices: self.devices(node),
            device_cgroup_rules: self.device_rules(node),
            gpus: self.device_requests(node, "gpus"),
            ipc: self.ipc(node),
            pid: self.pid(node),
            uts: self.uts(node),
            userns_mode: text(node, "userns_mode"),
            cgroup: self.cgroup_mode(node),
            cgroup_parent: text(node, "cgroup_parent"),
            credential_spec: node.get("credential_spec").map(credential_spec),
            isolation: text(node, "isolation"),
            ..Service::default()
        };
        self.limits(node, &mut service);
        service
    }

    pub(super) fn healthcheck(&mut self, node: &Node) -> Healthcheck {
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

    pub(super) fn restart(&mut self, node: &Node) -> Option<RestartPolicy> {
        let text = node.as_text().unwrap_or_default();
        match text.split_once(':').unwrap_or((text, "")) {
            ("", "") => None,
            ("no", "") => Some(RestartPolicy::No),
            ("always", "") => Some(RestartPolicy::Always),
            ("unless-stopped", "") => Some(RestartPolicy::UnlessStopped),
            ("on-failure", "") => Some(RestartPolicy::OnFailure(None)),
            ("on-failure", count) if count.parse::<u32>().is_ok() => {
                Some(RestartPolicy::OnFailure(count.parse().ok().filter(|n| *n > 0)))
            }
            _ => {
                let message = format!("{text:?} is not a restart policy: no, always, on-failure[:N] or unless-stopped");
                self.error(node, message);
                let (word, count) = text.split_once(':').map_or((text, ""), |(word, _)| (word, &text[word.len()..]));
                let meant = nearest(word, ["no", "always", "on-failure", "unless-stopped", "never"]);
                // Kubernetes and systemd have other words for them.
                let meant = match (meant, word.to_lowercase().as_str()) {
                    (Some("never"), _) | (_, "none" | "off") => Some("no"),
                    (_, "any" | "yes" | "on") => Some("always"),
                    (_, "onfailure" | "failure") => Some("on-failure"),
                    (meant, _) => meant,
                };
                if let (Some(meant), Some(diagnostic)) = (meant, self.diagnostics.last_mut()) {
                    let count = if meant == "on-failure" { count } else { "" };
                    diagnostic.help = Some(format!("did you mean `{meant}{count}`?"));
                }
                None
            }
        }
    }

    pub(super) fn image(&mut self, node: &Node) -> Option<String> {
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
    pub(super) fn container_name(&mut self, node: &Node) -> Option<String> {
        let text = node.as_text()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !text.chars().all(plain) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || text.len() > 200 {
            self.error(node, format!("{text:?} is not a container name: letters, digits and _ . - after the first"));
        }
        Some(text.to_owned())
    }

    pub(super) fn signal(&mut self, node: &Node) -> Option<i32> {
        let text = node.as_text().filter(|text| !text.is_empty())?;
        let number = signal::number(text);
        if number.is_none() {
            self.error(node, format!("{text:?} is not a signal"));
            let bare = text.get(..3).filter(|start| start.eq_ignore_ascii_case("sig")).map_or(text, |_| &text[3..]);
            let names: Vec<String> = (1..=31).map(signal::name).collect();
            if let Some(name) = nearest(bare, names.iter().map(|name| name.trim_start_matches("SIG"))) {
                self.advise(format!("did you mean `SIG{name}`?"));
            } else {
                self.advise("write a name as SIGTERM, or a number".to_owned());
            }
        }
        number
    }

    /// Reads security options; which of them are in force is another question.
    pub(super) fn security_options(&mut self, node: &Node) -> Vec<String> {
        const KINDS: [&str; 5] = ["no-new-privileges", "seccomp", "apparmor", "label", "systempaths"];
        for option in items(node, "security_opt") {
            let Some(text) = option.as_text() else { continue };
            let kind = text.split(['=', ':']).next().unwrap_or_default();
            if !KINDS.contains(&kind) {
                self.error(option, format!("{text:?} is not a security option"));
                self.advise(match nearest(kind, KINDS) {
                    Some(near) => format!("did you mean `{near}{}`?", &text[kind.len()..]),
                    None => "use no-new-privileges, seccomp, apparmor, label or systempaths".to_owned(),
                });
            }
        }
        texts(node, "security_opt")
    }

    pub(super) fn capabilities(&mut self, node: &Node, key: &str) -> Vec<String> {
        let mut names = Vec::new();
        for item in node.get(key).and_then(Node::as_list).unwrap_or_default() {
            let Some(text) = item.as_text() else { continue };
            let upper = text.to_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if !CAPABILITIES.contains(&name) {
                self.error(item, format!("{text:?} is not a capability"));
                self.advise(match nearest(name, CAPABILITIES) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write a name of capabilities(7), as NET_ADMIN or SYS_PTRACE, or ALL".to_owned(),
                });
            }
            names.push(name.to_owned());
        }
        names
    }

    fn env_files(&mut self, node: &Node) -> Vec<EnvFile> {
        let files = items(node, "env_file").iter().filter(|item| item.as_map().is_some());
        files
            .map(|item| EnvFile {
                path: text(item, "path").map(PathBuf::from).unwrap_or_default(),
                required: item.get("required").is_none_or(Node::is_true),
                format: self.word(item.get("format"), &["raw"]),
            })
            .collect()
    }

    pub(super) fn provider(&mut self, node: &Node) -> Provider {
        let mut options = IndexMap::new();
        for (key, value) in entries(node, "options") {
            let values: Option<Vec<String>> = match &value.value {
                Value::List(items) => items.iter().map(Node::scalar_text).collect(),
                _ => value.scalar_text().map(|text| vec![text]),
            };
            match values {
                Some(values) => {
                    options.insert(key.clone(), values);
                }
                None => {
                    let message = format!("the provider's option `{key}` is neither a value nor a list of values");
                    self.error(value, message);
                }
            }
        }
        Provider { kind: text(node, "type").unwrap_or_default(), options }
    }
}

fn credential_spec(node: &Node) -> CredentialSpec {
    CredentialSpec { config: text(node, "config"), file: text(node, "file"), registry: text(node, "registry") }
}

fn service_model(node: &Node) -> ServiceModel {
    ServiceModel { endpoint_var: text(node, "endpoint_var"), model_var: text(node, "model_var") }
}

/// Returns the dependencies that are enabled.
fn dependencies(node: &Node, enabled: &Map) -> IndexMap<ServiceName, Dependency> {
    entries(node, "depends_on")
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

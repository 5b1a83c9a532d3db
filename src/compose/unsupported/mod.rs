//! What is legal but not in force: one diagnostic an attribute, with the place of its first use
//! (spec row `schema-unsupported-warn`). What is not in force yet is told when the project runs; what
//! means nothing on one Linux machine is a property of the file, and told to who checks it as well.

mod elsewhere;

use std::collections::BTreeMap;

use super::discover::is_true;
use super::environment::Environment;
use super::schema::{Force, Object, PROJECT_X_STACK, SERVICE, SERVICE_X_STACK, Shape, TOP};
use super::tree::{Node, Value};
use crate::diag::{Diagnostic, Span};

pub(crate) use elsewhere::elsewhere;

/// Returns the diagnostics for a tree whose services are the enabled ones.
pub(crate) fn unsupported(whole: &Node) -> Vec<Diagnostic> {
    let mut found = Findings::default();
    for (name, service) in whole.get("services").and_then(Node::as_map).into_iter().flatten() {
        found.walk(service, &Shape::Object(&SERVICE), "services.*");
        found.own(service, &SERVICE_X_STACK, "services.*.");
        found.special(name, service);
    }
    found.own(whole, &PROJECT_X_STACK, "");
    found.resources(whole);
    for (section, entries) in whole.as_map().into_iter().flatten() {
        if section != "services"
            && let Some(field) = TOP.field(section)
        {
            match field.force {
                Force::No(why) | Force::Elsewhere(why) => found.add(section, why, entries),
                Force::Yes => found.walk(entries, &field.shape, section),
            }
        }
    }
    found.finish()
}

/// Returns warnings about variables that Compose acts on and this engine does not.
pub(crate) fn variables(environment: &Environment) -> Vec<Diagnostic> {
    let names = environment.get("COMPOSE_COMPATIBILITY").filter(|value| is_true(value));
    let platform = environment.get("DOCKER_DEFAULT_PLATFORM").filter(|value| !value.is_empty());
    let found = [
        names.map(|_| "COMPOSE_COMPATIBILITY is ignored: names keep their hyphens"),
        platform.map(|_| "DOCKER_DEFAULT_PLATFORM is ignored: the image's own platform is run"),
    ];
    let found = found.into_iter().flatten().map(|message| Diagnostic::warning(message, None));
    found.chain(elsewhere::variables(environment)).collect()
}

#[derive(Default)]
struct Findings {
    /// By attribute: why it is not in force, where it is first used, how often.
    ignored: BTreeMap<String, (&'static str, Option<Span>, usize)>,
    special: Vec<Diagnostic>,
}

impl Findings {
    fn walk(&mut self, node: &Node, shape: &Shape, path: &str) {
        match (shape, &node.value) {
            (Shape::Short(_, long), _) => self.walk(node, long, path),
            (Shape::Object(table), Value::Map(map)) => {
                for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                    let Some(field) = table.field(key) else { continue };
                    if let Force::No(why) | Force::Elsewhere(why) = field.force {
                        self.add(&format!("{path}.{key}"), why, value);
                    } else if nested(&field.shape) && key != "build" {
                        self.walk(value, &field.shape, &format!("{path}.{key}"));
                    }
                }
            }
            (Shape::Map(values), Value::Map(map)) if nested(&values.shape) => {
                let path = format!("{path}.*");
                map.values().for_each(|value| self.walk(value, &values.shape, &path));
            }
            (Shape::List(item, _), Value::List(items)) if nested(item) => {
                items.iter().for_each(|node| self.walk(node, item, path));
            }
            _ => {}
        }
    }

    /// `x-stack` is in no table, so that the phases leave it alone.
    fn own(&mut self, parent: &Node, table: &'static Object, path: &str) {
        if let Some(own) = parent.get("x-stack") {
            self.walk(own, &Shape::Object(table), &[path, "x-stack"].concat());
        }
    }

    fn add(&mut self, path: &str, why: &'static str, node: &Node) {
        let quiet = match (path, &node.value) {
            // What everybody gets anyway.
            (_, Value::Map(map)) => map.is_empty(),
            (_, Value::List(items)) => items.is_empty(),
            // The name of a service resolves to all of its replicas.
            ("services.*.deploy.endpoint_mode", Value::Text(text)) => text == "dnsrr",
            ("services.*.isolation", Value::Text(text)) => text == "default",
            ("services.*.ipc" | "services.*.cgroup", Value::Text(text)) => text == "private",
            ("networks.*.enable_ipv4", value) => *value == Value::Bool(true),
            (_, value) => *value == Value::Bool(false),
        };
        if quiet {
            return;
        }
        let entry = self.ignored.entry(path.to_owned()).or_insert_with(|| (why, node.key_or_span(), 0));
        entry.2 += 1;
    }

    /// Attributes of which only some values are in force.
    fn special(&mut self, name: &str, service: &Node) {
        let text = |key: &str| service.get(key).and_then(Node::as_text);
        let place = |key: &str| service.get(key).and_then(Node::key_or_span);
        if service.get("build").is_some() {
            self.special.push(if service.get("image").is_some() {
                Diagnostic::warning(
                    format!("`services.{name}.build` is not in force yet: the image must exist"),
                    place("build"),
                )
            } else {
                Diagnostic::error(
                    format!("the service `{name}` has to be built, which is not possible yet"),
                    place("build"),
                )
                .help("build the image elsewhere and name it with `image`")
            });
        }
        if service.get("image").is_none() && service.get("provider").is_some() {
            let message = format!("the service `{name}` comes from a provider, which is not possible yet");
            self.special.push(Diagnostic::error(message, place("provider")));
        }
        if let Some(policy) = text("pull_policy").filter(|policy| refreshes(policy)) {
            let message =
                format!("`pull_policy: {policy}` is not in force yet: the image is pulled when it is missing");
            let help = "pull newer ones with `stack pull`, or use `always`";
            self.special.push(Diagnostic::warning(message, place("pull_policy")).help(help));
        }
        for link in service.get("links").and_then(Node::as_list).unwrap_or_default() {
            if let Some((target, alias)) = link.as_text().and_then(|text| text.split_once(':'))
                && target != alias
            {
                let message = format!("the name `{alias}` of a link of `{name}` is not in force yet");
                let help = format!(
                    "use `{target}`, or give that service the alias: networks: {{default: {{aliases: [{alias}]}}}}"
                );
                self.special.push(Diagnostic::warning(message, link.span.clone()).help(help));
            }
        }
        if let Some("bridge" | "default") = text("network_mode") {
            let message =
                format!("there is no common bridge: the service `{name}` is put on the project's default network");
            self.special.push(Diagnostic::warning(message, place("network_mode")).help("remove `network_mode`"));
        }
        if let Some(logging) = service.get("logging")
            && let Some(driver) = logging.get("driver")
            && !matches!(driver.as_text(), Some("json-file" | "local" | ""))
        {
            let message = format!("the log driver {} is not in force yet", driver.as_text().unwrap_or_default());
            let help = "logs are written as json-file; `stack logs` shows them";
            self.special.push(Diagnostic::warning(message, driver.span.clone()).help(help));
        }
        for option in service.get("security_opt").and_then(Node::as_list).unwrap_or_default() {
            let written = option.as_text().unwrap_or_default().replacen(':', "=", 1);
            let in_force = matches!(
                written.as_str(),
                "no-new-privileges"
                    | "no-new-privileges=true"
                    | "no-new-privileges=false"
                    | "seccomp=unconfined"
                    | "seccomp=builtin"
            );
            let known = ["no-new-privileges", "seccomp", "apparmor", "label", "systempaths"];
            if !known.contains(&written.split('=').next().unwrap_or_default()) {
                // No option at all; the binder says so.
                continue;
            }
            // Without AppArmor or SELinux there is nothing to turn off.
            if !in_force && !matches!(written.as_str(), "apparmor=unconfined" | "label=disable") {
                let message = format!("`security_opt: {}` is not in force yet", option.as_text().unwrap_or_default());
                self.special.push(Diagnostic::warning(message, option.span.clone()));
            }
        }
        self.mounts_elsewhere(service);
        for mount in service.get("volumes").and_then(Node::as_list).unwrap_or_default() {
            let kind = mount.get("type").and_then(Node::as_text);
            if kind == Some("image") {
                let message = "mounts of the type image are not in force yet";
                self.special.push(Diagnostic::warning(message, mount.span.clone()).help("this mount is left out"));
            }
            for other in ["bind", "volume", "tmpfs", "image"].iter().filter(|other| kind != Some(**other)) {
                if let (Some(kind), Some(options)) = (kind, mount.get(other))
                    && options.as_map().is_some_and(|map| !map.is_empty())
                {
                    let message = format!("`{other}` has no effect on a mount of the type {kind}");
                    let span = options.key_or_span().or_else(|| mount.span.clone());
                    self.special.push(Diagnostic::warning(message, span));
                }
            }
            let source = mount.get("source").and_then(Node::as_text).unwrap_or_default();
            if matches!(source, "/var/run/docker.sock" | "/run/docker.sock") {
                let message = format!(
                    "the service `{name}` mounts Docker's socket, but Docker is not needed here and may not run"
                );
                self.special.push(Diagnostic::warning(message, mount.span.clone()));
            }
        }
    }

    /// Networks and volumes that a service uses.
    fn resources(&mut self, whole: &Node) {
        let entries = |section: &str| whole.get(section).and_then(Node::as_map).into_iter().flatten();
        for (name, network) in entries("networks") {
            let endpoints: Vec<&Node> = entries("services")
                .filter_map(|(_, service)| service.get("networks").and_then(Node::as_map)?.get(name))
                .collect();
            if !endpoints.is_empty() {
                self.network_driver(name, network);
                self.network(name, network, &endpoints);
            }
        }
        for (name, volume) in entries("volumes") {
            let mounts = |service: &Node| {
                let mounts = service.get("volumes").and_then(Node::as_list).unwrap_or_default();
                mounts.iter().any(|mount| mount.get("source").and_then(Node::as_text) == Some(name))
            };
            if entries("services").any(|(_, service)| mounts(service)) {
                self.volume(name, volume);
            }
        }
    }

    fn network(&mut self, name: &str, network: &Node, endpoints: &[&Node]) {
        if network.get("external").is_some_and(Node::is_true) {
            for (key, node) in network.as_map().into_iter().flatten() {
                if !node.is_null() && !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
                    let message = format!("the network `{name}` is external, so `{key}` has no effect");
                    self.special.push(Diagnostic::warning(message, node.key_or_span()));
                }
            }
            return;
        }
        if let Some(driver) = network.get("ipam").and_then(|ipam| ipam.get("driver"))
            && !matches!(driver.as_text(), Some("" | "default"))
        {
            let text = driver.as_text().unwrap_or_default();
            let message = format!("{text:?} is not a driver of addresses: there is only default");
            self.special.push(Diagnostic::error(message, driver.span.clone()));
        }
        if !network.get("enable_ipv6").is_some_and(Node::is_true) {
            for address in endpoints.iter().filter_map(|endpoint| endpoint.get("ipv6_address")) {
                let message = format!("`ipv6_address` has no effect: the network `{name}` has no IPv6");
                let help = "give the network `enable_ipv6: true`";
                self.special.push(Diagnostic::warning(message, address.span.clone()).help(help));
            }
        }
        for (option, node) in network.get("driver_opts").and_then(Node::as_map).into_iter().flatten() {
            let text = node.as_text().unwrap_or_default();
            match option.strip_prefix("com.docker.network.").unwrap_or_default() {
                "driver.mtu" if text.parse::<u32>().is_ok_and(|mtu| (68..=65535).contains(&mtu)) => {}
                "driver.mtu" => {
                    let message = format!("{text:?} is not an MTU: a number from 68 to 65535");
                    self.special.push(Diagnostic::error(message, node.span.clone()));
                }
                // What every network has anyway.
                "bridge.enable_icc" | "bridge.enable_ip_masquerade" if text == "true" => {}
                _ => {
                    let message = format!("the option `{option}` of the network `{name}` is not in force");
                    self.special.push(Diagnostic::warning(message, node.key_or_span()));
                }
            }
        }
    }

    fn volume(&mut self, name: &str, volume: &Node) {
        if volume.get("external").is_some_and(Node::is_true) {
            return;
        }
        if let Some(driver) = volume.get("driver")
            && !matches!(driver.as_text(), Some("" | "local" | "default"))
        {
            let text = driver.as_text().unwrap_or_default();
            let message = format!("the volume `{name}` asks for the driver {text:?}, which is not there");
            let help = "without `driver` it is a folder of this host";
            self.special.push(Diagnostic::error(message, driver.span.clone()).help(help));
        }
        let option = |key: &str| volume.get("driver_opts").and_then(|options| options.get(key));
        let bound =
            option("o").and_then(Node::as_text).is_some_and(|o| o.split(',').any(|o| matches!(o, "bind" | "rbind")));
        if let Some(kind) = option("type")
            && !matches!(kind.as_text(), Some("" | "none"))
            && !bound
        {
            let text = kind.as_text().unwrap_or_default();
            let message = format!("the volume `{name}` is to be of the type {text}, which is not in force yet");
            let help = "it is a folder of this host";
            self.special.push(Diagnostic::warning(message, kind.span.clone()).help(help));
        }
    }

    fn finish(self) -> Vec<Diagnostic> {
        let ignored = self.ignored.into_iter().map(|(path, (why, span, count))| {
            let others = if count > 1 { format!(" (used {count} times)") } else { String::new() };
            Diagnostic::warning(format!("`{path}` is ignored: {why}{others}"), span)
        });
        let mut all: Vec<Diagnostic> = ignored.chain(self.special).collect();
        all.sort_by_key(|d| d.span.as_ref().map(|span| (span.source.path.clone(), span.start)));
        all
    }
}

/// Returns true for pull policies that go by the age of an image.
fn refreshes(policy: &str) -> bool {
    matches!(policy, "refresh" | "daily" | "weekly") || policy.starts_with("every_")
}

/// Returns true for shapes that hold attributes of their own.
fn nested(shape: &Shape) -> bool {
    match shape {
        Shape::Object(_) => true,
        Shape::Map(values) => nested(&values.shape),
        Shape::List(item, _) => nested(item),
        Shape::Short(_, long) => nested(long),
        _ => false,
    }
}

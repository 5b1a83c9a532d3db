//! Phases: defaults (per included file), then what a project implies as a whole: the default
//! network, names, dependencies that other attributes imply.

use super::environment::Environment;
use super::paths;
use super::provenance::Via;
use super::tree::{Map, Node, Value};

/// Fills in defaults that do not depend on the project.
///
/// `raw`: variables were not replaced, so values have the form they were written in.
pub(crate) fn defaults(whole: &mut Node, raw: bool) {
    let device_defaults = |request: &mut Map| {
        if !request.contains_key("device_ids") {
            put(request, "count", || if raw { "all".into() } else { Value::Int(-1).into() });
        }
    };
    let Some(services) = whole.get_mut("services").and_then(Node::as_map_mut) else { return };
    for service in services.values_mut().filter_map(Node::as_map_mut) {
        each_item(service.get_mut("ports"), |port| {
            put(port, "protocol", || "tcp".into());
            put(port, "mode", || "ingress".into());
            if let Some(published) = port.get_mut("published").filter(|node| !raw && node.as_int().is_some()) {
                published.value = Value::Text(published.scalar_text().unwrap_or_default());
            }
        });
        if let Some(Value::List(servers)) = service.get_mut("dns").map(|node| &mut node.value) {
            servers.retain(|server| server.as_text() != Some(""));
        }
        each_item(service.get_mut("secrets"), |secret| {
            if let Some(source) = secret.get("source").and_then(Node::as_text).map(str::to_owned) {
                put(secret, "target", || format!("/run/secrets/{source}").into());
            }
        });
        each_item(service.get_mut("gpus"), device_defaults);
        let devices = service
            .get_mut("deploy")
            .and_then(|deploy| deploy.get_mut("resources"))
            .and_then(|resources| resources.get_mut("reservations"))
            .and_then(|reservations| reservations.get_mut("devices"));
        each_item(devices, device_defaults);
        if let Some(Value::Map(blkio)) = service.get_mut("blkio_config").map(|node| &mut node.value).filter(|_| !raw) {
            for (list, devices) in blkio {
                match list.as_str() {
                    "weight_device" => {
                        each_item(Some(devices), |device| put(device, "weight", || Value::Int(0).into()));
                    }
                    list if list.starts_with("device_") => {
                        each_item(Some(devices), |device| put(device, "rate", || "0".into()));
                    }
                    _ => {}
                }
            }
        }
        each_item(service.get_mut("env_file"), |file| put(file, "required", || true.into()));
        if let Some(Value::Map(dependencies)) = service.get_mut("depends_on").map(|node| &mut node.value) {
            for dependency in dependencies.values_mut().filter_map(Node::as_map_mut) {
                put(dependency, "required", || true.into());
            }
        }
        if let Some(Value::Map(build)) = service.get_mut("build").map(|node| &mut node.value) {
            put(build, "context", || ".".into());
        }
    }
}

fn each_item(list: Option<&mut Node>, mut change: impl FnMut(&mut Map)) {
    if let Some(Value::List(items)) = list.map(|node| &mut node.value) {
        items.iter_mut().filter_map(Node::as_map_mut).for_each(&mut change);
    }
}

/// Fills in what is not there; what is there without a value is a mistake that is told later.
fn put(map: &mut Map, key: &str, value: impl FnOnce() -> Node) {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), value());
    }
}

/// Makes explicit what the project implies.
pub(crate) fn normalize(whole: &mut Node, name: &str, environment: &Environment) {
    let Some(top) = whole.as_map_mut() else { return };
    let mut uses_default = false;
    if let Some(services) = top.get_mut("services").and_then(Node::as_map_mut) {
        for service in services.values_mut().filter_map(Node::as_map_mut) {
            uses_default |= networks(service);
            build(service, environment);
            if service.get("pull_policy").and_then(Node::as_text) == Some("if_not_present") {
                service.insert("pull_policy".to_owned(), "missing".into());
            }
            resolve(service.get_mut("environment"), environment, Keys::All);
            each_item(service.get_mut("volumes"), |mount| {
                if let Some(Value::Text(target)) = mount.get_mut("target").map(|node| &mut node.value) {
                    *target = paths::clean(target);
                }
            });
            implied_dependencies(service);
        }
    }
    if uses_default {
        let networks = top.entry("networks".to_owned()).or_insert_with(Node::map);
        if let Some(networks) = networks.as_map_mut() {
            networks.entry("default".to_owned()).or_insert_with(|| Value::Null.into());
        }
    }
    for section in ["networks", "volumes", "configs", "secrets"] {
        let Some(entries) = top.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for (key, resource) in entries {
            if resource.is_null() {
                resource.value = Value::Map(Map::default());
            }
            let external = resource.get("external").is_some_and(Node::is_true);
            if let Some(resource) = resource.as_map_mut() {
                put(resource, "name", || if external { key.as_str().into() } else { format!("{name}_{key}").into() });
            }
        }
    }
}

/// Puts a service on the default network where it names none; returns true when it is on it.
fn networks(service: &mut Map) -> bool {
    // What runs such a service makes its networks, too.
    let elsewhere =
        ["network_mode", "provider"].into_iter().any(|key| service.get(key).is_some_and(|node| !node.is_null()));
    if elsewhere {
        return service.get("networks").and_then(Node::as_map).is_some_and(|named| named.contains_key("default"));
    }
    match service.get("networks").map(|node| &node.value) {
        Some(Value::Map(named)) if !named.is_empty() => named.contains_key("default"),
        Some(Value::Map(_) | Value::Null) | None => {
            let default = Map::from_iter([("default".to_owned(), Node::from(Value::Null))]);
            service.insert("networks".to_owned(), Value::Map(default).into());
            true
        }
        Some(_) => false,
    }
}

fn build(service: &mut Map, environment: &Environment) {
    let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) else { return };
    if !build.contains_key("dockerfile_inline") {
        put(build, "dockerfile", || "Dockerfile".into());
    }
    resolve(build.get_mut("args"), environment, Keys::Known);
}

/// Gives variables of the services of an included project the values that it has for them. As with Compose, that is
/// for bare items of lists; a key of a mapping takes its value from the whole project only.
pub(crate) fn included(model: &mut Node, environment: &Environment) {
    for service in model.get_mut("services").and_then(Node::as_map_mut).into_iter().flat_map(Map::values_mut) {
        resolve(service.get_mut("environment"), environment, Keys::Items);
    }
}

/// Which keys without a value get the one from the environment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// All; without one there, they stay as they are.
    All,
    /// All; without one there, they go.
    Known,
    /// Those that are bare items of a list; the others stay as they are.
    Items,
}

/// Gives keys without a value the one from the environment.
fn resolve(node: Option<&mut Node>, environment: &Environment, keys: Keys) {
    let meant = |node: &Node| node.is_null() && (keys != Keys::Items || node.is_bare_item());
    match node.map(|node| &mut node.value) {
        Some(Value::Map(map)) => {
            for (key, value) in map.iter_mut().filter(|(_, value)| meant(value)) {
                if let Some(found) = environment.get(key) {
                    value.value = Value::Text(found.to_owned());
                    value.came(Via::Variable(key.clone()));
                }
            }
            if keys == Keys::Known {
                map.retain(|_, value| !value.is_null());
            }
        }
        // Only where variables are not replaced do lists live this long.
        Some(Value::List(items)) => {
            for item in items.iter_mut() {
                if let Value::Text(text) = &mut item.value
                    && let Some(found) = environment.get(text)
                {
                    *text = format!("{text}={found}");
                }
            }
            if keys == Keys::Known {
                items.retain(|item| item.as_text().is_some_and(|text| text.contains('=')));
            }
        }
        _ => {}
    }
}

/// What is left to do where a project's implied values are not filled in: keys take their value
/// from the environment all the same, and a resource without attributes is an empty one.
pub(crate) fn without(whole: &mut Node, environment: &Environment) {
    for service in whole.get_mut("services").and_then(Node::as_map_mut).into_iter().flat_map(Map::values_mut) {
        resolve(service.get_mut("environment"), environment, Keys::All);
    }
    for section in ["networks", "volumes"] {
        let entries = whole.get_mut(section).and_then(Node::as_map_mut);
        for entry in entries.into_iter().flat_map(Map::values_mut).filter(|entry| entry.is_null()) {
            entry.value = Value::Map(Map::default());
        }
    }
}

/// Adds the dependencies that links, shared namespaces and `volumes_from` imply.
fn implied_dependencies(service: &mut Map) {
    let mut implied: Vec<(String, bool, Node)> = Vec::new();
    let mut add = |name: &str, restart: bool, at: &Node| implied.push((name.to_owned(), restart, at.clone()));
    for link in service.get("links").and_then(Node::as_list).unwrap_or_default() {
        let text = link.as_text().unwrap_or_default();
        add(text.split_once(':').map_or(text, |(name, _)| name), true, link);
    }
    for attribute in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(node) = service.get(attribute) else { continue };
        if let Some(name) = node.as_text().and_then(|text| text.strip_prefix("service:")) {
            add(name, true, node);
        }
    }
    for volumes in service.get("volumes_from").and_then(Node::as_list).unwrap_or_default() {
        let text = volumes.as_text().unwrap_or_default();
        if !text.starts_with("container:") {
            add(text.split_once(':').map_or(text, |(name, _)| name), false, volumes);
        }
    }
    if implied.is_empty() {
        return;
    }
    let depends_on = service.entry("depends_on".to_owned()).or_insert_with(Node::map);
    let Some(depends_on) = depends_on.as_map_mut() else { return };
    for (name, restart, at) in implied {
        let mut dependency = Map::default();
        dependency.insert("condition".to_owned(), "service_started".into());
        dependency.insert("restart".to_owned(), restart.into());
        dependency.insert("required".to_owned(), true.into());
        let mut node = Node::from(Value::Map(dependency));
        node.key.clone_from(&at.span);
        node.span = at.span.clone();
        depends_on.entry(name).or_insert(node);
    }
}

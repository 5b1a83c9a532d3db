//! Phase: which services are enabled (spec rows `profile-*`), and which of them a command means.

use std::collections::{BTreeMap, BTreeSet};

use super::LoadOptions;
use super::environment::Environment;
use super::tree::{Map, Node};
use crate::diag::Diagnostic;

/// Takes the services that no active profile enables out of the tree and returns them.
pub(crate) fn disable(
    whole: &mut Node,
    options: &LoadOptions,
    environment: &Environment,
    diagnostics: &mut Vec<Diagnostic>,
) -> Map {
    let Some(services) = whole.get_mut("services").and_then(Node::as_map_mut) else { return Map::default() };
    let mut active: BTreeSet<String> = options.profiles.iter().cloned().collect();
    if active.is_empty() {
        let listed = environment.get("COMPOSE_PROFILES").unwrap_or_default();
        // Also the empty one: where nothing else is asked for, the profile `""` is active.
        active.extend(listed.split(',').map(str::trim).map(str::to_owned));
    }
    for name in &options.services {
        match services.get(name) {
            Some(service) if enabled(service, &active) => {}
            Some(service) => active.extend(profiles(service).map(str::to_owned)),
            None => {
                let diagnostic = Diagnostic::error(format!("there is no service `{name}`"), None);
                let near = crate::diag::nearest(name, services.keys().map(String::as_str));
                let names: Vec<&str> = services.keys().map(String::as_str).collect();
                diagnostics.push(match near {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None if names.is_empty() => diagnostic,
                    None => diagnostic.help(format!("the services are: {}", names.join(", "))),
                });
            }
        }
    }
    let (kept, disabled) = std::mem::take(services).into_iter().partition(|(_, service)| enabled(service, &active));
    *services = kept;
    disabled
}

/// Removes from the tree the services that are neither named nor needed by one that is.
pub(crate) fn select(whole: &mut Node, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let Some(services) = whole.get_mut("services").and_then(Node::as_map_mut) else { return };
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    let mut queue: Vec<String> = names.to_vec();
    while let Some(name) = queue.pop() {
        if let Some(service) = services.get(&name)
            && wanted.insert(name)
        {
            queue.extend(
                service.get("depends_on").and_then(Node::as_map).into_iter().flat_map(|map| map.keys().cloned()),
            );
        }
    }
    services.retain(|name, _| wanted.contains(name));
    // What is left is optional and not there (spec row `svc-depends-on-any-required`).
    for service in services.values_mut().filter_map(Node::as_map_mut) {
        let Some(needs) = service.get_mut("depends_on").and_then(Node::as_map_mut) else { continue };
        needs.retain(|name, _| wanted.contains(name));
        if needs.is_empty() {
            service.shift_remove("depends_on");
        }
    }
}

/// Removes networks, volumes, configs, secrets and models that no service uses (spec row `model-prune-unused`).
pub(crate) fn prune(whole: &mut Node) {
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for service in whole.get("services").and_then(Node::as_map).into_iter().flat_map(Map::values) {
        let keys = service.get("networks").and_then(Node::as_map).into_iter().flat_map(|map| map.keys().cloned());
        used.entry("networks").or_default().extend(keys);
        let models = service.get("models").and_then(Node::as_map).into_iter().flat_map(|map| map.keys().cloned());
        used.entry("models").or_default().extend(models);
        let build_secrets = service.get("build").and_then(|build| build.get("secrets"));
        for (section, list) in [
            ("volumes", service.get("volumes")),
            ("configs", service.get("configs")),
            ("secrets", service.get("secrets")),
            ("secrets", build_secrets),
        ] {
            for item in list.and_then(Node::as_list).unwrap_or_default() {
                let named = section != "volumes" || item.get("type").and_then(Node::as_text) == Some("volume");
                if let Some(source) = item.get("source").and_then(Node::as_text).filter(|_| named) {
                    used.entry(section).or_default().insert(source.to_owned());
                }
            }
        }
    }
    let none = BTreeSet::new();
    let Some(top) = whole.as_map_mut() else { return };
    for section in ["networks", "volumes", "configs", "secrets", "models"] {
        let keep = used.get(section).unwrap_or(&none);
        if let Some(entries) = top.get_mut(section).and_then(Node::as_map_mut) {
            entries.retain(|name, _| keep.contains(name));
        }
    }
    top.retain(|key, node| {
        key == "services" || node.as_map().is_none_or(|map| !map.is_empty()) || key.starts_with("x-")
    });
}

fn enabled(service: &Node, active: &BTreeSet<String>) -> bool {
    active.contains("*") || profiles(service).next().is_none() || profiles(service).any(|p| active.contains(p))
}

fn profiles(service: &Node) -> impl Iterator<Item = &str> {
    service.get("profiles").and_then(Node::as_list).unwrap_or_default().iter().filter_map(Node::as_text)
}

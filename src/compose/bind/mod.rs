//! Phase: tree to model. By now shapes are right; what can still be wrong is what only a value's
//! own grammar tells: addresses, signals, restart policies.

mod service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::model::{IpamPool, Network, Project, Volume};
use super::tree::{Map, Node};
use crate::diag::Diagnostic;
use crate::ids::{ProjectName, ServiceName};

/// Returns the model of a normalized tree whose services are the enabled ones.
pub(crate) fn project(
    whole: &Node,
    disabled: &Map,
    name: &str,
    folder: &Path,
    files: Vec<PathBuf>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Project> {
    let mut binder = Binder { diagnostics };
    let section = |key: &str| whole.get(key).and_then(Node::as_map).into_iter().flatten();
    let enabled = whole.get("services").and_then(Node::as_map)?;
    let mut services = IndexMap::with_capacity(enabled.len());
    for (key, node) in enabled {
        services.insert(ServiceName::new(key), binder.service(node, enabled));
    }
    let mut networks: IndexMap<String, Network> =
        section("networks").map(|(key, node)| (key.clone(), binder.network(node))).collect();
    let volumes = section("volumes").map(|(key, node)| (key.clone(), binder.volume(node, folder))).collect();
    if services.values().any(|service| service.networks.contains_key("default")) {
        networks.entry("default".to_owned()).or_insert_with(|| Network {
            name: format!("{name}_default"),
            external: false,
            driver: None,
            driver_opts: BTreeMap::new(),
            internal: false,
            enable_ipv6: false,
            ipam: Vec::new(),
            labels: BTreeMap::new(),
        });
    }
    Some(Project {
        name: ProjectName::new(name),
        working_dir: folder.to_owned(),
        files,
        services,
        disabled: disabled.keys().map(ServiceName::new).collect(),
        networks,
        volumes,
    })
}

struct Binder<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Binder<'_> {
    fn network(&mut self, node: &Node) -> Network {
        let pools = node.get("ipam").and_then(|ipam| ipam.get("config")).and_then(Node::as_list).unwrap_or_default();
        Network {
            name: text(node, "name").unwrap_or_default(),
            external: flag(node, "external"),
            driver: text(node, "driver"),
            driver_opts: texts_by_key(node, "driver_opts"),
            internal: flag(node, "internal"),
            enable_ipv6: flag(node, "enable_ipv6"),
            ipam: pools
                .iter()
                .map(|pool| IpamPool {
                    subnet: self.parse(pool.get("subnet"), "a subnet such as 10.5.0.0/16"),
                    gateway: self.parse(pool.get("gateway"), "an IP address"),
                    ip_range: self.parse(pool.get("ip_range"), "a range such as 10.5.1.0/24"),
                })
                .collect(),
            labels: texts_by_key(node, "labels"),
        }
    }

    fn volume(&mut self, node: &Node, folder: &Path) -> Volume {
        let mut driver_opts = texts_by_key(node, "driver_opts");
        let bound = driver_opts.get("o").is_some_and(|o| o.split(',').any(|o| matches!(o, "bind" | "rbind")));
        if let Some(device) = driver_opts.get_mut("device")
            && bound
        {
            // Without a driver the reference prints it as it is written; it is one of the project all the same.
            *device = folder.join(&*device).components().collect::<PathBuf>().display().to_string();
        }
        Volume {
            name: text(node, "name").unwrap_or_default(),
            external: flag(node, "external"),
            driver: text(node, "driver"),
            driver_opts,
            labels: texts_by_key(node, "labels"),
        }
    }

    /// Reads a text by its own grammar, or reports that it is not what is named.
    fn parse<T: std::str::FromStr>(&mut self, node: Option<&Node>, what: &str) -> Option<T> {
        let node = node?;
        let text = node.as_text()?;
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(value) => Some(value),
            Err(_) => {
                self.error(node, format!("{text:?} is not {what}"));
                None
            }
        }
    }

    fn error(&mut self, node: &Node, message: String) {
        self.diagnostics.push(Diagnostic::error(message, node.span.clone().or_else(|| node.key.clone())));
    }
}

/// Returns a text that is not empty.
fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::as_text).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn flag(node: &Node, key: &str) -> bool {
    node.get(key).is_some_and(Node::is_true)
}

fn texts(node: &Node, key: &str) -> Vec<String> {
    let items = node.get(key).and_then(Node::as_list).unwrap_or_default();
    items.iter().filter_map(Node::as_text).map(str::to_owned).collect()
}

fn texts_by_key(node: &Node, key: &str) -> BTreeMap<String, String> {
    let entries = node.get(key).and_then(Node::as_map).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_text()?.to_owned()))).collect()
}

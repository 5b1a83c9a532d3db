//! Phase: tree to model. By now shapes are right; what can still be wrong is what only a value's
//! own grammar tells: addresses, signals, restart policies.
//!
//! A mistake that would keep the project from running is an error at its place. One in an
//! attribute that has a meaning elsewhere only (in a cluster, on Windows) is a warning: it never
//! keeps anything from running.

mod build;
mod deploy;
mod develop;
mod device;
mod limits;
mod mount;
mod namespace;
mod network;
mod read;
mod service;
mod storage;
mod x_stack;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::model::{Network, Project};
use super::tree::{Map, Node};
use crate::diag::Diagnostic;
use crate::ids::{ProjectName, ServiceName};
use read::entries;

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
    let enabled = whole.get("services").and_then(Node::as_map)?;
    let x_stack = binder.project_x_stack(whole);
    let mut services = IndexMap::with_capacity(enabled.len());
    for (key, node) in enabled {
        services.insert(ServiceName::new(key), binder.service(node, enabled, &x_stack));
    }
    let mut networks: IndexMap<String, Network> =
        entries(whole, "networks").map(|(key, node)| (key.clone(), binder.network(node))).collect();
    if services.values().any(|service| service.networks.contains_key("default")) {
        let default = || Network { name: format!("{name}_default"), ..Network::default() };
        networks.entry("default".to_owned()).or_insert_with(default);
    }
    Some(Project {
        name: ProjectName::new(name),
        working_dir: folder.to_owned(),
        files,
        services,
        disabled: disabled.keys().map(ServiceName::new).collect(),
        networks,
        volumes: entries(whole, "volumes").map(|(key, node)| (key.clone(), storage::volume(node, folder))).collect(),
        configs: entries(whole, "configs").map(|(key, node)| (key.clone(), storage::config(node))).collect(),
        secrets: entries(whole, "secrets").map(|(key, node)| (key.clone(), storage::secret(node))).collect(),
        models: entries(whole, "models").map(|(key, node)| (key.clone(), storage::model(node))).collect(),
    })
}

struct Binder<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
}

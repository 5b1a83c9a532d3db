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
mod words;
mod x_stack;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::model::{Network, Project};
use super::tree::{Map, Node};
use crate::diag::{Diagnostic, Severity};
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
        configs: entries(whole, "configs").map(|(key, node)| (key.clone(), storage::content(node))).collect(),
        secrets: entries(whole, "secrets").map(|(key, node)| (key.clone(), storage::content(node))).collect(),
        models: entries(whole, "models").map(|(key, node)| (key.clone(), storage::model(node))).collect(),
    })
}

/// What stands below a place that keeps a project from running, where it is only printed.
pub(crate) const REFUSED: &str = "`up` refuses this";

/// Returns what a value's own grammar tells, where no model is made: the project would not run, but it can be printed.
/// Only attributes that have such a grammar are looked at.
pub(crate) fn words(whole: &Node) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut binder = Binder { diagnostics: &mut diagnostics };
    let x_stack = binder.project_x_stack(whole);
    for (_, service) in entries(whole, "services") {
        binder.service_words(service, &x_stack);
    }
    for (_, network) in entries(whole, "networks") {
        binder.network(network);
    }
    for diagnostic in diagnostics.iter_mut().filter(|diagnostic| diagnostic.severity == Severity::Error) {
        diagnostic.severity = Severity::Warning;
        diagnostic.label = REFUSED.to_owned();
    }
    diagnostics
}

struct Binder<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
}

//! What means nothing on one Linux machine: attributes of Windows, of swarms, of model runners.

use super::super::environment::Environment;
use super::super::schema::{Field, Force, Object, Shape, TOP};
use super::super::tree::{Map, Node, Value};
use super::{Findings, nested};
use crate::diag::Diagnostic;

/// Returns warnings about what means nothing here, and about nothing else, for a tree whose services are the enabled ones.
pub(crate) fn elsewhere(whole: &Node, environment: &Environment) -> Vec<Diagnostic> {
    let mut found = Findings { special: variables(environment).collect(), ..Findings::default() };
    if let Some(top) = whole.as_map() {
        found.marked(top, &marked(&TOP, ""));
    }
    for (_, service) in whole.get("services").and_then(Node::as_map).into_iter().flatten() {
        found.mounts_elsewhere(service);
    }
    for (name, network) in whole.get("networks").and_then(Node::as_map).into_iter().flatten() {
        if network.get("driver").and_then(Node::as_text) == Some("overlay") {
            found.network_driver(name, network);
        }
    }
    found.finish()
}

/// Returns warnings about variables that choose another engine, or a way of Compose that is gone (spec row
/// `envvar-legacy`).
pub(crate) fn variables(environment: &Environment) -> impl Iterator<Item = Diagnostic> {
    const HERE: &str = "containers run on this machine";
    const GONE: &str = "nothing here is experimental";
    let known = [
        ("DOCKER_HOST", HERE),
        ("DOCKER_CONTEXT", HERE),
        ("DOCKER_TLS", HERE),
        ("DOCKER_TLS_VERIFY", HERE),
        ("DOCKER_CERT_PATH", HERE),
        ("COMPOSE_EXPERIMENTAL", GONE),
        ("COMPOSE_EXPERIMENTAL_GIT_REMOTE", GONE),
        ("COMPOSE_EXPERIMENTAL_OCI_REMOTE", GONE),
        ("COMPOSE_CONVERT_WINDOWS_PATHS", "paths are those of Linux"),
    ];
    known
        .into_iter()
        .filter(|(name, _)| environment.get(name).is_some_and(|value| !value.is_empty()))
        .map(|(name, why)| Diagnostic::warning(format!("{name} is ignored: {why}"), None))
}

/// An attribute that means nothing here, or one that may hold such attributes. There are few, so a large file is not
/// looked through attribute by attribute.
struct Marked {
    field: &'static Field,
    path: String,
    below: Vec<Marked>,
}

/// Returns those of a table.
fn marked(table: &'static Object, path: &str) -> Vec<Marked> {
    let one = |field: &'static Field| {
        let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        let mut inside = path.clone();
        let below = match (field.force, table_in(&field.shape, &mut inside)) {
            (Force::Elsewhere(_), _) | (_, None) => Vec::new(),
            (_, Some(table)) => marked(table, &inside),
        };
        Marked { field, path, below }
    };
    let counts = |marked: &Marked| matches!(marked.field.force, Force::Elsewhere(_)) || !marked.below.is_empty();
    table.fields.iter().map(one).filter(counts).collect()
}

/// Returns the table that a shape is made of, and writes `.*` behind the path of a mapping of such.
fn table_in(shape: &'static Shape, path: &mut String) -> Option<&'static Object> {
    match shape {
        Shape::Object(table) => Some(table),
        Shape::Short(_, long) => table_in(long, path),
        Shape::List(item, _) => table_in(item, path),
        Shape::Map(values) if nested(&values.shape) => {
            path.push_str(".*");
            table_in(&values.shape, path)
        }
        _ => None,
    }
}

impl Findings {
    fn marked(&mut self, map: &Map, all: &[Marked]) {
        for marked in all {
            let Some(node) = map.get(marked.field.name).filter(|node| !node.is_null()) else { continue };
            match marked.field.force {
                Force::Elsewhere(why) => self.add(&marked.path, why, node),
                Force::No(_) | Force::Yes => self.marked_in(node, &marked.field.shape, &marked.below),
            }
        }
    }

    fn marked_in(&mut self, node: &Node, shape: &Shape, below: &[Marked]) {
        match (shape, &node.value) {
            (Shape::Short(_, long), _) => self.marked_in(node, long, below),
            (Shape::Object(_), Value::Map(map)) => self.marked(map, below),
            (Shape::Map(values), Value::Map(map)) => {
                map.values().for_each(|node| self.marked_in(node, &values.shape, below));
            }
            (Shape::List(item, _), Value::List(items)) => {
                items.iter().for_each(|node| self.marked_in(node, item, below));
            }
            _ => {}
        }
    }

    /// Mounts of Windows and of swarms (spec row `vol-type-foreign`).
    pub(super) fn mounts_elsewhere(&mut self, service: &Node) {
        for mount in service.get("volumes").and_then(Node::as_list).unwrap_or_default() {
            if let Some(kind @ ("npipe" | "cluster")) = mount.get("type").and_then(Node::as_text) {
                let message = format!("mounts of the type {kind} are ignored: there are none on one Linux machine");
                self.special.push(Diagnostic::warning(message, mount.span.clone()).help("this mount is left out"));
            }
        }
    }

    /// Drivers for networks of several hosts or of hardware (spec row `net-driver-overlay`).
    pub(super) fn network_driver(&mut self, name: &str, network: &Node) {
        let Some(node) = network.get("driver") else { return };
        let driver = node.as_text().unwrap_or_default();
        if !matches!(driver, "" | "default" | "bridge" | "host" | "none" | "null") {
            let message = format!("the network driver {driver} is not in force: `{name}` is a bridge on this machine");
            self.special.push(Diagnostic::warning(message, node.span.clone()));
        }
    }
}

//! Short forms and what they stand for.

mod ports;
mod volumes;

use super::canonical::Context;
use super::tree::{Map, Mark, Node, Path, Value};
use crate::diag::Diagnostic;

/// Which short form a value may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Convert {
    /// `include: [path]`.
    IncludePath,
    /// `build: context`.
    Build,
    /// `env_file: path`, or a list of paths.
    EnvFiles,
    /// `ports`: numbers and strings, ranges expanded.
    Ports,
    /// `source:target:options`.
    Volume,
    /// A list of names in place of a mapping.
    Names,
    /// `depends_on`: a list of names.
    DependsOn,
    /// `extends: service`.
    Extends,
    /// A secret or config by its name.
    Source,
    /// `host:container:permissions`.
    Device,
    /// `gpus: all`.
    Gpus,
    /// One number in place of `{soft, hard}`.
    Ulimit,
    /// `published`: a number is another port than the text of it until all files are merged, as in the reference.
    Published,
    /// `count: all`.
    DeviceCount,
    /// `restart: false`, which is how some write `"no"`.
    Restart,
    /// `external: {name: ...}` (spec rows `*-external-name`).
    External,
}

/// Whether the long form is still to be looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It is.
    Continue,
    /// The value is done, or was reported.
    Done,
}

impl Convert {
    /// Turns a short form into the long one.
    pub(crate) fn apply(self, node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) -> Flow {
        let in_json = matches!(self, Self::Ulimit) && written_as_json(node);
        match (self, &mut node.value) {
            (Self::IncludePath, Value::Text(_)) => wrap(node, "path"),
            (Self::Build, Value::Text(_)) => wrap(node, "context"),
            (Self::Extends, Value::Text(_)) => wrap(node, "service"),
            (Self::Source, Value::Text(_)) => wrap(node, "source"),
            (Self::EnvFiles, _) => env_files(node),
            (Self::Ports, Value::List(_)) => return ports::expand(node, path, cx),
            (Self::Volume, Value::Text(_)) => return volumes::expand(node, path, cx),
            (Self::Names, Value::List(_)) => names(node, path, cx, |_| Value::Null),
            (Self::DependsOn, Value::List(_)) => names(node, path, cx, |_| {
                let entries = [("condition", Node::from("service_started")), ("required", Node::from(true))];
                Value::Map(entries.into_iter().map(|(key, node)| (key.to_owned(), node)).collect())
            }),
            (Self::Device, Value::Text(_)) => return device(node, path, cx),
            (Self::Gpus, Value::Text(text)) if text == "all" => {
                let mut request = Node::map();
                if let Some(map) = request.as_map_mut() {
                    map.insert("count".to_owned(), "all".into());
                }
                node.value = Value::List(vec![request.placed_as(node)]);
            }
            (Self::Ulimit, Value::Int(0)) if !cx.raw => no_limit(node),
            // This is how the reference's JSON has that; in YAML it says nothing.
            (Self::Ulimit, Value::Map(map)) if map.is_empty() && in_json => no_limit(node),
            (Self::Ulimit, Value::Int(_)) => return Flow::Done,
            (Self::Ulimit, Value::Text(text)) => match text.parse() {
                Ok(0) => no_limit(node),
                Ok(number) => {
                    node.value = Value::Int(number);
                    return Flow::Done;
                }
                Err(_) => {
                    cx.wrong(node, path, "a whole number or {soft, hard}");
                    return Flow::Done;
                }
            },
            (Self::Published, Value::Int(_)) => return Flow::Done,
            (Self::DeviceCount, Value::Text(_)) if cx.raw => return Flow::Done,
            (Self::DeviceCount, Value::Text(text)) if text.eq_ignore_ascii_case("all") => node.value = Value::Int(-1),
            (Self::Restart, Value::Bool(false)) => {
                let message = format!("`{path}`: the boolean is taken for the word \"no\"");
                cx.warn(node, message, "write \"no\", in quotes");
                node.value = Value::Text("no".to_owned());
            }
            (Self::External, Value::Map(_)) => external(node, path, cx),
            (Self::Build | Self::Extends | Self::Source | Self::Volume | Self::Device, Value::Map(_)) => {}
            (Self::Build | Self::Extends | Self::Source | Self::Volume | Self::Device, _) => {
                cx.wrong(node, path, "a string or a mapping");
                return Flow::Done;
            }
            _ => {}
        }
        Flow::Continue
    }

    /// Returns what is expected where the long form alone would not say it.
    pub(crate) fn expected(self) -> Option<&'static str> {
        match self {
            Self::IncludePath | Self::Build | Self::Extends | Self::Source | Self::Volume | Self::Device => {
                Some("a string or a mapping")
            }
            Self::EnvFiles => Some("a string or list"),
            Self::Names | Self::DependsOn => Some("a list or mapping"),
            _ => None,
        }
    }
}

/// Makes `{soft: 0, hard: 0}` of one zero, as the reference does.
fn no_limit(node: &mut Node) {
    let zero = Node { span: node.span.clone(), ..Node::from(Value::Int(0)) };
    node.value = Value::Map(Map::from_iter([("soft".to_owned(), zero.clone()), ("hard".to_owned(), zero)]));
}

/// Returns true for what stands in JSON, as `config` prints it.
fn written_as_json(node: &Node) -> bool {
    node.span.as_ref().is_some_and(|span| span.source.text.starts_with('{'))
}

/// Makes `{key: value}` of a value.
fn wrap(node: &mut Node, key: &str) {
    let value = Node { value: std::mem::replace(&mut node.value, Value::Null), ..node.clone() };
    let value = Node { mark: Mark::None, ..value };
    node.value = Value::Map(Map::from_iter([(key.to_owned(), value)]));
}

fn env_files(node: &mut Node) {
    if node.as_text().is_some() {
        let item = Node { key: None, mark: Mark::None, ..node.clone() };
        node.value = Value::List(vec![item]);
    }
    if let Value::List(items) = &mut node.value {
        for item in items.iter_mut().filter(|item| item.as_text().is_some()) {
            wrap(item, "path");
        }
    }
}

fn names(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>, value: impl Fn(&str) -> Value) {
    let Value::List(items) = &mut node.value else { return };
    let mut map = Map::with_capacity_and_hasher(items.len(), Default::default());
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        if item.mark == Mark::Reset {
            continue;
        }
        match item.as_text() {
            Some(name) => {
                let mut entry = Node::from(value(name));
                entry.span.clone_from(&item.span);
                entry.key.clone_from(&item.span);
                entry.trail.clone_from(&item.trail);
                if map.insert(name.to_owned(), entry).is_some() {
                    cx.invalid(&item, &path.index(index), &format!("{name:?} is listed twice"), "remove one of them");
                }
            }
            None => cx.wrong(&item, &path.index(index), "a string"),
        }
    }
    node.value = Value::Map(map);
}

fn device(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) -> Flow {
    let text = node.as_text().unwrap_or_default();
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => {
            let help = "use the long form: {source: ..., target: ..., permissions: ...}";
            cx.invalid(node, path, "too many colons in a device", help);
            return Flow::Done;
        }
    };
    let target = if target.is_empty() { source } else { target };
    let entries = [("source", source), ("target", target), ("permissions", permissions)];
    node.value =
        Value::Map(entries.into_iter().map(|(key, text)| (key.to_owned(), Node::from(text).placed_as(node))).collect());
    Flow::Continue
}

fn external(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) {
    let Value::Map(map) = &mut node.value else { return };
    let Some(external) = map.get_mut("external") else { return };
    let Value::Map(inner) = &mut external.value else { return };
    let name = inner.shift_remove("name");
    for (key, node) in inner.iter().filter(|(key, _)| !key.starts_with("x-")) {
        let message = format!("`{path}.external` has no attribute `{key}`");
        cx.diagnostics.push(Diagnostic::error(message, node.key_or_span()).label("unknown"));
    }
    external.value = Value::Bool(true);
    let span = external.key_or_span();
    let warning = Diagnostic::warning(format!("`{path}.external.name` is deprecated"), span)
        .help("write `external: true` and `name:` beside it");
    cx.diagnostics.push(warning);
    if let Some(name) = name {
        match map.get("name") {
            Some(other) if *other != name => {
                let message = format!("`{path}` has two different names");
                cx.diagnostics.push(Diagnostic::error(message, name.span).help("keep only `name:`"));
            }
            Some(_) => {}
            None => {
                map.insert("name".to_owned(), name);
            }
        }
    }
}

/// Brings `extra_hosts` into a list of `host=address` (spec row `svc-extra-hosts`).
pub(crate) fn hosts(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) {
    let mut entries: Vec<Node> = Vec::new();
    let mut add = |host: &str, addresses: &str, at: &Node| {
        for address in addresses.split(',') {
            let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
            entries.push(Node::from(format!("{host}={address}")).at(at));
        }
    };
    match &node.value {
        Value::Map(map) => {
            for (host, value) in map.iter().filter(|(_, value)| value.mark != Mark::Reset) {
                if host.is_empty() {
                    cx.nameless(value, path);
                }
                match &value.value {
                    Value::Text(address) => add(host, address, value),
                    Value::List(items) if items.iter().all(|item| item.as_text().is_some()) => {
                        items.iter().for_each(|item| add(host, item.as_text().unwrap_or_default(), item));
                    }
                    _ => cx.wrong(value, &path.key(host), "an address or a list of addresses"),
                }
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate().filter(|(_, item)| item.mark != Mark::Reset) {
                let path = path.index(index);
                match item.as_text().map(|text| (text, text.split_once('=').or_else(|| text.split_once(':')))) {
                    Some((_, Some((host, address)))) if !host.is_empty() => add(host, address, item),
                    Some((text, _)) if cx.raw && text.contains('$') => return,
                    Some((text, _)) => {
                        cx.invalid(item, &path, "an extra host needs a name and an address", "write HOST=ADDRESS");
                        add(text, "", item);
                    }
                    None => cx.wrong(item, &path, "a string HOST=ADDRESS"),
                }
            }
        }
        _ => return cx.wrong(node, path, "a mapping or a list of HOST=ADDRESS"),
    }
    node.value = Value::List(entries);
}

/// Identity of what stands for itself.
pub(crate) fn whole(node: &Node) -> Option<String> {
    node.scalar_text()
}

/// Identity of an env file: its path.
pub(crate) fn path_of(node: &Node) -> Option<String> {
    node.get("path").and_then(Node::as_text).map(str::to_owned)
}

/// Identity of a mount or device: where it is in the container.
pub(crate) fn target_of(node: &Node) -> Option<String> {
    node.get("target").and_then(Node::as_text).map(str::to_owned)
}

/// Identity of a secret: the file it becomes.
pub(crate) fn secret_target(node: &Node) -> Option<String> {
    grant_target(node, "/run/secrets/")
}

/// Identity of a config: the file it becomes.
pub(crate) fn config_target(node: &Node) -> Option<String> {
    grant_target(node, "/")
}

fn grant_target(node: &Node, folder: &str) -> Option<String> {
    target_of(node).or_else(|| Some(format!("{folder}{}", node.get("source")?.as_text()?)))
}

/// Identity of a port: all of host address, published and container port, protocol.
pub(crate) fn port_identity(node: &Node) -> Option<String> {
    if let (Value::Text(_) | Value::Int(_), Some(short)) = (&node.value, node.scalar_text()) {
        return Some(short);
    }
    let text = |key: &str| node.get(key).and_then(Node::scalar_text);
    let number = if node.get("published").and_then(Node::as_int).is_some() { "number " } else { "" };
    Some(format!(
        "{}:{number}{}:{}/{}",
        text("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned()),
        text("published").unwrap_or_default(),
        text("target")?,
        text("protocol").unwrap_or_else(|| "tcp".to_owned())
    ))
}

//! What the fuzz targets do with their input, and what must hold for every one of them.
//!
//! The loader's modules are links to those of the program: they are built here without the rest of it.

#![allow(dead_code, unused_imports, reason = "the parts that only the rest of the program uses")]

pub mod compose;
pub mod diag;
pub mod ids;
pub mod secrecy;
pub mod spec;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compose::files::Memory;
use compose::template::{self, Variables};
use compose::tree::{Node, Value};
use compose::{LoadOptions, Loaded};
use diag::{Diagnostic, Severity};

/// Where all files are.
const FOLDER: &str = "/work/demo";

/// Loads a project. The input is one or more files; a line `=== NAME` begins the next one. A file named
/// `$environment` is the process environment. What comes before the first such line is `stack.yml`.
pub fn load(input: &[u8]) {
    let mut files = split(input);
    let environment = files.remove(Path::new(FOLDER).join("$environment").as_path()).unwrap_or_default();
    let environment = String::from_utf8_lossy(&environment);
    let environment = environment.lines().filter_map(|line| line.split_once('='));
    let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    check(files, environment);
}

/// Loads a service with one attribute: the input's first line is its name, the rest its text.
pub fn short(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some((name, value)) = text.split_once('\n') else { return };
    // An empty `build` is printed without its context, as the reference does it.
    if name == "build" && value.is_empty() {
        return;
    }
    let Some(name) = SHORT.iter().find(|known| **known == name) else { return };
    let value = serde_json::Value::from(value);
    let value = if LISTS.contains(name) { vec![value].into() } else { value };
    let service = serde_json::json!({"image": "x", *name: value});
    let file = serde_json::json!({"services": {"a": service}, "volumes": {"v": null}, "networks": {"n": null}});
    check([(Path::new(FOLDER).join("stack.yml"), file.to_string().into_bytes())].into(), BTreeMap::new());
}

const SHORT: [&str; 31] = [
    "ports", "volumes", "command", "entrypoint", "devices", "extra_hosts", "mem_limit", "stop_grace_period", "restart",
    "tmpfs", "image", "env_file", "environment", "labels", "expose", "build", "extends", "depends_on", "healthcheck",
    "network_mode", "user", "shm_size", "cpus", "links", "volumes_from", "sysctls", "security_opt", "secrets",
    "configs", "pull_policy", "ulimits",
];
const LISTS: [&str; 11] = [
    "ports", "volumes", "devices", "extra_hosts", "depends_on", "links", "volumes_from", "security_opt", "secrets",
    "configs", "environment",
];

/// Replaces variables in a text.
pub fn interpolate(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut world = World;
    let replaced = template::substitute(text, &mut world);
    if !text.contains('$') {
        assert_eq!(replaced.as_deref(), Ok(text));
    }
    for template::Mention { name, .. } in template::mentions(text) {
        assert!(text.contains(&name));
    }
    assert_eq!(template::substitute(&text.replace('$', "$$"), &mut world).as_deref(), Ok(text));
}

struct World;

impl Variables for World {
    fn value(&self, name: &str) -> Option<String> {
        match name {
            "A" => Some("a".to_owned()),
            "D" => Some("$A ${B:-c} $$".to_owned()),
            "E" => Some(String::new()),
            "L" => Some("long ".repeat(1000)),
            _ => None,
        }
    }

    fn unset(&mut self, _name: &str) {}
}

/// Reads an env file as `.env`, as an `env_file` in both dialects, and as a `label_file`.
pub fn dotenv(input: &[u8]) {
    let file = "services:\n  a: {image: x, env_file: [.env, {path: .env, format: raw}], label_file: .env}\n  b: {image: x, env_file: .env}\n";
    let files = [("stack.yml", file.as_bytes()), (".env", input)];
    let files = files.map(|(name, bytes)| (Path::new(FOLDER).join(name), bytes.to_vec()));
    let environment = [("OUT", "outside"), ("EMPTY", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    check(files.into(), environment.into());
}

fn split(input: &[u8]) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut current = Path::new(FOLDER).join("stack.yml");
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let name = line.strip_prefix(b"=== ").and_then(|name| std::str::from_utf8(name).ok());
        match name {
            Some(name) => {
                current = Path::new(FOLDER).join(name.trim_end());
                files.entry(current.clone()).or_default();
            }
            None => files.entry(current.clone()).or_default().extend_from_slice(line),
        }
    }
    files
}

/// Loads files, and what is printed for them.
fn check(files: BTreeMap<PathBuf, Vec<u8>>, environment: BTreeMap<String, String>) {
    let memory = Memory { files };
    // What depends on a service that is off is printed, the service is not.
    let profiles = vec!["*".to_owned()];
    let disk = Arc::new(memory.clone());
    let options = LoadOptions { cwd: FOLDER.into(), environment, disk, profiles, ..LoadOptions::default() };
    let loaded = compose::load(&options);
    sound(&loaded);
    // As `--no-interpolate` does; what comes of it need not be valid.
    sound(&compose::load(&LoadOptions { interpolate: false, ..options.clone() }));
    let Some(tree) = &loaded.tree else { return };
    let again = |text: &str| {
        let mut memory = memory.clone();
        memory.files.insert(Path::new(FOLDER).join("printed.yml"), text.as_bytes().to_vec());
        let files = vec!["printed.yml".into()];
        let loaded = compose::load(&LoadOptions { files, disk: Arc::new(memory), ..options.clone() });
        sound(&loaded);
        loaded
    };
    // What runs is printed so that it is read again: the reference leaves out zeros (a port 0), also where they are a
    // mistake, and an empty name, which is then read as the key. It leaves out a count of no devices, too: read as all.
    if loaded.unsupported.iter().any(|d| d.severity == Severity::Error) || nameless(tree) || counts_none(tree) {
        return;
    }
    let text = compose::config_yaml(tree);
    let printed = again(&text);
    let Some(tree) = &printed.tree else {
        panic!("what was printed is not accepted: {:?}\n{text}", printed.diagnostics.first().map(|d| &d.message))
    };
    let same = compose::config_yaml(tree);
    // Keys are escaped, as the reference does it, but variables in keys are not replaced.
    let (text, same) = if dollar_in_key(tree) { (text.replace('$', ""), same.replace('$', "")) } else { (text, same) };
    assert!(same == text, "what was printed changes:\n{text}\n---\n{same}");
    // The reference's JSON has attributes that are empty and that it would not accept itself.
    let text = compose::config_json(tree).to_string();
    if let Some(tree) = again(&text).tree.as_ref().filter(|tree| !dollar_in_key(tree)) {
        let same = compose::config_json(tree).to_string();
        assert!(same == text, "what was printed as JSON changes:\n{text}\n---\n{same}");
    }
}

/// Whether a network or a volume, a secret or a config has the name "".
fn nameless(tree: &Node) -> bool {
    ["networks", "volumes", "secrets", "configs"].iter().filter_map(|section| tree.get(section)?.as_map()).any(|section| {
        section.values().any(|node| node.get("name").and_then(Node::as_text).is_none_or(str::is_empty))
    })
}

/// Whether a request of devices had `count: 0`: without one it would have a number or ids.
fn counts_none(node: &Node) -> bool {
    match &node.value {
        Value::Map(map) => {
            let request = map.contains_key("capabilities") && !map.contains_key("count") && !map.contains_key("device_ids");
            request || map.values().any(counts_none)
        }
        Value::List(items) => items.iter().any(counts_none),
        _ => false,
    }
}

fn dollar_in_key(node: &Node) -> bool {
    match &node.value {
        Value::Map(map) => map.iter().any(|(key, node)| key.contains('$') || dollar_in_key(node)),
        Value::List(items) => items.iter().any(dollar_in_key),
        _ => false,
    }
}

/// What holds for everything that was loaded.
fn sound(loaded: &Loaded) {
    let failed = loaded.diagnostics.iter().any(|d| d.severity == Severity::Error);
    assert!(loaded.tree.is_none() == failed, "errors and a tree, or neither: {:?}", loaded.diagnostics);
    loaded.diagnostics.iter().chain(&loaded.unsupported).for_each(placed);
    assert!(loaded.diagnostics.len() <= compose::limits::MAX_DIAGNOSTICS + 1);
}

/// A place lies in its text, and between characters.
fn placed(diagnostic: &Diagnostic) {
    if let Some(span) = &diagnostic.span {
        let text = span.source.text.get(span.start..span.end);
        assert!(text.is_some(), "{}..{} is no place for {}", span.start, span.end, diagnostic.message);
        span.line_column();
    }
}

//! The model: every attribute of the tables arrives in it, in its own type.

mod values;

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::{diagnose_running, load_files};
use crate::compose::bind;
use crate::compose::model::Project;
use crate::compose::schema::{Object, Shape, TOP};
use crate::diag::{Diagnostic, Severity, Span};

/// Every attribute there is.
const FULL: &str = include_str!("model/full.yml");

/// What loading uses up, so that nothing is left to say.
const USED_UP: [&str; 3] = ["version", "include", "services.*.extends"];

/// Attributes that have another place in the model than in the file: a place in the file, and
/// that of the model for it.
const PLACES: [(&str, &str); 30] = [
    ("services.*.healthcheck.disable", "services.*.healthcheck.test"),
    ("services.*.provider.type", "services.*.provider.kind"),
    ("services.*.volumes[].type", "services.*.volumes[].kind.type"),
    ("services.*.volumes[].source", "services.*.volumes[].kind.source"),
    ("services.*.volumes[].bind", "services.*.volumes[].kind"),
    ("services.*.volumes[].volume", "services.*.volumes[].kind"),
    ("services.*.volumes[].tmpfs", "services.*.volumes[].kind"),
    ("services.*.volumes[].image", "services.*.volumes[].kind"),
    ("services.*.volumes[].bind.propagation", "services.*.volumes[].kind.propagation"),
    ("services.*.volumes[].bind.create_host_path", "services.*.volumes[].kind.create_host_path"),
    ("services.*.volumes[].bind.recursive", "services.*.volumes[].kind.recursive"),
    ("services.*.volumes[].bind.selinux", "services.*.volumes[].kind.selinux"),
    ("services.*.volumes[].volume.nocopy", "services.*.volumes[].kind.nocopy"),
    ("services.*.volumes[].volume.subpath", "services.*.volumes[].kind.subpath"),
    ("services.*.volumes[].volume.labels", "services.*.volumes[].kind.labels"),
    ("services.*.volumes[].tmpfs.size", "services.*.volumes[].kind.size"),
    ("services.*.volumes[].tmpfs.mode", "services.*.volumes[].kind.mode"),
    ("services.*.volumes[].image.subpath", "services.*.volumes[].kind.subpath"),
    (
        "services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec",
        "services.*.deploy.resources.reservations.generic_resources[]",
    ),
    (
        "services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec.kind",
        "services.*.deploy.resources.reservations.generic_resources[].kind",
    ),
    (
        "services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec.value",
        "services.*.deploy.resources.reservations.generic_resources[].value",
    ),
    ("configs.*.file", "configs.*.source.file"),
    ("configs.*.environment", "configs.*.source.environment"),
    ("configs.*.content", "configs.*.source.content"),
    ("configs.*.external", "configs.*.source"),
    ("secrets.*.file", "secrets.*.source.file"),
    ("secrets.*.environment", "secrets.*.source.environment"),
    ("secrets.*.external", "secrets.*.source"),
    // A number stands for both.
    ("services.*.ulimits.*.soft", "services.*.ulimits.*.soft"),
    ("services.*.ulimits.*.hard", "services.*.ulimits.*.hard"),
];

fn full() -> Project {
    let files: [(&str, &[u8]); 3] = [("stack.yml", FULL.as_bytes()), ("a.env", b"FROM=file\n"), ("l.env", b"l=file\n")];
    let loaded = load_files(&files, |options| options.profiles = vec!["some".into()]);
    let errors: Vec<_> = loaded.diagnostics.iter().chain(&loaded.unsupported).collect();
    // Such a project cannot run, but has a model.
    let of_grammar = |message: &str| !message.contains("which is not possible yet");
    let errors = errors.into_iter().filter(|d| d.severity == Severity::Error && of_grammar(&d.message));
    let errors: Vec<_> = errors.map(super::line).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    loaded.project.unwrap()
}

/// Returns the places of all attributes of a table.
fn attributes(table: &'static Object, place: &str, found: &mut BTreeSet<String>) {
    for field in table.fields {
        let place = if place.is_empty() { field.name.to_owned() } else { format!("{place}.{}", field.name) };
        nested(&field.shape, &place, found);
        found.insert(place);
    }
}

fn nested(shape: &'static Shape, place: &str, found: &mut BTreeSet<String>) {
    match shape {
        Shape::Object(table) => attributes(table, place, found),
        Shape::Map(values) => nested(&values.shape, &format!("{place}.*"), found),
        Shape::List(item, _) => nested(item, &format!("{place}[]"), found),
        Shape::Short(_, long) => nested(long, place, found),
        _ => {}
    }
}

/// Returns whether the model says something at a place of its own.
fn says(json: &Json, place: &str) -> bool {
    let (step, rest) = place.split_once('.').map_or((place, None), |(step, rest)| (step, Some(rest)));
    let (key, list) = step.strip_suffix("[]").map_or((step, false), |key| (key, true));
    let below = |json: &Json| match rest {
        Some(rest) => says(json, rest),
        None => !json.is_null(),
    };
    let here =
        |json: &Json| if list { json.as_array().is_some_and(|items| items.iter().any(below)) } else { below(json) };
    match json {
        Json::Object(map) if key == "*" => map.values().any(here),
        Json::Object(map) => map.get(key).is_some_and(here),
        _ => false,
    }
}

#[test]
fn every_attribute_of_the_tables_is_in_the_model() {
    let json = serde_json::to_value(full()).unwrap();
    let mut places = BTreeSet::new();
    attributes(&TOP, "", &mut places);
    assert!(places.len() > 300, "{}", places.len());
    let used_up = |place: &str| {
        USED_UP.iter().any(|used| {
            place == *used || place.starts_with(&format!("{used}.")) || place.starts_with(&format!("{used}[]"))
        })
    };
    let missing: Vec<_> = places
        .iter()
        .filter(|place| !used_up(place))
        .filter(|place| {
            let own = PLACES.iter().find(|(file, _)| file == place).map_or(place.as_str(), |(_, model)| model);
            !says(&json, own)
        })
        .collect();
    assert!(missing.is_empty(), "these attributes have no value in the model: {missing:#?}");
    for (file, _) in PLACES {
        assert!(places.contains(file), "no table has {file}");
    }
}

#[test]
fn the_model_comes_back_from_json_as_it_was() {
    let project = full();
    let text = serde_json::to_string(&project).unwrap();
    assert_eq!(serde_json::from_str::<Project>(&text).unwrap(), project);
}

#[test]
fn what_is_not_given_is_not_written() {
    let loaded = load_files(&[("stack.yml", b"services: {a: {image: x}}")], |_| {});
    let project = loaded.project.unwrap();
    assert_eq!(
        serde_json::to_value(&project.services["a"]).unwrap(),
        json!({"image": "x", "networks": {"default": {}}})
    );
}

/// Returns what is said about a service with these attributes when the project is to run,
/// without what is not in force.
fn check(attributes: &str, expected: &[&str]) {
    let text = format!(
        "services: {{b: {{image: x}}, a: {{image: x, {attributes}}}}}\nconfigs: {{c: {{content: x}}}}\nvolumes: {{v: }}\n"
    );
    let said = diagnose_running(&text);
    let said: Vec<&str> =
        said.lines().filter(|line| !line.contains("is ignored: ") && !line.contains("in force yet")).collect();
    let said: Vec<&str> = said.iter().map(|line| line.split_once("` ").map_or(*line, |(_, message)| message)).collect();
    assert_eq!(said, expected, "{attributes}");
    assert_eq!(refused(&text, true), refused(&text, false), "`config` and `up` differ: {attributes}");
}

/// Returns what a run refuses, as a run says it, or as who only prints the file is told.
fn refused(text: &str, to_run: bool) -> Vec<(Option<String>, String, Option<String>)> {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |options| options.to_run = to_run);
    let refused = |d: &&Diagnostic| match to_run {
        true => d.severity == Severity::Error && !d.message.contains("which is not possible yet"),
        false => d.label == bind::REFUSED,
    };
    let found = loaded.unsupported.iter().filter(refused);
    found.map(|d| (d.span.as_ref().map(Span::location), d.message.clone(), d.help.clone())).collect()
}

#[test]
fn limits_that_cannot_be() {
    check("mem_limit: 1k", &["error: 1k of memory are too little: a container needs 6m"]);
    check("deploy: {resources: {limits: {memory: 5m}}}", &["error: 5m of memory are too little: a container needs 6m"]);
    check(
        "mem_limit: 64m, mem_reservation: 1g",
        &["error: `mem_reservation` is more than the limit of memory: 1g of 64m"],
    );
    check("mem_limit: 64m, memswap_limit: 32m", &["error: memory and swap together are 32m, but memory alone is 64m"]);
    check("memswap_limit: 32m", &["error: `memswap_limit` is memory and swap together, so it needs `mem_limit`"]);
    check("memswap_limit: -1", &[]);
    check("mem_limit: 0, memswap_limit: 0, cpus: 0, pids_limit: -1", &[]);
    check("mem_swappiness: 101", &["error: `mem_swappiness` is a whole number: 0 to 100"]);
    check("cpus: -1", &["error: `cpus` cannot be negative"]);
    check("cpus: 1, cpu_quota: 50000", &["error: `cpus` and `cpu_quota` set the same limit: keep one of them"]);
    check("cpu_quota: 10", &["error: `cpu_quota` is a number of microseconds: 1000 or more, or -1 for no limit"]);
    check("cpu_quota: -1", &[]);
    check("cpu_period: 5", &["error: `cpu_period` is a number of microseconds from 1000 to 1000000"]);
    check("cpuset: 0-x", &["error: \"0-x\" is not a list of CPUs such as 0-3 or 0,2"]);
    check("cpuset: '0-3,5'", &[]);
    check("blkio_config: {weight: 5}", &["error: `weight` is a whole number: 10 to 1000"]);
    check("blkio_config: {device_read_bps: [{path: sda, rate: 1m}]}", &["error: \"sda\" is not the path of a device"]);
}

#[test]
fn namespaces_that_are_not_there() {
    check(
        "network_mode: mine",
        &[
            "error: \"mine\" is not a network mode: none, host, bridge, service:NAME or container:NAME",
            "    to join a network of the project, write: networks: [mine]",
        ],
    );
    check(
        "ipc: ours",
        &["error: \"ours\" is not an IPC mode: none, private, host, shareable, service:NAME or container:NAME"],
    );
    check("pid: 'container:'", &["error: \"container:\" is not a PID mode: host, service:NAME or container:NAME"]);
    check("uts: private", &["error: \"private\" is not a UTS mode: only host is one"]);
    check("ipc: 'service:b', pid: host, uts: host, cgroup: private", &[]);
}

#[test]
fn devices_and_files_that_cannot_be() {
    check(
        "devices: ['/dev/null:/dev/x:q']",
        &["error: \"q\" is not an access to a device: some of the letters r, w and m"],
    );
    check("devices: [dev]", &["error: \"dev\" is neither the path of a device nor a CDI name"]);
    check("devices: ['nvidia.com/gpu=0']", &[]);
    check(
        "device_cgroup_rules: [c 1 r]",
        &["error: \"c 1 r\" is not a rule for devices such as \"c 1:3 mr\" or \"b 8:* rw\""],
    );
    check("platform: linux/", &["error: \"linux/\" is not a platform such as linux/arm64"]);
    check("volumes_from: ['b:rx']", &["error: \"b:rx\" is not [container:]NAME[:ro] or [container:]NAME[:rw]"]);
    check("configs: [{source: c, mode: 70000}]", &["error: `mode` is a whole number: 0 to 4095"]);
    check("configs: [{source: c, uid: me}]", &["warning: `uid` is the number of a user or group, not \"me\""]);
    check("expose: [80-70]", &["error: \"80-70\" is not a port, a range of ports or PORT/PROTOCOL"]);
    check("expose: [80, 90-91, 53/udp]", &[]);
    check("post_start: [{command: []}]", &["error: a `post_start` hook has no `command`"]);
    check("pre_start: [{image: x}]", &[]);
    check(
        "volumes: [{type: bind, source: /x, target: /x, bind: {propagation: all}}]",
        &["error: \"all\" is not a propagation: private, rprivate, shared, rshared, slave, rslave"],
    );
    check(
        "networks: {default: {interface_name: a/b}}",
        &["error: \"a/b\" is not the name of an interface: at most 15 characters, no / or :"],
    );
}

#[test]
fn what_only_a_cluster_would_read_stops_nothing() {
    check(
        "deploy: {endpoint_mode: vp, update_config: {failure_action: stop, max_failure_ratio: 2}}",
        &[
            "warning: \"vp\" is not a value it can have",
            "    did you mean `vip`?",
            "warning: \"stop\" is not a value it can have",
            "    one of pause, continue, rollback",
            "warning: `max_failure_ratio` is a number from 0 to 1",
        ],
    );
    check(
        "develop: {watch: [{path: ., action: sync+exec, target: /x}]}",
        &["warning: `sync+exec` runs nothing without `exec.command`"],
    );
    check(
        "deploy: {restart_policy: {condition: never}}",
        &["error: \"never\" is not a condition: none, on-failure or any"],
    );
}

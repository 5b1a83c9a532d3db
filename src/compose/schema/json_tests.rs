use std::collections::BTreeSet;
use std::path::Path as FilePath;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::json;

use super::super::tests::tables;
use super::*;
use crate::compose::canonical::{Context, canonical};
use crate::compose::limits::Budget;
use crate::compose::tree::{Node, Path};
use crate::compose::{parse, validate};
use crate::diag::Severity;

/// Compares a committed schema with the one that the tables make; with `STACK_WRITE_SCHEMAS` set
/// it is written (`make schemas`).
#[track_caller]
fn check_fresh(name: &str, schema: &Value) {
    let path = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("STACK_WRITE_SCHEMAS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{} is not what the tables say: run `make schemas`", path.display());
}

#[test]
fn the_committed_schemas_are_fresh() {
    check_fresh("stack.schema.json", &file_schema());
    check_fresh("config.schema.json", &config_schema());
}

#[test]
fn every_table_has_a_definition_of_its_own() {
    let mut all = Vec::new();
    tables(&Shape::Object(&TOP), &mut all);
    let names: BTreeSet<String> = all.iter().map(|table| key(table)).collect();
    assert_eq!(names.len(), all.len());
    let schema = file_schema();
    let definitions = schema["$defs"].as_object().unwrap();
    for name in names.iter().filter(|name| *name != "the_file") {
        assert_eq!(definitions[name]["type"], "object", "{name}");
    }
}

/// Values of all kinds: right for some attributes, wrong for others.
fn samples() -> Vec<Value> {
    let mut samples = vec![
        json!(null),
        json!([]),
        json!([null]),
        json!([1]),
        json!([1.5]),
        json!([80, "81"]),
        json!([true]),
        json!([["x"]]),
        json!([{}]),
        json!(["x", "x"]),
        json!(["CMD", "x"]),
        json!({}),
        json!({ "x-a": 1 }),
        json!({ "a": 1 }),
        json!({ "a": 1.5 }),
        json!({ "a": "b" }),
        json!({ "a": null }),
        json!({ "a": true }),
        json!({ "a": [] }),
        json!({ "a": ["b"] }),
        json!({ "a": [1] }),
        json!({ "a": {} }),
        json!({ "a": { "x-b": 1 } }),
        json!({ "a": { "nope": 1 } }),
        json!({ "a": { "soft": 1, "hard": "2" } }),
        json!({ "a": { "soft": 1 } }),
        json!({ "a": { "condition": "service_healthy" } }),
        json!({ "a b": {} }),
        json!({ "a b": null }),
        json!([{ "source": "x" }]),
        json!([{ "type": "bind", "target": "/x" }]),
        json!([{ "path": "x" }]),
        json!({ "path": "x" }),
        json!([{ "target": 80 }]),
        json!([{ "target": "80", "published": 80 }]),
        json!([{ "target": 80, "nope": 1 }]),
        json!([{ "capabilities": ["gpu"], "count": "all" }]),
        json!([{ "capabilities": ["gpu"], "count": "some" }]),
        json!({ "service": "x" }),
        json!({ "service": "x", "file": 1 }),
        json!({ "name": "x" }),
    ];
    samples.extend([true, false].map(Value::from));
    samples.extend([-1, 0, 1, 80, 70_000].map(Value::from));
    samples.extend([1.5, 2.0].map(Value::from));
    let texts = [
        "",
        " ",
        "x",
        "$",
        "$$",
        "-1",
        "+1",
        "1",
        "80",
        "1.5",
        ".5",
        "1.",
        ".",
        "1e3",
        "1e",
        "true",
        "YES",
        "oN",
        "maybe",
        "10s",
        "1m30s",
        "+1.5h",
        "0",
        "s",
        "1d",
        "5 s",
        "512m",
        "1.5 GiB",
        "1KB",
        "1ib",
        "2b",
        "m",
        "0440",
        "0o17",
        "99",
        "8080:80",
        "127.0.0.1:80:80/udp",
        "127.0.0.1::80",
        "[::1]:1:1",
        "::1:7000:7000",
        "80/icmp",
        "80/TCP",
        "80:",
        "x:80",
        "a:b",
        "a:b:c",
        "a:b:c:d",
        "a=b",
        "=b",
        ":b",
        "a",
        "all",
        "ALL",
        "/x",
        "./x:/y:ro",
        "c::/x",
        "cc::/x",
        "CMD",
        "host",
        "raw",
        "Z",
        "service_started",
        "start-first",
        "sync",
        "enabled",
        "'unclosed",
    ];
    samples.extend(texts.map(Value::from));
    samples.extend(texts.map(|text| json!([text])));
    samples
}

/// Returns what the loader has against a value of an attribute.
fn loader_errors(table: &'static Object, name: &str, value: &Value) -> Vec<String> {
    let text = json!({ name: value }).to_string();
    let (mut diagnostics, budget) = (Vec::new(), Budget::new());
    let mut node: Node = parse::documents(FilePath::new("f"), text.into_bytes(), &budget, &mut diagnostics).remove(0);
    let mut shape = Shape::Object(table);
    if name == "external" {
        shape = Shape::Short(Convert::External, Box::leak(Box::new(shape)));
    }
    let mut late = Vec::new();
    let mut cx = Context {
        diagnostics: &mut diagnostics,
        late: &mut late,
        replaceable: false,
        budget: &budget,
        raw: false,
        merged: false,
    };
    canonical(&mut node, &shape, &Path::ROOT, &mut cx);
    validate::check_shape(&node, &shape, &Path::ROOT, &mut diagnostics);
    diagnostics.append(&mut late);
    let errors = diagnostics.into_iter().filter(|d| d.severity == Severity::Error).map(|d| d.message);
    // Of its other attributes nothing was said.
    errors.filter(|message| !message.starts_with("`` lacks")).collect()
}

/// Ways in which a schema cannot be as exact as the loader.
fn beyond_a_schema(message: &str) -> bool {
    [
        "is not a port",
        "is not an IP address",
        "differ in length",
        "ends before it begins",
        "quote is not closed",
        "is a number from",
    ]
    .iter()
    .any(|problem| message.contains(problem))
}

struct Compiled {
    schemas: Schemas,
    compiler: Compiler,
}

impl Compiled {
    fn new(schema: Value) -> Self {
        let mut compiler = Compiler::new();
        compiler.add_resource("https://stack/s", schema).unwrap();
        Self { schemas: Schemas::new(), compiler }
    }

    fn part(&mut self, pointer: &str) -> SchemaIndex {
        self.compiler.compile(&format!("https://stack/s#{pointer}"), &mut self.schemas).unwrap()
    }
}

/// The schema refuses what the loader refuses, and nothing else: for all attributes of all tables.
#[test]
fn the_schema_and_the_loader_agree() {
    let mut all = Vec::new();
    tables(&Shape::Object(&TOP), &mut all);
    let whole = file_schema();
    let mut compiled = Compiled::new(whole.clone());
    let mut differences = Vec::new();
    let mut seen = BTreeSet::new();
    for table in all {
        let place = if std::ptr::eq(table, &TOP) { String::new() } else { format!("/$defs/{}", key(table)) };
        for field in table.fields {
            let pointer = format!("{place}/properties/{}", field.name);
            // Attributes of one kind need no more than one round.
            let mut schema = whole.pointer(&pointer).cloned().unwrap();
            for annotation in ["description", "examples", "deprecated"] {
                schema.as_object_mut().unwrap().remove(annotation);
            }
            if !seen.insert(schema.to_string()) {
                continue;
            }
            let index = compiled.part(&pointer);
            for sample in samples() {
                let errors = loader_errors(table, field.name, &sample);
                let valid = compiled.schemas.validate(&sample, index).is_ok();
                let agree = match (errors.first(), valid) {
                    (None, true) | (Some(_), false) => true,
                    // 2.0 is an integer to a schema.
                    (Some(message), true) => beyond_a_schema(message) || sample.is_f64(),
                    // How the test of a healthcheck begins, and what some texts match, is looked at elsewhere.
                    (None, false) => field.name == "test" || (field.text.is_some() && field.fits.is_none()),
                };
                if !agree {
                    differences.push(format!("{} {}: {sample}: {errors:?}", table.name, field.name));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn editors_know_what_x_stack_takes() {
    let mut compiled = Compiled::new(file_schema());
    let index = compiled.part("");
    let check = |of_file: Value, of_service: Value, expected: bool| {
        let file = json!({ "x-stack": of_file, "services": { "a": { "image": "x", "x-stack": of_service } } });
        assert_eq!(compiled.schemas.validate(&file, index).is_ok(), expected, "{file}");
    };
    check(json!({ "ready": "auto", "watch": "restart" }), json!({ "ready": "http:80/a?b", "watch": "${W}" }), true);
    check(json!(null), json!({ "ready": "log:ready to (accept|serve)", "x-note": [1] }), true);
    check(json!({}), json!({ "ready": "${R:-tcp:80}" }), true);
    check(json!({ "ready": "tcp:80" }), json!({}), false);
    check(json!({}), json!({ "ready": "tcp:" }), false);
    check(json!({}), json!({ "ready": 80 }), false);
    check(json!({}), json!({ "watch": "sync" }), false);
    check(json!({}), json!({ "raedy": "auto" }), false);
    check(json!({}), json!([]), false);
}

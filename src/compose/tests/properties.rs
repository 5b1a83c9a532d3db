//! What holds for every input, tried with random ones.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value as Json, json};

use super::super::canonical::{Context, canonical};
use super::super::files::Memory;
use super::super::limits::Budget;
use super::super::merge::{merge, strip_resets};
use super::super::schema::{Shape, TOP};
use super::super::template::{Variables, mentions, substitute};
use super::super::tree::{Node, Path};
use super::super::{LoadOptions, Loaded, config_json, config_yaml, load, parse};
use super::line;
use crate::diag::{Diagnostic, Severity};

/// Returns what comes of one file in memory.
fn load_text(text: &str) -> Loaded {
    let memory = Memory { files: BTreeMap::from([("/demo/stack.yml".into(), text.as_bytes().to_vec())]) };
    load(&LoadOptions { cwd: "/demo".into(), disk: Arc::new(memory), ..LoadOptions::default() })
}

/// Returns the canonical tree of a text.
fn read(text: &str) -> Node {
    let (mut diagnostics, budget) = (Vec::new(), Budget::new());
    let mut node = parse::documents(FilePath::new("f"), text.into(), &budget, &mut diagnostics).remove(0);
    let mut late = Vec::new();
    let mut cx = Context {
        diagnostics: &mut diagnostics,
        late: &mut late,
        replaceable: false,
        merged: true,
        budget: &budget,
        raw: false,
    };
    canonical(&mut node, &Shape::Object(&TOP), &Path::ROOT, &mut cx);
    assert!(diagnostics.iter().all(|d| d.severity == Severity::Warning), "{diagnostics:?}\n{text}");
    node
}

/// Texts that a reader may take for something else, among ordinary ones.
fn text() -> impl Strategy<Value = String> {
    const TRAPS: [&str; 44] = [
        "",
        " ",
        "~",
        "null",
        "yes",
        "Off",
        "true",
        "1",
        "08",
        "0o17",
        "010",
        "0x1F",
        "1_000",
        "1e3",
        ".5",
        "5.",
        "-1",
        "+1",
        ".inf",
        "-.INF",
        ".nan",
        "2024-01-02",
        "1:30",
        "<<",
        "=",
        "- a",
        "? a",
        "a: b",
        "a #b",
        "#",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "'",
        "\"",
        "\\",
        "a\nb",
        "a\n",
        "\ta",
        "é \u{feff}\u{85}\u{2028}",
        "a\r\nb",
    ];
    prop_oneof![
        3 => select(&TRAPS[..]).prop_map(str::to_owned),
        2 => "[a-zA-Z0-9_./:-]{1,12}",
        1 => "[ -~\n\t\u{e9}]{0,16}",
        1 => "[$]{1,3}[{]?[A-Z]{0,2}[}]?",
    ]
}

fn name() -> impl Strategy<Value = String> {
    select(&["a", "b", "c", "d-e", "f_g"][..]).prop_map(str::to_owned)
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Json> {
    subsequence(of, 0..=of.len()).prop_shuffle().prop_map(|items| json!(items))
}

fn pairs() -> impl Strategy<Value = Json> {
    proptest::collection::btree_map(name(), prop_oneof![text().prop_map(Json::from), Just(Json::Null)], 0..4)
        .prop_map(|map| json!(map))
}

/// Returns one attribute of a service with a value that is valid, in one of its forms.
fn attribute() -> impl Strategy<Value = (&'static str, Json)> {
    let texts = || proptest::collection::vec(text(), 0..4).prop_map(|items| json!(items));
    prop_oneof![
        select(&["x", "y:1", "z/w"][..]).prop_map(|image| ("image", json!(image))),
        texts().prop_map(|words| ("command", words)),
        texts().prop_map(|words| ("entrypoint", words)),
        pairs().prop_map(|pairs| ("environment", pairs)),
        some(&["A=1", "B=2", "B=3", "C", "D="]).prop_map(|list| ("environment", list)),
        some(&["a=1", "b=2", "c"]).prop_map(|list| ("labels", list)),
        some(&["80", "80:80", "127.0.0.1:81:80/udp", "9-11:9-11", "82:80"]).prop_map(|list| ("ports", list)),
        some(&["./a:/a", "/b", "vol:/a", "vol:/c:ro", "~/d:/d:z"]).prop_map(|list| ("volumes", list)),
        some(&["NET_ADMIN", "SYS_TIME", "KILL"]).prop_map(|list| ("cap_add", list)),
        some(&["1.1.1.1", "8.8.8.8"]).prop_map(|list| ("dns", list)),
        some(&["h=1.1.1.1", "h=2.2.2.2", "i:3.3.3.3"]).prop_map(|list| ("extra_hosts", list)),
        some(&["n", "m"]).prop_map(|list| ("networks", list)),
        Just(("networks", json!({"n": {"aliases": ["x"]}, "m": null}))),
        (1..5_i64, some(&["CMD", "true"])).prop_map(|(n, _)| ("healthcheck", json!({"test": "true", "retries": n}))),
        (1..9_i64).prop_map(|n| ("deploy", json!({"resources": {"limits": {"memory": format!("{}m", n << 4)}}}))),
        (1..9_i64).prop_map(|n| ("ulimits", json!({"nofile": n, "nproc": {"soft": 1, "hard": n}}))),
        (1..99_u32).prop_map(|n| ("stop_grace_period", json!(format!("{n}m{n}s")))),
        text().prop_map(|text| ("x-own", json!({"k": text}))),
        any::<bool>().prop_map(|flag| ("init", json!(flag))),
    ]
}

fn service() -> impl Strategy<Value = Json> {
    proptest::collection::vec(attribute(), 0..6).prop_map(|attributes| {
        let mut service = json!({"image": "x"});
        attributes.into_iter().for_each(|(key, value)| service[key] = value);
        service
    })
}

fn file() -> impl Strategy<Value = String> {
    (proptest::collection::btree_map(name(), service(), 1..3), text()).prop_map(|(services, own)| {
        let rest = json!({"n": null, "m": null});
        json!({"services": services, "networks": rest, "volumes": {"vol": null}, "x-top": {"k": own, "l": [own, 1.5, null]}})
            .to_string()
    })
}

#[track_caller]
fn errors(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error).map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// What `config` prints resolves to itself, as YAML and as JSON: quotes, numbers that are text, `$`.
    #[test]
    fn config_of_config_is_the_same(file in file()) {
        let loaded = load_text(&file);
        // A text may be a template that is none.
        let Some(tree) = &loaded.tree else { return Ok(()) };
        let yaml = config_yaml(tree);
        let again = load_text(&yaml);
        prop_assert!(again.tree.is_some(), "{:?}\n{yaml}", errors(&again));
        prop_assert_eq!(again.tree.as_ref().map(config_yaml), Some(yaml));
        let json = config_json(tree).to_string();
        let again = load_text(&json);
        prop_assert!(again.tree.is_some(), "{:?}\n{json}", errors(&again));
        prop_assert_eq!(again.tree.map(|tree| config_json(&tree).to_string()), Some(json));
    }

    /// The order in which files are merged does not matter, only which is over which. Not for `logging` (another
    /// driver in between drops the options) and not for `!reset` and `!override`, which say what they do to
    /// the one file below.
    #[test]
    fn merging_is_associative(a in service(), b in service(), c in service()) {
        let tree = |service: &Json| read(&json!({"services": {"s": service}}).to_string());
        let over = |mut below: Node, above: Node| {
            merge(&mut below, above, &Shape::Object(&TOP), false);
            below
        };
        let left = over(over(tree(&a), tree(&b)), tree(&c));
        let right = over(tree(&a), over(tree(&b), tree(&c)));
        prop_assert_eq!(config_json(&left), config_json(&right));
    }

    /// What is canonical stays as it is.
    #[test]
    fn canonical_is_idempotent(file in file()) {
        let once = read(&file.replace('$', ""));
        let (mut twice, mut diagnostics, budget) = (once.clone(), Vec::<Diagnostic>::new(), Budget::new());
        let mut late = Vec::new();
    let mut cx = Context { diagnostics: &mut diagnostics, late: &mut late, replaceable: false, merged: true, budget: &budget, raw: false };
        canonical(&mut twice, &Shape::Object(&TOP), &Path::ROOT, &mut cx);
        strip_resets(&mut twice);
        prop_assert_eq!(config_json(&once), config_json(&twice));
        prop_assert!(diagnostics.iter().all(|d| d.severity == Severity::Warning), "{:?}", diagnostics);
    }

    /// `$$` is a dollar, whatever is around it; nothing else makes replacing variables fall over.
    #[test]
    fn interpolation_never_panics(text in "([$]{0,3}[{]?[ABab_é:?+ -]{0,3}[}]{0,2}){0,8}") {
        let _ = substitute(&text, &mut World);
        let _ = mentions(&text);
        let escaped = substitute(&text.replace('$', "$$"), &mut World);
        prop_assert_eq!(escaped.as_deref(), Ok(text.as_str()));
    }

    /// Every mistake in a text has a place in it, and nothing makes reading fall over.
    #[test]
    fn mistakes_have_places(
        lines in proptest::collection::vec("[ ]{0,6}(- |[?] )?([a-z<&*!]{0,4}: ?)?[\\[\\]{}'\",&*!|>#%@a-z0-9é~-]{0,6}", 0..12),
        services in any::<bool>(),
    ) {
        let head = if services { "services:\n" } else { "" };
        let loaded = load_text(&format!("{head}{}\n", lines.join("\n")));
        for diagnostic in loaded.diagnostics.iter().chain(&loaded.unsupported) {
            match &diagnostic.span {
                Some(span) => prop_assert!(span.source.text.get(span.start..span.end).is_some(), "{}", diagnostic.message),
                None => prop_assert!(diagnostic.message.contains("is empty"), "{}", diagnostic.message),
            }
        }
    }
}

struct World;

impl Variables for World {
    fn value(&self, name: &str) -> Option<String> {
        match name {
            "A" => Some("$B ${".to_owned()),
            "B" => Some(String::new()),
            _ => None,
        }
    }

    fn unset(&mut self, _name: &str) {}
}

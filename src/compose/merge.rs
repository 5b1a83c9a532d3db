//! Phase: one tree over another (spec rows `merge-*`). Both are canonical, so the rules follow
//! from the shapes; the few exceptions are named in the tables.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::canonical::dedupe;
use super::schema::{Bare, Merge, Object, PathRule, Shape, Twice};
use super::tree::{Map, Mark, Node, Value};
use crate::diag::Span;

/// Merges a later tree over an earlier one. `raw`: variables were not replaced.
pub(crate) fn merge(base: &mut Node, over: Node, shape: &Shape, raw: bool) {
    merge_as(base, over, shape, Merge::Shape, raw);
}

/// Removes what `!reset` left behind.
pub(crate) fn strip_resets(node: &mut Node) {
    match &mut node.value {
        Value::Map(map) => {
            if node.trail.is_some() && map.values().any(|value| value.mark == Mark::Reset) {
                let removed: Vec<(String, Node)> = map
                    .iter()
                    .filter(|(_, value)| value.mark == Mark::Reset)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                Arc::make_mut(node.trail.get_or_insert_default()).removed.extend(removed);
            }
            map.retain(|_, value| value.mark != Mark::Reset);
            map.values_mut().for_each(strip_resets);
        }
        Value::List(items) => {
            items.retain(|item| item.mark != Mark::Reset);
            items.iter_mut().for_each(strip_resets);
        }
        _ => {}
    }
}

/// Returns the first service whose SSH agents and keys two trees name, with the place of the later ones: there is no rule
/// that merges lists of them.
pub(crate) fn ssh_of_both<'a>(base: &Node, over: &'a Node) -> Option<(&'a str, Option<Span>)> {
    let (below, above) = (base.get("services")?.as_map()?, over.get("services")?.as_map()?);
    above.iter().find_map(|(name, above)| Some((name.as_str(), ssh_of_two(below.get(name)?, above)?)))
}

/// The same for one service; returns the place of the later ones.
pub(crate) fn ssh_of_two(base: &Node, over: &Node) -> Option<Option<Span>> {
    let build = over.get("build").filter(|build| over.mark == Mark::None && build.mark == Mark::None)?;
    let above = build.get("ssh").filter(|ssh| ssh.mark == Mark::None)?;
    let below = base.get("build")?.get("ssh").filter(|ssh| ssh.mark != Mark::Reset)?;
    // Only mappings are merged. An item of a list has one place for its key and value.
    let listed = |ssh: &Node| ssh.as_map()?.values().next().map(|agent| agent.key == agent.span);
    (listed(below) == Some(true) || listed(above) == Some(true)).then(|| above.key_or_span())
}

fn merge_as(base: &mut Node, over: Node, shape: &Shape, rule: Merge, raw: bool) {
    if base.is_null() || base.mark == Mark::Reset || over.mark != Mark::None || rule == Merge::Replace {
        base.replace(over);
        return;
    }
    if over.is_null() {
        return;
    }
    let shape = long(shape);
    if rule == Merge::Logging && different_drivers(base, &over) {
        base.replace(over);
        return;
    }
    if matches!(over.value, Value::Map(_) | Value::List(_)) {
        base.take_trail(over.trail.clone());
    }
    match (&mut base.value, over.value) {
        (Value::Map(below), Value::Map(above)) if !(raw && is_listed(shape)) => {
            merge_maps(below, above, shape, raw);
            if matches!(shape, Shape::KeyValues(Bare::Null)) {
                // The reference makes a list of both, in which keys without a value are bare items.
                for key in below.values_mut().filter(|node| node.is_null()) {
                    key.span.clone_from(&key.key);
                }
            }
        }
        (Value::List(below), Value::List(above)) => match *shape {
            _ if rule == Merge::Ipam => merge_pools(below, above, shape, raw),
            Shape::Hosts => {
                let text = |item: &Node| item.as_text().unwrap_or_default().to_owned();
                let mut seen: HashSet<String> = below.iter().map(text).collect();
                below.extend(above.into_iter().filter(|item| seen.insert(text(item))));
            }
            _ => {
                below.extend(above);
                dedupe(below, twice(shape));
            }
        },
        (below, above) if matches!(shape, Shape::KeyValues(_) | Shape::TextOrTexts(_) | Shape::Hosts) => {
            // Only where variables are not replaced do lists live this long; what is merged there is a list.
            let (Some(mut items), Some(more)) = (key_value_list(below), key_value_list(&above)) else { return };
            items.extend(more);
            let whole = |item: &Node| item.as_text().map(str::to_owned);
            dedupe(&mut items, if matches!(shape, Shape::Hosts) { Twice::By(whole) } else { twice(shape) });
            *below = Value::List(items);
        }
        (_, value) => base.replace(Node { value, ..over }),
    }
}

/// Returns true for mappings that become lists when they are merged as they are written.
fn is_listed(shape: &Shape) -> bool {
    matches!(shape, Shape::KeyValues(Bare::Null | Bare::Empty | Bare::EmptyOnce) | Shape::Hosts)
}

fn key_value_list(value: &Value) -> Option<Vec<Node>> {
    match value {
        Value::List(items) => Some(items.clone()),
        Value::Text(_) => Some(vec![value.clone().into()]),
        Value::Map(map) => {
            let mut items = Vec::with_capacity(map.len());
            for (key, node) in map {
                let pair = |node: &Node| node.scalar_text().map(|text| node.with(Value::Text(format!("{key}={text}"))));
                match &node.value {
                    Value::Null => items.push(node.with(Value::Text(key.clone()))),
                    Value::List(several) => items.extend(several.iter().filter_map(pair)),
                    _ => items.extend(pair(node)),
                }
            }
            items.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
            Some(items)
        }
        _ => None,
    }
}

fn merge_maps(below: &mut Map, above: Map, shape: &Shape, raw: bool) {
    for (key, node) in above {
        let Some(old) = below.get_mut(&key) else {
            below.insert(key, node);
            continue;
        };
        match shape {
            _ if key.starts_with("x-") => old.replace(node),
            Shape::Object(table) => merge_field(old, node, table, &key, raw),
            Shape::Map(values) => merge_as(old, node, &values.shape, Merge::Shape, raw),
            // A key without a value hides the one below: it is taken from the environment.
            Shape::KeyValues(_) | Shape::Options { .. } | Shape::Strings | Shape::Several => old.replace(node),
            _ => merge_as(old, node, &Shape::Any, Merge::Shape, raw),
        }
    }
}

fn merge_field(old: &mut Node, node: Node, table: &Object, key: &str, raw: bool) {
    match table.field(key) {
        // A mapping to paths stays one.
        Some(field) => merge_as(old, node, &field.shape, field.merge, raw && field.path == PathRule::No),
        None => merge_as(old, node, &Shape::Any, Merge::Shape, raw),
    }
}

/// Returns the shape of the long form.
fn long(shape: &Shape) -> &Shape {
    match shape {
        Shape::Short(_, inner) => long(inner),
        other => other,
    }
}

fn twice(shape: &Shape) -> Twice {
    match *shape {
        Shape::KeyValues(_) => Twice::Once,
        Shape::Texts(twice) | Shape::Labels(twice) | Shape::TextOrTexts(twice) | Shape::List(_, twice) => twice,
        _ => Twice::Keep,
    }
}

fn different_drivers(below: &Node, above: &Node) -> bool {
    match (below.get("driver"), above.get("driver")) {
        (Some(below), Some(above)) => below != above,
        _ => false,
    }
}

/// Address pools with the same subnet are one; others are added.
fn merge_pools(below: &mut Vec<Node>, above: Vec<Node>, shape: &Shape, raw: bool) {
    let Shape::List(item, _) = shape else { return };
    let subnet = |pool: &Node| pool.get("subnet").and_then(Node::as_text).map(str::to_owned);
    let mut places: HashMap<Option<String>, usize> = HashMap::new();
    for (at, pool) in below.iter().enumerate() {
        places.entry(subnet(pool)).or_insert(at);
    }
    for pool in above {
        match places.get(&subnet(&pool)) {
            Some(&at) => merge_as(&mut below[at], pool, item, Merge::Shape, raw),
            None => {
                places.insert(subnet(&pool), below.len());
                below.push(pool);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{canonical, config_json, limits, parse, schema, tree};
    use super::*;

    #[track_caller]
    fn check(below: &str, above: &str, expected: &str) {
        let read = |text: &str| {
            let mut diagnostics = Vec::new();
            let budget = limits::Budget::new();
            let text = format!("services: {{a: {text}}}");
            let mut node = parse::documents(Path::new("f"), text.into_bytes(), &budget, &mut diagnostics).remove(0);
            let late = &mut Vec::new();
            let mut cx = canonical::Context {
                diagnostics: &mut diagnostics,
                late,
                replaceable: false,
                budget: &budget,
                raw: false,
                merged: false,
            };
            canonical::canonical(&mut node, &Shape::Object(&schema::TOP), &tree::Path::ROOT, &mut cx);
            assert!(diagnostics.is_empty() && late.is_empty(), "{diagnostics:?} {late:?}");
            node
        };
        let mut node = read(below);
        merge(&mut node, read(above), &Shape::Object(&schema::TOP), false);
        strip_resets(&mut node);
        let expected: Option<serde_json::Value> = serde_json::from_str(expected).ok();
        assert_eq!(config_json(&node)["services"].get("a"), expected.as_ref(), "{below} + {above}");
    }

    #[test]
    fn rules() {
        // merge-scalar
        check("{image: a}", "{image: b}", r#"{"image":"b"}"#);
        check("{image: a}", "{image: }", r#"{"image":"a"}"#);
        check("{image: a}", "{user: u}", r#"{"image":"a","user":"u"}"#);
        // merge-command
        check("{command: [a, b]}", "{command: c}", r#"{"command":["c"]}"#);
        check("{command: [a, b]}", "{command: }", r#"{"command":null}"#);
        check(
            "{healthcheck: {test: x, retries: 1}}",
            "{healthcheck: {test: [NONE]}}",
            r#"{"healthcheck":{"test":["NONE"],"retries":1}}"#,
        );
        // merge-kv
        check(
            "{environment: [A=1, B=2]}",
            "{environment: {B: 3, C: 4}}",
            r#"{"environment":{"A":"1","B":"3","C":"4"}}"#,
        );
        check("{environment: [A=1]}", "{environment: [A]}", r#"{"environment":{"A":null}}"#);
        check("{labels: {a: 1}}", "{labels: [b]}", r#"{"labels":{"a":"1","b":""}}"#);
        // merge-sequence, merge-dedupe
        check("{cap_add: [A, B]}", "{cap_add: [B, C]}", r#"{"cap_add":["A","B","C"]}"#);
        check("{dns: 1.1.1.1}", "{dns: [8.8.8.8]}", r#"{"dns":["1.1.1.1","8.8.8.8"]}"#);
        check("{security_opt: [a]}", "{security_opt: [b]}", r#"{"security_opt":["a","b"]}"#);
        // merge-ports
        check(
            "{ports: ['80:80']}",
            "{ports: ['81:80', '80:80']}",
            r#"{"ports":[{"mode":"ingress","protocol":"tcp","published":"80","target":80},{"mode":"ingress","protocol":"tcp","published":"81","target":80}]}"#,
        );
        // merge-mounts
        check(
            "{volumes: ['./a:/a', 'vol:/b']}",
            "{volumes: ['other:/a']}",
            r#"{"volumes":[{"source":"other","target":"/a","type":"volume","volume":{}},{"source":"vol","target":"/b","type":"volume","volume":{}}]}"#,
        );
        // merge-depends-networks
        check(
            "{depends_on: [a]}",
            "{depends_on: {a: {condition: service_healthy}}}",
            r#"{"depends_on":{"a":{"condition":"service_healthy","required":true}}}"#,
        );
        check("{networks: [n]}", "{networks: {n: {aliases: [x]}}}", r#"{"networks":{"n":{"aliases":["x"]}}}"#);
        // merge-build
        check("{build: .}", "{build: {target: t}}", r#"{"build":{"context":".","target":"t"}}"#);
        // merge-logging
        check(
            "{logging: {driver: a, options: {x: 1}}}",
            "{logging: {options: {y: 2}}}",
            r#"{"logging":{"driver":"a","options":{"x":"1","y":"2"}}}"#,
        );
        check("{logging: {driver: a, options: {x: 1}}}", "{logging: {driver: b}}", r#"{"logging":{"driver":"b"}}"#);
        // merge-extra-hosts
        check("{extra_hosts: [h=1]}", "{extra_hosts: {h: '2', i: '3'}}", r#"{"extra_hosts":["h=1","h=2","i=3"]}"#);
        // merge-reset, merge-override
        check("{ports: ['80:80'], image: x}", "{ports: !reset []}", r#"{"image":"x"}"#);
        check("{environment: {A: 1, B: 2}}", "{environment: {A: !reset null}}", r#"{"environment":{"B":"2"}}"#);
        check("{dns: [a, b]}", "{dns: !override [c]}", r#"{"dns":["c"]}"#);
        check("{image: x}", "!reset {user: u}", "");
        // ext-nested
        check("{x-a: {k: 1}}", "{x-a: {l: 2}}", "{}");
    }
}

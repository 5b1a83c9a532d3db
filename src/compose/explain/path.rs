//! Paths as people type them: `services.web.ports[0].published`, `web.image`,
//! `web.labels["com.example.a"]`, or simply `web.labels.com.example.a`.

use std::fmt::Write as _;

use super::NoSuchPath;
use crate::compose::provenance::Provenance;
use crate::compose::schema::{Field, Shape, TOP};
use crate::compose::tree::{Map, Node, Value};
use crate::diag::{Span, nearest};

/// Most attributes that are listed where a path leads nowhere.
const MAX_LISTED: usize = 16;

/// Attributes that loading resolves into others.
const FOLDED: [(&str, &str); 5] = [
    ("extends", "what it extends is merged into the service"),
    ("env_file", "its lines are in `environment`"),
    ("label_file", "its lines are in `labels`"),
    ("include", "what it includes is merged into the project"),
    ("version", "it has no meaning"),
];

/// One step from a node to one in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an item.
    Index(usize),
}

/// A step as it was typed.
#[derive(Debug, Clone)]
struct Typed {
    step: Step,
    /// A key without quotes: dots may belong to it, and a number may be an index.
    plain: bool,
}

/// Returns the steps to an attribute.
pub(super) fn resolve(provenance: &Provenance, text: &str) -> Result<Vec<Step>, NoSuchPath> {
    let typed = parse(text)?;
    let tree = &provenance.tree;
    let mut steps = Vec::new();
    if find(tree, &typed, &mut steps) {
        return Ok(steps);
    }
    let services = tree.get("services");
    steps.push(Step::Key("services".to_owned()));
    if services.is_some_and(|services| find(services, &typed, &mut steps)) {
        return Ok(steps);
    }
    // What leads nowhere is told from the point up to where it leads somewhere.
    let first = typed.first().map_or("", Typed::text);
    let of_service = services.and_then(Node::as_map).is_some_and(|services| services.contains_key(first));
    let start = if of_service && TOP.field(first).is_none() {
        vec![Typed { step: Step::Key("services".to_owned()), plain: false }]
    } else {
        Vec::new()
    };
    Err(nowhere(tree, &[start, typed].concat()))
}

/// Returns the node that steps lead to.
pub(super) fn at<'a>(tree: &'a Node, steps: &[Step]) -> Option<&'a Node> {
    steps.iter().try_fold(tree, |node, step| match (step, &node.value) {
        (Step::Key(key), Value::Map(map)) => map.get(key),
        (Step::Index(index), Value::List(items)) => items.get(*index),
        _ => None,
    })
}

/// Returns the steps as text that can be typed.
pub(super) fn shown(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => {
                let _ = write!(text, "[{index}]");
            }
            Step::Key(key)
                if !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) =>
            {
                text += if text.is_empty() { "" } else { "." };
                text += key;
            }
            Step::Key(key) => {
                let _ = write!(text, "[{key:?}]");
            }
        }
    }
    text
}

impl Typed {
    fn text(&self) -> &str {
        match &self.step {
            Step::Key(key) => key,
            Step::Index(_) => "",
        }
    }

    fn index(&self) -> Option<usize> {
        match &self.step {
            Step::Index(index) => Some(*index),
            Step::Key(key) if self.plain => key.parse().ok(),
            Step::Key(_) => None,
        }
    }
}

/// Extends `steps` by what was typed; false, with `steps` as they were, where it leads nowhere.
fn find(node: &Node, typed: &[Typed], steps: &mut Vec<Step>) -> bool {
    let Some((first, rest)) = typed.split_first() else { return true };
    match &node.value {
        Value::List(items) => {
            let Some(index) = first.index() else { return false };
            let Some(item) = items.get(index) else { return false };
            steps.push(Step::Index(index));
            let found = find(item, rest, steps);
            if !found {
                steps.pop();
            }
            found
        }
        Value::Map(map) => {
            let Step::Key(key) = &first.step else { return false };
            let mut key = key.clone();
            let mut used = 1;
            loop {
                if let Some(value) = map.get(&key) {
                    steps.push(Step::Key(key.clone()));
                    if find(value, &typed[used..], steps) {
                        return true;
                    }
                    steps.pop();
                }
                // A key that has dots in it, typed without quotes.
                match typed.get(used) {
                    Some(Typed { step: Step::Key(more), plain: true }) if first.plain => {
                        key = format!("{key}.{more}");
                        used += 1;
                    }
                    _ => return false,
                }
            }
        }
        _ => false,
    }
}

fn parse(text: &str) -> Result<Vec<Typed>, NoSuchPath> {
    let wrong = |what: &str| NoSuchPath {
        message: format!("{text:?} is not a path: {what}"),
        help: Some("write it as in services.web.ports[0].published or web.labels[\"com.example.a\"]".to_owned()),
    };
    let mut typed = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (step, tail) = match tail.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let (key, tail) = quoted(&tail[1..], quote).ok_or_else(|| wrong("a quote is not closed"))?;
                    (Step::Key(key), tail)
                }
                _ => {
                    let end = tail.find(']').ok_or_else(|| wrong("a bracket is not closed"))?;
                    let index = tail[..end].trim().parse();
                    (
                        Step::Index(index.map_err(|_| wrong("in brackets stands a number or a quoted key"))?),
                        &tail[end..],
                    )
                }
            };
            rest = tail.strip_prefix(']').ok_or_else(|| wrong("a bracket is not closed"))?;
            typed.push(Typed { step, plain: false });
        } else if let Some(quote @ ('"' | '\'')) = rest.chars().next() {
            let (key, tail) = quoted(&rest[1..], quote).ok_or_else(|| wrong("a quote is not closed"))?;
            typed.push(Typed { step: Step::Key(key), plain: false });
            rest = tail;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return Err(wrong("a key is empty"));
            }
            typed.push(Typed { step: Step::Key(rest[..end].to_owned()), plain: true });
            rest = &rest[end..];
        }
        if let Some(tail) = rest.strip_prefix('.') {
            if tail.is_empty() || tail.starts_with('.') {
                return Err(wrong("a key is empty"));
            }
            rest = tail;
        }
    }
    Ok(typed)
}

/// Returns the text up to a quote, and what comes behind it; a backslash makes a quote a part of it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => key.push(chars.next()?.1),
            c if c == quote => return Some((key, &text[at + c.len_utf8()..])),
            c => key.push(c),
        }
    }
    None
}

/// Returns why a path leads nowhere, and what there is where it ends.
fn nowhere(tree: &Node, typed: &[Typed]) -> NoSuchPath {
    let (mut node, mut shape, mut steps) = (tree, Shape::Object(&TOP), Vec::new());
    let mut rest = typed;
    while let [first, tail @ ..] = rest {
        let next = match (&node.value, &first.step) {
            (Value::List(items), _) => first.index().and_then(|i| Some((Step::Index(i), items.get(i)?))),
            (Value::Map(map), Step::Key(key)) => map.get(key).map(|value| (Step::Key(key.clone()), value)),
            _ => None,
        };
        let Some((step, value)) = next else { break };
        shape = below(shape, &step);
        steps.push(step);
        (node, rest) = (value, tail);
    }
    let place = if steps.is_empty() { "the project".to_owned() } else { format!("`{}`", shown(&steps)) };
    let wanted = rest.first().map_or(String::new(), |typed| match &typed.step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => format!("[{index}]"),
    });
    let default = field_at(shape, rest).and_then(Field::default_in_words);
    if let (Value::Map(_), Some(default)) = (&node.value, default)
        && taken_away(node, &wanted).is_none()
    {
        let path = [&steps[..], &rest.iter().map(|typed| typed.step.clone()).collect::<Vec<_>>()].concat();
        let message = format!("`{}` is not set: no file says it, so its default holds: {default}", shown(&path));
        return NoSuchPath { message, help: None };
    }
    let (message, help) = match &node.value {
        Value::Map(map) => {
            let path = |key: &str| shown(&[steps.clone(), vec![Step::Key(key.to_owned())]].concat());
            missing_key(node, map, shape, &place, &wanted, &path, steps.is_empty().then_some(tree))
        }
        Value::List(items) => {
            let help = match items.len() {
                0 => "it is empty".to_owned(),
                1 => "it has one item, [0]".to_owned(),
                count => format!("it has {count} items, [0] to [{}]", count - 1),
            };
            (format!("{place} has no item {wanted}"), Some(help))
        }
        _ => (format!("{place} is {}, there is no `{wanted}` in it", node.kind()), None),
    };
    NoSuchPath { message, help }
}

fn missing_key(
    node: &Node,
    map: &Map,
    shape: Shape,
    place: &str,
    wanted: &str,
    path: &dyn Fn(&str) -> String,
    top: Option<&Node>,
) -> (String, Option<String>) {
    let full = path(wanted);
    if let Some((at, before)) = taken_away(node, wanted) {
        let at = at.map(|span| format!(" at {}", span.location())).unwrap_or_default();
        let before: Vec<String> = before.iter().map(Span::location).collect();
        let help = if before.is_empty() { None } else { Some(format!("it was set at {}", before.join(", "))) };
        return (format!("`{full}` was taken away{at}"), help);
    }
    let fields: Vec<&str> = match table(shape) {
        Some(table) => table.fields.iter().map(|field| field.name).collect(),
        None => Vec::new(),
    };
    let keys: Vec<&str> = map.keys().map(String::as_str).collect();
    let has = format!("{place} has {}", list(&keys));
    if let Some((_, folded)) = FOLDED.iter().find(|(name, _)| *name == wanted && fields.contains(name)) {
        return (format!("`{full}` is not in the resolved project: {folded}"), Some(has));
    }
    if fields.contains(&wanted) {
        return (format!("`{full}` is not set: no file says it, and it has no default here"), Some(has));
    }
    // At the top a service may be meant.
    let services: Vec<&str> = match top.and_then(|top| top.get("services")).and_then(Node::as_map) {
        Some(services) => services.keys().map(String::as_str).collect(),
        None => Vec::new(),
    };
    let message = format!("there is no `{wanted}` in {place}");
    let near = nearest(wanted, keys.iter().chain(&fields).chain(&services).copied());
    let others = fields.iter().copied().filter(|field| !map.contains_key(*field));
    let others: Vec<&str> = others.filter(|field| !FOLDED.iter().any(|(name, _)| name == field)).collect();
    let mut help = near.map_or(String::new(), |near| match services.contains(&near) {
        true => format!("did you mean the service `{near}`? "),
        false => format!("did you mean `{}`? ", path(near)),
    });
    if near.is_none() {
        help += &has;
    }
    if near.is_none() && !services.is_empty() {
        let _ = write!(help, "; its services are {}", list(&services));
    }
    // All that a service may have is no answer; of a small section it is.
    if near.is_none() && !others.is_empty() && others.len() <= MAX_LISTED {
        let _ = write!(help, "; also allowed: {}", list(&others));
    }
    (message, Some(help))
}

/// Returns what took a key out of a mapping, and where it was set before that.
fn taken_away(node: &Node, key: &str) -> Option<(Option<Span>, Vec<Span>)> {
    let trail = node.trail.as_ref()?;
    let place = |node: &Node| node.key_or_span();
    if let Some((_, reset)) = trail.removed.iter().find(|(name, _)| name == key) {
        let before = reset.trail.iter().flat_map(|trail| &trail.hidden).filter_map(place).collect();
        return Some((place(reset), before));
    }
    let before: Vec<Span> =
        trail.hidden.iter().filter_map(|hidden| hidden.as_map()?.get(key)).filter_map(place).collect();
    // Only a section that was replaced as a whole loses keys.
    (!before.is_empty()).then(|| (place(node), before))
}

/// Returns names for a sentence; the first ones, where there are very many.
fn list(names: &[&str]) -> String {
    const MOST: usize = 120;
    match names {
        [] => "nothing".to_owned(),
        _ if names.len() > MOST => format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST),
        _ => names.join(", "),
    }
}

/// Returns the attribute that typed steps lead to in the tables.
fn field_at(mut shape: Shape, typed: &[Typed]) -> Option<&'static Field> {
    let mut found = None;
    for typed in typed {
        found = match (table(shape), &typed.step) {
            (Some(table), Step::Key(key)) => Some(table.field(key)?),
            _ => None,
        };
        shape = below(shape, &typed.step);
    }
    found
}

fn below(shape: Shape, step: &Step) -> Shape {
    match (shape, step) {
        (Shape::Short(_, long), _) => below(*long, step),
        (Shape::Object(table), Step::Key(key)) => table.field(key).map_or(Shape::Any, |field| field.shape),
        (Shape::Map(values), Step::Key(_)) => values.shape,
        (Shape::List(item, _), Step::Index(_)) => *item,
        _ => Shape::Any,
    }
}

fn table(shape: Shape) -> Option<&'static crate::compose::schema::Object> {
    match shape {
        Shape::Object(table) => Some(table),
        Shape::Short(_, long) => table(*long),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let check = |text: &str, expected: &str| {
            let got = match parse(text) {
                Ok(typed) => {
                    let steps: Vec<Step> = typed.into_iter().map(|typed| typed.step).collect();
                    shown(&steps)
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(got, expected, "{text}");
        };
        check("services.web.ports[0].published", "services.web.ports[0].published");
        check("web.labels[\"com.example.a\"]", "web.labels[\"com.example.a\"]");
        check("web.labels['com.example.a'].x", "web.labels[\"com.example.a\"].x");
        check("web.\"a.b\".c", "web[\"a.b\"].c");
        check("web.labels['it\\'s']", "web.labels[\"it's\"]");
        check("[\"a\"].b", "a.b");
        check("", "");
        check("a..b", "\"a..b\" is not a path: a key is empty");
        check("a.", "\"a.\" is not a path: a key is empty");
        check(".a", "\".a\" is not a path: a key is empty");
        check("a[", "\"a[\" is not a path: a bracket is not closed");
        check("a[x]", "\"a[x]\" is not a path: in brackets stands a number or a quoted key");
        check("a['x]", "\"a['x]\" is not a path: a quote is not closed");
    }
}

//! Phase: canonical forms. Walks tree and tables side by side, turns every short form into its
//! long one and every value into its type, and reports what the tables do not know.
//!
//! What is wrong stays in the tree as it is: later phases look at values through accessors
//! that answer only for the right kind, so one mistake is reported once.

use super::limits::{self, Budget};
use super::schema::{Bare, Field, Object, SERVICE, SERVICE_X_STACK, Shape, Size, TOP, Twice, Values, Whole};
use super::short::{self, Flow};
use super::tree::{Map, Mark, Node, Path, Value};
use super::{shellwords, units};
use crate::diag::{Diagnostic, nearest};

/// What the walk needs besides the tree.
pub(crate) struct Context<'a> {
    /// Where mistakes go.
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
    /// Where mistakes in values go that are none once a later file has replaced the value.
    pub(crate) late: &'a mut Vec<Diagnostic>,
    /// The value at hand may be replaced.
    pub(crate) replaceable: bool,
    /// What may still be spent.
    pub(crate) budget: &'a Budget,
    /// Variables were not replaced: text with `$` may stand for anything.
    pub(crate) raw: bool,
    /// All files so far are merged.
    pub(crate) merged: bool,
}

impl Context<'_> {
    /// Reports a value of the wrong kind.
    pub(crate) fn wrong(&mut self, node: &Node, path: &Path<'_>, expected: &str) {
        if self.raw && node.as_text().is_some_and(|text| text.contains('$')) {
            return;
        }
        let kind = match node.value {
            Value::Float(_) if expected.contains("whole number") => "a fraction",
            _ => node.kind(),
        };
        let message = format!("`{path}` must be {expected}, not {kind}");
        let diagnostic = Diagnostic::error(message, node.span.clone().or_else(|| node.key.clone()));
        self.diagnostics.push(match other_form(node, expected) {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    /// Reports a value of the right kind that cannot be read.
    ///
    /// Where variables are not replaced nothing is made of values, so nothing is wrong with them.
    pub(crate) fn invalid(&mut self, node: &Node, path: &Path<'_>, problem: &str, help: &str) {
        if self.raw {
            return;
        }
        let diagnostic = Diagnostic::error(format!("`{path}`: {problem}"), node.span.clone());
        let diagnostic = if help.is_empty() { diagnostic } else { diagnostic.help(help) };
        if self.replaceable && !limits::enough(self.late) {
            self.late.push(diagnostic);
        } else {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Reports an entry whose name is empty.
    pub(crate) fn nameless(&mut self, node: &Node, path: &Path<'_>) {
        let message = format!("`{path}` has an entry without a name");
        self.diagnostics.push(Diagnostic::error(message, node.key_or_span()).help("write NAME: VALUE"));
    }

    /// Reads a value that a later file may replace, be it right or wrong.
    fn replaceable(&mut self, read: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.replaceable, true);
        read(self);
        self.replaceable = before;
    }

    /// Reports what is understood and should be written otherwise.
    pub(crate) fn warn(&mut self, node: &Node, message: String, help: &str) {
        if limits::room_to_warn(self.diagnostics) {
            self.diagnostics.push(Diagnostic::warning(message, node.span.clone()).help(help));
        }
    }
}

/// Returns how to write a value that is given in another form than the expected one.
fn other_form(node: &Node, expected: &str) -> Option<String> {
    let span = node.span.as_ref()?;
    let written = span.source.text.get(span.start..span.end).unwrap_or_default().trim();
    if expected.contains("KEY=VALUE")
        && let Some((key, value)) = node.as_map().and_then(|map| map.first()).filter(|_| !written.contains('\n'))
    {
        let value = value.scalar_text().unwrap_or_default();
        return Some(format!(
            "items of a list are written with `=`: {key}={value}; without the `- ` it may be a mapping"
        ));
    }
    if expected == "a mapping" && node.as_list().is_some() {
        return Some("write the names as keys, `NAME:`, without the `- ` before them".to_owned());
    }
    if node.as_list().is_some() || node.as_map().is_some() || written.contains('\n') {
        return None;
    }
    let word =
        written.find(':').filter(|&at| at > 0 && !written[..at].contains(|c: char| !(c == '_' || c.is_alphabetic())));
    if let (true, Some(at)) = (expected.contains("mapping"), word) {
        return Some(format!("write a space after the `:`, as in `{} {}`", &written[..=at], &written[at + 1..]));
    }
    let key = node.key.as_ref().and_then(|key| key.source.text.get(key.start..key.end)).unwrap_or_default();
    match (key, expected) {
        ("gpus", _) => return Some("write `all`, or a list of requests: [{count: 1}]".to_owned()),
        ("healthcheck", "a mapping") => return Some(format!("write the command as its test: {{test: {written}}}")),
        (_, "a mapping") if written.starts_with("./") => return Some(format!("write the path as {{file: {written}}}")),
        _ => {}
    }
    if let Some(item) =
        written.strip_prefix('-').filter(|item| expected.contains("list") && !item.starts_with(['-', ' ']))
    {
        return Some(format!("write a space after the `-`: - {item}"));
    }
    if expected.contains("list") && !expected.contains("KEY=VALUE") && node.as_text().is_some() {
        return Some(format!("write a list, also for one item: [{written}]"));
    }
    (expected == "a mapping")
        .then(|| "a mapping is written as `key: value`, one on each line below its name".to_owned())
}

/// Brings a value into the canonical form of its shape.
pub(crate) fn canonical(node: &mut Node, shape: &Shape, path: &Path<'_>, cx: &mut Context<'_>) {
    if node.mark == Mark::Reset || node.is_null() || limits::enough(cx.diagnostics) {
        return;
    }
    // Printed as templates, values stay as they were written: only their kind is looked at.
    let written = (cx.raw && is_value(shape)).then(|| node.value.clone());
    match *shape {
        Shape::Any => {}
        Shape::Text => {
            if node.as_text().is_none() {
                cx.wrong(node, path, "a string");
            }
        }
        Shape::Label => match &node.value {
            Value::Text(_) => {}
            Value::Int(_) | Value::Large(_) | Value::Float(_) => to_text(node),
            _ => cx.wrong(node, path, "a string or number"),
        },
        Shape::OneOf(words) => one_of(node, words, path, cx),
        Shape::Bool => boolean(node, path, cx),
        Shape::Int(form) => integer(node, form, path, cx),
        Shape::Number => number(node, path, cx),
        Shape::Bytes(form) => cx.replaceable(|cx| bytes(node, form, path, cx)),
        Shape::Duration => cx.replaceable(|cx| duration(node, path, cx)),
        Shape::Mode => mode(node, path, cx),
        Shape::Command => cx.replaceable(|cx| command(node, path, cx)),
        Shape::HealthTest => match &node.value {
            Value::Text(text) => {
                let shell = vec![Node::from("CMD-SHELL"), text.as_str().into()];
                node.value = Value::List(placed(shell, node));
            }
            _ => list(node, &Shape::Text, Twice::Keep, path, cx),
        },
        Shape::Texts(twice) => list(node, &Shape::Text, twice, path, cx),
        Shape::Labels(twice) => list(node, &Shape::Label, twice, path, cx),
        Shape::TextOrTexts(twice) => {
            if node.as_text().is_some() {
                let item = Node { key: None, ..node.clone() };
                node.value = Value::List(vec![item]);
            }
            match node.value {
                Value::List(_) => list(node, &Shape::Text, twice, path, cx),
                _ => cx.wrong(node, path, "a string or list"),
            }
        }
        Shape::KeyValues(bare) => key_values(node, bare, path, cx),
        Shape::Options { null } => options(node, false, null, path, cx),
        Shape::Strings => options(node, true, false, path, cx),
        Shape::Several => several(node, path, cx),
        Shape::Hosts => cx.replaceable(|cx| short::hosts(node, path, cx)),
        Shape::List(item, twice) => list(node, item, twice, path, cx),
        Shape::Map(values) => mapping(node, values, path, cx),
        Shape::Object(table) => object(node, table, path, cx),
        Shape::Short(convert, long) => {
            let short = matches!(node.value, Value::Text(_));
            let flow = convert.apply(node, path, cx);
            let size = if short { limits::size(node) } else { 0 };
            if size > 1 && !cx.budget.values(size, node.span.as_ref(), cx.diagnostics) {
                // What it stands for is too much; that was said.
                node.value = Value::Null;
            } else if flow == Flow::Continue {
                let fits = match long {
                    Shape::Object(_) | Shape::Map(_) => node.as_map().is_some(),
                    Shape::List(..) => node.as_list().is_some(),
                    _ => true,
                };
                match convert.expected() {
                    Some(expected) if !fits => cx.wrong(node, path, expected),
                    _ => canonical(node, long, path, cx),
                }
            }
        }
    }
    if let Some(written) = written {
        node.value = written;
    }
}

/// Brings the ports of services into their long form where they are printed as templates: all of a service's, from
/// all files, or none.
pub(crate) fn merged_ports(whole: &mut Node, cx: &mut Context<'_>) {
    let (Some(field), path) = (SERVICE.field("ports"), Path::ROOT.key("services")) else { return };
    for (name, service) in whole.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        if let Some(ports) = service.get_mut("ports") {
            canonical(ports, &field.shape, &path.key(name).key("ports"), cx);
        }
    }
}

/// Returns true for what has a form of its own for the model, but no other place in the tree.
fn is_value(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::Label
            | Shape::Bool
            | Shape::Int(_)
            | Shape::Number
            | Shape::Bytes(_)
            | Shape::Duration
            | Shape::Mode
            | Shape::Command
            | Shape::HealthTest
            | Shape::TextOrTexts(_)
            | Shape::Options { .. }
            | Shape::Several
            | Shape::Strings
            | Shape::Hosts
    )
}

/// Replaces earlier items of a list by later ones with the same identity.
pub(crate) fn dedupe(items: &mut Vec<Node>, twice: Twice) {
    let identity = |node: &Node| match twice {
        Twice::Keep | Twice::Refuse => None,
        Twice::Once => node.as_text().map(|text| text.split('=').next().unwrap_or_default().to_owned()),
        Twice::By(identity) => identity(node),
    };
    if matches!(twice, Twice::Keep | Twice::Refuse) || items.len() < 2 {
        return;
    }
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        match identity(&item) {
            Some(identity) => match places.get(&identity) {
                Some(&at) => kept[at].replace(item),
                None => {
                    places.insert(identity, kept.len());
                    kept.push(item);
                }
            },
            None => kept.push(item),
        }
    }
    *items = kept;
}

fn to_text(node: &mut Node) {
    if let Some(text) = node.scalar_text() {
        node.value = Value::Text(text);
    }
}

fn placed(mut items: Vec<Node>, at: &Node) -> Vec<Node> {
    for item in &mut items {
        item.span.clone_from(&at.span);
        item.trail.clone_from(&at.trail);
    }
    items
}

fn one_of(node: &Node, words: &[&str], path: &Path<'_>, cx: &mut Context<'_>) {
    match node.as_text() {
        Some(text) if words.contains(&text) => {}
        Some(text) => {
            let help = match nearest(text, words.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("one of {}", quoted(words)),
            };
            cx.invalid(node, path, &format!("{text:?} is not a value it can have"), &help);
        }
        None => cx.wrong(node, path, "a string"),
    }
}

fn boolean(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) {
    let text = match &node.value {
        Value::Bool(_) => return,
        Value::Text(text) => text.to_lowercase(),
        _ => return cx.wrong(node, path, "a boolean"),
    };
    let value = match text.as_str() {
        "true" | "y" | "yes" | "on" => true,
        "false" | "n" | "no" | "off" => false,
        _ => return cx.invalid(node, path, &format!("{text:?} is not a boolean"), "write true or false"),
    };
    if text != "true" && text != "false" {
        let message = format!("`{path}`: {text:?} is a boolean in YAML 1.1 only");
        cx.warn(node, message, &format!("write {value}"));
    }
    node.value = Value::Bool(value);
}

fn integer(node: &mut Node, form: Whole, path: &Path<'_>, cx: &mut Context<'_>) {
    let value = match &node.value {
        Value::Int(_) => return,
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => *value as i64,
        Value::Float(value) if matches!(form, Whole::Cut | Whole::BareCut) && value.abs() < 9e15 => {
            let whole = *value as i64;
            cx.warn(node, format!("`{path}` is a whole number: {value} counts as {whole}"), &format!("write {whole}"));
            whole
        }
        Value::Text(_) if matches!(form, Whole::Bare | Whole::BareCut) => return cx.wrong(node, path, "a number"),
        Value::Text(text) => match text.parse() {
            Ok(value) => value,
            Err(_) => return cx.invalid(node, path, &format!("{text:?} is not a whole number"), ""),
        },
        _ => return cx.wrong(node, path, "a whole number"),
    };
    node.value = Value::Int(value);
}

fn number(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) {
    let value = match &node.value {
        Value::Int(value) if value.unsigned_abs() < 1_000_000 => return,
        Value::Int(value) => *value as f64,
        Value::Large(value) => *value as f64,
        Value::Float(value) => *value,
        Value::Text(text) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => value,
            _ => return cx.invalid(node, path, &format!("{text:?} is not a number"), ""),
        },
        _ => return cx.wrong(node, path, "a number"),
    };
    // The reference keeps 32 bits; what is printed is the shortest text of those.
    let single = (value as f32).to_string().parse().unwrap_or(value);
    // From a million on it is printed with an exponent.
    node.value =
        if single.fract() == 0.0 && single.abs() < 1e6 { Value::Int(single as i64) } else { Value::Float(single) };
}

fn bytes(node: &mut Node, form: Size, path: &Path<'_>, cx: &mut Context<'_>) {
    let value = match &node.value {
        Value::Int(_) | Value::Large(_) | Value::Float(_) if form == Size::Text => {
            return cx.wrong(node, path, "a string");
        }
        Value::Int(value) => *value,
        Value::Float(value) if form == Size::Whole && value.fract() != 0.0 => {
            return cx.wrong(node, path, "a whole number or a string");
        }
        // The reference takes no notice of these.
        Value::Large(_) | Value::Float(_) => {
            let help = "write a whole number of bytes, or one with a unit: 512k, 300m, 1.5g";
            cx.warn(node, format!("`{path}`: this number is no number of bytes and has no effect"), help);
            0
        }
        Value::Text(text) => match units::bytes(text) {
            // What is printed of the number -1 can be read again.
            Some(value) if value >= 0 || form != Size::Text => value,
            _ => {
                let help = "write a number of bytes, or one with a unit: 512k, 300m, 1.5g";
                return cx.invalid(node, path, &format!("{text:?} is not a size"), help);
            }
        },
        _ => return cx.wrong(node, path, "a size"),
    };
    node.value = Value::Text(value.to_string());
}

fn duration(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) {
    const HELP: &str = "write a number with its unit: 500ms, 10s, 1m30s, 2h";
    match &node.value {
        Value::Text(text) => match units::duration(text) {
            Some(value) => node.value = Value::Text(units::duration_text(value)),
            None => cx.invalid(node, path, &format!("{text:?} is not a duration"), HELP),
        },
        Value::Int(value) => {
            let help = format!("write a unit: \"{value}s\"");
            cx.invalid(node, path, "a duration must be a string with a unit", &help);
        }
        _ => cx.wrong(node, path, "a duration"),
    }
}

fn mode(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) {
    match &node.value {
        Value::Int(value) if *value < 0 => cx.invalid(node, path, "permission bits cannot be negative", ""),
        Value::Int(_) => {}
        Value::Text(text) => match u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8) {
            Ok(value) if !text.contains('+') => node.value = Value::Int(value.into()),
            _ => cx.invalid(node, path, &format!("{text:?} is no octal number"), "write permission bits as 0440"),
        },
        _ => cx.wrong(node, path, "an octal number"),
    }
}

fn command(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) {
    let text = match &node.value {
        // A variable may stand for several words.
        Value::Text(_) if cx.raw => return,
        Value::Text(text) => text,
        Value::List(_) => return list(node, &Shape::Text, Twice::Keep, path, cx),
        _ => return cx.wrong(node, path, "a string or a list of strings"),
    };
    match shellwords::split(text) {
        Ok(split) => {
            if let Some(rest) = split.ignored {
                let message = format!("`{path}`: everything from {rest:?} on is ignored, as no shell runs this");
                cx.warn(node, message, "wrap it: [sh, -c, \"...\"]");
            }
            node.value = Value::List(placed(split.words.into_iter().map(Node::from).collect(), node));
        }
        Err(problem) => cx.invalid(node, path, problem, "write it as a list: [program, argument]"),
    }
}

fn list(node: &mut Node, item: &Shape, twice: Twice, path: &Path<'_>, cx: &mut Context<'_>) {
    let Value::List(items) = &mut node.value else { return cx.wrong(node, path, "a list") };
    items.retain(|item| item.mark != Mark::Reset);
    for (index, node) in items.iter_mut().enumerate() {
        let path = path.index(index);
        if node.is_null() && !matches!(item, Shape::Any) {
            cx.wrong(node, &path, expected(item));
        } else {
            canonical(node, item, &path, cx);
        }
    }
    dedupe(items, twice);
}

/// Returns what a shape expects, for messages.
pub(crate) fn expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::Any => "a value",
        Shape::Text | Shape::OneOf(_) | Shape::Command | Shape::HealthTest => "a string",
        Shape::Bytes(Size::Text) => "a string",
        Shape::Label | Shape::Bytes(_) => "a string or number",
        Shape::Bool => "a boolean",
        Shape::Int(_) | Shape::Number | Shape::Mode => "a number",
        Shape::Duration => "a duration",
        Shape::Texts(_) | Shape::Labels(_) | Shape::List(..) => "a list",
        Shape::TextOrTexts(_) => "a string or list",
        Shape::KeyValues(_) | Shape::Hosts => "a mapping or list",
        Shape::Options { .. } | Shape::Several | Shape::Strings | Shape::Map(_) | Shape::Object(_) => "a mapping",
        Shape::Short(convert, long) => convert.expected().unwrap_or_else(|| expected(long)),
    }
}

fn key_values(node: &mut Node, bare: Bare, path: &Path<'_>, cx: &mut Context<'_>) {
    if let (Bare::EmptyOnce, Value::List(items)) = (bare, &node.value) {
        super::validate::each_once(items, path, cx.diagnostics);
    }
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut().filter(|(_, value)| value.mark != Mark::Reset) {
                if key.is_empty() {
                    cx.nameless(value, path);
                }
                match value.value {
                    Value::Null if matches!(bare, Bare::Null | Bare::Agent) => {}
                    _ if cx.raw => {}
                    Value::List(_) | Value::Map(_) => {
                        cx.wrong(value, &path.key(key), "a string, number, boolean or nothing");
                    }
                    _ => to_text(value),
                }
            }
        }
        // What is printed as a template keeps the form it was written in.
        Value::List(items)
            if cx.raw
                && bare != Bare::Agent
                && (bare != Bare::Refused || items.iter().any(|i| !i.as_text().is_some_and(|t| t.contains('=')))) =>
        {
            list(node, &Shape::Text, Twice::Once, path, cx);
        }
        Value::List(items) => {
            let mut map = Map::with_capacity_and_hasher(items.len(), Default::default());
            for (index, mut item) in std::mem::take(items).into_iter().enumerate() {
                if item.mark == Mark::Reset {
                    continue;
                }
                let Value::Text(text) = &item.value else {
                    cx.wrong(&item, &path.index(index), "a string KEY=VALUE");
                    continue;
                };
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Value::Text(value.to_owned())),
                    None if bare == Bare::Refused => {
                        cx.invalid(&item, &path.index(index), "expected KEY=VALUE", "");
                        continue;
                    }
                    None if matches!(bare, Bare::Null | Bare::Agent) => (text.clone(), Value::Null),
                    None => (text.clone(), Value::Text(String::new())),
                };
                item.value = value;
                item.key.clone_from(&item.span);
                put(&mut map, key, item);
            }
            node.value = Value::Map(map);
        }
        _ => cx.wrong(node, path, "a mapping or a list of KEY=VALUE"),
    }
}

/// Inserts an entry that wins over one of the same name.
pub(crate) fn put(map: &mut Map, key: String, node: Node) {
    match map.get_mut(&key) {
        Some(old) => old.replace(node),
        None => drop(map.insert(key, node)),
    }
}

fn options(node: &mut Node, strings: bool, null: bool, path: &Path<'_>, cx: &mut Context<'_>) {
    let Value::Map(map) = &mut node.value else { return cx.wrong(node, path, "a mapping") };
    for (key, value) in map.iter_mut().filter(|(_, value)| value.mark != Mark::Reset) {
        match value.value {
            Value::Text(_) => {}
            _ if strings => cx.wrong(value, &path.key(key), "a string"),
            Value::Null if null => to_text(value),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
                cx.wrong(value, &path.key(key), "a string or number");
            }
            _ => to_text(value),
        }
    }
}

fn several(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) {
    let Value::Map(map) = &mut node.value else { return cx.wrong(node, path, "a mapping") };
    for (key, value) in map.iter_mut().filter(|(_, value)| value.mark != Mark::Reset) {
        let path = path.key(key);
        let is_value = |node: &Node| !matches!(node.value, Value::Null | Value::List(_) | Value::Map(_));
        if is_value(value) {
            to_text(value);
            let item = Node { key: None, ..value.clone() };
            value.value = Value::List(vec![item]);
            continue;
        }
        let Value::List(items) = &mut value.value else {
            cx.wrong(value, &path, "a string, number or boolean, or a list of them");
            continue;
        };
        for (index, item) in items.iter_mut().enumerate() {
            match is_value(item) {
                true => to_text(item),
                false => cx.wrong(item, &path.index(index), "a string, number or boolean"),
            }
        }
    }
}

fn mapping(node: &mut Node, values: &Values, path: &Path<'_>, cx: &mut Context<'_>) {
    let Value::Map(map) = &mut node.value else { return cx.wrong(node, path, "a mapping") };
    for (key, value) in map {
        if values.names && (key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))) {
            let at = value.key_or_span();
            let help = if key.contains('$') {
                "variables are replaced in values only, not in keys"
            } else {
                "letters, digits, `.`, `_` and `-` are allowed"
            };
            cx.diagnostics.push(Diagnostic::error(format!("`{path}`: {key:?} cannot be a name"), at).help(help));
        }
        canonical(value, &values.shape, &path.key(key), cx);
    }
}

fn object(node: &mut Node, table: &Object, path: &Path<'_>, cx: &mut Context<'_>) {
    let Value::Map(map) = &mut node.value else { return cx.wrong(node, path, "a mapping") };
    for (key, value) in map {
        match table.field(key) {
            Some(field) => {
                let path = path.key(key);
                if field.late {
                    cx.replaceable(|cx| canonical(value, &field.shape, &path, cx));
                } else {
                    canonical(value, &field.shape, &path, cx);
                }
                // Of the attributes with one or several texts, the reference turns these into lists early.
                let several = matches!(field.shape, Shape::TextOrTexts(_));
                let early = matches!(key.as_str(), "dns" | "label_file" | "path" | "env_file");
                if cx.raw && several && early && value.as_text().is_some() {
                    let item = Node { key: None, ..value.clone() };
                    value.value = Value::List(vec![item]);
                }
            }
            None if key.starts_with("x-") || limits::enough(cx.diagnostics) => {}
            None => {
                let at = value.key_or_span();
                let place = if matches!(table.name, "the file") { "the file".to_owned() } else { format!("`{path}`") };
                let mut diagnostic =
                    Diagnostic::error(format!("{place} has no attribute `{key}`"), at).label("unknown");
                if let Some(help) = suggestion(key, value, table) {
                    diagnostic = diagnostic.help(help);
                }
                cx.diagnostics.push(diagnostic);
            }
        }
    }
}

fn suggestion(key: &str, value: &Node, table: &Object) -> Option<String> {
    let top = table.name == TOP.name;
    let plural = |name: &str| key.strip_suffix('s') == Some(name);
    if !top && TOP.field(key).is_some() && !table.fields.iter().any(|field| plural(field.name)) {
        return Some(format!("`{key}` belongs to the top of the file, not into {}", table.name));
    }
    if let Some(name) = nearest(key, table.fields.iter().map(|f: &Field| f.name)) {
        return Some(format!("did you mean `{name}`?"));
    }
    if top && SERVICE.field(key).is_some() {
        return Some(format!("`{key}` belongs into a service: services.NAME.{key}"));
    }
    if top && ["image", "build"].iter().any(|attribute| value.get(attribute).is_some()) {
        return Some(format!("a service stands below `services:`: indent `{key}` and what belongs to it"));
    }
    // One level further down, where only one attribute has it.
    let below = |field: &&Field| matches!(field.shape, Shape::Object(inner) if inner.field(key).is_some());
    let mut fields = table.fields.iter().filter(below);
    if let (Some(field), None) = (fields.next(), fields.next()) {
        return Some(format!("did you mean `{}.{key}`?", field.name));
    }
    if table.name == SERVICE.name && SERVICE_X_STACK.field(key).is_some() {
        return Some(format!("did you mean `x-stack.{key}`?"));
    }
    let names: Vec<&str> = table.fields.iter().map(|f| f.name).collect();
    (names.len() <= 12).then(|| format!("{} takes {}", table.name, quoted(&names)))
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

//! The canonical tree as JSON and YAML, keys in the order of the reference.

mod order;
mod yaml;

use super::schema::{Bare, Object, Print, Shape, TOP, Twice};
use super::tree::{Node, Value};
use order::{Form, ordered};

/// Returns the tree as `config --format json` prints it: without extension attributes below
/// the top level, as the reference does.
pub fn config_json(tree: &Node) -> serde_json::Value {
    json(tree, &Shape::Object(&TOP))
}

/// Returns a tree of templates (`--no-interpolate`): whatever is in it.
pub fn template_json(tree: &Node) -> serde_json::Value {
    template(tree, &Shape::Object(&TOP))
}

/// Returns the tree as `config` prints it.
pub fn config_yaml(tree: &Node) -> String {
    yaml::write(tree, &Shape::Object(&TOP))
}

/// Returns a tree of templates (`--no-interpolate`), or one that is no stack file, as YAML.
pub fn plain_yaml(tree: &Node) -> String {
    yaml::write(tree, &Shape::Any)
}

fn template(node: &Node, shape: &Shape) -> serde_json::Value {
    match &node.value {
        Value::List(items) if items.is_empty() && has_no_twins(shape) => serde_json::Value::Array(Vec::new()),
        Value::List(items) if !items.is_empty() => items.iter().map(|item| template(item, item_shape(shape))).collect(),
        Value::Map(map) => {
            let entries = ordered(map, None, Form::Json).into_iter();
            entries.map(|(key, node)| (key.to_owned(), template(node, value_shape(shape, key)))).collect()
        }
        _ => json(node, &Shape::Any),
    }
}

/// Returns true where the reference looks for items that come twice: its JSON of a template has `[]` there for an empty
/// list, and null elsewhere.
fn has_no_twins(shape: &Shape) -> bool {
    match shape {
        Shape::KeyValues(bare) => *bare == Bare::Empty,
        Shape::Texts(twice) | Shape::Labels(twice) | Shape::TextOrTexts(twice) | Shape::List(_, twice) => {
            matches!(twice, Twice::Once | Twice::By(_))
        }
        Shape::Short(_, long) => has_no_twins(long),
        _ => false,
    }
}

fn json(node: &Node, shape: &Shape) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::Large(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number).map_or(serde_json::Value::Null, Into::into),
        Value::Time(time) => time.alone.as_str().into(),
        Value::Text(text) => text.as_str().into(),
        // What has no known form is null when it is an empty list, as the reference's JSON has it.
        Value::List(items) if items.is_empty() && matches!(shape, Shape::Any) => serde_json::Value::Null,
        Value::List(items) => items.iter().map(|item| json(item, item_shape(shape))).collect(),
        Value::Map(map) => {
            let table = table(shape);
            let hidden = |key: &str| key.starts_with("x-") && table.is_some_and(|table| !std::ptr::eq(table, &TOP));
            // A limit of 0 is left out of the reference's JSON, though not out of its YAML.
            let zero = |node: &Node| node.value == Value::Int(0) && table.is_some_and(|table| table.name == "a limit");
            ordered(map, table, Form::Json)
                .into_iter()
                .filter(|(key, node)| !hidden(key) && !zero(node))
                .map(|(key, node)| (json_key(key, table), json(node, value_shape(shape, key))))
                .collect()
        }
    }
}

/// Returns true for what is in the tree only because the reference's JSON has it.
fn for_json(key: &str, node: &Node, table: Option<&Object>) -> bool {
    let Some(field) = table.and_then(|table| table.field(key)).filter(|f| f.print == Print::Always) else {
        return false;
    };
    let inner = self::table(&field.shape);
    match &node.value {
        Value::Null => true,
        Value::Map(map) => map.iter().all(|(key, node)| for_json(key, node, inner)),
        _ => false,
    }
}

/// Returns the key as the reference's JSON has it: device entries of `blkio_config` are capitalised.
pub(crate) fn json_key(key: &str, table: Option<&Object>) -> String {
    match (table.map(|t| t.name), key) {
        (Some("a device weight" | "a device rate"), "path") => "Path".to_owned(),
        (Some("a device weight"), "weight") => "Weight".to_owned(),
        (Some("a device rate"), "rate") => "Rate".to_owned(),
        _ => key.to_owned(),
    }
}

fn table(shape: &Shape) -> Option<&'static Object> {
    match shape {
        Shape::Object(table) => Some(table),
        Shape::Short(_, long) => table(long),
        _ => None,
    }
}

fn item_shape(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(item, _) => item,
        Shape::Short(_, long) => item_shape(long),
        _ => &Shape::Any,
    }
}

fn value_shape<'a>(shape: &'a Shape, key: &str) -> &'a Shape {
    match shape {
        Shape::Object(table) => table.field(key).map_or(&Shape::Any, |field| &field.shape),
        Shape::Map(values) => &values.shape,
        Shape::Short(_, long) => value_shape(long, key),
        _ => &Shape::Any,
    }
}

//! Phase: what `config` prints. Attributes that say nothing go, the few that are printed all
//! the same come, and every `$` is doubled, so that the output can be read again.

use super::schema::{Bare, Print, Shape};
use super::tree::{Map, Node, Value};

/// Brings a tree into the form that is printed.
pub(crate) fn finish(node: &mut Node, shape: &Shape) {
    match (shape, &mut node.value) {
        (Shape::Short(_, long), _) => finish(node, long),
        (Shape::Object(table), Value::Map(map)) => {
            map.retain(|key, value| {
                let Some(field) = table.field(key) else { return true };
                finish(value, &field.shape);
                match field.print {
                    Print::Never => false,
                    Print::Filled => !says_nothing(value, &field.shape),
                    Print::Given => !value.is_null(),
                    Print::Always => true,
                }
            });
            for field in table.fields.iter().filter(|f| f.print == Print::Always) {
                if map.contains_key(field.name) {
                    continue;
                }
                let mut value = match field.shape {
                    Shape::Object(_) => Node::map(),
                    _ => Value::Null.into(),
                };
                finish(&mut value, &field.shape);
                // Not in the order of the file, but nobody prints in that order.
                map.insert(field.name.to_owned(), value);
            }
        }
        (Shape::Map(values), Value::Map(map)) => map.values_mut().for_each(|value| finish(value, &values.shape)),
        (Shape::List(item, _), Value::List(items)) => items.iter_mut().for_each(|node| finish(node, item)),
        // SSH agents and keys: a list, by name.
        (Shape::KeyValues(Bare::Agent), Value::Map(map)) => {
            let mut agents: Vec<(String, Node)> = std::mem::take(map).into_iter().collect();
            agents.sort_by(|(a, _), (b, _)| a.cmp(b));
            let text = |(name, node): (String, Node)| match node.as_text() {
                Some(path) => node.with(Value::Text(format!("{name}={path}"))),
                None => node.with(Value::Text(name)),
            };
            node.value = Value::List(agents.into_iter().map(text).collect());
        }
        (Shape::Hosts, Value::List(items)) => items.sort_by(|a, b| a.as_text().cmp(&b.as_text())),
        _ => {}
    }
}

/// Doubles every `$` in texts and keys.
pub(crate) fn escape(node: &mut Node) {
    match &mut node.value {
        Value::Text(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::List(items) => items.iter_mut().for_each(escape),
        Value::Map(map) => {
            map.values_mut().for_each(escape);
            if map.keys().any(|key| key.contains('$')) {
                let escaped: Map =
                    std::mem::take(map).into_iter().map(|(key, node)| (key.replace('$', "$$"), node)).collect();
                *map = escaped;
            }
        }
        _ => {}
    }
}

fn says_nothing(node: &Node, shape: &Shape) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(number) => *number == 0,
        Value::Large(_) | Value::Time(_) => false,
        Value::Float(number) => *number == 0.0,
        Value::Text(text) => match shape {
            Shape::Bytes(_) => text == "0",
            Shape::Duration => text == "0s",
            _ => text.is_empty(),
        },
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
    }
}

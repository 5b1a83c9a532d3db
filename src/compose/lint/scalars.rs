//! Unquoted values that YAML does not read as they look: `UMASK: 022` is the number 18,
//! `VERSION: 1.10` is 1.1, and `22:22` is 1342 in YAML 1.1 (spec row `yaml-number-traps`).

use std::collections::HashSet;

use super::written;
use crate::compose::scalar;
use crate::compose::schema::{Shape, TOP};
use crate::compose::tree::{Node, Path, Value};
use crate::diag::{Diagnostic, Span};
use crate::secrecy::{self, HIDDEN};

pub(super) fn lint(whole: &Node, warnings: &mut Vec<Diagnostic>) {
    let mut walk = Walk { seen: HashSet::new(), warnings };
    walk.node(whole, &Shape::Object(&TOP), &Path::ROOT);
}

struct Walk<'a> {
    /// Places that were looked at: ports and aliases show one several times.
    seen: HashSet<usize>,
    warnings: &'a mut Vec<Diagnostic>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, shape: &Shape, path: &Path<'_>) {
        match (shape, &node.value) {
            (Shape::Short(_, long), _) => self.node(node, long, path),
            (Shape::Object(table), Value::Map(map)) => {
                // All that a short form stands for has the place of the short form.
                self.base_60(node, path);
                for (key, value) in map {
                    if let Some(field) = table.field(key) {
                        self.node(value, &field.shape, &path.key(key));
                    }
                }
            }
            (Shape::Map(values), Value::Map(map)) => {
                map.iter().for_each(|(key, value)| self.node(value, &values.shape, &path.key(key)));
            }
            (Shape::List(item, _), Value::List(items)) => {
                items.iter().enumerate().for_each(|(index, node)| self.node(node, item, &path.index(index)));
            }
            (Shape::KeyValues(_) | Shape::Options { .. } | Shape::Strings, Value::Map(map)) => {
                for (key, value) in map {
                    let path = path.key(key);
                    self.changed(value, &path);
                    self.base_60(value, &path);
                }
            }
            (_, Value::Text(_)) => self.base_60(node, path),
            _ => {}
        }
    }

    /// A value that becomes another text than the one that was written.
    fn changed(&mut self, node: &Node, path: &Path<'_>) {
        let (Value::Text(text), Some(span)) = (&node.value, &node.span) else { return };
        if !begins(span, |first| first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.' | b'T' | b'F')) {
            return;
        }
        let raw = written(Some(span));
        if raw == text {
            return;
        }
        let read = scalar::resolve(raw);
        let kind = match &read {
            Value::Int(_) | Value::Large(_) | Value::Float(_) => "a number",
            Value::Bool(_) => "a boolean",
            Value::Time(_) => "a date",
            _ => return,
        };
        // Not a variable's value that happens to stand at this place.
        if Node::from(read).scalar_text().as_deref() == Some(text) && self.seen.insert(span.start) {
            let secret = path.name().is_some_and(secrecy::is_secret);
            let (raw, text) = if secret { (HIDDEN, HIDDEN) } else { (raw, text.as_str()) };
            let message = format!("`{path}`: {raw} without quotes is {kind}, so the value becomes {text:?}");
            let help = format!("put it in quotes to keep it as it is written: \"{raw}\"");
            self.warnings.push(Diagnostic::warning(message, span.clone()).help(help));
        }
    }

    fn base_60(&mut self, node: &Node, path: &Path<'_>) {
        let Some(span) = node.span.as_ref().filter(|span| begins(span, |first| first.is_ascii_digit())) else { return };
        let raw = written(Some(span));
        if let Some(number) = base_60(raw)
            && self.seen.insert(span.start)
        {
            let message = match path.name().is_some_and(secrecy::is_secret) {
                true => format!("`{path}`: without quotes this is a number for readers of YAML 1.1"),
                false => format!("`{path}`: {raw} without quotes is the number {number} for readers of YAML 1.1"),
            };
            let help = format!("it is read as written here; put it in quotes for other programs: \"{raw}\"");
            self.warnings.push(Diagnostic::warning(message, span.clone()).help(help));
        }
    }
}

/// Tells whether what is written at a place begins with such a character; nearly all values end here.
fn begins(span: &Span, fits: impl Fn(u8) -> bool) -> bool {
    span.source.text.as_bytes().get(span.start).is_some_and(|&first| fits(first))
}

/// Returns the number that YAML 1.1 makes of `1:30`; digits after the first part stay below 60.
fn base_60(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| ('1'..='9').contains(&c)) || !text.contains(':') {
        return None;
    }
    let mut parts = text.split(':');
    let digits =
        |part: &str| -> Option<u64> { part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten() };
    let first = digits(parts.next()?)?;
    parts.try_fold(first, |number, part| {
        let part = digits(part).filter(|n| part.len() <= 2 && *n < 60)?;
        number.checked_mul(60)?.checked_add(part)
    })
}

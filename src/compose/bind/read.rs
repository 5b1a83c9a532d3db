//! Reading values of the tree by their own grammar, and saying where one does not fit.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use indexmap::IndexMap;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};

use super::Binder;
use crate::compose::model::{Bytes, UnitError};
use crate::compose::tree::Node;
use crate::compose::units;
use crate::diag::{Diagnostic, nearest};

impl Binder<'_> {
    /// Reports what would keep the project from running.
    pub(super) fn error(&mut self, node: &Node, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(message, node.span.clone().or_else(|| node.key.clone())));
    }

    /// Advises what to do about what was just reported.
    pub(super) fn advise(&mut self, help: String) {
        if let Some(diagnostic) = self.diagnostics.last_mut() {
            diagnostic.help = Some(help);
        }
    }

    /// Advises the word that was probably meant by one that was just reported.
    pub(super) fn meant<'a>(&mut self, text: &str, words: impl IntoIterator<Item = &'a str>) {
        if let (Some(word), Some(diagnostic)) = (nearest(text, words), self.diagnostics.last_mut()) {
            diagnostic.help = Some(format!("did you mean `{word}`?"));
        }
    }

    /// Reports what makes no sense and is not acted on either.
    pub(super) fn doubt(&mut self, node: &Node, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warning(message, node.span.clone().or_else(|| node.key.clone())));
    }

    /// Reads a text by its own grammar, or reports that it is not what is named.
    pub(super) fn parse<T: FromStr>(&mut self, node: Option<&Node>, what: &str) -> Option<T> {
        let node = node?;
        let text = node.as_text()?;
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(value) => Some(value),
            Err(_) => {
                self.error(node, format!("{text:?} is not {what}"));
                None
            }
        }
    }

    /// Reads a value that has a unit, or reports that it is none.
    pub(super) fn unit<T: FromStr<Err = UnitError>>(&mut self, node: &Node) -> Option<T> {
        let text = node.scalar_text().filter(|text| !text.is_empty())?;
        text.parse().map_err(|error: UnitError| self.error(node, error.to_string())).ok()
    }

    /// Reads one of a few words; another one is reported as a doubt.
    pub(super) fn word<T: DeserializeOwned>(&mut self, node: Option<&Node>, words: &[&str]) -> Option<T> {
        let node = node?;
        let text = node.as_text().filter(|text| !text.is_empty())?;
        let read: StrDeserializer<'_, Error> = text.into_deserializer();
        match T::deserialize(read) {
            Ok(value) => Some(value),
            Err(_) => {
                let help = match nearest(text, words.iter().copied()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("one of {}", words.join(", ")),
                };
                self.doubt(node, format!("{text:?} is not a value it can have"));
                if let Some(diagnostic) = self.diagnostics.last_mut() {
                    diagnostic.help = Some(help);
                }
                None
            }
        }
    }

    /// Reads a whole number within bounds, or reports that it is not.
    pub(super) fn whole<T: TryFrom<i64>>(&mut self, node: &Node, key: &str, bounds: RangeInclusive<i64>) -> Option<T> {
        let at = node.get(key)?;
        let number = at.as_int().or_else(|| at.as_text()?.parse().ok())?;
        let value = T::try_from(number).ok().filter(|_| bounds.contains(&number));
        if value.is_none() {
            let most = match *bounds.end() {
                i64::MAX => String::from(" or more"),
                end => format!(" to {end}"),
            };
            self.error(at, format!("`{key}` is a whole number: {}{most}", bounds.start()));
        }
        value
    }
}

/// Returns the items of a list.
pub(super) fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).and_then(Node::as_list).unwrap_or_default()
}

/// Returns the entries of a mapping.
pub(super) fn entries<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = (&'a String, &'a Node)> {
    node.get(key).and_then(Node::as_map).into_iter().flatten()
}

/// Returns a text that is not empty.
pub(super) fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::as_text).filter(|text| !text.is_empty()).map(str::to_owned)
}

pub(super) fn flag(node: &Node, key: &str) -> bool {
    node.get(key).is_some_and(Node::is_true)
}

pub(super) fn texts(node: &Node, key: &str) -> Vec<String> {
    items(node, key).iter().filter_map(Node::as_text).map(str::to_owned).collect()
}

/// Returns an argument list; an empty one is one too.
pub(super) fn arguments(node: &Node, key: &str) -> Option<Vec<String>> {
    node.get(key).and_then(Node::as_list).map(|_| texts(node, key))
}

pub(super) fn paths(node: &Node, key: &str) -> Vec<PathBuf> {
    items(node, key).iter().filter_map(Node::as_text).map(PathBuf::from).collect()
}

pub(super) fn texts_by_key(node: &Node, key: &str) -> BTreeMap<String, String> {
    pairs(node, key).collect()
}

pub(super) fn texts_in_order(node: &Node, key: &str) -> IndexMap<String, String> {
    pairs(node, key).collect()
}

/// Returns keys and texts; `None` for a key without a value.
pub(super) fn bare_texts(node: &Node, key: &str) -> IndexMap<String, Option<String>> {
    entries(node, key).map(|(key, value)| (key.clone(), value.as_text().map(str::to_owned))).collect()
}

fn pairs(node: &Node, key: &str) -> impl Iterator<Item = (String, String)> {
    entries(node, key).filter_map(|(key, value)| Some((key.clone(), value.as_text()?.to_owned())))
}

pub(super) fn duration(node: &Node, key: &str) -> Option<Duration> {
    node.get(key).and_then(Node::as_text).and_then(units::duration)
}

/// Returns a size of more than nothing.
pub(super) fn bytes(node: &Node, key: &str) -> Option<Bytes> {
    let number = node.get(key).and_then(Node::as_text).and_then(units::bytes)?;
    u64::try_from(number).ok().filter(|n| *n > 0).map(Bytes)
}

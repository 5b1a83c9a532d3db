//! The tree of nodes that every phase works on: YAML's data, each value with its place.

use std::sync::Arc;

use indexmap::IndexMap;

use super::provenance::Trail;
use crate::diag::Span;

/// A mapping, in the order of the file. Its hash is quick and has a random seed: keys come from files that nobody checked.
pub type Map = IndexMap<String, Node, foldhash::fast::RandomState>;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it came from; `None` for what no file says (defaults).
    pub span: Option<Span>,
    /// Place of the key that holds it, where it is a value of a mapping.
    pub key: Option<Span>,
    /// What it does to the value it is merged over.
    pub mark: Mark,
    /// How it came to say this; only where that was asked for ([`super::provenance`]).
    pub trail: Option<Arc<Trail>>,
}

/// `!reset` and `!override` (spec rows `merge-reset`, `merge-override`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mark {
    /// The attribute's own merge rule.
    #[default]
    None,
    /// Removes what is below it. Kept in the tree until the last merge.
    Reset,
    /// Replaces what is below it.
    Override,
}

/// YAML's data.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is too large for that.
    Large(u64),
    /// Another number.
    Float(f64),
    /// A date or time. In texts, the reference writes it in another form than on its own.
    Time(Time),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A date or time that was written without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    /// On its own: `2024-01-02T00:00:00Z`.
    pub alone: String,
    /// As a part of a text: `2024-01-02 00:00:00 +0000 UTC`.
    pub text: String,
}

impl PartialEq for Node {
    /// Places do not count: two nodes are equal when they say the same.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self { value, span: None, key: None, mark: Mark::None, trail: None }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned()).into()
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Value::Text(text).into()
    }
}

impl From<bool> for Node {
    fn from(value: bool) -> Self {
        Value::Bool(value).into()
    }
}

impl Node {
    /// Returns an empty mapping without a place.
    pub fn map() -> Self {
        Value::Map(Map::default()).into()
    }

    /// Returns the node with the places of another.
    #[must_use]
    pub fn placed_as(mut self, other: &Self) -> Self {
        self.span.clone_from(&other.span);
        self.key.clone_from(&other.key);
        self.trail.clone_from(&other.trail);
        self
    }

    /// Returns the node with the place of another, whose key is not its own.
    #[must_use]
    pub fn at(mut self, other: &Self) -> Self {
        self.span.clone_from(&other.span);
        self.trail.clone_from(&other.trail);
        self
    }

    /// Returns a node of the same place with another value.
    #[must_use]
    pub fn with(&self, value: Value) -> Self {
        Self { value, span: self.span.clone(), key: self.key.clone(), mark: self.mark, trail: self.trail.clone() }
    }

    /// Returns the value of a key, where this is a mapping that has it and it is not null.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key).filter(|n| !n.is_null())
    }

    /// Returns the value of a key for change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(map) => map.get_mut(key),
            _ => None,
        }
    }

    /// Returns the mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns the mapping for change, if it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Returns the items, if it is a sequence.
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the whole number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match &self.value {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the number, if it is one.
    pub fn as_float(&self) -> Option<f64> {
        match &self.value {
            Value::Int(number) => Some(*number as f64),
            Value::Large(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns true for `true` alone.
    pub fn is_true(&self) -> bool {
        self.value == Value::Bool(true)
    }

    /// Returns true for nothing.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// Returns the text of a scalar as Compose turns it into a string: numbers shortest, null empty.
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Null => Some(String::new()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Large(number) => Some(number.to_string()),
            Value::Float(number) => Some(super::units::float_text(*number)),
            Value::Time(time) => Some(time.text.clone()),
            Value::Text(text) => Some(text.clone()),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Returns what kind of value it is, with its article.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Large(_) | Value::Float(_) => "a number",
            Value::Time(_) => "a date",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Calls back for the node and every one in it.
    pub fn each<'a>(&'a self, call: &mut impl FnMut(&'a Self)) {
        call(self);
        match &self.value {
            Value::List(items) => items.iter().for_each(|item| item.each(call)),
            Value::Map(map) => map.values().for_each(|value| value.each(call)),
            _ => {}
        }
    }

    /// Returns the place of the key, or of the value where there is no key.
    pub fn key_or_span(&self) -> Option<Span> {
        self.key.clone().or_else(|| self.span.clone())
    }

    /// Returns true for a key that was an item of a list, alone: `- NAME`. Its place is its value's as well.
    pub(crate) fn is_bare_item(&self) -> bool {
        self.is_null() && self.key.is_some() && self.key == self.span
    }
}

/// A path from the root, kept on the call stack: phases walk down without allocating.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl Path<'static> {
    /// The root of a document.
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Root };
}

impl<'a> Path<'a> {
    /// Returns the path of a key.
    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Key(key) }
    }

    /// Returns its last key, where it ends in one.
    pub fn name(&self) -> Option<&'a str> {
        match self.step {
            Step::Key(key) => Some(key),
            Step::Root | Step::Index(_) => None,
        }
    }

    /// Returns the path of an item.
    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(index) }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            let dot = if matches!(parent.step, Step::Root) { "" } else { "." };
            match self.step {
                Step::Root => Ok(()),
                Step::Key(key) => write!(f, "{dot}{key}"),
                Step::Index(index) => write!(f, "[{index}]"),
            }
        } else {
            Ok(())
        }
    }
}

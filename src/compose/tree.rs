//! The tree of nodes that every phase works on: YAML's data, each with its place.

use indexmap::IndexMap;

use crate::diag::Span;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it came from; `None` for what no file says (defaults).
    pub span: Option<Span>,
}

/// YAML's data.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(IndexMap<String, Node>),
}

//! Which place every value of a project comes from, and what it wins over (`config explain`):
//! a pure question to what loading kept ([`super::provenance`]).

mod origin;
mod path;
mod rules;

use std::borrow::Cow;

use super::provenance::Provenance;
use super::tree::{Node, Value};
use super::uses::{Reveal, Use};
use crate::diag::Span;
use crate::secrecy;
use origin::Origins;
pub use origin::{Excerpt, Kind};
pub use path::Step;

/// An attribute of the project: one value, or all values of a section.
#[derive(Debug)]
pub struct Explanation {
    /// Its path, in full.
    pub path: String,
    /// It is a mapping or a list: `values` has what is in it.
    pub section: bool,
    /// No profile enables the service that it belongs to.
    pub disabled: bool,
    /// The values, in the order of the files; one, where it is no section.
    pub values: Vec<Explained>,
    /// What a section as a whole was put in the place of.
    pub overridden: Vec<Candidate>,
}

/// A value with its origin.
#[derive(Debug)]
pub struct Explained {
    /// Its path, in full.
    pub path: String,
    /// What is in force.
    pub won: Candidate,
    /// What it wins over, by precedence.
    pub overridden: Vec<Candidate>,
}

/// A value that somebody gave.
#[derive(Debug)]
pub struct Candidate {
    /// The value, as it may be shown.
    pub value: serde_json::Value,
    /// A part of it is hidden.
    pub secret: bool,
    /// Secrets were asked for.
    pub revealed: bool,
    /// Who gave it.
    pub kind: Kind,
    /// The same in words; for a default, the rule.
    pub origin: String,
    /// Where it is written; for a default, what implies it.
    pub span: Option<Span>,
    /// The line of that place, secrets hidden.
    pub excerpt: Option<Excerpt>,
    /// The variables in its text.
    pub variables: Vec<Use>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

impl Candidate {
    /// Returns how much of its variables' values may be shown.
    pub fn reveal(&self) -> Reveal {
        match (self.revealed, self.secret) {
            (true, _) => Reveal::All,
            (false, true) => Reveal::Nothing,
            (false, false) => Reveal::Harmless,
        }
    }
}

/// A path that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoSuchPath {
    /// What is wrong with it.
    pub message: String,
    /// What there is instead.
    pub help: Option<String>,
}

/// Returns where an attribute comes from. An empty path is the whole project; a service's name
/// may stand at the beginning. Secrets are hidden unless `reveal`.
pub fn explain(provenance: &Provenance, path: &str, reveal: bool) -> Result<Explanation, NoSuchPath> {
    let steps = path::resolve(provenance, path)?;
    let origins = Origins { provenance, reveal };
    let node = path::at(&provenance.tree, &steps);
    let section = match node.map(|node| &node.value) {
        Some(Value::Map(map)) => !map.is_empty(),
        Some(Value::List(items)) => !items.is_empty(),
        _ => false,
    };
    let mut values = Vec::new();
    if let Some(node) = node {
        leaves(node, &mut steps.clone(), &mut |node, steps| values.push(origins.explained(node, steps)));
    }
    let overridden = if section { origins.overridden(&steps) } else { Vec::new() };
    let disabled = matches!(&steps[..], [Step::Key(services), Step::Key(name), ..]
        if services == "services" && provenance.disabled.contains(name));
    Ok(Explanation { path: path::shown(&steps), section, disabled, values, overridden })
}

/// Calls back for every value without values in it.
fn leaves<'a>(node: &'a Node, steps: &mut Vec<Step>, leaf: &mut dyn FnMut(&'a Node, &[Step])) {
    match &node.value {
        Value::Map(map) if !map.is_empty() => {
            for (key, value) in map {
                steps.push(Step::Key(key.clone()));
                leaves(value, steps, leaf);
                steps.pop();
            }
        }
        Value::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                steps.push(Step::Index(index));
                leaves(item, steps, leaf);
                steps.pop();
            }
        }
        // Made while loading, and empty: there is nothing to explain.
        Value::Map(_) | Value::List(_) if node.span.is_none() && node.trail.is_none() => {}
        _ => leaf(node, steps),
    }
}

/// Returns a value as it may be shown, and whether a part of it is hidden. `key` is the nearest
/// key above it, `section` the first one.
fn redacted(node: &Node, section: &str, key: &str, uses: &[Use]) -> (serde_json::Value, bool) {
    match &node.value {
        Value::Null => (serde_json::Value::Null, false),
        Value::Bool(value) => ((*value).into(), false),
        Value::Map(map) => {
            let mut secret = false;
            let entries = map.iter().map(|(key, value)| {
                let (shown, hidden) = redacted(value, section, key, uses);
                secret |= hidden;
                (key.clone(), shown)
            });
            (serde_json::Value::Object(entries.collect()), secret)
        }
        Value::List(items) => {
            let after = |index: usize| index > 0 && items[index - 1].as_text().is_some_and(secrecy::is_secret_option);
            let shown = items.iter().enumerate().map(|(index, item)| match after(index) {
                true => (secrecy::HIDDEN.into(), true),
                false => redacted(item, section, key, uses),
            });
            let shown: Vec<(serde_json::Value, bool)> = shown.collect();
            let secret = shown.iter().any(|(_, hidden)| *hidden);
            (shown.into_iter().map(|(value, _)| value).collect(), secret)
        }
        scalar => {
            let text = node.scalar_text().unwrap_or_default();
            let shown = redacted_text(&text, section, key, uses);
            if shown != text {
                return (shown.into_owned().into(), true);
            }
            let value = match scalar {
                Value::Int(number) => (*number).into(),
                Value::Large(number) => (*number).into(),
                Value::Float(number) => (*number).into(),
                _ => text.into(),
            };
            (value, false)
        }
    }
}

fn redacted_text<'a>(text: &'a str, section: &str, key: &str, uses: &[Use]) -> Cow<'a, str> {
    if section == "secrets" && key == "content" && !text.is_empty() {
        return secrecy::HIDDEN.into();
    }
    let mut shown = secrecy::shown(key, text);
    for used in uses.iter().filter(|used| secrecy::is_secret(&used.name)) {
        if let Some(setting) = used.setting().filter(|setting| !setting.value.is_empty())
            && shown.contains(&setting.value)
        {
            shown = shown.replace(&setting.value, secrecy::HIDDEN).into();
        }
    }
    shown
}

//! Phase: variables in values (spec rows `interp-*`). Keys are left alone (`interp-values-only`).

use std::collections::{BTreeMap, BTreeSet};

use super::template::{self, TemplateError, Variables};
use super::tree::{Mark, Node, Path, Value};
use crate::diag::{Diagnostic, Span};

/// Replaces the variables in every text of a tree.
///
/// `told` holds the unset variables that were reported already.
pub(crate) fn interpolate(
    node: &mut Node,
    path: &Path<'_>,
    environment: &BTreeMap<String, String>,
    told: &mut BTreeSet<String>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if node.mark == Mark::Reset {
        return;
    }
    match &mut node.value {
        Value::Text(text) if text.contains('$') => {
            let mut scope = Scope { environment, unset: Vec::new() };
            match template::substitute(text, &mut scope) {
                Ok(replaced) => *text = replaced,
                Err(error) => diagnostics.push(explain(&error, path, node.span.as_ref())),
            }
            for name in scope.unset {
                if told.insert(name.clone()) {
                    let span = node.span.as_ref().map(|span| narrow(span, &name));
                    diagnostics.push(
                        Diagnostic::warning(
                            format!("the variable {name} is not set and becomes an empty string"),
                            span,
                        )
                        .help(format!("set it in the environment or in .env, or give a default: ${{{name}:-value}}")),
                    );
                }
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                interpolate(item, &path.index(index), environment, told, diagnostics);
            }
        }
        Value::Map(map) => {
            for (key, value) in map {
                interpolate(value, &path.key(key), environment, told, diagnostics);
            }
        }
        _ => {}
    }
}

struct Scope<'a> {
    environment: &'a BTreeMap<String, String>,
    unset: Vec<String>,
}

impl Variables for Scope<'_> {
    fn value(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn unset(&mut self, name: &str) {
        self.unset.push(name.to_owned());
    }
}

fn explain(error: &TemplateError, path: &Path<'_>, span: Option<&Span>) -> Diagnostic {
    let (part, help) = match error {
        TemplateError::Invalid { part } => (
            part.as_str(),
            "write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+value}; a literal $ is $$".to_owned(),
        ),
        TemplateError::Required { name, .. } => (name.as_str(), format!("set {name} in the environment or in .env")),
    };
    Diagnostic::error(format!("`{path}`: {error}"), span.map(|span| narrow(span, part))).help(help)
}

/// Returns the place of a piece of text within a span, or the span where it is not found once.
fn narrow(span: &Span, part: &str) -> Span {
    let text = span.source.text.get(span.start..span.end).unwrap_or_default();
    let mut found = text.match_indices(part);
    match (found.next(), found.next()) {
        (Some((at, _)), None) if !part.is_empty() => {
            Span { start: span.start + at, end: span.start + at + part.len(), ..span.clone() }
        }
        _ => span.clone(),
    }
}

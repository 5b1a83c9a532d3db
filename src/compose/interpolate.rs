//! Phase: variables in values (spec rows `interp-*`). Keys are left alone (`interp-values-only`).

use std::collections::BTreeSet;

use super::environment::Environment;
use super::limits::{self, Budget};
use super::template::{self, Outcome, TemplateError, Variables};
use super::tree::{Mark, Node, Path, Value};
use super::uses::{Use, Uses};
use crate::diag::{Diagnostic, Span};

/// Variables that are remembered of one text.
const MAX_USES: usize = 32;

/// What replacing variables needs to know, and what comes of it.
pub(crate) struct Interpolation<'a> {
    /// The variables.
    pub(crate) environment: &'a Environment,
    /// What may still be spent.
    pub(crate) budget: &'a Budget,
    /// Unset variables that were reported already.
    pub(crate) told: &'a mut BTreeSet<String>,
    /// Which variables are in which texts.
    pub(crate) uses: &'a mut Uses,
    /// Not all variables could be read: that one is not set means nothing.
    pub(crate) incomplete: bool,
    /// What was found wrong.
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
}

impl Interpolation<'_> {
    /// Replaces the variables in every text of a tree.
    pub(crate) fn replace(&mut self, node: &mut Node, path: &Path<'_>) {
        if node.mark == Mark::Reset || limits::enough(self.diagnostics) {
            return;
        }
        match &mut node.value {
            Value::Text(text) if text.contains('$') => {
                if let Some(replaced) = self.substitute(text, node.span.as_ref(), path) {
                    *text = replaced;
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.replace(item, &path.index(index));
                }
            }
            Value::Map(map) => {
                for (key, value) in map {
                    self.replace(value, &path.key(key));
                }
            }
            _ => {}
        }
    }

    fn substitute(&mut self, text: &str, span: Option<&Span>, path: &Path<'_>) -> Option<String> {
        let new = span.filter(|span| !self.uses.knows(span));
        let mut scope = Scope { environment: self.environment, unset: Vec::new(), uses: new.map(|_| Vec::new()) };
        let replaced = template::substitute(text, &mut scope)
            .map_err(|error| self.diagnostics.push(explain(&error, path, span)))
            .ok()
            .filter(|replaced| self.budget.text(replaced.len(), span, self.diagnostics));
        for name in scope.unset {
            if !self.incomplete && limits::room_to_warn(self.diagnostics) && self.told.insert(name.clone()) {
                let message = format!("the variable {name} is not set and becomes an empty string");
                let help = if runs_in_container(path) {
                    format!("set it in the environment or in .env; if the container is to replace it, write $${name}")
                } else {
                    format!("set it in the environment or in .env, or give a default: ${{{name}:-value}}")
                };
                let span = span.map(|span| narrow(span, &name));
                self.diagnostics.push(Diagnostic::warning(message, span).help(help));
            }
        }
        if let (Some(span), Some(uses)) = (new, scope.uses) {
            self.uses.add(span, uses);
        }
        replaced
    }
}

/// Returns true for commands: a variable in one may be meant for a shell in the container.
fn runs_in_container(path: &Path<'_>) -> bool {
    let path = path.to_string();
    ["command", "entrypoint", "healthcheck"].iter().any(|key| path.split(['.', '[']).any(|step| step == *key))
}

struct Scope<'a> {
    environment: &'a Environment,
    unset: Vec<String>,
    /// What became of the variables, each told once; `None` where that is known.
    uses: Option<Vec<Use>>,
}

impl Variables for Scope<'_> {
    fn value(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(str::to_owned)
    }

    fn unset(&mut self, name: &str) {
        self.unset.push(name.to_owned());
    }

    fn used(&mut self, name: &str, outcome: Outcome) {
        let Some(uses) = &mut self.uses else { return };
        let mut left = vec![(name.to_owned(), outcome)];
        // The variable, then those that its value was made of.
        while let Some((name, outcome)) = left.pop() {
            if uses.len() < MAX_USES && !uses.iter().any(|known| known.name == name && known.outcome == outcome) {
                let settings = self.environment.settings(&name).cloned();
                let made_of = settings.as_ref().filter(|_| outcome == Outcome::Value).map(|all| &all[0].made_of);
                left.extend(made_of.into_iter().flatten().rev().map(|name| (name.clone(), Outcome::Value)));
                uses.push(Use { name, outcome, settings });
            }
        }
    }
}

fn explain(error: &TemplateError, path: &Path<'_>, span: Option<&Span>) -> Diagnostic {
    let (part, help) = match error {
        TemplateError::Invalid { part } => (
            part.as_str(),
            "write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+value}; a literal $ is $$".to_owned(),
        ),
        TemplateError::TooLong => ("", "shorten the value of a variable".to_owned()),
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

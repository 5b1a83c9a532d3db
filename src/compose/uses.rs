//! Which variables made a text what it is, by the place of the text. A table beside the tree:
//! only texts that hold variables are in it, and no phase has to carry it along.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::environment::{Set, Setting};
use super::template::Outcome;
use crate::diag::{Diagnostic, Span};
use crate::secrecy;

/// More notes than these on one diagnostic help nobody.
const MAX_NOTES: usize = 4;
/// Longest value in a note, in characters.
const MAX_VALUE: usize = 60;

/// How much of a variable's value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reveal {
    /// All of it.
    All,
    /// What is not secret by its name or as a part of a URL.
    Harmless,
    /// None of it: it is the value of something secret.
    Nothing,
}

impl Reveal {
    /// Returns a value of a variable as it may be shown.
    pub fn shown<'a>(self, name: &str, value: &'a str) -> Cow<'a, str> {
        match self {
            Self::All => value.into(),
            Self::Harmless => secrecy::shown(name, value),
            Self::Nothing if value.is_empty() => value.into(),
            Self::Nothing => secrecy::HIDDEN.into(),
        }
    }
}

/// One variable in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The variable.
    pub name: String,
    /// What was made of it.
    pub outcome: Outcome,
    /// What it was given, the value in force first; `None` where it is not set.
    pub settings: Option<Arc<Vec<Setting>>>,
}

impl Use {
    /// Returns the value and what gave it; `None` where it is not set.
    pub fn setting(&self) -> Option<&Setting> {
        self.settings.as_ref()?.first()
    }

    /// Returns the values that are not in force where they differ from the one that is, and where they stand.
    fn over(&self, reveal: Reveal) -> String {
        let Some([first, hidden @ ..]) = self.settings.as_deref().map(Vec::as_slice) else { return String::new() };
        let told = |other: &Setting| {
            let value = assignment(&self.name, &other.value, reveal);
            format!("{} {}", value[self.name.len() + 1..].to_owned(), place(&other.set))
        };
        let places: Vec<String> = hidden.iter().filter(|other| other.value != first.value).map(told).collect();
        if places.is_empty() { String::new() } else { format!(", over {}", places.join(", ")) }
    }

    /// Returns how the variable came to its value, in words.
    pub fn describe(&self, reveal: Reveal) -> String {
        let name = &self.name;
        let Some(setting) = self.setting() else {
            return match self.outcome {
                Outcome::Default => format!("{name} is not set, its default is used"),
                Outcome::Nothing => format!("{name} is not set, nothing is put in its place"),
                _ => format!("{name} is not set and becomes an empty string"),
            };
        };
        let assigned = assignment(name, &setting.value, reveal);
        let place = place(&setting.set);
        match self.outcome {
            Outcome::Default => format!("{name} is empty ({place}), its default is used"),
            Outcome::Nothing => format!("{name} is empty ({place}), nothing is put in its place"),
            Outcome::Alternative => format!("{assigned} {}, its replacement is used", set(&place)),
            Outcome::Value | Outcome::Empty => format!("{assigned} {}{}", set(&place), self.over(reveal)),
        }
    }
}

fn set(place: &str) -> String {
    if place.starts_with("in ") { format!("is set {place}") } else { format!("is {place}") }
}

/// Returns `NAME=value` on one line, the value shortened.
fn assignment(name: &str, value: &str, reveal: Reveal) -> String {
    let value = reveal.shown(name, value);
    let mut shown = String::new();
    for c in value.chars().take(MAX_VALUE) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if value.chars().count() > MAX_VALUE {
        shown.push_str("...");
    }
    format!("{name}={shown}")
}

/// Returns where a variable was set: `in .env:3`, `in the shell`.
pub fn place(set: &Set) -> String {
    match set {
        Set::Project => bare(set),
        Set::Shell | Set::File(_) => format!("in {}", bare(set)),
    }
}

fn bare(set: &Set) -> String {
    match set {
        Set::Shell => "the shell".to_owned(),
        Set::File(span) => format!("{}:{}", span.source.path.display(), span.line_column().0),
        Set::Project => "the name of the project".to_owned(),
    }
}

/// The texts in which variables were replaced.
#[derive(Debug, Default)]
pub struct Uses {
    /// By source, by its address, and first byte.
    texts: BTreeMap<(usize, usize), (Span, Vec<Use>)>,
}

impl Uses {
    /// Returns true for a text that is known; an alias repeats it.
    pub(crate) fn knows(&self, span: &Span) -> bool {
        self.texts.contains_key(&key(span))
    }

    /// Remembers the variables of a text.
    pub(crate) fn add(&mut self, span: &Span, uses: Vec<Use>) {
        if !uses.is_empty() {
            self.texts.insert(key(span), (span.clone(), uses));
        }
    }

    /// Returns the variables of the text that a place is in.
    pub fn at(&self, span: &Span) -> &[Use] {
        let (source, start) = key(span);
        match self.texts.range((source, 0)..=(source, start)).next_back() {
            Some((_, (text, uses))) if text.end >= span.end => uses,
            _ => &[],
        }
    }

    /// Adds to diagnostics which variables made the texts they are about, and what set those.
    pub(crate) fn annotate(&self, diagnostics: &mut [Diagnostic]) {
        for diagnostic in diagnostics {
            let Some(span) = &diagnostic.span else { continue };
            let uses = self.at(span);
            let secrets = uses.iter().filter(|used| secrecy::is_secret(&used.name)).filter_map(Use::setting);
            let secrets: Vec<&str> = secrets.map(|set| set.value.as_str()).filter(|value| !value.is_empty()).collect();
            let notes = uses.iter().take(MAX_NOTES).map(|used| {
                // What is made of a secret is one.
                let holds = |setting: &Setting| secrets.iter().any(|secret| setting.value.contains(secret));
                let hidden = used.setting().is_some_and(holds);
                used.describe(if hidden { Reveal::Nothing } else { Reveal::Harmless })
            });
            diagnostic.notes.extend(notes);
        }
    }
}

fn key(span: &Span) -> (usize, usize) {
    // The table holds the source, so its address stays its own.
    (Arc::as_ptr(&span.source) as usize, span.start)
}

//! Spans and diagnostics: what a user's mistake looks like before it is drawn.
//!
//! Phases return values and a list of [`Diagnostic`]s; nobody stops at the first mistake.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that was read, kept so that excerpts can be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The file as the user would name it; `-` for standard input.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// A place in a source: byte offsets, end exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text the offsets are in.
    pub source: Arc<Source>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// Returns line and column of the start, both from 1; columns count characters.
    pub fn line_column(&self) -> (usize, usize) {
        let start = floor_char_boundary(&self.source.text, self.start);
        let before = &self.source.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// Returns `file:line:column`.
    pub fn location(&self) -> String {
        let (line, column) = self.line_column();
        format!("{}:{line}:{column}", self.source.path.display())
    }
}

/// Returns the largest character boundary that is not after `at`.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The command goes on.
    Warning,
    /// The command cannot go on.
    Error,
}

/// One problem of a user's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where; `None` only where there is no text (a missing file, say).
    pub span: Option<Span>,
    /// What to put under the underlined place; empty for nothing.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// What led to it: where a variable in the place was set, say.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// Returns an error at a place.
    pub fn error(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span: span.into(),
            label: String::new(),
            help: None,
            notes: Vec::new(),
        }
    }

    /// Returns a warning at a place.
    pub fn warning(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message, span) }
    }

    /// Returns the diagnostic with a text under the underlined place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Returns the diagnostic with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Returns the known word that was probably meant by a misspelled one; `None` when none is near.
/// Case and the two dashes, `-` and `_`, do not count.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let spelled = plain(word);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&spelled, &plain(candidate)), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 2.min(candidate.len() / 2) && *distance < word.len())
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(nearest(word, ["healthcheck", "cap_add", "db"]), expected, "{word}");
        };
        check("helthchek", Some("healthcheck"));
        check("Cap-Add", Some("cap_add"));
        check("dbb", Some("db"));
        check("x", None);
        check("volumes", None);
    }
}

//! Spans and diagnostics: what a user's mistake looks like before it is drawn.
//!
//! Phases return values and a list of [`Diagnostic`]s; nobody stops at the first mistake.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use crate::secrecy;

/// Longest message or advice, in bytes: what a hostile file puts into one stays readable.
const MAX_MESSAGE: usize = 2000;

/// A text that was read, kept so that excerpts can be shown.
pub struct Source {
    /// The file as the user would name it; `-` for standard input.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
    /// Byte offsets at which lines begin; made when first asked for.
    lines: OnceLock<Box<[u32]>>,
    /// What is secret in the lines that were asked about.
    secrets: Mutex<BTreeMap<usize, Arc<[Range<usize>]>>>,
}

impl Source {
    /// Returns a text with the name that is shown for it.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), lines: OnceLock::new(), secrets: Mutex::default() }
    }

    /// Returns the line, from 0, that a byte offset lies in.
    pub fn line_of(&self, at: usize) -> usize {
        self.lines().partition_point(|&start| start as usize <= at) - 1
    }

    /// Returns the byte offset at which a line, from 0, begins; the end of the text for lines behind the last.
    pub fn line_start(&self, line: usize) -> usize {
        self.lines().get(line).map_or(self.text.len(), |&start| start as usize)
    }

    /// Returns the values of secrets in a line, from 0: byte offsets in the text, in order. A line is read once,
    /// however many diagnostics are about it: whole files are written as one.
    pub fn secrets_of(&self, line: usize) -> Arc<[Range<usize>]> {
        let mut known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.entry(line).or_insert_with(|| {
            let (start, end) = (self.line_start(line), self.line_start(line + 1));
            let parts = secrecy::hidden_parts(self.text[start..end].trim_end());
            parts.into_iter().map(|part| start + part.start..start + part.end).collect()
        });
        Arc::clone(found)
    }

    fn lines(&self) -> &[u32] {
        let next = |(at, _): (usize, &str)| u32::try_from(at + 1).unwrap_or(u32::MAX);
        self.lines.get_or_init(|| [0].into_iter().chain(self.text.match_indices('\n').map(next)).collect())
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}

impl Eq for Source {}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).field("text", &self.text).finish()
    }
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
        let line = self.source.line_of(start);
        let column = self.source.text[self.source.line_start(line).min(start)..start].chars().count();
        (line + 1, column + 1)
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
            message: shortened(message.into()),
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
        self.label = shortened(label.into());
        self
    }

    /// Returns the diagnostic with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }
}

/// Returns a text of bearable length: its beginning and its end.
fn shortened(text: String) -> String {
    if text.len() <= MAX_MESSAGE {
        return text;
    }
    let (head, tail) = (MAX_MESSAGE / 4 * 3, text.len() - MAX_MESSAGE / 4);
    format!("{} ... {}", &text[..floor_char_boundary(&text, head)], &text[floor_char_boundary(&text, tail)..])
}

/// Returns the known word that was probably meant by a misspelled one; `None` when none is near.
/// Case and the two dashes, `-` and `_`, do not count.
///
/// Of very many known words the first ones are looked at.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longest word that can be misspelled, in bytes.
    const LONGEST: usize = 64;
    /// Words that are compared.
    const MOST: usize = 1000;
    if word.len() > LONGEST {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let spelled = plain(word);
    known
        .into_iter()
        .take(MOST)
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= 2 && candidate.len() <= LONGEST)
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

//! What one project may cost. A file of a few bytes can stand for very many values (aliases, `extends`, ranges of
//! ports, `env_file`) or for very long ones (variables in variables), so what is counted is what comes out of it:
//! the work is bounded without looking at a clock.

use std::cell::Cell;

use super::tree::{Node, Value};
use crate::diag::{Diagnostic, Severity, Span};

/// Largest file that is read, in bytes.
pub const MAX_FILE: usize = 8 << 20;
/// Bytes of all files that one project is made from, a file counted each time it is read.
pub(crate) const MAX_BYTES: usize = 64 << 20;
/// Values (scalars, lists and mappings) that a project is made from, in all its files and phases.
pub(crate) const MAX_VALUES: usize = 1_000_000;
/// Bytes that variables are replaced by, in all values together.
pub(crate) const MAX_TEXT: usize = 32 << 20;
/// Deepest nesting of lists and mappings, aliases included.
pub(crate) const MAX_DEPTH: usize = 100;
/// Values that the aliases of one file together may stand for.
pub(crate) const MAX_ALIASED: usize = 250_000;
/// Deepest chain of files that include one another. Circles are told by the files in them, not by this.
pub(crate) const MAX_INCLUDES: usize = 50;
/// Deepest chain of services that extend one another. Circles are told by the services in them, not by this.
pub(crate) const MAX_EXTENDS: usize = 200;
/// Files that one project may be made from.
pub(crate) const MAX_FILES: usize = 2000;
/// Diagnostics that are shown; who has made so many mistakes does not read more.
pub(crate) const MAX_DIAGNOSTICS: usize = 250;

/// What is left to spend while one project is loaded.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: Account,
    values: Account,
    text: Account,
}

#[derive(Debug)]
struct Account {
    left: Cell<usize>,
    told: Cell<bool>,
}

impl Account {
    fn new(left: usize) -> Self {
        Self { left: Cell::new(left), told: Cell::new(false) }
    }

    /// Takes an amount. Where there is not enough the account is empty from then on, and what `tell` says is
    /// told, once.
    fn take(
        &self,
        amount: usize,
        at: Option<&Span>,
        diagnostics: &mut Vec<Diagnostic>,
        tell: impl FnOnce() -> Diagnostic,
    ) -> bool {
        let left = self.left.get().checked_sub(amount);
        self.left.set(left.unwrap_or(0));
        if left.is_none() && !self.told.replace(true) {
            diagnostics.push(Diagnostic { span: at.cloned(), ..tell() });
        }
        left.is_some()
    }
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { bytes: Account::new(MAX_BYTES), values: Account::new(MAX_VALUES), text: Account::new(MAX_TEXT) }
    }

    /// Returns how many values may still come to be.
    pub(crate) fn values_left(&self) -> usize {
        self.values.left.get()
    }

    /// Takes back what came to be since there were so many left: it is made again.
    pub(crate) fn give_back(&self, values_left: usize) {
        self.values.left.set(values_left);
    }

    /// Returns true when the project stands for more values than it may; that was said.
    pub(crate) fn spent(&self) -> bool {
        self.values.told.get()
    }

    /// Takes the bytes of a file that was read; false when there were not so many left.
    pub(crate) fn bytes(&self, count: usize, at: Option<&Span>, diagnostics: &mut Vec<Diagnostic>) -> bool {
        self.bytes.take(count, at, diagnostics, || {
            Diagnostic::error(format!("the files of this project have more than {MAX_BYTES} bytes"), None)
                .help("a file counts each time that it is read: split the project, or include the file once")
        })
    }

    /// Takes values that come to be; false when there were not so many left.
    pub(crate) fn values(&self, count: usize, at: Option<&Span>, diagnostics: &mut Vec<Diagnostic>) -> bool {
        self.values.take(count, at, diagnostics, || {
            Diagnostic::error(format!("this project stands for more than {MAX_VALUES} values"), None)
                .label("here are too many")
                .help("what `extends`, aliases, ranges of ports and env files stand for counts, too: split the project")
        })
    }

    /// Takes bytes that variables are replaced by; false when there were not so many left.
    pub(crate) fn text(&self, count: usize, at: Option<&Span>, diagnostics: &mut Vec<Diagnostic>) -> bool {
        self.text.take(count, at, diagnostics, || {
            Diagnostic::error(format!("variables make more than {MAX_TEXT} bytes of text"), None)
                .help("put long texts into files: `env_file`, `configs` or `secrets`")
        })
    }
}

/// Returns how many values a node is made of.
pub(crate) fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(map) => map.values().map(size).sum(),
        _ => 0,
    }
}

/// Returns true when so many mistakes were found that no more are looked for.
pub(crate) fn enough(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.len() >= 2 * MAX_DIAGNOSTICS && diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// Returns true when there is room for another warning: errors come first.
pub(crate) fn room_to_warn(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.len() < MAX_DIAGNOSTICS
}

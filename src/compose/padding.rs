//! Blanks that the parser wants and YAML in practice does not.
//!
//! The parser asks that what stands within brackets or quotes stays further to the right than the
//! key it belongs to, so it refuses
//!
//! ```yaml
//! command: [
//!   run
//! ]
//! ```
//!
//! below a service, and a tab between a key's `:` and its value. Blanks at the start of such a line mean nothing, so they are added where the
//! parser stumbles and it reads again.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// Bytes that may be read again for the sake of indentation, so that a hostile file stays cheap.
const MAX_REREAD: usize = 32 << 20;

/// Where blanks are added to a text.
#[derive(Debug, Default)]
pub(crate) struct Padding {
    /// Byte offsets, in order.
    places: Vec<usize>,
    /// How many blanks at each of them.
    width: usize,
    /// Byte offsets of tabs that are read as blanks.
    tabs: BTreeSet<usize>,
    /// Bytes that were read again.
    reread: usize,
}

/// What blanks are added to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pad {
    /// The line of an offset.
    Line,
    /// The line of another offset.
    LineOf(usize),
    /// What begins at an offset.
    Here,
    /// Every further line of the quoted text that begins at an offset.
    Quoted,
}

/// Byte offsets, in the file, of the characters that the parser counts.
pub(crate) enum Offsets {
    /// Characters are bytes.
    Ascii,
    /// Byte offset of every character, and the length.
    Table(Vec<u32>),
}

impl Offsets {
    /// Returns the byte offset of a character.
    pub(crate) fn byte(&self, character: usize) -> usize {
        match self {
            Self::Ascii => character,
            Self::Table(table) => table.get(character).or(table.last()).map_or(0, |&at| at as usize),
        }
    }
}

impl Padding {
    /// Returns the text to read, and where its characters are in the file.
    pub(crate) fn apply<'a>(&self, text: &'a str) -> (Cow<'a, str>, Offsets) {
        if self.places.is_empty() && self.tabs.is_empty() && text.is_ascii() {
            return (Cow::Borrowed(text), Offsets::Ascii);
        }
        let mut padded = String::with_capacity(text.len() + self.places.len() * self.width);
        let mut table = Vec::with_capacity(padded.capacity() + 1);
        let mut places = self.places.iter().peekable();
        for (at, c) in text.char_indices() {
            if places.next_if(|place| **place == at).is_some() {
                padded.extend(std::iter::repeat_n(' ', self.width));
                table.extend(std::iter::repeat_n(at as u32, self.width));
            }
            padded.push(if self.tabs.contains(&at) { ' ' } else { c });
            table.push(at as u32);
        }
        table.push(text.len() as u32);
        if self.places.is_empty() && self.tabs.is_empty() {
            (Cow::Borrowed(text), Offsets::Table(table))
        } else {
            (Cow::Owned(padded), Offsets::Table(table))
        }
    }

    /// Reads the tabs between a `:` and what begins at an offset as blanks; false where there are none.
    pub(crate) fn untab(&mut self, text: &str, at: usize) -> bool {
        self.reread += text.len();
        let before = self.tabs.len();
        let blanks = text.as_bytes()[..at].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        self.tabs.extend(at - blanks..at);
        self.tabs.len() > before && self.reread <= MAX_REREAD
    }

    /// Adds blanks; false where they would not help.
    pub(crate) fn add(&mut self, text: &str, at: usize, pad: Pad) -> bool {
        self.reread += text.len();
        if self.reread > MAX_REREAD {
            return false;
        }
        if self.width == 0 {
            // Nothing is indented by more than that.
            let lead = |line: &str| line.bytes().take_while(|b| b" -?:\t".contains(b)).count();
            self.width = text.lines().map(lead).max().unwrap_or(0) + 2;
        }
        let before = self.places.len();
        match pad {
            Pad::Line => self.places.push(line_start(text, at)),
            Pad::LineOf(other) => self.places.push(line_start(text, other)),
            Pad::Here => self.places.push(at),
            Pad::Quoted => {
                let inside = &text[at..closing_quote(text, at)];
                self.places.extend(inside.match_indices('\n').map(|(line, _)| at + line + 1));
            }
        }
        self.places.sort_unstable();
        self.places.dedup();
        // The blanks are read, too, and a hostile file can ask for very many in very many places.
        self.reread = self.reread.saturating_add(self.places.len().saturating_mul(self.width));
        self.places.len() > before && self.reread <= MAX_REREAD
    }
}

/// Returns true where the line of an offset goes on with, or ends, a list or mapping in brackets.
pub(crate) fn in_brackets(text: &str, at: usize) -> bool {
    let line = line_start(text, at);
    text[line..].trim_start().starts_with([']', '}', ',']) || text[..line].trim_end().ends_with(['[', '{', ','])
}

/// Returns the first line, after an offset, that is indented with a tab and within brackets.
pub(crate) fn tab_in_brackets(text: &str, at: usize) -> Option<usize> {
    let next = text[at..].match_indices('\n').map(|(end, _)| at + end + 1).find(|line| {
        let lead = text[*line..].trim_start_matches([' ', '\t']);
        text[*line..text.len() - lead.len()].contains('\t') && !lead.starts_with(['\n', '\r'])
    })?;
    in_brackets(text, next).then_some(next)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

/// Returns the offset of the quote that closes the one at an offset, or the end of the text.
fn closing_quote(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let Some(&quote) = bytes.get(at) else { return text.len() };
    let mut here = at + 1;
    while let Some(&byte) = bytes.get(here) {
        match byte {
            b'\\' if quote == b'"' => here += 1,
            b'\'' if quote == b'\'' && bytes.get(here + 1) == Some(&b'\'') => here += 1,
            _ if byte == quote => return here,
            _ => {}
        }
        here += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::limits::Budget;
    use super::super::tree::Value;
    use super::super::{config_json, parse};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut diagnostics = Vec::new();
        let nodes = parse::documents(Path::new("f"), text.into(), &Budget::new(), &mut diagnostics);
        let got = match nodes.first() {
            Some(node) => config_json(node).to_string(),
            None => diagnostics.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("; "),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn brackets_and_quotes_may_end_further_left() {
        check("a:\n  b: [\n    x\n  ]\n  c: {\n    k: v\n  }\n", r#"{"a":{"b":["x"],"c":{"k":"v"}}}"#);
        check("a:\n  - b: [\nx, y\n,\n z\n]\n  - c\n", r#"{"a":[{"b":["x","y","z"]},"c"]}"#);
        check("a:\n    b: \"one\n  two\n\n three\"\n    c: 1\n", r#"{"a":{"b":"one two\nthree","c":1}}"#);
        check("a:\n  b: [\n\tx,\n\ty\n\t]\n", r#"{"a":{"b":["x","y"]}}"#);
        check("a:\n  b: \"x\n\ty\"\n", r#"{"a":{"b":"x y"}}"#);
        check("a:\n  b: \"x\"# note\n", r#"{"a":{"b":"x"}}"#);
        check("a:\n  b: 1\n\tc: 2\n", "invalid YAML: a tab is used where YAML wants spaces");
        check("a:\n  b: 'it''s\nso'\n", r#"{"a":{"b":"it's so"}}"#);
        check("a:\n  b: [\n  ]]\n", "invalid YAML: this bracket closes nothing");
        check("a:\n  b: [x,\n", "invalid YAML: this `[` is never closed");
    }

    #[test]
    fn a_tab_separates_a_key_from_its_value() {
        check(
            "a:\tx\nb: \t\"q:\tr\"\nc: {d:\te,\tf: g}\nt: |\n  x:\ty\n",
            r#"{"a":"x","b":"q:\tr","c":{"d":"e","f":"g"},"t":"x:\ty\n"}"#,
        );
        check("a:\tx: y\n", "invalid YAML: a `:` is not expected here");
    }

    #[test]
    fn places_are_those_of_the_file() {
        let text = "é: 1\na:\n  b: [\n    x\n  ]\n  c: here\n";
        let node = parse::documents(Path::new("f"), text.into(), &Budget::new(), &mut Vec::new()).remove(0);
        let Value::Map(a) = &node.get("a").unwrap().value else { panic!() };
        let span = a["c"].span.clone().unwrap();
        assert_eq!(&text[span.start..span.end], "here");
    }

    #[test]
    fn a_block_at_the_end_of_the_file() {
        check("a: |\n  x", r#"{"a":"x"}"#);
        check("a: |\n  x\n", r#"{"a":"x\n"}"#);
        check("a: |\n  x\n  ", r#"{"a":"x\n"}"#);
        check("a: >\n  x\n  y", r#"{"a":"x y"}"#);
        check("a: |+\n  x", r#"{"a":"x"}"#);
        check("a: |+\n  x\n\n", r#"{"a":"x\n\n"}"#);
        check("a: |-\n  x\n", r#"{"a":"x"}"#);
    }
}

//! The dialect of `.env` and `env_file` files (spec rows `dotenv-*`).

use std::collections::BTreeMap;
use std::ops::Range;

use super::limits::MAX_TEXT;
use super::template::{self, Outcome, Variables};

/// A mistake in an env file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DotenvError {
    /// Byte offset of the statement it is in.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) message: String,
}

/// What a line gives a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The value.
    pub(crate) value: String,
    /// Where the name stands, in bytes.
    pub(crate) at: Range<usize>,
    /// The variables whose values are in it.
    pub(crate) made_of: Vec<String>,
}

/// What is legal in an env file but surely a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// The name of the variable whose line it is about, in bytes.
    pub(crate) at: Range<usize>,
    /// What is doubtful.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: String,
}

/// Returns the variables of a file, later lines over earlier ones.
///
/// `lookup` knows what is set outside the file; it wins over the file's own earlier lines, and these over what
/// `earlier` files say.
pub(crate) fn parse(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    earlier: &dyn Fn(&str) -> Option<String>,
    doubts: &mut Vec<Doubt>,
) -> Result<BTreeMap<String, Line>, DotenvError> {
    let (whole, mut values) = (text, BTreeMap::new());
    let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader { text, at };
    let mut left = MAX_TEXT;
    while reader.next_statement() {
        let start = reader.at;
        let error = |message: String| DotenvError { at: start, message };
        let (key, bare) = reader.key().map_err(error)?;
        if bare {
            if let Some(value) = lookup(key) {
                values.insert(key.to_owned(), Line { value, at: place(text, key), made_of: Vec::new() });
            }
            continue;
        }
        let mut made_of = Vec::new();
        let raw = reader.value().map_err(|problem| error(format!("{problem} of {key}")))?;
        let value = match raw {
            Raw::Literal(text) => text,
            Raw::Template(text) => {
                let mut variables = Scope { lookup, earlier, values: &values, unset: Vec::new(), used: Vec::new() };
                let value = template::substitute(&text, &mut variables).map_err(|e| error(e.to_string()))?;
                for name in variables.unset {
                    let message = format!("the variable {name} is not set and becomes an empty string");
                    let help = format!("set it, or give a default: ${{{name}:-value}}; in single quotes a $ is a $");
                    doubts.push(Doubt { at: place(whole, key), message, help });
                }
                made_of = variables.used;
                value
            }
        };
        let Some(less) = left.checked_sub(value.len()) else {
            return Err(error(format!("the values of this file have more than {MAX_TEXT} bytes")));
        };
        left = less;
        let line = Line { value, at: place(whole, key), made_of };
        if let Some(earlier) = values.get(key).filter(|earlier: &&Line| earlier.value != line.value) {
            let number = whole[..earlier.at.start].matches('\n').count() + 1;
            let message = format!("{key} is set to something else in line {number}, which has no effect");
            doubts.push(Doubt { at: line.at.clone(), message, help: "remove one of the lines".to_owned() });
        }
        values.insert(key.to_owned(), line);
    }
    Ok(values)
}

/// Returns where a part of a text stands in it.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

/// Returns the variables of a file in `format: raw`: everything after `=` is the value.
pub(crate) fn parse_raw(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Line>, DotenvError> {
    let mut values = BTreeMap::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let statement = line.trim_end_matches(['\n', '\r']);
        let trimmed = statement.trim_start();
        if !trimmed.is_empty() && !trimmed.starts_with('#') {
            let (key, value) = match trimmed.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (trimmed, lookup(trimmed)),
            };
            if key.is_empty() || key.contains(char::is_whitespace) {
                return Err(DotenvError { at, message: format!("invalid variable name {key:?}") });
            }
            if let Some(value) = value {
                values.insert(key.to_owned(), Line { value, at: place(text, key), made_of: Vec::new() });
            }
        }
        at += line.len();
    }
    Ok(values)
}

struct Scope<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    earlier: &'a dyn Fn(&str) -> Option<String>,
    values: &'a BTreeMap<String, Line>,
    unset: Vec<String>,
    used: Vec<String>,
}

impl Variables for Scope<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let line = || self.values.get(name).map(|line| line.value.clone());
        (self.lookup)(name).or_else(line).or_else(|| (self.earlier)(name))
    }

    fn unset(&mut self, name: &str) {
        self.unset.push(name.to_owned());
    }

    fn used(&mut self, name: &str, outcome: Outcome) {
        if outcome == Outcome::Value && !self.used.iter().any(|known| known == name) {
            self.used.push(name.to_owned());
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

enum Raw {
    Literal(String),
    Template(String),
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes to the next statement; false at the end.
    fn next_statement(&mut self) -> bool {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Reads a name and its separator; true where there is no value at all.
    fn key(&mut self) -> Result<(&'a str, bool), String> {
        if let Some(tail) = self.rest().strip_prefix("export")
            && tail.starts_with([' ', '\t'])
        {
            self.at = self.text.len() - tail.trim_start_matches([' ', '\t']).len();
        }
        let rest = self.rest();
        let line = rest.split('\n').next().unwrap_or_default();
        let mut end = line.len();
        let mut bare = true;
        for (at, c) in line.char_indices() {
            match c {
                '=' | ':' => {
                    (end, bare) = (at, false);
                    break;
                }
                '_' | '.' | '-' | '[' | ']' | ' ' | '\t' | '\r' => {}
                _ if c.is_alphanumeric() => {}
                _ => {
                    // What stands behind it may be a secret.
                    let name = line.split(['=', ':']).next().unwrap_or_default();
                    return Err(format!("unexpected character {:?} in variable name {name:?}", c.to_string()));
                }
            }
        }
        let key = line[..end].trim_end();
        if key.contains([' ', '\t']) {
            return Err(format!("a variable name cannot contain a space: {key:?}"));
        }
        if key.is_empty() {
            return Err(format!("a variable name is missing before `{}`", &line[end..=end]));
        }
        self.at += if bare { (end + 1).min(rest.len()) } else { end + 1 };
        Ok((key, bare))
    }

    fn value(&mut self) -> Result<Raw, String> {
        let rest = self.rest().trim_start_matches([' ', '\t', '\r', '\u{b}', '\u{c}']);
        self.at = self.text.len() - rest.len();
        match rest.as_bytes().first() {
            Some(b'"') => Ok(Raw::Template(unescape(&self.quoted('"')?))),
            Some(b'\'') => Ok(Raw::Literal(self.quoted('\'')?)),
            _ => {
                let line = rest.split('\n').next().unwrap_or_default();
                self.at += (line.len() + 1).min(rest.len());
                let value = line.split(" #").next().unwrap_or_default();
                Ok(Raw::Template(value.trim_end().to_owned()))
            }
        }
    }

    /// Reads up to the closing quote. A backslash before a quote makes it part of the value.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let body = &self.rest()[1..];
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in body.char_indices() {
            if c == quote && !escaped {
                self.at += 1 + at + 1;
                return Ok(value);
            }
            if escaped && c != quote {
                value.push('\\');
            }
            escaped = c == '\\' && !escaped;
            if !escaped {
                value.push(c);
            }
        }
        Err("unterminated quoted value".to_owned())
    }
}

/// Returns a double-quoted value with its escapes replaced; `\$` becomes `$$`, a literal dollar.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some('"') => out.push('"'),
            Some('\\') => out.push('\\'),
            Some('$') => out.push_str("$$"),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let lookup = |name: &str| (name == "OUT").then(|| "outside".to_owned());
        let error = |e: DotenvError| {
            BTreeMap::from([("error".to_owned(), Line { value: e.to_string(), at: 0..0, made_of: Vec::new() })])
        };
        let values = parse(text, &lookup, &|_| None, &mut Vec::new()).unwrap_or_else(error);
        let got: Vec<(&str, &str)> = values.iter().map(|(k, v)| (k.as_str(), v.value.as_str())).collect();
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn dialect() {
        // dotenv-comment
        check("# c\n\nA=1 # note\nB=a#b\nC= # only", &[("A", "1"), ("B", "a#b"), ("C", "# only")]);
        check("A=\"x\" # c\nB=2", &[("A", "x"), ("B", "2")]);
        // dotenv-unquoted
        check("A=a b  \nB=C:\\dir\\n", &[("A", "a b"), ("B", "C:\\dir\\n")]);
        check("A = 1", &[("A", "1")]);
        // dotenv-single-quoted
        check("A='$X ${Y} \\n'\nB='it\\'s'", &[("A", "$X ${Y} \\n"), ("B", "it's")]);
        // dotenv-double-quoted
        check("A=\"a\\tb\\n\\\"q\\\" \\\\ \\$X\"", &[("A", "a\tb\n\"q\" \\ $X")]);
        check("A=1\nB=\"<$A>\"", &[("A", "1"), ("B", "<1>")]);
        // dotenv-multiline
        check("A=\"one\ntwo\"\nB='x\ny'", &[("A", "one\ntwo"), ("B", "x\ny")]);
        check("A=\"one", &[("error", "unterminated quoted value of A")]);
        // dotenv-empty-unset
        check("A=\nOUT\nNOWHERE\nB=2", &[("A", ""), ("B", "2"), ("OUT", "outside")]);
        check("OUT", &[("OUT", "outside")]);
        // dotenv-export, dotenv-colon
        check("export A=1\nexported=2\nC: yaml", &[("A", "1"), ("C", "yaml"), ("exported", "2")]);
        // dotenv-selfref
        check(
            "A=1\nB=${A}\nC=${OUT}\nOUT=file\nD=$OUT\nE=${N:-d}",
            &[("A", "1"), ("B", "1"), ("C", "outside"), ("D", "outside"), ("E", "d"), ("OUT", "file")],
        );
        // dotenv-bom-crlf
        check("\u{feff}A=1\r\nB.c-d[0]=2\r\n", &[("A", "1"), ("B.c-d[0]", "2")]);
        check("it's=1", &[("error", "unexpected character \"'\" in variable name \"it's\"")]);
        check("a b=1", &[("error", "a variable name cannot contain a space: \"a b\"")]);
        check("=1", &[("error", "a variable name is missing before `=`")]);
        check("A=${B:?need b}", &[("error", "required variable B is missing a value: need b")]);
        check("A=é\nB=\"ü\\\"\"", &[("A", "é"), ("B", "ü\"")]);
    }

    #[test]
    fn raw_format() {
        let values = parse_raw("A=\"$x\" # y\n# c\nB='1'\n", &|_| None).unwrap();
        assert_eq!(values["A"].value, "\"$x\" # y");
        assert_eq!(values["B"].value, "'1'");
        assert_eq!(values["B"].at, 15..16);
    }
}

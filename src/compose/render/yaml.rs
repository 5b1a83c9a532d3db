//! The canonical tree as YAML: keys in order, and strings in quotes wherever some version of YAML
//! reads them as something else, so that every program sees what is meant.

use super::order::{Form, ordered};
use super::{for_json, item_shape, table, value_shape};
use crate::compose::schema::Shape;
use crate::compose::tree::{Node, Value};
use crate::compose::{scalar, units};

/// Returns the text of a tree.
pub(super) fn write(tree: &Node, shape: &Shape) -> String {
    let mut out = String::new();
    value(&mut out, tree, shape, 0, At::Start);
    out
}

/// Longest key, in bytes, that stands on one line with its value, as the reference has it. YAML allows 1024 characters
/// (1.2, section 7.4.2); a longer one needs a `?`.
const LONGEST_KEY: usize = 128;

/// Where a value begins.
#[derive(Clone, Copy, PartialEq)]
enum At {
    /// At the start of the document.
    Start,
    /// After `key:`.
    Key,
    /// After `- `, and the `: ` of a long key.
    Dash,
}

/// Writes a value and the line feed after it; `indent` is that of its own lines.
fn value(out: &mut String, node: &Node, shape: &Shape, indent: usize, at: At) {
    let gap = if at == At::Key { " " } else { "" };
    match &node.value {
        Value::Map(map) => {
            let table = table(shape);
            let mut entries = ordered(map, table, Form::Yaml);
            entries.retain(|(key, node)| !for_json(key, node, table));
            if entries.is_empty() {
                out.push_str(gap);
                out.push_str("{}\n");
                return;
            }
            for (number, (key, node)) in entries.into_iter().enumerate() {
                begin(out, indent, at, number);
                let shape = value_shape(shape, key);
                if key.len() > LONGEST_KEY {
                    out.push_str("? ");
                    text(out, key, indent, false);
                    out.push('\n');
                    out.extend(std::iter::repeat_n(' ', indent));
                    out.push_str(": ");
                    value(out, node, shape, indent + 2, At::Dash);
                } else {
                    text(out, key, indent, false);
                    out.push(':');
                    value(out, node, shape, indent + 2, At::Key);
                }
            }
        }
        Value::List(items) => {
            if items.is_empty() {
                out.push_str(gap);
                out.push_str("[]\n");
                return;
            }
            let shape = item_shape(shape);
            for (number, node) in items.iter().enumerate() {
                begin(out, indent, at, number);
                out.push_str("- ");
                value(out, node, shape, indent + 2, At::Dash);
            }
        }
        scalar => {
            out.push_str(gap);
            match scalar {
                Value::Text(string) => text(out, string, indent, true),
                Value::Time(time) => out.push_str(&time.alone),
                Value::Float(number) => out.push_str(&float(*number)),
                _ => out.push_str(&match scalar {
                    Value::Bool(value) => value.to_string(),
                    Value::Int(number) => number.to_string(),
                    Value::Large(number) => number.to_string(),
                    _ => "null".to_owned(),
                }),
            }
            out.push('\n');
        }
    }
}

/// Goes to where the next entry of a collection is written; the first of a list's item stands
/// beside its dash.
fn begin(out: &mut String, indent: usize, at: At, number: usize) {
    if number == 0 {
        match at {
            At::Dash => return,
            At::Key => out.push('\n'),
            At::Start => {}
        }
    }
    out.extend(std::iter::repeat_n(' ', indent));
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    match number.is_infinite() {
        true if number > 0.0 => ".inf".to_owned(),
        true => "-.inf".to_owned(),
        false => units::float_text(number),
    }
}

/// Writes a string in the plainest way that reads back as the same string.
fn text(out: &mut String, text: &str, indent: usize, block: bool) {
    let special = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    if text.is_empty() || text.contains(special) || ambiguous(text) {
        double_quoted(out, text);
    } else if text.contains('\n') {
        // The indentation is told from the first line, and blanks at the end of one are easily lost.
        let lost = text.lines().any(|line| line.ends_with(' ')) || text.starts_with([' ', '\n']);
        if block && !lost { literal(out, text, indent) } else { double_quoted(out, text) }
    } else if plain(text) {
        out.push_str(text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

/// Returns true for what is something else than a string in YAML 1.1 or 1.2.
fn ambiguous(text: &str) -> bool {
    const WORDS: [&str; 12] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "<<", "="];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        || !matches!(scalar::resolve(text), Value::Text(read) if read == text)
        || base_60(text)
        || (text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && (!text.contains(':') || text.contains('-'))
            && text.contains(|c: char| c.is_ascii_digit())
            && text.matches('.').count() < 2
            && text.bytes().all(|b| b.is_ascii_digit() || b"+-._:TtZz eExXoOaAbBcCdDfF".contains(&b)))
}

/// Returns true for what YAML 1.1 reads as a number of base 60, as `22:22`; `999:1000` is none.
fn base_60(text: &str) -> bool {
    let mut parts = text.trim_start_matches(['+', '-']).split(':');
    let digits = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    let first = parts.next().is_some_and(|part| digits(part) && part.bytes().all(|b| b.is_ascii_digit() || b == b'_'));
    let mut more = parts.peekable();
    let mut rest = first && more.peek().is_some();
    while let Some(part) = more.next() {
        let part = if more.peek().is_none() { part.split('.').next().unwrap_or_default() } else { part };
        let digit = |at: usize| part.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        rest &= match part.len() {
            1 => digit(0),
            2 => digit(0) && digit(1) && part.as_bytes()[0] <= b'5',
            _ => false,
        };
    }
    rest
}

/// Returns true for what needs no quotes.
fn plain(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next().unwrap_or(' ');
    let next = chars.next().unwrap_or(' ');
    let begins = match first {
        '-' | '?' | ':' => next != ' ',
        ' ' | ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => false,
        _ => true,
    };
    begins
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
}

fn literal(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    match text.strip_suffix('\n') {
        None => out.push('-'),
        Some(rest) if rest.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent.max(2)));
            out.push_str(line);
        }
    }
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compose::limits::Budget;
    use crate::compose::parse;

    fn read(text: &str) -> Node {
        let mut diagnostics = Vec::new();
        let mut documents = parse::documents("x".as_ref(), text.as_bytes().to_vec(), &Budget::new(), &mut diagnostics);
        assert_eq!(diagnostics, [], "{text}");
        documents.pop().unwrap_or_else(|| Value::Null.into())
    }

    #[test]
    fn nothing_is_read_as_something_else() {
        let tree = read(
            "a: {list: [1, [x, {k: v}], {k: v, l: [ ]}], none: null, empty: {}, half: 0.5}\nwords: ['yes', 'N', '022', '1_000', '22:22', '999:1000', '1:2:3.5', '2024-05-01', '2024-05-01T00:00:00Z', '', ' x', '- x', 'a: b', 'a #b', \"a\\nb\\n\", \"a\\nb\", \"\\ta\", '<<', \"it's\", '#x', 'x:', plain text, 1.2.3]\n'y': 'on'\n",
        );
        insta::assert_snapshot!(write(&tree, &Shape::Any), @r#"
        a:
          empty: {}
          half: 0.5
          list:
            - 1
            - - x
              - k: v
            - k: v
              l: []
          none: null
        words:
          - "yes"
          - "N"
          - "022"
          - "1_000"
          - "22:22"
          - 999:1000
          - "1:2:3.5"
          - "2024-05-01"
          - "2024-05-01T00:00:00Z"
          - ""
          - ' x'
          - '- x'
          - 'a: b'
          - 'a #b'
          - |
            a
            b
          - |-
            a
            b
          - "\ta"
          - "<<"
          - it's
          - '#x'
          - 'x:'
          - plain text
          - 1.2.3
        "y": "on"
        "#);
        assert_eq!(read(&write(&tree, &Shape::Any)), tree);
    }

    #[test]
    fn long_keys_stand_alone() {
        let (longest, longer) = ("k".repeat(128), "l".repeat(129));
        let tree = read(&format!(
            "{longest}: v\n? {longer}\n: {{a: b, c: [d]}}\nlist: [{{? {longer} : [a, b], c: d}}]\nnone: {{? {longer} : {{}}, ? '{}x' : \"a\\nb\"}}",
            "m ".repeat(600)
        ));
        let written = write(&tree, &Shape::Any);
        assert_eq!(read(&written), tree);
        let short = written.replace(&longest, "K").replace(&longer, "L").replace(&"m ".repeat(600), "M ");
        insta::assert_snapshot!(short, @r"
        K: v
        list:
          - c: d
            ? L
            : - a
              - b
        ? L
        : a: b
          c:
            - d
        none:
          ? L
          : {}
          ? M x
          : |-
            a
            b
        ");
    }

    proptest! {
        #[test]
        fn a_string_reads_back_as_itself(text in "\\PC*|[ -~\n\t]*|[-+0-9:._eTZ]{1,9}", key in "[ -~]{1,6}", long in 1..400_usize) {
            let key = key.repeat(long);
            // Keys of this name are merged, and one that ends in a colon is read as the reference does.
            prop_assume!(!text.contains('\r'));
            let mut tree = Node::map();
            let list = Node::from(Value::List(vec![Node::from(text.as_str()), Node::map()]));
            for (key, value) in [(key.as_str(), Node::from(text.as_str())), ("list of", list)] {
                tree.as_map_mut().unwrap().insert(key.to_owned(), value);
            }
            prop_assert_eq!(read(&write(&tree, &Shape::Any)), tree);
        }
    }
}

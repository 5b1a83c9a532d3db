//! Mistakes in the syntax of YAML, in words that help: the parser says what it expected, the user
//! wants to know what to change.

use crate::diag::{Diagnostic, Span};

/// What the parser's sentence means: a part of it, our message, and what to do. The first that
/// fits counts.
const MEANINGS: &[(&str, &str, &str)] = &[
    ("tab", "a tab is used where YAML wants spaces", "indent with spaces"),
    ("':' must be followed", "a space is missing after the `:`", "write `key: value`, with a space after the colon"),
    ("'-' must be followed", "a space is missing after the `-`", "write `- item`, with a space after the dash"),
    (
        "simple key expect",
        "this line should be `key: value`, but it has no `:`",
        "write a colon and a space after the key; if the line goes on with a text above, put that text in quotes",
    ),
    (
        "block mapping, did not find expected key",
        "this line does not line up with the lines above it",
        "indent it as far as the keys beside it",
    ),
    (
        "block collection, did not find expected '-'",
        "this line does not line up with the list above it",
        "begin it with `- ` as the other items, or indent it as far as the key that it belongs to",
    ),
    (
        "block sequence entries are not allowed",
        "a list item (`- `) cannot stand here",
        "begin the list on the line below its key",
    ),
    (
        "mapping values are not allowed",
        "a `:` is not expected here",
        "a text that contains `: ` needs quotes; otherwise check the indentation of this line and the one before",
    ),
    (
        "illegal placement of ':'",
        "a `:` is not expected here",
        "a text that contains `: ` needs quotes; otherwise check brackets, quotes and indentation of this line and the one before",
    ),
    (
        "quoted scalar, found unexpected end",
        "this quote is never closed",
        "close it with the same kind of quote; inside double quotes, write \\\" for a quote",
    ),
    (
        "quoted scalar, found unexpected document",
        "this quote is never closed",
        "close it with the same kind of quote; inside double quotes, write \\\" for a quote",
    ),
    (
        "invalid indentation in quoted",
        "a text in quotes goes on in this line, which is not indented",
        "close the quote in the line before, or indent this line",
    ),
    (
        "trailing content after",
        "there is more text after the closing quote",
        "put the whole value in quotes; inside double quotes, write \\\" for a quote",
    ),
    ("expected ',' or ']'", "a `,` or the closing `]` is missing before this", "separate items with `, `"),
    ("expected ',' or '}'", "a `,` or the closing `}` is missing before this", "separate entries with `, `"),
    ("misplaced bracket", "this bracket closes nothing", "remove it, or open it before"),
    ("expected node content", "a value is missing before this", "write one, or put this in quotes if it is the value"),
    ("indentation indicator equal to 0", "after `|` or `>`, a 0 has no meaning", "remove the 0"),
    (
        "did not find expected alphabetic or numeric character",
        "`*` and `&` begin the name of an alias or an anchor, and there is none",
        "put the value in quotes if the sign belongs to it",
    ),
    ("unexpected character", "a value cannot begin like this", "put it in quotes"),
    ("plain scalar cannot start", "a value cannot begin like this", "put it in quotes"),
    ("invalid indentation", "this line is not indented far enough", "indent it further than the line it belongs to"),
];

/// Returns a mistake at a place; `open` is the bracket that was opened last and not closed.
pub(super) fn explain(info: &str, span: Span, open: Option<&Span>) -> Diagnostic {
    if info.contains("unknown anchor") {
        return unknown_anchor(&span);
    }
    if let Some(open) = open
        && never_closed(info, &span, open)
    {
        let bracket = open.source.text.get(open.start..open.start + 1).unwrap_or_default();
        let other = if bracket == "[" { "]" } else { "}" };
        let bracket_place = Span { end: open.start + 1, ..open.clone() };
        return Diagnostic::error(format!("invalid YAML: this `{bracket}` is never closed"), bracket_place)
            .label("opened here")
            .help(format!("write a `{other}` where the value ends; it was missed at {}", span.location()));
    }
    if (info.contains("mapping values are not allowed") || info.contains("illegal placement of ':'"))
        && let Some(diagnostic) = misplaced_colon(&span)
    {
        return diagnostic;
    }
    if info.contains("unknown escape character") {
        return unknown_escape(span);
    }
    let span = if info.contains("tab") { tab_in_indentation(&span).unwrap_or(span) } else { span };
    match MEANINGS.iter().find(|(part, ..)| info.contains(part)) {
        Some((_, message, help)) => {
            Diagnostic::error(format!("invalid YAML: {message}"), span).label("here").help(*help)
        }
        None => Diagnostic::error(format!("invalid YAML: {info}"), span)
            .label("here")
            .help("check the indentation, brackets and quotes of this line and the one before"),
    }
}

/// Tells whether a mistake comes from a bracket in an earlier line: the text after it is no longer
/// read as lines.
fn never_closed(info: &str, span: &Span, open: &Span) -> bool {
    let between = span.source.text.get(open.start..span.start).unwrap_or_default();
    let at_end = span.source.text.get(span.start..).unwrap_or_default().trim().is_empty();
    (at_end || between.contains('\n')) && !info.contains("tab") && !info.contains("quoted")
}

/// Returns what is behind a `:` that is not expected: the line above, or another `:` in its own.
fn misplaced_colon(span: &Span) -> Option<Diagnostic> {
    let text = &span.source.text;
    let line_start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let own = &text[line_start..span.start];
    if own.contains(": ") {
        let help = "put the value in quotes: it contains `: `";
        return Some(
            Diagnostic::error("invalid YAML: there is a second `: ` in this line", span.clone())
                .label("here")
                .help(help),
        );
    }
    let above = text[..line_start].trim_end();
    let above_start = above.rfind('\n').map_or(0, |at| at + 1);
    let line = &above[above_start..];
    let indent = |line: &str| line.len() - line.trim_start().len();
    let place = Span { start: above_start + indent(line), end: above.len(), ..span.clone() };
    let key = line.trim_start().trim_start_matches("- ");
    if line.trim().is_empty() || key.starts_with(['#', '"', '\'']) {
        return None;
    }
    if !key.contains(": ") && !key.ends_with(':') {
        let help = "write a colon and a space after the key: `key: value`";
        return Some(
            Diagnostic::error("invalid YAML: there is no `: ` in this line", place)
                .label("a key, or a value?")
                .help(help),
        );
    }
    if !key.ends_with(':') && indent(own) > indent(line) {
        let place = Span { start: line_start + indent(own), ..span.clone() };
        let help = "indent it as far as the line above, or give that one no value";
        return Some(
            Diagnostic::error(
                "invalid YAML: this line is indented further than the one above, which has a value already",
                place,
            )
            .label("here")
            .help(help),
        );
    }
    None
}

/// Returns the tabs that indent a line, of the line of a mistake or the next that has any: the parser may stumble
/// over the value before them.
fn tab_in_indentation(span: &Span) -> Option<Span> {
    let text = &span.source.text;
    let mut line = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    for written in text[line..].split_inclusive('\n') {
        let rest = written.trim_start_matches([' ', '\t']);
        let lead = &written[..written.len() - rest.len()];
        if let (Some(tab), false) = (lead.find('\t'), rest.trim().is_empty()) {
            let start = line + tab;
            let end = start + lead[tab..].bytes().take_while(|b| *b == b'\t').count();
            return Some(Span { start, end, ..span.clone() });
        }
        line += written.len();
    }
    None
}

fn unknown_escape(span: Span) -> Diagnostic {
    let text = span.source.text.get(span.start..).unwrap_or_default();
    let mut escapes = text.match_indices('\\').peekable();
    let mut skip = None;
    let found = escapes.find_map(|(at, _)| {
        if skip == Some(at) {
            return None;
        }
        skip = Some(at + 1);
        let next = text[at + 1..].chars().next()?;
        (!"0abtnvfre \"/\\N_LPxuU\n\t".contains(next)).then_some((at, next))
    });
    let help = "write \\\\ for a backslash, or use single quotes, where it has no meaning";
    let Some((at, next)) = found else {
        return Diagnostic::error("invalid YAML: a backslash in double quotes that means nothing", span)
            .label("here")
            .help(help);
    };
    let start = span.start + at;
    let place = Span { start, end: start + 1 + next.len_utf8(), ..span };
    Diagnostic::error(format!("invalid YAML: `\\{next}` means nothing in double quotes"), place)
        .label("here")
        .help(help)
}

fn unknown_anchor(span: &Span) -> Diagnostic {
    let text = &span.source.text;
    let rest = text.get(span.start..).unwrap_or_default();
    let rest = rest.strip_prefix('*').unwrap_or(rest);
    let name: &str = rest.split(|c: char| c.is_whitespace() || ",[]{}".contains(c)).next().unwrap_or_default();
    let start = text.len() - text.get(span.start..).unwrap_or_default().len();
    let end = (start + 1 + name.len()).min(text.len());
    let diagnostic = Diagnostic::error(
        format!("invalid YAML: there is no anchor `&{name}` for the alias `*{name}`"),
        Span { start, end, ..span.clone() },
    )
    .label("here");
    if name.starts_with(['.', '/']) || name.is_empty() {
        return diagnostic.help("a value that begins with `*` needs quotes");
    }
    diagnostic.help(format!("write `&{name}` before the value that is meant, above this line and in the same file"))
}

//! Diagnostics for people, drawn with an excerpt of the file, and as data.

use std::borrow::Cow;
use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};

use super::excerpt::{self, Fitted};
use super::style::Palette;
use crate::diag::{Diagnostic, Severity, Span};

/// Returns the diagnostics drawn for a terminal of so many columns.
pub fn draw(diagnostics: &[Diagnostic], color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width.clamp(40, 200))
        .with_context_lines(1)
        .with_links(false);
    let palette = Palette::new(color);
    let mut out = String::new();
    for diagnostic in diagnostics {
        let mut drawn = String::new();
        if handler.render_report(&mut drawn, &Drawn::new(diagnostic, width)).is_err() {
            // A place outside of its text: the message is what matters.
            let at = diagnostic.span.as_ref().map(|span| span.location() + ": ").unwrap_or_default();
            drawn = format!("  {at}{}\n", diagnostic.message);
        }
        for line in drawn.lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        for note in &diagnostic.notes {
            out.push_str(&format!("  {} {}\n", palette.cyan("note:"), harmless(note)));
        }
    }
    out
}

/// Returns the diagnostics as JSON, an object a line: `severity` (`error` or `warning`) and
/// `message`; with a place also `file`, `line`, `column`, `end_line`, `end_column` (from 1, in
/// characters, the end exclusive); `label`, `help` and `notes` where there are some. Errors have
/// `"error": true` as well, as the lines of Compose's `--progress json` do.
pub fn json_lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| format!("{}\n", object(diagnostic))).collect()
}

fn object(diagnostic: &Diagnostic) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| object.insert(key.to_owned(), value);
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    if diagnostic.severity == Severity::Error {
        put("error", true.into());
    }
    put("severity", severity.into());
    put("message", diagnostic.message.as_str().into());
    if let Some(span) = &diagnostic.span {
        let (line, column) = span.line_column();
        let end = Span { start: span.end, ..span.clone() };
        let (end_line, end_column) = end.line_column();
        put("file", span.source.path.display().to_string().into());
        put("line", line.into());
        put("column", column.into());
        put("end_line", end_line.into());
        put("end_column", end_column.into());
    }
    if !diagnostic.label.is_empty() {
        put("label", diagnostic.label.as_str().into());
    }
    if let Some(help) = &diagnostic.help {
        put("help", help.as_str().into());
    }
    if !diagnostic.notes.is_empty() {
        put("notes", diagnostic.notes.iter().map(String::as_str).collect());
    }
    serde_json::Value::Object(object)
}

/// A diagnostic as the drawing library wants it.
struct Drawn<'a> {
    diagnostic: &'a Diagnostic,
    excerpt: Option<Excerpt<'a>>,
}

struct Excerpt<'a> {
    name: String,
    text: Cow<'a, str>,
    span: SourceSpan,
    /// Column of the place in its file, from 0, in characters.
    column: usize,
}

impl<'a> Drawn<'a> {
    fn new(diagnostic: &'a Diagnostic, width: usize) -> Self {
        let excerpt = diagnostic.span.as_ref().map(|span| {
            let text = without_secrets(harmless(&span.source.text), span);
            let (start, end) = first_line(&text, span);
            let name = span.source.path.display().to_string();
            let column = span.line_column().1 - 1;
            // Numbers of lines and a frame stand before them.
            match excerpt::fit(&text, start, end, width.clamp(40, 200) - 12) {
                Some(Fitted { text, start, end }) => {
                    Excerpt { name, text: Cow::Owned(text), span: (start, end - start).into(), column }
                }
                None => Excerpt { name, text, span: (start, end - start).into(), column },
            }
        });
        Self { diagnostic, excerpt }
    }
}

/// Returns a text with asterisks for what is secret in the line of a place and its neighbours; offsets stay.
fn without_secrets<'a>(text: Cow<'a, str>, span: &Span) -> Cow<'a, str> {
    let source = &span.source;
    let line = source.line_of(span.start.min(source.text.len()));
    let hidden: Vec<_> = (line.saturating_sub(1)..=line + 1).map(|line| source.secrets_of(line)).collect();
    if hidden.iter().all(|parts| parts.is_empty()) {
        return text;
    }
    let mut text = text.into_owned();
    for part in hidden.iter().flat_map(|parts| parts.iter()) {
        text.replace_range(part.clone(), &"*".repeat(part.len()));
    }
    Cow::Owned(text)
}

/// Returns where the underline goes: on one line, within the text, between characters.
fn first_line(text: &str, span: &Span) -> (usize, usize) {
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    let start = boundary(span.start);
    let rest = &text[start..boundary(span.end).max(start)];
    let length = rest.find('\n').unwrap_or(rest.len());
    (start, start + rest[..length].trim_end().len())
}

/// Returns a text in which no control character reaches the terminal; offsets stay.
fn harmless(text: &str) -> Cow<'_, str> {
    let dangerous = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\t' | '\r');
    if text.contains(dangerous) { Cow::Owned(text.replace(dangerous, "?")) } else { Cow::Borrowed(text) }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&harmless(&self.diagnostic.message))
    }
}

impl fmt::Debug for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.diagnostic.help.as_deref()?;
        Some(Box::new(harmless(help)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        let label = Some(self.diagnostic.label.clone()).filter(|label| !label.is_empty());
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(label, excerpt.span))))
    }
}

impl SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text: &'a str = &self.text;
        let inner = text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            // The place alone is asked for to tell where it is; there bytes would be counted.
            if before + after == 0 { self.column } else { inner.column() },
            inner.line_count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diag::Source;

    fn at(text: &str, part: &str) -> Span {
        let start = text.find(part).unwrap();
        let source = Arc::new(Source::new("stack.yml", text));
        Span { source, start, end: start + part.len() }
    }

    #[test]
    fn an_error_points_at_its_place() {
        let text = "services:\n  web:\n    image: x\n    prots: [80]\n    user: u\n";
        let error = Diagnostic::error("`services.web` has no attribute `prots`", at(text, "prots"))
            .label("unknown")
            .help("did you mean `ports`?");
        insta::assert_snapshot!(draw(&[error], false, 80), @r"
         × `services.web` has no attribute `prots`
          ╭─[stack.yml:4:5]
        3 │     image: x
        4 │     prots: [80]
          ·     ──┬──
          ·       ╰── unknown
        5 │     user: u
          ╰────
         help: did you mean `ports`?
        ");
    }

    #[test]
    fn notes_stand_below() {
        let text = "ports: ['${PORT}']\n";
        let mut error = Diagnostic::error("\"abc\" is not a port", at(text, "'${PORT}'")).help("write a number");
        error.notes.push("PORT=abc is set in .env:3".to_owned());
        insta::assert_snapshot!(draw(&[error], false, 80), @r#"
         × "abc" is not a port
          ╭─[stack.yml:1:9]
        1 │ ports: ['${PORT}']
          ·         ─────────
          ╰────
         help: write a number
         note: PORT=abc is set in .env:3
        "#);
    }

    #[test]
    fn excerpts_hide_what_is_secret() {
        let text = "A_TOKEN: hunter2\nenv: {DB_PASSWORD: [hunter2], X: [1]}\n- API_KEY=hunter2";
        insta::assert_snapshot!(draw(&[Diagnostic::error("no list", at(text, "[1]"))], false, 80), @"
         × no list
          ╭─[stack.yml:2:34]
        1 │ A_TOKEN: *******
        2 │ env: {DB_PASSWORD: ********], X: [1]}
          ·                                  ───
        3 │ - API_KEY=*******
          ╰────
        ");
    }

    #[test]
    fn nothing_in_a_file_reaches_the_terminal_as_an_escape() {
        let text = "a: \u{1b}[31mred\nb: 1\n";
        let error = Diagnostic::error("a \u{1b}[2J message", at(text, "\u{1b}[31m"));
        assert!(!draw(std::slice::from_ref(&error), false, 80).contains('\u{1b}'));
        let mut outside = error;
        if let Some(span) = &mut outside.span {
            (span.start, span.end) = (900, 1000);
        }
        assert!(draw(&[outside], false, 80).contains("message"));
    }

    #[test]
    fn data_names_file_line_and_column() {
        let text = "a: 1\nbü: 2\n";
        let warning = Diagnostic::warning("m", at(text, "2")).help("h");
        let error = Diagnostic::error("n", None).label("l");
        let lines = json_lines(&[warning, error]);
        for line in lines.lines() {
            crate::schemas::check("diagnostics", &serde_json::from_str(line).unwrap());
        }
        insta::assert_snapshot!(lines, @r#"
        {"severity":"warning","message":"m","file":"stack.yml","line":2,"column":5,"end_line":2,"end_column":6,"help":"h"}
        {"error":true,"severity":"error","message":"n","label":"l"}
        "#);
    }
}

//! Where values come from, for people and as data.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::style::Palette;
use crate::compose::environment::{Set, Setting};
use crate::compose::explain::{Candidate, Explained, Explanation, Kind};
use crate::compose::template::Outcome;
use crate::compose::uses::Use;
use crate::diag::Span;

/// Longest value in a list, in characters.
const MAX_VALUE: usize = 48;
/// Widest column of paths, in characters.
const MAX_PATH: usize = 64;

/// Returns an explanation for a terminal: a value with its excerpt and what it wins over, or a
/// line for every value of a section.
pub(crate) fn text(explanation: &Explanation, palette: Palette) -> String {
    let mut out = String::new();
    match &explanation.values[..] {
        [value] if !explanation.section => one(value, palette, &mut out),
        values => {
            list(values, palette, &mut out);
            overridden(&explanation.overridden, palette, &mut out);
        }
    }
    if explanation.disabled {
        let _ = writeln!(out, "{}", palette.yellow("the service is off: none of its profiles is active"));
    }
    out
}

/// Returns the same without colours.
#[cfg(test)]
pub(crate) fn plain_text(explanation: &Explanation) -> String {
    text(explanation, Palette::new(false))
}

fn one(explained: &Explained, palette: Palette, out: &mut String) {
    let won = &explained.won;
    let _ = writeln!(out, "{}: {}", palette.cyan(&harmless(&explained.path)), palette.green(&value(&won.value, None)));
    let place = won.span.as_ref().map(Span::location);
    let said = match (&place, won.kind) {
        (Some(place), Kind::Default) => format!("default: {} (see {place})", won.origin),
        (None, Kind::Default) => format!("default: {}", won.origin),
        (Some(place), _) => format!("{place}  {}", won.origin),
        (None, _) => won.origin.clone(),
    };
    let _ = writeln!(out, "  {}", harmless(&said));
    if let Some(excerpt) = &won.excerpt {
        let number = excerpt.line.to_string();
        let bar = palette.dim("|");
        let _ = writeln!(out, "  {} {bar} {}", palette.dim(&number), harmless(&excerpt.text));
        if excerpt.length > 0 {
            // A tab stays one, so that the marks stand below their text.
            let blank: String =
                excerpt.text.chars().take(excerpt.start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let marks = palette.cyan(&"^".repeat(excerpt.length));
            let _ = writeln!(out, "  {:width$} {bar} {blank}{marks}", "", width = number.len());
        }
    }
    for used in &won.variables {
        let _ = writeln!(out, "  {}", harmless(&used.describe(won.reveal())));
    }
    for note in &won.notes {
        let _ = writeln!(out, "  {}", harmless(note));
    }
    overridden(&explained.overridden, palette, out);
}

fn overridden(candidates: &[Candidate], palette: Palette, out: &mut String) {
    if candidates.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}", palette.dim("overridden, by precedence:"));
    let rows: Vec<[String; 3]> =
        candidates.iter().map(|c| [place(c), value(&c.value, Some(MAX_VALUE)), c.origin.clone()]).collect();
    let widths = [0, 1].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for (number, (row, candidate)) in rows.iter().zip(candidates).enumerate() {
        let [place, value, origin] = row;
        let line = format!("  {}. {}  {}  {origin}", number + 1, pad(place, widths[0]), pad(value, widths[1]));
        let _ = writeln!(out, "{}", harmless(line.trim_end()));
        for used in &candidate.variables {
            let _ = writeln!(out, "     {}", palette.dim(&harmless(&used.describe(candidate.reveal()))));
        }
    }
}

fn list(values: &[Explained], palette: Palette, out: &mut String) {
    let shown: Vec<String> = values.iter().map(|v| value(&v.won.value, Some(MAX_VALUE))).collect();
    let paths = values.iter().map(|v| v.path.chars().count()).max().unwrap_or(0).min(MAX_PATH);
    let width = shown.iter().map(|v| v.chars().count()).max().unwrap_or(0);
    for (explained, shown) in values.iter().zip(shown) {
        let won = &explained.won;
        let path = palette.cyan(&harmless(&pad(&explained.path, paths)));
        let shown = palette.green(&harmless(&pad(&shown, width)));
        let mut origin = match won.kind {
            Kind::Default => format!("default: {}", won.origin),
            Kind::File if won.origin == "file" => place(won),
            _ if won.span.is_none() => won.origin.clone(),
            _ => format!("{}  {}", place(won), won.origin),
        };
        for used in &won.variables {
            let _ = write!(origin, "  ${{{}}}", used.name);
        }
        let _ = writeln!(out, "{path}  {shown}  {}", harmless(&origin));
    }
}

fn place(candidate: &Candidate) -> String {
    match &candidate.span {
        Some(span) if candidate.kind != Kind::Default => span.location(),
        _ => "-".to_owned(),
    }
}

fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// Returns a value as YAML would have it on one line: quoted only where it must be.
fn value(value: &Value, most: Option<usize>) -> String {
    let text = match value {
        Value::String(text) if plain(text) => text.clone(),
        other => other.to_string(),
    };
    match most {
        Some(most) if text.chars().count() > most => {
            let kept: String = text.chars().take(most - 3).collect();
            kept + "..."
        }
        _ => text,
    }
}

fn plain(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text.contains(char::is_control)
        && !text.starts_with(['"', '\'', '[', '{', '#', '&', '!', '|', '>', '%', '@', '`'])
        && serde_json::from_str::<Value>(text).is_err()
        && !matches!(text, "~" | "yes" | "no" | "on" | "off")
}

/// Returns text in which nothing reaches the terminal as a control character.
fn harmless(text: &str) -> Cow<'_, str> {
    let dangerous = |c: char| c.is_control() && c != '\t';
    if text.contains(dangerous) { Cow::Owned(text.replace(dangerous, "?")) } else { Cow::Borrowed(text) }
}

/// Returns an explanation as data: `path`, `section`, `disabled`, `values` and `overridden`; every
/// value has `path`, `value`, `secret`, `origin`, `variables`, `notes` and its own `overridden`.
pub(crate) fn json(explanation: &Explanation) -> Value {
    json!({
        "path": explanation.path,
        "section": explanation.section,
        "disabled": explanation.disabled,
        "values": explanation.values.iter().map(explained).collect::<Vec<_>>(),
        "overridden": explanation.overridden.iter().map(candidate).collect::<Vec<_>>(),
    })
}

fn explained(explained: &Explained) -> Value {
    let mut object = candidate(&explained.won);
    object["path"] = explained.path.as_str().into();
    object["overridden"] = explained.overridden.iter().map(candidate).collect();
    object
}

fn candidate(candidate: &Candidate) -> Value {
    let mut origin = json!({ "kind": candidate.kind.word(), "description": candidate.origin });
    if let Some(span) = &candidate.span {
        let (line, column) = span.line_column();
        origin["file"] = span.source.path.display().to_string().into();
        origin["line"] = line.into();
        origin["column"] = column.into();
    }
    let variables: Vec<Value> = candidate.variables.iter().map(|used| variable(candidate, used)).collect();
    json!({
        "value": candidate.value,
        "secret": candidate.secret,
        "origin": origin,
        "variables": variables,
        "notes": candidate.notes,
    })
}

fn variable(candidate: &Candidate, used: &Use) -> Value {
    let outcome = match used.outcome {
        Outcome::Value => "value",
        Outcome::Empty => "empty",
        Outcome::Default => "default",
        Outcome::Alternative => "alternative",
        Outcome::Nothing => "nothing",
    };
    let setting = |setting: &Setting| {
        let mut object = json!({ "value": candidate.reveal().shown(&used.name, &setting.value) });
        match &setting.set {
            Set::Shell => object["set"] = "shell".into(),
            Set::Project => object["set"] = "project".into(),
            Set::File(span) => {
                object["set"] = "file".into();
                object["file"] = span.source.path.display().to_string().into();
                object["line"] = span.line_column().0.into();
            }
        }
        object
    };
    let settings: Vec<Value> = used.settings.iter().flat_map(|settings| settings.iter()).map(setting).collect();
    json!({ "name": used.name, "outcome": outcome, "settings": settings })
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;

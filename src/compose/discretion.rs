//! Diagnostics without what is secret: values of variables, and of keys, whose names are a secret's.

use super::template::Outcome;
use super::uses::Uses;
use crate::diag::{Diagnostic, Span};
use crate::secrecy::{self, HIDDEN};

/// Hides in messages and advice what may not be read out aloud; names and places stay.
pub(crate) fn hide(diagnostics: &mut [Diagnostic], uses: &Uses) {
    for diagnostic in diagnostics {
        let Some(span) = &diagnostic.span else { continue };
        let whole = in_secret(span);
        let used = uses.at(span).iter().filter(|used| used.outcome == Outcome::Value && secrecy::is_secret(&used.name));
        let values = used.filter_map(|used| used.setting()).map(|setting| setting.value.as_str());
        let values: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
        if !whole && values.is_empty() {
            continue;
        }
        let hidden =
            |text: &str| quotes_hidden(text, |quoted| whole || values.iter().any(|value| quoted.contains(value)));
        diagnostic.message = hidden(&diagnostic.message);
        diagnostic.label = hidden(&diagnostic.label);
        diagnostic.help = diagnostic.help.as_deref().map(hidden);
    }
}

/// Tells whether a place is, or has in it, the value of a key whose name is a secret's.
fn in_secret(span: &Span) -> bool {
    let line = span.source.line_of(span.start.min(span.source.text.len()));
    let parts = span.source.secrets_of(line);
    let first = parts.partition_point(|part| part.end <= span.start);
    parts.get(first).is_some_and(|part| part.start < span.end)
}

/// Returns a message in which what stands in quotes is hidden where `secret` says so.
fn quotes_hidden(message: &str, secret: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(open) = rest.find('"') {
        let body = &rest[open + 1..];
        let mut escaped = false;
        let close = body.find(|c: char| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let Some(close) = close else { break };
        // Written with escapes, as Rust writes a text; what cannot be read is compared as it is.
        let quoted: String =
            serde_json::from_str(&rest[open..open + close + 2]).unwrap_or_else(|_| body[..close].into());
        out += &rest[..=open];
        out += if secret(&quoted) { HIDDEN } else { &body[..close] };
        out.push('"');
        rest = &body[close + 1..];
    }
    out + rest
}

//! From a node and its trail to where its value came from, in words and places.

use std::sync::Arc;

use super::path::{self, Step};
use super::{Candidate, Explained, redacted, rules};
use crate::compose::environment::{Set, Setting};
use crate::compose::provenance::{Provenance, Via};
use crate::compose::template::Outcome;
use crate::compose::tree::{Mark, Node, Value};
use crate::compose::uses;
use crate::diag::Span;
use crate::secrecy;

/// Longest excerpt, in characters.
const MAX_EXCERPT: usize = 160;

/// Who gave a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first file of the project.
    File,
    /// A later file, or the override file beside the first one.
    Override,
    /// A service that is extended.
    Extends,
    /// An included file.
    Include,
    /// A line of an `env_file`.
    EnvFile,
    /// A line of a `label_file`.
    LabelFile,
    /// The process environment: the file names the key only.
    Shell,
    /// A line of `.env` or of `--env-file`: the file names the key only.
    DotEnv,
    /// An option of the command line.
    Option,
    /// The project's folder.
    Folder,
    /// Nobody: a rule.
    Default,
}

impl Kind {
    /// Returns the word for it in data.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Override => "override",
            Self::Extends => "extends",
            Self::Include => "include",
            Self::EnvFile => "env_file",
            Self::LabelFile => "label_file",
            Self::Shell => "shell",
            Self::DotEnv => "dotenv",
            Self::Option => "option",
            Self::Folder => "directory",
            Self::Default => "default",
        }
    }
}

/// A line of a file with a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Its number, from 1.
    pub line: usize,
    /// Its text, without what is secret and what a terminal would obey.
    pub text: String,
    /// Where the place begins, in characters.
    pub start: usize,
    /// How long it is, in characters; 0 where it is hidden.
    pub length: usize,
}

/// What origins are told from.
pub(super) struct Origins<'a> {
    pub(super) provenance: &'a Provenance,
    pub(super) reveal: bool,
}

impl Origins<'_> {
    /// Returns a value with its origin and what it wins over.
    pub(super) fn explained(&self, node: &Node, steps: &[Step]) -> Explained {
        let mut candidates = self.candidates(node, steps);
        let won = candidates.remove(0);
        candidates.extend(self.overridden(steps));
        // One default does not win over another: nobody gave either.
        if won.kind == Kind::Default {
            candidates.retain(|candidate| candidate.kind != Kind::Default);
        }
        Explained { path: path::shown(steps), won, overridden: candidates }
    }

    /// Returns what the value at a path, or a section above it, was put in the place of.
    pub(super) fn overridden(&self, steps: &[Step]) -> Vec<Candidate> {
        let mut found = Vec::new();
        // The value itself first: what hides a section as a whole is further away.
        for depth in (0..=steps.len()).rev() {
            let Some(node) = path::at(&self.provenance.tree, &steps[..depth]) else { continue };
            self.hidden(node, &steps[depth..], steps, &mut found);
        }
        found
    }

    fn hidden(&self, node: &Node, rest: &[Step], steps: &[Step], found: &mut Vec<Candidate>) {
        for hidden in node.trail.iter().flat_map(|trail| &trail.hidden) {
            if let Some(candidate) = path::at(hidden, rest) {
                let mut given = self.candidates(candidate, steps);
                if !self.reveal && follows_secret_option(hidden, rest) {
                    for candidate in &mut given {
                        (candidate.value, candidate.secret) = (secrecy::HIDDEN.into(), true);
                    }
                }
                found.extend(given);
                if !rest.is_empty() {
                    self.hidden(candidate, &[], steps, found);
                }
            }
            self.hidden(hidden, rest, steps, found);
        }
    }

    /// Returns a node as a candidate; as several, where its value is that of a variable which was
    /// set more than once.
    fn candidates(&self, node: &Node, steps: &[Step]) -> Vec<Candidate> {
        let via: &[Arc<Via>] = node.trail.as_ref().map_or(&[], |trail| &trail.via);
        let variable = via.iter().rev().find_map(|via| match &**via {
            Via::Variable(name) => Some(name),
            _ => None,
        });
        let settings = variable.and_then(|name| Some((name, self.provenance.environment.settings(name)?)));
        match settings {
            Some((name, settings)) => {
                let given = settings.iter().filter(|setting| setting.set != Set::Project && !setting.value.is_empty());
                let all: Vec<Candidate> = given.map(|setting| self.of_variable(node, steps, name, setting)).collect();
                if all.is_empty() { vec![self.candidate(node, steps, via)] } else { all }
            }
            None => vec![self.candidate(node, steps, via)],
        }
    }

    fn of_variable(&self, node: &Node, steps: &[Step], name: &str, setting: &Setting) -> Candidate {
        let span = match &setting.set {
            Set::File(span) => Some(span.clone()),
            Set::Shell | Set::Project => None,
        };
        let kind = if span.is_some() { Kind::DotEnv } else { Kind::Shell };
        let value = Node { value: Value::Text(setting.value.clone()), ..node.clone() };
        let origin = format!("the variable {name}, set {}", uses::place(&setting.set));
        let mut candidate = self.plain(&value, steps, kind, origin, span);
        candidate.notes.extend(node.span.as_ref().map(|span| format!("asked for at {}", span.location())));
        candidate
    }

    fn candidate(&self, node: &Node, steps: &[Step], via: &[Arc<Via>]) -> Candidate {
        if node.mark == Mark::Reset {
            return self.plain(node, steps, kind(via), format!("!reset, {}", describe(via)), node.span.clone());
        }
        let unset = node.is_null() && bare_key(steps);
        match (&node.span, via) {
            (Some(span), [_, ..]) => {
                let mut candidate = self.plain(node, steps, kind(via), describe(via), Some(span.clone()));
                if unset {
                    candidate.notes.push("the variable is not set, so the container does not get it".to_owned());
                }
                candidate
            }
            (None, [_, ..]) => self.plain(node, steps, kind(via), describe(via), None),
            (span, []) => {
                let origin = rules::rule(steps).to_owned();
                // What implies it: itself, where a short form stands for it, or what it is a part of.
                let mut implied = span.clone();
                for depth in (1..steps.len()).rev() {
                    let above = path::at(&self.provenance.tree, &steps[..depth]);
                    implied = implied.or_else(|| above.and_then(Node::key_or_span));
                }
                self.plain(node, steps, Kind::Default, origin, implied)
            }
        }
    }

    fn plain(&self, node: &Node, steps: &[Step], kind: Kind, origin: String, span: Option<Span>) -> Candidate {
        // What implies a default is a place, but its variables are not the default's.
        let mut variables = match &span {
            Some(span) if kind != Kind::Default => self.provenance.uses.at(span).to_vec(),
            _ => Vec::new(),
        };
        if self.part_of_short_form(node, steps) {
            let pieces = pieces(&node.scalar_text().unwrap_or_default());
            variables.retain(|used| match (used.outcome, used.setting()) {
                (Outcome::Value, Some(setting)) => self::pieces(&setting.value).iter().any(|p| pieces.contains(p)),
                _ => true,
            });
        }
        let key = |step: &Step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Index(_) => None,
        };
        let section = steps.first().and_then(key).unwrap_or_default();
        let name = steps.iter().rev().find_map(key).unwrap_or_default();
        let (value, secret) = match self.reveal {
            true => (plain_json(node), false),
            false if follows_secret_option(&self.provenance.tree, steps) => (secrecy::HIDDEN.into(), true),
            false => redacted(node, &section, &name, &variables),
        };
        let whole = secret && variables.iter().all(|used| !secrecy::is_secret(&used.name));
        let excerpt = span.as_ref().map(|span| excerpt(span, self.reveal, whole));
        let mut notes = self.secret_source(node, &section, steps);
        for used in variables.iter().filter(|used| used.outcome == Outcome::Value) {
            let default = span.as_ref().and_then(|span| default_of(span, &used.name));
            if let Some(default) = default.filter(|default| used.setting().is_some_and(|set| set.value != *default)) {
                let shown = if self.reveal { default.into() } else { secrecy::shown(&used.name, default) };
                notes.push(format!("the default of {} would be {shown:?}", used.name));
            }
        }
        Candidate { value, secret, revealed: self.reveal, kind, origin, span, excerpt, variables, notes }
    }

    /// Returns true where a value is one of several that a text stands for: `8080:80`.
    fn part_of_short_form(&self, node: &Node, steps: &[Step]) -> bool {
        let Some((Step::Key(_), above)) = steps.split_last() else { return false };
        let whole = path::at(&self.provenance.tree, above);
        whole.is_some_and(|whole| whole.span.is_some() && whole.span == node.span)
    }

    /// A secret that is the value of a variable: its place, not its value.
    fn secret_source(&self, node: &Node, section: &str, steps: &[Step]) -> Vec<String> {
        let (Some(Step::Key(key)), true) = (steps.last(), matches!(section, "secrets" | "configs")) else {
            return Vec::new();
        };
        let (Some(name), true) = (node.as_text(), key == "environment" && steps.len() == 3) else { return Vec::new() };
        let Some(settings) = self.provenance.environment.settings(name) else {
            return vec![format!("its content is the variable {name}, which is not set")];
        };
        let shown = if self.reveal { settings[0].value.as_str() } else { secrecy::HIDDEN };
        vec![format!("its content is {name}={shown}, set {}", uses::place(&settings[0].set))]
    }
}

/// Tells whether an item of a list is the value of the option before it: `[--password, x]`.
fn follows_secret_option(tree: &Node, steps: &[Step]) -> bool {
    let Some((Step::Index(index), above)) = steps.split_last() else { return false };
    let items = path::at(tree, above).and_then(Node::as_list).unwrap_or_default();
    let before = index.checked_sub(1).and_then(|before| items.get(before)).and_then(Node::as_text);
    before.is_some_and(secrecy::is_secret_option)
}

fn plain_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::Large(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Time(time) => time.alone.as_str().into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(plain_json).collect(),
        Value::Map(map) => map.iter().map(|(key, node)| (key.clone(), plain_json(node))).collect(),
    }
}

/// Returns the default that a text gives a variable: `1.25` of `${TAG:-1.25}`.
fn default_of<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    let text = span.source.text.get(span.start..span.end)?;
    let (_, rest) = text.split_once(&format!("${{{name}"))?;
    let rest = rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'))?;
    let mut open = 1_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(&rest[..at]);
        }
    }
    None
}

/// Returns the words and numbers in a text.
fn pieces(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

/// Returns true for keys that may stand without a value.
fn bare_key(steps: &[Step]) -> bool {
    matches!(steps, [.., Step::Key(section), Step::Key(_)] if section == "environment" || section == "args")
}

fn kind(via: &[Arc<Via>]) -> Kind {
    let kind = |via: &Via| match via {
        Via::Alias { .. } | Via::Variable(_) => None,
        Via::File { order: 0, .. } => Some(Kind::File),
        Via::File { .. } => Some(Kind::Override),
        Via::Extends { .. } => Some(Kind::Extends),
        Via::Include { .. } => Some(Kind::Include),
        Via::Lines { attribute: "label_file" } => Some(Kind::LabelFile),
        Via::Lines { .. } => Some(Kind::EnvFile),
        Via::Option(_) => Some(Kind::Option),
        Via::Folder => Some(Kind::Folder),
    };
    via.iter().rev().find_map(|via| kind(via)).unwrap_or(Kind::Default)
}

/// Returns the ways a value came, in words.
fn describe(via: &[Arc<Via>]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let moved = via.iter().any(|via| matches!(&**via, Via::Extends { .. } | Via::Include { .. }));
    for way in via {
        parts.push(match &**way {
            Via::File { total: 1, .. } if moved => continue,
            Via::File { total: 1, .. } => "file".to_owned(),
            Via::File { order: 0, .. } => "base file".to_owned(),
            Via::File { order: 1, total: 2 } => "override file".to_owned(),
            Via::File { order, .. } => format!("override file {order}"),
            Via::Extends { service, file: Some(file), .. } => format!("extends `{service}` of {file}"),
            Via::Extends { service, file: None, .. } => format!("extends `{service}`"),
            Via::Include { at: Some(at) } => format!("included at {}", at.location()),
            Via::Include { at: None } => "included".to_owned(),
            Via::Alias { at } => format!("alias at {}", at.location()),
            Via::Lines { attribute } => (*attribute).to_owned(),
            Via::Variable(name) => format!("the variable {name}"),
            Via::Option(option) => format!("the option {option}"),
            Via::Folder => "the name of the folder".to_owned(),
        });
    }
    parts.dedup();
    parts.join(", ")
}

/// Returns the line of a place; from a secret on it is hidden.
fn excerpt(span: &Span, reveal: bool, whole: bool) -> Excerpt {
    let text = &span.source.text;
    let (line, column) = span.line_column();
    let content = text.lines().nth(line - 1).unwrap_or_default();
    let start = column - 1;
    let length = text
        .get(span.start..span.end)
        .map_or(0, |text| text.lines().next().unwrap_or_default().trim_end().chars().count());
    let mut shown: Vec<char> = content.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
    let secret = if reveal { None } else { secrecy::hidden_parts(content).into_iter().next() };
    let mut from = secret.map_or(shown.len(), |part| content[..part.start].chars().count());
    if whole && !reveal {
        from = from.min(start.max(assigned_from(&shown, start)));
    }
    if from < shown.len() {
        shown.truncate(from);
        shown.extend(secrecy::HIDDEN.chars());
    }
    let length = if start + length > from { from.saturating_sub(start) } else { length };
    let (mut text, mut start) = (shown.iter().collect::<String>(), start);
    if !reveal {
        text = secrecy::shown("", &text).into_owned();
    }
    if text.chars().count() > MAX_EXCERPT {
        let skip = start.saturating_sub(MAX_EXCERPT / 4);
        text = text.chars().skip(skip).take(MAX_EXCERPT).collect();
        start -= skip;
    }
    let length = length.min(text.chars().count().saturating_sub(start));
    Excerpt { line, text, start, length }
}

/// Returns where the value begins behind a name and `=` or `:`; the place itself where there is none.
fn assigned_from(line: &[char], start: usize) -> usize {
    let name = line.iter().skip(start).take_while(|c| c.is_alphanumeric() || "_-.".contains(**c)).count();
    match line.get(start + name) {
        Some('=' | ':') if name > 0 => start + name + 1,
        _ => start,
    }
}

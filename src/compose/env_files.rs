//! Phase: `env_file` and `label_file` folded into `environment` and `labels` (spec rows
//! `svc-env-file*`, `svc-label-file`). The two stay in the tree for the model, and are not printed.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::Environment;
use super::limits::{Budget, MAX_FILE};
use super::provenance::{Trail, Via};
use super::tree::{Map, Node, Value};
use super::{LoadOptions, discover, dotenv};
use crate::diag::{Diagnostic, Source, Span};

/// Reads the env files of services; one that many of them name is read once.
pub(crate) struct EnvFiles<'a> {
    /// What relative paths start from.
    pub(crate) folder: &'a Path,
    /// How to load.
    pub(crate) options: &'a LoadOptions,
    /// What may still be spent.
    pub(crate) budget: &'a Budget,
    /// The project's variables.
    pub(crate) environment: &'a Environment,
    /// Texts that were read.
    pub(crate) sources: HashMap<PathBuf, Arc<Source>>,
    /// What was found wrong.
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
}

type Values = BTreeMap<String, Node>;

impl EnvFiles<'_> {
    /// Folds the files of a service into its attributes, which win over them.
    pub(crate) fn fold(&mut self, service: &mut Map) {
        if let Some(files) = service.get("env_file").cloned() {
            let mut values = Values::new();
            let own = service.get("environment").cloned().unwrap_or_else(Node::map);
            for file in files.as_list().unwrap_or_default() {
                let required = file.get("required").is_none_or(Node::is_true);
                let raw = file.get("format").is_some();
                if let Some(path) = file.get("path") {
                    let environment = self.environment;
                    // The project's variables win over the service's own, and both over what files say.
                    let outside = |key: &str| {
                        let text = environment.get(key).or_else(|| own.get(key).and_then(Node::as_text));
                        text.map(str::to_owned)
                    };
                    self.read(path, "env_file", required, raw, &outside, &mut values);
                }
            }
            fold(service, "environment", values);
        }
        if let Some(files) = service.get("label_file").cloned() {
            let mut values = Values::new();
            for path in files.as_list().unwrap_or_default() {
                self.read(path, "label_file", true, false, &|_| None, &mut values);
            }
            fold(service, "labels", values);
        }
    }

    fn read(
        &mut self,
        path: &Node,
        attribute: &'static str,
        required: bool,
        raw: bool,
        outside: &dyn Fn(&str) -> Option<String>,
        values: &mut Values,
    ) {
        let Some(text) = path.as_text() else { return };
        let file: PathBuf = self.folder.join(text);
        let source = match self.source(&file) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return,
            Err(error) => {
                let shown = discover::shown(&file, self.options);
                let kind = if attribute == "label_file" { "label file" } else { "env file" };
                let message = format!("cannot read the {kind} {}: {}", shown.display(), discover::reason(&error));
                let diagnostic = Diagnostic::error(message, path.span.clone()).label("named here");
                self.diagnostics.push(match discover::meant(&file, &error) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None if attribute == "label_file" => diagnostic.help("create it, or correct the path"),
                    None => diagnostic.help("create it, or say that it may be missing: {path: ..., required: false}"),
                });
                return;
            }
        };
        // Read once, but looked through for each service.
        if !self.budget.bytes(source.text.len(), path.span.as_ref(), self.diagnostics) {
            return;
        }
        let earlier = |key: &str| values.get(key).and_then(Node::scalar_text);
        let mut doubts = Vec::new();
        let parsed = match raw {
            true => dotenv::parse_raw(&source.text, outside),
            false => dotenv::parse(&source.text, outside, &earlier, &mut doubts),
        };
        match parsed {
            Ok(lines) => {
                discover::doubtful(doubts, &source, self.diagnostics);
                if !self.budget.values(lines.len(), path.span.as_ref(), self.diagnostics) {
                    return;
                }
                let via = || Arc::new(Trail { via: vec![Arc::new(Via::Lines { attribute })], ..Trail::default() });
                let trail = self.options.provenance.then(via);
                for (key, line) in lines {
                    let span = Span { source: source.clone(), start: line.at.start, end: line.at.end };
                    let value = Node {
                        key: Some(span.clone()),
                        span: Some(span),
                        trail: trail.clone(),
                        ..Node::from(line.value)
                    };
                    match values.get_mut(&key) {
                        Some(old) => old.replace(value),
                        None => drop(values.insert(key, value)),
                    }
                }
            }
            Err(error) => self.diagnostics.push(discover::dotenv_diagnostic(source, &error)),
        }
    }

    fn source(&mut self, file: &Path) -> io::Result<Arc<Source>> {
        if let Some(source) = self.sources.get(file) {
            return Ok(source.clone());
        }
        let text = String::from_utf8_lossy(&self.options.disk.read(file, MAX_FILE)?).into_owned();
        let source = Arc::new(Source::new(discover::shown(file, self.options), text));
        self.sources.insert(file.to_owned(), source.clone());
        Ok(source)
    }
}

fn fold(service: &mut Map, attribute: &str, values: Values) {
    let own = service.entry(attribute.to_owned()).or_insert_with(Node::map);
    if own.is_null() {
        own.value = Value::Map(Map::default());
    }
    let Some(own) = own.as_map_mut() else { return };
    for (key, value) in values {
        match own.get_mut(&key) {
            Some(own) => own.hide(value),
            None => drop(own.insert(key, value)),
        }
    }
}

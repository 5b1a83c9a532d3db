//! Phase: `env_file` and `label_file` folded into `environment` and `labels` (spec rows
//! `svc-env-file*`, `svc-label-file`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::tree::{Map, Node, Value};
use super::{LoadOptions, discover, dotenv};
use crate::diag::Diagnostic;

/// Reads the files of a service; its own attributes win over them.
pub(crate) fn resolve(
    service: &mut Map,
    folder: &Path,
    options: &LoadOptions,
    environment: &BTreeMap<String, String>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if let Some(files) = service.shift_remove("env_file") {
        let mut reader = Reader { folder, options, diagnostics, values: BTreeMap::new(), places: BTreeMap::new() };
        for file in files.as_list().unwrap_or_default() {
            let required = file.get("required").is_none_or(Node::is_true);
            let raw = file.get("format").is_some();
            if let Some(path) = file.get("path") {
                reader.read(path, required, raw, &|key| environment.get(key).cloned());
            }
        }
        reader.fold(service, "environment");
    }
    if let Some(files) = service.shift_remove("label_file") {
        let mut reader = Reader { folder, options, diagnostics, values: BTreeMap::new(), places: BTreeMap::new() };
        for path in files.as_list().unwrap_or_default() {
            reader.read(path, true, false, &|_| None);
        }
        reader.fold(service, "labels");
    }
}

struct Reader<'a> {
    folder: &'a Path,
    options: &'a LoadOptions,
    diagnostics: &'a mut Vec<Diagnostic>,
    values: BTreeMap<String, String>,
    places: BTreeMap<String, Node>,
}

impl Reader<'_> {
    fn read(&mut self, path: &Node, required: bool, raw: bool, outside: &dyn Fn(&str) -> Option<String>) {
        let Some(text) = path.as_text() else { return };
        let file: PathBuf = self.folder.join(text);
        let shown = discover::shown(&file, self.options);
        let bytes = match discover::read_bounded(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return,
            Err(error) => {
                let message = format!("cannot read the env file {}: {}", shown.display(), discover::reason(&error));
                self.diagnostics.push(
                    Diagnostic::error(message, path.span.clone())
                        .label("named here")
                        .help("create it, or say that it may be missing: {path: ..., required: false}"),
                );
                return;
            }
        };
        let content = String::from_utf8_lossy(&bytes).into_owned();
        // Earlier files win over the environment here, unlike in `.env`.
        let lookup = |key: &str| self.values.get(key).cloned().or_else(|| outside(key));
        let parsed = if raw { dotenv::parse_raw(&content, &lookup) } else { dotenv::parse(&content, &lookup) };
        match parsed {
            Ok(values) => {
                for (key, value) in values {
                    self.places.insert(key.clone(), path.clone());
                    self.values.insert(key, value);
                }
            }
            Err(error) => self.diagnostics.push(discover::dotenv_diagnostic(&shown, content, &error)),
        }
    }

    fn fold(self, service: &mut Map, attribute: &str) {
        let own = service.entry(attribute.to_owned()).or_insert_with(Node::map);
        if own.is_null() {
            own.value = Value::Map(Map::new());
        }
        let Some(own) = own.as_map_mut() else { return };
        for (key, value) in self.values {
            let place = self.places.get(&key).and_then(|node| node.span.clone());
            own.entry(key).or_insert_with(|| Node { span: place, ..Node::from(value) });
        }
    }
}

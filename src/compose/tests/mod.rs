//! Loading as a whole: files in, project, tree and diagnostics out.

mod diagnostics;
mod exact;
mod hostile;
mod loading;
mod model;
mod properties;
mod reference;
mod variables;
mod x_stack;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{LoadOptions, Loaded, load};
use crate::diag::{Diagnostic, Severity};

/// Returns what comes of files in a folder of their own, named `demo`.
pub(crate) fn load_files(files: &[(&str, &[u8])], change: impl FnOnce(&mut LoadOptions)) -> Loaded {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().canonicalize().unwrap().join("demo");
    write_files(&folder, files);
    let environment = [("HOME", "/home/me"), ("SET", "value"), ("EMPTY", "")];
    let environment: BTreeMap<String, String> = environment.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let mut options = LoadOptions { cwd: folder, environment, ..LoadOptions::default() };
    change(&mut options);
    load(&options)
}

fn write_files(folder: &Path, files: &[(&str, &[u8])]) {
    fs::create_dir_all(folder).unwrap();
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Returns a diagnostic as `place severity: message`, with the underlined text and the advice below.
pub(crate) fn line(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut out = String::new();
    if let Some(span) = &diagnostic.span {
        let underlined = span.source.text[span.start..span.end].lines().next().unwrap_or_default();
        out = format!("{} `{}` ", span.location(), underlined.trim_end());
    }
    out += &format!("{severity}: {}", diagnostic.message);
    if !diagnostic.label.is_empty() {
        out += &format!(" ({})", diagnostic.label);
    }
    if let Some(help) = &diagnostic.help {
        out += &format!("\n    {help}");
    }
    for note in &diagnostic.notes {
        out += &format!("\n    note: {note}");
    }
    out
}

/// Returns the diagnostics of one file, a few lines each.
fn diagnose(text: &str) -> String {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    loaded.diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the same for several files.
fn diagnose_files(files: &[(&str, &str)]) -> String {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    load_files(&files, |_| {}).diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the same for what is legal but surely a mistake; nothing else may be wrong.
fn advise(text: &str) -> String {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    loaded.advice.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the same for what is only said when the project runs.
fn diagnose_running(text: &str) -> String {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    assert!(loaded.diagnostics.iter().all(|d| d.severity == Severity::Warning), "{:?}", loaded.diagnostics);
    loaded.unsupported.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the text of `config --format json` for one file.
fn config(text: &str) -> serde_json::Value {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    let tree = loaded.tree.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    super::config_json(&tree)
}

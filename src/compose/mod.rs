//! From Compose files to a typed model, phase by phase.

pub mod model;
pub mod tree;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::diag::{Diagnostic, Span};
use tree::Node;

/// What to load and against which world; nothing is read from the process itself.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// `-f`, in order; empty: `COMPOSE_FILE`, else the files are searched for. `-` is `stdin`.
    pub files: Vec<PathBuf>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `--env-file`, in order.
    pub env_files: Vec<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// Folder the command runs in; absolute.
    pub cwd: PathBuf,
    /// The process environment.
    pub environment: BTreeMap<String, String>,
    /// What `-f -` reads.
    pub stdin: Option<String>,
    /// Services named on the command line: their profiles become active.
    pub services: Vec<String>,
    /// Replace variables (`--no-interpolate` turns it off).
    pub interpolate: bool,
    /// Fill in implied values (`--no-normalize` turns it off).
    pub normalize: bool,
    /// Make paths absolute (`--no-path-resolution` turns it off).
    pub resolve_paths: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            project_name: None,
            project_directory: None,
            env_files: Vec::new(),
            profiles: Vec::new(),
            cwd: PathBuf::new(),
            environment: BTreeMap::new(),
            stdin: None,
            services: Vec::new(),
            interpolate: true,
            normalize: true,
            resolve_paths: true,
        }
    }
}

/// What loading found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The model; `None` when there are errors.
    pub project: Option<model::Project>,
    /// The canonical tree that `config` prints; `None` when there are errors.
    pub tree: Option<Node>,
    /// Errors and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// What is legal but not in force when the project runs; `config` does not show these.
    pub unsupported: Vec<Diagnostic>,
    /// Places of `depends_on` (and implied) edges, by (service, dependency).
    pub dependency_spans: HashMap<(String, String), Span>,
    /// Places of the services' keys.
    pub service_spans: HashMap<String, Span>,
    /// The environment that variables were taken from (`config --environment`).
    pub environment: BTreeMap<String, String>,
}

/// Returns the project that the options describe; never panics and never prints.
pub fn load(_options: &LoadOptions) -> Loaded {
    Loaded::default()
}

/// Returns the canonical tree as `config --format json` prints it.
pub fn config_json(_tree: &Node) -> serde_json::Value {
    serde_json::Value::Null
}

/// Returns the canonical tree as `config` prints it.
pub fn config_yaml(_tree: &Node) -> String {
    String::new()
}

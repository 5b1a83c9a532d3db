//! From Compose files to a typed model, phase by phase, over one tree of nodes that keep the
//! place they were written at.
//!
//! ```text
//! discover   which files, which environment
//! parse      text -> tree                      \
//! interpolate                                   | per file and document
//! canonical  short forms -> long ones, types    | (`assemble`), also for files
//! extends                                       | that are included or extended
//! include                                       |
//! merge      one file over the other           /
//! defaults, paths
//! validate   what the tables ask for
//! normalize  what a project implies
//! profiles   services that are enabled
//! validate   references
//! lint       what is legal but surely a mistake
//! env files
//! bind       tree -> model
//! finish     tree -> what `config` prints
//! ```
//!
//! What Compose knows stands in the tables of `schema`; the phases walk tree and tables side
//! by side. Nothing stops at the first mistake: [`load`] is the entry point and returns them all.

mod assemble;
mod bind;
mod canonical;
mod discover;
mod discretion;
mod dotenv;
mod env_files;
pub mod environment;
pub mod explain;
pub mod files;
mod finish;
mod interpolate;
pub mod limits;
mod lint;
mod load;
mod merge;
pub mod model;
mod normalize;
mod padding;
mod parse;
mod paths;
mod profiles;
mod project_name;
pub mod provenance;
pub mod remote;
mod render;
mod scalar;
mod schema;
mod shellwords;
mod short;
mod syntax;
pub mod template;
pub mod tree;
mod units;
mod unsupported;
pub mod uses;
mod validate;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::diag::{Diagnostic, Span};
use files::Files;
use provenance::Provenance;
use tree::Node;

pub use load::{in_order, load};
pub use render::{config_json, config_yaml, plain_yaml, template_json};
pub use schema::{config_schema, file_schema};

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
    pub stdin: Option<Vec<u8>>,
    /// Where files are read from.
    pub disk: Arc<dyn Files>,
    /// Who brings files here that are elsewhere.
    pub remote: Arc<dyn remote::Fetch>,
    /// Services named on the command line: their profiles become active.
    pub services: Vec<String>,
    /// Replace variables (`--no-interpolate` turns it off).
    pub interpolate: bool,
    /// Fill in implied values (`--no-normalize` turns it off).
    pub normalize: bool,
    /// Make paths absolute (`--no-path-resolution` turns it off).
    pub resolve_paths: bool,
    /// Keep where every value comes from and what it wins over (`config explain`).
    pub provenance: bool,
    /// Refuse references to what is not there (`--no-consistency` turns it off; then nothing but
    /// the tree is of use).
    pub consistency: bool,
    /// Make what a project needs to run: [`Loaded::project`], and all of [`Loaded::unsupported`]. `config` prints the
    /// tree alone.
    pub to_run: bool,
    /// Fold env files and variables of the shell into `environment` (`--no-env-resolution` turns it off).
    pub resolve_environment: bool,
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
            disk: Arc::new(files::Disk),
            remote: Arc::new(remote::Offline),
            services: Vec::new(),
            interpolate: true,
            normalize: true,
            resolve_paths: true,
            provenance: false,
            consistency: true,
            to_run: true,
            resolve_environment: true,
        }
    }
}

/// What loading found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The model; `None` when there are errors or [`LoadOptions::to_run`] is off.
    pub project: Option<model::Project>,
    /// The canonical tree that `config` prints; `None` when there are errors.
    pub tree: Option<Node>,
    /// Errors and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// Warnings about attributes that are not in force, and errors for what cannot run. With an error among
    /// them `project` is incomplete and must not be started. Without [`LoadOptions::to_run`]: warnings
    /// about what means nothing on one Linux machine, and about values that would not run.
    pub unsupported: Vec<Diagnostic>,
    /// Warnings about what is legal but surely a mistake. Commands that check or run the project
    /// show them; those that look at its containers do not.
    pub advice: Vec<Diagnostic>,
    /// Places of `depends_on` (and implied) edges, by (service, dependency).
    pub dependency_spans: IndexMap<(String, String), Span>,
    /// Places of the services' keys.
    pub service_spans: HashMap<String, Span>,
    /// The environment that variables were taken from (`config --environment`).
    pub environment: BTreeMap<String, String>,
    /// Where values come from, where [`LoadOptions::provenance`] asks for it and there is a tree
    /// at all; also when there are errors.
    pub provenance: Option<Provenance>,
}

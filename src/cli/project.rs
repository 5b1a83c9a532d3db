//! From the options that name a project to its model, or to its name alone.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use super::args::ProjectArgs;
use super::configuration::Configuration;
use super::error::{Error, Result};
use super::ui::Ui;
use crate::compose::model::Project;
use crate::compose::tree::Node;
use crate::compose::{self, LoadOptions, Loaded};
use crate::diag::{self, Diagnostic, Severity, Span};
use crate::graph;
use crate::ids::{ProjectName, ServiceName};
use crate::remote::Cache;

/// What a command works on: a project by name, with its model where there is a file.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: ProjectName,
    pub(crate) project: Option<Project>,
    /// All services of the file, those that no profile enables among them; `None` without a file.
    known: Option<Vec<ServiceName>>,
}

impl Target {
    /// Returns all services of the file, those that no profile enables among them; `None` without a file.
    pub(crate) fn known_services(&self) -> Option<Vec<ServiceName>> {
        self.known.clone()
    }

    /// Returns the named services, checked against the file where there is one.
    pub(crate) fn services(&self, named: &[String]) -> Result<Vec<ServiceName>> {
        if let Some(known) = &self.known {
            check_services(named, known)?;
        }
        Ok(named.iter().map(|s| ServiceName::new(s.as_str())).collect())
    }
}

/// Returns what the options mean for the loader.
pub(crate) fn load_options(args: &ProjectArgs, services: &[String]) -> Result<LoadOptions> {
    let environment: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let cwd = working_folder(&environment)?;
    let mut env_files = args.rest.env_files.clone();
    if env_files.is_empty() {
        let listed = environment.get("COMPOSE_ENV_FILES").map_or("", String::as_str);
        env_files = listed.split(',').filter(|f| !f.is_empty()).map(PathBuf::from).collect();
    }
    let reads_stdin = args.files.iter().any(|f| f.as_os_str() == "-")
        || (args.files.is_empty() && environment.get("COMPOSE_FILE").is_some_and(|f| f == "-"));
    let stdin = if reads_stdin {
        let mut bytes = Vec::new();
        // One byte more than a file may have says that it is too large; a stream may have no end.
        std::io::stdin()
            .take(compose::limits::MAX_FILE as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|err| Error::user(format!("cannot read the Compose file from standard input: {err}")))?;
        Some(bytes)
    } else {
        None
    };
    let variable = |name: &str| environment.get(name).filter(|value| value.starts_with('/')).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    let remote = Cache::new(cache.map(|cache| cache.join("stack")));
    Ok(LoadOptions {
        remote: Arc::new(remote),
        files: args.files.clone(),
        project_name: args.rest.project_name.clone(),
        project_directory: args.rest.project_directory.clone(),
        env_files,
        profiles: args.rest.profiles.clone(),
        cwd,
        environment,
        stdin,
        services: services.to_vec(),
        ..LoadOptions::default()
    })
}

/// Returns the project to run: shows warnings, also of what is not in force, and refuses
/// dependency cycles and services that the file does not have.
pub(crate) fn to_run(ui: &Ui, args: &ProjectArgs, services: &[String]) -> Result<Project> {
    let options = load_options(args, services)?;
    let loaded = compose::load(&options);
    runnable(ui, &options, loaded, services)
}

/// Returns the project to run of what was loaded, as [`to_run`] does.
pub(crate) fn runnable(ui: &Ui, options: &LoadOptions, loaded: Loaded, services: &[String]) -> Result<Project> {
    let told = compose::in_order(&[&loaded.diagnostics, &loaded.advice, &loaded.unsupported]);
    let mut project = accept(ui, &told, loaded.project)?;
    refuse_cycles(loaded.dependency_spans)?;
    let known: Vec<ServiceName> = project.services.keys().cloned().collect();
    check_services(services, &known)?;
    Configuration::read(&options.environment).map_err(Error::Diagnostics)?.apply(&mut project);
    Ok(project)
}

/// Refuses services that wait for each other in a circle.
pub(crate) fn refuse_cycles(spans: IndexMap<(String, String), Span>) -> Result<()> {
    let spans =
        spans.into_iter().map(|((from, to), span)| ((ServiceName::new(from), ServiceName::new(to)), span)).collect();
    graph::refuse_circles(&spans).map_err(Error::Diagnostics)
}

/// Returns what was loaded when it has no errors; its warnings are shown in any case.
pub(crate) fn accept<T>(ui: &Ui, diagnostics: &[Diagnostic], value: Option<T>) -> Result<T> {
    match value {
        Some(value) if diagnostics.iter().all(|d| d.severity != Severity::Error) => {
            ui.diagnostics(diagnostics);
            Ok(value)
        }
        _ => Err(Error::Diagnostics(compose::in_order(&[diagnostics]))),
    }
}

/// Returns the project that a command on existing containers means. With a name and no `-f`
/// no file is read; a file that cannot be read leaves `COMPOSE_PROJECT_NAME`.
pub(crate) fn existing(ui: &Ui, args: &ProjectArgs, services: &[String]) -> Result<Target> {
    if let (true, Some(name)) = (args.files.is_empty(), &args.rest.project_name) {
        return by_name(name);
    }
    let options = load_options(args, services)?;
    let from_env = options.environment.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()).cloned();
    let Loaded { project, tree, diagnostics, .. } = compose::load(&options);
    match (accept(ui, &diagnostics, project), from_env) {
        (Ok(project), _) => {
            let mut known: Vec<ServiceName> = project.services.keys().chain(&project.disabled).cloned().collect();
            // A service that cannot run is not in the model; its containers are no orphans.
            let written = tree.as_ref().and_then(|t| t.get("services")).and_then(Node::as_map);
            for name in written.into_iter().flat_map(|services| services.keys()) {
                if !known.iter().any(|k| k.as_str() == name) {
                    known.push(ServiceName::new(name.as_str()));
                }
            }
            Ok(Target { name: project.name.clone(), project: Some(project), known: Some(known) })
        }
        (Err(_), Some(name)) => by_name(&name),
        (Err(err), None) => Err(err),
    }
}

fn by_name(name: &str) -> Result<Target> {
    let mut chars = name.chars();
    let begins = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !begins || !chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c)) {
        return Err(Error::user(format!("{name:?} is no valid project name"))
            .hint("use lower-case letters, digits, dashes and underscores, beginning with a letter or digit"));
    }
    Ok(Target { name: ProjectName::new(name), project: None, known: None })
}

/// Refuses names of services that are not known.
fn check_services(named: &[String], known: &[ServiceName]) -> Result<()> {
    for name in named {
        if known.iter().any(|k| k.as_str() == name) {
            continue;
        }
        let error = Error::user(format!("no such service: {name}"));
        let near = diag::nearest(name, known.iter().map(ServiceName::as_str));
        return Err(match near {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None if known.is_empty() => error.hint("the file has no services"),
            None => {
                let names: Vec<&str> = known.iter().map(ServiceName::as_str).collect();
                error.hint(format!("the file has {}", names.join(", ")))
            }
        });
    }
    Ok(())
}

/// Returns the folder the command runs in, by the path the shell knows it under: a project is
/// named after its folder, which may be a link.
fn working_folder(environment: &BTreeMap<String, String>) -> Result<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let real = std::env::current_dir().map_err(|err| Error::host(format!("cannot tell the current folder: {err}")))?;
    let same = |path: &PathBuf| {
        let (Ok(a), Ok(b)) = (path.metadata(), real.metadata()) else { return false };
        (a.dev(), a.ino()) == (b.dev(), b.ino())
    };
    let shell = environment.get("PWD").map(PathBuf::from).filter(|p| p.is_absolute()).filter(same);
    Ok(shell.unwrap_or(real))
}

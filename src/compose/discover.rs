//! Which files make up the project, where it lives, and the environment its variables come
//! from (spec rows `file-*`, `project-dir`, `env-precedence`, `dotenv-default`, `envvar-*`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::{Environment, Set, Setting};
use super::files::Kind;
use super::limits::{Budget, MAX_FILE, room_to_warn};
use super::{LoadOptions, dotenv, paths, remote};
use crate::diag::{Diagnostic, Source, Span, nearest};

/// Names that are looked for, the first one found wins.
pub(super) const NAMES: [&str; 6] =
    ["stack.yml", "stack.yaml", "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of the file that is merged on top of one that was found.
const OVERRIDES: [&str; 6] = [
    "stack.override.yml",
    "stack.override.yaml",
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// A file that was read.
pub(crate) struct Input {
    /// As the user would name it.
    pub(crate) shown: PathBuf,
    /// Absolute; `-` for standard input.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// Where a project is and what it is made from.
pub(crate) struct World {
    /// The files, in the order of merging.
    pub(crate) files: Vec<Input>,
    /// The project's folder.
    pub(crate) folder: PathBuf,
    /// Process environment, then env files.
    pub(crate) environment: Environment,
}

/// Returns the files and the environment that the options name; `None` without any file.
pub(crate) fn discover(options: &LoadOptions, budget: &Budget, diagnostics: &mut Vec<Diagnostic>) -> Option<World> {
    let absolute = |path: &Path| PathBuf::from(paths::clean(&options.cwd.join(path).to_string_lossy()));
    let mut environment = Environment::of_shell(&options.environment);
    let project_directory = options.project_directory.as_deref().map(absolute);

    let named = placed(options.files.iter().map(PathBuf::as_path), options, diagnostics)?;
    let first = named.iter().find(|f| f.as_os_str() != "-").cloned();
    let first_folder = first.as_deref().and_then(Path::parent).map(Path::to_owned);
    let start = project_directory.clone().or(first_folder).unwrap_or_else(|| options.cwd.clone());
    let explicit = explicit_env_files(options);
    let disabled = options.environment.get("COMPOSE_DISABLE_ENV_FILE").is_some_and(|v| is_true(v));
    if explicit.is_empty() && !disabled {
        load_default_env(&start, options, budget, &mut environment, diagnostics);
    } else {
        let files: Vec<PathBuf> = explicit.iter().map(|f| absolute(f)).collect();
        load_env(&files, options, budget, &mut environment, diagnostics);
    }

    let files = if named.is_empty() { locate(options, &start, &environment, diagnostics)? } else { named };
    let first_folder = files.iter().find(|f| f.as_os_str() != "-").and_then(|f| f.parent()).map(Path::to_owned);
    let folder = project_directory.or(first_folder).unwrap_or_else(|| options.cwd.clone());
    if explicit.is_empty() && !disabled && folder != start {
        load_default_env(&folder, options, budget, &mut environment, diagnostics);
    }
    let files = files.into_iter().filter_map(|path| read(path, options, budget, diagnostics)).collect();
    Some(World { files, folder, environment })
}

/// Returns a file's text, or says why there is none.
fn read(path: PathBuf, options: &LoadOptions, budget: &Budget, diagnostics: &mut Vec<Diagnostic>) -> Option<Input> {
    if path.as_os_str() == "-" {
        let Some(bytes) = &options.stdin else {
            diagnostics.push(Diagnostic::error("there is no standard input to read the file from", None));
            return None;
        };
        return Some(Input { shown: path.clone(), path, bytes: bytes.clone() });
    }
    let shown = shown(&path, options);
    match options.disk.read(&path, MAX_FILE) {
        Ok(bytes) => budget.bytes(bytes.len(), None, diagnostics).then_some(Input { shown, path, bytes }),
        Err(error) => {
            let message = format!("cannot read {}: {}", shown.display(), reason(&error));
            let diagnostic = Diagnostic::error(message, None);
            diagnostics.push(match meant(&path, &error) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic,
            });
            None
        }
    }
}

/// Returns why a file could not be read, without the number of the error.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Returns the name of a file beside one that is not there, where it was probably meant.
pub(crate) fn meant(path: &Path, error: &io::Error) -> Option<String> {
    if error.kind() != io::ErrorKind::NotFound {
        return None;
    }
    let beside = std::fs::read_dir(path.parent()?).ok()?.take(10_000).filter_map(Result::ok);
    let mut names: Vec<String> = beside.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str)).map(str::to_owned)
}

/// Returns a path as the user would name it: relative within the folder of the command.
pub(crate) fn shown(path: &Path, options: &LoadOptions) -> PathBuf {
    match path.strip_prefix(&options.cwd) {
        Ok(inside) if inside.as_os_str().is_empty() => PathBuf::from("."),
        Ok(inside) => inside.to_owned(),
        Err(_) => path.to_owned(),
    }
}

/// Returns the variables of env files, later files over earlier ones; `outside` wins over all. Each file comes with the
/// place that names it.
pub(crate) fn env_files(
    files: &[(PathBuf, Option<Span>)],
    options: &LoadOptions,
    budget: &Budget,
    outside: &Environment,
    diagnostics: &mut Vec<Diagnostic>,
) -> Environment {
    let mut values = Environment::default();
    for (path, named) in files {
        let name = shown(path, options);
        let text = match options.disk.read(path, MAX_FILE) {
            Ok(bytes) if !budget.bytes(bytes.len(), named.as_ref(), diagnostics) => continue,
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                let message = format!("cannot read the env file {}: {}", name.display(), reason(&error));
                let mut diagnostic = Diagnostic::error(message, named.clone());
                if named.is_some() {
                    diagnostic = diagnostic.label("named here");
                }
                diagnostics.push(match meant(path, &error) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic,
                });
                continue;
            }
        };
        let source = Arc::new(Source::new(name, text));
        let lookup = |key: &str| outside.get(key).or_else(|| values.get(key)).map(str::to_owned);
        let mut doubts = Vec::new();
        match dotenv::parse(&source.text, &lookup, &|_| None, &mut doubts) {
            Ok(more) => {
                doubtful(doubts, &source, diagnostics);
                for (key, line) in more.into_iter().filter(|(key, _)| !key.starts_with(|c: char| c.is_ascii_digit())) {
                    let span = Span { source: source.clone(), start: line.at.start, end: line.at.end };
                    values.set(&key, Setting { value: line.value, set: Set::File(span), made_of: line.made_of });
                }
            }
            Err(error) => diagnostics.push(dotenv_diagnostic(source, &error)),
        }
    }
    values
}

/// Reports what is legal in an env file but surely a mistake.
pub(crate) fn doubtful(doubts: Vec<dotenv::Doubt>, source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) {
    for doubt in doubts {
        if room_to_warn(diagnostics) {
            let span = Span { source: source.clone(), start: doubt.at.start, end: doubt.at.end };
            diagnostics.push(Diagnostic::warning(doubt.message, span).help(doubt.help));
        }
    }
}

/// Returns a mistake in an env file as a diagnostic with its line.
pub(crate) fn dotenv_diagnostic(source: Arc<Source>, error: &dotenv::DotenvError) -> Diagnostic {
    let text = &source.text;
    let start = error.at.min(text.len());
    let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let required = error.message.strip_prefix("required variable ").and_then(|rest| rest.split(' ').next());
    let help = if let Some(name) = required {
        format!("set {name} in the environment, or above this line")
    } else if error.message.starts_with("invalid interpolation") {
        "write ${NAME}, ${NAME:-default} or ${NAME:?message}; a value in single quotes is taken as it is".to_owned()
    } else if error.message.contains("unterminated") {
        "close the quote; a value in quotes may go on over several lines".to_owned()
    } else {
        "a line is NAME=value, or a # comment".to_owned()
    };
    Diagnostic::error(error.message.clone(), Span { source, start, end }).help(help)
}

fn load_env(
    files: &[PathBuf],
    options: &LoadOptions,
    budget: &Budget,
    environment: &mut Environment,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let files: Vec<_> = files.iter().map(|path| (path.clone(), None)).collect();
    let more = env_files(&files, options, budget, environment, diagnostics);
    environment.add_below(more);
}

fn load_default_env(
    folder: &Path,
    options: &LoadOptions,
    budget: &Budget,
    environment: &mut Environment,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let path = folder.join(".env");
    if options.disk.kind(&path).is_some_and(|kind| kind != Kind::Folder) {
        load_env(&[path], options, budget, environment, diagnostics);
    }
}

fn explicit_env_files(options: &LoadOptions) -> Vec<PathBuf> {
    if !options.env_files.is_empty() {
        return options.env_files.clone();
    }
    let listed = options.environment.get("COMPOSE_ENV_FILES").map(String::as_str).unwrap_or_default();
    listed.split(',').filter(|f| !f.is_empty()).map(PathBuf::from).collect()
}

/// Returns files by their absolute paths; those that are elsewhere are fetched. `None` when one of them cannot be.
fn placed<'a>(
    files: impl Iterator<Item = &'a Path>,
    options: &LoadOptions,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<PathBuf>> {
    let mut refused = false;
    let mut place = |path: &Path| {
        if path.as_os_str() == "-" {
            return path.to_owned();
        }
        match remote::local(&path.to_string_lossy(), options) {
            Some(Ok(path)) => path,
            Some(Err(refusal)) => {
                diagnostics.push(refusal);
                refused = true;
                PathBuf::new()
            }
            None => PathBuf::from(paths::clean(&options.cwd.join(path).to_string_lossy())),
        }
    };
    let placed: Vec<PathBuf> = files.map(&mut place).collect();
    (!refused).then_some(placed)
}

/// Returns the files that no option names, absolute.
fn locate(
    options: &LoadOptions,
    start: &Path,
    environment: &Environment,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<PathBuf>> {
    if let Some(listed) = environment.get("COMPOSE_FILE").filter(|v| !v.is_empty()) {
        let separator = environment.get("COMPOSE_PATH_SEPARATOR").filter(|s| !s.is_empty()).unwrap_or(":");
        return placed(listed.split(separator).filter(|f| !f.is_empty()).map(Path::new), options, diagnostics);
    }
    for folder in start.ancestors() {
        let found = present(folder, &NAMES, options);
        let Some(first) = found.first() else { continue };
        warn_ambiguous(&found, options, diagnostics);
        let overrides = present(folder, &OVERRIDES, options);
        warn_ambiguous(&overrides, options, diagnostics);
        return Some([Some(first.clone()), overrides.first().cloned()].into_iter().flatten().collect());
    }
    diagnostics.push(
        Diagnostic::error(format!("no stack file found in {} or any folder above it", start.display()), None)
            .help(format!("create one of {}, or name a file with -f", NAMES.join(", "))),
    );
    None
}

fn present(folder: &Path, names: &[&str], options: &LoadOptions) -> Vec<PathBuf> {
    names.iter().map(|name| folder.join(name)).filter(|path| options.disk.kind(path).is_some()).collect()
}

fn warn_ambiguous(found: &[PathBuf], options: &LoadOptions, diagnostics: &mut Vec<Diagnostic>) {
    if let [first, others @ ..] = found
        && !others.is_empty()
    {
        let others: Vec<String> = others.iter().map(|p| shown(p, options).display().to_string()).collect();
        let message = format!("{} is used, not {}", shown(first, options).display(), others.join(", "));
        diagnostics.push(Diagnostic::warning(message, None).help("name files with -f to use others"));
    }
}

/// Returns true for the ways to say so in an environment variable.
pub(crate) fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

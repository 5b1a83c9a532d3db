//! The form of a case, and what it means for it to hold.
//!
//! ```text
//! What the row demands, in a sentence; not read by the test.
//! == title of the first case            (left out where there is one case only)
//! -- file compose.yml                   a file of the project's folder, which is called `p`
//! services: {a: {image: x}}
//! -- env                                variables of the shell, KEY=VALUE lines
//! -- in sub                             the folder the command runs in, below the project's
//! -- stdin                              what standard input holds
//! -- args -f compose.yml --profile x    what stands before `config --format json`
//! -- run config --services              instead of `config --format json`
//! -- expect services.a.image            what the output holds at this path, as YAML
//! x
//! -- missing services.a.build           ... and that it holds nothing here
//! -- stdout                             the whole output, of `run`
//! -- warning                            a line each: standard error holds it, the status is 0
//! -- error                              a line each: standard error holds it, the status is 1
//! -- silent                             standard error is empty
//! -- up                                 a line each: what is said besides when the project is run, with its place
//! -- proven tests/kernel/lifecycle.rs name_of_a_test     where containers show that it works
//! ```
//!
//! What is loaded is also valid before the schema of Compose files, and what is printed before that of
//! `config`.
//!
//! `$DIR` is the project's folder, everywhere. Standard error is compared without its spaces, line
//! breaks and frames, as long lines are broken anywhere. Without a `-- silent`, warnings do not matter.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::schema;
use assert_cmd::Command;
use serde_json::Value;
use stack::compose::LoadOptions;
use stack::diag::{Diagnostic, Severity};

/// One case of a row.
#[derive(Debug, Default)]
pub(crate) struct Case {
    /// Tells it from the row's other cases.
    pub(crate) title: String,
    files: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    within: PathBuf,
    stdin: Option<String>,
    arguments: Vec<String>,
    run: Option<Vec<String>>,
    expected: Vec<(String, String)>,
    missing: Vec<String>,
    stdout: Option<String>,
    warnings: Vec<String>,
    errors: Vec<String>,
    silent: bool,
    up: Vec<String>,
    proven: Vec<(PathBuf, String)>,
}

/// Reads the cases of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut cases = vec![Case::default()];
    let mut section: Option<(String, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let at = |problem: String| format!("{}:{}: {problem}", path.display(), number + 1);
        if let Some(title) = line.strip_prefix("== ") {
            end(&mut cases, section.take()).map_err(at)?;
            cases.push(Case { title: title.trim().to_owned(), ..Case::default() });
        } else if let Some(heading) = line.strip_prefix("-- ") {
            end(&mut cases, section.take()).map_err(at)?;
            section = Some((heading.trim().to_owned(), String::new()));
        } else if let Some((_, body)) = &mut section {
            body.push_str(line);
            body.push('\n');
        }
    }
    end(&mut cases, section).map_err(|problem| format!("{}: {problem}", path.display()))?;
    cases.retain(|case| !case.is_empty());
    match cases.iter().find(|case| !case.shows_something()) {
        Some(case) => Err(format!("{}: the case {:?} demands nothing", path.display(), case.title)),
        None if cases.is_empty() => Err(format!("{}: there is no case", path.display())),
        None => Ok(cases),
    }
}

/// Puts a section that is complete into the last case.
fn end(cases: &mut [Case], section: Option<(String, String)>) -> Result<(), String> {
    let (Some((heading, body)), Some(case)) = (section, cases.last_mut()) else { return Ok(()) };
    let (word, rest) = heading.split_once(' ').unwrap_or((&heading, ""));
    let words = || rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines = || body.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    match word {
        "file" => case.files.push((rest.to_owned(), body)),
        "env" => {
            for line in lines() {
                let (key, value) = line.split_once('=').ok_or_else(|| format!("not KEY=VALUE: {line:?}"))?;
                case.environment.push((key.to_owned(), value.to_owned()));
            }
        }
        "in" => case.within = rest.into(),
        "stdin" => case.stdin = Some(body),
        "args" => case.arguments = words(),
        "run" => case.run = Some(words()),
        "expect" => case.expected.push((rest.to_owned(), body)),
        "missing" => case.missing.push(rest.to_owned()),
        "stdout" => case.stdout = Some(body),
        "warning" => case.warnings.extend(lines()),
        "error" => case.errors.extend(lines()),
        "silent" => case.silent = true,
        "up" => case.up.extend(lines()),
        "proven" => {
            let (file, test) = rest.split_once(' ').ok_or("-- proven FILE TEST")?;
            case.proven.push((file.into(), test.trim().to_owned()));
        }
        other => return Err(format!("there is no section {other:?}")),
    }
    Ok(())
}

impl Case {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.stdin.is_none() && self.run.is_none() && !self.shows_something()
    }

    fn shows_something(&self) -> bool {
        !self.expected.is_empty()
            || !self.missing.is_empty()
            || self.stdout.is_some()
            || !self.warnings.is_empty()
            || !self.errors.is_empty()
            || self.silent
            || !self.up.is_empty()
            || !self.proven.is_empty()
    }

    /// Runs the program and compares; the error tells what differs.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (file, test) in &self.proven {
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
                .map_err(|error| format!("{}: {error}", file.display()))?;
            if !text.contains(&format!("fn {test}(")) {
                return Err(format!("{} has no test {test}", file.display()));
            }
        }
        if self.files.is_empty() && self.stdin.is_none() && self.run.is_none() {
            return Ok(());
        }
        let root = tempfile::tempdir().map_err(|error| error.to_string())?;
        let root = root.path().canonicalize().map_err(|error| error.to_string())?;
        let folder = root.join("p");
        let here = folder.to_str().ok_or("a temporary folder with a strange name")?;
        let full = |text: &str| text.replace("$DIR", here);
        for (name, text) in &self.files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(|error| error.to_string())?;
            std::fs::write(&path, full(text)).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let within = folder.join(&self.within);
        std::fs::create_dir_all(&within).map_err(|error| error.to_string())?;

        self.check_up(&root, &within)?;
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("stack"));
        command.current_dir(&within).env_clear().env("HOME", &root).env("PATH", "/usr/bin:/bin");
        command.envs(self.environment.iter().map(|(key, value)| (key, full(value))));
        command.args(self.arguments.iter().map(|argument| full(argument)));
        match &self.run {
            Some(words) => command.args(words.iter().map(|word| full(word))),
            None => command.args(["config", "--format", "json"]),
        };
        command.timeout(Duration::from_secs(60)).write_stdin(full(self.stdin.as_deref().unwrap_or_default()));
        let output = command.output().map_err(|error| format!("cannot run the program: {error}"))?;
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let shown = format!("{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", output.status);

        let told = unspaced(&readable(&stderr));
        let status = i32::from(!self.errors.is_empty());
        if output.status.code() != Some(status) || told.contains("panicked") {
            return Err(format!("the status should be {status}: {shown}"));
        }
        for fragment in self.errors.iter().chain(&self.warnings) {
            if !told.contains(&unspaced(&full(fragment))) {
                return Err(format!("standard error should hold {fragment:?}: {shown}"));
            }
        }
        if self.silent && !told.is_empty() {
            return Err(format!("standard error should be empty: {shown}"));
        }
        if let Some(expected) = &self.stdout
            && stdout != full(expected)
        {
            return Err(format!("standard output should be\n{}\n{shown}", full(expected)));
        }
        if self.run.is_none() && self.errors.is_empty() {
            let printed: Value = serde_json::from_str(&stdout).map_err(|error| format!("{error}: {shown}"))?;
            schema::validate("config", &printed)?;
            for (index, (name, text)) in self.files.iter().filter(|(name, _)| name.ends_with("ml")).enumerate() {
                if let Some(mut document) = schema::document(text) {
                    // In a later file nothing stands for what an earlier one has.
                    if index > 0 {
                        schema::strip_nulls(&mut document);
                    }
                    schema::validate("stack", &document).map_err(|problem| format!("{name}: {problem}"))?;
                }
            }
        }
        if self.expected.is_empty() && self.missing.is_empty() {
            return Ok(());
        }
        let model: Value = serde_yaml::from_str(&stdout).map_err(|error| format!("{error}: {shown}"))?;
        for (path, expected) in &self.expected {
            let expected: Value =
                serde_yaml::from_str(&full(expected)).map_err(|error| format!("-- expect {path}: {error}"))?;
            let found = at(&model, path);
            if found != Some(&expected) {
                return Err(format!(
                    "`{path}` should be\n{expected:#}\nand is\n{}\n{stderr}",
                    found.map_or("missing".to_owned(), |found| format!("{found:#}")),
                ));
            }
        }
        for path in &self.missing {
            if let Some(found) = at(&model, path) {
                return Err(format!("`{path}` should be missing and is {found:#}"));
            }
        }
        Ok(())
    }
}

impl Case {
    /// Compares with what a command that runs the project reports besides: here no engine must
    /// run, so the loader is asked for it.
    fn check_up(&self, root: &Path, folder: &Path) -> Result<(), String> {
        if self.up.is_empty() {
            return Ok(());
        }
        let environment = self.environment.iter().cloned().chain([("HOME".to_owned(), root.display().to_string())]);
        let mut options =
            LoadOptions { cwd: folder.to_owned(), environment: environment.collect(), ..LoadOptions::default() };
        for pair in self.arguments.chunks(2) {
            match pair {
                [flag, file] if flag == "-f" => options.files.push(file.into()),
                [flag, profile] if flag == "--profile" => options.profiles.push(profile.clone()),
                _ => return Err(format!("`-- up` knows -f and --profile, not {pair:?}")),
            }
        }
        let loaded = stack::compose::load(&options);
        let lines: Vec<String> = loaded.unsupported.iter().map(line).collect();
        let told = lines.join("\n");
        match self.up.iter().find(|fragment| !told.contains(*fragment)) {
            Some(fragment) => Err(format!("running it should report {fragment:?}:\n{told}\n{:?}", loaded.diagnostics)),
            None => Ok(()),
        }
    }
}

/// Returns a diagnostic as `FILE:LINE:COLUMN: severity: message; help`.
fn line(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.span.as_ref().map(|span| format!("{}: ", span.location())).unwrap_or_default();
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let help = diagnostic.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{place}{severity}: {}{help}", diagnostic.message)
}

/// Returns standard error with problems that are data as a person would read them.
fn readable(stderr: &str) -> String {
    let line = |line: &str| {
        let Ok(Value::Object(problem)) = serde_json::from_str(line) else { return line.to_owned() };
        let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let place = match problem.get("line") {
            Some(line) => format!("[{}:{line}:{}]", text("file"), problem["column"]),
            None => String::new(),
        };
        let notes = problem.get("notes").and_then(Value::as_array).into_iter().flatten();
        let notes: String = notes.filter_map(Value::as_str).map(|note| format!(" note: {note}")).collect();
        format!("{} {place} {} help: {}{notes}", text("message"), text("label"), text("help"))
    };
    stderr.lines().map(|text| line(text) + "\n").collect()
}

fn unspaced(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '│').collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns what is at a path: keys separated by dots (`\.` for a dot in a key), `[n]` for an item.
fn at<'a>(model: &'a Value, path: &str) -> Option<&'a Value> {
    let mut found = model;
    for step in path.replace("\\.", "\u{0}").replace('[', ".[").split('.').filter(|step| !step.is_empty()) {
        let step = step.replace('\u{0}', ".");
        found = match step.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(index) => found.get(index.parse::<usize>().ok()?)?,
            None => found.get(&step)?,
        };
    }
    Some(found)
}

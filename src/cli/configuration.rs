//! The configuration file: what holds for all projects of this machine, or of this user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::compose::model::Project;
use crate::diag::{Diagnostic, Source, Span, nearest};
use crate::spec::Ready;

/// The machine's file.
const SYSTEM: &str = "/etc/stack/config.toml";
/// All keys.
const KEYS: [&str; 1] = ["ready"];

/// What the files say; the user's file wins over the machine's, key by key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Configuration {
    /// Services that depend on others wait until these are ready, as with `x-stack: {ready: auto}`.
    ready: Option<bool>,
}

impl Configuration {
    /// Reads the files that there are.
    ///
    /// # Errors
    /// All mistakes in them, each with its place.
    pub(crate) fn read(environment: &BTreeMap<String, String>) -> Result<Self, Vec<Diagnostic>> {
        let (mut read, mut mistakes) = (Self::default(), Vec::new());
        for path in files(environment) {
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    mistakes.push(Diagnostic::error(format!("cannot read {}: {error}", path.display()), None));
                    continue;
                }
            };
            match parse(&path, &text) {
                Ok(Self { ready }) => read.ready = ready.or(read.ready),
                Err(found) => mistakes.extend(found),
            }
        }
        if mistakes.is_empty() { Ok(read) } else { Err(mistakes) }
    }

    /// Fills in what a project does not say itself.
    pub(crate) fn apply(self, project: &mut Project) {
        if self.ready == Some(true) {
            for service in project.services.values_mut() {
                service.x_stack.ready.get_or_insert(Ready::Auto);
            }
        }
    }
}

fn files(environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let folder = |key: &str| environment.get(key).filter(|folder| folder.starts_with('/')).map(PathBuf::from);
    let own = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    [Some(PathBuf::from(SYSTEM)), own.map(|folder| folder.join("stack/config.toml"))].into_iter().flatten().collect()
}

fn parse(path: &Path, text: &str) -> Result<Configuration, Vec<Diagnostic>> {
    let source = Arc::new(Source::new(path, text));
    let at =
        |range: std::ops::Range<usize>| Some(Span { source: Arc::clone(&source), start: range.start, end: range.end });
    let mistake = |error: &toml::de::Error| vec![Diagnostic::error(error.message(), error.span().and_then(at))];
    let table: toml::Table = toml::from_str(text).map_err(|error| mistake(&error))?;
    let unknown: Vec<Diagnostic> = table
        .keys()
        .filter(|key| !KEYS.contains(&key.as_str()))
        .map(|key| {
            // A key that is written plainly, which all of ours are.
            let place = text.find(key.as_str()).map(|start| start..start + key.len());
            let help = match nearest(key, KEYS) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("there are: {}", KEYS.join(", ")),
            };
            Diagnostic::error(format!("the configuration has no key `{key}`"), place.and_then(at)).help(help)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    toml::from_str(text).map_err(|error| mistake(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match parse(Path::new("config.toml"), text) {
            Ok(configuration) => format!("{:?}", configuration.ready),
            Err(mistakes) => {
                let line = |d: Diagnostic| {
                    let place = d.span.map(|span| span.location()).unwrap_or_default();
                    format!("{place} {} ({})", d.message, d.help.unwrap_or_default())
                };
                mistakes.into_iter().map(line).collect::<Vec<_>>().join("\n")
            }
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_a_file_may_say_and_what_is_told_of_mistakes() {
        check("", "None");
        check("# for all\nready = true\n", "Some(true)");
        check("ready = false\n", "Some(false)");
        check("\nraedy = true\n", "config.toml:2:1 the configuration has no key `raedy` (did you mean `ready`?)");
        check("[a]\nb = 1\n", "config.toml:1:2 the configuration has no key `a` (there are: ready)");
        check("ready = \"yes\"\n", "config.toml:1:9 invalid type: string \"yes\", expected a boolean ()");
    }

    #[test]
    fn the_files_are_the_machines_and_the_users() {
        let of = |pairs: &[(&str, &str)]| {
            let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            files(&environment).iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&[]), "/etc/stack/config.toml");
        assert_eq!(of(&[("HOME", "/h")]), "/etc/stack/config.toml /h/.config/stack/config.toml");
        assert_eq!(of(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), "/etc/stack/config.toml /x/stack/config.toml");
    }
}

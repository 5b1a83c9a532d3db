//! Files that are not on this machine (spec row `file-remote`): what a name means, and who brings them here.

use std::fmt;
use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::discover::NAMES;
use super::files::Kind;
use crate::diag::Diagnostic;

/// A file or folder in a git repository: `URL#REVISION:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Git {
    /// What git is to fetch from.
    pub url: String,
    /// Branch, tag or commit; `HEAD` where none is named.
    pub revision: String,
    /// Path in the repository, without `..`; empty for its root.
    pub path: String,
}

/// Brings files here. Loading itself reads nothing but files of this machine.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Returns the folder of this machine in which the repository's files of that revision are.
    ///
    /// # Errors
    ///
    /// What was in the way.
    fn git(&self, git: &Git) -> Result<PathBuf, String>;

    /// Returns the folder of this machine with the files of an artifact, named as images are: `host/name:tag`.
    ///
    /// # Errors
    ///
    /// What was in the way.
    fn artifact(&self, reference: &str) -> Result<PathBuf, String>;
}

/// Brings nothing here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offline;

const OFFLINE: &str = "nothing is fetched here, only commands fetch";

impl Fetch for Offline {
    fn git(&self, _: &Git) -> Result<PathBuf, String> {
        Err(OFFLINE.to_owned())
    }

    fn artifact(&self, _: &str) -> Result<PathBuf, String> {
        Err(OFFLINE.to_owned())
    }
}

/// What a name of a file means.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Git(Git),
    /// An artifact of a registry.
    Artifact(String),
    /// A page of the internet that is no repository.
    Page,
    /// A repository, named in a way that is refused; why.
    Refused(&'static str),
}

/// Returns the file of this machine that a name stands for where it is that of a file elsewhere: fetched, or the
/// refusal. `None` for names of files of this machine.
pub(crate) fn local(name: &str, options: &LoadOptions) -> Option<Result<PathBuf, Diagnostic>> {
    let refuse = |message: String, help: &str| Some(Err(Diagnostic::error(message, None).help(help)));
    let (fetched, path) = match place(name)? {
        Place::Git(git) => (options.remote.git(&git), git.path),
        Place::Artifact(reference) => (options.remote.artifact(&reference), String::new()),
        Place::Page => {
            return refuse(
                format!("{name} is neither a file nor a git repository"),
                "download it and name the file; the address of a repository ends in .git",
            );
        }
        Place::Refused(why) => return refuse(format!("cannot load {name}: {why}"), "write URL#REVISION:PATH"),
    };
    let file = match fetched {
        Ok(folder) if path.is_empty() => folder,
        Ok(folder) => folder.join(&path),
        Err(why) => return refuse(format!("cannot fetch {name}: {why}"), "or fetch it yourself and name the file"),
    };
    let kind = |path: &Path| options.disk.kind(path);
    if kind(&file) != Some(Kind::Folder) {
        return Some(Ok(file));
    }
    match NAMES.iter().map(|name| file.join(name)).find(|file| kind(file) == Some(Kind::File)) {
        Some(file) => Some(Ok(file)),
        None => refuse(
            format!("{name} has no Compose file"),
            &format!("looked for {}; another one is named after the revision: #main:PATH", NAMES.join(", ")),
        ),
    }
}

fn place(name: &str) -> Option<Place> {
    let (address, fragment) = name.split_once('#').unwrap_or((name, ""));
    let url = match address.split_once("://") {
        Some(("oci", _)) => return Some(Place::Artifact(name["oci://".len()..].to_owned())),
        Some(("http" | "https", rest)) if !has_repository(rest) => return Some(Place::Page),
        Some(("http" | "https" | "git" | "ssh", _)) => address.to_owned(),
        Some(_) => return None,
        None if address.starts_with("git@") => address.to_owned(),
        None if address.starts_with("github.com/") => format!("https://{address}"),
        None => return None,
    };
    let (revision, path) = fragment.split_once(':').unwrap_or((fragment, ""));
    // What git takes for an option, and what leaves the repository.
    if revision.starts_with('-') || revision.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some(Place::Refused("this is not the name of a revision"));
    }
    let path = path.trim_matches('/');
    if path.split('/').any(|part| part == "..") || path.contains('\0') {
        return Some(Place::Refused("the path leaves the repository"));
    }
    let revision = if revision.is_empty() { "HEAD" } else { revision };
    Some(Place::Git(Git { url, revision: revision.to_owned(), path: path.to_owned() }))
}

/// Tells whether an address without its scheme is that of a repository.
fn has_repository(address: &str) -> bool {
    address.starts_with("github.com/") || Path::new(address).extension().is_some_and(|extension| extension == "git")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<(&str, &str, &str)>) {
        let found = match place(name) {
            Some(Place::Git(git)) => Some((git.url, git.revision, git.path)),
            _ => None,
        };
        let expected = expected.map(|(url, revision, path)| (url.to_owned(), revision.to_owned(), path.to_owned()));
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn names_of_repositories() {
        check("https://h.x/a/b.git", Some(("https://h.x/a/b.git", "HEAD", "")));
        check("https://h.x/a/b.git#v1:sub/c.yml", Some(("https://h.x/a/b.git", "v1", "sub/c.yml")));
        check("https://github.com/a/b#:/sub/", Some(("https://github.com/a/b", "HEAD", "sub")));
        check("github.com/a/b", Some(("https://github.com/a/b", "HEAD", "")));
        check("git@h.x:a/b.git#main", Some(("git@h.x:a/b.git", "main", "")));
        check("ssh://git@h.x/a/b", Some(("ssh://git@h.x/a/b", "HEAD", "")));
        check("git://h.x/b", Some(("git://h.x/b", "HEAD", "")));
    }

    #[test]
    fn what_is_none() {
        for name in ["compose.yml", "a/git@b", "file:///etc/passwd", "ext::sh -c id", "-", "./github.com/x"] {
            assert_eq!(place(name), None, "{name}");
        }
        assert_eq!(place("oci://r.x/a:1"), Some(Place::Artifact("r.x/a:1".to_owned())));
        assert_eq!(place("https://h.x/compose.yml"), Some(Place::Page));
        for name in ["https://h.x/a.git#--upload-pack=x", "https://h.x/a.git#a b", "https://h.x/a.git#v:../x"] {
            assert!(matches!(place(name), Some(Place::Refused(_))), "{name}");
        }
    }
}

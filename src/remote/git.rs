//! Files of git repositories, checked out into the user's cache by git itself: it knows their credentials and proxies.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::compose::remote::Git;

/// Most bytes that git's answers may have.
const ANSWER: u64 = 1 << 20;

/// Repositories that were checked out: a folder for each commit.
#[derive(Debug)]
pub(super) struct Checkouts {
    folder: PathBuf,
    /// Ways to a repository that git may take, as `GIT_ALLOW_PROTOCOL` has them.
    protocols: &'static str,
    patience: Duration,
}

impl Checkouts {
    /// Returns the checkouts in a folder, which need not be there.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, protocols: "https:http:git:ssh", patience: Duration::from_secs(120) }
    }

    /// Runs git; returns what it printed, or its last words.
    fn git(&self, folder: Option<&Path>, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("git");
        if let Some(folder) = folder {
            command.arg("-C").arg(folder);
        }
        command
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(arguments)
            .env("GIT_ALLOW_PROTOCOL", self.protocols)
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A repository that this command is run in is not the one that is meant.
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(variable);
        }
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "git is not installed".to_owned(),
            _ => format!("cannot run git: {error}"),
        })?;
        let pid = child.id();
        let (told, ended) = mpsc::channel();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let reader = thread::spawn(move || {
            let mut words = String::new();
            let _ = err.map(|err| err.take(ANSWER).read_to_string(&mut words));
            words
        });
        thread::spawn(move || {
            let mut text = String::new();
            let _ = out.map(|out| out.take(ANSWER).read_to_string(&mut text));
            let _ = told.send((child.wait(), text));
        });
        let Ok((status, text)) = ended.recv_timeout(self.patience) else {
            // It is a child that nobody has waited for, so the number is still its own.
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            return Err(format!("git {} took more than {} s", arguments[0], self.patience.as_secs()));
        };
        if status.is_ok_and(|status| status.success()) {
            return Ok(text);
        }
        let words = reader.join().unwrap_or_default();
        let last = words.lines().rev().map(str::trim).find(|line| !line.is_empty());
        Err(last.map_or_else(|| "git found no such revision".to_owned(), |line| format!("git says: {line}")))
    }

    /// Returns the folder with the files of a revision.
    pub(super) fn fetch(&self, git: &Git) -> Result<PathBuf, String> {
        let commit = self.commit(git)?;
        super::kept(&self.folder, &commit, |made| {
            self.git(Some(made), &["init", "--quiet", "."])?;
            self.git(Some(made), &["fetch", "--quiet", "--depth=1", "--no-tags", "--", &git.url, &commit])?;
            self.git(Some(made), &["checkout", "--quiet", "--detach", "FETCH_HEAD"]).map(drop)
        })
    }

    fn commit(&self, git: &Git) -> Result<String, String> {
        if is_commit(&git.revision) {
            return Ok(git.revision.clone());
        }
        let peeled = format!("{}^{{}}", git.revision);
        let listed = self.git(None, &["ls-remote", "--exit-code", "--", &git.url, &git.revision, &peeled])?;
        named(&listed, &git.revision).ok_or_else(|| format!("there is no revision {}", git.revision))
    }
}

/// Tells whether a revision is a whole name of a commit.
fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the commit that a revision means among what `git ls-remote` printed, as git itself chooses: tags before
/// branches, and of a tag with a message what it is on.
fn named(listed: &str, revision: &str) -> Option<String> {
    let names = [
        format!("refs/tags/{revision}^{{}}"),
        format!("refs/tags/{revision}"),
        format!("refs/heads/{revision}"),
        format!("{revision}^{{}}"),
        revision.to_owned(),
    ];
    let lines: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    let found = names.iter().find_map(|name| lines.iter().find(|(_, own)| own == name))?;
    is_commit(found.0).then(|| found.0.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn revisions_are_chosen_as_git_does() {
        let id = |c: char| c.to_string().repeat(40);
        let (a, b, c) = (id('a'), id('b'), id('c'));
        let listed = format!("{a}\trefs/heads/v1\n{b}\trefs/tags/v1\n{c}\trefs/tags/v1^{{}}\n");
        assert_eq!(named(&listed, "v1"), Some(c));
        assert_eq!(named(&format!("{a}\trefs/heads/x/v1\n{b}\trefs/heads/v1\n"), "v1"), Some(b.clone()));
        assert_eq!(named(&format!("{b}\tHEAD\n"), "HEAD"), Some(b));
        assert_eq!(named("--upload-pack=x\tHEAD\n", "HEAD"), None);
    }

    #[test]
    fn a_revision_is_checked_out_once() {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("origin");
        let checkouts = Checkouts { protocols: "file", ..Checkouts::new(folder.path().join("cache")) };
        fs::create_dir(&origin).unwrap();
        let run = |arguments: &[&str]| checkouts.git(Some(&origin), arguments).unwrap();
        run(&["init", "--quiet", "--initial-branch=main", "."]);
        let commit = |text: &str| {
            fs::write(origin.join("compose.yml"), text).unwrap();
            run(&["add", "."]);
            let author = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
            run(&[&author[..], &["commit", "--quiet", "-m", "x"]].concat());
        };
        commit("one");
        run(&["tag", "v1"]);
        commit("two");
        let url = format!("file://{}", origin.display());
        let fetch = |revision: &str| {
            let git = Git { url: url.clone(), revision: revision.to_owned(), path: String::new() };
            checkouts.fetch(&git).map(|folder| (fs::read_to_string(folder.join("compose.yml")).unwrap(), folder))
        };
        assert_eq!(fetch("v1").unwrap().0, "one");
        let (text, first) = fetch("HEAD").unwrap();
        assert_eq!(text, "two");
        assert_eq!(fetch("main").unwrap().1, first);
        assert!(fetch("none").unwrap_err().contains("no such revision"));
        assert_eq!(fs::read_dir(folder.path().join("cache")).unwrap().count(), 2, "nothing half-made is left");
        // Protocols that run programs are not taken.
        let checkouts = Checkouts::new(folder.path().join("cache"));
        let git = Git { url, revision: "HEAD".to_owned(), path: String::new() };
        assert!(checkouts.fetch(&git).unwrap_err().contains("not allowed"));
    }
}

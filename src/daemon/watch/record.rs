//! What a new daemon must know to go on watching: whom for, and the files as they were last acted on.
//!
//! Below `STACK_ROOT/watch` a project has `NAME.json`, the record, and `NAME.files`, a line a path:
//! the whole tree when watching begins, and what changed since. So a file that changes while no
//! daemon runs is found by comparing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::api::Caller;
use crate::ids::{ProjectName, ServiceName};
use crate::paths::Paths;
use crate::store::{self, Durability};
use crate::watch::touched::Touched;
use crate::watch::tree::{Stamp, Tree};

/// Who is watched, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The project.
    pub project: ProjectName,
    /// Only these services; empty is all.
    pub services: Vec<ServiceName>,
    /// No client has to be there.
    pub detached: bool,
    /// How the project's own files are read anew.
    pub caller: Option<Caller>,
}

impl Record {
    /// Keeps it; only root may read it, since it has the caller's environment.
    pub(super) fn write(&self, paths: &Paths) -> io::Result<()> {
        let path = path(paths, &self.project, "json");
        store::write(&path, self, Durability::Fast).map_err(io::Error::other)
    }
}

/// Returns what an earlier daemon watched.
pub(super) fn read_all(paths: &Paths) -> Vec<Record> {
    let entries = fs::read_dir(folder(paths)).into_iter().flatten().flatten();
    let records = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    records
        .filter_map(|path| match store::read::<Record>(&path) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(%error, "what was watched is not known any more");
                None
            }
        })
        .collect()
}

/// Forgets that a project was watched.
pub(super) fn remove(paths: &Paths, project: &ProjectName) {
    for extension in ["json", "files", "files.new"] {
        match fs::remove_file(path(paths, project, extension)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!(%error, "a record stays"),
            _ => {}
        }
    }
}

/// The files as they were last acted on, on disk.
#[derive(Debug)]
pub(super) struct Journal {
    file: BufWriter<File>,
    /// Lines that it began with.
    began: usize,
    lines: usize,
}

#[derive(Serialize, Deserialize)]
struct Line {
    path: PathBuf,
    /// `None`: it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<Stamp>,
    /// It changed since watching began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    touched: bool,
}

impl Journal {
    /// Begins a journal with what is known now, in the place of an earlier one.
    pub(super) fn begin(paths: &Paths, project: &ProjectName, tree: &Tree, touched: &Touched) -> io::Result<Self> {
        let path = path(paths, project, "files");
        let aside = path.with_extension("files.new");
        fs::create_dir_all(folder(paths))?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        let mut journal = Self { file: BufWriter::new(file), began: 0, lines: 0 };
        for (path, stamp) in tree.iter() {
            journal.line(path, Some(*stamp), touched.contains(path))?;
        }
        // What is gone.
        for path in touched.iter_by_age().filter(|path| tree.get(path).is_none()) {
            journal.line(path, None, true)?;
        }
        journal.file.flush()?;
        fs::rename(aside, path)?;
        journal.began = journal.lines;
        Ok(journal)
    }

    /// Tells whether most of its lines are of no use any more: it is begun anew then.
    pub(super) fn is_long(&self) -> bool {
        /// So many cost nobody anything.
        const FEW: usize = 20_000;
        self.lines > FEW + 2 * self.began
    }

    /// Adds what was acted on.
    pub(super) fn add(&mut self, tree: &Tree, changed: &[PathBuf]) -> io::Result<()> {
        changed.iter().try_for_each(|path| self.line(path, tree.get(path).copied(), true))?;
        self.file.flush()
    }

    fn line(&mut self, path: &Path, stamp: Option<Stamp>, touched: bool) -> io::Result<()> {
        if path.to_str().is_none() {
            // JSON has no word for it: a change while no daemon runs is missed.
            return Ok(());
        }
        serde_json::to_writer(&mut self.file, &Line { path: path.to_owned(), stamp, touched })?;
        self.lines += 1;
        self.file.write_all(b"\n")
    }
}

/// Returns what an earlier daemon last acted on, and what changed since watching began; `None`
/// where there is nothing. A line that was not written to its end is skipped.
pub(super) fn read(paths: &Paths, project: &ProjectName) -> Option<(Tree, Touched)> {
    let file = File::open(path(paths, project, "files")).ok()?;
    let mut known = std::collections::BTreeMap::new();
    let mut touched = Touched::default();
    for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
        let Ok(line) = serde_json::from_slice::<Line>(&line) else { continue };
        if line.touched {
            touched.note(&line.path, line.stamp.is_some());
        }
        match line.stamp {
            Some(stamp) => drop(known.insert(line.path, stamp)),
            None => drop(known.remove(&line.path)),
        }
    }
    Some((known.into_iter().collect(), touched))
}

fn folder(paths: &Paths) -> PathBuf {
    paths.root.join("watch")
}

fn path(paths: &Paths, project: &ProjectName, extension: &str) -> PathBuf {
    folder(paths).join(format!("{}.{extension}", store::file_name(project.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::tree::Kind;

    #[test]
    fn what_was_acted_on_is_known_to_the_next_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths { root: folder.path().to_owned(), run: folder.path().to_owned() };
        let project = ProjectName::new("demo");
        assert!(read(&paths, &project).is_none());
        let stamp =
            |size| Stamp { kind: Kind::File, mode: 0o644, size, inode: 1, modified_ns: 2, changed_ns: 3, fresh: false };
        let path = |name: &str| PathBuf::from("/s").join(name);
        let mut tree: Tree = [(path("a"), stamp(1)), (path("b"), stamp(1))].into_iter().collect();
        let mut touched = Touched::default();
        touched.note(&path("gone"), false);
        let mut journal = Journal::begin(&paths, &project, &tree, &touched).unwrap();
        let changed = tree.update(Path::new("/s"), vec![(path("b"), stamp(2)), (path("c"), stamp(3))]);
        journal.add(&tree, &changed).unwrap();
        changed.iter().for_each(|path| touched.note(path, tree.get(path).is_some()));
        fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join("watch/demo.files"))
            .and_then(|mut file| file.write_all(b"\xff\xfe\n{\"path\":\"/s/x\",\"sta"))
            .unwrap();
        assert_eq!(read(&paths, &project), Some((tree.clone(), touched)));

        assert!(!journal.is_long());
        for _ in 0..10_000 {
            journal.add(&tree, &[path("a"), path("b"), path("c")]).unwrap();
        }
        assert!(journal.is_long());

        let record = Record { project: project.clone(), services: vec!["web".into()], detached: true, caller: None };
        record.write(&paths).unwrap();
        assert_eq!(read_all(&paths), [record]);
        // What a daemon left that was killed while it wrote.
        fs::write(folder.path().join("watch/demo.files.new"), "{").unwrap();
        remove(&paths, &project);
        assert_eq!(fs::read_dir(folder.path().join("watch")).unwrap().count(), 0);
        assert!(read_all(&paths).is_empty() && read(&paths, &project).is_none());
    }
}

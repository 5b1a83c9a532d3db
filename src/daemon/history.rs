//! What happened to the containers of each project, kept across daemons: one event a line,
//! appended as it happens.
//!
//! Below `STACK_ROOT/history` a project has `NAME.jsonl` and, once that was full, the file before,
//! `NAME.jsonl.1`; `NAME.up.json` tells what its last `up` took. A line is `{"version":1,"record":EVENT}`; one that is damaged is skipped.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::ids::ProjectName;
use crate::store;

/// Bytes after which a project's history goes on in a new file; the one before is kept.
const LIMIT: u64 = 1 << 20;
/// Longest line that is read: an event has a few labels and log lines.
const LONGEST: usize = 256 << 10;
/// Projects whose history is kept: the ones that something happened to last.
const PROJECTS: usize = 200;
/// Files that stay open: those of the projects that something happened to last.
const OPEN: usize = 16;

/// The histories of all projects; the owner of the state writes them.
pub(super) struct History {
    folder: PathBuf,
    limit: u64,
    open: HashMap<ProjectName, Open>,
    /// Events so far: what was used last has the highest number.
    count: u64,
}

struct Open {
    file: File,
    length: u64,
    used: u64,
}

#[derive(Serialize)]
struct LineOut<'a> {
    version: u32,
    record: &'a Event,
}

#[derive(Deserialize)]
struct LineIn {
    version: u32,
    record: Event,
}

impl History {
    /// Returns the histories below a root; those of projects long gone are removed.
    pub(super) fn open(root: &Path) -> Self {
        let folder = folder(root);
        forget_oldest(&folder, PROJECTS);
        Self { folder, limit: LIMIT, open: HashMap::new(), count: 0 }
    }

    /// Appends an event. One that cannot be kept is logged: nobody must fail on that account.
    pub(super) fn append(&mut self, project: &ProjectName, event: &Event) {
        if let Err(error) = self.try_append(project, event) {
            tracing::warn!(%project, %error, "an event could not be kept");
            self.open.remove(project);
        }
    }

    fn try_append(&mut self, project: &ProjectName, event: &Event) -> io::Result<()> {
        let path = path(&self.folder, project);
        if self.open.get(project).is_some_and(|open| open.length >= self.limit) {
            self.open.remove(project);
            fs::rename(&path, before(&path))?;
        }
        if self.open.len() >= OPEN && !self.open.contains_key(project) {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(project, _)| project.clone());
            oldest.and_then(|project| self.open.remove(&project));
        }
        self.count += 1;
        let open = match self.open.entry(project.clone()) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => place.insert(open(&path)?),
        };
        let mut line = serde_json::to_vec(&LineOut { version: store::VERSION, record: event })?;
        line.push(b'\n');
        // One write(2): a daemon that is killed leaves the whole line or none.
        open.file.write_all(&line)?;
        open.length += line.len() as u64;
        open.used = self.count;
        Ok(())
    }
}

/// Returns the kept events of a project, oldest first: those after `since_ns` and not after
/// `until_ns`.
pub(super) fn read(root: &Path, project: &ProjectName, since_ns: i64, until_ns: i64) -> Vec<Event> {
    let path = path(&folder(root), project);
    let mut events = Vec::new();
    for path in [before(&path), path] {
        let Ok(file) = File::open(path) else { continue };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) if line.len() > LONGEST => continue,
                Ok(_) => {}
            }
            if let Ok(LineIn { version: store::VERSION, record }) = serde_json::from_slice::<LineIn>(&line)
                && record.time_ns().is_some_and(|time| time > since_ns && time <= until_ns)
            {
                events.push(record);
            }
        }
    }
    events
}

fn folder(root: &Path) -> PathBuf {
    root.join("history")
}

/// Returns where is kept what the last `up` of a project took.
pub(super) fn timings_path(root: &Path, project: &ProjectName) -> PathBuf {
    beside(&path(&folder(root), project))
}

/// Returns the file of that beside a history.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("up.json")
}

fn path(folder: &Path, project: &ProjectName) -> PathBuf {
    folder.join(format!("{}.jsonl", store::file_name(project.as_str())))
}

/// Returns where the file before this one is kept.
fn before(path: &Path) -> PathBuf {
    path.with_extension("jsonl.1")
}

/// Opens a history for appending. A line that a power cut left unfinished is ended, so that it
/// alone is damaged.
fn open(path: &Path) -> io::Result<Open> {
    let create = || OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path);
    let mut file = match create() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            create()?
        }
        other => other?,
    };
    let mut length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
        length += 1;
    }
    Ok(Open { file, length, used: 0 })
}

/// Removes the histories that were written longest ago, but for so many.
fn forget_oldest(folder: &Path, keep: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "jsonl"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    if files.len() <= keep {
        return;
    }
    files.sort();
    for (_, path) in &files[..files.len() - keep] {
        for path in [before(path), beside(path), path.clone()] {
            // Tried again by the next daemon.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Action;
    use crate::ids::ContainerId;

    fn event(time_ns: i64) -> Event {
        Event::Container {
            time_ns,
            project: project(),
            service: "web".to_owned(),
            name: "demo-web-1".to_owned(),
            id: ContainerId::from_bytes([7; 32]),
            action: Action::Start,
            attributes: Default::default(),
        }
    }

    fn project() -> ProjectName {
        ProjectName::new("demo")
    }

    #[track_caller]
    fn check(root: &Path, (since, until): (i64, i64), expected: &[i64]) {
        let times: Vec<_> = read(root, &project(), since, until).iter().filter_map(Event::time_ns).collect();
        assert_eq!(times, expected);
    }

    #[test]
    fn what_happened_is_kept_across_daemons() {
        let root = tempfile::tempdir().unwrap();
        for times in [1..4, 4..6] {
            let mut history = History::open(root.path());
            times.for_each(|time| history.append(&project(), &event(time)));
        }
        check(root.path(), (0, i64::MAX), &[1, 2, 3, 4, 5]);
        check(root.path(), (2, 4), &[3, 4]);
        assert_eq!(read(root.path(), &ProjectName::new("other"), 0, i64::MAX), []);
    }

    #[test]
    fn it_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let mut history = History::open(root.path());
        history.limit = 1000;
        (1..=100).for_each(|time| history.append(&project(), &event(time)));
        let kept = read(root.path(), &project(), 0, i64::MAX);
        assert!(kept.len() >= 4 && kept.len() < 12, "{}", kept.len());
        assert_eq!(kept.last().and_then(Event::time_ns), Some(100));
        let sizes: u64 = fs::read_dir(folder(root.path())).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(sizes < 2 * 1300, "{sizes}");
    }

    #[test]
    fn few_files_stay_open_however_many_projects_there_were() {
        let root = tempfile::tempdir().unwrap();
        let mut history = History::open(root.path());
        let project = |n: usize| ProjectName::new(format!("p{n}"));
        for n in 0..3 * OPEN {
            history.append(&project(n), &event(1));
            history.append(&project(0), &event(2 + i64::try_from(n).unwrap()));
        }
        assert_eq!(history.open.len(), OPEN);
        assert!(history.open.contains_key(&project(0)), "it is used all the time");
        assert_eq!(read(root.path(), &project(0), 0, i64::MAX).len(), 3 * OPEN + 1);
        assert_eq!(read(root.path(), &project(3), 0, i64::MAX).len(), 1);
    }

    #[test]
    fn damaged_lines_are_skipped() {
        let root = tempfile::tempdir().unwrap();
        History::open(root.path()).append(&project(), &event(1));
        let path = path(&folder(root.path()), &project());
        let mut text = fs::read(&path).unwrap();
        let whole = text.clone();
        text.extend_from_slice(b"\xff\xfe not json\n{\"version\":9,\"record\":{}}\n");
        // The last line was cut in the middle of a write.
        text.extend_from_slice(&whole[..whole.len() / 2]);
        fs::write(&path, text).unwrap();
        History::open(root.path()).append(&project(), &event(2));
        check(root.path(), (0, i64::MAX), &[1, 2]);
    }

    #[test]
    fn the_oldest_histories_are_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let mut history = History::open(root.path());
        for n in 0..5 {
            let project = ProjectName::new(format!("p{n}"));
            history.append(&project, &event(1));
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + n);
            File::options().write(true).open(path(&folder(root.path()), &project)).unwrap().set_modified(time).unwrap();
        }
        forget_oldest(&folder(root.path()), 2);
        let left: Vec<_> =
            (0..5).filter(|n| !read(root.path(), &ProjectName::new(format!("p{n}")), 0, i64::MAX).is_empty()).collect();
        assert_eq!(left, [3, 4]);
    }
}

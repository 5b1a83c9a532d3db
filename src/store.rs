//! Records on disk: versioned JSON files, written aside and renamed, so that a reader sees the
//! old record or the new one and nothing between; and the trash, where big folders go at once
//! and are deleted later.
//!
//! A record is `{"version":1,"record":...}`. A damaged record is an error of its own and never
//! keeps the others from loading.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of the envelope that this program writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// Whether a record must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk when `write` returns: one fsync of the file and one of its folder, some
    /// milliseconds. For what a user would miss: which volume is whose, which images are here.
    Durable,
    /// In the page cache when `write` returns: survives a crash of the program, not a power
    /// cut, which also ends whatever the record describes. For containers and their states.
    Fast,
}

/// A record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file holds no record of the expected kind.
    #[error("the record {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A newer (or no) program wrote it.
    #[error("the record {} has version {found}, this program reads version {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: u32,
    },
    /// The value cannot be written as JSON.
    #[error("failed to write the record {} as JSON", path.display())]
    Encode {
        /// The file that was to be written.
        path: PathBuf,
        /// What is wrong with the value.
        source: serde_json::Error,
    },
}

impl StoreError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

#[derive(Serialize)]
struct EnvelopeOut<'a, T> {
    version: u32,
    record: &'a T,
}

#[derive(Deserialize)]
struct EnvelopeIn<T> {
    record: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Writes a record in the place of the one at `path`, or as a new one; makes missing folders.
///
/// A crash leaves the old record and at most a temporary file, which [`read_dir`] and
/// [`read_each`] clean away.
pub fn write<T: Serialize>(path: &Path, value: &T, durability: Durability) -> Result<(), StoreError> {
    let mut text = serde_json::to_vec(&EnvelopeOut { version: VERSION, record: value })
        .map_err(|source| StoreError::Encode { path: path.to_owned(), source })?;
    text.push(b'\n');
    // Renaming over a file makes ext4 write the new one to the disk at once: milliseconds that
    // need not be spent on what stands there already.
    if durability == Durability::Fast && fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    replace(path, &text, durability)
}

/// Returns the name as a file's name: itself where it is plain, else its digest, so that no name
/// that somebody chose (`../../etc/passwd`, 300 letters) leads out of a folder.
pub fn file_name(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if first && name.bytes().all(plain) && name.len() <= 200 {
        return name.to_owned();
    }
    // `=` is in no plain name.
    format!("={}", crate::ids::Digest::of(name.as_bytes()).hex())
}

/// Writes a file aside, in the same folder, and renames it to `path`.
pub fn replace(path: &Path, content: &[u8], durability: Durability) -> Result<(), StoreError> {
    let aside = temporary(path);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = match File::create_new(&aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
            File::create_new(&aside)
        }
        other => other,
    }
    .map_err(StoreError::io("create", &aside))?;
    let written = file
        .write_all(content)
        .and_then(|()| if durability == Durability::Durable { file.sync_all() } else { Ok(()) })
        .map_err(StoreError::io("write", &aside))
        .and_then(|()| fs::rename(&aside, path).map_err(StoreError::io("replace", path)));
    if written.is_err() {
        _ = fs::remove_file(&aside);
    }
    written?;
    if durability == Durability::Durable { sync_folder(folder) } else { Ok(()) }
}

/// Makes the names in a folder survive a power cut.
pub fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", folder))
}

/// Returns the record at `path`, `None` where there is no file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    // The version alone first: what another version means by `record` is not ours to judge.
    let VersionOnly { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version != VERSION {
        return Err(StoreError::Version { path: path.to_owned(), found: version });
    }
    let envelope: EnvelopeIn<T> = serde_json::from_slice(&text).map_err(damaged)?;
    Ok(Some(envelope.record))
}

/// Removes the record at `path`; one that is already gone is success.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Returns the records `NAME.json` of a folder with their names, sorted, and the errors of
/// those that cannot be read. A folder that does not exist holds none.
pub fn read_dir<T: DeserializeOwned>(dir: &Path) -> (Vec<(String, T)>, Vec<StoreError>) {
    collect(dir, |entry, name| {
        let name = name.strip_suffix(".json")?;
        Some((name.to_owned(), entry.path()))
    })
}

/// Returns the records `NAME/FILE` below a folder with their `NAME`s, sorted, and the errors of
/// those that cannot be read. Folders without the file are left out.
pub fn read_each<T: DeserializeOwned>(dir: &Path, file: &str) -> (Vec<(String, T)>, Vec<StoreError>) {
    collect(dir, |entry, name| {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            return None;
        }
        remove_leftovers(&entry.path());
        Some((name.to_owned(), entry.path().join(file)))
    })
}

fn collect<T: DeserializeOwned>(
    dir: &Path,
    record: impl Fn(&fs::DirEntry, &str) -> Option<(String, PathBuf)>,
) -> (Vec<(String, T)>, Vec<StoreError>) {
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    remove_leftovers(dir);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (records, errors),
        Err(error) => return (records, vec![StoreError::io("read", dir)(error)]),
    };
    for entry in entries {
        let entry = match entry.map_err(StoreError::io("read", dir)) {
            Ok(entry) => entry,
            Err(error) => {
                errors.push(error);
                break;
            }
        };
        let name = entry.file_name();
        let Some((name, path)) = name.to_str().filter(|n| !n.starts_with('.')).and_then(|n| record(&entry, n)) else {
            continue;
        };
        match read(&path) {
            Ok(Some(value)) => records.push((name, value)),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    records.sort_by(|a, b| a.0.cmp(&b.0));
    (records, errors)
}

/// Returns a name beside `path` that nobody else uses and that tells who made it.
pub fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{}.tmp", std::process::id(), unique()))
}

/// Removes temporary files and folders of processes that no longer run from a folder.
pub fn remove_leftovers(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| {
            let mut parts = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit('.');
            parts.next()?;
            parts.next()?.parse::<u32>().ok()
        });
        // A reused pid only keeps the file until the next look.
        if owner.is_none_or(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
            continue;
        }
        tracing::debug!(path = %entry.path().display(), "removing what a crash left behind");
        _ = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
    }
}

fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Where removed folders wait for their deletion, `ROOT/trash`.
///
/// Removing is a rename, so it takes no longer for a big tree than for a small one; a thread
/// of low priority deletes. What a crash leaves is deleted after the next [`Trash::empty`].
#[derive(Debug, Clone)]
pub struct Trash {
    dir: PathBuf,
    pending: Arc<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Trash {
    /// Returns the trash of the engine whose durable folder is `root`.
    pub fn new(root: &Path) -> Self {
        Self { dir: root.join("trash"), pending: Arc::default() }
    }

    /// Takes a file or folder away at once; it is deleted later. What is already gone is success.
    ///
    /// What lies on another file system than the trash is deleted in place, now.
    pub fn discard(&self, path: &Path) -> Result<(), StoreError> {
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let to = self.dir.join(format!("{}-{nanos}-{}", std::process::id(), unique()));
        let mut renamed = fs::rename(path, &to);
        if matches!(&renamed, Err(e) if e.kind() == io::ErrorKind::NotFound) && fs::symlink_metadata(path).is_ok() {
            fs::create_dir_all(&self.dir).map_err(StoreError::io("create", &self.dir))?;
            renamed = fs::rename(path, &to);
        }
        match renamed {
            Ok(()) => self.delete_later(to),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                delete(path).map_err(StoreError::io("remove", path))?;
            }
            Err(error) => return Err(StoreError::io("remove", path)(error)),
        }
        Ok(())
    }

    /// Deletes, later, whatever an earlier process left in the trash; for the daemon's start.
    pub fn empty(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            self.delete_later(entry.path());
        }
    }

    /// Waits until everything discarded so far is deleted; returns whether it was in time.
    pub fn wait_empty(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut count = self.pending.count.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while *count > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            count = match self.pending.changed.wait_timeout(count, left) {
                Ok((count, _)) => count,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    fn delete_later(&self, path: PathBuf) {
        *self.pending.count.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
        let job = Job { path, pending: self.pending.clone() };
        if let Err(mpsc::SendError(job)) = deleter().send(job) {
            job.run();
        }
    }
}

struct Job {
    path: PathBuf,
    pending: Arc<Pending>,
}

impl Job {
    fn run(self) {
        if let Err(error) = delete(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "failed to delete from the trash");
        }
        *self.pending.count.lock().unwrap_or_else(std::sync::PoisonError::into_inner) -= 1;
        self.pending.changed.notify_all();
    }
}

/// Returns the way to the one deleting thread of this process.
fn deleter() -> &'static mpsc::Sender<Job> {
    static DELETER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    DELETER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        let spawned = std::thread::Builder::new().name("trash".to_owned()).spawn(move || {
            // On Linux this sets the calling thread alone: deleting must not slow `down`.
            _ = rustix::process::setpriority_process(None, 19);
            jobs.into_iter().for_each(Job::run);
        });
        if let Err(error) = spawned {
            // The receiver is gone with the closure, so senders delete themselves.
            tracing::warn!(%error, "failed to start the deleting thread");
        }
        sender
    })
}

fn delete(path: &Path) -> io::Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        name: String,
    }

    fn record(name: &str) -> Record {
        Record { name: name.to_owned() }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/web.json");
        assert_eq!(read::<Record>(&path).unwrap(), None);
        for durability in [Durability::Fast, Durability::Durable] {
            write(&path, &record("web"), durability).unwrap();
            assert_eq!(read(&path).unwrap(), Some(record("web")));
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"version\":1,\"record\":{\"name\":\"web\"}}\n");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left aside");
        remove(&path).unwrap();
        remove(&path).unwrap();
    }

    #[test]
    fn damaged_records_do_not_stop_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        write(&at("b.json"), &record("b"), Durability::Fast).unwrap();
        write(&at("a.json"), &record("a"), Durability::Fast).unwrap();
        fs::write(at("empty.json"), "").unwrap();
        fs::write(at("half.json"), "{\"version\":1,\"rec").unwrap();
        fs::write(at("newer.json"), "{\"version\":2,\"record\":[]}").unwrap();
        fs::write(at("other.json"), "{\"version\":1,\"record\":[]}").unwrap();
        fs::write(at("notes.txt"), "not a record").unwrap();
        let (records, errors) = read_dir::<Record>(dir.path());
        assert_eq!(records, [("a".to_owned(), record("a")), ("b".to_owned(), record("b"))]);
        let mut texts: Vec<_> =
            errors.iter().map(|e| e.to_string().replace(&format!("{}/", dir.path().display()), "")).collect();
        texts.sort();
        assert_eq!(
            texts,
            [
                "the record empty.json is damaged",
                "the record half.json is damaged",
                "the record newer.json has version 2, this program reads version 1",
                "the record other.json is damaged",
            ]
        );
        assert!(read_dir::<Record>(&at("missing")).0.is_empty());
    }

    #[test]
    fn what_a_crash_left_is_cleaned_but_not_what_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let each = dir.path().join("web");
        write(&each.join("record.json"), &record("web"), Durability::Fast).unwrap();
        // No process has this pid: pid_max is at most 2^22.
        fs::write(each.join(".record.json.4194999.0.tmp"), "half").unwrap();
        let own = temporary(&each.join("record.json"));
        fs::write(&own, "half").unwrap();
        let (records, errors) = read_each::<Record>(dir.path(), "record.json");
        assert_eq!(records, [("web".to_owned(), record("web"))]);
        assert!(errors.is_empty());
        assert!(own.exists());
        assert_eq!(fs::read_dir(&each).unwrap().count(), 2);
    }

    #[test]
    fn names_of_files_stay_in_their_folder() {
        for plain in ["app_default", "9.x-y"] {
            assert_eq!(file_name(plain), plain);
        }
        for odd in ["", "..", ".hidden", "../../etc/passwd", "a/b", "=x", "ü", "a b", &"x".repeat(201)] {
            let name = file_name(odd);
            assert!(name.starts_with('=') && !name.contains('/') && name.len() == 65, "{odd:?}: {name}");
        }
    }

    #[test]
    fn trash_takes_trees_at_once_and_deletes_them() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("deep/er")).unwrap();
        fs::write(tree.join("deep/file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", tree.join("link")).unwrap();
        let trash = Trash::new(dir.path());
        trash.discard(&tree).unwrap();
        assert!(!tree.exists());
        trash.discard(&tree).unwrap();
        fs::create_dir_all(dir.path().join("trash/left-by-a-crash/x")).unwrap();
        trash.empty();
        assert!(trash.wait_empty(Duration::from_secs(10)));
        assert_eq!(fs::read_dir(dir.path().join("trash")).unwrap().count(), 0);
        assert!(Path::new("/etc/passwd").exists());
    }
}

//! Follows logs as they grow, woken by the kernel (inotify).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::{Entry, FILES, Position, numbered};

/// Follows any number of logs with one inotify instance (a user may have 128).
#[derive(Debug)]
pub struct Follower<K> {
    watcher: RecommendedWatcher,
    woken: Woken,
    logs: Vec<Log<K>>,
    /// Logs that may have something, by index.
    ready: Vec<usize>,
}

/// What inotify told and nobody has looked at yet: as little as there are folders, however long that lasts.
#[derive(Debug, Clone, Default)]
struct Woken(Arc<(Mutex<News>, Notify)>);

#[derive(Debug, Default)]
struct News {
    /// Folders in which something changed.
    folders: BTreeSet<PathBuf>,
    /// Anything may have changed.
    all: bool,
    failed: Option<notify::Error>,
}

impl Woken {
    fn tell(&self, event: notify::Result<Event>) {
        let mut news = self.lock();
        match event {
            Ok(event) if event.need_rescan() => news.all = true,
            // Reading a log opens it, which inotify tells as well: only changes count.
            Ok(event) if matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_)) => {
                let folders = event.paths.iter().filter_map(|path| path.parent());
                for folder in folders {
                    if !news.folders.contains(folder) {
                        news.folders.insert(folder.to_owned());
                    }
                }
            }
            Ok(_) => return,
            Err(error) => news.failed = Some(error),
        }
        drop(news);
        self.0.1.notify_one();
    }

    /// Returns what was told, once there is something. Cancel-safe.
    async fn next(&self) -> io::Result<News> {
        loop {
            let mut news = std::mem::take(&mut *self.lock());
            if let Some(error) = news.failed.take() {
                return Err(io::Error::other(error));
            }
            if news.all || !news.folders.is_empty() {
                return Ok(news);
            }
            self.0.1.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, News> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Log<K> {
    key: K,
    path: PathBuf,
    position: Position,
}

impl<K: Clone> Follower<K> {
    /// Returns a follower of no log yet.
    pub fn new() -> io::Result<Self> {
        let woken = Woken::default();
        let wake = woken.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| wake.tell(event));
        Ok(Self { watcher: watcher.map_err(io::Error::other)?, woken, logs: Vec::new(), ready: Vec::new() })
    }

    /// Follows one more log from a position on; the file need not exist yet.
    pub fn add(&mut self, key: K, path: PathBuf, position: Position) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        self.watcher.watch(folder, RecursiveMode::NonRecursive).map_err(io::Error::other)?;
        self.ready.push(self.logs.len());
        self.logs.push(Log { key, path, position });
        Ok(())
    }

    /// Waits for lines of any of the logs and returns them. Cancel-safe.
    pub async fn next(&mut self) -> io::Result<(K, Vec<Entry>)> {
        loop {
            while let Some(index) = self.ready.pop() {
                let log = &mut self.logs[index];
                let entries = log.read_new();
                if !entries.is_empty() {
                    return Ok((log.key.clone(), entries));
                }
            }
            let news = self.woken.next().await?;
            self.wake(&news);
        }
    }

    /// Returns the lines that are there now and were not returned yet, without waiting.
    pub fn rest(&mut self) -> impl Iterator<Item = (K, Vec<Entry>)> + '_ {
        self.logs.iter_mut().map(|log| (log.key.clone(), log.read_new()))
    }

    /// Marks the logs in whose folders something changed.
    fn wake(&mut self, news: &News) {
        for (index, log) in self.logs.iter().enumerate() {
            // After an overflow of the kernel's queue anything may have changed.
            let changed = news.all || log.path.parent().is_some_and(|folder| news.folders.contains(folder));
            if changed && !self.ready.contains(&index) {
                self.ready.push(index);
            }
        }
    }
}

impl<K> Log<K> {
    /// Reads on from the position: the rest of the file it is in, then the newer ones.
    fn read_new(&mut self) -> Vec<Entry> {
        let mut files = Vec::new(); // newest first
        for n in 0..FILES {
            let Ok(file) = File::open(numbered(&self.path, n)) else { continue };
            let Ok(inode) = file.metadata().map(|meta| meta.ino()) else { continue };
            files.push((inode, file));
            if inode == self.position.inode || self.position.inode == 0 {
                break;
            }
        }
        let mut entries = Vec::new();
        for (inode, mut file) in files.into_iter().rev() {
            if inode != self.position.inode {
                self.position = Position { inode, offset: 0 };
            }
            if file.seek(SeekFrom::Start(self.position.offset)).is_err() {
                continue;
            }
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) && line.ends_with(b"\n") {
                self.position.offset += line.len() as u64;
                entries.extend(Entry::parse(&line));
                line.clear();
            }
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Filter, Stream, Writer, read};
    use super::*;

    #[tokio::test]
    async fn lines_come_as_they_are_written_also_across_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web/a.json.log");
        let mut writer = Writer::new(path.clone());
        writer.write(Stream::Stdout, b"old\n", 1);
        let mut entries = read(&path, Filter::default());
        assert_eq!(entries.by_ref().count(), 1);
        let mut follower = Follower::new().unwrap();
        follower.add("a", path.clone(), entries.position()).unwrap();
        writer.write(Stream::Stdout, b"new\n", 2);
        std::fs::rename(&path, numbered(&path, 1)).unwrap();
        let mut writer = Writer::new(path.clone());
        writer.write(Stream::Stdout, b"newer\n", 3);
        let mut texts = Vec::new();
        while texts.len() < 2 {
            let next = tokio::time::timeout(Duration::from_secs(10), follower.next()).await;
            let (key, entries) = next.expect("lines within the deadline").unwrap();
            assert_eq!(key, "a");
            texts.extend(entries.into_iter().map(|entry| entry.text));
        }
        assert_eq!(texts, ["new\n", "newer\n"]);
    }

    #[tokio::test]
    async fn what_nobody_asks_for_takes_no_memory() {
        let woken = Woken::default();
        let written = |name: &str| Event::new(EventKind::Any).add_path(PathBuf::from("/logs/web").join(name));
        for n in 0..10_000 {
            let kind = EventKind::Modify(notify::event::ModifyKind::Any);
            woken.tell(Ok(written(&n.to_string()).set_kind(kind)));
        }
        assert_eq!(woken.next().await.unwrap().folders, BTreeSet::from([PathBuf::from("/logs/web")]));
        woken.tell(Ok(written("read")));
        assert!(woken.lock().folders.is_empty(), "only changes count");
        woken.tell(Err(notify::Error::generic("gone")));
        assert!(woken.next().await.is_err());
    }
}

//! Where the loader reads from: the disk, or memory in tests and where no file may be touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};

/// How long a named pipe is waited for that nobody has opened for writing.
const PATIENCE: Duration = Duration::from_secs(2);

/// The files that a project may be made from.
pub trait Files: fmt::Debug + Send + Sync {
    /// Returns what is in a file.
    ///
    /// # Errors
    ///
    /// Where there is no such file, where it cannot be read, and where it holds more than `limit` bytes.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;

    /// Returns what is at a path; `None` for nothing.
    fn kind(&self, path: &Path) -> Option<Kind>;

    /// Returns the one path of a file that may be reached by many: without links.
    fn identity(&self, path: &Path) -> PathBuf;
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A pipe, socket or device.
    Other,
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        // Looked at before it is opened: to open a tape drive or a watchdog does something.
        let before = fs::metadata(path)?;
        refuse_device(&before)?;
        // Without O_NONBLOCK a pipe that nobody writes to would be waited for without end.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        refuse_device(&metadata)?;
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if metadata.is_file() && size > limit {
            return Err(too_large(limit));
        }
        let mut bytes = Vec::new();
        if metadata.is_file() || metadata.is_dir() {
            bytes.reserve(size.min(limit) + 1);
            file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        } else {
            read_stream(&file, limit, &mut bytes)?;
        }
        if bytes.len() > limit { Err(too_large(limit)) } else { Ok(bytes) }
    }

    fn kind(&self, path: &Path) -> Option<Kind> {
        let metadata = fs::metadata(path).ok()?;
        Some(match () {
            () if metadata.is_file() => Kind::File,
            () if metadata.is_dir() => Kind::Folder,
            () => Kind::Other,
        })
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

/// The files of this machine, remembering which were asked for.
#[derive(Debug, Default)]
pub struct Recorded {
    seen: Mutex<BTreeSet<PathBuf>>,
}

impl Recorded {
    /// Returns the files that were read, and those that would have been had they been there.
    pub fn seen(&self) -> Vec<PathBuf> {
        self.paths().iter().cloned().collect()
    }

    fn paths(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for Recorded {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        self.paths().insert(path.to_owned());
        Disk.read(path, limit)
    }

    fn kind(&self, path: &Path) -> Option<Kind> {
        let kind = Disk.kind(path);
        if kind != Some(Kind::Folder) {
            self.paths().insert(path.to_owned());
        }
        kind
    }

    fn identity(&self, path: &Path) -> PathBuf {
        Disk.identity(path)
    }
}

/// Refuses devices but for `/dev/null` and terminals: reading others may never end, or do harm.
fn refuse_device(metadata: &fs::Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_block_device() || kind.is_char_device() && !harmless_device(metadata.rdev()) {
        return Err(io::Error::other("it is a device, not a file"));
    }
    if kind.is_socket() {
        return Err(io::Error::other("it is a socket, not a file"));
    }
    Ok(())
}

/// Returns true for `/dev/null` and for the numbers of terminals.
fn harmless_device(device: u64) -> bool {
    matches!((rustix::fs::major(device), rustix::fs::minor(device)), (1, 3) | (4 | 5 | 136..=143, _))
}

/// Reads a pipe or terminal to its end, or to one byte more than the limit.
fn read_stream(mut file: &File, limit: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let pipe = file.metadata()?.file_type().is_fifo();
    let mut began = None;
    let mut buffer = [0; 64 << 10];
    while bytes.len() <= limit {
        match file.read(&mut buffer) {
            // Also what a pipe says that no writer has opened yet; only one that had a writer hangs up.
            Ok(0) if bytes.is_empty() && pipe => {
                let events = poll(file, Some(Duration::from_millis(20)))?;
                if events == PollFlags::HUP {
                    return Ok(());
                }
                if events.is_empty() && began.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(io::Error::other("it is a pipe that nobody writes to"));
                }
            }
            Ok(0) => return Ok(()),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(file, None)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn poll(file: &File, wait: Option<Duration>) -> io::Result<PollFlags> {
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    let wait = wait.map(|wait| rustix::event::Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() });
    match rustix::event::poll(&mut fds, wait.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(fds[0].revents()),
        Err(error) => Err(error.into()),
    }
}

/// Files in memory: absolute paths without `.` and `..`, and no links.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// What is in each of them.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Files for Memory {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        match (self.files.get(path), self.kind(path)) {
            (Some(bytes), _) if bytes.len() > limit => Err(too_large(limit)),
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Some(_)) => Err(io::ErrorKind::IsADirectory.into()),
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn kind(&self, path: &Path) -> Option<Kind> {
        match self.files.contains_key(path) {
            true => Some(Kind::File),
            false => self.files.keys().any(|file| file.starts_with(path)).then_some(Kind::Folder),
        }
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

fn too_large(limit: usize) -> io::Error {
    match limit % (1 << 20) {
        0 => io::Error::other(format!("it is larger than {} MiB", limit >> 20)),
        _ => io::Error::other(format!("it is larger than {limit} bytes")),
    }
}

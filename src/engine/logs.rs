//! Container logs on disk: Docker's json-file lines, rotated.
//!
//! `NAME.json.log` is the newest file, `NAME.json.log.1` the one before it, and so on. Each
//! line is `{"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.6Z"}`; a piece of a
//! line longer than 16 KiB has no line feed at its end.

mod follow;
mod read;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use follow::Follower;
pub use read::{Entries, Filter, Position, read};
pub(crate) use write::Writer;

/// Files kept, the newest included.
const FILES: usize = 5;
/// Bytes after which a file is rotated.
const FILE_SIZE: u64 = 10 << 20;

/// Which standard stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Returns `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line of a container, or one piece of a very long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was written, nanoseconds since 1970.
    pub time_ns: i64,
    /// Where to.
    pub stream: Stream,
    /// The text with its line feed; a piece of a line has none.
    pub text: String,
}

/// A line as the file has it.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    log: std::borrow::Cow<'a, str>,
    stream: Stream,
    time: jiff::Timestamp,
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let time_ns = i64::try_from(line.time.as_nanosecond()).ok()?;
        Some(Self { time_ns, stream: line.stream, text: line.log.into_owned() })
    }
}

/// Returns the name of the n-th older file; 0 is the newest.
fn numbered(path: &Path, n: usize) -> PathBuf {
    if n == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

//! Reads a container's log, across its rotated files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Entry, FILES, numbered};

/// Which entries to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// So many last ones; `None` is all.
    pub tail: Option<u64>,
    /// Not before, nanoseconds since 1970.
    pub since_ns: Option<i64>,
    /// Not after, nanoseconds since 1970.
    pub until_ns: Option<i64>,
}

/// A place in a log that outlives rotation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Inode of the file; 0 before there is one.
    pub(super) inode: u64,
    /// Bytes read of it.
    pub(super) offset: u64,
}

/// Returns the entries of a log, oldest first. A log that does not exist has none; a line that
/// is damaged is left out.
pub fn read(path: &Path, filter: Filter) -> Entries {
    let mut files: VecDeque<(File, u64)> = VecDeque::new();
    let mut left = filter.tail;
    for n in 0..FILES {
        let Ok(file) = File::open(numbered(path, n)) else { continue };
        if n > 0 && filter.since_ns.is_some_and(|since| is_older(&file, since)) {
            break; // and so is what was written before it
        }
        let start = match &mut left {
            None => 0,
            Some(0) if n > 0 => break,
            Some(left) => {
                // A file that cannot be searched is read whole.
                let (start, lines) = last_lines(&file, *left).unwrap_or((0, 0));
                *left = left.saturating_sub(lines);
                start
            }
        };
        files.push_front((file, start));
    }
    Entries { files, current: None, filter, position: Position::default() }
}

/// Tells whether nothing was written to a file since then.
fn is_older(file: &File, since_ns: i64) -> bool {
    /// A file system's clock is behind by a tick, and a line's time is taken before it is written.
    const CLOCK_NS: i64 = 1_000_000_000;
    let written =
        |found: std::fs::Metadata| found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
    file.metadata().is_ok_and(|found| written(found) < since_ns.saturating_sub(CLOCK_NS))
}

/// Returns where the last `wanted` lines of a file begin, and how many there are at most.
fn last_lines(file: &File, wanted: u64) -> io::Result<(u64, u64)> {
    const BLOCK: u64 = 64 << 10;
    let mut file = file;
    let size = file.metadata()?.len();
    let (mut end, mut found) = (size, 0);
    if wanted == 0 {
        return Ok((size, 0));
    }
    let mut buffer = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        buffer.resize((end - start) as usize, 0);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut buffer)?;
        for (i, _) in buffer.iter().enumerate().rev().filter(|&(_, &byte)| byte == b'\n') {
            let after = start + i as u64 + 1;
            if after == size {
                continue; // ends the last line
            }
            found += 1;
            if found == wanted {
                return Ok((after, found));
            }
        }
        end = start;
    }
    Ok((0, if size == 0 { 0 } else { found + 1 }))
}

/// Entries of a log, oldest first.
#[derive(Debug)]
pub struct Entries {
    files: VecDeque<(File, u64)>,
    current: Option<BufReader<File>>,
    filter: Filter,
    position: Position,
}

impl Entries {
    /// Returns where reading stopped: a [`Follower`](super::Follower) goes on from there.
    pub fn position(&self) -> Position {
        self.position
    }

    fn next_line(&mut self) -> Option<Entry> {
        loop {
            if self.current.is_none() {
                let (mut file, start) = self.files.pop_front()?;
                let inode = file.metadata().ok()?.ino();
                file.seek(SeekFrom::Start(start)).ok()?;
                self.position = Position { inode, offset: start };
                self.current = Some(BufReader::new(file));
            }
            let reader = self.current.as_mut()?;
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(n) if n > 0 && line.ends_with(b"\n") => {
                    self.position.offset += n as u64;
                    if let Some(entry) = Entry::parse(&line) {
                        return Some(entry);
                    }
                }
                // The end, or a line that is still being written.
                _ => self.current = None,
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let entry = self.next_line()?;
            if self.filter.until_ns.is_some_and(|until| entry.time_ns > until) {
                continue;
            }
            if self.filter.since_ns.is_none_or(|since| entry.time_ns >= since) {
                return Some(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Stream, Writer};
    use super::*;

    #[test]
    fn tail_since_and_until() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json.log");
        let mut writer = Writer::new(path.clone());
        for n in 0..10 {
            writer.write(Stream::Stdout, format!("{n}\n").as_bytes(), n);
        }
        std::fs::rename(&path, numbered(&path, 1)).unwrap();
        let mut writer = Writer::new(path.clone());
        for n in 10..15 {
            writer.write(Stream::Stderr, format!("{n}\n").as_bytes(), n);
        }
        let check = |filter: Filter, expected: &str| {
            let texts: Vec<String> = read(&path, filter).map(|e| e.text.trim().to_owned()).collect();
            assert_eq!(texts.join(" "), expected, "{filter:?}");
        };
        let all = Filter::default();
        check(all, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14");
        check(Filter { tail: Some(3), ..all }, "12 13 14");
        check(Filter { tail: Some(7), ..all }, "8 9 10 11 12 13 14");
        check(Filter { tail: Some(0), ..all }, "");
        check(Filter { tail: Some(99), ..all }, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14");
        check(Filter { since_ns: Some(3), until_ns: Some(11), ..all }, "3 4 5 6 7 8 9 10 11");
        assert_eq!(read(&folder.path().join("none"), all).count(), 0);
        // Files from before are not read at all.
        let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(10);
        File::options().write(true).open(numbered(&path, 1)).unwrap().set_modified(past).unwrap();
        assert_eq!(read(&path, Filter { since_ns: Some(12_000_000_000), ..all }).files.len(), 1);
        assert_eq!(read(&path, Filter { since_ns: Some(10_500_000_000), ..all }).files.len(), 2);
    }
}

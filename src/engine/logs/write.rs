//! Writes a container's log.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use super::{FILE_SIZE, FILES, Line, Stream, numbered};

/// Longest text of one entry, as Docker has it.
const MAX_TEXT: usize = 16 << 10;

/// The writing end of a log; one for each container.
///
/// A log that cannot be written (disk full) loses lines; the container goes on.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    limit: u64,
    /// What came since the last line feed, of each stream.
    partial: [Vec<u8>; 2],
}

impl Writer {
    /// Returns a writer that goes on with the file; the file is made with the first line.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, file: None, size: 0, limit: FILE_SIZE, partial: Default::default() }
    }

    /// Takes bytes as they came and writes the lines that are complete.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8], time_ns: i64) {
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        let mut lines = Vec::with_capacity(bytes.len() + 128);
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let mut piece = piece;
            while partial.len() + piece.len() > MAX_TEXT {
                let (head, tail) = piece.split_at(boundary(piece, MAX_TEXT - partial.len().min(MAX_TEXT)));
                partial.extend_from_slice(head);
                render(&mut lines, stream, &partial, time_ns);
                partial.clear();
                piece = tail;
            }
            if partial.is_empty() && piece.ends_with(b"\n") {
                render(&mut lines, stream, piece, time_ns);
            } else {
                partial.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    render(&mut lines, stream, &partial, time_ns);
                    partial.clear();
                }
            }
        }
        if partial.is_empty() {
            partial = Vec::new();
        }
        self.partial[stream as usize] = partial;
        self.append(&lines);
    }

    /// Writes what has no line feed yet: the process has ended.
    pub(crate) fn finish(&mut self, time_ns: i64) {
        let mut lines = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                render(&mut lines, stream, &partial, time_ns);
            }
        }
        self.append(&lines);
    }

    fn append(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if self.file.is_some() && self.size >= self.limit {
            self.rotate();
        }
        if self.file.is_none() {
            self.open();
        }
        let Some(file) = &mut self.file else { return };
        if file.write_all(lines).is_ok() {
            self.size += lines.len() as u64;
        } else if file.metadata().is_ok_and(|meta| meta.len() > self.size) {
            // Half a line would spoil the next one. Nothing can be done where this fails too.
            let _ = file.set_len(self.size);
        }
    }

    fn open(&mut self) {
        let options = || File::options().create(true).append(true).open(&self.path);
        let opened = options().or_else(|err| match self.path.parent() {
            Some(folder) if err.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(folder)?;
                options()
            }
            _ => Err(err),
        });
        if let Ok(file) = opened {
            self.size = file.metadata().map_or(0, |meta| meta.len());
            self.file = Some(file);
        }
    }

    fn rotate(&mut self) {
        for n in (0..FILES - 1).rev() {
            // One that does not exist yet is not renamed.
            let _ = fs::rename(numbered(&self.path, n), numbered(&self.path, n + 1));
        }
        self.file = None;
    }
}

/// Returns the largest cut of at most `limit` bytes that does not fall into a UTF-8 character.
fn boundary(bytes: &[u8], limit: usize) -> usize {
    let continuation = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut cut = limit;
    while cut > 0 && limit - cut < 4 && continuation(cut) {
        cut -= 1;
    }
    if continuation(cut) || cut == 0 { limit } else { cut }
}

fn render(lines: &mut Vec<u8>, stream: Stream, text: &[u8], time_ns: i64) {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time_ns)).unwrap_or_default();
    let line = Line { log: String::from_utf8_lossy(text), stream, time };
    let before = lines.len();
    match serde_json::to_writer(&mut *lines, &line) {
        Ok(()) => lines.push(b'\n'),
        Err(_) => lines.truncate(before), // cannot happen: text and a time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, Writer) {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::new(folder.path().join("web/web.json.log"));
        (folder, writer)
    }

    #[test]
    fn lines_as_docker_writes_them() {
        let (_folder, mut writer) = log();
        writer.write(Stream::Stdout, b"one\ntw", 1_700_000_000_120_000_000);
        writer.write(Stream::Stderr, b"\"bad\" \xff\n", 1_700_000_001_000_000_000);
        writer.write(Stream::Stdout, b"o\nend", 1_700_000_002_000_000_000);
        writer.finish(1_700_000_003_000_000_000);
        insta::assert_snapshot!(fs::read_to_string(&writer.path).unwrap(), @r#"
        {"log":"one\n","stream":"stdout","time":"2023-11-14T22:13:20.12Z"}
        {"log":"\"bad\" �\n","stream":"stderr","time":"2023-11-14T22:13:21Z"}
        {"log":"two\n","stream":"stdout","time":"2023-11-14T22:13:22Z"}
        {"log":"end","stream":"stdout","time":"2023-11-14T22:13:23Z"}
        "#);
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let (_folder, mut writer) = log();
        let long = "é".repeat(MAX_TEXT); // twice as many bytes
        for piece in long.as_bytes().chunks(1000) {
            writer.write(Stream::Stdout, piece, 0);
        }
        writer.write(Stream::Stdout, b"\n", 0);
        let texts: Vec<String> =
            super::super::read(&writer.path, super::super::Filter::default()).map(|e| e.text).collect();
        assert_eq!(texts.concat(), long + "\n");
        assert!(texts.len() >= 2 && texts.iter().all(|text| text.len() <= MAX_TEXT));
    }

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let (_folder, mut writer) = log();
        writer.limit = 100;
        for n in 0..20 {
            writer.write(Stream::Stdout, format!("line {n}\n").as_bytes(), n);
        }
        let sizes: Vec<bool> = (0..=FILES).map(|n| numbered(&writer.path, n).exists()).collect();
        assert_eq!(sizes, [true, true, true, true, true, false]);
        let texts: Vec<String> =
            super::super::read(&writer.path, super::super::Filter::default()).map(|e| e.text).collect();
        assert_eq!(texts.last().unwrap(), "line 19\n");
        assert!(texts.len() >= 9, "{texts:?}");
    }
}

//! The daemon's own log: it never grows without bound, also in the daemon that runs for months.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// Bytes after which the log goes on in a new file; the one before is kept as `daemon.log.1`.
const LIMIT: u64 = 10 << 20;

/// The open log.
pub(super) struct LogFile {
    path: PathBuf,
    limit: u64,
    written: u64,
    /// `None` on a terminal, or where no file can be made: then it is standard error.
    file: Option<File>,
    /// Panics and what else is written to standard error go there too.
    takes_stderr: bool,
}

impl LogFile {
    /// Opens the log and has standard error lead into it, whoever started this process; a
    /// terminal is left as it is.
    pub(super) fn open(path: PathBuf) -> Self {
        let takes_stderr = !io::stderr().is_terminal();
        let mut log = Self { path, limit: LIMIT, written: 0, file: None, takes_stderr };
        if takes_stderr {
            log.reopen();
        }
        log
    }

    fn reopen(&mut self) {
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
        self.written = opened.as_ref().ok().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
        self.file = opened.ok();
        if let (Some(file), true) = (&self.file, self.takes_stderr) {
            let _ = rustix::stdio::dup2_stderr(file);
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_some() && self.written >= self.limit {
            let _ = std::fs::rename(&self.path, self.path.with_extension("log.1"));
            self.reopen();
        }
        let count = match &mut self.file {
            Some(file) => file.write(bytes)?,
            None => io::stderr().write(bytes)?,
        };
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_goes_on_in_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.log");
        let mut log = LogFile { path: path.clone(), limit: 20, written: 0, file: None, takes_stderr: false };
        log.reopen();
        for n in 0..9 {
            log.write_all(format!("line {n}...\n").as_bytes()).unwrap();
        }
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(path.clone()), "line 8...\n");
        assert_eq!(read(path.with_extension("log.1")), "line 6...\nline 7...\n");
    }
}

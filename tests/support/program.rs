//! Running the program with a bound on its time.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What a command left behind.
#[must_use = "look at the status: `.ok()` or `.fails(code)`"]
#[derive(Debug)]
pub(crate) struct Output {
    /// The command line, for messages.
    pub(crate) line: String,
    /// Exit status; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// How long it ran.
    pub(crate) took: Duration,
}

impl Output {
    /// Returns the standard output of a command that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "should succeed: {self}");
        self.stdout
    }

    /// Returns the standard error of a command that ended with this status.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "should end with {code}: {self}");
        assert!(!self.stderr.contains("panicked"), "a panic is no error message: {self}");
        self.stderr
    }

    /// Returns standard error of a command that failed and named all of these.
    #[track_caller]
    pub(crate) fn fails_naming(self, words: &[&str]) -> String {
        let stderr = self.fails(1);
        // Diagnostics are wrapped to the width of the screen: compare without line breaks.
        let flat = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(flat.contains(word), "should name {word:?}:\n{stderr}");
        }
        stderr
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, code, stdout, stderr, took } = self;
        write!(f, "`{line}` ended with {code:?} after {took:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Runs a command to its end, without standard input; kills it and panics when it takes longer.
#[track_caller]
pub(crate) fn run(command: &mut Command, limit: Duration) -> Output {
    command.stdin(Stdio::null());
    run_as_is(command, limit)
}

/// As [`run`], with the standard input that the command has.
#[track_caller]
pub(crate) fn run_as_is(command: &mut Command, limit: Duration) -> Output {
    let line = show(command);
    let began = Instant::now();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|err| panic!("cannot run `{line}`: {err}"));
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status = wait(&mut child, limit);
    // A process that outlives the command (the daemon) must not hold its output open.
    let collect = |texts: Receiver<String>| texts.recv_timeout(Duration::from_secs(5));
    let (stdout, stderr) = (collect(stdout), collect(stderr));
    let Some(status) = status else {
        panic!("`{line}` did not end within {limit:?}\n--- stdout\n{stdout:?}\n--- stderr\n{stderr:?}");
    };
    let (Ok(stdout), Ok(stderr)) = (stdout, stderr) else {
        panic!("`{line}` ended ({status}), but something it started holds its output open");
    };
    Output { line, code: status.code(), stdout, stderr, took: began.elapsed() }
}

/// A command that runs beside the test; killed when dropped.
pub(crate) struct Running {
    line: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts a command and reads its standard output and error, line by line.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let line = show(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|err| panic!("cannot run `{line}`: {err}"));
        let (sender, lines) = channel();
        for stream in [
            child.stdout.take().map(|s| Box::new(s) as Box<dyn Read + Send>),
            child.stderr.take().map(|s| Box::new(s) as Box<dyn Read + Send>),
        ] {
            let (sender, stream) = (sender.clone(), stream.expect("piped"));
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self { line, child, lines, seen: Vec::new() }
    }

    /// Process id.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().expect("pids fit")
    }

    /// Returns the next line that contains the text.
    #[track_caller]
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        let deadline = Instant::now() + super::SOON;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(reason) => {
                    let why = if reason == RecvTimeoutError::Timeout { "did not come" } else { "can no longer come" };
                    panic!("`{}`: {text:?} {why}; so far:\n{}", self.line, self.seen.join("\n"));
                }
            }
        }
    }

    /// Waits for its end and returns the status and all lines that were not asked for.
    #[track_caller]
    pub(crate) fn end(mut self, limit: Duration) -> (Option<i32>, Vec<String>) {
        let status = wait(&mut self.child, limit);
        let rest: Vec<String> = self.lines.iter().collect();
        let Some(status) = status else {
            panic!(
                "`{}` did not end within {limit:?}; so far:\n{}\n{}",
                self.line,
                self.seen.join("\n"),
                rest.join("\n")
            );
        };
        (status.code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn drain(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    let mut stream = stream.expect("piped");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// Returns the status, or `None` after killing a child that took too long.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

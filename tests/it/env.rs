//! A world of its own for each test: empty environment, own folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Folders of one test; removed with it.
pub(crate) struct TestEnv {
    dir: TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
#[must_use]
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["work", "home"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        Self { dir }
    }

    /// Returns the folder the program runs in.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Returns the engine's runtime folder; it is not there at first.
    pub(crate) fn run_folder(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Returns the engine's durable folder; it is not there at first.
    pub(crate) fn root_folder(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.work().join(name), text).unwrap();
    }

    /// Returns the program with these arguments, ready to run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .current_dir(self.work())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path().join("home"))
            .env("STACK_ROOT", self.root_folder())
            .env("STACK_RUN", self.run_folder())
            .stdin(std::process::Stdio::null());
        command
    }

    /// Runs the program.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        finish(&mut self.command(args))
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Outcome {
    /// Checks that it succeeded, and returns what it wrote to standard output.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.stdout
    }

    /// Checks that it failed with this status and without data, and returns what it said.
    #[track_caller]
    pub(crate) fn failure(self, status: i32) -> String {
        self.failure_with("", status)
    }

    /// Checks that it failed with this status and data, and returns what it said.
    #[track_caller]
    pub(crate) fn failure_with(self, stdout: &str, status: i32) -> String {
        assert_eq!((self.status, self.stdout.as_str()), (status, stdout), "{self:?}");
        self.stderr
    }
}

fn program() -> &'static Path {
    assert_cmd::cargo::cargo_bin!("stack")
}

//! Why a container or a session did not start: the step that failed, as it crosses from the
//! half-made container to the user.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// A step of starting a container, or a program in it, that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartError {
    /// What was being done, `mount "/data"`.
    pub step: String,
    /// Why it failed: the kernel's words, or ours.
    pub why: String,
    /// The errno, 0 where the failure is not the kernel's.
    pub errno: i32,
    /// What to do about it; `None` when there is no advice.
    pub hint: Option<String>,
    /// What a shell would exit with: 127 program not found, 126 not executable, else 125.
    pub exit_code: i32,
}

impl StartError {
    /// Returns a failure that is not the kernel's.
    pub(crate) fn new(step: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { step: step.into(), why: why.to_string(), errno: 0, hint: None, exit_code: 125 }
    }

    /// Returns the failure of a system call.
    pub(crate) fn os(step: impl Into<String>, err: &io::Error) -> Self {
        Self { errno: err.raw_os_error().unwrap_or(0), ..Self::new(step, err) }
    }

    /// Returns the failure with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the failure with the exit status a shell would give it.
    pub(crate) fn exit_code(mut self, code: i32) -> Self {
        self.exit_code = code;
        self
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}: {}", self.step, self.why)
    }
}

impl std::error::Error for StartError {}

/// Names the step of a system call that failed.
pub(crate) trait Step<T> {
    /// Returns the value, or the failure of this step.
    fn step(self, step: impl FnOnce() -> String) -> Result<T, StartError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, StartError> {
        self.map_err(|err| StartError::os(step(), &err.into()))
    }
}

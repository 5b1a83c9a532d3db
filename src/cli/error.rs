//! What a failed command tells the user, and its exit status.
//!
//! `docker compose` exits with 1 for nearly every failure, with 130 after Ctrl-C, and passes the
//! status of `exec` (and of `up --exit-code-from`) through: scripts rely on it, so do we.

use std::fmt::Write as _;
use std::io;

use crate::api::client::ClientError;
use crate::diag::Diagnostic;
use crate::engine::exec::ExecError;
use crate::event::{Failure, FailureKind};

/// Whose turn it is to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was typed.
    User,
    /// What the Compose files say.
    Config,
    /// The kernel, a registry or the engine refused.
    Host,
    /// A mistake of ours.
    Internal,
}

impl Kind {
    /// Returns the exit status.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::User | Self::Config | Self::Host => 1,
            // EX_SOFTWARE of sysexits(3): no script mistakes it for an answer.
            Self::Internal => 70,
        }
    }
}

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) enum Error {
    /// Something to show.
    Failed {
        /// Whose turn it is.
        kind: Kind,
        /// What was being done and why it failed.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Problems of the Compose files, each with its place.
    Diagnostics(Vec<Diagnostic>),
    /// An operation of the engine failed in these places.
    Failures(Vec<Failure>),
    /// A program in a container did not start.
    NotStarted {
        /// What was being done and why it failed.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// What a shell would exit with.
        code: u8,
    },
    /// Nothing to show: the status of a command that ran elsewhere, or 130 after Ctrl-C.
    Status(u8),
}

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Returns an error in what was typed.
    pub(crate) fn user(message: impl Into<String>) -> Self {
        Self::Failed { kind: Kind::User, message: message.into(), hint: None }
    }

    /// Returns a refusal of the host.
    pub(crate) fn host(message: impl Into<String>) -> Self {
        Self::Failed { kind: Kind::Host, message: message.into(), hint: None }
    }

    /// Returns the error with advice.
    pub(crate) fn hint(self, advice: impl Into<String>) -> Self {
        match self {
            Self::Failed { kind, message, .. } => Self::Failed { kind, message, hint: Some(advice.into()) },
            other => other,
        }
    }

    /// Returns the exit status.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { kind, .. } => kind.exit_code(),
            Self::Diagnostics(_) => Kind::Config.exit_code(),
            Self::Failures(failures) => {
                let any = |kind| failures.iter().any(|failure| failure.kind == kind);
                match (any(FailureKind::TimeOut), any(FailureKind::Service)) {
                    (true, _) => TIMED_OUT,
                    (false, true) => SERVICE_FAILED,
                    (false, false) => Kind::Host.exit_code(),
                }
            }
            Self::NotStarted { code, .. } | Self::Status(code) => *code,
        }
    }
}

/// Exit status of `up --wait` when a service failed.
const SERVICE_FAILED: u8 = 3;

/// Exit status of `up --wait` when `--wait-timeout` was up.
const TIMED_OUT: u8 = 4;

/// An exit status after Ctrl-C (128 and the number of SIGINT).
pub(crate) const INTERRUPTED: u8 = 130;

impl From<io::Error> for Error {
    /// Errors of writing to standard output: a reader that left (`stack ps | head -1`) is none.
    fn from(err: io::Error) -> Self {
        if err.kind() == io::ErrorKind::BrokenPipe {
            return Self::Status(0);
        }
        Self::host(format!("cannot write the output: {err}"))
    }
}

impl From<serde_json::Error> for Error {
    fn from(err: serde_json::Error) -> Self {
        Self::Failed { kind: Kind::Internal, message: format!("cannot write JSON: {err}"), hint: None }
    }
}

impl From<ClientError> for Error {
    fn from(err: ClientError) -> Self {
        let kind = match &err {
            ClientError::Decode { .. } => Kind::Internal,
            ClientError::Api { status, .. } if *status < 500 => Kind::User,
            _ => Kind::Host,
        };
        let hint = err.hint();
        Self::Failed { kind, message: chain(&err), hint }
    }
}

impl From<ExecError> for Error {
    fn from(err: ExecError) -> Self {
        match err {
            ExecError::Start(failure) => Self::NotStarted {
                message: failure.to_string(),
                code: u8::try_from(failure.exit_code).unwrap_or(1),
                hint: failure.hint,
            },
            other => Self::host(chain(&other)),
        }
    }
}

/// Returns an error and its causes, joined by `: `.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

//! What the daemon, `exec` and `attach` say to a shim, and what it answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::failure::StartError;
use crate::spec::{Protocol, PublishedPort, Resources};

/// First message on a connection to a shim's socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Hello {
    /// A new daemon: it takes the place of the last one.
    Daemon,
    /// Run a program in the container, with its streams on this connection.
    Exec(ExecRequest),
    /// Connect to the streams of the container's own program.
    Attach(AttachRequest),
}

/// Daemon to shim, after [`Hello`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToShim {
    /// Answered by a [`FromShim::Reply`] of the same number.
    Request { id: u64, op: Operation },
    /// The daemon leaves in good order: the shim does not start another.
    Goodbye,
}

/// What a daemon can ask for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Operation {
    Start,
    Signal(i32),
    /// `lent` are the ports whose sockets come with the message, in this order.
    Publish {
        ports: Vec<PublishedPort>,
        upstream: Upstream,
        lent: Vec<PublishedPort>,
    },
    /// Give the sockets of the published ports to another shim; they come with the answer.
    Lend,
    /// Accept nothing more; answered when the last connection has ended, or after so long.
    Retire {
        within_ms: u64,
    },
    Probe(Probe),
    Limit(Resources),
    Status,
    Shutdown,
}

/// Where published ports lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The container's IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

/// A captured run of a program in the container (health checks).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `KEY=value`, beside the container's own.
    pub env: Vec<String>,
    /// `user[:group]`; the container's own when absent.
    pub user: Option<String>,
    /// Working directory; the container's own when absent.
    pub cwd: Option<String>,
    /// All capabilities.
    #[serde(default)]
    pub privileged: bool,
    /// Milliseconds after which it is killed with all that it started; 0 is never.
    pub timeout_ms: u64,
    /// Bytes of output that are kept.
    pub max_output: usize,
}

/// What a captured run gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutput {
    /// Exit status; 128 and the signal's number when a signal ended it.
    pub exit_code: i32,
    /// Standard output and error as they came; at most the bytes asked for.
    pub output: String,
    /// It did not end in time and was killed.
    pub timed_out: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromShim {
    /// First message to a daemon; the network namespace comes with it, where there is one.
    Hello {
        pid: u32,
        status: ShimStatus,
    },
    Reply {
        id: u64,
        reply: Reply,
    },
    Exited(ExitStatus),
    /// Something was mounted or unmounted in the container.
    MountsChanged,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Started(Started),
    StartFailed(StartError),
    Bound(Vec<Bound>),
    Lent(Vec<PublishedPort>),
    PublishFailed(PublishFailure),
    Output(ExecOutput),
    /// Limits that this host cannot enforce.
    Limited(Vec<String>),
    Status(ShimStatus),
    Refused(String),
}

/// A container that has just been started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its first process, as the host counts.
    pub pid: u32,
    /// When, nanoseconds since 1970.
    pub time_ns: i64,
    /// Limits that this host cannot enforce.
    pub warnings: Vec<String>,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Exit status; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// The kernel ended one of its processes for want of memory.
    pub oom_killed: bool,
    /// When, nanoseconds since 1970.
    pub finished_ns: i64,
    /// The signal that ended its first process; `None` when it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Processes that the kernel ended for want of memory.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub oom_kills: u64,
    /// The most memory it had in use, bytes, where the kernel says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak: Option<u64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a shim knows of its container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimStatus {
    /// Process id of the container's first process while it runs.
    pub pid: Option<u32>,
    /// When the current or last run began, nanoseconds since 1970; `None` before the first.
    pub started_ns: Option<i64>,
    /// How the last run ended; `None` while the first one goes on.
    pub exit: Option<ExitStatus>,
    /// Published ports.
    pub bound: Vec<Bound>,
}

/// A host socket that leads to the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Host address.
    pub host_ip: IpAddr,
    /// Host port, also where the kernel chose it.
    pub host_port: u16,
    /// Port in the container.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// A port that could not be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct PublishFailure {
    /// Host address and port, `0.0.0.0:8080/tcp`.
    pub address: String,
    /// Why.
    pub why: String,
    /// The errno; `EADDRINUSE` when another process has the port, 0 when not the kernel's.
    pub errno: i32,
}

/// A program to run in a container, with its streams at the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `KEY=value`, beside the container's own.
    pub env: Vec<String>,
    /// `user[:group]`; the container's own when absent.
    pub user: Option<String>,
    /// Working directory; the container's own when absent.
    pub cwd: Option<String>,
    /// It gets a terminal.
    pub tty: bool,
    /// Standard input is passed on.
    pub interactive: bool,
    /// It runs without streams, and the answer does not wait for its end.
    pub detach: bool,
    /// It gets every capability and no system-call filter.
    pub privileged: bool,
    /// Rows and columns of the caller's terminal; 0 when it has none.
    pub size: (u16, u16),
}

/// Streams of the container's own program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Standard input is passed on too.
    pub stdin: bool,
    /// Rows and columns of the caller's terminal; 0 when it has none.
    pub size: (u16, u16),
}

/// Caller to session; standard input comes in frames of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSession {
    Resize { rows: u16, columns: u16 },
    Signal(i32),
}

/// Session to caller; output comes in frames of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromSession {
    Started { tty: bool },
    Failed(StartError),
    Ended(i32),
}

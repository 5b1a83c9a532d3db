//! The caller's side of a program that runs in a container: its streams, over the socket of the
//! container's shim.
//!
//! A frame is a length (4 bytes, little endian), a kind, a zero (no descriptors come along) and
//! the payload. Control frames are JSON, the others bytes of a standard stream; an empty frame of
//! standard input is its end.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

const HEADER: usize = 6;
/// Most bytes of a payload; more is a broken peer.
const MAX_PAYLOAD: usize = 4 << 20;

const CONTROL: u8 = 0;
const STDIN: u8 = 1;
const STDOUT: u8 = 2;
const STDERR: u8 = 3;

/// A program to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
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
    /// It runs without streams, and nobody waits for its end.
    pub detach: bool,
    /// It gets every capability and no system-call filter.
    pub privileged: bool,
    /// Rows and columns of the caller's terminal; 0 when it has none.
    pub size: (u16, u16),
}

#[derive(Debug, Serialize)]
enum Hello<'a> {
    Exec(&'a Exec),
}

#[derive(Debug, Serialize)]
enum ToSession {
    Resize { rows: u16, columns: u16 },
    Signal(i32),
}

#[derive(Debug, Deserialize)]
enum FromSession {
    Started {
        #[expect(dead_code, reason = "part of the message")]
        tty: bool,
    },
    Failed(NotStarted),
    Ended(i32),
}

/// Why the program did not start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("failed to {step}: {why}")]
pub struct NotStarted {
    /// What was being done, `execute "bash"`.
    pub step: String,
    /// Why it failed.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What a shell would exit with: 127 program not found, 126 not executable, else 125.
    pub exit_code: i32,
}

/// What comes from the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It runs.
    Started,
    /// Standard output, or what its terminal shows.
    Stdout(Vec<u8>),
    /// Standard error.
    Stderr(Vec<u8>),
    /// It ended, with this status; 128 and the signal's number when a signal ended it.
    Ended(i32),
}

/// Why a session broke.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The program did not start.
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    /// The connection broke, or what came over it makes no sense.
    #[error("lost the connection to the container")]
    Lost(#[source] io::Error),
}

/// Starts a program by way of the shim at `socket`.
///
/// # Errors
///
/// Nobody listens there.
pub async fn exec(socket: &Path, exec: &Exec) -> Result<(Input, Output), SessionError> {
    let stream = UnixStream::connect(socket).await.map_err(SessionError::Lost)?;
    let (reader, writer) = stream.into_split();
    let mut input = Input { writer };
    input.control(&Hello::Exec(exec)).await?;
    Ok((input, Output { reader, buffer: Vec::new() }))
}

/// To the program.
#[derive(Debug)]
pub struct Input {
    writer: OwnedWriteHalf,
}

impl Input {
    /// Sends bytes to standard input; none is its end.
    pub async fn stdin(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        self.frame(STDIN, bytes).await
    }

    /// Tells the size of the caller's terminal.
    pub async fn resize(&mut self, rows: u16, columns: u16) -> Result<(), SessionError> {
        self.control(&ToSession::Resize { rows, columns }).await
    }

    /// Sends a signal to the program.
    pub async fn signal(&mut self, number: i32) -> Result<(), SessionError> {
        self.control(&ToSession::Signal(number)).await
    }

    async fn control(&mut self, message: &impl Serialize) -> Result<(), SessionError> {
        let payload = serde_json::to_vec(message).map_err(|err| SessionError::Lost(err.into()))?;
        self.frame(CONTROL, &payload).await
    }

    async fn frame(&mut self, kind: u8, payload: &[u8]) -> Result<(), SessionError> {
        let [a, b, c, d] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut frame = vec![a, b, c, d, kind, 0];
        frame.extend_from_slice(payload);
        self.writer.write_all(&frame).await.map_err(SessionError::Lost)
    }
}

/// From the program.
#[derive(Debug)]
pub struct Output {
    reader: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Output {
    /// Returns what comes next. Cancel-safe: what has arrived stays in the buffer.
    ///
    /// # Errors
    ///
    /// The program did not start, or the connection broke.
    pub async fn next(&mut self) -> Result<Said, SessionError> {
        loop {
            if let Some((kind, payload)) = self.take().map_err(SessionError::Lost)? {
                return said(kind, payload);
            }
            let count = self.reader.read_buf(&mut self.buffer).await.map_err(SessionError::Lost)?;
            if count == 0 {
                return Err(SessionError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Takes a whole frame out of the buffer.
    fn take(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let Some(&[a, b, c, d, kind, _]) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > MAX_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        let payload = self.buffer[HEADER..HEADER + length].to_vec();
        self.buffer.drain(..HEADER + length);
        Ok(Some((kind, payload)))
    }
}

fn said(kind: u8, payload: Vec<u8>) -> Result<Said, SessionError> {
    match kind {
        STDOUT => Ok(Said::Stdout(payload)),
        STDERR => Ok(Said::Stderr(payload)),
        CONTROL => match serde_json::from_slice(&payload).map_err(|err| SessionError::Lost(err.into()))? {
            FromSession::Started { .. } => Ok(Said::Started),
            FromSession::Failed(failure) => Err(failure.into()),
            FromSession::Ended(code) => Ok(Said::Ended(code)),
        },
        _ => Err(SessionError::Lost(io::Error::new(io::ErrorKind::InvalidData, "unknown kind of frame"))),
    }
}

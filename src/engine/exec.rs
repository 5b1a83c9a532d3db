//! The client's half of `exec` and `attach`: it talks to the shim itself, the daemon is not
//! in the way.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use rustix::termios::{OptionalActions, Termios};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::failure::StartError;
use super::protocol::{AttachRequest, ExecRequest, FromSession, Hello, ToSession};
use super::short_socket_path;
use super::wire::{self, Frame, Kind, Receiver, Sender};

/// Why a session did not take place, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// Nobody answers at the shim's socket.
    #[error("the container is not running")]
    NotRunning(#[source] io::Error),
    /// The program did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The connection broke: container and shim are gone.
    #[error("the connection to the container broke off")]
    Lost(#[source] io::Error),
    /// The caller's terminal could not be set up.
    #[error("failed to set up the terminal")]
    Terminal(#[source] io::Error),
}

/// Runs a program in the container with this process's standard streams, and returns its
/// exit status (0 at once for `detach`).
///
/// With `tty` the terminal is raw meanwhile, and its size follows. Standard input is read on
/// a thread that may outlive the session: end the process with `std::process::exit`.
pub async fn run(socket: &Path, mut request: ExecRequest) -> Result<i32, ExecError> {
    let (tty, input, detach) = (request.tty, request.interactive, request.detach);
    if tty {
        request.size = terminal_size();
    }
    let hello = Hello::Exec(request);
    session(socket, &hello, Some(tty), input, detach).await
}

/// Connects this process's standard streams to those of the container's own program, and
/// returns its exit status when it ends.
pub async fn attach(socket: &Path, mut request: AttachRequest) -> Result<i32, ExecError> {
    request.size = terminal_size();
    let input = request.stdin;
    session(socket, &Hello::Attach(request), None, input, false).await
}

async fn session(socket: &Path, hello: &Hello, tty: Option<bool>, input: bool, detach: bool) -> Result<i32, ExecError> {
    let (_folder, path) = short_socket_path(socket).map_err(ExecError::NotRunning)?;
    let stream = Arc::new(UnixStream::connect(&path).await.map_err(ExecError::NotRunning)?);
    wire::write(&stream, Frame::control(hello, Vec::new())).await.map_err(ExecError::NotRunning)?;
    let mut receiver = Receiver::new(Arc::clone(&stream));
    let first = next(&mut receiver).await.map_err(|err| match err {
        // It was about to end when it was called.
        ExecError::Lost(err) => ExecError::NotRunning(err),
        other => other,
    })?;
    let tty = match first.message().map_err(ExecError::Lost)? {
        FromSession::Started { tty: has } => tty.unwrap_or(has),
        FromSession::Failed(failure) => return Err(failure.into()),
        FromSession::Ended(code) => return Ok(code),
    };
    if detach {
        return Ok(0);
    }
    let (sender, task) = wire::sender(stream);
    let writer = tokio::spawn(task);
    let _raw = if tty && input { RawTerminal::enter().map_err(ExecError::Terminal)? } else { None };
    if input {
        tokio::spawn(send_input(sender.clone()));
    }
    if tty {
        tokio::spawn(follow_size(sender));
    }
    let code = output(&mut receiver).await;
    writer.abort();
    code
}

async fn next(receiver: &mut Receiver) -> Result<Frame, ExecError> {
    let frame = receiver.next().await.map_err(ExecError::Lost)?;
    frame.ok_or_else(|| ExecError::Lost(io::ErrorKind::UnexpectedEof.into()))
}

/// Writes what the program writes, until it ends.
async fn output(receiver: &mut Receiver) -> Result<i32, ExecError> {
    loop {
        let frame = next(receiver).await?;
        // A reader of ours that left (`| head`) is no failure; the program goes on.
        let _ = match frame.kind {
            Kind::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&frame.payload).and_then(|()| stdout.flush())
            }
            Kind::Stderr => io::stderr().lock().write_all(&frame.payload),
            Kind::Stdin => Ok(()),
            Kind::Control => match frame.message().map_err(ExecError::Lost)? {
                FromSession::Ended(code) => return Ok(code),
                FromSession::Failed(failure) => return Err(failure.into()),
                FromSession::Started { .. } => Ok(()),
            },
        };
    }
}

/// Passes standard input on. A thread reads it: it may be a file, for which there is no
/// readiness to wait for.
async fn send_input(sender: Sender) {
    let (chunks, mut read) = mpsc::channel::<Vec<u8>>(4);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        loop {
            // An error ends the input as its end does.
            let n = io::stdin().read(&mut buffer).unwrap_or(0);
            if chunks.blocking_send(buffer[..n].to_vec()).is_err() || n == 0 {
                return;
            }
        }
    });
    while let Some(chunk) = read.recv().await {
        if sender.send(Frame::data(Kind::Stdin, &chunk)).await.is_err() {
            return;
        }
    }
}

async fn follow_size(sender: Sender) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    loop {
        let (rows, columns) = terminal_size();
        if rows != 0 && sender.control(&ToSession::Resize { rows, columns }).await.is_err() {
            return;
        }
        if changes.recv().await.is_none() {
            return;
        }
    }
}

fn terminal_size() -> (u16, u16) {
    rustix::termios::tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_row, size.ws_col))
}

/// The terminal in raw mode; as it was, when dropped.
struct RawTerminal(Termios);

impl RawTerminal {
    /// Returns `None` when standard input is no terminal.
    fn enter() -> io::Result<Option<Self>> {
        if !rustix::termios::isatty(io::stdin()) {
            return Ok(None);
        }
        let before = rustix::termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no settings.
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

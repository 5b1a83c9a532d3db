//! The client's side of the socket.
//!
//! One runtime thread, HTTP/1.1 over a unix socket. The engine is started on first need: the
//! child's standard output is a pipe on which it writes `ready` once its socket accepts, so
//! nothing is polled.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::marker::PhantomData;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{ApiError, VERSION, Version};
use crate::paths::Paths;

/// How long the engine may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How often a question is put again when the engine goes before it has answered.
const ASK_AGAIN: usize = 3;

/// A connection to the engine.
#[derive(Debug)]
pub struct Client {
    paths: Paths,
    /// How an engine is started that answers what the last one did not.
    starter: Starter,
    /// A connection whose last answer was read to its end, for the next request.
    idle: RefCell<Option<SendRequest<Full<Bytes>>>>,
    version: Version,
}

/// How the engine is started when it does not run.
#[derive(Debug, Clone)]
pub struct Starter {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

impl Starter {
    /// Returns this program in its role as engine.
    pub fn this_program() -> Self {
        // A replaced binary has no path any more, but can still be executed.
        let program =
            std::env::current_exe().ok().filter(|p| p.exists()).unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        Self { program, args: vec!["__daemon".to_owned()], limit: START_LIMIT }
    }
}

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither the socket nor the folders are ours.
    #[error("stack needs root rights to make namespaces, mounts and network links")]
    NotRoot,
    /// The socket exists and cannot be talked to.
    #[error("cannot connect to the engine at {}", socket.display())]
    Connect {
        /// Where it should listen.
        socket: PathBuf,
        /// Why not.
        #[source]
        err: io::Error,
    },
    /// A folder or the log of the engine could not be made.
    #[error("cannot prepare {} for the engine", path.display())]
    Prepare {
        /// What could not be made.
        path: PathBuf,
        /// Why not.
        #[source]
        err: io::Error,
    },
    /// The program could not be run.
    #[error("cannot start the engine ({})", program.display())]
    Spawn {
        /// What was run.
        program: PathBuf,
        /// Why not.
        #[source]
        err: io::Error,
    },
    /// It ended before it listened.
    #[error("the engine ended while it started{}", quote_log(log))]
    Died {
        /// The last lines of its log.
        log: String,
    },
    /// It said nothing for too long.
    #[error("the engine did not answer within {} s{}", limit.as_secs(), quote_log(log))]
    Silent {
        /// How long was waited.
        limit: Duration,
        /// The last lines of its log.
        log: String,
    },
    /// It speaks another version of the protocol.
    #[error("the running engine is another version: it is {program} (protocol {api}, process {pid}), this is {} (protocol {VERSION})", env!("CARGO_PKG_VERSION"))]
    OtherVersion {
        /// Version of the program.
        program: String,
        /// Version of the protocol.
        api: u32,
        /// Its process.
        pid: u32,
    },
    /// The connection broke in the middle.
    #[error("the engine ended in the middle of the operation")]
    Lost(#[source] hyper::Error),
    /// The stream of an operation ended without its last event.
    #[error("the engine ended in the middle of the operation")]
    Truncated,
    /// It refused.
    #[error("{}", error.message)]
    Api {
        /// The HTTP status.
        status: u16,
        /// What it said.
        error: ApiError,
    },
    /// Its answer makes no sense.
    #[error("cannot read the engine's answer to {path}")]
    Decode {
        /// What was asked.
        path: String,
        /// Why not.
        #[source]
        err: serde_json::Error,
    },
}

impl ClientError {
    /// Returns what the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it as root, for example: sudo stack ...".to_owned()),
            Self::OtherVersion { pid, .. } => Some(format!(
                "replace it with `kill {pid}`: containers run on, and the next command starts this version"
            )),
            Self::Lost(_) | Self::Truncated => {
                Some("run the command again: it takes up where the engine left off".to_owned())
            }
            Self::Api { error, .. } => error.hint.clone(),
            _ => None,
        }
    }

    /// Tells whether the engine went away, so that a new one can go on with the operation.
    pub fn lost(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Truncated)
    }
}

impl Client {
    /// Connects to the engine; starts it when it does not run.
    pub async fn connect(paths: &Paths, starter: &Starter) -> Result<Self, ClientError> {
        // An engine with nothing left to do leaves: it may go between our connect and its
        // answer, or between `ready` and our connect. Then the next one answers.
        let mut last = ClientError::Truncated;
        for _ in 0..3 {
            match Self::attach(paths, starter).await {
                Ok(Some(client)) => return Ok(client),
                Ok(None) => start(paths, starter)?,
                Err(err) if err.lost() => last = err,
                Err(err) => return Err(err),
            }
        }
        match Self::attach(paths, starter).await? {
            Some(client) => Ok(client),
            None => Err(last),
        }
    }

    /// Connects to the engine when it runs; `None` when it does not.
    pub async fn connect_running(paths: &Paths) -> Result<Option<Self>, ClientError> {
        Self::attach(paths, &Starter::this_program()).await
    }

    async fn attach(paths: &Paths, starter: &Starter) -> Result<Option<Self>, ClientError> {
        let Some(mut sender) = open(&paths.socket()).await? else { return Ok(None) };
        let path = "/v1/version";
        let response = send(&mut sender, Method::GET, path, Bytes::new()).await?;
        let version: Version = decode(path, &body(response).await?)?;
        if version.api != VERSION {
            return Err(ClientError::OtherVersion { program: version.program, api: version.api, pid: version.pid });
        }
        let (paths, starter) = (paths.clone(), starter.clone());
        Ok(Some(Self { paths, starter, idle: RefCell::new(Some(sender)), version }))
    }

    /// Returns what the engine said about itself.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Asks for one object. An engine that goes before it has answered is replaced, and asked
    /// again: a question changes nothing.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        for _ in 0..ASK_AGAIN {
            match self.exchange(Method::GET, path, Bytes::new()).await {
                Err(err) if err.lost() => self.replace(&err).await?,
                answer => return decode(path, &answer?),
            }
        }
        decode(path, &self.exchange(Method::GET, path, Bytes::new()).await?)
    }

    /// Removes something.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.exchange(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    /// Posts a request that is answered with a stream of objects, one a line.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        request: &B,
    ) -> Result<Lines<T>, ClientError> {
        let bytes = serde_json::to_vec(request).map_err(|err| ClientError::Decode { path: path.to_owned(), err })?;
        self.stream(Method::POST, path, bytes.into()).await
    }

    /// Posts a question that has one answer; put again when the engine goes before it answered.
    pub async fn consult<B: Serialize, T: DeserializeOwned>(&self, path: &str, request: &B) -> Result<T, ClientError> {
        let bytes = serde_json::to_vec(request).map_err(|err| ClientError::Decode { path: path.to_owned(), err })?;
        let bytes = Bytes::from(bytes);
        for _ in 0..ASK_AGAIN {
            match self.exchange(Method::POST, path, bytes.clone()).await {
                Err(err) if err.lost() => self.replace(&err).await?,
                answer => return decode(path, &answer?),
            }
        }
        decode(path, &self.exchange(Method::POST, path, bytes).await?)
    }

    /// Asks for a stream of objects, one a line.
    pub async fn follow<T: DeserializeOwned>(&self, path: &str) -> Result<Lines<T>, ClientError> {
        for _ in 0..ASK_AGAIN {
            match self.stream(Method::GET, path, Bytes::new()).await {
                Err(err) if err.lost() => self.replace(&err).await?,
                answer => return answer,
            }
        }
        self.stream(Method::GET, path, Bytes::new()).await
    }

    /// Posts a question: as [`Self::post`], and as [`Self::get`] put again when the engine goes
    /// before it has begun to answer.
    pub async fn ask<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        request: &B,
    ) -> Result<Lines<T>, ClientError> {
        for _ in 0..ASK_AGAIN {
            match self.post(path, request).await {
                Err(err) if err.lost() => self.replace(&err).await?,
                answer => return answer,
            }
        }
        self.post(path, request).await
    }

    /// Makes sure that another engine runs after the one before was lost.
    async fn replace(&self, lost: &ClientError) -> Result<(), ClientError> {
        tracing::debug!(%lost, "the engine went before it answered; asking the next one");
        // A future that calls back into `connect`, which may start it.
        let next = Box::pin(Self::connect(&self.paths, &self.starter)).await?;
        *self.idle.borrow_mut() = next.idle.take();
        Ok(())
    }

    async fn stream<T>(&self, method: Method, path: &str, bytes: Bytes) -> Result<Lines<T>, ClientError> {
        // The connection belongs to the stream: it is closed with it.
        let (_, response) = self.answer(method, path, bytes).await?;
        Ok(Lines { body: response.into_body(), path: path.to_owned(), buffer: Vec::new(), at: 0, of: PhantomData })
    }

    async fn exchange(&self, method: Method, path: &str, bytes: Bytes) -> Result<Bytes, ClientError> {
        let (sender, response) = self.answer(method, path, bytes).await?;
        let bytes = body(response).await?;
        *self.idle.borrow_mut() = Some(sender);
        Ok(bytes)
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        bytes: Bytes,
    ) -> Result<(SendRequest<Full<Bytes>>, Response<Incoming>), ClientError> {
        let idle = self.idle.borrow_mut().take().filter(|sender| !sender.is_closed());
        let mut sender = match idle {
            Some(sender) => sender,
            None => open(&self.paths.socket()).await?.ok_or(ClientError::Truncated)?,
        };
        let response = send(&mut sender, method, path, bytes).await?;
        Ok((sender, response))
    }
}

/// A stream of objects, one a line.
#[derive(Debug)]
pub struct Lines<T> {
    body: Incoming,
    path: String,
    buffer: Vec<u8>,
    /// Where the first line not yet returned begins in `buffer`.
    at: usize,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// Returns the next object; `None` at the end of the stream. Cancel-safe: what has arrived
    /// stays in the buffer.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(length) = self.line() {
                let line = &self.buffer[self.at..self.at + length];
                self.at += length + 1;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return decode(&self.path, line).map(Some);
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.buffer.extend_from_slice(bytes);
                    }
                }
                Some(Err(err)) => return Err(ClientError::Lost(err)),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(ClientError::Truncated),
            }
        }
    }

    /// Tells whether the next object is here already.
    pub fn ready(&self) -> bool {
        self.line().is_some()
    }

    /// Returns the length of the next line, when it is complete.
    fn line(&self) -> Option<usize> {
        self.buffer[self.at..].iter().position(|&b| b == b'\n')
    }
}

/// Returns text as one segment of a path: all that may not stand there is percent-encoded, `/` too.
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Opens a connection; `None` when nobody listens.
async fn open(socket: &Path) -> Result<Option<SendRequest<Full<Bytes>>>, ClientError> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(err) => {
            return match err.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                io::ErrorKind::PermissionDenied => Err(ClientError::NotRoot),
                _ => Err(ClientError::Connect { socket: socket.to_owned(), err }),
            };
        }
    };
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(ClientError::Lost)?;
    // It ends when the sender and the answer are dropped, or the engine goes; the request sees why.
    tokio::spawn(connection);
    Ok(Some(sender))
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    method: Method,
    path: &str,
    bytes: Bytes,
) -> Result<Response<Incoming>, ClientError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "stack")
        .header("content-type", "application/json")
        .body(Full::new(bytes))
        .expect("escaped paths are valid");
    let response = sender.send_request(request).await.map_err(ClientError::Lost)?;
    let status = response.status().as_u16();
    if status < 400 {
        return Ok(response);
    }
    let bytes = body(response).await?;
    let error = serde_json::from_slice(&bytes).unwrap_or_else(|_| ApiError {
        message: format!("the engine answered {status} to {path}: {}", String::from_utf8_lossy(&bytes).trim()),
        hint: None,
    });
    Err(ClientError::Api { status, error })
}

async fn body(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    Ok(response.into_body().collect().await.map_err(ClientError::Lost)?.to_bytes())
}

fn decode<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|err| ClientError::Decode { path: path.to_owned(), err })
}

/// Starts the engine and waits until it listens.
fn start(paths: &Paths, starter: &Starter) -> Result<(), ClientError> {
    let log_path = paths.run.join("daemon.log");
    let log = create_log(paths, &log_path)?;
    let began = log.metadata().map_or(0, |m| m.len());
    let mut child = Command::new(&starter.program)
        .args(&starter.args)
        .env("STACK_ROOT", &paths.root)
        .env("STACK_RUN", &paths.run)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        // Ctrl-C in this terminal is not meant for the engine.
        .process_group(0)
        .spawn()
        .map_err(|err| ClientError::Spawn { program: starter.program.clone(), err })?;
    let ready = child.stdout.take().expect("standard output is a pipe");
    match wait_ready(ready, starter.limit) {
        Readiness::Ready => Ok(()),
        Readiness::Ended => {
            // Not left as a zombie; it has closed its output and ends at once, or another
            // program was named as engine: then it is no child to wait for.
            let _ = child.try_wait();
            Err(ClientError::Died { log: log_tail(&log_path, began) })
        }
        Readiness::Silent => Err(ClientError::Silent { limit: starter.limit, log: log_tail(&log_path, began) }),
    }
}

fn create_log(paths: &Paths, log: &Path) -> Result<File, ClientError> {
    let failed = |path: &Path, err: io::Error| {
        if err.kind() == io::ErrorKind::PermissionDenied {
            ClientError::NotRoot
        } else {
            ClientError::Prepare { path: path.to_owned(), err }
        }
    };
    if !rustix::process::geteuid().is_root() {
        return Err(ClientError::NotRoot);
    }
    fs::DirBuilder::new().recursive(true).mode(0o711).create(&paths.run).map_err(|err| failed(&paths.run, err))?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(log).map_err(|err| failed(log, err))
}

enum Readiness {
    Ready,
    Ended,
    Silent,
}

/// Waits for the line `ready`.
fn wait_ready(mut pipe: ChildStdout, limit: Duration) -> Readiness {
    let deadline = Instant::now() + limit;
    let mut said = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [rustix::event::PollFd::new(&pipe, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Readiness::Silent,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return Readiness::Ended,
        }
        let mut chunk = [0; 64];
        match pipe.read(&mut chunk) {
            Ok(0) | Err(_) => return Readiness::Ended,
            Ok(count) => said.extend_from_slice(&chunk[..count]),
        }
        if said.split(|&b| b == b'\n').any(|line| line == b"ready") {
            return Readiness::Ready;
        }
    }
}

/// Returns the last lines that were written to the log after `began`.
fn log_tail(path: &Path, began: u64) -> String {
    const LINES: usize = 10;
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(began.max(length.saturating_sub(8192))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    if let Ok(bytes) = read {
        let said = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = said.lines().collect();
        text = lines[lines.len().saturating_sub(LINES)..].join("\n");
    }
    text
}

fn quote_log(log: &str) -> String {
    if log.is_empty() {
        return String::new();
    }
    format!("; it said:\n  {}", log.replace('\n', "\n  "))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;

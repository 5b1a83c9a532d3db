//! Reads what a process writes, and learns when it ended.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::process::{WaitIdOptions, WaitIdStatus};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::sys::watch::watch;

/// Most bytes taken at once; what Docker calls a partial line is as long.
const CHUNK: usize = 16 << 10;

/// A process that this shim started.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pidfd: AsyncFd<OwnedFd>,
    code: Cell<Option<i32>>,
    signal: Cell<Option<i32>>,
    ended: Notify,
}

impl Process {
    pub(super) fn new(pid: u32, pidfd: OwnedFd) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            pid,
            pidfd: watch(pidfd, tokio::io::Interest::READABLE)?,
            code: Cell::new(None),
            signal: Cell::new(None),
            ended: Notify::new(),
        }))
    }

    pub(super) fn pidfd(&self) -> &OwnedFd {
        self.pidfd.get_ref()
    }

    /// Waits for the end and returns the exit status, or 128 and the signal's number. Any number
    /// of callers may wait.
    pub(super) async fn wait(&self) -> i32 {
        loop {
            if let Some(code) = self.code.get() {
                return code;
            }
            let notified = self.ended.notified();
            tokio::select! {
                // Cancel-safe: readiness is a level, the status is kept in `code`.
                ready = self.pidfd.readable() => {
                    let Ok(mut ready) = ready else { return 255 };
                    // Another waiter may have reaped it since.
                    match self.code.get().or_else(|| self.reap()) {
                        Some(code) => {
                            self.code.set(Some(code));
                            self.ended.notify_waiters();
                            return code;
                        }
                        None => ready.clear_ready(),
                    }
                }
                () = notified => {}
            }
        }
    }

    fn reap(&self) -> Option<i32> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(rustix::process::WaitId::PidFd(self.pidfd().as_fd()), options);
        match status {
            Ok(Some(status)) => {
                self.signal.set(status.terminating_signal());
                Some(exit_code(&status))
            }
            Ok(None) => None,
            Err(_) => Some(255),
        }
    }

    /// Returns the signal that ended it; `None` when it exited, or runs.
    pub(super) fn signal_of_end(&self) -> Option<i32> {
        self.signal.get()
    }

    /// Tells whether it has been seen to end.
    pub(super) fn has_ended(&self) -> bool {
        self.code.get().is_some()
    }

    /// Sends a signal; one that has ended needs none.
    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        match crate::sys::process::pidfd_kill(self.pidfd().as_fd(), signal) {
            Err(err) if err.raw_os_error() == Some(nix::libc::ESRCH) => Ok(()),
            done => done,
        }
    }
}

fn exit_code(status: &WaitIdStatus) -> i32 {
    let signal = status.terminating_signal().map(|n| 128 + n);
    status.exit_status().or(signal).unwrap_or(255)
}

/// The readable end of a pipe, or the master of a terminal.
#[derive(Debug)]
pub(super) struct Output(AsyncFd<OwnedFd>);

impl Output {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&fd)?;
        Ok(Self(watch(fd, tokio::io::Interest::READABLE)?))
    }

    /// Hands everything that comes to `sink`, until the end or until `process` has ended and
    /// nothing is left in the pipe: something it left behind may keep its end open for ever.
    pub(super) async fn pump(self, process: Rc<Process>, mut sink: impl AsyncFnMut(&[u8])) {
        loop {
            take_turns().await;
            tokio::select! {
                // Cancel-safe: bytes are read only after readiness, below.
                ready = self.0.readable() => {
                    let Ok(mut ready) = ready else { return };
                    match ready.try_io(|fd| read_chunk(fd.get_ref())) {
                        Ok(Ok(bytes)) if bytes.is_empty() => return,
                        Ok(Ok(bytes)) => sink(&bytes).await,
                        // A terminal whose last user is gone says EIO.
                        Ok(Err(_)) => return,
                        Err(_would_block) => {}
                    }
                }
                _ = process.wait() => break,
            }
        }
        while let Ok(bytes) = read_chunk(self.0.get_ref()) {
            if bytes.is_empty() {
                return;
            }
            sink(&bytes).await;
            take_turns().await;
        }
    }
}

/// Lets the others on this thread run: who writes faster than we read keeps its
/// pipe readable for ever, and the runtime does not take turns by itself for that.
async fn take_turns() {
    tokio::task::yield_now().await;
}

/// Returns what can be read now; the buffer is on the stack so that a waiting pump holds none.
fn read_chunk(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = [0; CHUNK];
    loop {
        match rustix::io::read(fd, &mut buffer) {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(buffer[..done?].to_vec()),
        }
    }
}

/// The writable end of a pipe, or the master of a terminal.
#[derive(Debug)]
pub(super) struct Input(AsyncFd<OwnedFd>);

impl Input {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&fd)?;
        Ok(Self(watch(fd, tokio::io::Interest::WRITABLE)?))
    }

    /// Writes all of it; fails when nobody reads any more.
    pub(super) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                Ok(Ok(n)) => bytes = &bytes[n..],
                Ok(Err(err)) if err.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(err)) => return Err(err),
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        self.0.get_ref()
    }
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}

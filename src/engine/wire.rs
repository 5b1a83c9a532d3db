//! Frames between a shim and those who talk to it, over a unix stream socket.
//!
//! A frame is a length (4 bytes, little endian), a kind, the number of descriptors that came
//! with it (SCM_RIGHTS) and the payload. Control frames are JSON; the others are raw bytes of
//! a standard stream.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// Most bytes of a frame's payload; more is a broken or hostile peer.
const MAX_PAYLOAD: usize = 4 << 20;
/// Most descriptors with one frame.
pub(crate) const MAX_FDS: usize = crate::spec::MOST_HANDED_OVER;
const HEADER: usize = 6;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A JSON message.
    Control,
    /// Standard input; an empty payload is its end.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One message with its descriptors.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

impl Frame {
    /// Returns a control frame.
    pub(crate) fn control(message: &impl Serialize, fds: Vec<OwnedFd>) -> Self {
        let payload = serde_json::to_vec(message).expect("messages have text keys only");
        Self { kind: Kind::Control, payload, fds }
    }

    /// Returns a frame with bytes of a standard stream.
    pub(crate) fn data(kind: Kind, bytes: &[u8]) -> Self {
        Self { kind, payload: bytes.to_vec(), fds: Vec::new() }
    }

    /// Returns the message of a control frame.
    pub(crate) fn message<T: DeserializeOwned>(&self) -> io::Result<T> {
        if self.kind != Kind::Control {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "expected a control frame"));
        }
        serde_json::from_slice(&self.payload).map_err(|err| io::Error::new(io::ErrorKind::InvalidData, err))
    }

    fn header(&self) -> [u8; HEADER] {
        let kind = match self.kind {
            Kind::Control => 0,
            Kind::Stdin => 1,
            Kind::Stdout => 2,
            Kind::Stderr => 3,
        };
        let [a, b, c, d] = (self.payload.len() as u32).to_le_bytes();
        [a, b, c, d, kind, self.fds.len() as u8]
    }
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: Arc<UnixStream>,
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Receiver {
    pub(crate) fn new(stream: Arc<UnixStream>) -> Self {
        Self { stream, bytes: Vec::new(), fds: VecDeque::new() }
    }

    /// Returns the next frame, `None` when the peer is gone. Cancel-safe: what was read stays
    /// in the receiver.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.parse()? {
                return Ok(Some(frame));
            }
            let received = self.stream.async_io(Interest::READABLE, || receive(self.stream.as_fd())).await;
            match received {
                Ok((bytes, fds)) => {
                    if bytes.is_empty() {
                        return Ok(None);
                    }
                    self.bytes.extend_from_slice(&bytes);
                    self.fds.extend(fds);
                }
                Err(err) if err.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(err) => return Err(err),
            }
        }
    }

    fn parse(&mut self) -> io::Result<Option<Frame>> {
        let Some(&[a, b, c, d, kind, count]) = self.bytes.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        if length > MAX_PAYLOAD {
            return Err(invalid("frame too long"));
        }
        let kind = match kind {
            0 => Kind::Control,
            1 => Kind::Stdin,
            2 => Kind::Stdout,
            3 => Kind::Stderr,
            _ => return Err(invalid("unknown kind of frame")),
        };
        if self.bytes.len() < HEADER + length {
            return Ok(None);
        }
        if usize::from(count) > self.fds.len() {
            return Err(invalid("descriptors are missing"));
        }
        let fds = self.fds.drain(..usize::from(count)).collect();
        let payload = self.bytes[HEADER..HEADER + length].to_vec();
        self.bytes.drain(..HEADER + length);
        if self.bytes.is_empty() {
            self.bytes = Vec::new(); // a shim keeps no buffer that it used once
        }
        Ok(Some(Frame { kind, payload, fds }))
    }
}

fn receive(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut buffer = [0; 8 << 10];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received =
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let fds = ancillary
        .drain()
        .filter_map(|message| if let RecvAncillaryMessage::ScmRights(fds) = message { Some(fds) } else { None })
        .flatten()
        .collect();
    Ok((buffer[..received.bytes].to_vec(), fds))
}

/// The sending half of a connection: a queue that one task writes out, so that a caller who
/// gives up never leaves half a frame.
#[derive(Debug, Clone)]
pub(crate) struct Sender(mpsc::Sender<Queued>);

#[derive(Debug)]
enum Queued {
    Frame(Frame),
    /// Answered when all before it is written.
    Flush(oneshot::Sender<()>),
}

impl Sender {
    /// Queues the frame; waits while the peer does not read. Fails when the peer is gone.
    pub(crate) async fn send(&self, frame: Frame) -> io::Result<()> {
        self.0.send(Queued::Frame(frame)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Queues the frame unless the queue is full or the peer gone.
    pub(crate) fn try_send(&self, frame: Frame) -> io::Result<()> {
        self.0.try_send(Queued::Frame(frame)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until everything queued so far is written, or the peer gone.
    pub(crate) async fn flushed(&self) {
        let (done, waiting) = oneshot::channel();
        if self.0.send(Queued::Flush(done)).await.is_ok() {
            // An error says that the writer has ended: nothing is left to wait for.
            let _ = waiting.await;
        }
    }

    /// Tells whether both lead to the same connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Queues a control message without descriptors.
    pub(crate) async fn control(&self, message: &impl Serialize) -> io::Result<()> {
        self.send(Frame::control(message, Vec::new())).await
    }
}

/// Returns a sender and the task that writes its frames; the task ends with the last sender
/// or with the peer.
pub(crate) fn sender(stream: Arc<UnixStream>) -> (Sender, impl Future<Output = ()> + Send + 'static) {
    let (queue, mut frames) = mpsc::channel(32);
    let task = async move {
        while let Some(queued) = frames.recv().await {
            match queued {
                Queued::Frame(frame) => {
                    if write(&stream, frame).await.is_err() {
                        return;
                    }
                }
                Queued::Flush(done) => drop(done.send(())),
            }
        }
    };
    (Sender(queue), task)
}

/// Writes one frame.
pub(crate) async fn write(stream: &UnixStream, frame: Frame) -> io::Result<()> {
    let header = frame.header();
    let mut sent = 0;
    while sent < HEADER + frame.payload.len() {
        let fds: &[OwnedFd] = if sent == 0 { &frame.fds } else { &[] };
        sent += stream
            .async_io(Interest::WRITABLE, || {
                let rest = [
                    IoSlice::new(&header[sent.min(HEADER)..]),
                    IoSlice::new(&frame.payload[sent.saturating_sub(HEADER)..]),
                ];
                send(stream.as_fd(), &rest, fds)
            })
            .await?;
    }
    Ok(())
}

/// Sends bytes with descriptors and returns how many bytes went.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[IoSlice<'_>], fds: &[OwnedFd]) -> io::Result<usize> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    Ok(rustix::net::sendmsg(socket, bytes, &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Waits for one datagram-like message with descriptors on a blocking socket.
pub(crate) fn receive_blocking(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    loop {
        match receive(socket) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

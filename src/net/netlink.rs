//! Netlink without a runtime: a batch of messages in one system call, answered at once.
//!
//! The router's connection is an asynchronous rtnetlink handle. This socket is for what that
//! handle does not do: several messages in one `sendmsg`, from a thread that is in a container's
//! namespace for a moment, and the nftables subsystem. The kernel works on a netlink message
//! inside `sendmsg`, so all answers are there when it returns and nothing ever waits.

use std::io;

use nix::libc;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket as RawSocket, SocketAddr, protocols};

/// Length of `struct nlmsghdr` (linux/netlink.h).
const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// A netlink socket of the namespace it was opened in.
pub(super) struct Socket {
    raw: RawSocket,
    sequence: u32,
}

/// One message, its header filled in but for length and sequence number.
pub(super) struct Message {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// `NLM_F_*` besides REQUEST.
    pub(super) flags: u16,
    /// What follows the header.
    pub(super) body: Vec<u8>,
}

/// The kernel refused a message of a batch.
#[derive(Debug)]
pub(super) struct Refused {
    /// Why.
    pub(super) error: io::Error,
}

impl Socket {
    /// Opens a routing socket in the calling thread's namespace.
    pub(super) fn route() -> io::Result<Self> {
        Self::open(protocols::NETLINK_ROUTE)
    }

    /// Opens a netfilter socket in the calling thread's namespace.
    pub(super) fn netfilter() -> io::Result<Self> {
        Self::open(protocols::NETLINK_NETFILTER)
    }

    /// Opens a socket that tells of sockets, in the calling thread's namespace.
    pub(super) fn diagnostics() -> io::Result<Self> {
        Self::open(protocols::NETLINK_SOCK_DIAG)
    }

    fn open(protocol: isize) -> io::Result<Self> {
        let mut raw = RawSocket::new(protocol)?;
        raw.bind_auto()?;
        raw.connect(&SocketAddr::new(0, 0))?;
        // Answers carry the error, not the message again.
        raw.set_cap_ack(true)?;
        Ok(Self { raw, sequence: 0 })
    }

    /// Sends all messages at once and returns the first refusal for each that was refused.
    pub(super) fn send(&mut self, messages: &[Message]) -> io::Result<Vec<Refused>> {
        self.write(messages)?;
        let mut refused = Vec::new();
        self.answers(|kind, body| {
            if kind == NLMSG_ERROR {
                let code = i32::from_ne_bytes(body.get(..4).and_then(|b| b.try_into().ok()).unwrap_or_default());
                if code != 0 {
                    refused.push(Refused { error: io::Error::from_raw_os_error(-code) });
                }
            }
        })?;
        Ok(refused)
    }

    /// Sends one request and returns the bodies of the answers (type and bytes).
    pub(super) fn ask(&mut self, message: Message) -> io::Result<Vec<(u16, Vec<u8>)>> {
        self.write(&[message])?;
        let mut found = Vec::new();
        let mut failed = None;
        self.answers(|kind, body| match kind {
            NLMSG_ERROR | NLMSG_DONE => {
                let code = i32::from_ne_bytes(body.get(..4).and_then(|b| b.try_into().ok()).unwrap_or_default());
                if code < 0 {
                    failed = Some(io::Error::from_raw_os_error(-code));
                }
            }
            _ => found.push((kind, body.to_vec())),
        })?;
        failed.map_or(Ok(found), Err)
    }

    fn write(&mut self, messages: &[Message]) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(messages.iter().map(|m| HEADER + m.body.len() + 4).sum());
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let length = HEADER + message.body.len();
            buffer.extend_from_slice(&u32::try_from(length).map_err(io::Error::other)?.to_ne_bytes());
            buffer.extend_from_slice(&message.kind.to_ne_bytes());
            buffer.extend_from_slice(&(message.flags | NLM_F_REQUEST).to_ne_bytes());
            buffer.extend_from_slice(&self.sequence.to_ne_bytes());
            buffer.extend_from_slice(&0u32.to_ne_bytes());
            buffer.extend_from_slice(&message.body);
            buffer.resize(buffer.len().next_multiple_of(4), 0);
        }
        self.raw.send(&buffer, 0)?;
        Ok(())
    }

    fn answers(&mut self, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let mut buffer: Vec<u8> = Vec::with_capacity(32 * 1024);
        loop {
            buffer.clear();
            match self.raw.recv(&mut buffer, libc::MSG_DONTWAIT) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                Err(err) => return Err(err),
            }
            let mut rest = buffer.as_slice();
            while let Some(header) = rest.get(..HEADER) {
                let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
                let Some(body) = rest.get(HEADER..length) else { break };
                let kind = u16::from_ne_bytes([header[4], header[5]]);
                each(kind, body);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// Returns a routing message as one of a batch; the kernel acknowledges it.
pub(super) fn route(payload: RouteNetlinkMessage, flags: u16) -> Message {
    let mut whole = NetlinkMessage::from(payload);
    whole.finalize();
    let mut bytes = vec![0; whole.buffer_len()];
    whole.serialize(&mut bytes);
    Message { kind: whole.header.message_type, flags: flags | NLM_F_ACK, body: bytes.split_off(HEADER) }
}

/// Returns the answers to a dump request, parsed; what cannot be parsed is left out.
pub(super) fn dump(socket: &mut Socket, payload: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    use rtnetlink::packet_core::{NetlinkDeserializable as _, NetlinkHeader};
    let message = route(payload, 0);
    let answers = socket.ask(Message { flags: NLM_F_DUMP, ..message })?;
    let parse = |(kind, body): (u16, Vec<u8>)| {
        let mut header = NetlinkHeader::default();
        header.message_type = kind;
        RouteNetlinkMessage::deserialize(&header, &body).ok()
    };
    Ok(answers.into_iter().filter_map(parse).collect())
}

//! UDP: a session per client, with a socket of its own towards the container.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{SockRef, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::upstream::Upstreams;
use crate::net::lock;

/// How long a session without a packet lives.
const IDLE: Duration = Duration::from_secs(60);
/// Sessions of one port; the one that was silent longest makes room.
const SESSIONS: usize = 1024;
/// The largest datagram.
const DATAGRAM: usize = 65535;

/// Who asked, and which address of ours they asked: the answer must come from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Peer {
    client: SocketAddr,
    local: Option<IpAddr>,
}

struct Session {
    socket: Arc<UdpSocket>,
    last: Arc<Mutex<Instant>>,
    task: AbortHandle,
}

/// Serves one socket for ever.
pub(super) async fn serve(listener: UdpSocket, address: SocketAddr, upstream: Arc<Upstreams>, port: u16) {
    let listener = Arc::new(listener);
    if address.ip().is_unspecified()
        && let Err(err) = tell_destination(&listener, address)
    {
        tracing::warn!(%err, %address, "answers may leave by another address of this host");
    }
    let buffer = Arc::new(Mutex::new(vec![0; DATAGRAM].into_boxed_slice()));
    let mut sessions: HashMap<Peer, Session> = HashMap::new();
    let mut tasks: JoinSet<Peer> = JoinSet::new();
    loop {
        tokio::select! {
            // Both are cancel-safe: readiness and finished tasks are levels.
            ready = listener.readable() => {
                if ready.is_err() {
                    return;
                }
            }
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Ok(peer) = ended
                    && sessions.get(&peer).is_some_and(|session| session.task.is_finished())
                {
                    sessions.remove(&peer);
                }
                continue;
            }
        }
        // Readiness alone never yields to others while datagrams keep coming.
        tokio::task::coop::consume_budget().await;
        let mut buffer_now = lock(&buffer);
        let Ok((length, peer)) = listener.try_io(Interest::READABLE, || receive(&listener, &mut buffer_now)) else {
            continue;
        };
        if !sessions.contains_key(&peer) {
            if sessions.len() >= SESSIONS {
                make_room(&mut sessions);
            }
            match start(peer, &upstream, port, &listener, &buffer, &mut tasks) {
                Ok(session) => drop(sessions.insert(peer, session)),
                Err(err) => {
                    tracing::debug!(%err, client = %peer.client, "a datagram was dropped");
                    continue;
                }
            }
        }
        if let Some(session) = sessions.get(&peer) {
            *lock(&session.last) = Instant::now();
            // Datagrams may be lost: a full queue or a container that does not listen drops them.
            // Not by the runtime: it does not know yet that a new socket can be written.
            // The first error may be the refusal of an earlier datagram.
            let socket = SockRef::from(&*session.socket);
            let _dropped = socket.send(&buffer_now[..length]).or_else(|_| socket.send(&buffer_now[..length]));
        }
    }
}

fn make_room(sessions: &mut HashMap<Peer, Session>) {
    let oldest = sessions.iter().min_by_key(|(_, session)| *lock(&session.last)).map(|(peer, _)| *peer);
    if let Some(session) = oldest.and_then(|peer| sessions.remove(&peer)) {
        session.task.abort();
    }
}

fn start(
    peer: Peer,
    upstream: &Upstreams,
    port: u16,
    listener: &Arc<UdpSocket>,
    buffer: &Arc<Mutex<Box<[u8]>>>,
    tasks: &mut JoinSet<Peer>,
) -> io::Result<Session> {
    let (socket, target) = upstream.socket(peer.client.ip(), port, Type::DGRAM)?;
    socket.connect(&target.into())?;
    let socket = Arc::new(UdpSocket::from_std(socket.into())?);
    let last = Arc::new(Mutex::new(Instant::now()));
    let answers = answers(peer, Arc::clone(&socket), Arc::clone(listener), Arc::clone(buffer), Arc::clone(&last));
    Ok(Session { socket, last, task: tasks.spawn(answers) })
}

/// Passes the container's datagrams back until the session was silent for long.
async fn answers(
    peer: Peer,
    socket: Arc<UdpSocket>,
    listener: Arc<UdpSocket>,
    buffer: Arc<Mutex<Box<[u8]>>>,
    last: Arc<Mutex<Instant>>,
) -> Peer {
    loop {
        let until = *lock(&last) + IDLE;
        match timeout_at(until, socket.readable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return peer,
            // Something may have come the other way meanwhile.
            Err(_) if *lock(&last) + IDLE > until => continue,
            Err(_) => return peer,
        }
        tokio::task::coop::consume_budget().await;
        let mut buffer = lock(&buffer);
        // An error is "refused" from a container that does not listen (yet).
        let Ok(length) = socket.try_recv(&mut buffer) else { continue };
        *lock(&last) = Instant::now();
        let _dropped = send(&listener, &buffer[..length], peer);
    }
}

/// Asks the kernel to tell the destination of each datagram.
fn tell_destination(socket: &UdpSocket, address: SocketAddr) -> nix::Result<()> {
    match address {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true),
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Peer)> {
    let mut control = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let local = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes())),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    let client = message.address.as_ref().and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
    });
    let client = client.ok_or(io::ErrorKind::InvalidData)?;
    Ok((message.bytes, Peer { client, local }))
}

fn send(socket: &UdpSocket, packet: &[u8], to: Peer) -> io::Result<usize> {
    let parts = [IoSlice::new(packet)];
    let address = SockaddrStorage::from(to.client);
    let send = |control: &[ControlMessage<'_>]| {
        Ok(sendmsg(socket.as_raw_fd(), &parts, control, MsgFlags::empty(), Some(&address))?)
    };
    match to.local {
        Some(IpAddr::V4(ip)) => send(&[ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
            ipi_addr: libc::in_addr { s_addr: 0 },
        })]),
        Some(IpAddr::V6(ip)) => send(&[ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
            ipi6_ifindex: 0,
        })]),
        None => send(&[]),
    }
}

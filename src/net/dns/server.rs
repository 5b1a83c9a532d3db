//! The sockets inside containers, and one pair of tasks for each.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::forward;
use super::zone::{Answer, Zone};
use crate::ids::{ContainerId, NetworkName};
use crate::net::netlink::Socket;
use crate::net::nft::{self, Chain, Change, End, Family, Hook, Statement, Table, Transport};
use crate::net::{Record, lock};

/// Where containers look for names (as Docker; nginx configurations name it).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// The one table inside a container's namespace.
const TABLE: &str = "stack_dns";
/// Questions of one container that are with upstream resolvers at a time.
const IN_FLIGHT: usize = 64;
/// TCP connections of one container at a time.
const CONNECTIONS: usize = 16;
/// How long a TCP client may be silent.
const IDLE: Duration = Duration::from_secs(10);

/// The server for all containers.
pub(in crate::net) struct Dns {
    shared: Arc<Shared>,
    serving: Mutex<HashMap<ContainerId, (AbortHandle, Arc<Client>)>>,
}

struct Shared {
    zone: RwLock<Zone>,
    turn: AtomicUsize,
    host: Option<OwnedFd>,
}

/// One container's view.
struct Client {
    shared: Arc<Shared>,
    networks: RwLock<Vec<NetworkName>>,
    upstream: Vec<IpAddr>,
    /// The container's namespace, from which resolvers of its own are asked: they may be containers
    /// themselves, or a program of its own on loopback.
    inside: Option<OwnedFd>,
    in_flight: Arc<Semaphore>,
}

/// The two sockets inside a container's namespace.
pub(in crate::net) struct Sockets {
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

impl Sockets {
    /// Opens them in the calling thread's namespace.
    ///
    /// Not at port 53: a container may itself be a name server and open that port on all addresses.
    /// Rules rewrite the port both ways, without connection tracking.
    pub(in crate::net) fn open() -> io::Result<Self> {
        let udp = std::net::UdpSocket::bind(SocketAddrV4::new(ADDRESS, 0))?;
        let tcp = std::net::TcpListener::bind(SocketAddrV4::new(ADDRESS, 0))?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let table = redirect(udp.local_addr()?.port(), tcp.local_addr()?.port());
        let mut netfilter = Socket::netfilter()?;
        match nft::apply(&mut netfilter, &[Change::Create(&table)]) {
            // An earlier daemon's, with other ports.
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                nft::apply(&mut netfilter, &[Change::Delete(Family::Ip, TABLE), Change::Create(&table)])?;
            }
            result => result?,
        }
        Ok(Self { udp, tcp })
    }
}

/// Returns the rules that bring port 53 of the server's address to its sockets, and answers back.
pub(in crate::net) fn redirect(udp: u16, tcp: u16) -> Table {
    let both = |transport, port| {
        [
            vec![
                Statement::Destination(ADDRESS),
                Statement::Port(transport, End::Destination, PORT),
                Statement::SetPort(transport, End::Destination, port),
            ],
            vec![
                Statement::Source(ADDRESS),
                Statement::Port(transport, End::Source, port),
                Statement::SetPort(transport, End::Source, PORT),
            ],
        ]
    };
    let rules = [both(Transport::Udp, udp), both(Transport::Tcp, tcp)].concat();
    Table {
        family: Family::Ip,
        name: TABLE.to_owned(),
        sets: Vec::new(),
        chains: vec![Chain { name: "output", hook: Hook::Output, drop: false, rules }],
    }
}

impl Dns {
    /// Returns a server without clients. Questions are forwarded from `host`, or from the process's
    /// own namespace.
    pub(in crate::net) fn new(host: Option<OwnedFd>) -> Self {
        let shared = Shared { zone: RwLock::default(), turn: AtomicUsize::new(0), host };
        Self { shared: Arc::new(shared), serving: Mutex::default() }
    }

    /// Serves a container until [`Dns::stop`]. Questions for others go to `upstream`, asked from
    /// `netns`; where there are none, to the host's resolvers, asked from the host.
    pub(in crate::net) fn serve(
        &self,
        id: &ContainerId,
        sockets: Sockets,
        networks: Vec<NetworkName>,
        upstream: Vec<IpAddr>,
        netns: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let inside = if upstream.is_empty() { None } else { Some(netns.try_clone_to_owned()?) };
        let udp = UdpSocket::from_std(sockets.udp)?;
        let tcp = TcpListener::from_std(sockets.tcp)?;
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
        let networks = RwLock::new(networks);
        let client = Arc::new(Client { shared: Arc::clone(&self.shared), networks, upstream, inside, in_flight });
        let kept = Arc::clone(&client);
        let task = tokio::spawn(async move {
            let udp = Arc::new(udp);
            tokio::join!(datagrams(&udp, &client), connections(&tcp, &client));
        });
        if let Some((old, _)) = lock(&self.serving).insert(id.clone(), (task.abort_handle(), kept)) {
            old.abort();
        }
        Ok(())
    }

    /// Changes the networks of a container; `false` when it is not served.
    pub(in crate::net) fn set_networks(&self, id: &ContainerId, networks: Vec<NetworkName>) -> bool {
        let serving = lock(&self.serving);
        let Some((_, client)) = serving.get(id) else { return false };
        *client.networks.write().unwrap_or_else(PoisonError::into_inner) = networks;
        true
    }

    /// Stops to serve a container.
    pub(in crate::net) fn stop(&self, id: &ContainerId) {
        if let Some((task, _)) = lock(&self.serving).remove(id) {
            task.abort();
        }
    }

    /// Stops to serve anybody.
    pub(in crate::net) fn stop_all(&self) {
        for (_, (task, _)) in lock(&self.serving).drain() {
            task.abort();
        }
    }

    /// Replaces a container's names.
    pub(in crate::net) fn set_records(&self, id: &ContainerId, records: Option<Vec<Record>>) {
        self.change(|zone| zone.set(id, records));
    }

    /// Notes whether a network has a way out.
    pub(in crate::net) fn set_network(&self, network: &NetworkName, internal: bool) {
        self.change(|zone| zone.set_network(network, internal));
    }

    /// Notes the host's address as containers reach it.
    pub(in crate::net) fn set_host_address(&self, address: Option<Ipv4Addr>) {
        self.change(|zone| zone.host = address);
    }

    fn change(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.shared.zone.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop_all();
    }
}

impl Client {
    fn answer(&self, packet: &[u8], datagram: bool) -> Answer {
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        let zone = self.shared.zone.read().unwrap_or_else(PoisonError::into_inner);
        let networks = self.networks.read().unwrap_or_else(PoisonError::into_inner);
        zone.answer(packet, &networks, turn, datagram)
    }

    async fn forward(&self, packet: &[u8], refusal: Vec<u8>, datagram: bool) -> Vec<u8> {
        let host;
        let upstream = if self.upstream.is_empty() {
            host = forward::host_resolvers();
            &host
        } else {
            &self.upstream
        };
        if upstream.is_empty() {
            return refusal;
        }
        let from = self.inside.as_ref().or(self.shared.host.as_ref());
        match forward::ask(from, upstream, packet, datagram).await {
            Some(answer) => answer,
            None => server_failure(refusal),
        }
    }
}

/// Turns the refusal into "nobody could be asked", which clients do not take for a fact.
fn server_failure(mut refusal: Vec<u8>) -> Vec<u8> {
    const SERVFAIL: u8 = 2;
    if let Some(flags) = refusal.get_mut(3) {
        *flags = *flags & 0xf0 | SERVFAIL;
    }
    refusal
}

async fn datagrams(socket: &Arc<UdpSocket>, client: &Arc<Client>) {
    let mut forwards = JoinSet::new();
    loop {
        if let Err(err) = socket.readable().await {
            tracing::warn!(%err, "a container's DNS socket failed");
            return;
        }
        // Readiness alone never yields to others while questions keep coming.
        tokio::task::coop::consume_budget().await;
        while forwards.try_join_next().is_some() {}
        // The buffer does not live across the wait, so an idle container costs none.
        let mut buffer = [0; 4096];
        let (length, from) = match socket.try_recv_from(&mut buffer) {
            Ok(received) => received,
            Err(_) => continue,
        };
        let packet = &buffer[..length];
        match client.answer(packet, true) {
            Answer::Reply(reply) => send(socket, &reply, from),
            Answer::Ignore => {}
            Answer::Forward { refusal } => {
                let Ok(permit) = Arc::clone(&client.in_flight).try_acquire_owned() else {
                    send(socket, &server_failure(refusal), from);
                    continue;
                };
                let (socket, client, packet) = (Arc::clone(socket), Arc::clone(client), packet.to_vec());
                forwards.spawn(async move {
                    let reply = client.forward(&packet, refusal, true).await;
                    send(&socket, &reply, from);
                    drop(permit);
                });
            }
        }
    }
}

/// Sends a datagram or drops it: the client asks again.
fn send(socket: &UdpSocket, reply: &[u8], to: SocketAddr) {
    if let Err(err) = socket.try_send_to(reply, to) {
        tracing::debug!(%err, "a DNS answer was dropped");
    }
}

async fn connections(listener: &TcpListener, client: &Arc<Client>) {
    let mut open = JoinSet::new();
    loop {
        let stream = tokio::select! {
            // Both are cancel-safe as their documentation says.
            accepted = listener.accept(), if open.len() < CONNECTIONS => accepted,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
        };
        match stream {
            Ok((stream, _)) => {
                let client = Arc::clone(client);
                open.spawn(async move {
                    if let Err(err) = converse(stream, &client).await {
                        tracing::debug!(%err, "a DNS connection ended");
                    }
                });
            }
            // Out of descriptors, say: the next wait must not spin.
            Err(err) => {
                tracing::debug!(%err, "a DNS connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(mut stream: TcpStream, client: &Client) -> io::Result<()> {
    loop {
        let packet = timeout(IDLE, read_packet(&mut stream)).await??;
        let Some(packet) = packet else { return Ok(()) };
        let reply = match client.answer(&packet, false) {
            Answer::Reply(reply) => reply,
            Answer::Ignore => return Ok(()),
            Answer::Forward { refusal } => match client.in_flight.try_acquire() {
                Ok(_permit) => client.forward(&packet, refusal, false).await,
                Err(_) => server_failure(refusal),
            },
        };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        timeout(IDLE, stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat())).await??;
    }
}

/// Returns the next packet, or nothing at the end of the stream.
async fn read_packet(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        length => length?,
    };
    let mut packet = vec![0; usize::from(length)];
    stream.read_exact(&mut packet).await?;
    Ok(Some(packet))
}

//! Published ports: ordinary sockets on the host, held by a container's shim.
//!
//! ```text
//! client -> host socket (shim) -> upstream socket in the router namespace -> container
//!                                 bound to the client's own address (IP_TRANSPARENT)
//! ```
//!
//! [`Publisher::bind`] opens all sockets or none, before the container starts; [`Publisher::serve`]
//! passes on what arrives. The sockets stay while the container restarts: clients wait.
//!
//! The application sees the client's address. Clients on loopback, other containers (the router
//! gave them its own address on their way out) and clients of a network without a default route
//! appear as the network's gateway.

mod bind;
mod tcp;
mod udp;
mod upstream;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::bind::Listening;
use crate::spec::{Protocol, PublishedPort};

pub use self::bind::{Holder, PublishError};

/// TCP connections of one container at a time.
const CONNECTIONS: usize = 4096;

/// The bound sockets of one container's published ports.
#[derive(Debug)]
pub struct Publisher {
    sockets: Vec<Listening>,
    /// Since when the container's process runs; `None` while it does not.
    running: watch::Sender<Option<Instant>>,
    /// Turns false when another one has taken the sockets over.
    accepting: watch::Sender<bool>,
    /// One permit a connection.
    connections: Arc<Semaphore>,
}

/// A socket of another publisher, to go on with.
#[derive(Debug)]
pub struct Lent {
    /// What it was opened for.
    pub port: PublishedPort,
    /// The socket itself: what waits in it to be accepted stays there.
    pub fd: OwnedFd,
}

/// A port and the address it was bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// As the specification has it.
    pub port: PublishedPort,
    /// The host's address and port.
    pub address: SocketAddr,
}

/// Where connections go.
#[derive(Debug)]
pub struct Upstream {
    /// The router namespace ([`crate::net::Net::router_fd`]).
    pub router_ns: OwnedFd,
    /// The container's address on the network that its default route uses, else on its first.
    pub address: Ipv4Addr,
    /// Its IPv6 address there.
    pub address6: Option<Ipv6Addr>,
    /// Show clients' own addresses to the application. Needs the container's default route to go
    /// through this network ([`crate::spec::Endpoint::default_route`]), for replies to come back.
    pub transparent: bool,
}

impl Publisher {
    /// Returns the host's sockets for all ports, open and listening, or the first reason why not.
    ///
    /// Without a host address a port is open on all addresses, IPv4 and IPv6, with the same number.
    pub fn bind(ports: &[PublishedPort]) -> Result<Publisher, PublishError> {
        Self::bind_on(ports, Vec::new())
    }

    /// As [`Publisher::bind`]; ports that another publisher has open go on with its sockets.
    pub fn bind_on(ports: &[PublishedPort], mut lent: Vec<Lent>) -> Result<Publisher, PublishError> {
        let mut sockets = Vec::new();
        for port in ports {
            match bind::adopt(port, &mut lent) {
                adopted if adopted.is_empty() => sockets.extend(bind::open(port)?),
                adopted => sockets.extend(adopted),
            }
        }
        Ok(Self {
            sockets,
            running: watch::Sender::new(Some(Instant::now())),
            accepting: watch::Sender::new(true),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// Returns the sockets for another publisher, in the order of [`Publisher::bound`].
    pub fn lend(&self) -> io::Result<Vec<Lent>> {
        let lend = |socket: &Listening| Ok(Lent { port: socket.port.clone(), fd: socket.fd.try_clone()?.into() });
        self.sockets.iter().map(lend).collect()
    }

    /// Takes no more connections and datagrams; those that are open go on.
    pub fn retire(&self) {
        self.accepting.send_replace(false);
    }

    /// Returns once no connection is open, after [`Publisher::retire`].
    pub async fn drained(&self) {
        // Never closed.
        let _all = self.connections.acquire_many(CONNECTIONS as u32).await;
    }

    /// Tells whether a port could be opened now; opens nothing that a client could reach.
    pub fn check(port: &PublishedPort) -> Result<(), PublishError> {
        bind::check(port)
    }

    /// Returns what was bound, in the order of the ports, IPv4 before IPv6.
    pub fn bound(&self) -> Vec<Bound> {
        self.sockets.iter().map(|socket| Bound { port: socket.port.clone(), address: socket.address }).collect()
    }

    /// Tells whether the container's process runs; at first it is taken to have started with
    /// [`Publisher::bind`]. While it does not run, clients wait, at most 10 s; for as long after it
    /// started, refused connections are tried again.
    pub fn set_running(&self, running: bool) {
        self.running.send_replace(running.then(Instant::now));
    }

    /// Passes everything on until the future is dropped, which ends all connections.
    ///
    /// Raises the soft limit of open files to the hard one: a connection takes six. Call it after
    /// the container's first process was cloned, else that inherits the limit.
    pub async fn serve(&self, upstream: Upstream) -> io::Result<()> {
        raise_file_limit();
        let upstream = Arc::new(upstream::Upstreams::new(upstream)?);
        let mut tasks = JoinSet::new();
        for socket in &self.sockets {
            let upstream = Arc::clone(&upstream);
            let port = socket.port.container_port;
            match socket.port.protocol {
                Protocol::Tcp => {
                    let listener = tokio::net::TcpListener::from_std(socket.fd.try_clone()?.into())?;
                    let watched = tcp::Watched {
                        connections: Arc::clone(&self.connections),
                        running: self.running.subscribe(),
                        accepting: self.accepting.subscribe(),
                    };
                    tasks.spawn(tcp::serve(listener, upstream, port, watched));
                }
                Protocol::Udp => {
                    let listener = tokio::net::UdpSocket::from_std(socket.fd.try_clone()?.into())?;
                    let (address, mut accepting) = (socket.address, self.accepting.subscribe());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = udp::serve(listener, address, upstream, port) => {}
                            // Who has the socket now makes sessions of its own.
                            _ = accepting.wait_for(|accepting| !accepting) => {}
                        }
                    });
                }
            }
        }
        // Each task serves until it is retired; one that panicked has ended, and the others go on.
        while tasks.join_next().await.is_some() {}
        std::future::pending().await
    }
}

fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(err) = raised {
        tracing::debug!(%err, "the limit of open files stays as it is");
    }
}

/// Returns whether a client's address means nothing outside this host's loopback or link.
fn has_no_meaning_elsewhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local(),
    }
}

//! Sockets towards the container, made in the router namespace.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Socket, Type};

use super::{Upstream, has_no_meaning_elsewhere};
use crate::net::namespace::current;

/// Makes upstream sockets.
pub(super) struct Upstreams {
    to: Upstream,
    /// The namespace to come back to.
    home: OwnedFd,
}

impl Upstreams {
    pub(super) fn new(to: Upstream) -> io::Result<Self> {
        Ok(Self { to, home: current()? })
    }

    /// Returns a socket that is bound so that the container sees `client`, and where to connect it.
    pub(super) fn socket(&self, client: IpAddr, port: u16, kind: Type) -> io::Result<(Socket, SocketAddr)> {
        let target = match (client, self.to.address6) {
            (IpAddr::V6(_), Some(address)) => SocketAddr::new(address.into(), port),
            _ => SocketAddr::new(self.to.address.into(), port),
        };
        let shown = (self.to.transparent && client.is_ipv4() == target.is_ipv4() && !has_no_meaning_elsewhere(client))
            .then_some(client);
        Ok((self.inside(|| bound(shown, target, kind))?, target))
    }

    /// Runs `open` in the router namespace. Only this thread changes, and it is back before anything
    /// else runs on it: there is no await in between.
    fn inside<T>(&self, open: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        setns(self.to.router_ns.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let result = open();
        if let Err(err) = setns(self.home.as_fd(), CloneFlags::CLONE_NEWNET) {
            // Everything this thread did from here on would be in the wrong namespace.
            tracing::error!(%err, "cannot return to the host's network namespace");
            std::process::abort();
        }
        result
    }
}

fn bound(shown: Option<IpAddr>, target: SocketAddr, kind: Type) -> io::Result<Socket> {
    let open = || Socket::new(Domain::for_address(target), kind.nonblocking().cloexec(), None);
    let socket = open()?;
    let Some(client) = shown else { return Ok(socket) };
    let source = SocketAddr::new(client, 0).into();
    match socket.bind(&source) {
        // An address of the router itself: a container came back in through the host. It appears as
        // the gateway, which an unbound socket does.
        Ok(()) => open(),
        Err(err) if err.kind() == io::ErrorKind::AddrNotAvailable => {
            if client.is_ipv4() {
                socket.set_ip_transparent_v4(true)?;
            } else {
                socket.set_ip_transparent_v6(true)?;
            }
            socket.bind(&source)?;
            Ok(socket)
        }
        Err(err) => Err(err),
    }
}

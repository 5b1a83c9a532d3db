//! Questions for somebody else: the host's resolvers, asked from the host's namespace, or those of
//! a container's own, asked from within.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use crate::net::namespace::{Place, run_in};

/// How long one resolver may take before the next is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many resolvers are asked, as resolv.conf(5) has it (MAXNS).
const RESOLVERS: usize = 3;
const PORT: u16 = 53;

/// Returns the name servers of the host's `/etc/resolv.conf`.
pub(in crate::net) fn host_resolvers() -> Vec<IpAddr> {
    std::fs::read_to_string("/etc/resolv.conf").map(|text| resolvers(&text)).unwrap_or_default()
}

/// Returns the name servers of a resolv.conf; link-local ones with a zone are left out.
fn resolvers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse().ok())?
    };
    text.lines().filter_map(server).take(RESOLVERS).collect()
}

/// Returns the first resolver's answer to a packet, byte for byte; `None` when none answered.
/// It is asked in the namespace `from`, else in the process's own.
pub(super) async fn ask(from: Option<&OwnedFd>, upstream: &[IpAddr], packet: &[u8], datagram: bool) -> Option<Vec<u8>> {
    for resolver in upstream.iter().take(RESOLVERS) {
        let server = SocketAddr::new(*resolver, PORT);
        let attempt =
            async { if datagram { by_udp(from, server, packet).await } else { by_tcp(from, server, packet).await } };
        match timeout(PATIENCE, attempt).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(err)) => tracing::debug!(%server, %err, "a resolver could not be asked"),
            Err(_) => tracing::debug!(%server, "a resolver did not answer in time"),
        }
    }
    None
}

async fn by_udp(from: Option<&OwnedFd>, server: SocketAddr, packet: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A fresh port for each question: answers cannot be guessed.
    let socket = within(from, || std::net::UdpSocket::bind((any, 0)))?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    socket.connect(server).await?;
    socket.send(packet).await?;
    let mut buffer = vec![0; 4096];
    loop {
        // A refusal is an error with nothing to read.
        let receive = || Ok(rustix::net::recv(&socket, &mut *buffer, RecvFlags::DONTWAIT)?);
        let (_, length) = socket.async_io(Interest::READABLE | Interest::ERROR, receive).await?;
        // Only the answer to this very question.
        if length >= 12 && buffer[..2] == packet[..2] && buffer[2] & 0x80 != 0 {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_tcp(from: Option<&OwnedFd>, server: SocketAddr, packet: &[u8]) -> io::Result<Vec<u8>> {
    let socket = within(from, || if server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() })?;
    let mut stream = socket.connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    if answer.len() < 12 || answer[..2] != packet[..2] {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    Ok(answer)
}

fn within<T: Send>(from: Option<&OwnedFd>, open: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    match from {
        None => open(),
        Some(namespace) => run_in(Place::In(namespace.as_fd()), open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_its_manual_page_says() {
        let text = "# comment\nnameserver 10.0.0.1\n  nameserver\t::1\nsearch example.com\nnameserver fe80::1%eth0\n\
                    nameserver 1\nnameserver 127.0.0.53\n";
        let expected: Vec<IpAddr> =
            vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap(), "127.0.0.53".parse().unwrap()];
        assert_eq!(resolvers(text), expected);
    }
}

//! Which TCP sockets listen in a network namespace, as the kernel tells (sock_diag(7)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_core::NLM_F_DUMP;

use super::netlink::{Message, Socket};

/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// Bit of `TCP_LISTEN` among the states (net/tcp_states.h).
const LISTEN: u32 = 1 << 10;
/// `AF_INET` and `AF_INET6`.
const FAMILIES: [u8; 2] = [2, 10];
/// Length of `struct inet_diag_sockid` (linux/inet_diag.h).
const SOCKET_ID: usize = 48;

/// Asks for listening sockets of the namespace it was opened in.
pub struct Listeners(Socket);

/// A TCP socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListeningSocket {
    /// Its address; unspecified for all.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its inode: what `/proc/PID/fd` shows as `socket:[...]`.
    pub inode: u32,
}

impl Listeners {
    /// Opens a socket in the calling thread's namespace.
    ///
    /// # Errors
    /// When the kernel has no sock_diag.
    pub fn open() -> io::Result<Self> {
        Socket::diagnostics().map(Self)
    }

    /// Returns the sockets that listen now.
    ///
    /// # Errors
    /// When the kernel refuses (it has no inet_diag).
    pub fn list(&mut self) -> io::Result<Vec<ListeningSocket>> {
        let mut found = Vec::new();
        for family in FAMILIES {
            let answers = self.0.ask(Message { kind: BY_FAMILY, flags: NLM_F_DUMP, body: request(family) });
            match answers {
                Ok(answers) => found.extend(answers.iter().filter_map(|(_, body)| parse(body))),
                // A kernel without IPv6.
                Err(_) if family != FAMILIES[0] => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

/// `struct inet_diag_req_v2`.
fn request(family: u8) -> Vec<u8> {
    let mut body = vec![family, TCP, 0, 0];
    body.extend(LISTEN.to_ne_bytes());
    body.extend([0; SOCKET_ID]);
    body
}

/// Reads a `struct inet_diag_msg`.
fn parse(body: &[u8]) -> Option<ListeningSocket> {
    let family = *body.first()?;
    let port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    let address: [u8; 16] = body.get(8..24)?.try_into().ok()?;
    let address = if family == FAMILIES[0] {
        IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3]))
    } else {
        let address = Ipv6Addr::from(address);
        address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
    };
    // After the id: expires, two queues and uid, four bytes each.
    let inode = u32::from_ne_bytes(body.get(4 + SOCKET_ID + 16..)?.get(..4)?.try_into().ok()?);
    Some(ListeningSocket { address, port, inode })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_socket_is_found_with_its_address_port_and_inode() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let name = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
            let local = listener.local_addr().unwrap();
            let all = Listeners::open().unwrap().list().unwrap();
            let found = all.iter().find(|socket| name.to_str() == Some(&format!("socket:[{}]", socket.inode))).unwrap();
            assert_eq!((found.address, found.port), (local.ip(), local.port()));
            drop(listener);
            let all = Listeners::open().unwrap().list().unwrap();
            assert!(!all.contains(found));
        }
    }

    #[test]
    fn what_is_cut_off_is_no_socket() {
        assert_eq!(parse(&[2, 10, 0, 0, 0, 80, 0, 0]), None);
        assert_eq!(parse(&[]), None);
    }
}

//! Opening the host's sockets, and finding who has a port that cannot be had.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::libc;
use socket2::{Domain, Socket, Type};

use crate::spec::{Protocol, PublishedPort};

/// How often a free port for IPv4 is tried that IPv6 may have in use.
const EPHEMERAL_TRIES: usize = 32;
/// Connections that wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: i32 = 4096;
/// How much of a command line an error shows.
const COMMAND_LENGTH: usize = 100;

/// One bound socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) port: PublishedPort,
    pub(super) address: SocketAddr,
    pub(super) fd: Socket,
}

/// Why a port could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Somebody else has it.
    #[error("port {}/{protocol} on {} is already in use{}", address.port(), address.ip(), ShowHolder(holder))]
    InUse {
        /// The address that was tried.
        address: SocketAddr,
        /// `tcp` or `udp`.
        protocol: Transport,
        /// Who has it, where that can be seen.
        holder: Option<Holder>,
    },
    /// A range without a free port.
    #[error("every port of {start}-{end}/{protocol} on {ip} is in use")]
    RangeInUse {
        /// The address that was tried.
        ip: IpAddr,
        /// First port.
        start: u16,
        /// Last port.
        end: u16,
        /// `tcp` or `udp`.
        protocol: Transport,
    },
    /// Not an address of this host.
    #[error("cannot publish port {} on {}: no interface of this host has that address", address.port(), address.ip())]
    NotLocal {
        /// The address that was tried.
        address: SocketAddr,
    },
    /// A low port without the right to it.
    #[error("no permission to open port {}/{protocol} on {} (ports below 1024 need root or CAP_NET_BIND_SERVICE)", address.port(), address.ip())]
    Denied {
        /// The address that was tried.
        address: SocketAddr,
        /// `tcp` or `udp`.
        protocol: Transport,
    },
    /// Something else.
    #[error("failed to open port {}/{protocol} on {}", address.port(), address.ip())]
    Open {
        /// The address that was tried.
        address: SocketAddr,
        /// `tcp` or `udp`.
        protocol: Transport,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// A transport as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport(pub Protocol);

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// The process that has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command line, cut.
    pub command: String,
    /// It publishes a port of another container of ours.
    pub container: bool,
}

struct ShowHolder<'a>(&'a Option<Holder>);

impl fmt::Display for ShowHolder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(Holder { pid, container: true, .. }) => write!(f, " by another container (shim with pid {pid})"),
            Some(Holder { pid, command, .. }) => write!(f, " by pid {pid} ({command})"),
        }
    }
}

/// What a socket is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Serve,
    /// To see whether it could be: nobody connects to it.
    Look,
}

/// Opens one port: one socket, or two without a host address.
pub(super) fn open(port: &PublishedPort) -> Result<Vec<Listening>, PublishError> {
    open_for(port, Purpose::Serve)
}

/// Takes the sockets of a port out of what another publisher lends; empty when it has none.
pub(super) fn adopt(port: &PublishedPort, lent: &mut Vec<super::Lent>) -> Vec<Listening> {
    let fits = |other: &PublishedPort| {
        let place = |p: &PublishedPort| (p.host_ip, p.host_port, p.protocol);
        other == port || (port.host_port.start != 0 && place(other) == place(port))
    };
    let Some(from) = lent.iter().map(|l| l.port.clone()).find(fits) else { return Vec::new() };
    let (own, rest): (Vec<_>, Vec<_>) = std::mem::take(lent).into_iter().partition(|l| l.port == from);
    *lent = rest;
    let socket = |lent: super::Lent| {
        let fd = Socket::from(lent.fd);
        let address = fd.local_addr().ok()?.as_socket()?;
        Some(Listening { port: port.clone(), address, fd })
    };
    own.into_iter().filter_map(socket).collect()
}

/// Tells whether [`open`] would succeed.
pub(super) fn check(port: &PublishedPort) -> Result<(), PublishError> {
    if port.host_port.start == 0 { Ok(()) } else { open_for(port, Purpose::Look).map(drop) }
}

fn open_for(port: &PublishedPort, purpose: Purpose) -> Result<Vec<Listening>, PublishError> {
    let range = port.host_port;
    if range.start == 0 {
        return ephemeral(port);
    }
    let mut last = None;
    for number in range.start..=range.end.max(range.start) {
        match open_number(port, number, purpose) {
            Err(err @ PublishError::InUse { .. }) => last = Some(err),
            result => return result,
        }
    }
    Err(match last {
        Some(PublishError::InUse { address, protocol, .. }) if range.end > range.start => {
            PublishError::RangeInUse { ip: address.ip(), start: range.start, end: range.end, protocol }
        }
        Some(PublishError::InUse { address, protocol, .. }) => {
            PublishError::InUse { address, protocol, holder: holder(address, port.protocol) }
        }
        Some(err) => err,
        None => unreachable!("a range has at least one port"),
    })
}

fn ephemeral(port: &PublishedPort) -> Result<Vec<Listening>, PublishError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match open_number(port, 0, Purpose::Serve) {
            Err(PublishError::InUse { .. }) if tries < EPHEMERAL_TRIES => {}
            result => return result,
        }
    }
}

fn open_number(port: &PublishedPort, number: u16, purpose: Purpose) -> Result<Vec<Listening>, PublishError> {
    let listening = |ip, number| {
        let address = SocketAddr::new(ip, number);
        let fd = socket(address, port.protocol, purpose).map_err(|err| explain(err, address, port.protocol))?;
        let address = fd.local_addr().ok().and_then(|address| address.as_socket()).unwrap_or(address);
        Ok(Listening { port: port.clone(), address, fd })
    };
    if let Some(ip) = port.host_ip {
        return Ok(vec![listening(ip, number)?]);
    }
    let first = listening(IpAddr::V4(Ipv4Addr::UNSPECIFIED), number)?;
    let number = first.address.port();
    match listening(IpAddr::V6(Ipv6Addr::UNSPECIFIED), number) {
        Ok(second) => Ok(vec![first, second]),
        // A host without IPv6.
        Err(PublishError::NotLocal { .. }) => Ok(vec![first]),
        Err(PublishError::Open { source, .. }) if source.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(vec![first]),
        Err(err) => Err(err),
    }
}

fn socket(address: SocketAddr, protocol: Protocol, purpose: Purpose) -> io::Result<Socket> {
    let kind = match protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp => Type::DGRAM,
    };
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking().cloexec(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    match protocol {
        Protocol::Tcp => {
            // Connections of the past must not keep the port.
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            if purpose == Purpose::Serve {
                socket.listen(BACKLOG)?;
            }
        }
        Protocol::Udp => socket.bind(&address.into())?,
    }
    Ok(socket)
}

fn explain(source: io::Error, address: SocketAddr, protocol: Protocol) -> PublishError {
    let transport = Transport(protocol);
    match source.kind() {
        io::ErrorKind::AddrInUse => PublishError::InUse { address, protocol: transport, holder: None },
        io::ErrorKind::AddrNotAvailable => PublishError::NotLocal { address },
        io::ErrorKind::PermissionDenied => PublishError::Denied { address, protocol: transport },
        _ => PublishError::Open { address, protocol: transport, source },
    }
}

/// Returns the process that has a socket in the way of this address.
fn holder(address: SocketAddr, protocol: Protocol) -> Option<Holder> {
    let tables: [&str; 2] = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    };
    let inodes: Vec<u64> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .flat_map(|text| in_the_way(&text, address, protocol))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|&pid| pid != std::process::id() && has_one(pid, &wanted)).map(describe).next()
}

fn has_one(pid: u32, sockets: &[String]) -> bool {
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    fds.flatten().any(|fd| {
        std::fs::read_link(fd.path()).is_ok_and(|to| to.to_str().is_some_and(|to| sockets.iter().any(|s| s == to)))
    })
}

fn describe(pid: u32) -> Holder {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = bytes
        .split(|&b| b == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).chars().map(|c| if c.is_control() { '?' } else { c }).collect())
        .collect();
    let container = words.get(1).is_some_and(|word| word == "__shim");
    let mut command = words.join(" ");
    if command.chars().count() > COMMAND_LENGTH {
        command = command.chars().take(COMMAND_LENGTH).collect::<String>() + "…";
    }
    Holder { pid, command, container }
}

/// Returns the inodes of the sockets in a table of `/proc/net` that have the address's port, on an
/// address that is in its way. Pure.
fn in_the_way(table: &str, address: SocketAddr, protocol: Protocol) -> Vec<u64> {
    const LISTENING: &str = "0A"; // TCP_LISTEN in net/tcp_states.h
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (ip, port) = fields.get(1)?.split_once(':')?;
            let number = u16::from_str_radix(port, 16).ok()?;
            let state = *fields.get(3)?;
            let ip = kernel_address(ip)?;
            let meets = ip.is_unspecified() || address.ip().is_unspecified() || ip == address.ip();
            let matches = number == address.port() && meets && (protocol == Protocol::Udp || state == LISTENING);
            matches.then(|| fields.get(9)?.parse().ok())?
        })
        .collect()
}

/// Returns the address that `/proc/net` prints: words of 32 bits in hexadecimal, host byte order.
fn kernel_address(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(digits.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match digits.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..][..4].copy_from_slice(&word(at * 8)?);
            }
            let ip = Ipv6Addr::from(bytes);
            Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_in_the_way_is_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n   \
                     1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n   \
                     2: 0200007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0\n \
                     garbage\n";
        let check = |address: &str, expected: &[u64]| {
            assert_eq!(in_the_way(table, address.parse().unwrap(), Protocol::Tcp), expected, "{address}");
        };
        check("127.0.0.1:8080", &[4711]);
        check("0.0.0.0:8080", &[4711, 4713]);
        check("127.0.0.3:8080", &[]);
        check("127.0.0.1:80", &[]);
    }
}

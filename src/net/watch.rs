//! Hears from the kernel that links of the router namespace went away or down.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The multicast group of links (RTMGRP_LINK of linux/rtnetlink.h).
const LINKS: u32 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const HEADER: usize = 16;
/// Where `ifi_flags` and `ifi_change` of `struct ifinfomsg` are.
const FLAGS: usize = 8;
const CHANGE: usize = 12;

/// A socket that hears of links.
pub(super) struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// Opens a socket in the calling thread's namespace, for the runtime it has entered.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, LINKS))?;
        Ok(Self(crate::sys::watch::watch(fd, Interest::READABLE)?))
    }

    /// Returns once a link was deleted, taken off its bridge or set down. Cancel-safe.
    pub(super) async fn lost(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let mut ready = self.0.readable().await?;
            let mut lost = false;
            loop {
                match recv(ready.get_inner().as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    Ok(length) => lost |= tells_of_loss(&buffer[..length]),
                    Err(nix::Error::EAGAIN) => break,
                    Err(nix::Error::EINTR) => {}
                    // More happened than the socket holds: whoever looks sees what is left.
                    Err(nix::Error::ENOBUFS) => lost = true,
                    Err(err) => return Err(err.into()),
                }
            }
            ready.clear_ready();
            if lost {
                return Ok(());
            }
        }
    }
}

/// Tells whether one of the messages says that a link went away or down.
fn tells_of_loss(mut messages: &[u8]) -> bool {
    let number =
        |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
    while let Some(header) = messages.get(..HEADER) {
        let length = number(header, 0) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let Some(body) = messages.get(HEADER..length) else { return false };
        let up = libc::IFF_UP as u32;
        let went_down = number(body, CHANGE) & up != 0 && number(body, FLAGS) & up == 0;
        if kind == RTM_DELLINK || kind == RTM_NEWLINK && went_down {
            return true;
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u32, change: u32) -> Vec<u8> {
        let mut bytes = 32u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([0; FLAGS]);
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(change.to_ne_bytes());
        bytes
    }

    #[test]
    fn only_losses_are_told() {
        let made = message(RTM_NEWLINK, 1, u32::MAX);
        assert!(!tells_of_loss(&made));
        assert!(!tells_of_loss(&message(RTM_NEWLINK, 0, 0)), "it was down before");
        assert!(tells_of_loss(&message(RTM_NEWLINK, 0, 1)), "it was set down");
        assert!(tells_of_loss(&[made.clone(), message(RTM_DELLINK, 1, 0)].concat()));
        assert!(!tells_of_loss(&made[..20]), "cut short");
        assert!(!tells_of_loss(&[0; 40]));
    }
}

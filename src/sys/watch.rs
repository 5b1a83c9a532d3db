//! Waiting for descriptors in a tokio runtime.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime of the caller.
pub fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: tokio requires that the descriptor stays open and the same until `AsyncFd` is dropped:
    // an `OwnedFd` returns one constant descriptor and closes it only when it is dropped itself.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

//! Hears from the kernel that the container's mounts changed.
//!
//! It is the shim that watches: an open `mountinfo` holds the mount namespace, and only the shim
//! knows when that must be let go (before the next start mounts the same upper folder).

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;

use super::container::Container;
use super::output::Process;
use crate::engine::protocol::FromShim;
use crate::sys::watch::watch;

/// What is left to settle before the daemon is told: one change may come in several steps.
const SETTLE: Duration = Duration::from_millis(50);

/// Tells the daemon each time the mounts of a process change, until the process ends.
pub(super) async fn tell_of_changes(container: Rc<Container>, process: Rc<Process>) {
    // Without it nothing is told, and nothing else is lost.
    let Ok(file) = std::fs::File::open(format!("/proc/{}/mountinfo", process.pid)) else { return };
    // proc_pid_mountinfo(5): a change is exceptional data.
    let Ok(changes) = watch(OwnedFd::from(file), Interest::PRIORITY) else { return };
    loop {
        tokio::select! {
            // Cancel-safe: readiness is a level until it is cleared.
            ready = changes.ready(Interest::PRIORITY) => match ready {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => return,
            },
            _ = process.wait() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(SETTLE) => {}
            _ = process.wait() => return,
        }
        let daemon = container.daemon.borrow().clone();
        if let Some(daemon) = daemon {
            // A daemon that comes later looks anyway.
            let _ = daemon.control(&FromShim::MountsChanged).await;
        }
    }
}

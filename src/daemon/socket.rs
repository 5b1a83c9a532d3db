//! The daemon's lock and socket: exactly one daemon a runtime folder, for its owner only.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use nix::fcntl::{Flock, FlockArg};
use tokio::net::{UnixListener, UnixStream};

use super::Daemon;
use super::presence::Presence;
use crate::paths::Paths;

/// How long a daemon that lost the race waits for the winner, or for the one that is leaving.
const TAKEOVER: Duration = Duration::from_secs(10);

/// Outcome of the race for being the daemon.
pub(super) enum Race {
    /// We are it, as long as the lock is held.
    Won(Flock<File>),
    /// Another one answers already.
    Lost,
}

/// Takes the lock, or returns once another daemon answers on the socket.
///
/// # Errors
///
/// The folders cannot be made, or nobody answered and the lock stayed taken for 10 s.
pub(super) fn race(paths: &Paths) -> io::Result<Race> {
    for folder in [&paths.root, &paths.run] {
        std::fs::DirBuilder::new().recursive(true).mode(0o711).create(folder)?;
    }
    for name in [
        "base",
        "containers",
        "history",
        "images",
        "layers",
        "logs",
        "networks",
        "projects",
        "trash",
        "volumes",
        "watch",
    ] {
        private_folder(&paths.root.join(name))?;
    }
    let path = paths.daemon_lock();
    let deadline = Instant::now() + TAKEOVER;
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Race::Won(lock)),
            Err((unlocked, nix::Error::EWOULDBLOCK)) => file = unlocked,
            Err((_, error)) => return Err(error.into()),
        }
        if std::os::unix::net::UnixStream::connect(paths.socket()).is_ok() {
            return Ok(Race::Lost);
        }
        if Instant::now() >= deadline {
            return Err(io::Error::other("another daemon holds the lock and does not answer on its socket"));
        }
        // The holder is between taking the lock and listening, or between closing its socket
        // and ending: neither can be waited for, both take milliseconds.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Makes a folder that nobody else may enter: images bring programs that run with the rights of
/// their owner, and volumes data with the modes that containers gave it.
fn private_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if std::fs::symlink_metadata(path)?.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Opens the socket with mode 0600.
///
/// # Errors
///
/// As bind(2); a path longer than 107 bytes is `InvalidInput`.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the socket until nobody needs the daemon any more.
pub(super) async fn serve(listener: UnixListener, daemon: Arc<Daemon>, presence: &Presence, quiet: Duration) {
    let router = super::http::router(daemon);
    loop {
        let accepted = tokio::select! {
            // Both arms are cancel-safe: accept(2) and a level-triggered wait.
            accepted = listener.accept() => accepted,
            () = presence.nobody(quiet) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if !is_ours(&stream) {
            tracing::warn!("refused a connection of another user");
            continue;
        }
        let reason = presence.hold();
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(reason);
        });
    }
}

/// Tells whether the peer is root or the user whom the daemon runs as.
fn is_ours(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

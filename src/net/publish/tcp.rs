//! TCP: accept, connect, and let the kernel move the bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use socket2::{SockRef, Type};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::upstream::Upstreams;

/// How long a client waits for a container that is not up, and how long after its start a refused
/// connection may mean "not listening yet".
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries; the kernel does not tell when somebody starts to listen.
const RETRY: Duration = Duration::from_millis(20);
/// What one splice moves at most: a pipe's size.
const CHUNK: usize = 64 * 1024;

/// What a serving task goes by.
pub(super) struct Watched {
    pub(super) connections: Arc<Semaphore>,
    pub(super) running: watch::Receiver<Option<Instant>>,
    /// Turns false once.
    pub(super) accepting: watch::Receiver<bool>,
}

/// Serves one listening socket until it shall accept no more and the last connection has ended.
pub(super) async fn serve(listener: TcpListener, upstream: Arc<Upstreams>, port: u16, watched: Watched) {
    let Watched { connections, running, mut accepting } = watched;
    let mut open = JoinSet::new();
    loop {
        // Never closed.
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        while open.try_join_next().is_some() {}
        let accepted = tokio::select! {
            // Both are cancel-safe: a level, and what is not accepted stays in the queue.
            biased;
            _ = accepting.wait_for(|accepting| !accepting) => break,
            accepted = listener.accept() => accepted,
        };
        let (client, from) = match accepted {
            Ok(accepted) => accepted,
            Err(err) => {
                // Out of descriptors, say. The client stays in the queue.
                tracing::debug!(%err, "a connection was not accepted");
                sleep(RETRY).await;
                continue;
            }
        };
        let (upstream, running) = (Arc::clone(&upstream), running.clone());
        open.spawn(async move {
            if let Err(err) = pass(&client, from, &upstream, port, running).await {
                tracing::debug!(%err, %from, port, "a connection of a published port ended");
                // The client sees a reset, as it would from the application itself.
                let _best_effort = SockRef::from(&client).set_linger(Some(Duration::ZERO));
            }
            drop(permit);
        });
    }
    // Whoever has the socket too takes what waits in it.
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn pass(
    client: &TcpStream,
    from: SocketAddr,
    upstream: &Upstreams,
    port: u16,
    running: watch::Receiver<Option<Instant>>,
) -> io::Result<()> {
    let server = connect(from, upstream, port, running).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let done = tokio::try_join!(flow(client, &server), flow(&server, client));
    if done.is_err() {
        let _best_effort = SockRef::from(&server).set_linger(Some(Duration::ZERO));
    }
    done.map(|_| ())
}

/// Connects to the container; waits while it is down or just starting.
async fn connect(
    from: SocketAddr,
    upstream: &Upstreams,
    port: u16,
    mut running: watch::Receiver<Option<Instant>>,
) -> io::Result<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let up = timeout_at(deadline, running.wait_for(Option::is_some)).await;
        drop(up.map_err(|_| io::ErrorKind::TimedOut)?.map_err(io::Error::other)?);
        let (socket, target) = upstream.socket(from.ip(), port, Type::STREAM)?;
        let socket = TcpSocket::from_std_stream(socket.into());
        let error = match timeout_at(deadline, socket.connect(target)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(err)) => err,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        let now = Instant::now();
        let starting = running.borrow().is_none_or(|since| now < since + PATIENCE);
        if now >= deadline || !starting {
            return Err(error);
        }
        sleep(RETRY).await;
    }
}

/// Moves bytes one way until their end, which it passes on.
async fn flow(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        // The pipe is empty here, so "would block" can only mean the socket.
        let moved = from.async_io(Interest::READABLE, || Ok(splice(from, None, &into, None, CHUNK, flags)?)).await?;
        if moved == 0 {
            break;
        }
        let mut left = moved;
        while left > 0 {
            left -= to.async_io(Interest::WRITABLE, || Ok(splice(&out, None, to, None, left, flags)?)).await?;
        }
    }
    match SockRef::from(to).shutdown(std::net::Shutdown::Write) {
        // The other side is gone already.
        Err(err) if err.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

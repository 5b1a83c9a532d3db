//! Finds out when a container is ready: does what [`Watch`] asks for, on a thread that is in the
//! container's network namespace and ends with the answer, or when nobody wants it any more.

mod greeting;
mod processes;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use tokio::task::AbortHandle;

use crate::engine::logs::{self, Filter, Follower};
use crate::lifecycle::Time;
use crate::lifecycle::ready::{Ask, Listener, Rule, Seen, Subject, Watch};
use crate::net::{Listeners, enter_for_good};
use crate::spec::{ContainerSpec, Ready};

/// Looks for the readiness of one run of a container; dropping it ends that.
#[derive(Debug)]
pub(super) enum Prober {
    /// A thread in its network namespace, which can be told that somebody waits.
    Thread(Sender<()>),
    /// A task that reads its log.
    Task(AbortHandle),
}

impl Prober {
    /// Tells it that somebody waits.
    pub(super) fn hurry(&self) {
        if let Self::Thread(hurry) = self {
            let _ = hurry.send(()); // one that has found out needs no hurry
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

/// Where a run of a container is found.
pub(super) struct Place {
    /// Its network namespace; `None` with the host's.
    pub netns: Option<Arc<OwnedFd>>,
    /// Host process id of its process 1.
    pub pid: u32,
    /// Its log.
    pub log: PathBuf,
    /// When the run began, nanoseconds since 1970.
    pub started_ns: i64,
}

/// Begins to look; `found` is told the rule once.
///
/// # Errors
/// When there can be no thread, or the log cannot be followed.
pub(super) fn look(
    spec: &ContainerSpec,
    place: Place,
    found: impl FnOnce(Rule) + Send + 'static,
) -> io::Result<Prober> {
    if let Some(Ready::Log(pattern)) = &spec.ready {
        let task = tokio::spawn(follow(place, pattern.clone(), found));
        return Ok(Prober::Task(task.abort_handle()));
    }
    let (hurry, wakes) = channel();
    // What listens for others does so on the container's address, if it has one.
    let address = spec.endpoints.first().map_or(Ipv4Addr::LOCALHOST, |endpoint| endpoint.address);
    let (subject, init) = (Subject::of(spec), spec.init);
    std::thread::Builder::new().name("ready".to_owned()).stack_size(256 * 1024).spawn(move || {
        let sight = Sight { place, init, address, sockets: None, held: HashMap::new() };
        if let Some(rule) = watch(subject, sight, &wakes) {
            found(rule);
        }
    })?;
    Ok(Prober::Thread(hurry))
}

/// Asks and answers until the rule is known; `None` when nobody wants to know any more.
fn watch(subject: Subject, mut sight: Sight, wakes: &Receiver<()>) -> Option<Rule> {
    let epoch = Instant::now();
    let now = || Time(epoch.elapsed());
    let mut watch = Watch::new(subject, now(), false);
    loop {
        match wakes.recv_timeout(watch.next().since(now())) {
            Ok(()) => watch.hurry(now()),
            Err(RecvTimeoutError::Timeout) => {
                let seen = match sight.answer(&watch.ask()) {
                    Ok(seen) => seen,
                    Err(error) => {
                        tracing::debug!(%error, "cannot see into a container's network");
                        Seen::Listening(Vec::new())
                    }
                };
                if let Some(rule) = watch.seen(&seen, now()) {
                    return Some(rule);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// What a thread sees of a container.
struct Sight {
    place: Place,
    init: bool,
    address: Ipv4Addr,
    /// Made when it is used first; from then on the thread is in the container's namespace.
    sockets: Option<Listeners>,
    /// Sockets that are the container's, and whether its main process holds them.
    held: HashMap<u32, bool>,
}

impl Sight {
    fn answer(&mut self, ask: &Ask) -> io::Result<Seen> {
        if self.sockets.is_none() {
            if let Some(netns) = &self.place.netns {
                enter_for_good(netns.as_fd())?;
            }
            self.sockets = Some(Listeners::open()?);
        }
        Ok(match ask {
            Ask::Look => Seen::Listening(self.listeners()?),
            Ask::Greet(listener, protocol) => {
                let greet = |address| greeting::greet(SocketAddr::new(address, listener.port), *protocol);
                match listener.address {
                    address if !address.is_unspecified() => greet(address),
                    // A socket for all IPv6 addresses mostly is one for all IPv4 addresses, too.
                    IpAddr::V6(_) => match greet(Ipv4Addr::LOCALHOST.into()) {
                        Seen::No => greet(Ipv6Addr::LOCALHOST.into()),
                        seen => seen,
                    },
                    IpAddr::V4(_) => greet(Ipv4Addr::LOCALHOST.into()),
                }
            }
            Ask::Connect(port) => greeting::connect((self.address, *port).into()),
            Ask::Get(port, path) => greeting::get((self.address, *port).into(), path),
        })
    }

    /// Returns the sockets that processes of the container listen on: others may share its namespace.
    fn listeners(&mut self) -> io::Result<Vec<Listener>> {
        let Some(sockets) = &mut self.sockets else { return Ok(Vec::new()) };
        let mut all = sockets.list()?;
        all.retain(|socket| !socket.address.is_loopback());
        if all.iter().any(|socket| !self.held.contains_key(&socket.inode)) {
            self.held = processes::sockets(self.place.pid, self.init);
        }
        let listener = |socket: &crate::net::ListeningSocket| {
            let main = *self.held.get(&socket.inode)?;
            Some(Listener { address: socket.address, port: socket.port, inode: socket.inode, main })
        };
        Ok(all.iter().filter_map(listener).collect())
    }
}

/// Reads the log of a run until a line matches.
async fn follow(place: Place, pattern: String, found: impl FnOnce(Rule)) {
    let Ok(regex) = Ready::pattern(&pattern) else { return };
    let started_ns = place.started_ns;
    let matches = move |entry: &logs::Entry| entry.time_ns >= started_ns && regex.is_match(entry.text.trim_end());
    let (log, found_in) = (place.log.clone(), matches.clone());
    // What a new daemon finds may be much.
    let reading = tokio::task::spawn_blocking(move || {
        let mut old = logs::read(&log, Filter { since_ns: Some(started_ns), ..Filter::default() });
        let there = old.by_ref().any(|entry| found_in(&entry));
        (there, old.position())
    });
    let Ok((mut there, position)) = reading.await else { return };
    if !there {
        let mut follower = match Follower::new() {
            Ok(follower) => follower,
            Err(error) => return tracing::warn!(%error, "cannot follow a log"),
        };
        if let Err(error) = follower.add((), place.log.clone(), position) {
            return tracing::warn!(%error, "cannot follow a log");
        }
        while !there {
            match follower.next().await {
                Ok(((), entries)) => there = entries.iter().any(&matches),
                Err(error) => return tracing::warn!(%error, "cannot follow a log"),
            }
        }
    }
    found(Rule::Given(Ready::Log(pattern)));
}

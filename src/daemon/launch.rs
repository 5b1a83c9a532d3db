//! Starting one container: namespace, addresses, DNS, shim and published ports, then its process.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Parts;
use super::hand_over::upstream;
use crate::engine::{Bound, Shim, ShimError, ShimFds, ShimNotice, StartError};
use crate::host::HostError;
use crate::net::Record;
use crate::spec::{ContainerSpec, NetworkSpec};

/// What stays as long as a container is up, also while its process is started again.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    /// The shim that holds process, log and published ports.
    pub shim: Shim,
    /// Its network namespace; `None` with the host's.
    pub netns: Option<Arc<OwnedFd>>,
    /// Sockets that stand open on the host.
    pub bound: Vec<Bound>,
    /// Another container has its ports and names until it hands over.
    pub standby: bool,
}

/// A started container.
#[derive(Debug)]
pub(super) struct Launched {
    /// What it runs in.
    pub sandbox: Sandbox,
    /// Host process id of its process 1.
    pub pid: u32,
    /// When it began, nanoseconds since 1970.
    pub started_ns: i64,
    /// How long its network took; `None` when it had one.
    pub connecting: Option<Duration>,
    /// Limits that this host cannot enforce.
    pub warnings: Vec<String>,
}

/// Exit status of a container whose network, shim or ports could not be made, as Docker keeps it.
const NOT_STARTED: i32 = 128;

/// One start of a container.
pub(super) struct Launch {
    pub parts: Parts,
    pub spec: Arc<ContainerSpec>,
    /// What it is up in already: its process is started again there.
    pub sandbox: Option<Sandbox>,
    /// Its last shim, on its way out.
    pub closing: Option<JoinHandle<()>>,
    pub namespace: Result<Namespace, HostError>,
    /// The container that it replaces still runs.
    pub standby: bool,
    pub notices: mpsc::UnboundedSender<ShimNotice>,
}

impl Launch {
    /// Starts the container.
    ///
    /// # Errors
    ///
    /// The container's exit status and why it does not run. A sandbox that was made for it is gone.
    pub(super) async fn run(self) -> Result<Launched, (i32, HostError)> {
        let Self { parts, spec, sandbox, closing, namespace, standby, notices } = self;
        if let Some(closing) = closing {
            let _ = closing.await;
        }
        let fresh = sandbox.is_none();
        let work = async {
            let mut connecting = None;
            let sandbox = match sandbox {
                Some(sandbox) => sandbox,
                None => {
                    let prepared = match namespace {
                        Ok(namespace) => prepare(&parts, &spec, namespace, standby, notices, &mut connecting).await,
                        Err(error) => Err(error),
                    };
                    prepared.map_err(|error| (NOT_STARTED, error))?
                }
            };
            match sandbox.shim.start().await {
                Ok(started) => {
                    let (pid, started_ns, warnings) = (started.pid, started.time_ns, started.warnings);
                    Ok(Launched { sandbox, pid, started_ns, connecting, warnings })
                }
                Err(error) => {
                    let code = error.exit_code;
                    if fresh {
                        sandbox.shim.shutdown().await;
                    }
                    Err((code, start_error(error)))
                }
            }
        };
        let result = work.await;
        if fresh && result.is_err() {
            // The sockets of its DNS would hold the namespace, and its names lead nowhere.
            withdraw_names(&parts, &spec);
            // A shim that was killed in the middle has left what it cloned.
            parts.engine.kill_leftovers(&spec.id);
        }
        result
    }
}

/// Stops to answer in the container's namespace and for its names.
pub(super) fn withdraw_names(parts: &Parts, spec: &ContainerSpec) {
    parts.net.stop_dns(&spec.id);
    parts.net.set_records(&spec.id, None);
}

/// Where a container's network namespace comes from.
#[derive(Debug)]
pub(super) enum Namespace {
    /// The host's own.
    Host,
    /// Another container's.
    Shared(Arc<OwnedFd>),
    /// A new one on these networks, in the order of the endpoints.
    Own(Vec<NetworkSpec>),
}

/// Makes what a container runs in: network namespace, shim, published ports. Tells how long connecting took.
///
/// # Errors
///
/// Whatever step failed; what was made goes away with the dropped descriptors and the shim.
async fn prepare(
    parts: &Parts,
    spec: &ContainerSpec,
    namespace: Namespace,
    standby: bool,
    notices: mpsc::UnboundedSender<ShimNotice>,
    connecting: &mut Option<Duration>,
) -> Result<Sandbox, HostError> {
    let begun = Instant::now();
    let (netns, networks) = match namespace {
        Namespace::Host => (None, None),
        Namespace::Shared(netns) => (Some(netns), None),
        Namespace::Own(networks) => (Some(Arc::new(own_namespace(parts, &networks).await?)), Some(networks)),
    };
    // Published ports lead through the router; without an endpoint there is nothing to lead to.
    let upstream = upstream(spec);
    let fds = ShimFds {
        netns: netns.as_deref().map(OwnedFd::try_clone).transpose().map_err(HostError::new)?,
        router: upstream.is_some().then(|| parts.net.router_fd()).transpose().map_err(HostError::new)?,
    };
    // The shim needs the namespace, not yet what is in it: both at the same time.
    let connected = async {
        if let (Some(netns), Some(networks)) = (&netns, &networks) {
            connect(parts, spec, netns, networks, standby).await?;
        }
        Ok::<_, HostError>(begun.elapsed())
    };
    let shim = match tokio::join!(connected, parts.engine.spawn_shim(spec, fds, notices)) {
        (Ok(took), Ok(shim)) => {
            *connecting = Some(took);
            shim
        }
        (Err(error), Ok(shim)) => {
            shim.shutdown().await;
            return Err(error);
        }
        (connected, Err(error)) => return Err(connected.err().unwrap_or_else(|| HostError::new(error))),
    };
    let Some(upstream) = upstream.filter(|_| !standby) else {
        return Ok(Sandbox { shim, netns, bound: Vec::new(), standby });
    };
    match shim.publish(spec.ports.clone(), upstream, Vec::new()).await {
        Ok(bound) => Ok(Sandbox { shim, netns, bound, standby }),
        Err(error) => {
            shim.shutdown().await;
            let taken = matches!(&error, ShimError::Publish(failure) if failure.errno == nix::libc::EADDRINUSE);
            let error = HostError::new(error);
            Err(if taken { error.hint("stop what holds it, or publish another port") } else { error })
        }
    }
}

/// Turns a failed start into what the user reads.
fn start_error(error: StartError) -> HostError {
    let hint = error.hint.clone();
    let failure = HostError::new(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Makes a network namespace, and sees meanwhile that the networks stand.
async fn own_namespace(parts: &Parts, networks: &[NetworkSpec]) -> Result<OwnedFd, HostError> {
    let standing = async {
        for network in networks {
            parts.net.ensure_network_lately(network).await?;
        }
        Ok(())
    };
    let (stands, netns) = tokio::join!(standing, parts.net.create_namespace());
    stands.and(netns).map_err(HostError::new)
}

/// Connects a container's network namespace and answers DNS in it.
async fn connect(
    parts: &Parts,
    spec: &ContainerSpec,
    netns: &OwnedFd,
    networks: &[NetworkSpec],
    standby: bool,
) -> Result<(), HostError> {
    let net = &parts.net;
    for endpoint in &spec.endpoints {
        let network = networks.iter().find(|n| n.name == endpoint.network);
        let network = network
            .ok_or_else(|| HostError::new(format!("network {} of the container is not known", endpoint.network)))?;
        if net.attach(netns.as_fd(), endpoint, network).await.is_err() {
            // Perhaps somebody removed the bridge since it was looked at.
            net.ensure_network(network).await.map_err(HostError::new)?;
            net.attach(netns.as_fd(), endpoint, network).await.map_err(HostError::new)?;
        }
    }
    if !spec.endpoints.is_empty() {
        answer_names(parts, spec, netns, standby).await?;
    }
    Ok(())
}

/// Opens the DNS sockets in the container's namespace and makes its names known.
/// While it stands by, these are its own only.
pub(super) async fn answer_names(
    parts: &Parts,
    spec: &ContainerSpec,
    netns: &OwnedFd,
    standby: bool,
) -> Result<(), HostError> {
    let networks = spec.endpoints.iter().map(|e| e.network.clone()).collect();
    let upstream: Vec<IpAddr> = spec.dns.clone();
    parts.net.serve_dns(&spec.id, netns.as_fd(), networks, upstream).await.map_err(HostError::new)?;
    tell_names(parts, spec, standby);
    Ok(())
}

/// Makes the container's names known; of one that stands by, or has handed over, its own only.
pub(super) fn tell_names(parts: &Parts, spec: &ContainerSpec, own_only: bool) {
    let records = spec.endpoints.iter().map(|endpoint| {
        let own = [spec.name.clone(), spec.id.short().to_owned()];
        let shared = std::iter::once(&spec.hostname).chain(&endpoint.aliases).filter(|_| !own_only).cloned();
        Record {
            network: endpoint.network.clone(),
            names: own.into_iter().chain(shared).collect(),
            address: endpoint.address,
            address6: endpoint.address6,
        }
    });
    parts.net.set_records(&spec.id, Some(records.collect()));
}

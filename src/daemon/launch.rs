//! Starting one container: namespace, addresses, DNS and shim side by side, then its process.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Parts;
use crate::engine::{Bound, Shim, ShimFds, ShimNotice, Upstream};
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

/// Makes what a container runs in: network namespace and shim, at the same time.
///
/// # Errors
///
/// Whatever step failed; what was made goes away with the dropped descriptors and the shim.
pub(super) async fn prepare(
    parts: &Parts,
    spec: &ContainerSpec,
    namespace: Namespace,
    notices: mpsc::UnboundedSender<ShimNotice>,
) -> Result<Sandbox, HostError> {
    let wants_router = !spec.ports.is_empty() && matches!(namespace, Namespace::Own(ref list) if !list.is_empty());
    let network = async {
        match namespace {
            Namespace::Host => Ok(None),
            Namespace::Shared(netns) => Ok(Some(netns)),
            Namespace::Own(networks) => connect(parts, spec, &networks).await.map(|fd| Some(Arc::new(fd))),
        }
    };
    let shim = async { parts.engine.spawn_shim(&spec.id, notices).await.map_err(HostError::from) };
    let (network, shim) = tokio::join!(network, shim);
    let (netns, shim) = match (network, shim) {
        (Ok(netns), Ok(shim)) => (netns, shim),
        (Err(error), Ok(shim)) => {
            shim.shutdown().await;
            return Err(error);
        }
        (_, Err(error)) => return Err(error),
    };
    let handed = async {
        let netns = netns.as_deref().map(OwnedFd::try_clone).transpose().map_err(HostError::new)?;
        let router = if wants_router { Some(parts.net.router_fd().map_err(HostError::new)?) } else { None };
        shim.hand_over(ShimFds { netns, router }).await?;
        if spec.ports.is_empty() {
            return Ok(Vec::new());
        }
        let upstream = spec.endpoints.first().map_or_else(Upstream::default, |endpoint| Upstream {
            v4: Some(endpoint.address),
            v6: endpoint.address6,
        });
        Ok::<_, HostError>(shim.publish(spec.ports.clone(), upstream).await?)
    };
    match handed.await {
        Ok(bound) => Ok(Sandbox { shim, netns, bound }),
        Err(error) => {
            shim.shutdown().await;
            Err(error)
        }
    }
}

/// Makes the container's network namespace, connects it and answers DNS in it.
async fn connect(parts: &Parts, spec: &ContainerSpec, networks: &[NetworkSpec]) -> Result<OwnedFd, HostError> {
    let net = &parts.net;
    for network in networks {
        net.ensure_network(network).await.map_err(HostError::new)?;
    }
    let netns = net.create_namespace().await.map_err(HostError::new)?;
    for endpoint in &spec.endpoints {
        let network = networks.iter().find(|n| n.name == endpoint.network);
        let network = network
            .ok_or_else(|| HostError::new(format!("network {} of the container is not known", endpoint.network)))?;
        net.attach(netns.as_fd(), endpoint, network).await.map_err(HostError::new)?;
    }
    if !spec.endpoints.is_empty() {
        answer_names(parts, spec, &netns).await?;
    }
    Ok(netns)
}

/// Opens the DNS sockets in the container's namespace and makes its names known.
pub(super) async fn answer_names(parts: &Parts, spec: &ContainerSpec, netns: &OwnedFd) -> Result<(), HostError> {
    let networks = spec.endpoints.iter().map(|e| e.network.clone()).collect();
    let upstream: Vec<IpAddr> = spec.dns.clone();
    parts.net.serve_dns(&spec.id, netns.as_fd(), networks, upstream).await.map_err(HostError::new)?;
    let records = spec.endpoints.iter().map(|endpoint| {
        let own = [spec.name.clone(), spec.id.short().to_owned(), spec.hostname.clone()];
        Record {
            network: endpoint.network.clone(),
            names: own.into_iter().chain(endpoint.aliases.iter().cloned()).collect(),
            address: endpoint.address,
            address6: endpoint.address6,
        }
    });
    parts.net.set_records(&spec.id, Some(records.collect()));
    Ok(())
}

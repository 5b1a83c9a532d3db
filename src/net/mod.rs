//! Networks of containers: everything hangs in one router namespace, the host is left alone.
//!
//! ```text
//!   container namespaces        router namespace /run/netns/<instance>          host
//!   eth0 ------ veth ---------- veth - bridge (one per network) - uplink ====== <instance> -> world
//!   127.0.0.11 (DNS)            ruleset: networks apart, internal has no way out   masquerade
//! ```
//!
//! - [`Net`] is the entry point: networks, endpoints, DNS. The daemon owns the one value.
//! - [`publish`] is for the shim: published ports are its sockets.
//!
//! Main threads never change their namespace: [`namespace`] runs work on a thread that joins one and
//! ends. A container's namespace is made on such a thread, which at the same time brings `lo` up and
//! opens the netlink and DNS sockets that [`Net::attach`] and [`Net::serve_dns`] use later; so a
//! container costs one thread, and two messages (the pair; addresses and route).
//!
//! Subnets of IPv6 stay inside: containers of a network reach each other and answer on published
//! ports, but there is no IPv6 uplink (the host would have to forward IPv6, which turns its own
//! router discovery off). The router answers "unreachable" at once, so programs fall back to IPv4.

mod bridge;
mod dns;
mod listeners;
mod messages;
mod namespace;
mod netlink;
mod nft;
pub mod publish;
mod router;
#[cfg(test)]
mod tests;
mod uplink;
mod veth;
mod watch;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;

use self::dns::Dns;
use self::namespace::{Place, run_in, run_in_new};
use self::netlink::Socket;
use self::router::Router;
use self::uplink::Uplink;
use crate::ids::{ContainerId, NetworkName};
use crate::spec::{Endpoint, NetworkSpec};

pub use self::bridge::{ObservedBridge, ObservedNet, ObservedVeth};
pub use self::listeners::{Listeners, ListeningSocket};
pub use self::namespace::enter_for_good;

/// How long sockets opened along with a namespace wait for [`Net::attach`] and [`Net::serve_dns`].
const PREPARED_FOR: Duration = Duration::from_secs(30);

/// How long ago [`Net::ensure_network_lately`] trusts a look at a network.
const LATELY: Duration = Duration::from_millis(500);

/// Where an engine's network lives.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// Name of the router namespace, the uplink and the host's table ([`crate::paths::Paths::instance`]).
    pub instance: String,
    /// Runtime folder: keeps what `ip_forward` was.
    pub run: PathBuf,
    /// Durable folder.
    pub root: PathBuf,
}

/// The network of one engine. Clones are the same network.
#[derive(Clone)]
pub struct Net {
    inner: Arc<Inner>,
}

struct Inner {
    config: NetConfig,
    /// The host's namespace where it is not the process's own (tests).
    host: Option<OwnedFd>,
    router: Mutex<Option<Arc<Router>>>,
    /// One maker at a time, of the router and of the uplink.
    making: tokio::sync::Mutex<()>,
    uplink: Mutex<Option<Uplink>>,
    networks: Mutex<HashMap<NetworkName, Standing>>,
    prepared: Mutex<HashMap<(u64, u64), Prepared>>,
    dns: Dns,
    /// Told when a link of the router namespace goes away or down.
    lost: Arc<tokio::sync::Notify>,
}

/// A network that was made or found in order.
struct Standing {
    spec: NetworkSpec,
    checked: Instant,
}

/// Sockets inside a container's namespace, opened when it was made.
struct Prepared {
    route: Option<Socket>,
    dns: Option<dns::Sockets>,
}

/// The names of one container on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The network.
    pub network: NetworkName,
    /// Names, the one that reverse look-ups answer first.
    pub names: Vec<String>,
    /// Its address there.
    pub address: Ipv4Addr,
    /// Its IPv6 address there.
    pub address6: Option<Ipv6Addr>,
}

/// Why a network operation failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The router namespace.
    #[error("failed to set up the router namespace /run/netns/{instance}")]
    Router {
        /// Its name.
        instance: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The uplink.
    #[error("failed to set up the uplink {instance} of the container networks")]
    Uplink {
        /// The link's name on the host.
        instance: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A network.
    #[error("failed to {action} network {network} (bridge {bridge})")]
    Network {
        /// `create`, `remove`, ...
        action: &'static str,
        /// The network.
        network: NetworkName,
        /// Its bridge, as far as it is known.
        bridge: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A bridge takes 1,023 ports (BR_MAX_PORTS).
    #[error("network {network} is full: a bridge takes 1023 containers")]
    Full {
        /// The network.
        network: NetworkName,
    },
    /// An endpoint.
    #[error("failed to {action} {veth} ({interface} on network {network})")]
    Endpoint {
        /// `attach` or `detach`.
        action: &'static str,
        /// The router's side.
        veth: String,
        /// The container's side.
        interface: String,
        /// The network.
        network: NetworkName,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A container's namespace.
    #[error("failed to {action}")]
    Namespace {
        /// What was being done.
        action: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Nothing was made yet.
    #[error("there is no router namespace yet: no network was made")]
    NoRouter,
}

impl Net {
    /// Opens the engine's network: the router namespace if it stands already, else nothing until
    /// the first network is needed.
    pub async fn open(config: NetConfig) -> Result<Net, NetError> {
        Self::open_on(config, None).await
    }

    /// As [`Net::open`], with another namespace in the part of the host (tests).
    pub async fn open_on(config: NetConfig, host: Option<OwnedFd>) -> Result<Net, NetError> {
        let failed = |source| NetError::Router { instance: config.instance.clone(), source };
        let lost = Arc::new(tokio::sync::Notify::new());
        let router = Router::open(&config.instance, Arc::clone(&lost)).map_err(failed)?.map(Arc::new);
        let uplink = match &router {
            Some(router) => uplink::find(router).map_err(failed)?,
            None => None,
        };
        let dns = Dns::new(host.as_ref().map(OwnedFd::try_clone).transpose().map_err(failed)?);
        dns.set_host_address(uplink.map(|uplink| uplink.host));
        Ok(Net {
            inner: Arc::new(Inner {
                config,
                host,
                router: Mutex::new(router),
                making: tokio::sync::Mutex::new(()),
                uplink: Mutex::new(uplink),
                networks: Mutex::default(),
                prepared: Mutex::default(),
                dns,
                lost,
            }),
        })
    }

    /// Makes or repairs a network: its bridge, addresses and place in the ruleset, and the way out
    /// unless it is internal.
    pub async fn ensure_network(&self, spec: &NetworkSpec) -> Result<(), NetError> {
        let router = self.router().await?;
        if !spec.internal {
            self.ensure_uplink(&router, Some(spec)).await?;
        }
        let mtu = self.mtu(spec);
        bridge::ensure(&router, spec, mtu).await.map_err(|source| NetError::Network {
            action: "create",
            network: spec.name.clone(),
            bridge: spec.bridge.clone(),
            source,
        })?;
        self.inner.dns.set_network(&spec.name, spec.internal);
        lock(&self.inner.networks).insert(spec.name.clone(), Standing { spec: spec.clone(), checked: Instant::now() });
        Ok(())
    }

    /// Makes sure that the uplink stands, and with it [`Net::host_address`].
    pub async fn ensure_way_out(&self) -> Result<(), NetError> {
        let router = self.router().await?;
        self.ensure_uplink(&router, None).await
    }

    /// As [`Net::ensure_network`], but a network that was in order a moment ago is taken to be so
    /// still: fifty containers that start together need not look fifty times.
    pub async fn ensure_network_lately(&self, spec: &NetworkSpec) -> Result<(), NetError> {
        let known = lock(&self.inner.networks)
            .get(&spec.name)
            .is_some_and(|standing| standing.spec == *spec && standing.checked.elapsed() < LATELY);
        if known { Ok(()) } else { self.ensure_network(spec).await }
    }

    /// Removes a network; one that is gone already is fine.
    pub async fn remove_network(&self, name: &NetworkName) -> Result<(), NetError> {
        let known = lock(&self.inner.networks).remove(name);
        let Some(router) = self.opened() else { return Ok(()) };
        let bridge = known.map(|standing| standing.spec.bridge);
        bridge::remove(&router, name, bridge.clone()).await.map_err(|source| NetError::Network {
            action: "remove",
            network: name.clone(),
            bridge: bridge.unwrap_or_else(|| "unknown".to_owned()),
            source,
        })
    }

    /// Returns a fresh namespace for a container: `lo` up, every port open to every user, `ping`
    /// allowed, no router advertisements heard.
    pub async fn create_namespace(&self) -> Result<OwnedFd, NetError> {
        let failed = |source| NetError::Namespace { action: "create a container's network namespace", source };
        let (namespace, prepared) = run_in_new(veth::prepare).await.map_err(failed)?;
        let key = namespace::identity(&namespace).map_err(failed)?;
        lock(&self.inner.prepared).insert(key, prepared);
        // A socket holds its namespace: what nobody fetched must not do that for ever.
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            tokio::time::sleep(PREPARED_FOR).await;
            if let Some(inner) = inner.upgrade() {
                lock(&inner.prepared).remove(&key);
            }
        });
        Ok(namespace)
    }

    /// Hangs a container's namespace on a network, or repairs its place there.
    pub async fn attach(
        &self,
        netns: BorrowedFd<'_>,
        endpoint: &Endpoint,
        network: &NetworkSpec,
    ) -> Result<(), NetError> {
        let router = self.router().await?;
        let failed = |source| self.endpoint_error("attach", endpoint, source);
        let key = namespace::identity(netns).map_err(failed)?;
        let prepared = lock(&self.inner.prepared).get_mut(&key).and_then(|prepared| prepared.route.take());
        let mut socket = match prepared {
            Some(socket) => socket,
            None => run_in(Place::In(netns), Socket::route).map_err(failed)?,
        };
        let result = veth::attach(&router, &mut socket, netns, endpoint, network, self.mtu(network)).await;
        // The next network of this container uses it too.
        if let Some(prepared) = lock(&self.inner.prepared).get_mut(&key) {
            prepared.route = Some(socket);
        }
        match result {
            Err(err) if err.raw_os_error() == Some(nix::libc::EXFULL) => {
                Err(NetError::Full { network: network.name.clone() })
            }
            result => result.map_err(failed),
        }
    }

    /// Takes a container off a network; gone already is fine.
    pub async fn detach(&self, endpoint: &Endpoint) -> Result<(), NetError> {
        let Some(router) = self.opened() else { return Ok(()) };
        bridge::delete(&router, messages::delete_link(&endpoint.veth))
            .await
            .map_err(|source| self.endpoint_error("detach", endpoint, source))
    }

    /// Removes every link of a project, bridges and veth pairs, with one message.
    pub async fn remove_group(&self, group: u32) -> Result<(), NetError> {
        let Some(router) = self.opened() else { return Ok(()) };
        let failed = |source| NetError::Namespace { action: "remove the links of a project", source };
        // Group 0 is where links are that nobody put anywhere, the uplink among them.
        if group == 0 {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        bridge::remove_group(&router, group).await.map_err(failed)?;
        lock(&self.inner.networks).retain(|_, standing| standing.spec.group != group);
        Ok(())
    }

    /// Starts to answer DNS at 127.0.0.11 inside a container, for names on its networks. Other
    /// questions go to `upstream`, or to the host's resolvers when that is empty; from containers
    /// that are on internal networks only they go nowhere.
    ///
    /// The sockets hold the namespace until [`Net::stop_dns`].
    pub async fn serve_dns(
        &self,
        id: &ContainerId,
        netns: BorrowedFd<'_>,
        networks: Vec<NetworkName>,
        upstream: Vec<IpAddr>,
    ) -> Result<(), NetError> {
        let failed = |source| NetError::Namespace { action: "open 127.0.0.11:53 inside the container", source };
        self.inner.dns.stop(id);
        let key = namespace::identity(netns).map_err(failed)?;
        let prepared = lock(&self.inner.prepared).remove(&key).and_then(|prepared| prepared.dns);
        let sockets = match prepared {
            Some(sockets) => sockets,
            None => run_in(Place::In(netns), dns::Sockets::open).map_err(failed)?,
        };
        self.inner.dns.serve(id, sockets, networks, upstream, netns).map_err(failed)
    }

    /// Changes which networks' names a container is answered; `false` when it is not served.
    pub fn set_networks(&self, id: &ContainerId, networks: Vec<NetworkName>) -> bool {
        self.inner.dns.set_networks(id, networks)
    }

    /// Stops to answer inside a container and closes its sockets.
    pub fn stop_dns(&self, id: &ContainerId) {
        self.inner.dns.stop(id);
    }

    /// Replaces the names of one container; `None` removes them.
    pub fn set_records(&self, id: &ContainerId, records: Option<Vec<Record>>) {
        self.inner.dns.set_records(id, records);
    }

    /// Returns the router namespace, for the upstream sockets of published ports.
    pub fn router_fd(&self) -> Result<OwnedFd, NetError> {
        let router = self.opened().ok_or(NetError::NoRouter)?;
        let failed = |source| NetError::Namespace { action: "duplicate a descriptor", source };
        router.namespace.try_clone().map_err(failed)
    }

    /// Returns what the pool of subnets must avoid: every route, address and resolver of the host,
    /// and the networks that stand.
    pub async fn used_subnets(&self) -> Result<Vec<IpNetwork>, NetError> {
        let failed = |source| NetError::Namespace { action: "read the host's routes", source };
        let (mut used, _) = self.on_host(|| uplink::host_routes(&mut Socket::route()?)).map_err(failed)?;
        used.extend(dns::host_resolvers().into_iter().filter(|ip| !ip.is_loopback()).map(IpNetwork::from));
        if let Some(router) = self.opened() {
            used.extend(bridge::subnets(&router).map_err(failed)?);
        }
        used.sort();
        used.dedup();
        Ok(used)
    }

    /// Returns the host's address on the uplink, once there is one: what containers reach the host by.
    pub fn host_address(&self) -> Option<std::net::Ipv4Addr> {
        lock(&self.inner.uplink).as_ref().map(|uplink| uplink.host)
    }

    /// Returns once a link of the router namespace went away or down since the last call. Cancel-safe.
    pub async fn links_lost(&self) {
        self.inner.lost.notified().await;
    }

    /// Makes the uplink anew when it was removed.
    pub async fn mend_way_out(&self) -> Result<(), NetError> {
        let router = self.router().await?;
        let failed = |source| NetError::Uplink { instance: self.inner.config.instance.clone(), source };
        *lock(&self.inner.uplink) = uplink::find(&router).map_err(failed)?;
        self.ensure_uplink(&router, None).await
    }

    /// Returns the links that stand in the router namespace.
    pub async fn observe(&self) -> Result<ObservedNet, NetError> {
        let Some(router) = self.opened() else { return Ok(ObservedNet::default()) };
        let failed = |source| NetError::Namespace { action: "list the links of the router namespace", source };
        bridge::observe(&router).map_err(failed)
    }

    /// Removes everything: DNS, the router namespace with all links, the uplink and the host's rules.
    pub async fn teardown(&self) -> Result<(), NetError> {
        let _one = self.inner.making.lock().await;
        self.inner.dns.stop_all();
        lock(&self.inner.prepared).clear();
        lock(&self.inner.networks).clear();
        let instance = &self.inner.config.instance;
        *lock(&self.inner.uplink) = None;
        self.inner.dns.set_host_address(None);
        let removed = self.on_host(|| uplink::remove(instance, &self.remember()));
        let router = lock(&self.inner.router).take();
        drop(router);
        // Go on after a failure: every piece that can go goes.
        let forgotten = namespace::forget(instance);
        removed.map_err(|source| NetError::Uplink { instance: instance.clone(), source })?;
        forgotten.map_err(|source| NetError::Router { instance: instance.clone(), source })
    }

    fn opened(&self) -> Option<Arc<Router>> {
        lock(&self.inner.router).clone()
    }

    async fn router(&self) -> Result<Arc<Router>, NetError> {
        if let Some(router) = self.opened() {
            return Ok(router);
        }
        let _one = self.inner.making.lock().await;
        if let Some(router) = self.opened() {
            return Ok(router);
        }
        let instance = &self.inner.config.instance;
        let router = Router::create(instance, Arc::clone(&self.inner.lost))
            .map_err(|source| NetError::Router { instance: instance.clone(), source })?;
        let router = Arc::new(router);
        *lock(&self.inner.router) = Some(Arc::clone(&router));
        Ok(router)
    }

    async fn ensure_uplink(&self, router: &Router, spec: Option<&NetworkSpec>) -> Result<(), NetError> {
        let _one = self.inner.making.lock().await;
        let instance = &self.inner.config.instance;
        let standing = *lock(&self.inner.uplink);
        let mut taken: Vec<IpNetwork> =
            lock(&self.inner.networks).values().map(|standing| IpNetwork::V4(standing.spec.subnet)).collect();
        taken.extend(spec.map(|spec| IpNetwork::V4(spec.subnet)));
        let work = || match standing {
            Some(uplink) => uplink::guard(instance, &uplink).map(|()| uplink),
            None => uplink::make(instance, router, &taken, &self.remember()),
        };
        let uplink = self.on_host(work).map_err(|source| NetError::Uplink { instance: instance.clone(), source })?;
        *lock(&self.inner.uplink) = Some(uplink);
        self.inner.dns.set_host_address(Some(uplink.host));
        Ok(())
    }

    /// Returns what `work` returns, run in the host's namespace.
    fn on_host<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match &self.inner.host {
            None => work(),
            Some(host) => run_in(Place::In(host.as_fd()), work),
        }
    }

    /// Returns the file that keeps what the host's `ip_forward` was.
    fn remember(&self) -> PathBuf {
        self.inner.config.run.join("ip_forward")
    }

    fn mtu(&self, spec: &NetworkSpec) -> u32 {
        spec.mtu.or_else(|| lock(&self.inner.uplink).map(|uplink| uplink.mtu)).unwrap_or(1500)
    }

    fn endpoint_error(&self, action: &'static str, endpoint: &Endpoint, source: io::Error) -> NetError {
        NetError::Endpoint {
            action,
            veth: endpoint.veth.clone(),
            interface: endpoint.interface.clone(),
            network: endpoint.network.clone(),
            source,
        }
    }
}

/// Locks; a panic elsewhere leaves these small maps whole.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

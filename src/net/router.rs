//! The router namespace: made once per engine, kept under `/run/netns/<instance>`.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use rtnetlink::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::namespace::{self, Place, run_in};
use super::netlink::Socket;
use super::nft::{self, Chain, Change, Family, Hook, Set, Statement, Table};
use super::watch::Watch;
use super::{lock, messages};

/// The uplink's name inside the router namespace.
pub(super) const UPLINK: &str = "uplink";
/// Bridges whose containers may leave.
const OUTBOUND: &str = "outbound";
/// Every bridge paired with itself.
const BRIDGED: &str = "bridged";

/// An open router namespace.
pub(super) struct Router {
    pub(super) namespace: OwnedFd,
    /// Links are made, changed and listed with this.
    pub(super) links: Handle,
    /// Addresses and routes, several in one system call.
    pub(super) route: Mutex<Socket>,
    netfilter: Mutex<Socket>,
    table: Table,
    /// Index of each bridge, by link name.
    pub(super) bridges: Mutex<HashMap<String, u32>>,
    connection: JoinHandle<()>,
    watching: JoinHandle<()>,
}

impl Drop for Router {
    fn drop(&mut self) {
        // Their sockets would else hold the namespace.
        self.watching.abort();
        self.connection.abort();
    }
}

struct Opened {
    namespace: OwnedFd,
    connection: JoinHandle<()>,
    watch: Watch,
    links: Handle,
    route: Socket,
    netfilter: Socket,
}

impl Router {
    /// Makes the namespace, with forwarding and the ruleset in force, and keeps it. `lost` is told
    /// when a link in it goes away or down.
    pub(super) fn create(instance: &str, lost: Arc<Notify>) -> io::Result<Self> {
        let table = ruleset(instance);
        let runtime = tokio::runtime::Handle::current();
        // What a crash between `keep` and the end left over.
        namespace::forget(instance)?;
        let opened = run_in(Place::New, || {
            settings()?;
            let mut opened = Opened::here(&runtime)?;
            let mut first = vec![messages::loopback_up()];
            first.extend(messages::transparent_routes());
            first_refusal(opened.route.send(&first)?)?;
            nft::apply(&mut opened.netfilter, &[Change::Create(&table)])?;
            namespace::keep(instance)?;
            Ok(opened)
        })?;
        Ok(Self::new(opened, table, lost))
    }

    /// Opens the namespace if it is there, for instance after the daemon was restarted.
    pub(super) fn open(instance: &str, lost: Arc<Notify>) -> io::Result<Option<Self>> {
        let Some(namespace) = namespace::kept(instance)? else { return Ok(None) };
        let table = ruleset(instance);
        let runtime = tokio::runtime::Handle::current();
        let opened = run_in(Place::In(namespace.as_fd()), || {
            let mut opened = Opened::here(&runtime)?;
            // Somebody flushed the rules, or the engine died while it made the namespace.
            if !nft::table_exists(&mut opened.netfilter, Family::Inet, &table.name)? {
                settings()?;
                let mut first = vec![messages::loopback_up()];
                first.extend(messages::transparent_routes());
                let refused = opened.route.send(&first)?;
                first_refusal(refused.into_iter().filter(|r| r.error.kind() != io::ErrorKind::AlreadyExists))?;
                nft::apply(&mut opened.netfilter, &[Change::Create(&table)])?;
            }
            Ok(opened)
        })?;
        Ok(Some(Self::new(opened, table, lost)))
    }

    fn new(opened: Opened, table: Table, lost: Arc<Notify>) -> Self {
        let Opened { namespace, connection, mut watch, links, route, netfilter } = opened;
        let watching = tokio::spawn(async move {
            loop {
                match watch.lost().await {
                    // A permit is kept for who is not listening right now.
                    Ok(()) => lost.notify_one(),
                    Err(error) => {
                        tracing::warn!(%error, "links that are removed are not noticed any more");
                        return;
                    }
                }
            }
        });
        Self {
            namespace,
            links,
            route: Mutex::new(route),
            netfilter: Mutex::new(netfilter),
            table,
            bridges: Mutex::new(HashMap::new()),
            connection,
            watching,
        }
    }

    /// Lets a bridge's packets through: among its own ports always, to the uplink unless the
    /// network is internal.
    pub(super) fn admit(&self, bridge: &str, internal: bool) -> io::Result<()> {
        let mut socket = lock(&self.netfilter);
        let mut changes = vec![Change::Insert(&self.table, BRIDGED, vec![vec![bridge.to_owned(), bridge.to_owned()]])];
        if internal {
            let out = Change::Remove(&self.table, OUTBOUND, vec![vec![bridge.to_owned()]]);
            ignore_missing(nft::apply(&mut socket, &[out]))?;
        } else {
            changes.push(Change::Insert(&self.table, OUTBOUND, vec![vec![bridge.to_owned()]]));
        }
        nft::apply(&mut socket, &changes)
    }

    /// Takes a bridge out of the ruleset.
    pub(super) fn dismiss(&self, bridge: &str) -> io::Result<()> {
        let mut socket = lock(&self.netfilter);
        let pair = vec![vec![bridge.to_owned(), bridge.to_owned()]];
        ignore_missing(nft::apply(&mut socket, &[Change::Remove(&self.table, BRIDGED, pair)]))?;
        ignore_missing(nft::apply(&mut socket, &[Change::Remove(&self.table, OUTBOUND, vec![vec![bridge.to_owned()]])]))
    }
}

impl Opened {
    fn here(runtime: &tokio::runtime::Handle) -> io::Result<Self> {
        let _entered = runtime.enter();
        let (connection, links, _) = rtnetlink::new_connection()?;
        Ok(Self {
            namespace: namespace::current()?,
            connection: runtime.spawn(connection),
            watch: Watch::open()?,
            links,
            route: Socket::route()?,
            netfilter: Socket::netfilter()?,
        })
    }
}

/// Returns the first refusal as an error.
pub(super) fn first_refusal(refused: impl IntoIterator<Item = super::netlink::Refused>) -> io::Result<()> {
    refused.into_iter().next().map_or(Ok(()), |refused| Err(refused.error))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Makes the calling thread's namespace forward, and guards it against forged sources.
fn settings() -> io::Result<()> {
    namespace::set("ipv4/ip_forward", "1")?;
    namespace::set("ipv4/conf/all/rp_filter", "1")?;
    namespace::set("ipv4/conf/all/send_redirects", "0")?;
    namespace::set("ipv4/conf/default/send_redirects", "0")?;
    // Where the kernel has no IPv6, or nobody loaded br_netfilter, there is nothing to set.
    for (key, value) in [
        ("ipv6/conf/all/forwarding", "1"),
        ("ipv6/conf/default/accept_ra", "0"),
        ("ipv6/conf/default/addr_gen_mode", "1"),
        ("bridge/bridge-nf-call-iptables", "0"),
        ("bridge/bridge-nf-call-ip6tables", "0"),
        ("bridge/bridge-nf-call-arptables", "0"),
    ] {
        ignore_missing(namespace::set(key, value))?;
    }
    Ok(())
}

/// Returns the ruleset of the router namespace.
///
/// Networks are apart because nothing but replies, a bridge's own traffic and the way to the
/// uplink is let through; adding a network only adds elements to the sets. `bridged` matters when
/// br_netfilter is loaded (Docker does that) and shows bridged packets to this chain.
pub(super) fn ruleset(name: &str) -> Table {
    Table {
        family: Family::Inet,
        name: name.to_owned(),
        sets: vec![Set { name: OUTBOUND, width: 1 }, Set { name: BRIDGED, width: 2 }],
        chains: vec![
            Chain {
                name: "prerouting",
                hook: Hook::Prerouting,
                drop: false,
                rules: vec![vec![
                    Statement::TransparentSocket,
                    Statement::SetMark(messages::TRANSPARENT_MARK),
                    Statement::Accept,
                ]],
            },
            Chain {
                name: "forward",
                hook: Hook::Forward,
                drop: true,
                rules: vec![
                    vec![Statement::Established, Statement::Accept],
                    vec![Statement::PairIn(BRIDGED), Statement::Accept],
                    vec![Statement::IifnameIn(OUTBOUND), Statement::Oifname(UPLINK.to_owned()), Statement::Accept],
                    vec![Statement::Reject],
                ],
            },
            Chain {
                name: "postrouting",
                hook: Hook::Postrouting,
                drop: false,
                rules: vec![vec![Statement::Oifname(UPLINK.to_owned()), Statement::Masquerade]],
            },
        ],
    }
}

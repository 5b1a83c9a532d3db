//! Bridges in the router namespace, and what stands there.

use std::io;

use futures_util::TryStreamExt as _;
use ipnetwork::IpNetwork;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoKind, LinkMessage};

use super::router::{Router, UPLINK, first_refusal};
use super::uplink::{gone, link_by_name};
use super::{lock, messages, netlink};
use crate::ids::NetworkName;
use crate::spec::NetworkSpec;

/// The links that stand in the router namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNet {
    /// Bridges.
    pub bridges: Vec<ObservedBridge>,
    /// The router's sides of veth pairs, without the uplink.
    pub veths: Vec<ObservedVeth>,
    /// The way out stands.
    pub uplink: bool,
}

/// A bridge that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedBridge {
    /// Its link name.
    pub name: String,
    /// The network it was made for.
    pub network: Option<NetworkName>,
    /// Its device group.
    pub group: u32,
    /// It is up.
    pub up: bool,
}

/// The router's side of a veth pair that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedVeth {
    /// Its link name.
    pub name: String,
    /// The bridge it hangs on.
    pub bridge: Option<String>,
    /// Its device group.
    pub group: u32,
    /// It is up.
    pub up: bool,
}

/// Makes the bridge or changes it to what it should be.
pub(super) async fn ensure(router: &Router, spec: &NetworkSpec, mtu: u32) -> io::Result<()> {
    let make = router.links.link().add(messages::bridge(spec, mtu)).set_flags(NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);
    let alias = router.links.link().change(messages::alias(&spec.bridge, spec.name.as_str()));
    let find =
        async { router.links.link().get().match_name(spec.bridge.clone()).execute().try_collect::<Vec<_>>().await };
    // Each sends when it is first polled: the three are on their way at once, in this order.
    let (made, named, found) = futures_util::future::join3(make.execute(), alias.execute(), find).await;
    made.map_err(io_error)?;
    named.map_err(io_error)?;
    let index = found.map_err(io_error)?.first().ok_or(io::ErrorKind::NotFound)?.header.index;
    let mut addresses = vec![messages::address(index, spec.gateway.into(), spec.subnet.prefix())];
    if let Some((subnet, gateway)) = spec.ipv6 {
        let own = messages::link_local(messages::hardware(spec.gateway));
        addresses.push(messages::address(index, gateway.into(), subnet.prefix()));
        addresses.push(messages::address(index, own.into(), 64));
    }
    first_refusal(lock(&router.route).send(&addresses)?)?;
    router.admit(&spec.bridge, spec.internal)?;
    lock(&router.bridges).insert(spec.bridge.clone(), index);
    Ok(())
}

/// Returns the index of a bridge; looks it up when it is not known yet.
pub(super) fn index(router: &Router, bridge: &str) -> io::Result<u32> {
    if let Some(index) = lock(&router.bridges).get(bridge) {
        return Ok(*index);
    }
    let link = link_by_name(&mut lock(&router.route), bridge)?.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("there is no bridge {bridge} in the router namespace"))
    })?;
    lock(&router.bridges).insert(bridge.to_owned(), link.index);
    Ok(link.index)
}

/// Removes a network's bridge; looks for it by its note when its name is not known.
pub(super) async fn remove(router: &Router, network: &NetworkName, bridge: Option<String>) -> io::Result<()> {
    let bridge = match bridge {
        Some(bridge) => Some(bridge),
        None => {
            let standing = observe(router)?.bridges;
            standing.into_iter().find(|bridge| bridge.network.as_ref() == Some(network)).map(|bridge| bridge.name)
        }
    };
    let Some(bridge) = bridge else { return Ok(()) };
    delete(router, messages::delete_link(&bridge)).await?;
    lock(&router.bridges).remove(&bridge);
    router.dismiss(&bridge)
}

/// Removes all links of a group and their places in the ruleset.
pub(super) async fn remove_group(router: &Router, group: u32) -> io::Result<()> {
    let bridges = observe(router)?.bridges;
    delete(router, messages::delete_group(group)).await?;
    for bridge in bridges.iter().filter(|bridge| bridge.group == group) {
        lock(&router.bridges).remove(&bridge.name);
        router.dismiss(&bridge.name)?;
    }
    Ok(())
}

/// Deletes links; none there is fine.
pub(super) async fn delete(router: &Router, message: LinkMessage) -> io::Result<()> {
    match router.links.link().del_with_message(message).execute().await.map_err(io_error) {
        Err(err) if gone(&err) => Ok(()),
        result => result,
    }
}

/// Returns what stands in the router namespace.
///
/// Not by the asynchronous connection: the kernel refuses (EBUSY) a second list on a socket that
/// is not done with the first, and two tasks may well ask at the same time.
pub(super) fn observe(router: &Router) -> io::Result<ObservedNet> {
    let links: Vec<messages::LinkFacts> = netlink::dump(&mut lock(&router.route), messages::get_links())?
        .iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(messages::facts(link)),
            _ => None,
        })
        .collect();
    let name = |index: u32| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
    let of = |kind: InfoKind| links.iter().filter(move |link| link.kind == Some(kind.clone()));
    Ok(ObservedNet {
        bridges: of(InfoKind::Bridge)
            .map(|link| ObservedBridge {
                name: link.name.clone(),
                network: link.alias.clone().map(NetworkName::new),
                group: link.group,
                up: link.up,
            })
            .collect(),
        veths: of(InfoKind::Veth)
            .filter(|link| link.name != UPLINK)
            .map(|link| ObservedVeth {
                name: link.name.clone(),
                bridge: link.master.and_then(name),
                group: link.group,
                up: link.up,
            })
            .collect(),
        uplink: links.iter().any(|link| link.name == UPLINK && link.up),
    })
}

/// Returns the subnets of every link in the router namespace.
pub(super) fn subnets(router: &Router) -> io::Result<Vec<IpNetwork>> {
    let addresses = netlink::dump(&mut lock(&router.route), messages::get_addresses())?;
    let subnet = |message| match message {
        RouteNetlinkMessage::NewAddress(message) => {
            let (ip, prefix) = messages::address_of(&message)?;
            let network = IpNetwork::new(ip, prefix).ok()?;
            (!ip.is_loopback()).then(|| IpNetwork::new(network.network(), prefix).ok()).flatten()
        }
        _ => None,
    };
    Ok(addresses.into_iter().filter_map(subnet).collect())
}

/// Returns the kernel's error number as an error.
pub(super) fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}

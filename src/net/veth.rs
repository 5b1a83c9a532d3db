//! A container's namespace and its places on networks.

use std::io;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::netlink::Socket;
use super::router::{Router, first_refusal};
use super::uplink::link_by_name;
use super::{Prepared, bridge, dns, lock, messages, namespace};
use crate::spec::{Endpoint, NetworkSpec};

/// Sets the calling thread's fresh namespace up and opens the sockets that are needed later.
pub(super) fn prepare() -> io::Result<(OwnedFd, Prepared)> {
    let mut route = Socket::route()?;
    first_refusal(route.send(&[messages::loopback_up()])?)?;
    // As Docker: any user may open any port and send an echo request.
    namespace::set("ipv4/ip_unprivileged_port_start", "0")?;
    namespace::set("ipv4/ping_group_range", "0 2147483647")?;
    // Another container must not become the router by saying so; addresses are ours to give.
    for (key, value) in [("ipv6/conf/default/accept_ra", "0"), ("ipv6/conf/default/addr_gen_mode", "1")] {
        match namespace::set(key, value) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
    }
    let dns = dns::Sockets::open()?;
    Ok((namespace::current()?, Prepared { route: Some(route), dns: Some(dns) }))
}

/// Makes the pair, or repairs the one that stands; then addresses and route in one message.
///
/// `container` is a routing socket of the container's namespace.
pub(super) async fn attach(
    router: &Router,
    container: &mut Socket,
    netns: BorrowedFd<'_>,
    endpoint: &Endpoint,
    network: &NetworkSpec,
    mtu: u32,
) -> io::Result<()> {
    let mut link = make(router, container, netns, endpoint, network, mtu).await;
    if matches!(&link, Err(err) if super::uplink::gone(err) || err.kind() == io::ErrorKind::InvalidInput) {
        // The bridge was deleted and made again behind our back: its index is another.
        lock(&router.bridges).remove(&network.bridge);
        link = make(router, container, netns, endpoint, network, mtu).await;
    }
    let link = link?;
    let mut messages =
        vec![messages::up(link), messages::address(link, endpoint.address.into(), network.subnet.prefix())];
    if let (Some(address), Some((subnet, _))) = (endpoint.address6, network.ipv6) {
        messages.push(messages::address(link, address.into(), subnet.prefix()));
        messages.push(messages::address(link, messages::link_local(endpoint.mac).into(), 64));
    }
    if endpoint.default_route {
        messages.push(messages::default_route(IpAddr::V4(network.gateway)));
        if let (Some(_), Some((_, gateway))) = (endpoint.address6, network.ipv6) {
            messages.push(messages::default_route(IpAddr::V6(gateway)));
        }
    }
    first_refusal(container.send(&messages)?)
}

/// Returns the index of the container's side.
async fn make(
    router: &Router,
    container: &mut Socket,
    netns: BorrowedFd<'_>,
    endpoint: &Endpoint,
    network: &NetworkSpec,
    mtu: u32,
) -> io::Result<u32> {
    let bridge = bridge::index(router, &network.bridge)?;
    let create = || messages::pair(endpoint, bridge, network.group, mtu, netns);
    let mut made = router.links.link().add(create()).execute().await.map_err(bridge::io_error);
    if matches!(&made, Err(err) if err.kind() == io::ErrorKind::AlreadyExists) {
        if let Some(link) = link_by_name(container, &endpoint.interface)? {
            let back = messages::reattach(&endpoint.veth, bridge, network.group);
            match router.links.link().change(back).execute().await.map_err(bridge::io_error) {
                Ok(()) => return Ok(link.index),
                Err(err) if super::uplink::gone(&err) => {}
                Err(err) => return Err(err),
            }
        }
        // The name belongs to a pair whose container is gone.
        bridge::delete(router, messages::delete_link(&endpoint.veth)).await?;
        made = router.links.link().add(create()).execute().await.map_err(bridge::io_error);
    }
    made?;
    let link = link_by_name(container, &endpoint.interface)?;
    Ok(link.ok_or_else(|| io::Error::other("the new link is not in the container's namespace"))?.index)
}

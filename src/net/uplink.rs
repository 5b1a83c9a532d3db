//! The one way out: a veth pair between the router namespace and the host, with masquerade.
//!
//! On the host there are this link, one table named like the instance, `ip_forward`, and, where
//! Docker's firewall would drop what we forward, two rules in the chain it keeps for others.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::path::Path;

use ipnetwork::{IpNetwork, Ipv4Network};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::{self, Socket};
use super::nft::{self, Chain, Change, Family, Hook, Statement, Table};
use super::router::{Router, UPLINK, first_refusal};
use super::{lock, messages};

/// Where the uplink's two addresses are taken from: the first /30 that the host does not use.
/// Not 100.64.0.0/10: Tailscale drops packets from there that did not come through it.
const POOL: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(10, 252, 0, 0), 16),
    (Ipv4Addr::new(172, 31, 252, 0), 22),
    (Ipv4Addr::new(192, 168, 252, 0), 22),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
];

/// A standing uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uplink {
    /// The host's side: what containers reach as `host.docker.internal`.
    pub(super) host: Ipv4Addr,
    /// The router's side: the source of everything that leaves.
    pub(super) router: Ipv4Addr,
    /// Of the host's default route.
    pub(super) mtu: u32,
}

/// Returns the uplink that stands in the router namespace, if one does.
pub(super) fn find(router: &Router) -> io::Result<Option<Uplink>> {
    let mut socket = lock(&router.route);
    let Some(link) = link_by_name(&mut socket, UPLINK)? else { return Ok(None) };
    let address =
        netlink::dump(&mut socket, messages::get_addresses())?.into_iter().find_map(|message| match message {
            RouteNetlinkMessage::NewAddress(message) if message.header.index == link.index => {
                messages::address_of(&message)
            }
            _ => None,
        });
    let Some((IpAddr::V4(address), 30)) = address else { return Ok(None) };
    Ok(Some(Uplink { host: Ipv4Addr::from_bits(address.to_bits() - 1), router: address, mtu: link.mtu }))
}

/// Makes the uplink; runs in the host's namespace.
///
/// `remember` is the file that keeps what `ip_forward` was; `taken` are subnets of ours.
pub(super) fn make(instance: &str, router: &Router, taken: &[IpNetwork], remember: &Path) -> io::Result<Uplink> {
    let mut host = Socket::route()?;
    let (mut used, mtu) = host_routes(&mut host)?;
    used.extend_from_slice(taken);
    let subnet = choose(instance, &used)
        .ok_or_else(|| io::Error::other("every address of the uplink's pool is in use on this host"))?;
    let uplink = Uplink {
        host: Ipv4Addr::from_bits(subnet.ip().to_bits() + 1),
        router: Ipv4Addr::from_bits(subnet.ip().to_bits() + 2),
        mtu,
    };
    // A half-made one is in the way.
    let delete = netlink::route(RouteNetlinkMessage::DelLink(messages::delete_link(instance)), 0);
    let _gone_already = host.send(&[delete])?;
    first_refusal(host.send(&[messages::uplink(instance, UPLINK, mtu, router.namespace.as_fd())])?)?;
    let link = link_by_name(&mut host, instance)?.ok_or(io::ErrorKind::NotFound)?;
    first_refusal(host.send(&[messages::address(link.index, uplink.host.into(), 30)])?)?;

    let mut inside = lock(&router.route);
    let peer = link_by_name(&mut inside, UPLINK)?.ok_or(io::ErrorKind::NotFound)?;
    first_refusal(inside.send(&[
        messages::up(peer.index),
        messages::address(peer.index, uplink.router.into(), 30),
        messages::default_route(uplink.host.into()),
    ])?)?;
    drop(inside);

    forward(remember)?;
    guard(instance, &uplink)?;
    Ok(uplink)
}

/// Puts the host's rules in force, again if somebody flushed them; runs in the host's namespace.
pub(super) fn guard(instance: &str, uplink: &Uplink) -> io::Result<()> {
    let mut socket = Socket::netfilter()?;
    if !nft::table_exists(&mut socket, Family::Ip, instance)? {
        nft::apply(&mut socket, &[Change::Create(&masquerade(instance, uplink))])?;
    }
    let chains = nft::chains(&mut socket)?;
    let mut in_filter = chains.iter().filter(|chain| chain.family == 2 && chain.table == "filter");
    if in_filter.any(|chain| chain.name == DOCKER_USER) {
        let known = nft::rules(&mut socket, Family::Ip, "filter", DOCKER_USER)?;
        if !known.iter().any(|rule| rule.comment.as_deref() == Some(instance)) {
            let add = |rule| Change::Prepend {
                family: Family::Ip,
                table: "filter",
                chain: DOCKER_USER,
                rule,
                comment: instance,
            };
            nft::apply(&mut socket, &docker_rules(instance).map(add))?;
        }
    } else if let Some(chain) = chains.iter().find(|chain| chain.drops_forwarded && chain.table != instance) {
        tracing::warn!(
            table = chain.table,
            chain = chain.name,
            "the host's firewall drops forwarded packets: containers reach nothing outside until it accepts \
             those from and to the link {instance}"
        );
    } else if legacy_iptables() {
        tracing::warn!(
            "the host has rules of iptables-legacy, which cannot be changed from here: if they drop forwarded \
             packets, run `iptables-legacy -I DOCKER-USER -i {instance} -j ACCEPT` and the same with -o"
        );
    }
    Ok(())
}

/// Takes the uplink and its rules away and gives `ip_forward` its old value; runs in the host's
/// namespace. What is gone already is fine.
pub(super) fn remove(instance: &str, remember: &Path) -> io::Result<()> {
    let mut socket = Socket::netfilter()?;
    if nft::table_exists(&mut socket, Family::Ip, instance)? {
        nft::apply(&mut socket, &[Change::Delete(Family::Ip, instance)])?;
    }
    // A dump of a chain that is not there is empty.
    for rule in nft::rules(&mut socket, Family::Ip, "filter", DOCKER_USER).unwrap_or_default() {
        if rule.comment.as_deref() == Some(instance) {
            let handle = rule.handle;
            let change = Change::DeleteRule { family: Family::Ip, table: "filter", chain: DOCKER_USER, handle };
            nft::apply(&mut socket, &[change])?;
        }
    }
    let mut route = Socket::route()?;
    let delete = netlink::route(RouteNetlinkMessage::DelLink(messages::delete_link(instance)), 0);
    let refused = route.send(&[delete])?;
    first_refusal(refused.into_iter().filter(|refused| !gone(&refused.error)))?;
    if let Ok(before) = std::fs::read_to_string(remember) {
        if before.trim() == "0" && !other_engines(&mut route)? {
            super::namespace::set("ipv4/ip_forward", "0")?;
        }
        std::fs::remove_file(remember)?;
    }
    Ok(())
}

/// Returns subnets and addresses that the calling thread's namespace uses, and the MTU of its
/// default route.
pub(super) fn host_routes(socket: &mut Socket) -> io::Result<(Vec<IpNetwork>, u32)> {
    let mut used = Vec::new();
    let mut out = None;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        for message in netlink::dump(socket, messages::get_routes(family))? {
            let RouteNetlinkMessage::NewRoute(route) = message else { continue };
            let prefix = route.header.destination_prefix_length;
            let destination = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
                RouteAttribute::Destination(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
                _ => None,
            });
            if let Some(network) = destination.and_then(|ip| IpNetwork::new(ip, prefix).ok()) {
                if prefix > 0 && !network.ip().is_loopback() && !network.ip().is_multicast() {
                    used.push(network);
                }
            } else if prefix == 0 && family == AddressFamily::Inet && out.is_none() {
                out = route.attributes.iter().find_map(|attribute| match attribute {
                    RouteAttribute::Oif(index) => Some(*index),
                    _ => None,
                });
            }
        }
    }
    for message in netlink::dump(socket, messages::get_addresses())? {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        if let Some(network) = messages::address_of(&message).and_then(|(ip, prefix)| IpNetwork::new(ip, prefix).ok())
            && !network.ip().is_loopback()
        {
            used.push(network);
        }
    }
    used.sort();
    used.dedup();
    let mut mtu = 1500;
    if let Some(out) = out {
        for message in netlink::dump(socket, messages::get_links())? {
            if let RouteNetlinkMessage::NewLink(link) = message
                && link.header.index == out
            {
                mtu = messages::facts(&link).mtu;
            }
        }
    }
    Ok((used, mtu.clamp(1280, 65535)))
}

/// Returns what is known of a link, if it is there.
pub(super) fn link_by_name(socket: &mut Socket, name: &str) -> io::Result<Option<messages::LinkFacts>> {
    use rtnetlink::packet_core::{NetlinkDeserializable as _, NetlinkHeader};
    let answers = match socket.ask(messages::get_link(name)) {
        Err(err) if gone(&err) => return Ok(None),
        answers => answers?,
    };
    Ok(answers.into_iter().find_map(|(kind, body)| {
        let mut header = NetlinkHeader::default();
        header.message_type = kind;
        match RouteNetlinkMessage::deserialize(&header, &body).ok()? {
            RouteNetlinkMessage::NewLink(link) => Some(messages::facts(&link)),
            _ => None,
        }
    }))
}

/// Returns whether the error means that the link is not there.
pub(super) fn gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ENODEV)
}

const DOCKER_USER: &str = "DOCKER-USER";

/// Returns what lets our forwarded packets through in the chain Docker leaves to others.
///
/// Only what iptables-nft can read: a `ct` statement would make it refuse the whole chain. The router
/// itself lets nothing but replies in.
fn docker_rules(instance: &str) -> [Vec<Statement>; 2] {
    [
        vec![Statement::Iifname(instance.to_owned()), Statement::Counter, Statement::Accept],
        vec![Statement::Oifname(instance.to_owned()), Statement::Counter, Statement::Accept],
    ]
}

/// Returns the one table on the host.
pub(super) fn masquerade(instance: &str, uplink: &Uplink) -> Table {
    let rule =
        vec![Statement::Source(uplink.router), Statement::NotOifname(instance.to_owned()), Statement::Masquerade];
    Table {
        family: Family::Ip,
        name: instance.to_owned(),
        sets: Vec::new(),
        chains: vec![Chain { name: "postrouting", hook: Hook::Postrouting, drop: false, rules: vec![rule] }],
    }
}

/// Returns the first free /30 of the pool. Engines start looking at different places, so that two
/// of them that start together do not choose the same.
fn choose(instance: &str, used: &[IpNetwork]) -> Option<Ipv4Network> {
    let free = |candidate: &Ipv4Network| {
        !used.iter().any(|network| matches!(network, IpNetwork::V4(network) if network.overlaps(*candidate)))
    };
    let digest = crate::ids::Digest::of(instance.as_bytes());
    let seed = u32::from_str_radix(&digest.hex()[..8], 16).unwrap_or(0);
    POOL.iter().find_map(|&(base, prefix)| {
        let count = 1u32 << (30 - prefix);
        (0..count.min(4096))
            .map(|step| Ipv4Addr::from_bits(base.to_bits() + (seed.wrapping_add(step) % count) * 4))
            .filter_map(|ip| Ipv4Network::new(ip, 30).ok())
            .find(free)
    })
}

/// Turns forwarding on and notes what it was.
fn forward(remember: &Path) -> io::Result<()> {
    let before = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?;
    // A note of an engine that died is older and truer than what is read now.
    if !remember.exists() {
        std::fs::write(remember, &before)?;
    }
    if before.trim() == "1" { Ok(()) } else { super::namespace::set("ipv4/ip_forward", "1") }
}

/// Returns whether another engine's uplink stands on this host.
fn other_engines(socket: &mut Socket) -> io::Result<bool> {
    let links = netlink::dump(socket, messages::get_links())?;
    Ok(links.into_iter().any(|message| match message {
        RouteNetlinkMessage::NewLink(link) => {
            let facts = messages::facts(&link);
            let hash = facts.name.strip_prefix("stack-").unwrap_or("");
            facts.name == "stack" || (hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
        }
        _ => false,
    }))
}

/// Returns whether the calling thread's namespace has rules of the old kind.
fn legacy_iptables() -> bool {
    std::fs::read_to_string("/proc/thread-self/net/ip_tables_names")
        .is_ok_and(|names| names.lines().any(|n| n == "filter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uplink_avoids_what_the_host_uses() {
        let chosen = choose("stack", &[]).unwrap();
        assert!(Ipv4Network::new(Ipv4Addr::new(10, 252, 0, 0), 16).unwrap().is_supernet_of(chosen));
        let vpn: Vec<IpNetwork> = vec!["10.0.0.0/8".parse().unwrap(), "172.16.0.0/12".parse().unwrap()];
        let chosen = choose("stack", &vpn).unwrap();
        assert!(Ipv4Network::new(Ipv4Addr::new(192, 168, 252, 0), 22).unwrap().is_supernet_of(chosen));
        assert_ne!(choose("stack", &[]), choose("stack-0a1b2c3d", &[]));
        assert_eq!(choose("stack", &["0.0.0.0/0".parse().unwrap()]), None);
    }
}

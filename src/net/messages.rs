//! The rtnetlink messages of this module: built here, sent by whoever is in the right namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, route::RouteHeader};
use rtnetlink::{AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::netlink::{Message, route};
use crate::spec::{Endpoint, NetworkSpec};

/// Index of `lo` in every namespace.
const LOOPBACK: u32 = 1;
/// The routing table and the mark that bring replies to transparent sockets.
const TRANSPARENT: u8 = 100;
/// See [`TRANSPARENT`].
pub(super) const TRANSPARENT_MARK: u32 = 1;

/// Returns the bridge of a network, up, with a hardware address that does not change when its
/// ports do (a bridge else takes its lowest port's, and neighbours would lose the gateway).
pub(super) fn bridge(spec: &NetworkSpec, mtu: u32) -> LinkMessage {
    let mut data = LinkBridge::new(&spec.bridge)
        .append_info_data(InfoBridge::MulticastSnooping(false))
        .address(hardware(spec.gateway).to_vec())
        .link_group(spec.group)
        .up();
    if mtu != 1500 {
        data = data.mtu(mtu);
    }
    data.build()
}

/// Returns the change that notes a network's name on its bridge (`ip -details link` shows it).
pub(super) fn alias(link: &str, text: &str) -> LinkMessage {
    LinkUnspec::new_with_name(link).alias(text).build()
}

/// Returns a container's veth pair: the router's side on the bridge, the peer straight in the
/// container's namespace under its final name. That side is down: the kernel refuses to bring it
/// up before the pair is whole (ENOTCONN).
pub(super) fn pair(endpoint: &Endpoint, bridge: u32, group: u32, mtu: u32, namespace: BorrowedFd<'_>) -> LinkMessage {
    let mut peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(endpoint.interface.clone())
        .address(endpoint.mac.to_vec())
        .setns_by_fd(namespace.as_raw_fd());
    let mut link = LinkVeth::new(&endpoint.veth, &endpoint.interface).controller(bridge).link_group(group).up();
    if mtu != 1500 {
        peer = peer.mtu(mtu);
        link = link.mtu(mtu);
    }
    link.set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build()))).build()
}

/// Returns the change that puts an existing veth back on its bridge.
pub(super) fn reattach(veth: &str, bridge: u32, group: u32) -> LinkMessage {
    LinkUnspec::new_with_name(veth).controller(bridge).link_group(group).up().build()
}

/// Returns the uplink: this side in the caller's namespace, the peer in the router's.
pub(super) fn uplink(name: &str, peer: &str, mtu: u32, router: BorrowedFd<'_>) -> Message {
    let inner = LinkMessageBuilder::<LinkUnspec>::new().name(peer).mtu(mtu).setns_by_fd(router.as_raw_fd());
    let link = LinkVeth::new(name, peer).mtu(mtu).up().set_info_data(InfoData::Veth(InfoVeth::Peer(inner.build())));
    route(RouteNetlinkMessage::NewLink(link.build()), NLM_F_CREATE | NLM_F_EXCL)
}

/// Returns the request for a link by name.
pub(super) fn get_link(name: &str) -> Message {
    route(RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build()), 0)
}

/// Returns the message that deletes a link by name.
pub(super) fn delete_link(name: &str) -> LinkMessage {
    LinkUnspec::new_with_name(name).build()
}

/// Returns the message that deletes every link of a device group.
pub(super) fn delete_group(group: u32) -> LinkMessage {
    LinkMessageBuilder::<LinkUnspec>::new().link_group(group).build()
}

/// Returns the message that brings `lo` up.
pub(super) fn loopback_up() -> Message {
    up(LOOPBACK)
}

/// Returns the message that brings a link up.
pub(super) fn up(link: u32) -> Message {
    route(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(link).up().build()), 0)
}

/// Returns the message that gives a link an address; no duplicate address detection.
pub(super) fn address(link: u32, address: IpAddr, prefix: u8) -> Message {
    let mut message: AddressMessage = match address {
        IpAddr::V4(address) => AddressMessageBuilder::<Ipv4Addr>::new().index(link).address(address, prefix).build(),
        IpAddr::V6(address) => AddressMessageBuilder::<Ipv6Addr>::new().index(link).address(address, prefix).build(),
    };
    if address.is_ipv6() {
        message.header.flags |= AddressHeaderFlags::Nodad;
    }
    route(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Returns the message that routes everything else by a gateway.
pub(super) fn default_route(gateway: IpAddr) -> Message {
    let message = match gateway {
        IpAddr::V4(gateway) => {
            RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).protocol(RouteProtocol::Boot).build()
        }
        IpAddr::V6(gateway) => {
            RouteMessageBuilder::<Ipv6Addr>::new().gateway(gateway).protocol(RouteProtocol::Boot).build()
        }
    };
    route(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Returns the messages that take marked packets in as if they were addressed to this host.
pub(super) fn transparent_routes() -> Vec<Message> {
    [AddressFamily::Inet, AddressFamily::Inet6]
        .into_iter()
        .flat_map(|family| {
            let mut rule = RuleMessage::default();
            rule.header.family = family;
            rule.header.table = TRANSPARENT;
            rule.header.action = RuleAction::ToTable;
            rule.attributes.push(RuleAttribute::FwMark(TRANSPARENT_MARK));
            rule.attributes.push(RuleAttribute::Priority(100));
            let mut local: RouteMessage = match family {
                AddressFamily::Inet => RouteMessageBuilder::<Ipv4Addr>::new().output_interface(LOOPBACK).build(),
                _ => RouteMessageBuilder::<Ipv6Addr>::new().output_interface(LOOPBACK).build(),
            };
            local.header.table = TRANSPARENT;
            local.header.kind = RouteType::Local;
            local.header.scope = RouteScope::Host;
            [
                route(RouteNetlinkMessage::NewRule(rule), NLM_F_CREATE | NLM_F_EXCL),
                route(RouteNetlinkMessage::NewRoute(local), NLM_F_CREATE | NLM_F_REPLACE),
            ]
        })
        .collect()
}

/// Returns requests for all routes and all addresses.
pub(super) fn get_routes(family: AddressFamily) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
    RouteNetlinkMessage::GetRoute(message)
}

/// See [`get_routes`].
pub(super) fn get_addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// Returns a request for all links.
pub(super) fn get_links() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkMessage::default())
}

/// Returns a link's name, kind, master, group, MTU and alias, as far as they are told.
pub(super) fn facts(message: &LinkMessage) -> LinkFacts {
    let up = message.header.flags.contains(LinkFlags::Up);
    let mut facts = LinkFacts { index: message.header.index, up, ..LinkFacts::default() };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => facts.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => facts.mtu = *mtu,
            LinkAttribute::Controller(index) => facts.master = Some(*index),
            LinkAttribute::Group(group) => facts.group = *group,
            LinkAttribute::IfAlias(alias) => facts.alias = Some(alias.clone()),
            LinkAttribute::LinkInfo(info) => {
                facts.kind = info.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.clone()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    facts
}

/// See [`facts`].
#[derive(Debug, Clone, Default)]
pub(super) struct LinkFacts {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) kind: Option<InfoKind>,
    pub(super) master: Option<u32>,
    pub(super) group: u32,
    pub(super) mtu: u32,
    pub(super) alias: Option<String>,
    pub(super) up: bool,
}

/// Returns the address of an address message.
pub(super) fn address_of(message: &AddressMessage) -> Option<(IpAddr, u8)> {
    let pick = |local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    Some((pick(true).or_else(|| pick(false))?, message.header.prefix_len))
}

/// Returns the hardware address made from an IPv4 address, as Docker makes it.
pub(super) fn hardware(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// Returns the link-local address of a hardware address (RFC 4291, appendix A).
pub(super) fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 0x02, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}

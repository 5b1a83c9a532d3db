//! The binary form of a ruleset: numbers from linux/netfilter/nf_tables.h and nfnetlink.h.

use std::io;

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};

use super::{Chain, Change, End, Family, Hook, Set, Statement, Table, Transport};
use crate::net::netlink::{Message, Socket};

const SUBSYSTEM: u16 = 10; // NFNL_SUBSYS_NFTABLES
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const GET_CHAIN: u16 = 4;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;

const NESTED: u16 = 0x8000; // NLA_F_NESTED
const LIST_ELEMENT: u16 = 1; // NFTA_LIST_ELEM
const IFNAMSIZ: usize = 16;
/// The set key type `ifname` of the nft program, for its listings.
const TYPE_IFNAME: u32 = 41;
/// Bits of one type in a concatenation.
const TYPE_BITS: u32 = 6;

const REGISTER_1: u32 = 1;
const REGISTER_2: u32 = 2;
const REGISTER_VERDICT: u32 = 0;

/// Returns the messages of one transaction.
pub(super) fn batch(changes: &[Change<'_>]) -> Vec<Message> {
    // The subsystem stands in the resource id of both ends, in network order.
    let end = |kind| Message { kind, flags: 0, body: generic(0, SUBSYSTEM) };
    let mut messages = vec![end(BATCH_BEGIN)];
    for change in changes {
        push(&mut messages, change);
    }
    messages.push(end(BATCH_END));
    messages
}

fn push(messages: &mut Vec<Message>, change: &Change<'_>) {
    match change {
        Change::Create(table) => {
            let mut body = generic(family(table.family), 0);
            text(&mut body, 1, &table.name);
            messages.push(message(NEW_TABLE, NLM_F_CREATE | NLM_F_EXCL, body));
            messages.extend(table.sets.iter().enumerate().map(|(index, set)| new_set(table, set, index)));
            for chain in &table.chains {
                messages.push(new_chain(table, chain));
                for rule in &chain.rules {
                    let body = rule_body(table.family, &table.name, chain.name, rule, None);
                    messages.push(message(NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, body));
                }
            }
        }
        Change::Delete(of, name) => {
            let mut body = generic(family(*of), 0);
            text(&mut body, 1, name);
            messages.push(message(DELETE_TABLE, 0, body));
        }
        Change::Insert(table, set, elements) => {
            messages.push(message(NEW_ELEMENTS, NLM_F_CREATE, element_list(table, set, elements)));
        }
        Change::Remove(table, set, elements) => {
            messages.push(message(DELETE_ELEMENTS, 0, element_list(table, set, elements)));
        }
        Change::Prepend { family, table, chain, rule, comment } => {
            let body = rule_body(*family, table, chain, rule, Some(comment));
            messages.push(message(NEW_RULE, NLM_F_CREATE, body));
        }
        Change::DeleteRule { family: of, table, chain, handle } => {
            let mut body = generic(family(*of), 0);
            text(&mut body, 1, table);
            text(&mut body, 2, chain);
            attribute(&mut body, 3, &handle.to_be_bytes());
            messages.push(message(DELETE_RULE, 0, body));
        }
    }
}

fn new_set(table: &Table, set: &Set, index: usize) -> Message {
    let mut body = generic(family(table.family), 0);
    let kind = (0..set.width).fold(0, |kind, _| kind << TYPE_BITS | TYPE_IFNAME);
    text(&mut body, 1, &table.name);
    text(&mut body, 2, set.name);
    number(&mut body, 3, 0);
    number(&mut body, 4, kind);
    number(&mut body, 5, u32::try_from(set.width * IFNAMSIZ).unwrap_or(u32::MAX));
    number(&mut body, 10, u32::try_from(index + 1).unwrap_or(u32::MAX));
    // For listings: NFTNL_UDATA_SET_KEYBYTEORDER, length, host byte order.
    attribute(&mut body, 13, &[&[0, 4][..], &1u32.to_ne_bytes()].concat());
    message(NEW_SET, NLM_F_CREATE | NLM_F_EXCL, body)
}

fn new_chain(table: &Table, chain: &Chain) -> Message {
    // Hook number, priority and type as in linux/netfilter.h, netfilter_ipv4.h.
    let (hook, priority, kind) = match chain.hook {
        Hook::Prerouting => (0, -150, "filter"),
        Hook::Forward => (2, 0, "filter"),
        Hook::Postrouting => (4, 100, "nat"),
        Hook::Output => (3, -150, "filter"),
    };
    let mut body = generic(family(table.family), 0);
    text(&mut body, 1, &table.name);
    text(&mut body, 3, chain.name);
    nested(&mut body, 4, |body| {
        number(body, 1, hook);
        attribute(body, 2, &i32::to_be_bytes(priority));
    });
    number(&mut body, 5, u32::from(!chain.drop));
    text(&mut body, 7, kind);
    message(NEW_CHAIN, NLM_F_CREATE | NLM_F_EXCL, body)
}

fn rule_body(of: Family, table: &str, chain: &str, rule: &[Statement], comment: Option<&str>) -> Vec<u8> {
    let mut body = generic(family(of), 0);
    text(&mut body, 1, table);
    text(&mut body, 2, chain);
    nested(&mut body, 4, |body| rule.iter().for_each(|statement| encode(body, statement)));
    if let Some(comment) = comment {
        // The nft program's own form of a comment: type 0, length, text with its NUL.
        let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
        let mut user = vec![0, length];
        user.extend_from_slice(comment.as_bytes());
        user.push(0);
        attribute(&mut body, 7, &user);
    }
    body
}

fn encode(body: &mut Vec<u8>, statement: &Statement) {
    const IIFNAME: u32 = 6;
    const OIFNAME: u32 = 7;
    match statement {
        Statement::Iifname(link) => {
            load_meta(body, IIFNAME, REGISTER_1);
            compare(body, 0, &name(link));
        }
        Statement::Oifname(link) => {
            load_meta(body, OIFNAME, REGISTER_1);
            compare(body, 0, &name(link));
        }
        Statement::NotOifname(link) => {
            load_meta(body, OIFNAME, REGISTER_1);
            compare(body, 1, &name(link));
        }
        Statement::IifnameIn(set) => {
            load_meta(body, IIFNAME, REGISTER_1);
            lookup(body, set);
        }
        Statement::PairIn(set) => {
            load_meta(body, IIFNAME, REGISTER_1);
            load_meta(body, OIFNAME, REGISTER_2);
            lookup(body, set);
        }
        Statement::Established => {
            expression(body, "ct", |body| {
                number(body, 1, REGISTER_1);
                number(body, 2, 0); // NFT_CT_STATE
            });
            // NF_CT_STATE_BIT of established is 2, of related 4; in host order like the register.
            expression(body, "bitwise", |body| {
                number(body, 1, REGISTER_1);
                number(body, 2, REGISTER_1);
                number(body, 3, 4);
                nested(body, 4, |body| attribute(body, 1, &6u32.to_ne_bytes()));
                nested(body, 5, |body| attribute(body, 1, &0u32.to_ne_bytes()));
            });
            compare(body, 1, &0u32.to_ne_bytes());
        }
        Statement::Source(address) => {
            load_payload(body, NETWORK_HEADER, 12, 4);
            compare(body, 0, &address.octets());
        }
        Statement::Destination(address) => {
            load_payload(body, NETWORK_HEADER, 16, 4);
            compare(body, 0, &address.octets());
        }
        Statement::Port(transport, end, port) => {
            load_meta(body, 16, REGISTER_1); // NFT_META_L4PROTO
            compare(
                body,
                0,
                &[match transport {
                    Transport::Udp => 17,
                    Transport::Tcp => 6,
                }],
            );
            load_payload(body, TRANSPORT_HEADER, port_offset(*end), 2);
            compare(body, 0, &port.to_be_bytes());
        }
        Statement::SetPort(transport, end, port) => {
            expression(body, "immediate", |body| {
                number(body, 1, REGISTER_1);
                nested(body, 2, |body| attribute(body, 1, &port.to_be_bytes()));
            });
            expression(body, "payload", |body| {
                number(body, 2, TRANSPORT_HEADER);
                number(body, 3, port_offset(*end));
                number(body, 4, 2);
                number(body, 5, REGISTER_1);
                // The checksum of the internet protocols, and where it stands.
                number(body, 6, 1);
                number(
                    body,
                    7,
                    match transport {
                        Transport::Udp => 6,
                        Transport::Tcp => 16,
                    },
                );
                number(body, 8, 0);
            });
        }
        Statement::TransparentSocket => {
            expression(body, "socket", |body| {
                number(body, 1, 0); // NFT_SOCKET_TRANSPARENT
                number(body, 2, REGISTER_1);
            });
            compare(body, 0, &[1]);
        }
        Statement::SetMark(mark) => {
            expression(body, "immediate", |body| {
                number(body, 1, REGISTER_1);
                nested(body, 2, |body| attribute(body, 1, &mark.to_ne_bytes()));
            });
            expression(body, "meta", |body| {
                number(body, 2, 3); // NFT_META_MARK
                number(body, 3, REGISTER_1);
            });
        }
        Statement::Counter => expression(body, "counter", |_| {}),
        Statement::Accept => expression(body, "immediate", |body| {
            number(body, 1, REGISTER_VERDICT);
            nested(body, 2, |body| nested(body, 2, |body| number(body, 1, 1)));
        }),
        Statement::Reject => expression(body, "reject", |body| {
            number(body, 1, 2); // NFT_REJECT_ICMPX_UNREACH
            attribute(body, 2, &[3]); // NFT_REJECT_ICMPX_ADMIN_PROHIBITED
        }),
        Statement::Masquerade => expression(body, "masq", |_| {}),
    }
}

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

fn port_offset(end: End) -> u32 {
    match end {
        End::Source => 0,
        End::Destination => 2,
    }
}

fn load_payload(body: &mut Vec<u8>, base: u32, offset: u32, length: u32) {
    expression(body, "payload", |body| {
        number(body, 1, REGISTER_1);
        number(body, 2, base);
        number(body, 3, offset);
        number(body, 4, length);
    });
}

fn load_meta(body: &mut Vec<u8>, key: u32, register: u32) {
    expression(body, "meta", |body| {
        number(body, 1, register);
        number(body, 2, key);
    });
}

fn compare(body: &mut Vec<u8>, operator: u32, value: &[u8]) {
    expression(body, "cmp", |body| {
        number(body, 1, REGISTER_1);
        number(body, 2, operator);
        nested(body, 3, |body| attribute(body, 1, value));
    });
}

fn lookup(body: &mut Vec<u8>, set: &str) {
    expression(body, "lookup", |body| {
        text(body, 1, set);
        number(body, 2, REGISTER_1);
    });
}

fn expression(body: &mut Vec<u8>, kind: &str, data: impl FnOnce(&mut Vec<u8>)) {
    nested(body, LIST_ELEMENT, |body| {
        text(body, 1, kind);
        nested(body, 2, data);
    });
}

fn element_list(table: &Table, set: &str, elements: &[Vec<String>]) -> Vec<u8> {
    let mut body = generic(family(table.family), 0);
    text(&mut body, 1, &table.name);
    text(&mut body, 2, set);
    nested(&mut body, 3, |body| {
        for element in elements {
            let key: Vec<u8> = element.iter().flat_map(|link| name(link)).collect();
            nested(body, LIST_ELEMENT, |body| nested(body, 1, |body| attribute(body, 1, &key)));
        }
    });
    body
}

/// Returns a link name as the kernel compares it, filled up with NUL.
fn name(link: &str) -> [u8; IFNAMSIZ] {
    let mut bytes = [0; IFNAMSIZ];
    let length = link.len().min(IFNAMSIZ - 1);
    bytes[..length].copy_from_slice(&link.as_bytes()[..length]);
    bytes
}

fn family(family: Family) -> u8 {
    match family {
        Family::Inet => 1,
        Family::Ip => 2,
    }
}

fn message(kind: u16, flags: u16, body: Vec<u8>) -> Message {
    Message { kind: SUBSYSTEM << 8 | kind, flags: flags | NLM_F_ACK, body }
}

/// Returns `struct nfgenmsg`.
fn generic(family: u8, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family, 0, high, low]
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&length.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn text(body: &mut Vec<u8>, kind: u16, value: &str) {
    let mut bytes = value.as_bytes().to_vec();
    bytes.push(0);
    attribute(body, kind, &bytes);
}

fn number(body: &mut Vec<u8>, kind: u16, value: u32) {
    attribute(body, kind, &value.to_be_bytes());
}

fn nested(body: &mut Vec<u8>, kind: u16, inner: impl FnOnce(&mut Vec<u8>)) {
    let start = body.len();
    body.extend_from_slice(&[0; 4]);
    inner(body);
    let length = u16::try_from(body.len() - start).unwrap_or(u16::MAX);
    body[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    body[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
}

/// What a chain of the host is, as far as it matters to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct ChainInfo {
    pub(in crate::net) family: u8,
    pub(in crate::net) table: String,
    pub(in crate::net) name: String,
    /// It hangs at the forward hook and its policy is to drop.
    pub(in crate::net) drops_forwarded: bool,
}

/// A rule of a chain: its handle and its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct RuleInfo {
    pub(in crate::net) handle: u64,
    pub(in crate::net) comment: Option<String>,
}

/// Returns whether the table exists.
pub(in crate::net) fn table_exists(socket: &mut Socket, of: Family, name: &str) -> io::Result<bool> {
    let mut body = generic(family(of), 0);
    text(&mut body, 1, name);
    match socket.ask(message(GET_TABLE, 0, body)) {
        Ok(_) => Ok(true),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err),
    }
}

/// Returns all chains of the namespace.
pub(in crate::net) fn chains(socket: &mut Socket) -> io::Result<Vec<ChainInfo>> {
    let answers = socket.ask(message(GET_CHAIN, NLM_F_DUMP, generic(0, 0)))?;
    Ok(answers
        .iter()
        .filter_map(|(_, body)| {
            let family = *body.first()?;
            let body = body.get(4..)?;
            let hook = find(body, 4).and_then(|hook| find(hook, 1)).and_then(be32);
            let policy = find(body, 5).and_then(be32);
            Some(ChainInfo {
                family,
                table: find(body, 1).map(string)?,
                name: find(body, 3).map(string)?,
                drops_forwarded: hook == Some(2) && policy == Some(0),
            })
        })
        .collect())
}

/// Returns the rules of a chain, in order.
pub(in crate::net) fn rules(socket: &mut Socket, of: Family, table: &str, chain: &str) -> io::Result<Vec<RuleInfo>> {
    let mut body = generic(family(of), 0);
    text(&mut body, 1, table);
    text(&mut body, 2, chain);
    let answers = socket.ask(message(GET_RULE, NLM_F_DUMP, body))?;
    Ok(answers
        .iter()
        .filter_map(|(_, body)| {
            let body = body.get(4..)?;
            // The kernel may not filter a dump by chain: look ourselves.
            if find(body, 2).map(string)? != chain || find(body, 1).map(string)? != table {
                return None;
            }
            let handle = u64::from_be_bytes(find(body, 3)?.try_into().ok()?);
            let comment =
                find(body, 7).filter(|user| user.first() == Some(&0)).and_then(|user| user.get(2..)).map(string);
            Some(RuleInfo { handle, comment })
        })
        .collect())
}

/// Returns the value of the first attribute of a kind.
fn find(mut body: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let header = body.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = body.get(4..length)?;
        if u16::from_ne_bytes([header[2], header[3]]) & 0x3fff == kind {
            return Some(value);
        }
        body = body.get(length.next_multiple_of(4)..)?;
    }
}

fn be32(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
}

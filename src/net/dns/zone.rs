//! What the engine knows of names, and the answer to a question. Pure.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record as ResourceRecord, RecordType};

use crate::ids::{ContainerId, NetworkName};
use crate::net::Record;

/// Seconds an answer may be kept: records change when a container starts or stops, and clients
/// must see it (spec row run-dns-dynamic).
const TTL: u32 = 1;
/// Names of the host, as Docker Desktop and Docker's `host-gateway` have them.
const HOST_NAMES: [&str; 2] = ["host.docker.internal", "gateway.docker.internal"];
/// What we are willing to send in one datagram with EDNS (RFC 9715).
const MAX_DATAGRAM: u16 = 1232;
/// What every client takes without EDNS (RFC 1035, 4.2.1).
const MIN_DATAGRAM: u16 = 512;

/// All names.
#[derive(Debug, Default)]
pub(in crate::net) struct Zone {
    containers: HashMap<ContainerId, Vec<Record>>,
    /// Addresses by lower-case name, per network.
    names: HashMap<NetworkName, HashMap<String, Vec<Entry>>>,
    internal: HashSet<NetworkName>,
    /// The host as containers reach it.
    pub(in crate::net) host: Option<Ipv4Addr>,
}

#[derive(Debug, Clone)]
struct Entry {
    id: ContainerId,
    address: IpAddr,
}

/// What to do about a question.
#[derive(Debug, PartialEq)]
pub(in crate::net) enum Answer {
    /// Send this.
    Reply(Vec<u8>),
    /// Ask the upstream resolvers; when there are none, send the refusal.
    Forward { refusal: Vec<u8> },
    /// Not a question: say nothing.
    Ignore,
}

impl Zone {
    /// Replaces the records of a container.
    pub(in crate::net) fn set(&mut self, id: &ContainerId, records: Option<Vec<Record>>) {
        if let Some(old) = self.containers.remove(id) {
            for record in old {
                let Some(names) = self.names.get_mut(&record.network) else { continue };
                for name in record.names.iter().map(|name| fold(name)) {
                    if let Some(entries) = names.get_mut(&name) {
                        entries.retain(|entry| entry.id != *id);
                        if entries.is_empty() {
                            names.remove(&name);
                        }
                    }
                }
                if names.is_empty() {
                    self.names.remove(&record.network);
                }
            }
        }
        let Some(records) = records else { return };
        for record in &records {
            let names = self.names.entry(record.network.clone()).or_default();
            let own: HashSet<String> = record.names.iter().map(|name| fold(name)).collect();
            let addresses = [Some(IpAddr::V4(record.address)), record.address6.map(IpAddr::V6)].into_iter().flatten();
            for address in addresses {
                for name in &own {
                    names.entry(name.clone()).or_default().push(Entry { id: id.clone(), address });
                }
            }
        }
        self.containers.insert(id.clone(), records);
    }

    /// Notes whether a network has a way out.
    pub(in crate::net) fn set_network(&mut self, network: &NetworkName, internal: bool) {
        if internal {
            self.internal.insert(network.clone());
        } else {
            self.internal.remove(network);
        }
    }

    /// Returns what to do about a packet from a container on these networks.
    ///
    /// `turn` rotates the addresses of a name with several; `datagram` answers are cut to what the
    /// client takes.
    pub(in crate::net) fn answer(&self, packet: &[u8], client: &[NetworkName], turn: usize, datagram: bool) -> Answer {
        let Ok(message) = Message::from_vec(packet) else {
            return match packet {
                // Something with a header that claims to be a question.
                [high, low, flags, _, ..] if packet.len() >= 12 && flags & 0x80 == 0 => {
                    let id = u16::from_be_bytes([*high, *low]);
                    finish(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr), datagram, MIN_DATAGRAM)
                }
                _ => Answer::Ignore,
            };
        };
        if message.metadata.message_type != MessageType::Query {
            return Answer::Ignore;
        }
        let limit =
            message.edns.as_ref().map_or(MIN_DATAGRAM, |edns| edns.max_payload().clamp(MIN_DATAGRAM, MAX_DATAGRAM));
        let mut reply = Message::response(message.metadata.id, message.metadata.op_code);
        reply.metadata.recursion_desired = message.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        if message.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_DATAGRAM);
            reply.set_edns(edns);
        }
        if message.metadata.op_code != OpCode::Query {
            reply.metadata.response_code = ResponseCode::NotImp;
            return finish(reply, datagram, limit);
        }
        let [query] = message.queries.as_slice() else {
            reply.metadata.response_code = ResponseCode::FormErr;
            return finish(reply, datagram, limit);
        };
        reply.add_query(query.clone());
        match self.lookup(query, client, turn) {
            Some(data) => {
                reply.add_answers(
                    data.into_iter().map(|data| ResourceRecord::from_rdata(query.name().clone(), TTL, data)),
                );
                finish(reply, datagram, limit)
            }
            None => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                let outside = client.iter().any(|network| !self.internal.contains(network));
                match finish(reply, datagram, limit) {
                    Answer::Reply(refusal) if outside => Answer::Forward { refusal },
                    answer => answer,
                }
            }
        }
    }

    /// Returns the data of a name that is ours; `None` when it is not.
    fn lookup(&self, query: &Query, client: &[NetworkName], turn: usize) -> Option<Vec<RData>> {
        if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
            return None;
        }
        let name = text(query.name())?;
        if let Some(address) = reverse(&name) {
            let owner = self.owner(address, client)?;
            let pointer = matches!(query.query_type(), RecordType::PTR | RecordType::ANY);
            return Some(if pointer { vec![RData::PTR(PTR(owner))] } else { Vec::new() });
        }
        let mut addresses = self.addresses(&name, client)?;
        if !addresses.is_empty() {
            let count = addresses.len();
            addresses.rotate_left(turn % count);
        }
        Some(
            addresses
                .into_iter()
                .filter_map(|address| match (address, query.query_type()) {
                    (IpAddr::V4(ip), RecordType::A | RecordType::ANY) => Some(RData::A(A(ip))),
                    (IpAddr::V6(ip), RecordType::AAAA | RecordType::ANY) => Some(RData::AAAA(AAAA(ip))),
                    _ => None,
                })
                .collect(),
        )
    }

    fn addresses(&self, name: &str, client: &[NetworkName]) -> Option<Vec<IpAddr>> {
        let mut found: Vec<IpAddr> = Vec::new();
        for network in client {
            let Some(names) = self.names.get(network) else { continue };
            // A container may itself have a dot in its name: the whole name goes first.
            let suffix = network.as_str().to_lowercase();
            let short = name.strip_suffix(&suffix).and_then(|rest| rest.strip_suffix('.'));
            let entries = names.get(name).or_else(|| names.get(short?));
            for entry in entries.into_iter().flatten() {
                if !found.contains(&entry.address) {
                    found.push(entry.address);
                }
            }
        }
        if found.is_empty() && HOST_NAMES.contains(&name) && client.iter().any(|n| !self.internal.contains(n)) {
            found.extend(self.host.map(IpAddr::V4));
        }
        (!found.is_empty()).then_some(found)
    }

    /// Returns the name of an address: the container's first name and the network.
    fn owner(&self, address: IpAddr, client: &[NetworkName]) -> Option<Name> {
        let is_it = |record: &&Record| {
            client.contains(&record.network)
                && (IpAddr::V4(record.address) == address || record.address6.map(IpAddr::V6) == Some(address))
        };
        let record = self.containers.values().flatten().find(is_it)?;
        let labels = record.names.first()?.split('.').chain(record.network.as_str().split('.'));
        Name::from_labels(labels.map(str::as_bytes)).ok()
    }
}

/// Returns the packet of a reply, cut to the limit with the truncation bit when it is a datagram.
fn finish(reply: Message, datagram: bool, limit: u16) -> Answer {
    let Ok(packet) = reply.to_vec() else { return Answer::Ignore };
    if !datagram || packet.len() <= usize::from(limit) {
        return Answer::Reply(packet);
    }
    let mut cut = reply.truncate();
    cut.metadata.truncation = true;
    cut.to_vec().map_or(Answer::Ignore, Answer::Reply)
}

fn fold(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}

/// Returns a question's name in lower case without the last dot, if it is text at all.
fn text(name: &Name) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(std::str::from_utf8(label).ok()?);
    }
    Some(text.to_lowercase())
}

/// Returns the address that a name below `in-addr.arpa` or `ip6.arpa` asks for.
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0u8; 4];
        let mut labels = digits.split('.');
        for octet in octets.iter_mut().rev() {
            *octet = labels.next()?.parse().ok()?;
        }
        return labels.next().is_none().then(|| IpAddr::from(octets));
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut value = 0u128;
    let mut count = 0;
    for (place, label) in digits.split('.').enumerate() {
        let digit = u128::from(u8::from_str_radix(label, 16).ok().filter(|d| *d < 16 && label.len() == 1)?);
        value |= digit.checked_shl(u32::try_from(place * 4).ok()?)?;
        count += 1;
    }
    (count == 32).then(|| IpAddr::from(value.to_be_bytes()))
}

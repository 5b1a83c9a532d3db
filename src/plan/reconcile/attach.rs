//! Which address and interface each replica has on each of its networks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use super::Up;
use crate::compose::model::Service;
use crate::ids::ContainerId;
use crate::plan::networks::Net;
use crate::plan::{Cause, PlanError, Recreate, addresses, hash};
use crate::spec::Endpoint;

impl<'a> Up<'a> {
    /// Reserves static addresses; who has one that another service asks for is made anew.
    pub(super) fn decide_addresses(&mut self) {
        let mut wishes = Vec::new();
        for (u, unit) in self.units.iter().enumerate() {
            for (key, attachment) in &unit.service.networks {
                let Some(address) = attachment.ipv4_address else { continue };
                for s in 0..unit.slots.len() {
                    wishes.push((u, s, key.as_str(), address));
                }
            }
        }
        if wishes.is_empty() {
            return;
        }
        let mut slot_of: HashMap<&str, (usize, usize)> = HashMap::new();
        let mut goes: HashSet<&str> = self.orphans.iter().map(|orphan| orphan.spec.id.as_str()).collect();
        for (u, unit) in self.units.iter().enumerate() {
            for (s, slot) in unit.slots.iter().enumerate() {
                slot_of.extend(slot.current.map(|current| (current.spec.id.as_str(), (u, s))));
            }
            goes.extend(unit.excess.iter().map(|container| container.spec.id.as_str()));
        }
        let mut granted: HashSet<(&str, Ipv4Addr)> = HashSet::new();
        for (u, s, key, address) in wishes {
            let Some(net) = self.nets.get_mut(key) else { continue };
            let service = self.units[u].name;
            if !addresses::usable(net.pool.subnet, address) {
                self.plan.errors.push(PlanError::AddressOutside {
                    service: service.clone(),
                    address: IpAddr::V4(address),
                    network: net.spec.name.as_str().to_owned(),
                    subnet: net.pool.subnet.to_string(),
                });
                continue;
            }
            let first = granted.insert((key, address));
            let holder = net.pool.holder(address).map(str::to_owned);
            let place = holder.as_deref().and_then(|holder| slot_of.get(holder)).copied();
            let free = match &holder {
                None => true,
                Some(_) if !first => false,
                Some(_) if place == Some((u, s)) => true,
                Some(holder) if goes.contains(holder.as_str()) || self.gives_up(place, key, address) => {
                    if let Some((other, place)) = place {
                        let cause = Cause::AddressNeeded(service.clone());
                        self.units[other].slots[place].remake(cause, self.inputs.seed);
                    }
                    // The holder is a container that exists, so its id is one.
                    self.units[u].slots[s].waits_for.extend(holder.parse::<ContainerId>().ok());
                    true
                }
                Some(_) => false,
            };
            let slot = self.units[u].slots[s].id.clone();
            let by = holder.map(|holder| self.name_of(&holder)).unwrap_or_default();
            let Some(net) = self.nets.get_mut(key) else { continue };
            if free {
                net.pool.take(address, slot.as_str());
            } else {
                let (address, network) = (IpAddr::V4(address), net.spec.name.as_str().to_owned());
                self.plan.errors.push(PlanError::AddressTaken { service: service.clone(), address, network, by });
            }
        }
    }

    /// Tells whether a replica can do without the address that it has: nothing in the file gives
    /// it that one.
    fn gives_up(&self, place: Option<(usize, usize)>, key: &str, address: Ipv4Addr) -> bool {
        place.is_some_and(|(u, s)| {
            let unit = &self.units[u];
            let asked = unit.service.networks.get(key).and_then(|attachment| attachment.ipv4_address);
            asked != Some(address) && (unit.slots[s].make.is_some() || self.inputs.recreate != Recreate::Never)
        })
    }

    /// Chooses the addresses of a replica: the file's, its predecessor's, else the next free.
    pub(super) fn endpoints(&mut self, u: usize, s: usize) -> Vec<Endpoint> {
        let unit = &self.units[u];
        let slot = &unit.slots[s];
        if unit.service.network_mode.is_some() {
            return Vec::new();
        }
        let keys = self.interfaces(unit.service);
        let default_route = default_network(&self.nets, unit.service);
        let mut endpoints = Vec::with_capacity(keys.len());
        for (index, key) in keys.into_iter().enumerate() {
            let attachment = &unit.service.networks[key];
            let Some(net) = self.nets.get_mut(key) else { continue };
            let previous = slot
                .current
                .and_then(|current| current.spec.endpoints.iter().find(|e| e.network == net.spec.name))
                .map(|endpoint| endpoint.address)
                .filter(|_| slot.make.is_none() || slot.outgoing.is_none())
                .filter(|address| net.replaced.is_none() || net.pool.holder(*address).is_none());
            let old = slot.current.map(|current| current.spec.id.as_str());
            let new = slot.id.as_str();
            let address = match (attachment.ipv4_address, previous) {
                (Some(address), _) => Ok(address),
                (None, Some(address)) if old.is_some() && net.pool.holder(address) == old => {
                    net.pool.free(address);
                    if net.pool.try_take(address, new) { Ok(address) } else { net.pool.take_next(new) }
                }
                (None, Some(address)) if net.pool.try_take(address, new) => Ok(address),
                _ => net.pool.take_next(new),
            };
            let address = match address {
                Ok(address) => address,
                Err(error) => {
                    if !self.plan.errors.contains(&error) {
                        self.plan.errors.push(error);
                    }
                    continue;
                }
            };
            let octets = address.octets();
            let mut aliases = vec![unit.name.as_str().to_owned()];
            for alias in &attachment.aliases {
                if !aliases.contains(alias) {
                    aliases.push(alias.clone());
                }
            }
            let link = hash::id(0, &["veth", slot.id.as_str(), net.spec.name.as_str()]);
            endpoints.push(Endpoint {
                network: net.spec.name.clone(),
                interface: attachment.interface_name.clone().unwrap_or_else(|| format!("eth{index}")),
                veth: format!("veth{}", &link.as_str()[..11]),
                address,
                address6: match (attachment.ipv6_address, net.spec.ipv6) {
                    (Some(address), Some(_)) => Some(address),
                    (None, Some((subnet, _))) => Some(addresses::paired(subnet, address)),
                    (_, None) => None,
                },
                mac: attachment.mac_address.map_or([2, 0x42, octets[0], octets[1], octets[2], octets[3]], |mac| mac.0),
                aliases,
                default_route: default_route == Some(key),
            });
        }
        endpoints
    }

    /// Returns a service's networks in the order of its interfaces: of priority, then of name
    /// (spec row `svc-networks-any-priority`).
    pub(super) fn interfaces(&self, service: &'a Service) -> Vec<&'a str> {
        let project = self.inputs.project;
        let mut keys: Vec<&str> = service.networks.keys().map(String::as_str).collect();
        keys.retain(|key| self.nets.contains_key(key));
        keys.sort_by_key(|key| {
            (std::cmp::Reverse(service.networks[*key].priority), project.networks.get(*key).map(|n| &n.name))
        });
        keys
    }
}

/// Returns the key of the network whose gateway a service's containers use: the highest
/// `gw_priority` among those that lead out; ties go by name.
pub(super) fn default_network<'a>(nets: &BTreeMap<&str, Net>, service: &'a Service) -> Option<&'a str> {
    if service.network_mode.is_some() {
        return None;
    }
    let leads_out = |(key, own): (&'a String, &'a crate::compose::model::ServiceNetwork)| {
        let net = nets.get(key.as_str()).filter(|net| !net.spec.internal)?;
        Some((std::cmp::Reverse(own.gw_priority), net.spec.name.as_str(), key.as_str()))
    };
    service.networks.iter().filter_map(leads_out).min().map(|(_, _, key)| key)
}

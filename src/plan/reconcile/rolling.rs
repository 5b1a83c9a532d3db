//! Replacing replicas by and by: `deploy.update_config` (spec rows `svc-deploy-update-config-*`).
//!
//! ```text
//! stop-first   stop old -> remove old -> create new -> start new -> watch -> next batch
//! start-first  create new -> start new -> watch -> hand over -> stop old -> remove old -> next batch
//! ```
//!
//! The watch is one step a batch, which fails when too many new replicas do. Then the rest of the
//! update is skipped (`pause`, `rollback`), or goes on (`continue`).

use std::time::Duration;

use super::*;
use crate::compose::model::{FailureAction, UpdateConfig, UpdateOrder};
use crate::spec::{Batch, MOST_HANDED_OVER, PublishedPort};

/// How a service's replicas are replaced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Update {
    /// At a time.
    parallelism: usize,
    delay: Duration,
    monitor: Duration,
    goes_on: bool,
    max_failure_ratio: f64,
    start_first: bool,
}

impl Update {
    /// Returns how the file has it; `None` when all are replaced at once and nobody watches.
    pub(super) fn of(service: &Service) -> Option<Self> {
        let config = service.deploy.as_ref()?.update_config.as_ref()?;
        let UpdateConfig { parallelism, delay, failure_action, monitor, max_failure_ratio, order } = config;
        Some(Self {
            parallelism: parallelism.unwrap_or(1) as usize,
            delay: delay.unwrap_or_default(),
            monitor: monitor.unwrap_or_default(),
            goes_on: *failure_action == Some(FailureAction::Continue),
            max_failure_ratio: max_failure_ratio.unwrap_or(0.0),
            start_first: *order == Some(UpdateOrder::StartFirst),
        })
    }

    /// Returns what an update goes by that was begun and of which nothing else is known.
    fn unknown() -> Self {
        let (delay, monitor) = (Duration::ZERO, Duration::ZERO);
        Self { parallelism: 0, delay, monitor, goes_on: false, max_failure_ratio: 0.0, start_first: true }
    }
}

/// Returns why the new containers of a service cannot start before the old ones stop; `None` when they can.
fn obstacle(
    inputs: &Inputs<'_>,
    nets: &BTreeMap<&str, Net>,
    service: &Service,
    old: &[&ObservedContainer],
) -> Option<&'static str> {
    if service.container_name.is_some() {
        return Some("it has a container_name");
    }
    if service.network_mode.is_some() || desired::uses_host_network(inputs.project, service) {
        return Some("it has no network of its own");
    }
    if service.networks.values().any(|n| n.ipv4_address.is_some() || n.ipv6_address.is_some()) {
        return Some("it has a static address");
    }
    let sockets = |ports: &[PublishedPort]| ports.iter().map(PublishedPort::sockets).sum::<usize>();
    let held = old.iter().map(|old| sockets(&old.spec.ports)).max().unwrap_or(0);
    if held.max(sockets(&desired::published(service))) > MOST_HANDED_OVER {
        return Some("its published ports are more than can be handed over (250 sockets)");
    }
    let replaced = |key: &String| nets.get(key.as_str()).is_some_and(|net| net.replaced.is_some());
    service.networks.keys().any(replaced).then_some("its network is made anew")
}

impl<'a> Up<'a> {
    /// Tells whether a container that is replaced goes only after the new one has come.
    pub(super) fn starts_first(
        inputs: &Inputs<'_>,
        nets: &BTreeMap<&str, Net>,
        unit: &Unit<'_>,
        old: &[&ObservedContainer],
        plan: &mut Plan,
    ) -> bool {
        if !inputs.start || !Update::of(unit.service).is_some_and(|update| update.start_first) {
            return false;
        }
        let obstacle = obstacle(inputs, nets, unit.service, old);
        if let Some(why) = obstacle {
            let note = Note::StopsFirst { service: unit.name.clone(), why };
            if !plan.notes.contains(&note) {
                plan.notes.push(note);
            }
        }
        obstacle.is_none()
    }

    /// Lets containers that were on their way out go only after those that took their place: an
    /// update was interrupted, or failed.
    pub(super) fn resume(unit: &mut Unit<'a>) {
        for slot in unit.slots.iter_mut().filter(|slot| slot.make.is_none()) {
            let Some(replaced) = slot.current.and_then(|current| current.label(labels::REPLACES)) else { continue };
            if let Some(place) = unit.excess.iter().position(|old| old.spec.id.as_str() == replaced && old.is_up()) {
                slot.outgoing = Some(unit.excess.remove(place));
            }
        }
    }

    /// Deals the replicas that are replaced into batches.
    pub(super) fn deal(&mut self) {
        for unit in &mut self.units {
            let resumed = unit.slots.iter().any(|slot| slot.outgoing.is_some());
            let update = Update::of(unit.service).or_else(|| resumed.then(Update::unknown));
            let replaced = |slot: &Slot<'_>| slot.outgoing.is_some() || (slot.make.is_some() && slot.current.is_some());
            let Some(update) = update.filter(|_| self.inputs.start && unit.slots.iter().any(replaced)) else {
                continue;
            };
            unit.update = Some(update);
            for (place, slot) in unit.slots.iter_mut().filter(|slot| replaced(slot)).enumerate() {
                slot.batch = Some(place.checked_div(update.parallelism).unwrap_or(0));
            }
        }
    }
}

/// Adds the watches over a unit's batches, and what follows each: handing over, and the end of the
/// old containers. `first` is where the replacement of a container begins, `started` where the new
/// one has started; `kept` are anonymous volumes that new ones have.
pub(super) fn batches(
    b: &mut Builder,
    unit: &Unit<'_>,
    timeout: Option<Duration>,
    kept: &HashSet<VolumeName>,
    first: &HashMap<ContainerId, Draft>,
    started: &HashMap<ContainerId, Draft>,
) {
    let Some(update) = unit.update else { return };
    let count = unit.slots.iter().filter_map(|slot| slot.batch).max().map_or(0, |last| last + 1);
    let total = unit.slots.iter().filter(|slot| slot.batch.is_some()).count();
    let tolerated = (update.max_failure_ratio * total as f64).floor() as u32;
    let mut made: Vec<(ContainerId, String)> = Vec::new();
    let mut before: Option<(Draft, Vec<Draft>)> = None;
    for number in 0..count {
        let slots: Vec<&Slot<'_>> = unit.slots.iter().filter(|slot| slot.batch == Some(number)).collect();
        for slot in &slots {
            let begins = match slot.outgoing {
                Some(_) => started.get(&slot.id),
                None => slot.current.and_then(|old| first.get(&old.spec.id)),
            };
            if let (Some(&begins), Some((watch, ends))) = (begins, &before) {
                if update.goes_on {
                    b.follows(begins, [*watch]);
                } else {
                    b.after(begins, [*watch]);
                }
                b.follows(begins, ends.iter().copied());
            }
        }
        made.extend(slots.iter().map(|slot| (slot.id.clone(), slot.name.clone())));
        let delay = if number + 1 < count { update.delay } else { Duration::ZERO };
        let (service, monitor) = (unit.name.clone(), update.monitor);
        let batch = Batch { service, containers: made.clone(), monitor, delay, tolerated };
        let watch = b.add(Op::WatchReplicas(batch), Cause::Updated);
        b.follows(watch, slots.iter().filter_map(|slot| started.get(&slot.id).copied()));
        // None of this batch started anew: the watch still comes after the one before.
        b.follows(watch, before.iter().map(|(watch, _)| *watch));
        let mut ends = Vec::new();
        for slot in slots {
            let Some(old) = slot.outgoing else { continue };
            let cause = slot.make.clone().unwrap_or(Cause::Updated);
            let grace = timeout.unwrap_or(old.spec.stop_grace);
            let hand_over = Op::HandOver { from: old.target(), to: slot.target(unit.name), grace };
            let hand_over = b.add(hand_over, Cause::Updated);
            b.after(hand_over, [watch]);
            b.after(hand_over, started.get(&slot.id).copied());
            let op = Op::StopContainer { target: old.target(), signal: old.spec.stop_signal, grace };
            let stop = b.add(op, cause.clone());
            b.after(stop, [hand_over]);
            let volumes = anonymous_volumes(&old.spec).map(|(_, name)| name).filter(|name| !kept.contains(*name));
            let op = Op::RemoveContainer { target: old.target(), volumes: volumes.cloned().collect() };
            let remove = b.add(op, cause);
            b.after(remove, [stop]);
            ends.push(remove);
        }
        before = Some((watch, ends));
    }
}

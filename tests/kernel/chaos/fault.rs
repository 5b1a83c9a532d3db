//! What can go wrong, and a sequence of it from a seed. Pure: the same seed gives the same faults, whatever happens.

use std::fmt;

use super::stack::{SERVICES, Service};

/// One thing that somebody does to the stack or to the engine. Services are named by [`SERVICES`]; a `u32` picks
/// among what is there (a link, a process, a replica).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// `kill -9` of a container's first process.
    KillMain(&'static str, u32),
    /// `kill -9` of another process in a container.
    KillChild(&'static str, u32),
    /// `kill -9` of a container's shim.
    KillShim(&'static str, u32),
    /// `kill -9` of the process that copies shims.
    KillShimServer,
    /// `kill -9` of the engine.
    KillEngine,
    /// The engine is asked to end.
    EndEngine,
    /// A container's first process stands still for the time of a command.
    Freeze(&'static str, u32),
    /// The engine stands still while a container's first process is killed.
    FreezeEngine(&'static str, u32),
    /// A shim stands still while its container's first process is killed.
    FreezeShim(&'static str, u32),
    /// `rm -rf` of a container's files.
    DeleteFiles(&'static str, u32),
    /// `stack stop`.
    Stop(&'static str),
    /// `stack start`.
    Start(&'static str),
    /// `stack kill`.
    Kill(&'static str),
    /// `stack restart`.
    Restart(&'static str),
    /// `stack rm -sf`.
    Remove(&'static str),
    /// A pair of links is removed, from the router's side.
    RemoveLink(u32),
    /// A link is set down, from the router's side.
    LinkDown(u32),
    /// A link is taken off its bridge.
    LinkOff(u32),
    /// A container's link is removed, from its side.
    RemoveInside(&'static str, u32),
    /// A bridge is removed.
    RemoveBridge(u32),
    /// A bridge is set down.
    BridgeDown(u32),
    /// The way out is removed.
    RemoveUplink,
    /// A volume or a bind mount is unmounted in a container.
    Unmount(&'static str, u32),
    /// A container's tmpfs is filled: its check fails.
    FillTmpfs,
    /// A small disk that a service writes to is filled, and freed.
    FillDisk,
    /// A megabyte of output.
    FillLog,
    /// The check of a container begins to fail.
    Unhealthy(&'static str, u32),
    /// `stack up -d` of the file as it is.
    Up,
    /// `stack up -d` twice at the same time.
    UpTwice,
    /// A service's environment is changed, then `stack up -d`.
    UpChanged(&'static str),
    /// A service's memory limit is changed, then `stack up -d`.
    UpInPlace(&'static str),
    /// `stack up -d --scale api=N`.
    Scale(u32),
    /// A service is changed, the client of `stack up -d` killed once it has said something, and `up` run again.
    UpKilled(&'static str),
    /// A service is changed, the engine dies at a boundary of the steps of `up`, and `up` is run again.
    UpDies(&'static str, u32),
    /// `stack down`, then `stack up -d`.
    DownUp,
    /// Two at once.
    Both(Box<Fault>, Box<Fault>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Both(one, other) => write!(f, "{one} + {other}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Returns the first `count` faults of a seed.
pub(super) fn faults(seed: u64, count: usize) -> Vec<Fault> {
    let mut random = Random(seed);
    (0..count).map(|_| draw(&mut random)).collect()
}

fn draw(random: &mut Random) -> Fault {
    if random.below(10) > 0 {
        return draw_one(random);
    }
    let one = Box::new(draw_one(random));
    Fault::Both(one, Box::new(draw_one(random)))
}

fn draw_one(random: &mut Random) -> Fault {
    let any = |random: &mut Random| random.one_of(SERVICES, |_| true);
    let lasting = |random: &mut Random| random.one_of(SERVICES, |service| service.name != "migrate");
    type Make<'a> = &'a dyn Fn(&mut Random) -> Fault;
    let table: &[(u64, Make<'_>)] = &[
        (16, &|r| Fault::KillMain(lasting(r), r.number())),
        (6, &|r| Fault::KillChild(lasting(r), r.number())),
        (8, &|r| Fault::KillShim(lasting(r), r.number())),
        (2, &|_| Fault::KillShimServer),
        (8, &|_| Fault::KillEngine),
        (2, &|_| Fault::EndEngine),
        (2, &|r| Fault::Freeze(lasting(r), r.number())),
        (3, &|r| Fault::FreezeEngine(lasting(r), r.number())),
        (3, &|r| Fault::FreezeShim(lasting(r), r.number())),
        (8, &|r| Fault::DeleteFiles(any(r), r.number())),
        (6, &|r| Fault::Stop(lasting(r))),
        (6, &|r| Fault::Start(any(r))),
        (4, &|r| Fault::Kill(lasting(r))),
        (5, &|r| Fault::Restart(any(r))),
        (3, &|r| Fault::Remove(any(r))),
        (6, &|r| Fault::RemoveLink(r.number())),
        (4, &|r| Fault::LinkDown(r.number())),
        (3, &|r| Fault::LinkOff(r.number())),
        (4, &|r| Fault::RemoveInside(r.one_of(SERVICES, |s| !s.networks.is_empty()), r.number())),
        (4, &|r| Fault::RemoveBridge(r.number())),
        (2, &|r| Fault::BridgeDown(r.number())),
        (2, &|_| Fault::RemoveUplink),
        (8, &|r| Fault::Unmount(r.one_of(SERVICES, |s| !s.mounts.is_empty()), r.number())),
        (3, &|_| Fault::FillTmpfs),
        (3, &|_| Fault::FillDisk),
        (2, &|_| Fault::FillLog),
        (5, &|r| Fault::Unhealthy(r.one_of(SERVICES, |s| s.check), r.number())),
        (8, &|_| Fault::Up),
        (4, &|_| Fault::UpTwice),
        (5, &|r| Fault::UpChanged(any(r))),
        (4, &|r| Fault::UpInPlace(any(r))),
        (5, &|r| Fault::Scale(1 + u32::try_from(r.below(3)).unwrap_or(0))),
        (3, &|r| Fault::UpKilled(any(r))),
        (4, &|r| Fault::UpDies(any(r), r.number())),
        (2, &|_| Fault::DownUp),
    ];
    let mut left = random.below(table.iter().map(|(weight, _)| weight).sum());
    for (weight, make) in table {
        if left < *weight {
            return make(random);
        }
        left -= weight;
    }
    unreachable!("the weights were summed up")
}

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn number(&mut self) -> u32 {
        u32::try_from(self.next() >> 33).unwrap_or(0)
    }

    fn one_of(&mut self, services: &[Service], may: impl Fn(&Service) -> bool) -> &'static str {
        let names: Vec<&'static str> = services.iter().filter(|service| may(service)).map(|s| s.name).collect();
        names[usize::try_from(self.below(names.len() as u64)).unwrap_or(0)]
    }
}

#[test]
fn a_seed_gives_the_same_faults_each_time_and_another_seed_others() {
    assert_eq!(faults(1, 300), faults(1, 300));
    assert_eq!(faults(1, 300)[..40], faults(1, 40)[..], "a shorter run is the beginning of a longer one");
    assert_ne!(faults(1, 300), faults(2, 300));
}

#[test]
fn all_kinds_of_faults_come_up() {
    let mut kinds = std::collections::BTreeSet::new();
    for fault in faults(7, 1000) {
        let text = fault.to_string();
        kinds.extend(text.split(" + ").map(|one| one.split('(').next().unwrap_or("").to_owned()));
    }
    assert_eq!(kinds.len(), 35, "{kinds:?}");
}

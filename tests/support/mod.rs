//! What tests of the whole program share: a [`World`] of their own, images made of this machine's
//! files, waiting with a deadline, and a picture of the host to compare with.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod host;
pub(crate) mod images;
pub(crate) mod program;
pub(crate) mod world;

use std::fmt::Debug;
use std::time::{Duration, Instant};

pub(crate) use world::World;

/// Bound of everything that should happen soon: long enough for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Returns what `probe` found, polling until it finds something; panics after `within`.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        // Between two looks, not instead of one.
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until `probe` gives `expected`; panics with the last answer after [`SOON`].
#[track_caller]
pub(crate) fn becomes<T: PartialEq + Debug>(what: &str, expected: &T, mut probe: impl FnMut() -> T) {
    let deadline = Instant::now() + SOON;
    loop {
        let now = probe();
        if now == *expected {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: still {now:?} instead of {expected:?} after {SOON:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

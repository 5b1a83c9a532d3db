//! Whether the replicas that an update made do well: decides when the next ones may be replaced.
//! Pure: time is an argument.
//!
//! ```text
//! Settling --all run, are healthy, and `monitor` has passed--> Pausing --`delay` has passed--> Good
//!     |                                                           |
//!     +-------- more have failed than are put up with ------------+--> Failed
//! ```

use super::Time;
use super::condition::Phase;
use crate::spec::{Batch, Health};

/// A replica as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// What it does.
    pub phase: Phase,
    /// It neither runs nor starts again by itself.
    pub at_rest: bool,
    /// How often its policy started it again.
    pub restarts: u32,
}

/// What is known of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet; nothing changes by itself before this moment.
    Pending(Option<Time>),
    /// The next ones may be replaced.
    Good,
    /// Too many have failed: which, and how.
    Failed(String),
}

/// The watch over a batch.
#[derive(Debug, Clone)]
pub struct Watch {
    began: Time,
    settled: Option<Time>,
}

impl Watch {
    /// Returns a watch that begins now.
    pub fn new(now: Time) -> Self {
        Self { began: now, settled: None }
    }

    /// Looks at the replicas.
    pub fn look(&mut self, batch: &Batch, seen: &[Seen], now: Time) -> Verdict {
        let failed: Vec<String> = seen.iter().filter_map(failure).collect();
        if failed.len() > batch.tolerated as usize {
            return Verdict::Failed(failed.join(", "));
        }
        let unsettled = |one: &&Seen| failure(one).is_none() && !is_up(one.phase);
        if seen.iter().any(|one| unsettled(&one)) {
            self.settled = None;
            return Verdict::Pending(None);
        }
        let monitored = self.began + batch.monitor;
        if now < monitored {
            return Verdict::Pending(Some(monitored));
        }
        let next = *self.settled.get_or_insert(now) + batch.delay;
        if now < next { Verdict::Pending(Some(next)) } else { Verdict::Good }
    }
}

/// Tells whether a replica does what it shall: it runs and is not known to be ill, or did its work.
fn is_up(phase: Phase) -> bool {
    match phase {
        Phase::Running { health, .. } => health.is_none_or(|health| health == Health::Healthy),
        Phase::Exited { code } => code == 0,
        _ => false,
    }
}

/// Returns how a replica failed.
fn failure(seen: &Seen) -> Option<String> {
    let how = match seen.phase {
        Phase::Running { health: Some(Health::Unhealthy), .. } => "is unhealthy".to_owned(),
        Phase::Running { .. } if seen.restarts > 0 => "had to be started again".to_owned(),
        Phase::Restarting { .. } => "ended and is started again".to_owned(),
        Phase::Exited { code } if code != 0 => format!("ended with status {code}"),
        Phase::Gone => "does not exist".to_owned(),
        Phase::Pending if seen.at_rest => "was not started".to_owned(),
        _ => return None,
    };
    Some(format!("{} {how}", seen.name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STARTING: Phase = Phase::Running { health: Some(Health::Starting), ready: false };
    const HEALTHY: Phase = Phase::Running { health: Some(Health::Healthy), ready: false };
    const RUNNING: Phase = Phase::Running { health: None, ready: false };

    fn at(seconds: u64) -> Time {
        Time(Duration::from_secs(seconds))
    }

    fn batch(monitor: u64, delay: u64, tolerated: u32) -> Batch {
        Batch {
            service: "web".into(),
            containers: Vec::new(),
            monitor: Duration::from_secs(monitor),
            delay: Duration::from_secs(delay),
            tolerated,
        }
    }

    fn seen(phases: &[Phase]) -> Vec<Seen> {
        let one = |(n, phase): (usize, &Phase)| Seen {
            name: format!("web-{}", n + 1),
            phase: *phase,
            at_rest: matches!(phase, Phase::Pending | Phase::Exited { .. }),
            restarts: 0,
        };
        phases.iter().enumerate().map(one).collect()
    }

    #[test]
    fn all_must_be_well_for_the_monitored_time_and_then_comes_the_delay() {
        let batch = batch(5, 10, 0);
        let mut watch = Watch::new(at(100));
        let mut look = |phases: &[Phase], now: u64| watch.look(&batch, &seen(phases), at(now));
        assert_eq!(look(&[RUNNING, STARTING], 101), Verdict::Pending(None));
        assert_eq!(look(&[RUNNING, HEALTHY], 102), Verdict::Pending(Some(at(105))));
        assert_eq!(look(&[RUNNING, HEALTHY], 105), Verdict::Pending(Some(at(115))));
        assert_eq!(look(&[RUNNING, STARTING], 110), Verdict::Pending(None));
        assert_eq!(look(&[RUNNING, HEALTHY], 112), Verdict::Pending(Some(at(122))));
        assert_eq!(look(&[RUNNING, HEALTHY], 122), Verdict::Good);
    }

    #[test]
    fn without_anything_to_wait_for_it_is_good_at_once() {
        assert_eq!(Watch::new(at(1)).look(&batch(0, 0, 0), &seen(&[RUNNING]), at(1)), Verdict::Good);
        let done = Phase::Exited { code: 0 };
        assert_eq!(Watch::new(at(1)).look(&batch(0, 0, 0), &seen(&[done]), at(1)), Verdict::Good);
    }

    #[test]
    fn who_fails_is_named_and_only_so_many_may() {
        let check = |phase: Phase, tolerated: u32, expected: Verdict| {
            let verdict = Watch::new(at(0)).look(&batch(0, 0, tolerated), &seen(&[RUNNING, phase]), at(0));
            assert_eq!(verdict, expected);
        };
        let failed = |how: &str| Verdict::Failed(format!("web-2 {how}"));
        check(Phase::Exited { code: 1 }, 0, failed("ended with status 1"));
        check(Phase::Restarting { looping: false }, 0, failed("ended and is started again"));
        check(Phase::Running { health: Some(Health::Unhealthy), ready: false }, 0, failed("is unhealthy"));
        check(Phase::Pending, 0, failed("was not started"));
        check(Phase::Gone, 0, failed("does not exist"));
        check(Phase::Exited { code: 1 }, 1, Verdict::Good);
        let mut again = seen(&[RUNNING]);
        again[0].restarts = 1;
        let verdict = Watch::new(at(0)).look(&batch(0, 0, 0), &again, at(0));
        assert_eq!(verdict, Verdict::Failed("web-1 had to be started again".to_owned()));
    }
}

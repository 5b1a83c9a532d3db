//! Notices files that change because of what is done about their changes: a service that writes
//! to a watched path when it starts would be restarted for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::ids::ContainerId;

/// So many times in a row a file must have changed right after what was done about it.
pub const ROUNDS: u32 = 5;

/// What changes within this time after an action is suspected to be its work.
const SOON: Duration = Duration::from_secs(1);

/// Later changes are, when they come after the same pause each time, as no hand saves a file: it
/// may differ by one part in so many.
const STEADY: u32 = 10;

/// Longest pause of a program that is that regular.
const LONGEST: Duration = Duration::from_secs(60);

/// What happened for each pair of rule and path.
#[derive(Debug, Default)]
pub struct Guard {
    streaks: BTreeMap<(usize, PathBuf), Streak>,
    muted: BTreeSet<(usize, PathBuf)>,
    /// When what is muted changed last.
    last: BTreeMap<(usize, PathBuf), Duration>,
    /// Containers that were seen to run.
    seen: BTreeSet<ContainerId>,
}

#[derive(Debug, Clone, Copy)]
struct Streak {
    acted: Duration,
    pause: Duration,
    rounds: u32,
}

impl Guard {
    /// Takes paths that a rule is about to act on, first seen changed at `now`; returns those that
    /// its own actions change: they are not listened to any more.
    pub fn suspects(&mut self, rule: usize, paths: &BTreeSet<PathBuf>, now: Duration) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for path in paths {
            let key = (rule, path.clone());
            let Some(streak) = self.streaks.get_mut(&key) else { continue };
            let pause = now.saturating_sub(streak.acted);
            let steady = streak.rounds > 0 && pause.abs_diff(streak.pause) <= streak.pause / STEADY && pause <= LONGEST;
            // The first of a regular series cannot be told from any other change.
            streak.rounds = if pause <= SOON || steady { streak.rounds + 1 } else { 1 };
            streak.pause = pause;
            if streak.rounds >= ROUNDS {
                self.streaks.remove(&key);
                self.last.insert(key.clone(), now);
                self.muted.insert(key);
                found.push(path.clone());
            }
        }
        found
    }

    /// Takes note that an action of a rule about these paths ended.
    pub fn acted(&mut self, rule: usize, paths: &BTreeSet<PathBuf>, now: Duration) {
        for path in paths {
            let streak = self.streaks.entry((rule, path.clone()));
            streak.or_insert(Streak { acted: now, pause: Duration::ZERO, rounds: 0 }).acted = now;
        }
        // Whatever has been quiet for long starts anew.
        self.streaks.retain(|_, streak| now.saturating_sub(streak.acted) <= LONGEST);
    }

    /// Takes paths that changed at `now`: a muted one that was quiet for long is listened to again.
    pub fn heard(&mut self, changed: &[PathBuf], now: Duration) {
        if self.muted.is_empty() {
            return;
        }
        let changed: BTreeSet<&PathBuf> = changed.iter().collect();
        let last = &mut self.last;
        self.muted.retain(|key| {
            if !changed.contains(&key.1) {
                return true;
            }
            let before = last.insert(key.clone(), now).unwrap_or(now);
            let stays = now.saturating_sub(before) <= LONGEST;
            if !stays {
                last.remove(key);
            }
            stays
        });
    }

    /// Tells whether a container is seen for the first time. Only then a restart because of what it
    /// lacked comes to an end: one that changes a copied file when it starts lacks it each time.
    pub fn is_new(&mut self, container: &ContainerId) -> bool {
        self.seen.insert(container.clone())
    }

    /// Forgets a container that is no more.
    pub fn forget(&mut self, container: &ContainerId) {
        self.seen.remove(container);
    }

    /// Returns what is not listened to any more, by rule.
    pub fn muted(&self) -> &BTreeSet<(usize, PathBuf)> {
        &self.muted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the round (from 1) in which a file is muted that changes after these pauses (ms),
    /// each counted from the end of an action that takes 200 ms.
    fn muted_in(pauses: &[u64]) -> Option<usize> {
        let mut guard = Guard::default();
        let paths = BTreeSet::from([PathBuf::from("/src/pid")]);
        let mut now = Duration::from_secs(1);
        for (round, pause) in pauses.iter().enumerate() {
            guard.acted(0, &paths, now);
            now += Duration::from_millis(*pause);
            if !guard.suspects(0, &paths, now).is_empty() {
                assert!(guard.muted().contains(&(0, PathBuf::from("/src/pid"))));
                return Some(round + 1);
            }
            now += Duration::from_millis(200);
        }
        assert!(guard.muted().is_empty());
        None
    }

    #[test]
    fn a_file_that_changes_right_after_each_action_is_muted() {
        assert_eq!(muted_in(&[10; 9]), Some(5));
        assert_eq!(muted_in(&[900, 20, 400, 1000, 0]), Some(5));
    }

    #[test]
    fn a_file_that_changes_after_the_same_pause_each_time_is_muted() {
        assert_eq!(muted_in(&[3000, 3100, 2900, 3050, 3000, 3000]), Some(5));
        assert_eq!(muted_in(&[61_000; 20]), None);
    }

    #[test]
    fn who_saves_often_is_not_taken_for_a_loop() {
        assert_eq!(muted_in(&[3000, 4500, 2000, 2600, 8000, 3000, 1200, 5000]), None);
        assert_eq!(muted_in(&[300, 400, 300, 200, 5000, 300, 200, 100, 9000]), None);
    }

    #[test]
    fn a_muted_file_is_heard_again_after_long_quiet() {
        let mut guard = Guard::default();
        let path = PathBuf::from("/src/pid");
        let paths = BTreeSet::from([path.clone()]);
        for round in 0..=u64::from(ROUNDS) {
            guard.suspects(0, &paths, Duration::from_secs(round));
            guard.acted(0, &paths, Duration::from_secs(round));
        }
        let mut left = |seconds| {
            guard.heard(std::slice::from_ref(&path), Duration::from_secs(seconds));
            guard.muted().len()
        };
        assert_eq!([left(60), left(110), left(169), left(230), left(231)], [1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_container_is_new_once() {
        let mut guard = Guard::default();
        let id: ContainerId = "a".repeat(64).parse().unwrap();
        assert_eq!([guard.is_new(&id), guard.is_new(&id)], [true, false]);
        guard.forget(&id);
        assert!(guard.is_new(&id));
    }

    #[test]
    fn other_paths_and_rules_are_heard() {
        let mut guard = Guard::default();
        let both = BTreeSet::from([PathBuf::from("/src/a"), PathBuf::from("/src/b")]);
        let one = BTreeSet::from([PathBuf::from("/src/a")]);
        let mut now = Duration::ZERO;
        for _ in 0..ROUNDS {
            guard.acted(0, &one, now);
            guard.acted(1, &both, now);
            now += Duration::from_millis(100);
            assert!(guard.suspects(1, &BTreeSet::from([PathBuf::from("/src/c")]), now).is_empty());
            guard.suspects(0, &one, now);
        }
        assert_eq!(Vec::from_iter(guard.muted()), [&(0, PathBuf::from("/src/a"))]);
    }
}

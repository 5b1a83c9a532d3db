//! When a burst of changes is over. Time is an argument: the time since watching began.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// So long nothing must have changed. An editor's save takes a few steps, all within some
/// milliseconds; who saved waits for what comes of it.
pub const QUIET: Duration = Duration::from_millis(50);

/// Changes that go on are acted on after so long at the latest.
pub const LONGEST: Duration = Duration::from_millis(500);

/// With more paths than these, comparing everything costs less than to remember them.
const MANY: usize = 20_000;

/// Paths that something happened to. What did is seen by looking at them when it is over: a file
/// that was written, renamed over and given its mode has changed once, one that came and went has not.
#[derive(Debug, Default)]
pub struct Debounce {
    dirty: Dirty,
    first: Duration,
    last: Duration,
}

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Paths, each with all below it.
    pub paths: BTreeSet<PathBuf>,
    /// Everywhere: the kernel could not keep all that happened.
    pub everything: bool,
}

impl Debounce {
    /// Something happened to a path.
    pub fn changed(&mut self, path: PathBuf, now: Duration) {
        self.touch(now);
        if !self.dirty.everything {
            self.dirty.paths.insert(path);
            if self.dirty.paths.len() > MANY {
                self.lost(now);
            }
        }
    }

    /// It is not known what happened.
    pub fn lost(&mut self, now: Duration) {
        self.touch(now);
        self.dirty = Dirty { paths: BTreeSet::new(), everything: true };
    }

    /// Returns when the burst is over if nothing more happens; `None` when nothing happened.
    pub fn due(&self) -> Option<Duration> {
        self.dirty.is_some().then(|| (self.last + QUIET).min(self.first + LONGEST))
    }

    /// Returns where to look, once the burst is over.
    pub fn take(&mut self, now: Duration) -> Option<Dirty> {
        self.due().filter(|due| *due <= now)?;
        Some(std::mem::take(&mut self.dirty))
    }

    fn touch(&mut self, now: Duration) {
        if !self.dirty.is_some() {
            self.first = now;
        }
        self.last = now;
    }
}

impl Dirty {
    fn is_some(&self) -> bool {
        self.everything || !self.paths.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds changes at their times (ms), `!` for a loss; returns the batches with the time each came at.
    fn batches(changes: &[(u64, &str)]) -> String {
        let mut debounce = Debounce::default();
        let mut text = String::new();
        let mut take = |debounce: &mut Debounce, now: Duration| {
            // Before a change is told, what is due before it has been taken.
            if let Some(due) = debounce.due().filter(|due| *due <= now) {
                assert_eq!(debounce.take(due - Duration::from_millis(1)), None);
                let dirty = debounce.take(due).expect("it is due");
                let paths: Vec<String> = dirty.paths.iter().map(|path| path.display().to_string()).collect();
                let all = if dirty.everything { "everything" } else { "" };
                text += &format!("{}: {}{all}\n", due.as_millis(), paths.join(" "));
            }
        };
        for (ms, path) in changes {
            let now = Duration::from_millis(*ms);
            take(&mut debounce, now);
            if *path == "!" { debounce.lost(now) } else { debounce.changed(path.into(), now) }
        }
        take(&mut debounce, Duration::MAX);
        assert_eq!(debounce.due(), None);
        text
    }

    #[test]
    fn a_save_is_one_batch_50_ms_after_its_last_step() {
        insta::assert_snapshot!(batches(&[(0, "a"), (3, "a~"), (4, "a"), (9, "a")]), @"59: a a~");
        insta::assert_snapshot!(batches(&[(0, "a"), (60, "b")]), @r"
        50: a
        110: b
        ");
    }

    #[test]
    fn changes_that_do_not_end_are_acted_on_all_the_same() {
        let steady: Vec<(u64, &str)> = (0..30).map(|n| (n * 40, "log")).collect();
        insta::assert_snapshot!(batches(&steady), @r"
        500: log
        1020: log
        1210: log
        ");
    }

    #[test]
    fn what_was_lost_means_everything() {
        insta::assert_snapshot!(batches(&[(0, "a"), (1, "!"), (2, "b")]), @"52: everything");
        let mut many = Debounce::default();
        for n in 0..=MANY {
            many.changed(PathBuf::from(n.to_string()), Duration::ZERO);
        }
        assert_eq!(many.take(QUIET), Some(Dirty { paths: BTreeSet::new(), everything: true }));
    }
}

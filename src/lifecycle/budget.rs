//! How often something is repaired: at once the first time, then after growing pauses.

use std::time::Duration;

use super::Time;

/// Pauses between repairs of one thing.
#[derive(Debug, Clone)]
pub struct Budget {
    first: Duration,
    longest: Duration,
    pause: Duration,
    last: Option<Time>,
}

impl Budget {
    /// Returns a budget whose pauses begin with `first`, double, and end at `longest`. They begin anew
    /// once nothing was repaired for twice the last one and a second.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, pause: first, last: None }
    }

    /// Takes a repair out of the budget; returns how long to wait before it.
    pub fn take(&mut self, now: Time) -> Duration {
        let quiet = self.pause * 2 + Duration::from_secs(1);
        self.pause = match self.last {
            Some(last) if now.since(last) < quiet => (self.pause * 2).min(self.longest),
            _ => self.first,
        };
        self.last = Some(now + self.pause);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_faults_go_on_and_begin_anew_after_quiet() {
        let mut budget = Budget::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut now = Time::default();
        let mut pauses = Vec::new();
        // A fault right after each repair.
        for _ in 0..8 {
            let pause = budget.take(now);
            pauses.push(pause.as_millis());
            now = now + pause;
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(budget.take(now + Duration::from_secs(6)), Duration::from_millis(50));
    }
}

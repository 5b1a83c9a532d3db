//! Restarts of a container whose check fails: only where its policy starts it again at all, after
//! growing pauses, and not for ever.
//!
//! A container that is unhealthy again and again is left alone after [`MOST`] restarts: another
//! one would not help it, and its log would be lost in theirs.

use std::time::Duration;

use super::{Command, FIRST_PAUSE, Replica, State, Time, WELL};
use crate::spec::{Health, RestartPolicy};

/// Restarts of an unhealthy container until it was well for a while.
pub(super) const MOST: u32 = 5;

/// What is remembered of a container's illnesses.
#[derive(Debug, Clone, Default)]
pub(super) struct Ailing {
    /// It is being ended because its check fails.
    pub(super) ending: bool,
    /// How long it had been healthy when its check began to fail.
    pub(super) well_for: Option<Duration>,
    in_row: u32,
}

impl Replica {
    /// Tells whether it is being ended because its check fails.
    pub fn is_ended_for_health(&self) -> bool {
        self.ailing.ending
    }

    /// Its check fails: ends it, so that its policy starts it again.
    pub(super) fn end_for_health(&mut self, grace: Duration, now: Time, commands: &mut Vec<Command>) {
        let State::Running { since, stopping: None } = self.state else { return };
        if self.health() != Some(Health::Unhealthy) {
            return;
        }
        if self.ailing.well_for.take().is_some_and(|well| well >= WELL) {
            self.ailing.in_row = 0;
            self.pause = FIRST_PAUSE;
        }
        let starts_again = match self.settings.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(most) => most.is_none_or(|most| self.restarts < most),
        };
        if self.stopped || !starts_again || self.ailing.in_row >= MOST {
            return;
        }
        self.ailing.in_row += 1;
        self.ailing.ending = true;
        commands.push(if grace.is_zero() { Command::Kill } else { Command::Signal(self.settings.stop_signal) });
        self.state = State::Running { since, stopping: Some((!grace.is_zero()).then(|| now + grace)) };
    }
}

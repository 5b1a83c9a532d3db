//! What a user or a plan asks of a replica: to stop, to take a signal, to go on with other settings.

use std::time::Duration;

use super::health::Probing;
use super::{Command, Replica, Report, SIGKILL, Settings, State, Time};
use crate::spec::{Health, RestartPolicy};

impl Replica {
    pub(super) fn stop(&mut self, signal: i32, grace: Duration, now: Time, commands: &mut Vec<Command>) {
        match self.state {
            State::Starting { again, .. } => {
                self.stopped = true;
                self.state = State::Starting { again, stop: Some((signal, grace)) };
            }
            State::Waiting { code, .. } => {
                self.stopped = true;
                self.state = State::Exited { code, oom: false };
                commands.push(Command::Report(Report::Stopped));
            }
            State::Running { since, stopping } => {
                self.stopped = true;
                let mut kill_at = now + grace;
                match stopping {
                    Some(None) => return,
                    // Asked again: whoever is less patient wins.
                    Some(Some(earlier)) => kill_at = kill_at.min(earlier),
                    None if grace.is_zero() => {}
                    None => commands.push(Command::Signal(signal)),
                }
                let killed = kill_at <= now;
                if killed {
                    commands.push(Command::Kill);
                }
                self.state = State::Running { since, stopping: Some((!killed).then_some(kill_at)) };
            }
            State::Exited { .. } => self.stopped = true,
            State::Created | State::Removed => {}
        }
    }

    pub(super) fn kill(&mut self, signal: i32, commands: &mut Vec<Command>) {
        // A signal that ends it is a stop by hand; SIGHUP and the like are not.
        let ends = signal == SIGKILL || signal == self.settings.stop_signal;
        match self.state {
            State::Running { .. } => {
                self.stopped |= ends;
                commands.push(if signal == SIGKILL { Command::Kill } else { Command::Signal(signal) });
            }
            State::Waiting { code, .. } if ends => {
                self.stopped = true;
                self.state = State::Exited { code, oom: false };
                commands.push(Command::Report(Report::Stopped));
            }
            State::Starting { again, .. } if ends => {
                self.stopped = true;
                self.state = State::Starting { again, stop: Some((signal, Duration::ZERO)) };
            }
            _ => {}
        }
    }

    /// Goes on with other settings. Another check finds its health anew; one that only comes at
    /// other times goes on with what is known.
    pub(super) fn change(&mut self, settings: Settings, now: Time, commands: &mut Vec<Command>) {
        let checks = settings.healthcheck != self.settings.healthcheck;
        let rule = settings.ready != self.settings.ready || checks;
        self.settings = settings;
        match self.state {
            State::Running { stopping: None, .. } if checks => {
                let known = self.probing.take();
                self.probing = match (known, self.settings.healthcheck.clone()) {
                    (Some(known), Some(spec)) if known.is_of(&spec) => Some(known.rescheduled(spec, now)),
                    (_, Some(spec)) => {
                        commands.push(Command::Report(Report::Health(Health::Starting)));
                        Some(Probing::new(spec, now))
                    }
                    (_, None) => None,
                };
                self.probe(now, commands);
            }
            State::Waiting { code, .. } if self.settings.restart == RestartPolicy::No => {
                self.state = State::Exited { code, oom: false };
            }
            _ => {}
        }
        if rule && matches!(self.state, State::Running { stopping: None, .. }) {
            self.look_for_readiness(commands);
        }
    }
}

//! One replica's states: start, health, back-off, stop. Pure: time is an argument.
//!
//! ```text
//!            StartRequested             Started
//!  Created ------------------> Starting --------> Running --StopRequested--> Running, stopping
//!                                 ^                  | Exited                      | Exited
//!                                 | Timer            v                             v
//!                              Waiting <--policy-- (ended) ----------------------> Exited
//! ```
//!
//! [`Replica::step`] is the entry: what happened goes in, what is to be done comes out.

mod ailing;
#[cfg(test)]
mod ailing_tests;
mod asked;
mod budget;
pub mod condition;
mod health;
pub mod hold;
pub mod ready;
pub mod rollout;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use health::ProbeResult;

use std::ops::Add;
use std::time::Duration;

use crate::spec::{ContainerSpec, Health, HealthcheckSpec, Ready, RestartPolicy};
use ailing::Ailing;
use condition::Phase;
use health::Probing;
use ready::Rule;

/// First pause before a restart (spec row `svc-restart`).
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run that was well for so long lets the pauses begin anew.
const WELL: Duration = Duration::from_secs(10);
const SIGKILL: i32 = 9;
/// Exit status of what SIGKILL ended, and of what nobody saw end.
const KILLED: i32 = 128 + SIGKILL;

/// A moment: time since an epoch of the caller's choice that never goes backwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl Time {
    /// Returns how long ago `earlier` was; zero when it is not past.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// What of a container's specification decides its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How its health is probed.
    pub healthcheck: Option<HealthcheckSpec>,
    /// How it is known that it is ready.
    pub ready: Ready,
    /// Signal that asks it to stop.
    pub stop_signal: i32,
}

impl Settings {
    /// Returns the settings of a container.
    pub fn of(spec: &ContainerSpec) -> Self {
        Self {
            restart: spec.restart,
            healthcheck: spec.healthcheck.clone(),
            ready: spec.ready.clone().unwrap_or_default(),
            stop_signal: spec.stop_signal,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The user or a plan wants it to run.
    StartRequested,
    /// Its process runs: also what an adopted container begins with.
    Started,
    /// It could not be started.
    StartFailed {
        /// 126, 127 or 128, as a shell has it.
        code: i32,
    },
    /// Its process ended.
    Exited {
        /// Exit status; 128 and the signal's number when a signal ended it.
        code: i32,
        /// The kernel ended it for want of memory.
        oom: bool,
    },
    /// A probe ended.
    ProbeEnded {
        /// The number that [`Command::Probe`] gave it.
        probe: u64,
        /// When it began.
        began: Time,
        /// Exit status; -1 when it ran into its timeout or could not be run.
        code: i32,
        /// What it printed.
        output: String,
    },
    /// It was found ready, after [`Command::WatchReady`].
    Ready {
        /// By this rule.
        rule: Rule,
    },
    /// The moment of the last [`Command::SetTimer`] came.
    Timer,
    /// The user or a plan wants it to end.
    StopRequested {
        /// Signal that asks it to.
        signal: i32,
        /// How long it may take.
        grace: Duration,
    },
    /// The user sends a signal.
    KillRequested {
        /// The signal.
        signal: i32,
    },
    /// Its check fails, or it lost what it cannot do without: its policy may start it again.
    Ailing {
        /// How long it may take to end.
        grace: Duration,
    },
    /// Its shim is gone, and with it the process.
    ShimGone,
    /// A new engine takes up what the policy asks for: a start that is tried again when it fails,
    /// since what the container needs (another one's network) may come up beside it.
    Resumed,
    /// It was changed in place.
    Changed(Settings),
    /// It was removed.
    Removed,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Start its process.
    Start,
    /// Run its probe.
    Probe {
        /// Number to answer with.
        probe: u64,
        /// After so long it is killed and has failed.
        timeout: Duration,
    },
    /// Find out when this run of it is ready.
    WatchReady,
    /// Send [`Input::Timer`] at this moment, and at no other that was asked for before. Too early
    /// or too often does no harm.
    SetTimer(Time),
    /// Send its first process this signal.
    Signal(i32),
    /// End all its processes.
    Kill,
    /// Tell who listens.
    Report(Report),
}

/// What others want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It runs.
    Started,
    /// It ended.
    Died {
        /// Exit status.
        code: i32,
        /// For want of memory.
        oom: bool,
        /// It starts again after this pause.
        restart_in: Option<Duration>,
    },
    /// It ended because it was asked to, or will not be started again for that reason.
    Stopped,
    /// Its health changed.
    Health(Health),
    /// It is ready by a rule that is not its healthcheck.
    Ready(Rule),
}

/// One container's life.
#[derive(Debug, Clone)]
pub struct Replica {
    settings: Settings,
    state: State,
    /// The user stopped it: no policy starts it again.
    stopped: bool,
    /// Starts by policy since the user or a plan started it.
    restarts: u32,
    /// The pause before the next restart.
    pause: Duration,
    probes: u64,
    probing: Option<Probing>,
    ailing: Ailing,
    /// What found this run ready; its health is looked at where that decides.
    ready: Option<Rule>,
    armed: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Created,
    Starting {
        /// By policy, after a pause.
        again: bool,
        /// A stop came before the process ran.
        stop: Option<(i32, Duration)>,
    },
    Running {
        since: Time,
        /// When it is killed; `Some(None)` once it was.
        stopping: Option<Option<Time>>,
    },
    Waiting {
        until: Time,
        code: i32,
    },
    Exited {
        code: i32,
        oom: bool,
    },
    Removed,
}

impl Replica {
    /// Returns a replica that was created and not started.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Created,
            stopped: false,
            restarts: 0,
            pause: FIRST_PAUSE,
            probes: 0,
            probing: None,
            ailing: Ailing::default(),
            ready: None,
            armed: None,
        }
    }

    /// Returns a replica that an earlier engine has started `restarts` times by policy, and that
    /// the user may have `stopped`.
    pub fn with_past(settings: Settings, restarts: u32, stopped: bool) -> Self {
        Self { restarts, stopped, ..Self::new(settings) }
    }

    /// Returns the replica as one that ended before this engine knew it.
    #[must_use]
    pub fn ended(self, code: i32) -> Self {
        Self { state: State::Exited { code, oom: false }, ..self }
    }

    /// Tells whether an engine that starts anew starts it: `always` even when the user had
    /// stopped it, as in Docker, `unless-stopped` not then (spec row `svc-restart`).
    pub fn starts_with_engine(&self) -> bool {
        match self.settings.restart {
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !self.stopped,
            RestartPolicy::No | RestartPolicy::OnFailure(_) => false,
        }
    }

    /// Returns its health; `None` when it is not probed or does not run.
    pub fn health(&self) -> Option<Health> {
        self.probing.as_ref().map(Probing::status)
    }

    /// Returns the rule by which it is ready; `None` when it is not.
    pub fn readiness(&self) -> Option<Rule> {
        match self.state {
            State::Running { .. } if self.is_judged_by_health() => {
                (self.health() == Some(Health::Healthy)).then_some(Rule::Healthcheck)
            }
            State::Running { .. } => self.ready.clone(),
            _ => None,
        }
    }

    /// Tells whether its healthcheck decides when it is ready.
    fn is_judged_by_health(&self) -> bool {
        self.settings.ready == Ready::Auto && self.probing.is_some()
    }

    /// Returns how many probes failed in a row.
    pub fn failing_streak(&self) -> u32 {
        self.probing.as_ref().map_or(0, Probing::streak)
    }

    /// Returns its last five probes, oldest first.
    pub fn probe_log(&self) -> impl Iterator<Item = &ProbeResult> {
        self.probing.iter().flat_map(Probing::log)
    }

    /// Returns how often a policy started it since the user or a plan did.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Tells whether the user stopped it.
    pub fn is_stopped_by_user(&self) -> bool {
        self.stopped
    }

    /// Tells whether nothing happens to it by itself any more: it neither runs nor starts again.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Created | State::Exited { .. } | State::Removed)
    }

    /// Returns the word that `ps` and `inspect` show.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Created | State::Starting { again: false, .. } => "created",
            State::Starting { again: true, .. } | State::Waiting { .. } => "restarting",
            State::Running { .. } => "running",
            State::Exited { .. } => "exited",
            State::Removed => "dead",
        }
    }

    /// Returns what conditions are decided by.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Created | State::Starting { again: false, .. } => Phase::Pending,
            State::Starting { again: true, .. } | State::Waiting { .. } => {
                Phase::Restarting { looping: self.pause >= LONGEST_PAUSE }
            }
            State::Running { .. } => Phase::Running { health: self.health(), ready: self.readiness().is_some() },
            State::Exited { code, .. } => Phase::Exited { code },
            State::Removed => Phase::Gone,
        }
    }

    /// Takes in what happened and returns what is to be done, in this order.
    pub fn step(&mut self, input: Input, now: Time) -> Vec<Command> {
        let mut commands = Vec::new();
        match input {
            Input::StartRequested => self.start(&mut commands),
            Input::Started => self.started(now, &mut commands),
            Input::StartFailed { code } => self.start_failed(code, now, &mut commands),
            Input::Exited { code, oom } => self.ended_now(code, oom, now, &mut commands),
            Input::ShimGone => {
                if matches!(self.state, State::Starting { .. } | State::Running { .. }) {
                    self.ended_now(KILLED, false, now, &mut commands);
                }
            }
            Input::ProbeEnded { probe, began, code, output } => {
                let well_since = self.probing.as_ref().and_then(Probing::well_since);
                if let (Some(probing), State::Running { stopping: None, .. }) = (&mut self.probing, self.state)
                    && let Some(health) = probing.ended(probe, ProbeResult { began, ended: now, code, output })
                {
                    self.ailing.well_for = well_since.map(|since| now.since(since));
                    commands.push(Command::Report(Report::Health(health)));
                }
            }
            Input::Ailing { grace } => self.end_for_health(grace, now, &mut commands),
            Input::Ready { rule } => {
                if matches!(self.state, State::Running { .. }) && self.ready.is_none() {
                    self.ready = Some(rule.clone());
                    commands.push(Command::Report(Report::Ready(rule)));
                }
            }
            Input::Timer => {
                self.armed = None;
                self.timer(now, &mut commands);
            }
            Input::StopRequested { signal, grace } => self.stop(signal, grace, now, &mut commands),
            Input::KillRequested { signal } => self.kill(signal, &mut commands),
            Input::Resumed => {
                if let State::Exited { code, .. } = self.state {
                    self.stopped = false;
                    self.state = State::Waiting { until: now, code };
                }
            }
            Input::Changed(settings) => self.change(settings, now, &mut commands),
            Input::Removed => {
                self.state = State::Removed;
                self.probing = None;
                self.ready = None;
            }
        }
        let deadline = self.deadline();
        if deadline != self.armed
            && let Some(at) = deadline
        {
            commands.push(Command::SetTimer(at));
        }
        self.armed = deadline;
        commands
    }

    fn start(&mut self, commands: &mut Vec<Command>) {
        match self.state {
            State::Created | State::Waiting { .. } | State::Exited { .. } => {
                self.stopped = false;
                self.restarts = 0;
                self.ailing = Ailing::default();
                self.pause = FIRST_PAUSE;
                self.state = State::Starting { again: false, stop: None };
                commands.push(Command::Start);
            }
            State::Starting { again, .. } => {
                self.stopped = false;
                self.state = State::Starting { again, stop: None };
            }
            State::Running { .. } | State::Removed => {}
        }
    }

    fn started(&mut self, now: Time, commands: &mut Vec<Command>) {
        let stop = match self.state {
            State::Starting { stop, .. } => stop,
            State::Running { .. } | State::Removed => return,
            State::Created | State::Waiting { .. } | State::Exited { .. } => None,
        };
        self.state = State::Running { since: now, stopping: None };
        self.probing = self.settings.healthcheck.clone().map(|spec| Probing::new(spec, now));
        commands.push(Command::Report(Report::Started));
        self.ready = None;
        if stop.is_none() {
            self.look_for_readiness(commands);
        }
        match stop {
            Some((signal, grace)) => self.stop(signal, grace, now, commands),
            None => self.probe(now, commands),
        }
    }

    fn look_for_readiness(&mut self, commands: &mut Vec<Command>) {
        self.ready = (self.settings.ready == Ready::None).then_some(Rule::Started);
        if self.ready.is_none() && !self.is_judged_by_health() {
            commands.push(Command::WatchReady);
        }
    }

    fn start_failed(&mut self, code: i32, now: Time, commands: &mut Vec<Command>) {
        let State::Starting { again, stop } = self.state else { return };
        if again && stop.is_none() {
            self.ended_now(code, false, now, commands);
        } else {
            // Who asked for the start hears of it; a policy would only hide it.
            self.state = State::Exited { code, oom: false };
        }
    }

    fn ended_now(&mut self, code: i32, oom: bool, now: Time, commands: &mut Vec<Command>) {
        let was_well = match self.state {
            State::Running { since, .. } => {
                let well_since = match &self.probing {
                    Some(probing) => probing.well_since(),
                    None => Some(since),
                };
                well_since.is_some_and(|since| now.since(since) >= WELL)
            }
            State::Starting { .. } => false,
            State::Created | State::Waiting { .. } | State::Exited { .. } | State::Removed => return,
        };
        self.probing = None;
        self.ready = None;
        if was_well {
            self.pause = FIRST_PAUSE;
        }
        let ill = std::mem::take(&mut self.ailing.ending);
        let again = !self.stopped
            && match self.settings.restart {
                RestartPolicy::No => false,
                RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
                RestartPolicy::OnFailure(most) => (code != 0 || ill) && most.is_none_or(|most| self.restarts < most),
            };
        let restart_in = again.then_some(self.pause);
        commands.push(Command::Report(Report::Died { code, oom, restart_in }));
        if let Some(pause) = restart_in {
            self.state = State::Waiting { until: now + pause, code };
            self.pause = (pause * 2).min(LONGEST_PAUSE);
        } else {
            self.state = State::Exited { code, oom };
            if self.stopped {
                commands.push(Command::Report(Report::Stopped));
            }
        }
    }

    fn timer(&mut self, now: Time, commands: &mut Vec<Command>) {
        match self.state {
            State::Waiting { until, .. } if until <= now => {
                self.restarts = self.restarts.saturating_add(1);
                self.state = State::Starting { again: true, stop: None };
                commands.push(Command::Start);
            }
            State::Running { since, stopping: Some(Some(kill_at)) } if kill_at <= now => {
                self.state = State::Running { since, stopping: Some(None) };
                commands.push(Command::Kill);
            }
            State::Running { stopping: None, .. } => self.probe(now, commands),
            _ => {}
        }
    }

    fn probe(&mut self, now: Time, commands: &mut Vec<Command>) {
        if let Some(probing) = &mut self.probing
            && probing.is_due(now)
        {
            self.probes += 1;
            let timeout = probing.begin(self.probes);
            commands.push(Command::Probe { probe: self.probes, timeout });
        }
    }

    /// Returns the next moment at which time alone changes something.
    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            State::Running { stopping: Some(kill_at), .. } => kill_at,
            State::Running { stopping: None, .. } => self.probing.as_ref().and_then(Probing::next),
            _ => None,
        }
    }
}

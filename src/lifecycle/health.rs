//! When a container is probed and what follows from the results.
//!
//! Docker probes for the first time one interval after the start. Here the first probe comes at
//! once and is repeated at short intervals until that moment, so that a service is found healthy
//! as soon as it is; failures before it do not count, so nothing becomes unhealthy sooner.

use std::collections::VecDeque;
use std::time::Duration;

use super::Time;
use crate::spec::{Health, HealthcheckSpec};

/// First pause between the probes before one interval has passed.
const QUICK_FIRST: Duration = Duration::from_millis(20);
/// Longest of these pauses: a database that needs 20 s is not found healthy 20 s later.
const QUICK_LAST: Duration = Duration::from_secs(1);
/// These pauses are a fifth of the container's age, so that it is found healthy soon after it is,
const QUICK_PART: u32 = 5;
/// and twice as long as the probe took, so that a heavy one leaves the container its time.
const QUICK_LOAD: u32 = 2;
/// Results that are kept, as Docker does.
const LOG: usize = 5;
/// Bytes of a probe's output that are kept, as Docker does.
const OUTPUT: usize = 4096;

/// One probe that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// When it began.
    pub began: Time,
    /// When it ended.
    pub ended: Time,
    /// Exit status; 0 is success, -1 a timeout.
    pub code: i32,
    /// What it printed, at most 4096 bytes.
    pub output: String,
}

/// Probes of one run of a container.
#[derive(Debug, Clone)]
pub(super) struct Probing {
    spec: HealthcheckSpec,
    started: Time,
    status: Health,
    well_since: Option<Time>,
    streak: u32,
    in_flight: Option<u64>,
    next: Time,
    log: VecDeque<ProbeResult>,
}

impl Probing {
    pub(super) fn new(spec: HealthcheckSpec, now: Time) -> Self {
        Self {
            spec,
            started: now,
            status: Health::Starting,
            well_since: None,
            streak: 0,
            in_flight: None,
            next: now,
            log: VecDeque::new(),
        }
    }

    pub(super) fn status(&self) -> Health {
        self.status
    }

    pub(super) fn streak(&self) -> u32 {
        self.streak
    }

    pub(super) fn log(&self) -> impl Iterator<Item = &ProbeResult> {
        self.log.iter()
    }

    /// Tells whether this specification runs the same check.
    pub(super) fn is_of(&self, spec: &HealthcheckSpec) -> bool {
        self.spec.argv == spec.argv && self.spec.shell == spec.shell
    }

    /// Returns the same probes at the times of another specification.
    pub(super) fn rescheduled(mut self, spec: HealthcheckSpec, now: Time) -> Self {
        self.spec = spec;
        self.next = self.next.min(now + self.pause(now, Duration::ZERO));
        self
    }

    /// Returns since when it is healthy without a break.
    pub(super) fn well_since(&self) -> Option<Time> {
        self.well_since
    }

    /// Returns when the next probe is due; `None` while one runs.
    pub(super) fn next(&self) -> Option<Time> {
        self.in_flight.is_none().then_some(self.next)
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// Notes that a probe runs; returns how long it may take.
    pub(super) fn begin(&mut self, probe: u64) -> Duration {
        self.in_flight = Some(probe);
        self.spec.timeout
    }

    /// Takes in a result; returns the health when it changed.
    pub(super) fn ended(&mut self, probe: u64, mut result: ProbeResult) -> Option<Health> {
        if self.in_flight != Some(probe) {
            return None;
        }
        self.in_flight = None;
        let before = self.status;
        let now = result.ended;
        if result.code == 0 {
            self.streak = 0;
            self.status = Health::Healthy;
            self.well_since.get_or_insert(now);
        } else if self.counts(result.began) {
            self.streak = self.streak.saturating_add(1);
            if self.streak >= self.spec.retries {
                self.status = Health::Unhealthy;
                self.well_since = None;
            }
        }
        self.next = now + self.pause(now, now.since(result.began));
        truncate(&mut result.output);
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(result);
        (self.status != before).then_some(self.status)
    }

    /// Tells whether a failure of a probe that began then counts. A success ends the time in which
    /// failures do not (spec row `svc-healthcheck-start-period`).
    fn counts(&self, began: Time) -> bool {
        self.status != Health::Starting
            || (began.since(self.started) >= self.spec.interval && began.since(self.started) >= self.spec.start_period)
    }

    fn pause(&self, now: Time, took: Duration) -> Duration {
        let age = now.since(self.started);
        let starting = self.status == Health::Starting;
        let regular =
            if starting && age < self.spec.start_period { self.spec.start_interval } else { self.spec.interval };
        let first_regular = self.spec.interval.saturating_sub(age);
        if !starting || first_regular.is_zero() {
            return regular;
        }
        let quick = (age / QUICK_PART).max(took * QUICK_LOAD).clamp(QUICK_FIRST, QUICK_LAST);
        let quick = Duration::from_millis(u64::try_from(quick.as_millis()).unwrap_or(u64::MAX));
        quick.min(regular).min(first_regular)
    }
}

fn truncate(text: &mut String) {
    if text.len() > OUTPUT {
        let end = (0..=OUTPUT).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}

//! Lives of containers whose checks fail.

use super::ailing::MOST;
use super::*;
use crate::spec::HealthcheckSpec;

/// A container whose check is answered by a script; runs end when they are asked to.
struct Sim {
    replica: Replica,
    now: Time,
    /// A probe that is not answered yet.
    probe: Option<u64>,
}

impl Sim {
    fn new(restart: RestartPolicy) -> Self {
        let spec = ContainerSpec {
            restart,
            healthcheck: Some(HealthcheckSpec {
                argv: vec!["probe".into()],
                shell: false,
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(30),
                start_period: Duration::ZERO,
                start_interval: Duration::from_secs(5),
                retries: 2,
            }),
            ..crate::spec::fixture::container()
        };
        let mut sim = Self { replica: Replica::new(Settings::of(&spec)), now: Time::default(), probe: None };
        sim.feed(Input::StartRequested);
        sim.feed(Input::Started);
        sim
    }

    /// Feeds, and what follows by itself; returns what others see.
    fn feed(&mut self, input: Input) -> Vec<String> {
        let mut seen = Vec::new();
        for command in self.replica.step(input, self.now) {
            match command {
                Command::Probe { probe, .. } => self.probe = Some(probe),
                Command::Signal(signal) => seen.push(format!("signal {signal}")),
                Command::Kill => seen.push("kill".to_owned()),
                Command::Report(Report::Died { restart_in, .. }) => {
                    seen.push(format!("died, again in {:?}", restart_in.map(|pause| pause.as_millis())));
                }
                Command::Report(Report::Health(Health::Unhealthy)) => {
                    seen.push("unhealthy".to_owned());
                    seen.extend(self.feed(Input::Ailing { grace: Duration::from_secs(10) }));
                }
                _ => {}
            }
        }
        seen
    }

    /// Answers all probes with this status for so long.
    fn answer(&mut self, code: i32, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut seen = Vec::new();
        while self.now < end {
            self.now = self.now + Duration::from_millis(50);
            let began = self.now;
            seen.extend(self.feed(Input::Timer));
            if let Some(probe) = self.probe.take() {
                seen.extend(self.feed(Input::ProbeEnded { probe, began, code, output: String::new() }));
            }
        }
        seen
    }

    /// Lets its process end, and be started again when its pause is over.
    fn end_and_start(&mut self, code: i32) -> Vec<String> {
        let seen = self.feed(Input::Exited { code, oom: false });
        self.now = self.now + Duration::from_secs(61);
        self.feed(Input::Timer);
        self.feed(Input::Started);
        seen
    }
}

const FAILS: Duration = Duration::from_secs(4);

#[test]
fn an_unhealthy_container_is_started_again_where_its_policy_does() {
    for (policy, expected) in [
        (RestartPolicy::No, vec!["unhealthy"]),
        (RestartPolicy::Always, vec!["unhealthy", "signal 15"]),
        (RestartPolicy::UnlessStopped, vec!["unhealthy", "signal 15"]),
        (RestartPolicy::OnFailure(None), vec!["unhealthy", "signal 15"]),
        (RestartPolicy::OnFailure(Some(0)), vec!["unhealthy"]),
    ] {
        assert_eq!(Sim::new(policy).answer(1, FAILS), expected, "{policy:?}");
    }
    // Whatever it exits with: it did not end by its own wish.
    let mut sim = Sim::new(RestartPolicy::OnFailure(None));
    sim.answer(1, FAILS);
    assert!(sim.replica.is_ended_for_health());
    assert_eq!(sim.end_and_start(0), ["died, again in Some(100)"]);
    assert!(!sim.replica.is_ended_for_health());
}

#[test]
fn one_that_does_not_end_is_killed_and_a_user_who_stops_it_wins() {
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.answer(1, FAILS);
    sim.now = sim.now + Duration::from_secs(10);
    assert_eq!(sim.feed(Input::Timer), ["kill"]);
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.answer(1, FAILS);
    sim.feed(Input::StopRequested { signal: 15, grace: Duration::from_secs(1) });
    assert_eq!(sim.feed(Input::Exited { code: 143, oom: false }), ["died, again in None"]);
}

#[test]
fn it_is_never_a_storm() {
    let mut sim = Sim::new(RestartPolicy::Always);
    let mut pauses = Vec::new();
    for _ in 0..MOST {
        assert_eq!(sim.answer(1, FAILS), ["unhealthy", "signal 15"]);
        pauses.extend(sim.end_and_start(143));
    }
    assert_eq!(
        pauses,
        ["100", "200", "400", "800", "1600"].map(|pause| format!("died, again in Some({pause})")),
        "the pauses grow"
    );
    assert_eq!(sim.answer(1, FAILS), ["unhealthy"], "then it is left alone");
    // One that was well for a while begins anew.
    sim.answer(0, Duration::from_secs(15));
    assert_eq!(sim.answer(1, FAILS), ["unhealthy", "signal 15"]);
    assert_eq!(sim.end_and_start(143), ["died, again in Some(100)"]);
}

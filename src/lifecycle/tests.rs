//! Lives in simulated time.

use super::*;

/// A container whose process and probes a test decides about.
struct Sim {
    replica: Replica,
    now: Time,
    timer: Option<Time>,
    /// What happened, with the milliseconds at which it did.
    log: Vec<String>,
    probe: Option<(u64, Time)>,
    /// How often it was to be found out when it is ready.
    watched: u32,
}

impl Sim {
    fn new(restart: RestartPolicy) -> Self {
        Self::with(Settings { restart, healthcheck: None, ready: Ready::Auto, stop_signal: 15 })
    }

    fn probed(interval: u64, retries: u32, start_period: u64) -> Self {
        Self::with(Settings {
            restart: RestartPolicy::No,
            healthcheck: Some(HealthcheckSpec {
                argv: vec!["probe".into()],
                shell: false,
                interval: Duration::from_millis(interval),
                timeout: Duration::from_secs(30),
                start_period: Duration::from_millis(start_period),
                start_interval: Duration::from_secs(5),
                retries,
            }),
            ready: Ready::Auto,
            stop_signal: 15,
        })
    }

    fn with(settings: Settings) -> Self {
        let replica = Replica::new(settings);
        Self { replica, now: Time::default(), timer: None, log: Vec::new(), probe: None, watched: 0 }
    }

    fn feed(&mut self, input: Input) -> &mut Self {
        for command in self.replica.step(input, self.now) {
            let what = match command {
                Command::SetTimer(at) => {
                    self.timer = Some(at);
                    continue;
                }
                Command::Probe { probe, .. } => {
                    self.probe = Some((probe, self.now));
                    "probe".to_owned()
                }
                Command::Start => "start".to_owned(),
                Command::Signal(signal) => format!("signal {signal}"),
                Command::Kill => "kill".to_owned(),
                Command::Report(Report::Started) => continue,
                Command::Report(Report::Died { code, restart_in: Some(pause), .. }) => {
                    format!("died {code}, again in {}", pause.as_millis())
                }
                Command::Report(Report::Died { code, oom, .. }) => {
                    format!("died {code}{}", if oom { " oom" } else { "" })
                }
                Command::Report(Report::Stopped) => "stopped".to_owned(),
                Command::Report(Report::Health(health)) => health.word().to_owned(),
                Command::Report(Report::Ready(rule)) => format!("ready: {rule}"),
                Command::WatchReady => {
                    self.watched += 1;
                    continue;
                }
            };
            self.log.push(format!("{} {what}", self.now.0.as_millis()));
        }
        self
    }

    /// Lets so many milliseconds pass; timers fire on the way.
    fn pass(&mut self, milliseconds: u64) -> &mut Self {
        let end = self.now + Duration::from_millis(milliseconds);
        while let Some(at) = self.timer.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.timer = None;
            self.feed(Input::Timer);
        }
        self.now = end;
        self
    }

    fn start(&mut self) -> &mut Self {
        self.feed(Input::StartRequested).feed(Input::Started)
    }

    fn exit(&mut self, code: i32) -> &mut Self {
        self.feed(Input::Exited { code, oom: false })
    }

    fn stop(&mut self, grace: u64) -> &mut Self {
        self.feed(Input::StopRequested { signal: 15, grace: Duration::from_millis(grace) })
    }

    /// Answers the probe that runs.
    fn answer(&mut self, code: i32) -> &mut Self {
        let (probe, began) = self.probe.take().expect("a probe runs");
        self.feed(Input::ProbeEnded { probe, began, code, output: format!("code {code}") })
    }

    /// Lets time pass, answering each probe at once.
    fn answering(&mut self, code: i32, milliseconds: u64) -> &mut Self {
        let end = self.now + Duration::from_millis(milliseconds);
        loop {
            if self.probe.is_some() {
                self.answer(code);
            }
            match self.timer {
                Some(at) if at <= end => {
                    let wait = at.since(self.now).as_millis();
                    self.pass(u64::try_from(wait).unwrap());
                }
                _ => break,
            }
        }
        let rest = end.since(self.now).as_millis();
        self.pass(u64::try_from(rest).unwrap())
    }

    #[track_caller]
    fn check(&mut self, expected: &str) -> &mut Self {
        assert_eq!(self.log.join("; "), expected);
        self.log.clear();
        self
    }
}

#[test]
fn no_policy_leaves_it_ended() {
    let mut sim = Sim::new(RestartPolicy::No);
    sim.start().pass(5).exit(1).pass(100_000).check("0 start; 5 died 1");
    assert_eq!(sim.replica.phase(), Phase::Exited { code: 1 });
}

#[test]
fn pauses_double_up_to_a_minute() {
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.start();
    let mut pauses = Vec::new();
    let mut looping = 0;
    for _ in 0..13 {
        sim.log.clear();
        sim.exit(0);
        looping += u32::from(sim.replica.phase() == Phase::Restarting { looping: true });
        pauses.push(sim.log[0].rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        sim.pass(60_000).feed(Input::Started);
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 60000]);
    assert_eq!(sim.replica.restarts(), 13);
    assert_eq!(looping, 4, "from the last but one pause on");
}

#[test]
fn ten_good_seconds_let_the_pauses_begin_anew() {
    let mut sim = Sim::new(RestartPolicy::UnlessStopped);
    sim.start().exit(1).pass(100).feed(Input::Started).pass(9_999).exit(1);
    sim.check("0 start; 0 died 1, again in 100; 100 start; 10099 died 1, again in 200");
    sim.pass(200).feed(Input::Started).pass(10_000).exit(1);
    sim.check("10299 start; 20299 died 1, again in 100");
}

#[test]
fn with_a_healthcheck_only_healthy_seconds_count() {
    let mut sim = Sim::probed(1000, 3, 0);
    sim.replica.settings.restart = RestartPolicy::Always;
    sim.start().answering(1, 20_000).exit(1);
    assert!(sim.log.last().unwrap().ends_with("again in 100"));
    sim.pass(100).feed(Input::Started).answering(1, 20_000).exit(1);
    assert!(sim.log.last().unwrap().ends_with("again in 200"));
    sim.pass(200).feed(Input::Started).answering(0, 10_500).exit(1);
    assert!(sim.log.last().unwrap().ends_with("again in 100"));
}

#[test]
fn on_failure_restarts_failures_and_at_most_so_often() {
    let mut sim = Sim::new(RestartPolicy::OnFailure(None));
    sim.start().exit(0).check("0 start; 0 died 0");
    let mut sim = Sim::new(RestartPolicy::OnFailure(Some(2)));
    sim.start().exit(1).pass(100).feed(Input::Started).exit(1).pass(200).feed(Input::Started).exit(1);
    sim.check("0 start; 0 died 1, again in 100; 100 start; 100 died 1, again in 200; 300 start; 300 died 1");
    // Started by hand, it has all its attempts again.
    sim.start().exit(1).check("300 start; 300 died 1, again in 100");
}

#[test]
fn a_stop_by_hand_ends_every_policy() {
    for policy in [RestartPolicy::Always, RestartPolicy::UnlessStopped, RestartPolicy::OnFailure(None)] {
        let mut sim = Sim::new(policy);
        sim.start().stop(10_000).pass(30).exit(143).pass(100_000);
        sim.check("0 start; 0 signal 15; 30 died 143; 30 stopped");
        assert!(sim.replica.is_stopped_by_user());
        assert_eq!(sim.replica.starts_with_engine(), policy == RestartPolicy::Always);
    }
}

#[test]
fn a_stop_during_the_pause_cancels_the_restart() {
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.start().exit(1).pass(50).stop(10_000).pass(100_000);
    sim.check("0 start; 0 died 1, again in 100; 50 stopped");
    assert_eq!(sim.replica.phase(), Phase::Exited { code: 1 });
}

#[test]
fn a_start_during_the_pause_comes_at_once() {
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.start().exit(1).pass(50).start().pass(1000);
    sim.check("0 start; 0 died 1, again in 100; 50 start");
}

#[test]
fn who_does_not_listen_is_killed_after_the_grace() {
    let mut sim = Sim::new(RestartPolicy::No);
    sim.start().stop(10_000).pass(9_999).check("0 start; 0 signal 15");
    sim.pass(1).pass(50_000).exit(137).check("10000 kill; 60000 died 137; 60000 stopped");
}

#[test]
fn no_grace_is_a_kill() {
    let mut sim = Sim::new(RestartPolicy::No);
    sim.start().stop(0).check("0 start; 0 kill");
}

#[test]
fn a_second_stop_may_be_less_patient() {
    let mut sim = Sim::new(RestartPolicy::No);
    sim.start().stop(10_000).pass(1000).stop(2_000).stop(60_000).pass(1999).check("0 start; 0 signal 15");
    sim.pass(1).check("3000 kill");
    let mut sim = Sim::new(RestartPolicy::No);
    sim.start().stop(10_000).pass(10).stop(0).stop(0).pass(20_000).check("0 start; 0 signal 15; 10 kill");
}

#[test]
fn a_stop_before_the_process_runs_waits_for_it() {
    let mut sim = Sim::probed(1000, 3, 0);
    sim.feed(Input::StartRequested).stop(5_000).pass(10).feed(Input::Started).pass(5_000);
    sim.check("0 start; 10 signal 15; 5010 kill");
}

#[test]
fn signals_by_hand_end_policies_only_when_they_end_the_process() {
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.start().feed(Input::KillRequested { signal: 1 }).exit(129);
    sim.check("0 start; 0 signal 1; 0 died 129, again in 100");
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.start().feed(Input::KillRequested { signal: 9 }).exit(137).check("0 start; 0 kill; 0 died 137; 0 stopped");
}

#[test]
fn a_start_that_fails_is_only_repeated_by_a_policy() {
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.feed(Input::StartRequested).feed(Input::StartFailed { code: 127 }).pass(1000).check("0 start");
    assert_eq!(sim.replica.phase(), Phase::Exited { code: 127 });
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.start().exit(1).pass(100).feed(Input::StartFailed { code: 128 }).pass(200);
    sim.check("0 start; 0 died 1, again in 100; 100 start; 100 died 128, again in 200; 300 start");
}

#[test]
fn a_lost_shim_is_an_end() {
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.start().feed(Input::ShimGone).feed(Input::ShimGone).check("0 start; 0 died 137, again in 100");
    let mut sim = Sim::new(RestartPolicy::No);
    sim.start().feed(Input::Exited { code: 137, oom: true }).check("0 start; 0 died 137 oom");
}

#[test]
fn nothing_happens_after_removal() {
    let mut sim = Sim::probed(1000, 3, 0);
    sim.start().feed(Input::Removed).start().stop(0).exit(1).pass(100_000).check("0 start; 0 probe");
    assert_eq!(sim.replica.phase(), Phase::Gone);
}

#[test]
fn policies_after_the_engine_starts_anew() {
    let starts = |restart, stopped| {
        let settings = Settings { restart, healthcheck: None, ready: Ready::Auto, stop_signal: 15 };
        Replica::with_past(settings, 0, stopped).ended(0).starts_with_engine()
    };
    assert!(starts(RestartPolicy::Always, true) && starts(RestartPolicy::UnlessStopped, false));
    assert!(!starts(RestartPolicy::UnlessStopped, true) && !starts(RestartPolicy::No, false));
    assert!(!starts(RestartPolicy::OnFailure(None), false));
}

#[test]
fn the_first_probe_comes_at_once() {
    let mut sim = Sim::probed(30_000, 3, 0);
    sim.start().pass(3).answer(0).check("0 start; 0 probe; 3 healthy");
    // From the end of a probe to the next one it is one interval.
    sim.pass(29_999).check("").pass(1).check("30003 probe");
}

#[test]
fn probes_are_quick_until_the_first_interval_has_passed() {
    let mut sim = Sim::probed(3_000, 2, 0);
    sim.start()
        .answering(1, 2_999)
        .check("0 start; 0 probe; 20 probe; 40 probe; 60 probe; 80 probe; 100 probe; 120 probe; 144 probe; 172 probe; 206 probe; 247 probe; 296 probe; 355 probe; 426 probe; 511 probe; 613 probe; 735 probe; 882 probe; 1058 probe; 1269 probe; 1522 probe; 1826 probe; 2191 probe; 2629 probe");
    assert_eq!((sim.replica.failing_streak(), sim.replica.health()), (0, Some(Health::Starting)));
    // Then as Docker: at one interval, two intervals.
    sim.answering(1, 6_001).check("3000 probe; 6000 probe; 6000 unhealthy; 9000 probe");
    sim.pass(0).answering(0, 10_000);
    assert_eq!(sim.log[1], "12000 healthy");
}

#[test]
fn short_intervals_are_not_exceeded() {
    let mut sim = Sim::probed(20, 1, 0);
    sim.start().answering(1, 45).check("0 start; 0 probe; 20 probe; 20 unhealthy; 40 probe");
}

#[test]
fn failures_do_not_count_in_the_start_period() {
    let mut sim = Sim::probed(1_000, 1, 12_000);
    sim.start().answering(1, 11_500);
    assert_eq!(sim.replica.health(), Some(Health::Starting));
    // After the first interval it is probed every start_interval.
    assert_eq!(sim.log[sim.log.len() - 3..], ["1000 probe", "6000 probe", "11000 probe"]);
    sim.log.clear();
    sim.answering(1, 5_000).check("16000 probe; 16000 unhealthy");
}

#[test]
fn a_success_ends_the_start_period() {
    let mut sim = Sim::probed(1_000, 2, 60_000);
    sim.start().answering(0, 500).answering(1, 2_000);
    sim.check("0 start; 0 probe; 0 healthy; 1000 probe; 2000 probe; 2000 unhealthy");
}

#[test]
fn one_success_makes_it_healthy_again() {
    let mut sim = Sim::probed(1_000, 3, 0);
    sim.start().answering(0, 500).answering(1, 2_000).answering(0, 1_000).answering(1, 2_000);
    assert_eq!(sim.replica.health(), Some(Health::Healthy));
    assert_eq!(sim.replica.failing_streak(), 2);
}

#[test]
fn the_last_five_results_are_kept() {
    let mut sim = Sim::probed(1_000, 3, 0);
    sim.start().answering(0, 6_500);
    let (probe, began) = (8, sim.now);
    let log: Vec<_> = sim.replica.probe_log().map(|result| result.ended.0.as_millis()).collect();
    assert_eq!(log, [2000, 3000, 4000, 5000, 6000]);
    sim.pass(500);
    assert_eq!(sim.probe.unwrap().0, probe);
    sim.feed(Input::ProbeEnded { probe, began, code: 1, output: "ü".repeat(5000) });
    assert_eq!(sim.replica.probe_log().last().unwrap().output.len(), 4096);
}

#[test]
fn answers_of_an_earlier_run_do_not_count() {
    let mut sim = Sim::probed(1_000, 1, 0);
    sim.replica.settings.restart = RestartPolicy::Always;
    sim.start();
    let (probe, began) = sim.probe.take().unwrap();
    sim.exit(1).pass(100).feed(Input::Started);
    sim.feed(Input::ProbeEnded { probe, began, code: 0, output: String::new() });
    assert_eq!(sim.replica.health(), Some(Health::Starting));
    sim.answer(0);
    assert_eq!(sim.replica.health(), Some(Health::Healthy));
}

#[test]
fn a_container_that_stops_is_not_probed() {
    let mut sim = Sim::probed(1_000, 1, 0);
    sim.start().answer(0).stop(60_000).pass(50_000).check("0 start; 0 probe; 0 healthy; 0 signal 15");
}

#[test]
fn early_and_repeated_timers_do_no_harm() {
    let mut sim = Sim::new(RestartPolicy::Always);
    sim.start().exit(1);
    for _ in 0..5 {
        sim.feed(Input::Timer);
    }
    sim.check("0 start; 0 died 1, again in 100");
    assert_eq!(sim.timer, Some(Time(Duration::from_millis(100))));
    sim.pass(100).check("100 start");
}

#[test]
fn a_new_engine_goes_on_with_the_count_of_tries() {
    let settings =
        Settings { restart: RestartPolicy::OnFailure(Some(3)), healthcheck: None, ready: Ready::Auto, stop_signal: 15 };
    let mut sim = Sim::with(settings.clone());
    sim.replica = Replica::with_past(settings, 2, false);
    sim.feed(Input::Started).feed(Input::Exited { code: 1, oom: false });
    sim.pass(100).feed(Input::Started).feed(Input::Exited { code: 1, oom: false });
    assert_eq!(sim.log, ["0 died 1, again in 100", "100 start", "100 died 1"]);
}

#[test]
fn a_stop_that_an_engine_did_not_live_to_see_is_no_crash() {
    let settings = Settings { restart: RestartPolicy::Always, healthcheck: None, ready: Ready::Auto, stop_signal: 15 };
    let mut sim = Sim::with(settings.clone());
    sim.replica = Replica::with_past(settings, 0, true);
    sim.feed(Input::Started).feed(Input::Exited { code: 143, oom: false });
    assert_eq!(sim.log, ["0 died 143", "0 stopped"]);
}

#[test]
fn what_a_new_engine_takes_up_is_tried_again_when_it_fails() {
    let settings =
        Settings { restart: RestartPolicy::UnlessStopped, healthcheck: None, ready: Ready::Auto, stop_signal: 15 };
    let mut sim = Sim::with(settings.clone());
    sim.replica = Replica::with_past(settings, 0, false).ended(137);
    sim.feed(Input::Resumed).pass(0).feed(Input::StartFailed { code: 128 }).pass(100).feed(Input::Started);
    assert_eq!(sim.log, ["0 start", "0 died 128, again in 100", "100 start"]);
    assert_eq!(sim.replica.word(), "running");
}

/// Returns the settings of [`Sim::probed`] with another check.
fn another(sim: &Sim, change: impl FnOnce(&mut HealthcheckSpec)) -> Input {
    let mut settings = sim.replica.settings.clone();
    change(settings.healthcheck.as_mut().expect("a check"));
    Input::Changed(settings)
}

#[test]
fn another_check_finds_the_health_anew_and_another_schedule_keeps_it() {
    let mut sim = Sim::probed(1000, 1, 0);
    sim.feed(Input::StartRequested).feed(Input::Started).answer(0);
    assert_eq!(sim.replica.health(), Some(Health::Healthy));
    let sooner = another(&sim, |check| check.interval = Duration::from_millis(100));
    sim.feed(sooner);
    assert_eq!(sim.replica.health(), Some(Health::Healthy));
    sim.pass(100);
    assert_eq!(sim.log.last().map(String::as_str), Some("100 probe"));
    sim.answer(0);
    let other = another(&sim, |check| check.argv = vec!["other".into()]);
    sim.feed(other);
    assert_eq!(sim.replica.health(), Some(Health::Starting));
    assert_eq!(sim.log[sim.log.len() - 2..], ["100 starting", "100 probe"]);
    let none = Settings { healthcheck: None, ..sim.replica.settings.clone() };
    sim.feed(Input::Changed(none));
    assert_eq!(sim.replica.health(), None);
}

#[test]
fn another_policy_is_in_force_at_the_next_end_and_none_ends_the_waiting() {
    let policy = |restart| Input::Changed(Settings { restart, healthcheck: None, ready: Ready::Auto, stop_signal: 15 });
    let mut sim = Sim::new(RestartPolicy::No);
    sim.feed(Input::StartRequested).feed(Input::Started).feed(policy(RestartPolicy::Always));
    sim.feed(Input::Exited { code: 0, oom: false });
    assert_eq!(sim.log, ["0 start", "0 died 0, again in 100"]);
    sim.feed(policy(RestartPolicy::No));
    assert!(sim.replica.is_at_rest());
    sim.pass(200);
    assert_eq!(sim.log.len(), 2);
}

#[test]
fn ready_by_the_rule_that_applies() {
    let mut plain = Sim::new(RestartPolicy::Always);
    plain.start();
    assert_eq!((plain.watched, plain.replica.readiness()), (1, None));
    plain.feed(Input::Ready { rule: Rule::Listens(80) });
    assert_eq!(plain.replica.readiness(), Some(Rule::Listens(80)));
    // The next run has to show it again.
    plain.exit(1).pass(100).feed(Input::Started);
    assert_eq!((plain.watched, plain.replica.readiness()), (2, None));

    let mut checked = Sim::probed(1000, 3, 0);
    checked.start();
    assert_eq!((checked.watched, checked.replica.readiness()), (0, None));
    checked.answer(0);
    assert_eq!(checked.replica.readiness(), Some(Rule::Healthcheck));
    // The file gives another rule.
    let settings = Settings { ready: Ready::Tcp(80), ..checked.replica.settings.clone() };
    checked.feed(Input::Changed(settings.clone()));
    assert_eq!((checked.watched, checked.replica.readiness()), (1, None));
    checked.feed(Input::Changed(Settings { ready: Ready::None, ..settings }));
    assert_eq!((checked.watched, checked.replica.readiness()), (1, Some(Rule::Started)));
}

//! The executor on a fake host, with a paused clock.

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::event::{Resource, Status};
use crate::host::fake::{FakeHost, Reply};
use crate::plan::tests::World;

/// A run that ended: what the host was asked for, what was shown, how long it took.
struct Run {
    outcome: Outcome,
    log: String,
    shown: Vec<String>,
    took: Duration,
    most: usize,
}

async fn run(plan: Plan, host: FakeHost, limit: usize) -> Run {
    let (_keep, cancel) = watch::channel(false);
    run_until(plan, host, limit, cancel).await
}

async fn run_until(plan: Plan, host: FakeHost, limit: usize, cancel: watch::Receiver<bool>) -> Run {
    let host = Arc::new(host);
    let shown = Mutex::new(Vec::new());
    let begin = tokio::time::Instant::now();
    let events = |event| shown.lock().unwrap().push(line(&event));
    let outcome = apply(plan, &host, limit, cancel, events).await;
    let took = begin.elapsed();
    Run { outcome, log: host.log().join(", "), shown: shown.into_inner().unwrap(), took, most: host.most_at_once() }
}

fn line(event: &Event) -> String {
    match event {
        Event::Progress { resource, status, detail } => {
            let name = match resource {
                Resource::Image(name)
                | Resource::Network(name)
                | Resource::Volume(name)
                | Resource::Container(name) => name,
            };
            let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
            format!("{name} {}{detail}", status.word())
        }
        Event::Note { message } => format!("note {message}"),
        other => format!("{other:?}"),
    }
}

fn plan(yaml: &str) -> Plan {
    World::new().plan(yaml)
}

fn step() -> Duration {
    Duration::from_millis(10)
}

#[tokio::test(start_paused = true)]
async fn what_is_independent_runs_at_the_same_time() {
    let ended = run(plan("services: {a: , b: , c: }"), FakeHost::new(step()), 16).await;
    assert!(ended.outcome.is_success());
    assert_eq!(ended.took, step() * 3);
    assert_eq!(ended.most, 3);
}

#[tokio::test(start_paused = true)]
async fn the_limit_holds_for_work_but_not_for_waiting() {
    let ended = run(plan("services: {a: , b: , c: }"), FakeHost::new(step()), 1).await;
    assert_eq!((ended.took, ended.most), (step() * 7, 1));
    let world = World::new().with("services: {a: , b: , c: }");
    let ended = run(world.down(&crate::plan::tests::down(&"app".into())), FakeHost::new(step()), 1).await;
    // Three stops at once, then the links, three removals and the network one by one.
    assert_eq!((ended.took, ended.most), (step() * 6, 3));
}

#[tokio::test(start_paused = true)]
async fn dependencies_and_conditions_come_first() {
    let yaml =
        "services: {web: {depends_on: {db: {condition: service_healthy}}}, db: {healthcheck: {test: {shell: x}}}}";
    let ended = run(plan(yaml), FakeHost::new(step()).takes("await db", 500), 16).await;
    assert_eq!(
        ended.log,
        "network app_default, create app-db-1, create app-web-1, start app-db-1, await db, start app-web-1"
    );
    assert_eq!(
        ended.shown,
        [
            "app_default Creating",
            "app_default Created",
            "app-db-1 Creating",
            "app-web-1 Creating",
            "app-db-1 Created",
            "app-db-1 Starting",
            "app-web-1 Created",
            "app-db-1 Started",
            "app-db-1 Waiting",
            "app-db-1 Healthy",
            "app-web-1 Starting",
            "app-web-1 Started",
        ]
    );
    assert_eq!(ended.took, step() * 4 + Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_dependents_are_skipped_and_the_rest_goes_on() {
    let yaml = "services: {web: {depends_on: {api: }}, api: {depends_on: {db: }}, db: , other: }";
    let host = FakeHost::new(step()).fails("start app-db-1", "no such program: redis");
    let ended = run(plan(yaml), host, 16).await;
    assert!(ended.log.ends_with("create app-other-1, !start app-db-1, start app-other-1"), "{}", ended.log);
    let failure = &ended.outcome.failures[0];
    assert_eq!(
        (failure.doing.as_str(), failure.why.as_str()),
        ("start container \"app-db-1\"", "no such program: redis")
    );
    let skipped: Vec<_> = ended.shown.iter().filter(|line| line.contains("Skipped")).collect();
    assert_eq!(
        skipped,
        [
            "app-api-1 Skipped (start container \"app-db-1\" failed)",
            "app-web-1 Skipped (start container \"app-db-1\" failed)",
        ]
    );
    let because: Vec<_> = ended.outcome.skipped.iter().map(|skipped| skipped.because.unwrap().0).collect();
    assert_eq!(because, [6, 6]);
    assert!(ended.shown.contains(&"app-db-1 Error (no such program: redis)".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_step_never_begins_before_all_its_predecessors_succeeded() {
    // The failure comes while another predecessor still works.
    let yaml = "services: {web: {depends_on: {slow: , bad: }}, slow: , bad: }";
    let host = FakeHost::new(step()).takes("start app-slow-1", 1000).fails("start app-bad-1", "no");
    let ended = run(plan(yaml), host, 16).await;
    assert!(!ended.log.contains("start app-web-1"));
    assert!(ended.log.ends_with("!start app-bad-1, start app-slow-1"), "{}", ended.log);
}

#[tokio::test(start_paused = true)]
async fn an_optional_dependency_that_fails_only_warns() {
    let yaml = "services: {web: {depends_on: {db: {condition: service_healthy, required: false}}}, db: {healthcheck: {test: {shell: x}}}}";
    let why = "dependency failed to start: container app-db-1 is unhealthy";
    let ended = run(plan(yaml), FakeHost::new(step()).fails("await db", why), 16).await;
    assert!(ended.outcome.is_success());
    assert!(ended.log.ends_with("!await db, start app-web-1"));
    assert!(ended.shown.contains(&format!("note optional {why}")));
}

#[tokio::test(start_paused = true)]
async fn teardown_goes_on_after_a_failure() {
    let world = World::new().with("services: {web: {depends_on: {db: }}, db: }");
    let host = FakeHost::new(step()).fails("stop app-web-1", "does not end");
    for container in &world.observed.containers {
        host.know(&container.spec.id, &container.spec.name);
    }
    let ended = run(world.down(&crate::plan::tests::down(&"app".into())), host, 16).await;
    assert_eq!(ended.log, "!stop app-web-1, stop app-db-1, remove-links, remove app-db-1");
    assert_eq!(ended.outcome.failures.len(), 1);
    assert_eq!(ended.outcome.skipped.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn replaced_containers_have_one_line() {
    let mut world = World::new().with("services: {web: , db: }");
    let ended = run(world.plan("services: {web: {tty: true}, db: }"), FakeHost::new(step()), 16).await;
    assert_eq!(
        ended.shown,
        [
            "app-db-1 Running",
            "app-web-1 Recreate",
            "app-web-1 Recreate",
            "app-web-1 Recreate",
            "app-web-1 Recreated",
            "app-web-1 Starting",
            "app-web-1 Started",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_finishes_what_works_and_stops_waiting() {
    let yaml = "services: {web: {depends_on: {db: {condition: service_healthy}}}, db: {healthcheck: {test: {shell: x}}}, slow: }";
    let (cancel, cancelled) = watch::channel(false);
    let host = FakeHost::new(step()).takes("await db", 60_000).takes("start app-slow-1", 100);
    let later = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.send(true).unwrap();
    };
    let (ended, ()) = tokio::join!(run_until(plan(yaml), host, 16, cancelled), later);
    assert!(ended.outcome.cancelled && ended.outcome.failures.is_empty());
    assert_eq!(ended.took, Duration::from_millis(120));
    assert!(ended.log.ends_with("start app-db-1, start app-slow-1"), "{}", ended.log);
    assert!(ended.outcome.skipped.iter().all(|skipped| skipped.because.is_none()));
    assert_eq!(ended.outcome.skipped.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn cancelling_too_late_or_losing_the_sender_cancels_nothing() {
    let (sender, cancelled) = watch::channel(false);
    drop(sender);
    assert!(run_until(plan("services: {a: }"), FakeHost::new(step()), 16, cancelled).await.outcome.is_success());
    let (sender, cancelled) = watch::channel(false);
    let host = FakeHost::new(step()).takes("start app-a-1", 1000);
    let later = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        sender.send(true).unwrap();
    };
    let (ended, ()) = tokio::join!(run_until(plan("services: {a: }"), host, 16, cancelled), later);
    assert!(ended.outcome.is_success());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_host_is_a_failure() {
    let host = FakeHost::new(step()).reply("create app-a-1", Reply { panics: true, ..Reply::default() });
    let ended = run(plan("services: {a: , b: }"), host, 16).await;
    assert!(ended.outcome.failures[0].why.contains("panic"), "{:?}", ended.outcome);
    assert!(ended.log.ends_with("start app-b-1"));
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do_ends_at_once() {
    let mut world = World::new().with("services: {a: }");
    let ended = run(world.plan("services: {a: }"), FakeHost::new(step()), 0).await;
    assert!(ended.outcome.is_success());
    assert_eq!(ended.shown, ["app-a-1 Running"]);
    assert_eq!(Status::Running.word(), "Running");
}

/// Whatever fails, whatever the order: nothing begins before its predecessors, and every step
/// is done, failed or skipped.
#[tokio::test(start_paused = true)]
async fn every_single_failure_is_contained() {
    let yaml = "services: {web: {depends_on: {api: , cache: {condition: service_healthy, required: false}}},
        api: {depends_on: {db: {condition: service_completed_successfully}}}, db: ,
        cache: {healthcheck: {test: {shell: x}}}}";
    let calls = run(plan(yaml), FakeHost::new(step()), 16).await.log;
    for call in calls.split(", ") {
        let plan = plan(yaml);
        let count = plan.steps.len();
        let ended = run(plan, FakeHost::new(step()).fails(call, "no"), 3).await;
        let done = ended.log.split(", ").count();
        assert_eq!(done + ended.outcome.skipped.len(), count, "{call}: {}", ended.log);
        assert_eq!(ended.outcome.failures.len(), usize::from(call != "await cache"), "{call}");
    }
}

#[test]
fn a_daemon_can_run_it_as_a_task() {
    fn sendable<T: Send>(_: &T) {}
    let host = Arc::new(FakeHost::default());
    let (_keep, cancel) = watch::channel(false);
    sendable(&apply(Plan::default(), &host, DEFAULT_LIMIT, cancel, |_| {}));
}

#[test]
fn an_update_that_fails_is_a_failure_of_its_service() {
    let batch = crate::spec::Batch {
        service: "web".into(),
        containers: Vec::new(),
        monitor: Duration::ZERO,
        delay: Duration::ZERO,
        tolerated: 0,
    };
    assert_eq!(kind(&Op::WatchReplicas(batch)), FailureKind::Service);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nobody_waits_for_what_only_the_command_waits_for() {
    let yaml = "services: {a: , slow: , dep: {depends_on: {db: {condition: service_healthy}}}, db: {healthcheck: {test: {shell: x}}}}";
    let plan = World::new().waiting().plan(yaml);
    let host = FakeHost::new(step()).fails("await a", "it ended").takes("await slow", 60_000).takes("await db", 500);
    let ended = run(plan, host, 16).await;
    assert_eq!(ended.outcome.failures.len(), 1, "{}", ended.log);
    // What others depend on is waited for, and they start.
    assert!(ended.log.contains("start app-dep-1"), "{}", ended.log);
    assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
    assert!(!ended.outcome.cancelled && !ended.outcome.is_success());
}

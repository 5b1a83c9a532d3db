//! `depends_on`, its conditions, and health.

use crate::support::{World, becomes};

#[test]
fn a_dependent_waits_until_its_dependency_is_healthy() {
    let world = World::with(
        "
services:
  db:
    image: busybox
    command: sh -c 'sleep 1; touch /tmp/ready; exec sleep 1000'
    healthcheck: {test: [CMD-SHELL, 'test -e /tmp/ready'], interval: 200ms, retries: 50}
  web:
    image: busybox
    command: sleep 1000
    depends_on: {db: {condition: service_healthy}}
",
    );
    let up = world.stack(&["up", "-d"]);
    assert!(up.took.as_millis() >= 1000, "up ended before db was healthy: {up}");
    up.ok();
    assert_eq!(world.inspect("db")["State"]["Health"]["Status"], "healthy");
    assert_eq!(world.state("web"), "running");
}

#[test]
fn an_unhealthy_dependency_is_reported_and_its_dependent_not_started() {
    let world = World::with(
        "
services:
  db:
    image: busybox
    command: sleep 1000
    healthcheck: {test: [CMD, 'false'], interval: 50ms, retries: 2}
  web:
    image: busybox
    command: sleep 1000
    depends_on: {db: {condition: service_healthy}}
",
    );
    world.stack(&["up", "-d"]).fails_naming(&["db", "unhealthy"]);
    assert_ne!(world.state("web"), "running");
    assert_eq!(world.state("db"), "running");
}

#[test]
fn a_dependent_waits_for_completion_and_is_not_started_after_a_failure() {
    let world = World::with(
        "
services:
  migrate: {image: busybox, command: sh -c 'sleep 0.5; exit 0'}
  web: {image: busybox, command: sleep 1000, depends_on: {migrate: {condition: service_completed_successfully}}}
",
    );
    world.up();
    assert_eq!(world.inspect("migrate")["State"]["ExitCode"], 0);
    assert_eq!(world.state("migrate"), "exited");
    assert_eq!(world.state("web"), "running");

    let world = World::with(
        "
services:
  migrate: {image: busybox, command: sh -c 'exit 3'}
  web: {image: busybox, command: sleep 1000, depends_on: {migrate: {condition: service_completed_successfully}}}
",
    );
    world.stack(&["up", "-d"]).fails_naming(&["migrate", "3"]);
    assert_ne!(world.state("web"), "running");
}

#[test]
fn up_wait_succeeds_when_all_are_healthy_and_fails_when_one_ends() {
    let world = World::with(
        "
services:
  web:
    image: busybox
    command: sh -c 'sleep 0.5; touch /tmp/ready; exec sleep 1000'
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 100ms, retries: 50}
",
    );
    world.up_wait();
    assert_eq!(world.inspect("web")["State"]["Health"]["Status"], "healthy");

    let world = World::with(
        "services: {web: {image: busybox, command: sh -c 'sleep 0.3; exit 4', healthcheck: {test: [CMD, 'false'], interval: 100ms, retries: 100}}}",
    );
    let said = world.stack(&["up", "-d", "--wait"]).fails(3);
    assert!(said.contains("web") && said.contains("4"), "{said}");
}

#[test]
fn health_follows_the_checks() {
    let world = World::with(
        "
services:
  web:
    image: busybox
    command: sleep 1000
    healthcheck: {test: test ! -e /tmp/broken, interval: 100ms, retries: 2}
",
    );
    let health = || world.inspect("web")["State"]["Health"]["Status"].as_str().unwrap_or("").to_owned();
    world.up_wait();
    world.sh("web", "touch /tmp/broken");
    becomes("health", &"unhealthy".to_owned(), health);
    world.sh("web", "rm /tmp/broken");
    becomes("health", &"healthy".to_owned(), health);
}

#[test]
fn a_check_that_hangs_is_ended_after_its_timeout() {
    let world = World::with(
        "
services:
  web:
    image: busybox
    command: sleep 1000
    healthcheck: {test: [CMD, sleep, '1000'], interval: 50ms, timeout: 100ms, retries: 1}
",
    );
    world.up();
    becomes("health", &"unhealthy".to_owned(), || {
        world.inspect("web")["State"]["Health"]["Status"].as_str().unwrap_or("").to_owned()
    });
    let sleeping = || world.sh("web", "ps -o args | grep -c '^sleep 1000' || true");
    // Its own and at most the check that just began.
    assert!(sleeping().parse::<u32>().unwrap() <= 2, "{}", world.sh("web", "ps -o pid,args"));
}

#[test]
fn start_period_failures_do_not_count() {
    let world = World::with(
        "
services:
  web:
    image: busybox
    command: sh -c 'sleep 1; touch /tmp/ready; exec sleep 1000'
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 60s, retries: 1, start_period: 30s, start_interval: 100ms}
",
    );
    world.up_wait();
    assert_eq!(world.inspect("web")["State"]["Health"]["Status"], "healthy");
}

#[test]
fn stopping_goes_against_the_order_of_starting() {
    let world = World::with(
        "
services:
  db: {image: busybox, init: true, command: sleep 1000}
  web: {image: busybox, init: true, command: sleep 1000, depends_on: [db]}
",
    );
    world.up();
    world.stack(&["stop"]).ok();
    let finished = |service: &str| {
        world.inspect(service)["State"]["FinishedAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    assert!(finished("web") <= finished("db"), "web ended {}, db {}", finished("web"), finished("db"));
}

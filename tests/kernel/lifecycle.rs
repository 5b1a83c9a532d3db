//! Restart policies, stopping, init, and what an ended container tells.

use std::time::Duration;

use crate::support::{World, becomes, eventually, host};

#[test]
fn on_failure_gives_up_after_its_count() {
    let world = World::with("services: {app: {image: busybox, command: sh -c 'exit 7', restart: 'on-failure:2'}}");
    world.up();
    becomes("restarts and state", &(2, "exited".to_owned()), || {
        (world.inspect("app")["RestartCount"].as_i64().unwrap_or(-1), world.state("app"))
    });
    assert_eq!(world.inspect("app")["State"]["ExitCode"], 7);
    assert_eq!(world.stack(&["logs"]).ok(), "", "it said nothing");
}

#[test]
fn on_failure_leaves_success_alone_and_always_does_not() {
    let world = World::with(
        "
services:
  done: {image: busybox, command: 'true', restart: on-failure}
  again: {image: busybox, command: 'true', restart: always}
  once: {image: busybox, command: sh -c 'exit 1'}
",
    );
    world.up();
    eventually("it is started again", crate::support::SOON, || {
        (world.inspect("again")["RestartCount"].as_i64() > Some(1)).then_some(())
    });
    for (service, code) in [("done", 0), ("once", 1)] {
        assert_eq!(world.state(service), "exited");
        assert_eq!(world.inspect(service)["RestartCount"], 0);
        assert_eq!(world.inspect(service)["State"]["ExitCode"], code);
    }
}

#[test]
fn a_stopped_service_stays_stopped_whatever_its_policy() {
    let world = World::with("services: {app: {image: busybox, init: true, command: sleep 1000, restart: always}}");
    world.up();
    world.stack(&["stop"]).ok();
    assert_eq!(world.state("app"), "exited");
    assert_eq!(world.inspect("app")["State"]["ExitCode"], 143);
    world.stack(&["start"]).ok();
    assert_eq!(world.state("app"), "running");
}

#[test]
fn restart_keeps_the_address_and_the_id() {
    let world = World::with("services: {app: {image: busybox, init: true, command: sleep 1000}}");
    world.up();
    let (ids, address, pid) = (world.ids(), world.address("app"), world.pid("app"));
    world.stack(&["restart"]).ok();
    assert_eq!((world.ids(), world.address("app")), (ids, address));
    assert_ne!(world.pid("app"), pid);
    assert!(!host::runs(pid));
}

#[test]
fn a_process_that_ignores_sigterm_is_killed_after_its_grace() {
    let world = World::with(
        "
services:
  stubborn:
    image: busybox
    command: sh -c 'trap \"\" TERM; while true; do sleep 0.1; done'
    stop_grace_period: 500ms
",
    );
    world.up();
    let stop = world.stack(&["stop"]);
    assert!(stop.took >= Duration::from_millis(500), "killed too early: {stop}");
    stop.ok();
    assert_eq!(world.inspect("stubborn")["State"]["ExitCode"], 137);
}

#[test]
fn the_stop_signal_is_the_one_of_the_file() {
    let world = World::with(
        "
services:
  app:
    image: busybox
    command: sh -c 'trap \"echo got it; exit 5\" USR1; while true; do sleep 0.05; done'
    stop_signal: SIGUSR1
",
    );
    world.up();
    world.stack(&["stop"]).ok();
    assert_eq!(world.inspect("app")["State"]["ExitCode"], 5);
    assert!(world.stack(&["logs"]).ok().contains("got it"));
}

#[test]
fn init_reaps_orphans_and_passes_signals_on() {
    let orphan = "sh -c '(sleep 0.1 &) ; exec sleep 1000'";
    let world = World::with(&format!("services: {{app: {{image: busybox, init: true, command: {orphan:?}}}}}"));
    world.up();
    assert_ne!(world.sh("app", "cat /proc/1/comm"), "sleep", "an init is process 1");
    becomes("zombies", &"0".to_owned(), || {
        world.sh("app", "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
    });
    becomes("orphans that run", &"1".to_owned(), || world.sh("app", "pidof sleep | wc -w"));
    let stop = world.stack(&["stop"]);
    assert!(stop.took < Duration::from_secs(5), "SIGTERM did not reach the program: {stop}");
    stop.ok();
}

#[test]
fn a_container_that_takes_too_much_memory_is_reported_as_oom_killed() {
    let world = World::with(
        "
services:
  hungry:
    image: busybox
    command: sh -c 'sleep 0.2; tail /dev/zero'
    mem_limit: 16m
    memswap_limit: 16m
",
    );
    world.up();
    becomes("state", &"exited".to_owned(), || world.state("hungry"));
    let inspect = world.inspect("hungry");
    assert_eq!(inspect["State"]["OOMKilled"], true, "{}", inspect["State"]);
    assert_ne!(inspect["State"]["ExitCode"], 0);
}

#[test]
fn exit_codes_are_those_of_a_shell() {
    let world = World::with(
        "
services:
  killed: {image: busybox, init: true, command: sh -c 'kill -9 $$$$'}
  plain: {image: busybox, command: sh -c 'exit 42'}
",
    );
    world.up();
    for (service, code) in [("killed", 137), ("plain", 42)] {
        becomes(service, &"exited".to_owned(), || world.state(service));
        assert_eq!(world.inspect(service)["State"]["ExitCode"], code, "{service}");
    }
}

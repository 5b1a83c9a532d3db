//! What the daemon keeps, takes over and lets go of.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{SOON, World, becomes, eventually, host};

/// Kills the daemon and has a command start the next one.
fn replace_daemon(world: &World) {
    let daemon = world.daemon();
    world.kill(daemon);
    assert_ne!(world.daemon(), daemon);
}

#[test]
fn a_container_that_cannot_start_stays_created_and_says_why() {
    let world = World::with("services: {app: {image: busybox, command: /no/such/program, restart: always}}");
    world.stack(&["up", "-d"]).fails_naming(&["/no/such/program"]);
    let check = || {
        let state = world.inspect("app")["State"].clone();
        assert_eq!((&state["Status"], &state["ExitCode"]), (&"created".into(), &127.into()), "{state}");
        assert!(state["Error"].as_str().unwrap().contains("/no/such/program"), "{state}");
        assert_eq!(state["FinishedAt"], "0001-01-01T00:00:00Z");
    };
    check();
    // It is at rest: the daemon leaves, and the next one knows all that.
    world.leaves_no_process();
    check();
}

#[test]
fn the_first_up_knows_the_hosts_address() {
    let world = World::with(
        "services: {app: {image: busybox, command: sleep 1000, extra_hosts: ['host.docker.internal:host-gateway']}}",
    );
    world.up();
    let first = world.sh("app", "grep host.docker.internal /etc/hosts");
    world.stack(&["up", "-d", "--force-recreate", "-t", "0"]).ok();
    assert_eq!(world.sh("app", "grep host.docker.internal /etc/hosts"), first);
}

#[test]
fn a_wait_that_takes_too_long_ends_and_leaves_the_services_to_run() {
    let world = World::with(
        "
services:
  ill: {image: busybox, command: sleep 1000, healthcheck: {test: 'false', retries: 1000, interval: 100ms}}
  next: {image: busybox, command: sleep 1000, depends_on: {ill: {condition: service_healthy}}}
",
    );
    let began = Instant::now();
    let said = world.stack(&["up", "-d", "--wait", "--wait-timeout", "1"]).fails(4);
    assert!(said.contains("not ready after 1 s"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!((world.state("ill"), world.state("next")), ("running".to_owned(), "created".to_owned()));
    assert_eq!(world.ps().len(), 2);
}

#[test]
fn projects_that_come_up_at_once_get_networks_of_their_own() {
    let world = World::with("services: {a: {image: busybox, command: sleep 1000}}");
    let names: Vec<String> = (0..6).map(|n| format!("{}x{n}", world.project)).collect();
    let ups: Vec<_> = names.iter().map(|name| world.start(&["-p", name, "up", "-d"])).collect();
    let ended: Vec<_> = ups.into_iter().map(|up| up.end(Duration::from_secs(60))).collect();
    let addresses: BTreeSet<String> = names
        .iter()
        .map(|name| {
            let inspect = world.inspect_container(&format!("{name}-a-1"));
            inspect["NetworkSettings"]["Networks"][format!("{name}_default")]["IPAddress"].to_string()
        })
        .collect();
    for name in &names {
        world.stack(&["-p", name, "down", "-t", "0"]).ok();
    }
    assert!(ended.iter().all(|(code, _)| *code == Some(0)), "{ended:?}");
    assert_eq!(addresses.len(), names.len(), "{addresses:?}");
}

#[test]
fn tries_are_counted_across_daemons() {
    let world = World::with(
        "services: {app: {image: busybox, command: sh -c 'echo run; sleep 0.4; exit 1', restart: 'on-failure:3'}}",
    );
    world.up();
    eventually("a second try", SOON, || (world.inspect("app")["RestartCount"].as_i64() >= Some(2)).then_some(()));
    replace_daemon(&world);
    becomes("restarts and state", &(3, "exited".to_owned()), || {
        (world.inspect("app")["RestartCount"].as_i64().unwrap_or(-1), world.state("app"))
    });
    assert_eq!(world.stack(&["logs", "--no-log-prefix"]).ok(), "run\n".repeat(4));
}

#[test]
fn internal_networks_stay_internal_with_the_next_daemon() {
    let world = World::with(
        "
services:
  inside: {image: busybox, command: sleep 1000, networks: [closed]}
  outside: {image: busybox, command: sleep 1000}
networks: {closed: {internal: true}}
",
    );
    world.up();
    let asks =
        |service: &str| world.sh(service, "nslookup host.docker.internal >/dev/null 2>&1 && echo yes || echo no");
    let check = || assert_eq!((asks("inside"), asks("outside")), ("no".to_owned(), "yes".to_owned()));
    check();
    replace_daemon(&world);
    check();
    assert_eq!(world.sh("inside", "nslookup inside >/dev/null && echo yes"), "yes");
}

#[test]
fn a_daemon_that_is_asked_to_end_leaves_containers_alone_and_comes_back_with_the_next_command() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    world.up();
    let (pid, daemon) = (world.pid("app"), world.daemon());
    kill(Pid::from_raw(daemon), Signal::SIGTERM).unwrap();
    eventually("it ends", SOON, || (!host::runs(daemon)).then_some(()));
    // A shim that misses its daemon starts another within 200 ms.
    let end = Instant::now() + Duration::from_millis(800);
    while Instant::now() < end {
        assert!(!world.processes().any(|p| p.is_daemon()), "nobody asked for a daemon");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.pid("app"), pid);
}

#[test]
fn a_container_between_two_tries_can_be_killed() {
    let world = World::with("services: {app: {image: busybox, command: sh -c 'exit 1', restart: always}}");
    world.up();
    eventually("a long pause", SOON, || (world.inspect("app")["RestartCount"].as_i64() > Some(3)).then_some(()));
    world.stack(&["kill"]).ok();
    assert_eq!(world.state("app"), "exited");
    world.leaves_no_process();
}

#[test]
fn damaged_and_half_made_containers_do_not_stop_the_others() {
    let world = World::with(
        "
services:
  good: {image: busybox, command: sleep 1000}
  bad: {image: busybox, command: sleep 1000}
",
    );
    world.up();
    let (good, bad) = (world.pid("good"), world.pid("bad"));
    let id = world.inspect("bad")["Id"].as_str().unwrap().to_owned();
    let folder = world.root().join("containers").join(&id);
    let half = world.root().join("containers").join("f".repeat(64));
    std::fs::create_dir_all(half.join("upper")).unwrap();
    let daemon = world.daemon();
    std::fs::write(folder.join("record.json"), "{").unwrap();
    world.kill(daemon);

    assert_eq!(world.pid("good"), good);
    eventually("nothing runs that nobody knows of", SOON, || (!host::runs(bad)).then_some(()));
    assert!(folder.join("upper").exists(), "files of the user are not thrown away");
    assert!(!half.exists());
    assert_eq!(world.state("bad"), "gone");
    world.up();
    assert_eq!((world.pid("good"), world.state("bad")), (good, "running".to_owned()));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn who_stops_waiting_for_its_turn_no_longer_wants_it() {
    let world = World::with(
        "
services:
  slow:
    image: busybox
    command: sh -c 'trap \"\" TERM; while true; do sleep 0.1; done'
    stop_grace_period: 2s
",
    );
    world.up();
    let stop = world.start(&["stop"]);
    eventually("the stop has begun", SOON, || {
        std::fs::read_to_string(world.run_folder().join("daemon.log")).ok()?.contains("stop").then_some(())
    });
    let mut down = world.start(&["down"]);
    down.line_with("waiting for another command");
    drop(down);
    assert_eq!(stop.end(SOON).0, Some(0));
    // Whatever comes next has its turn after it.
    world.stack(&["stop"]).ok();
    assert_eq!(world.state("slow"), "exited");
}

#[test]
fn a_model_of_many_services_fits_into_a_request() {
    let services: String =
        (0..40).map(|n| format!("  s{n}: {{image: busybox, labels: {{text: {}}}}}\n", "x".repeat(100_000))).collect();
    let world = World::with(&format!("services:\n{services}  app: {{image: busybox, command: sleep 1000}}\n"));
    world.stack(&["up", "-d", "app"]).ok();
    assert_eq!(world.state("app"), "running");
}

#[test]
fn nobody_else_can_reach_what_images_and_volumes_hold() {
    let world = World::with(
        "services: {app: {image: busybox, command: sleep 1000, volumes: ['data:/data']}}\nvolumes: {data: }",
    );
    world.up();
    for entry in std::fs::read_dir(world.root()).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", entry.path().display());
    }
    for name in ["stack.sock", "daemon.log", "daemon.lock"] {
        let mode = std::fs::metadata(world.run_folder().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn restarts_cost_no_descriptors() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000, ports: ['80']}}");
    world.up();
    let restart = |times| (0..times).for_each(|_| drop(world.stack(&["restart", "-t", "0"]).ok()));
    let open = |pid: i32| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let daemon = world.daemon();
    restart(2);
    let before = open(daemon);
    restart(15);
    // Sockets of the last commands close on their own time.
    eventually("no more descriptors than before", SOON, || (open(daemon) <= before + 2).then_some(()));
    assert_eq!(world.daemon(), daemon);
}

//! Crash cards: who ended a container, told right on a real kernel.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{SOON, World, becomes, eventually};

fn why(world: &World, service: &str) -> Value {
    let text = world.stack(&["why", "--format", "json", service]).ok();
    let mut list: Vec<Value> = serde_json::from_str(&text).unwrap();
    list.remove(0)
}

/// Returns the card once the container has died.
#[track_caller]
fn card(world: &World, service: &str) -> Value {
    eventually("a card", SOON, || Some(why(world, service)["card"].clone()).filter(|card| !card.is_null()))
}

#[test]
fn memory_and_who_ran_out_of_it() {
    let eat = "tail /dev/zero";
    let world = World::with(&format!(
        "
services:
  main: {{image: busybox, command: {eat}, mem_limit: 16m, memswap_limit: 16m}}
  child: {{image: busybox, command: sh -c '{eat}; echo survived; exit 4', mem_limit: 16m, memswap_limit: 16m}}
"
    ));
    world.up();
    let main = card(&world, "main");
    assert_eq!(main["by"], serde_json::json!({"who": "kernel", "child": false, "limit": true}), "{main}");
    assert_eq!((&main["signal"], &main["memory"]["limit"]), (&9.into(), &(16 << 20).into()), "{main}");
    let peak = main["memory"]["peak"].as_u64().unwrap();
    assert!(peak > 14 << 20 && peak <= 16 << 20, "{main}");
    let child = card(&world, "child");
    assert_eq!(child["by"], serde_json::json!({"who": "kernel", "child": true, "limit": true}), "{child}");
    assert_eq!((&child["exit_code"], &child["memory"]["kills"]), (&4.into(), &1.into()), "{child}");
    assert!(child["lines"].to_string().contains("survived"), "{child}");
    let table = world.stack(&["ps", "-a"]).ok();
    assert!(table.contains("out of memory, limit 16 MiB") && table.contains("a child ran out of memory"), "{table}");
    let text = world.stack(&["why", "main"]).ok();
    assert!(text.contains("killed by the kernel: out of memory") && text.contains("limit 16 MiB"), "{text}");
    assert!(world.stack(&["events", "--since", "1m", "--until", "0s", "main"]).ok().contains(" oom "));
}

#[test]
fn strangers_users_and_faults_are_told_apart() {
    let world = World::with(
        "
services:
  host: {image: busybox, command: sleep 1000}
  user: {image: busybox, command: sleep 1000}
  stop: {image: busybox, command: sleep 1000, stop_grace_period: 100ms}
  shim: {image: busybox, command: sleep 1000}
  exit: {image: busybox, command: sh -c 'echo last words; exit 3', restart: 'on-failure:1'}
",
    );
    world.up();
    kill(Pid::from_raw(world.pid("host")), Signal::SIGKILL).unwrap();
    world.stack(&["kill", "user"]).ok();
    world.stack(&["stop", "stop"]).ok();
    world.kill(world.shim("shim"));
    let who = |service: &str| card(&world, service)["by"]["who"].as_str().unwrap().to_owned();
    assert_eq!(who("host"), "host");
    assert_eq!(who("user"), "user");
    assert_eq!(card(&world, "user")["by"]["command"], "kill");
    let stopped = card(&world, "stop");
    assert_eq!((&stopped["by"]["command"], &stopped["expected"]), (&"stop".into(), &true.into()), "{stopped}");
    assert!(stopped["hints"].to_string().contains("did not end within 0.1 s of SIGTERM"), "{stopped}");
    assert_eq!(who("shim"), "shim");
    becomes("state", &"exited".to_owned(), || world.state("exit"));
    let exit = card(&world, "exit");
    assert_eq!((&exit["restarts"], &exit["exit_code"]), (&1.into(), &3.into()), "{exit}");
    assert_eq!(exit["lines"], serde_json::json!(["last words"]), "{exit}");
    // Known to the next daemon as well.
    let cards: Vec<_> = ["host", "exit"].map(|service| card(&world, service)).to_vec();
    if let Some(daemon) = world.processes().find(|p| p.is_daemon()) {
        world.kill(daemon.pid);
    }
    assert_eq!(["host", "exit"].map(|service| card(&world, service)).to_vec(), cards);
}

#[test]
fn cards_are_shown_by_up_and_by_logs_that_are_followed() {
    let world = World::with(
        "
services:
  web: {image: busybox, command: sh -c 'echo here; read line < /go; echo connect to db:1 -- connection refused; exit 5', volumes: ['./go:/go'], depends_on: [db]}
  db: {image: busybox, init: true, command: sleep 1000}
",
    );
    nix::unistd::mkfifo(&world.folder().join("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut up = world.start(&["up"]);
    up.line_with("Attaching to");
    let mut logs = world.start(&["logs", "-f", "web"]);
    // Then its events are followed, too.
    logs.line_with("here");
    std::fs::write(world.folder().join("go"), "go\n").unwrap();
    for follower in [&mut up, &mut logs] {
        let line = follower.line_with("died:");
        assert!(line.contains("web-1 died: ended by itself: exit code 5, after"), "{line}");
        follower.line_with("connection refused");
        let hint = follower.line_with("hint:");
        assert!(hint.contains("db was running, and nothing tells when it is ready"), "{hint}");
    }
}

#[test]
fn a_refused_mount_names_the_owner() {
    let world = World::with(
        "services: {web: {image: busybox, user: '1234:1234', command: sh -c 'echo x > /data/file', volumes: ['./data:/data']}}",
    );
    std::fs::create_dir(world.folder().join("data")).unwrap();
    world.up();
    let hints = card(&world, "web")["hints"].to_string();
    assert!(hints.contains("belongs to user 0, group 0") && hints.contains("runs as user 1234"), "{hints}");
}

#[test]
fn a_container_that_dies_while_it_is_waited_for_has_its_card_there() {
    let world = World::with(
        "
services:
  db: {image: busybox, command: sh -c 'sleep 0.3; echo no space left; exit 3', x-stack: {ready: 'tcp:5432'}}
  web: {image: busybox, command: sleep 1000, depends_on: [db]}
  hasty: {image: busybox, command: sh -c 'echo no configuration >&2; exit 7', restart: 'on-failure:2'}
",
    );
    for arguments in [&["up", "-d"][..], &["up", "-d", "--wait"], &["up"]] {
        let up = world.stack(arguments);
        let card = "db-1 died: ended by itself: exit code 3, after ";
        assert_eq!(up.stderr.matches(card).count(), 1, "{up}");
        assert!(up.stderr.contains("| no space left"), "{up}");
        // One that is tried again and again has one card.
        assert_eq!(up.stderr.matches("hasty-1 died: ended by itself: exit code 7").count(), 1, "{up}");
        assert_ne!(up.code, Some(0), "{up}");
        world.down();
    }
}

#[test]
fn a_start_that_failed_is_told_once() {
    let world = World::with("services: {web: {image: busybox, command: no-such-program}}");
    let up = world.stack(&["up", "-d"]);
    assert!(!up.stderr.contains("died"), "{up}");
    up.fails_naming(&["no-such-program"]);
}

//! What happened, as `stack events` tells it: now, before, and before the daemon was killed.

use serde_json::Value;

use crate::support::{SOON, World, becomes, eventually};

fn kept(world: &World, more: &[&str]) -> Vec<Value> {
    let arguments = [&["events", "--json", "--since", "1h", "--until", "0s"], more].concat();
    world.stack(&arguments).ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn words(events: &[Value]) -> String {
    let word = |event: &Value| format!("{} {}", event["service"].as_str().unwrap(), event["action"].as_str().unwrap());
    events.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn events_are_told_as_they_happen() {
    let world = World::with(
        "services: {web: {image: busybox, command: sleep 1000, init: true, labels: {own: label}}, db: {image: busybox, command: sleep 1000}}",
    );
    let mut live = world.start(&["events", "--since", "1m", "web"]);
    world.up();
    let id = world.ps().iter().find(|c| c["Service"] == "web").unwrap()["ID"].as_str().unwrap().to_owned();
    let line = live.line_with(" start ");
    assert!(line.contains(&id) && line.contains("image=busybox") && line.contains("own=label"), "{line}");
    assert!(!line.contains("com.docker.compose"), "{line}");
    world.stack(&["stop", "web"]).ok();
    live.line_with(" kill ");
    assert!(live.line_with(" die ").contains("exitCode=143"));
    live.line_with(" stop ");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(live.pid()), nix::sys::signal::SIGINT).unwrap();
    assert_eq!(live.end(SOON).0, Some(130));
}

#[test]
fn what_happened_outlives_the_daemon_and_the_project() {
    let world = World::with("services: {web: {image: busybox, command: sh -c 'exit 3'}}");
    world.up();
    becomes("state", &"exited".to_owned(), || world.state("web"));
    let first = kept(&world, &[]);
    assert_eq!(words(&first), "web create, web start, web die");
    assert_eq!(first[2]["attributes"]["exitCode"], "3");
    if let Some(daemon) = world.processes().find(|p| p.is_daemon()) {
        world.kill(daemon.pid);
    }
    assert_eq!(kept(&world, &[]), first);
    world.down();
    assert_eq!(words(&kept(&world, &["web"])), "web create, web start, web die, web destroy");
    assert_eq!(world.stack(&["events", "--since", "1h", "--until", "30m"]).ok(), "");
}

#[test]
fn wait_prints_the_statuses_and_exits_with_the_last() {
    let world = World::with(
        "services: {one: {image: busybox, command: sh -c 'exit 3'}, two: {image: busybox, init: true, command: sleep 1000}}",
    );
    world.up();
    becomes("state", &"exited".to_owned(), || world.state("one"));
    let ended = world.stack(&["wait", "one"]);
    assert_eq!(ended.code, Some(3), "{ended}");
    assert!(ended.stdout.contains('3'), "{ended}");
    let waiting = world.start(&["wait", "two", "--down-project"]);
    eventually("it waits", SOON, || (crate::support::host::state(waiting.pid()) == Some('S')).then_some(()));
    world.stack(&["kill", "-s", "TERM", "two"]).ok();
    let (code, lines) = waiting.end(SOON);
    assert_eq!(code, Some(143), "{lines:?}");
    assert!(world.ps().is_empty(), "the project is down");
}

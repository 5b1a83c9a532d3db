//! What an `up` took: told at its end, and later.

use serde_json::Value;

use crate::support::{World, becomes};

const FILE: &str = "
services:
  db:
    image: busybox
    command: sh -c 'sleep 0.3; touch /ok; exec sleep 1000'
    healthcheck: {test: [CMD, test, -e, /ok]}
  web: {image: busybox, command: httpd -f -p 80 -h /etc, depends_on: {db: {condition: service_healthy}}}
  side: {image: busybox, command: sleep 1000, x-stack: {ready: none}}
";

fn analysis(world: &World) -> Value {
    let text = world.stack(&["analyze", "--format", "json"]).ok();
    serde_json::from_str(&text).expect("an object")
}

/// Returns what happened on the critical path, in order: `start app-db-1`.
fn critical(analysis: &Value) -> Vec<String> {
    let place = |index: &Value| usize::try_from(index.as_u64().expect("a place")).expect("a place");
    let spans = analysis["critical_path"].as_array().expect("a list").iter();
    let spans = spans.map(|index| &analysis["spans"][place(index)]);
    spans.map(|span| format!("{} {}", span["phase"].as_str().unwrap(), span["subject"].as_str().unwrap())).collect()
}

fn took(analysis: &Value, container: &str, phase: &str) -> Option<u64> {
    let containers = analysis["containers"].as_array().expect("a list");
    containers.iter().find(|c| c["name"] == container)?["phases"][format!("{phase}_us")].as_u64()
}

#[test]
fn up_tells_what_took_how_long_and_the_chain_that_decided_and_so_does_another_engine() {
    let world = World::with(FILE);
    let up = world.stack(&["up", "-d", "--wait", "--timings"]);
    let project = &world.project;
    let shown = up.stderr.lines().skip_while(|line| !line.starts_with("up of ")).collect::<Vec<_>>().join("\n");
    assert!(shown.contains("CONTAINER") && shown.contains("The critical path (*)"), "{up}");
    assert!(!up.ok().contains("critical"), "data goes to standard output, this does not");

    let first = analysis(&world);
    let (db, web) = (format!("{project}-db-1"), format!("{project}-web-1"));
    let path = critical(&first);
    let end = [&format!("start {db}"), "ready db", &format!("network {web}"), &format!("start {web}"), "ready web"];
    assert_eq!(path[path.len() - 5..], end);
    assert_eq!(path[0], "plan ");
    for phase in ["create", "network", "start", "ready"] {
        assert!(took(&first, &web, phase) > Some(0), "{phase}: {first}");
    }
    assert!(took(&first, &db, "ready") > Some(250_000), "{first}");

    world.kill(world.daemon());
    assert_eq!(critical(&analysis(&world)), path);
    world.down();
    let text = world.stack(&["analyze", "web"]).ok();
    assert!(text.contains("web-1  ") && !text.contains("side-1"), "{text}");
}

#[test]
fn what_nobody_waited_for_is_told_once_it_is_ready() {
    let world =
        World::with("services: {web: {image: busybox, command: 'sh -c \"sleep 0.5; exec httpd -f -p 80 -h /etc\"'}}");
    world.stack(&["up", "-d", "--timings"]).ok();
    let web = format!("{}-web-1", world.project);
    becomes("the time until web was ready is known", &true, || took(&analysis(&world), &web, "ready") > Some(400_000));
}

#[test]
fn an_up_that_failed_is_told_and_one_that_never_was_is_an_error() {
    let world = World::with("services: {web: {image: busybox, command: no-such-program}}");
    world.stack(&["analyze"]).fails(1);
    let up = world.stack(&["up", "-d", "--timings"]).fails(1);
    assert!(up.contains("failed after") && up.contains("start web-1 (failed)"), "{up}");
}

#[test]
fn in_the_foreground_it_is_told_before_the_output() {
    let world = World::with("services: {web: {image: busybox, command: echo hello}}");
    let up = world.stack(&["up", "--timings"]);
    let told = up.stderr.find("The critical path").expect("it is told");
    assert!(told < up.stderr.find("Attaching to").expect("it attaches"), "{up}");
    up.ok();
}

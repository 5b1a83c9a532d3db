//! Running `up` again: what differs is changed, and nothing else.

use std::collections::BTreeMap;

use crate::support::World;

const PAIR: &str = "
services:
  one: {image: busybox, command: sleep 1000, stop_grace_period: 0s, environment: {VALUE: '${VALUE:-a}'}}
  two: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
";

#[test]
fn a_second_up_changes_nothing() {
    let world = World::with(PAIR);
    world.up();
    let before = (world.ids(), world.pid("one"), world.pid("two"));
    world.up();
    assert_eq!((world.ids(), world.pid("one"), world.pid("two")), before);
}

#[test]
fn a_changed_variable_recreates_only_its_service() {
    let mut world = World::with(PAIR);
    world.up();
    let (before, two) = (world.ids(), world.pid("two"));
    world.set("VALUE", "b");
    world.up();
    let after = world.ids();
    assert_ne!(after[&world.container("one")], before[&world.container("one")]);
    assert_eq!(after[&world.container("two")], before[&world.container("two")]);
    assert_eq!(world.pid("two"), two);
    assert_eq!(world.sh("one", "echo $VALUE"), "b");
}

#[test]
fn force_recreate_replaces_all_and_no_deps_only_what_is_named() {
    let world = World::with(
        "
services:
  db: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
  web: {image: busybox, command: sleep 1000, stop_grace_period: 0s, depends_on: [db]}
",
    );
    world.stack(&["up", "-d", "--no-deps", "web"]).ok();
    assert_eq!(world.ids().into_keys().collect::<Vec<_>>(), [world.container("web")]);
    world.up();
    let before = world.ids();
    world.stack(&["up", "-d", "--force-recreate"]).ok();
    let after = world.ids();
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|(name, id)| before[name] != *id), "{before:?} {after:?}");
}

#[test]
fn scale_adds_and_removes_replicas() {
    let world = World::with(
        "services: {web: {image: busybox, command: sleep 1000, stop_grace_period: 0s, deploy: {replicas: 2}}}",
    );
    let numbers = |ids: &BTreeMap<String, String>| -> Vec<String> {
        ids.keys().filter_map(|name| name.rsplit('-').next().map(str::to_owned)).collect()
    };
    world.up();
    let two = world.ids();
    assert_eq!(numbers(&two), ["1", "2"]);
    world.stack(&["up", "-d", "--scale", "web=4"]).ok();
    let four = world.ids();
    assert_eq!(numbers(&four), ["1", "2", "3", "4"]);
    assert!(two.iter().all(|(name, id)| four[name] == *id), "the old ones stay");
    world.stack(&["up", "-d", "--scale", "web=1"]).ok();
    assert_eq!(numbers(&world.ids()), ["1"]);
    world.stack(&["up", "-d", "--scale", "web=0"]).ok();
    assert_eq!(numbers(&world.ids()), [""; 0]);
}

#[test]
fn scale_changes_the_number_now_and_touches_no_other_container() {
    let world = World::with(
        "
services:
  db: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
  web: {image: busybox, command: sleep 1000, stop_grace_period: 0s, depends_on: [db]}
",
    );
    world.up();
    let (one, db) = (world.ids(), world.pid("db"));
    world.stack(&["scale", "web=3"]).ok();
    let three = world.ids();
    assert_eq!(three.len(), 4);
    assert!(one.iter().all(|(name, id)| three[name] == *id) && world.pid("db") == db, "the old ones stay");
    assert!(world.stack(&["scale", "web=3"]).ok().is_empty());
    assert_eq!(world.ids(), three);
    world.stack(&["scale", "web=0", "db=2"]).ok();
    let now = world.ids();
    assert_eq!(now.keys().filter(|name| name.contains("-web-")).count(), 0, "{now:?}");
    assert_eq!(now[&world.container("db")], one[&world.container("db")]);
    // The file counts again.
    world.up();
    assert_eq!(world.ids().into_keys().collect::<Vec<_>>(), one.into_keys().collect::<Vec<_>>());
    let wrong = world.stack(&["scale", "wev=2"]);
    wrong.fails_naming(&["there is no service `wev`", "did you mean"]);
    world.stack(&["scale", "web"]).fails_naming(&["SERVICE=NUM"]);
}

#[test]
fn orphans_are_reported_and_removed_when_asked() {
    let world = World::with(PAIR);
    world.up();
    world.write(
        "stack.yml",
        "services: {one: {image: busybox, command: sleep 1000, stop_grace_period: 0s, environment: {VALUE: a}}}",
    );
    let up = world.stack(&["up", "-d"]);
    assert!(up.stderr.contains("orphan") && up.stderr.contains(&world.container("two")), "{up}");
    up.ok();
    assert_eq!(world.state("two"), "running");
    world.stack(&["up", "-d", "--remove-orphans"]).ok();
    assert_eq!(world.state("two"), "gone");
    assert_eq!(world.state("one"), "running");
}

#[test]
fn a_stopped_container_is_started_again_not_made_anew() {
    let world = World::with(PAIR);
    world.up();
    let before = world.ids();
    world.stack(&["kill", "one"]).ok();
    crate::support::becomes("state", &"exited".to_owned(), || world.state("one"));
    world.up();
    assert_eq!(world.ids(), before);
    assert_eq!(world.state("one"), "running");
}

#[test]
fn two_projects_of_the_same_services_do_not_meet() {
    let world = World::with(PAIR);
    world.up();
    let other = format!("{}-other", world.project);
    world.stack(&["-p", &other, "up", "-d"]).ok();
    let before = world.ids();
    world.stack(&["-p", &other, "down", "-t", "0"]).ok();
    assert_eq!(world.ids(), before);
    assert_eq!(world.state("one"), "running");
}

#[test]
fn down_works_without_the_file() {
    let world = World::with(PAIR);
    world.up();
    std::fs::remove_file(world.folder().join("stack.yml")).unwrap();
    world.stack(&["-p", &world.project, "down", "-t", "0"]).ok();
    world.leaves_nothing();
}

#[test]
fn only_services_of_active_profiles_run() {
    let world = World::with(
        "
services:
  app: {image: busybox, command: sleep 1000}
  debug: {image: busybox, command: sleep 1000, profiles: [tools]}
",
    );
    world.up();
    assert_eq!((world.state("app"), world.state("debug")), ("running".into(), "gone".into()));
    world.stack(&["--profile", "tools", "up", "-d"]).ok();
    assert_eq!(world.state("debug"), "running");
    world.stack(&["--profile", "tools", "down", "-t", "0"]).ok();
}

#[test]
fn two_ups_at_the_same_time_end_in_one_project() {
    let world = World::with(PAIR);
    let first = world.start(&["up", "-d"]);
    let second = world.start(&["up", "-d"]);
    let limit = std::time::Duration::from_secs(60);
    for running in [first, second] {
        let (code, lines) = running.end(limit);
        assert_eq!(code, Some(0), "{}", lines.join("\n"));
    }
    assert_eq!(world.ids().len(), 2);
    assert_eq!((world.state("one"), world.state("two")), ("running".into(), "running".into()));
}

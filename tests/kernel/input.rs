//! Mistakes in files: every one is named with its place, and nothing is half-created.

use crate::support::World;

/// Runs `up` on the file, which must fail naming these words, and checks that nothing was made.
#[track_caller]
fn check(yaml: &str, words: &[&str]) {
    let world = World::empty();
    world.write("stack.yml", yaml);
    world.stack(&["up", "-d"]).fails_naming(words);
    world.stack(&["config", "-q"]).fails(1);
    assert_eq!(world.processes().count(), 0, "no engine was needed for that");
}

#[test]
fn malformed_yaml_is_named_with_its_line() {
    check("services:\n  app:\n    image: [busybox\n", &["stack.yml:"]);
}

#[test]
fn a_misspelled_key_gets_a_suggestion() {
    check(
        "services:\n  app:\n    image: busybox\n    healthchek: {test: 'true'}\n",
        &["stack.yml:4:5", "healthchek", "healthcheck"],
    );
}

#[test]
fn all_mistakes_are_shown_in_one_run() {
    check(
        "services:\n  app:\n    image: busybox\n    prots: ['80']\n    restart: sometimes\n  web:\n    image: busybox\n    depends_on: [nobody]\n",
        &["prots", "sometimes", "nobody"],
    );
}

#[test]
fn a_cycle_is_shown_as_a_path() {
    check(
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n",
        &["a -> b -> c -> a"],
    );
}

#[test]
fn a_service_without_an_image_and_a_missing_volume_are_named() {
    check("services:\n  app: {command: sleep 1}\n", &["app", "image"]);
    check("services:\n  app: {image: x, volumes: ['data:/data']}\n", &["data"]);
    check("services:\n  app: {image: x, networks: [back]}\n", &["back"]);
}

#[test]
fn a_required_variable_that_is_missing_is_named_with_its_message() {
    check("services:\n  app:\n    image: busybox:${TAG:?set TAG to a version}\n", &["TAG", "set TAG to a version"]);
}

#[test]
fn no_file_at_all_lists_the_names_that_are_looked_for() {
    let world = World::empty();
    world.stack(&["up", "-d"]).fails_naming(&["stack.yml", "compose.yaml"]);
    world.stack(&["-f", "missing.yml", "up", "-d"]).fails_naming(&["missing.yml"]);
}

#[test]
fn a_missing_env_file_is_named() {
    check("services:\n  app: {image: x, env_file: missing.env}\n", &["missing.env"]);
}

#[test]
fn what_is_not_in_force_yet_is_a_warning_that_names_its_line() {
    let world = World::with(
        "services:\n  app:\n    image: busybox\n    command: sleep 1000\n    blkio_config: {weight: 300}\n",
    );
    let up = world.stack(&["up", "-d"]);
    assert!(up.stderr.contains("blkio_config") && up.stderr.contains("stack.yml:5"), "{up}");
    up.ok();
}

#[test]
fn a_command_that_the_image_does_not_have_is_named() {
    let world = World::with("services: {app: {image: busybox, command: no-such-program --flag}}");
    world.stack(&["up", "-d"]).fails_naming(&["no-such-program", "app"]);
    assert_ne!(world.state("app"), "running");
}

#[test]
fn one_service_that_cannot_start_does_not_stop_another() {
    let world = World::with(
        "
services:
  bad: {image: busybox, command: no-such-program}
  good: {image: busybox, command: sleep 1000}
",
    );
    world.stack(&["up", "-d"]).fails_naming(&["no-such-program"]);
    crate::support::becomes("state of the other", &"running".to_owned(), || world.state("good"));
}

#[test]
fn unknown_services_and_flags_are_refused() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    world.stack(&["up", "-d", "nobody"]).fails_naming(&["nobody"]);
    let flag = world.stack(&["up", "--no-such-flag"]);
    assert!(flag.code.is_some_and(|code| code != 0) && flag.stderr.contains("--no-such-flag"), "{flag}");
    let command = world.stack(&["no-such-command"]);
    assert!(command.code.is_some_and(|code| code != 0) && command.stderr.contains("no-such-command"), "{command}");
}

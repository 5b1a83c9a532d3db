//! `kill -9` of the engine at every boundary of a step: the next command converges, every time.

use std::fs;

use crate::support::World;

/// Runs a command once for every boundary of its steps, with an engine that dies there; `again` must make up for it.
#[track_caller]
fn at_every_boundary(world: &World, least: u32, before: impl Fn(), command: &[&str], again: impl Fn()) {
    let hook = world.run_folder().join("die-at-step");
    let mut boundary = 0;
    loop {
        before();
        fs::create_dir_all(world.run_folder()).unwrap();
        fs::write(&hook, boundary.to_string()).unwrap();
        let output = world.stack(command);
        // What nobody came to is beyond the last one.
        if fs::remove_file(&hook).is_ok() {
            assert_eq!(output.code, Some(0), "{output}");
            again();
            break;
        }
        // It may have found the next engine and gone on by itself.
        eprintln!("boundary {boundary}: {output}");
        again();
        boundary += 1;
    }
    assert!(boundary >= least, "only {boundary} boundaries were seen");
}

fn file(value: &str, rest: &str) -> String {
    format!(
        "
services:
  db: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['data:/data'], environment: {{A: '{value}'}}}}
  web: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, depends_on: [db], environment: {{A: '{value}'}}{rest}}}
volumes: {{data: }}
"
    )
}

/// Checks that all runs as the file says, in one container a service.
#[track_caller]
fn converged(world: &World, value: &str) {
    world.stack(&["plan"]).ok();
    assert_eq!(world.ids().len(), 2, "{:?}", world.ids());
    for service in ["db", "web"] {
        assert_eq!(world.sh(service, "echo $A"), value);
    }
}

#[test]
fn up() {
    let world = World::with(&file("1", ""));
    let again = || {
        world.up();
        converged(&world, "1");
        world.down();
    };
    at_every_boundary(&world, 12, || {}, &["up", "-d"], again);
    world.leaves_nothing();
}

#[test]
fn recreate_and_change_in_place() {
    let world = World::with(&file("1", ""));
    let before = || {
        world.write("stack.yml", &file("1", ""));
        world.up();
        world.write("stack.yml", &file("2", ", labels: {a: b}"));
    };
    let again = || {
        world.up();
        converged(&world, "2");
        // In place.
        world.write("stack.yml", &file("2", ", mem_limit: 32m"));
        world.up();
        converged(&world, "2");
    };
    at_every_boundary(&world, 16, before, &["up", "-d"], again);
    world.down();
    world.leaves_nothing();
}

#[test]
fn recreate_start_first() {
    let config = ", deploy: {update_config: {order: start-first}}";
    let world = World::with(&file("1", config));
    let before = || {
        world.write("stack.yml", &file("1", config));
        world.up();
        world.write("stack.yml", &file("2", config));
    };
    let again = || {
        world.up();
        converged(&world, "2");
    };
    at_every_boundary(&world, 16, before, &["up", "-d"], again);
    world.down();
    world.leaves_nothing();
}

#[test]
fn scale() {
    let world = World::with(&file("1", ""));
    world.up();
    let set = |count: &str| world.stack(&["scale", count]).ok();
    let count = || world.ids().len();
    at_every_boundary(
        &world,
        8,
        || drop(set("web=1")),
        &["scale", "web=3"],
        || {
            set("web=3");
            assert_eq!(count(), 4);
        },
    );
    at_every_boundary(
        &world,
        8,
        || drop(set("web=3")),
        &["scale", "web=1"],
        || {
            set("web=1");
            assert_eq!(count(), 2);
            converged(&world, "1");
        },
    );
    world.down();
    world.leaves_nothing();
}

#[test]
fn down() {
    let world = World::with(&file("1", ""));
    let again = || {
        world.down();
        assert!(world.ids().is_empty(), "{:?}", world.ids());
    };
    at_every_boundary(&world, 12, || world.up(), &["down", "-v", "-t", "0"], again);
    world.leaves_nothing();
}

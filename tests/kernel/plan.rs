//! `stack plan`: what it shows, that it changes nothing, and that a plan that was kept is kept to.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::images::Registry;
use crate::support::world::World;

const ONE: &str =
    "services: {app: {image: busybox, stop_grace_period: 0s, command: sleep 1000, environment: {A: '1', TOKEN: one}}}";
const TWO: &str =
    "services: {app: {image: busybox, stop_grace_period: 0s, command: sleep 1000, environment: {A: '2', TOKEN: two}}}";

#[test]
fn the_status_tells_whether_there_is_something_to_do() {
    let world = World::with(ONE);
    let plan = world.stack(&["plan"]);
    assert_eq!(plan.code, Some(2), "{plan}");
    assert!(plan.stdout.contains("+ container") && plan.stdout.contains("Plan: 2 to create."), "{plan}");
    assert!(world.ps().is_empty());
    world.up();
    let plan = world.stack(&["plan"]).ok();
    assert!(plan.contains("Nothing to do: 1 of 1 containers are as the file says."), "{plan}");

    world.write("stack.yml", TWO);
    let plan = world.stack(&["plan"]);
    assert_eq!(plan.code, Some(2), "{plan}");
    for line in ["recreate", "environment.A", "1 -> 2", "*** (another value)", "Plan: 1 to recreate."] {
        assert!(plan.stdout.contains(line), "{line}: {plan}");
    }
    let json = world.stack(&["plan", "--format", "json"]).stdout;
    let review: serde_json::Value = serde_json::from_str(&json).unwrap();
    let app = &review["resources"][0];
    assert_eq!((app["effect"].as_str(), app["service"].as_str()), (Some("recreate"), Some("app")), "{json}");
    assert_eq!(app["changes"][0], serde_json::json!({"field": "environment.A", "before": "1", "after": "2"}), "{json}");
    assert!(!json.contains("one") && !json.contains("two"), "a secret is shown: {json}");

    world.write(
        "stack.yml",
        "services: {app: {image: busybox, container_name: x}, b: {image: busybox, container_name: x}}",
    );
    world.stack(&["plan"]).fails(1);
}

#[test]
fn a_plan_changes_nothing() {
    let world = World::with(ONE);
    // Until it is ready: that is kept, too.
    world.up_wait();
    let registry = Registry::start(&world);
    registry.push(&world, "new:1");
    let new = format!("services: {{new: {{image: '{}/new:1'}}, ", registry.address);
    world.write("stack.yml", &TWO.replace("services: {", &new));
    let before = picture(&world);
    let plan = world.stack(&["plan", "--remove-orphans"]);
    assert_eq!(plan.code, Some(2), "{plan}");
    assert!(plan.stdout.contains("/new:1") && plan.stdout.contains("pull"), "{plan}");
    world.stack(&["--dry-run", "up", "-d"]).ok();
    let after = picture(&world);
    assert_eq!(after.symmetric_difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());

    // What could not be fetched is known before anything is stopped.
    world.write("stack.yml", &TWO.replace("services: {", &new.replace("/new:1", "/no-such:1")));
    world.stack(&["plan"]).fails_naming(&["resolve", "/no-such:1"]);
    drop(registry);
    world.write("stack.yml", &TWO.replace("services: {", &new));
    world.stack(&["plan"]).fails_naming(&["/new:1", "cannot be reached"]);
    world.stack(&["up", "-d"]).fails_naming(&["cannot be reached"]);
    assert_eq!(world.sh("app", "echo $A"), "1");
}

#[test]
fn a_plan_that_was_kept_is_carried_out_or_refused() {
    let world = World::with(ONE);
    let file = world.folder().join("plan.json");
    let keep = || assert_eq!(world.stack(&["plan", "--out", "plan.json"]).code, Some(2));
    keep();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "it holds secrets");
    // The file may change in between: what was agreed to is done.
    world.write("stack.yml", TWO);
    world.stack(&["up", "-d", "--plan", "plan.json"]).ok();
    assert_eq!(world.sh("app", "echo $A"), "1");

    keep();
    world.stack(&["rm", "-sf"]).ok();
    let refused = world.stack(&["up", "-d", "--plan", "plan.json"]);
    refused.fails_naming(&["has changed since it was made", "app-1", "stack plan"]);
    assert!(world.ps().is_empty());
    keep();
    world.stack(&["up", "-d", "--plan", "plan.json"]).ok();
    assert_eq!(world.sh("app", "echo $A"), "2");

    world.write("plan.json", "{}");
    world.stack(&["up", "-d", "--plan", "plan.json"]).fails_naming(&["plan.json", "is no plan"]);
}

/// Returns what a plan could change, a line each: files with size, time and inode, links, mounts,
/// namespaces, cgroups, rules and processes.
fn picture(world: &World) -> BTreeSet<String> {
    let mut lines: BTreeSet<String> = world.traces().to_string().lines().map(str::to_owned).collect();
    lines.insert(format!("containers {:?}", world.ids()));
    let mut open = vec![world.root()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let (path, data) = (entry.path(), entry.metadata().unwrap());
            if data.is_dir() {
                // That a layer has reached the disk is noted there in the engine's own time.
                open.extend((path != world.root().join("layers")).then_some(path));
            // What the engine tells about itself is not the plan's doing.
            } else if path.extension().is_none_or(|extension| extension != "log") {
                let time = (data.mtime(), data.mtime_nsec());
                lines.insert(format!("{} {} {time:?} {}", path.display(), data.len(), data.ino()));
            }
        }
    }
    lines
}

#[test]
fn what_must_fail_is_found_before_anything_is_stopped() {
    let world = World::with(ONE);
    world.up();
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    world.write(
        "stack.yml",
        &format!(
            "
services:
  app: {{image: busybox, stop_grace_period: 0s, command: sleep 1000, environment: {{A: '2'}}}}
  port: {{image: busybox, command: sleep 1000, ports: ['{port}:80']}}
  bind: {{image: busybox, command: sleep 1000, volumes: [{{type: bind, source: ./missing, target: /m, bind: {{create_host_path: false}}}}]}}
  user: {{image: busybox, command: sleep 1000, user: nobody-knows}}
  files: {{image: busybox, command: sleep 1000, ulimits: {{nofile: 99999999999}}}}
  cpus: {{image: busybox, command: sleep 1000, cpuset: '9999'}}
  kernel: {{image: busybox, command: sleep 1000, sysctls: {{net.core.no_such: '1'}}}}
  granted: {{image: busybox, command: sleep 1000, secrets: [token], configs: [site]}}
secrets: {{token: {{file: ./no-token}}}}
configs: {{site: {{file: ./no-site}}}}
"
        ),
    );
    let before = world.ids();
    let words = [
        &*port.to_string(),
        &std::process::id().to_string(),
        "missing",
        "/m",
        "nobody-knows",
        "fs.nr_open",
        "no CPU 9999",
        "net.core.no_such",
        "no-token",
        "no-site",
    ];
    world.stack(&["plan"]).fails_naming(&words);
    world.stack(&["up", "-d"]).fails_naming(&words);
    assert_eq!((world.ids(), world.sh("app", "echo $A").as_str()), (before, "1"));
    // A port that the container which goes has now is no hindrance.
    let own = crate::support::world::free_port();
    let with = |a: u32| {
        format!(
            "services: {{app: {{image: busybox, stop_grace_period: 0s, command: sleep 1000, ports: ['{own}:80'], environment: {{A: '{a}'}}}}}}"
        )
    };
    for a in [3, 4] {
        world.write("stack.yml", &with(a));
        world.stack(&["up", "-d", "--remove-orphans"]).ok();
    }
    world.stack(&["stop"]).ok();
    world.up();
    assert_eq!(world.sh("app", "echo $A"), "4");
}

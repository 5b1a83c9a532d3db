//! `stack plan`: what it shows, that it changes nothing, and that a plan that was kept is kept to.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

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
    world.up();
    world.write("stack.yml", &TWO.replace("services: {", "services: {new: {image: no-such-image}, "));
    let before = (files(&world.root()), world.traces(), world.ids(), world.daemon());
    let plan = world.stack(&["plan", "--remove-orphans"]);
    assert_eq!(plan.code, Some(2), "{plan}");
    assert!(plan.stdout.contains("no-such-image") && plan.stdout.contains("pull"), "{plan}");
    world.stack(&["--dry-run", "up", "-d"]).ok();
    assert_eq!((files(&world.root()), world.traces(), world.ids(), world.daemon()), before);
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

/// Returns all files below a folder with size, time and inode: what nobody touched is the same.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u64)> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let Ok(data) = entry.path().symlink_metadata() else { continue };
            // What containers and the engine's own log write is not the plan's doing.
            if data.is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().is_none_or(|extension| extension != "log") {
                all.insert(entry.path(), (data.len(), data.mtime(), data.mtime_nsec(), data.ino()));
            }
        }
    }
    all
}

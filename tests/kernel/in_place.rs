//! Changes that need no new container: the process that runs stays, and the kernel has the new values.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{World, becomes};

/// Returns a file of the container's control group, in whichever tree of this host has it.
fn cgroup(world: &World, service: &str, files: &[&str]) -> String {
    let pid = world.pid(service);
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let folders = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controller, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let tree = if controller.is_empty() { "unified" } else { controller };
        Some([PathBuf::from("/sys/fs/cgroup").join(tree).join(path), PathBuf::from("/sys/fs/cgroup").join(path)])
    });
    let found = folders.flatten().find_map(|at| files.iter().find_map(|file| fs::read_to_string(at.join(file)).ok()));
    found.unwrap_or_else(|| panic!("none of {files:?} for {text}")).trim().to_owned()
}

fn memory(world: &World) -> String {
    cgroup(world, "app", &["memory.limit_in_bytes", "memory.max"])
}

fn file(attributes: &str) -> String {
    format!("services: {{app: {{image: busybox, command: sleep 1000, stop_grace_period: 0s{attributes}}}}}")
}

/// Applies a change and checks that the plan said so, that it is the same process, and that nothing is left to do.
#[track_caller]
fn changes(world: &World, yaml: &str, fields: &[&str]) {
    let (id, pid) = (world.ids()[&world.container("app")].clone(), world.pid("app"));
    world.write("stack.yml", yaml);
    let plan = world.stack(&["plan"]);
    assert_eq!(plan.code, Some(2), "{plan}");
    for word in fields.iter().chain(&["change in place", "to change in place"]) {
        assert!(plan.stdout.contains(word), "{word}: {plan}");
    }
    let up = world.stack(&["up", "-d"]);
    assert!(up.stderr.contains("Updated"), "{up}");
    up.ok();
    assert_eq!((world.ids()[&world.container("app")].clone(), world.pid("app")), (id, pid), "it was made anew");
    world.stack(&["plan"]).ok();
}

#[test]
fn limits_change_under_a_running_process() {
    let world = World::with(&file(""));
    world.up();
    changes(&world, &file(", mem_limit: 64m, cpus: 0.5, pids_limit: 50"), &["mem_limit", "cpus", "pids_limit"]);
    assert_eq!(memory(&world), "67108864");
    assert_eq!(cgroup(&world, "app", &["pids.max"]), "50");
    let quota = cgroup(&world, "app", &["cpu.cfs_quota_us", "cpu.max"]);
    assert!(quota.starts_with("50000"), "{quota}");
    changes(&world, &file(", mem_limit: 32m, pids_limit: 60"), &["mem_limit", "64 MiB -> 32 MiB"]);
    assert_eq!(memory(&world), "33554432");
    assert_eq!(cgroup(&world, "app", &["pids.max"]), "60");
    // What the process starts has them, too, and so has its next run.
    assert!(world.sh("app", "cat /proc/self/cgroup").lines().count() > 0);
    world.stack(&["restart", "-t", "0"]).ok();
    assert_eq!((memory(&world), cgroup(&world, "app", &["pids.max"])), ("33554432".to_owned(), "60".to_owned()));
    let inspect = world.inspect("app");
    assert_eq!(inspect["HostConfig"]["Memory"], 33_554_432);
}

#[test]
fn a_limit_below_what_is_in_use_is_refused_and_the_old_one_stays() {
    // Pages that were written cannot be taken back.
    let yaml = |limit: &str| {
        "services: {app: {image: busybox, stop_grace_period: 0s, tmpfs: [/m],
            command: sh -c 'head -c 20000000 /dev/zero > /m/x; touch /ready; sleep 1000', memswap_limit: MEM, mem_limit: MEM}}"
            .replace("MEM", limit)
    };
    let world = World::with(&yaml("64m"));
    world.up();
    becomes("it has written", &"yes".to_owned(), || world.sh("app", "test -e /ready && echo yes || echo no"));
    let pid = world.pid("app");
    world.write("stack.yml", &yaml("8m"));
    let up = world.stack(&["up", "-d"]);
    for word in ["memory limit 8 MiB is refused", "the container uses", "stack up --force-recreate app"] {
        assert!(up.stderr.contains(word), "{word}: {up}");
    }
    up.fails(1);
    assert_eq!((memory(&world), world.pid("app")), ("67108864".to_owned(), pid));
    assert_eq!(world.inspect("app")["HostConfig"]["Memory"], 67_108_864);
    // It is still to be done.
    world.stack(&["plan"]).fails(2);
}

#[test]
fn policy_health_and_labels_change_under_a_running_process() {
    let world = World::with(&file(", labels: {a: '1'}"));
    world.up();
    changes(
        &world,
        &file(", labels: {b: '2'}, restart: always, stop_signal: SIGINT, healthcheck: {test: 'true', interval: 1s}"),
        &["labels.a", "labels.b", "restart", "stop_signal", "healthcheck.test"],
    );
    let inspect = world.inspect("app");
    assert_eq!(inspect["Config"]["Labels"]["b"], "2");
    assert_eq!(inspect["HostConfig"]["RestartPolicy"]["Name"], "always");
    becomes("health", &"healthy".into(), || world.inspect("app")["State"]["Health"]["Status"].clone());
    // The policy is in force: it comes back.
    let old = world.pid("app");
    world.kill(old);
    becomes("it runs again", &true, || world.state("app") == "running" && world.pid("app") != old);
    let running = world.pid("app");
    changes(&world, &file(""), &["restart", "healthcheck.test"]);
    assert_eq!(world.inspect("app")["State"]["Health"], serde_json::Value::Null);
    world.kill(running);
    becomes("it stays down", &"exited".to_owned(), || world.state("app"));
}

fn on(networks: &str) -> String {
    format!(
        "
services:
  app: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, networks: {networks}}}
  left: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, networks: [a]}}
  right: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, networks: [b]}}
networks: {{a: , b: }}
"
    )
}

/// Returns what a program of the host sees in the container's network namespace.
fn inside(world: &World, arguments: &[&str]) -> String {
    let pid = world.pid("app").to_string();
    let output = Command::new("nsenter").args(["-t", &pid, "-n"]).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_running_container_joins_and_leaves_networks() {
    let world = World::with(&on("[a]"));
    world.up();
    let reaches = |name: &str| world.stack(&["exec", "-T", "app", "ping", "-c1", "-W1", name]).code == Some(0);
    assert!(reaches("left") && !reaches("right"));
    changes(&world, &on("{a: , b: {aliases: [joined], gw_priority: 1}}"), &["networks.", "default_route"]);
    assert!(reaches("left") && reaches("right"));
    let links = inside(&world, &["ip", "-o", "link"]);
    assert!(links.contains("eth0@") && links.contains("eth1@"), "{links}");
    let route = inside(&world, &["ip", "route", "show", "default"]);
    assert!(route.contains("dev eth1") && route.lines().count() == 1, "{route}");
    assert!(world.sh("right", "ping -c1 -W1 joined >/dev/null && echo found").contains("found"));
    let hosts = world.sh("app", "cat /etc/hosts");
    let address = inside(&world, &["ip", "-4", "-o", "addr", "show", "eth1"]);
    let address = address.split_whitespace().nth(3).unwrap().split('/').next().unwrap().to_owned();
    assert!(hosts.contains(&address), "{hosts}");

    // A daemon that comes later knows of it.
    world.kill(world.daemon());
    assert!(reaches("right"));
    world.stack(&["plan"]).ok();

    changes(&world, &on("[b]"), &["networks."]);
    assert!(!reaches("left") && reaches("right"));
    let links = inside(&world, &["ip", "-o", "link"]);
    assert!(!links.contains("eth0@") && links.contains("eth1@"), "{links}");
    changes(&world, &on("[a, b]"), &["networks.", "default_route"]);
    assert!(reaches("left") && reaches("right"));
    changes(&world, &on("[a]"), &["networks."]);
    assert!(reaches("left") && !reaches("right"));
    let route = inside(&world, &["ip", "route", "show", "default"]);
    assert!(route.contains("dev eth0") && route.lines().count() == 1, "{route}");
    world.down();
    world.leaves_nothing();
}

#[test]
fn a_container_that_is_down_starts_with_what_was_changed() {
    let world = World::with(&on("[a]"));
    world.up();
    world.stack(&["stop", "-t", "0", "app"]).ok();
    let id = world.ids()[&world.container("app")].clone();
    world.write("stack.yml", &on("[a, b]").replace("sleep 1000, stop", "sleep 1000, mem_limit: 48m, stop"));
    world.up();
    assert_eq!(world.ids()[&world.container("app")], id);
    assert_eq!(memory(&world), "50331648");
    assert_eq!(world.sh("app", "ping -c1 -W1 right >/dev/null && echo found"), "found");
}

//! Faults made with other tools, healed by the engine without a command: what reaches it is news from the kernel.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use crate::support::program::run;
use crate::support::world::{free_port, get};
use crate::support::{SOON, World, becomes, eventually};

const SERVER: &str = "sh -c 'echo page > /www/index.html; exec httpd -f -p 80 -h /www'";

/// Runs `ip` inside the engine's router namespace.
#[track_caller]
fn ip(world: &World, arguments: &[&str]) -> String {
    let paths = stack::paths::Paths { root: world.root(), run: world.run_folder() };
    run(Command::new("ip").args(["-n", &paths.instance()]).args(arguments), SOON).ok()
}

/// Returns the names of the links of a kind in the router namespace, the uplink left out.
fn links(world: &World, kind: &str) -> Vec<String> {
    let text = ip(world, &["-br", "link", "show", "type", kind]);
    let names = text.lines().filter_map(|line| line.split([' ', '@']).next());
    let mut names: Vec<String> = names.filter(|name| *name != "uplink").map(str::to_owned).collect();
    names.sort();
    names
}

/// Waits until the engine says that it mended something of a service.
#[track_caller]
fn healed(world: &World, service: &str, cause: &str) {
    eventually("a heal event", SOON, || {
        let events = world.stack(&["events", "--since", "10m", "--until", "0s", service]).ok();
        events.lines().any(|line| line.contains(" heal ") && line.contains(cause)).then_some(())
    });
}

fn web(port: u16) -> World {
    let world = World::with(&format!(
        "services: {{web: {{image: busybox, command: {SERVER:?}, ports: ['{port}:80']}}, db: {{image: busybox, command: sleep 1000}}}}"
    ));
    world.up();
    eventually("the page", SOON, || get(Ipv4Addr::LOCALHOST, port, "/").ok());
    world
}

#[test]
fn removed_links_come_back() {
    let port = free_port();
    let world = web(port);
    let reached = || {
        eventually("the page", SOON, || get(Ipv4Addr::LOCALHOST, port, "/").ok().filter(|page| page == "page\n"));
        assert_eq!(world.sh("db", "wget -qO- http://web"), "page");
    };
    let (ids, pid, address) = (world.ids(), world.pid("web"), world.address("web"));
    let before = links(&world, "veth");

    // A pair, from the router's side.
    for veth in &before {
        ip(&world, &["link", "del", veth]);
    }
    healed(&world, "web", "was removed");
    healed(&world, "db", "was removed");
    assert_eq!(links(&world, "veth"), before);
    reached();

    // From the container's side.
    let netns = format!("--net=/proc/{}/ns/net", world.pid("web"));
    run(Command::new("nsenter").args([&netns, "ip", "link", "del", "eth0"]), SOON).ok();
    eventually("the link", SOON, || (links(&world, "veth").len() == before.len()).then_some(()));
    reached();

    // The bridge, with all that hang on it.
    let bridges = links(&world, "bridge");
    ip(&world, &["link", "del", &bridges[0]]);
    healed(&world, "web", "bridge");
    assert_eq!(links(&world, "bridge"), bridges);
    reached();

    // Taken off, and set down.
    ip(&world, &["link", "set", &before[0], "nomaster"]);
    eventually("it hangs on its bridge", SOON, || {
        ip(&world, &["link", "show", &before[0]]).contains(&format!("master {}", bridges[0])).then_some(())
    });
    ip(&world, &["link", "set", &before[0], "down"]);
    eventually("it is up", SOON, || ip(&world, &["link", "show", &before[0]]).contains(",UP").then_some(()));
    reached();
    assert_eq!((world.ids(), world.pid("web"), world.address("web")), (ids, pid, address), "nothing was restarted");
}

#[test]
fn the_way_out_comes_back() {
    let world = web(free_port());
    ip(&world, &["link", "del", "uplink"]);
    eventually("the uplink", SOON, || ip(&world, &["-br", "link", "show"]).contains("uplink").then_some(()));
    eventually("a way to the host", SOON, || {
        let route = ip(&world, &["route", "show", "default"]);
        let host = route.split(' ').nth(2)?.to_owned();
        world.stack(&["exec", "-T", "web", "ping", "-c1", "-W1", &host]).code.filter(|code| *code == 0)
    });
}

#[test]
fn what_a_user_takes_down_is_not_made_again() {
    let world = web(free_port());
    world.stack(&["stop", "-t", "0"]).ok();
    let bridges = links(&world, "bridge");
    for bridge in &bridges {
        ip(&world, &["link", "del", bridge]);
    }
    world.stack(&["start"]).ok();
    eventually("the bridge", SOON, || (links(&world, "bridge") == bridges).then_some(()));
    world.down();
    world.leaves_nothing();
}

#[test]
fn an_unhealthy_container_is_started_again_where_its_policy_says_so() {
    let check = "healthcheck: {test: test ! -e /tmp/broken, interval: 100ms, retries: 2}";
    let world = World::with(&format!(
        "
services:
  again: {{image: busybox, init: true, command: sh -c 'rm -f /tmp/broken; exec sleep 1000', restart: always, {check}}}
  never: {{image: busybox, init: true, command: sleep 1000, {check}}}
"
    ));
    world.up_wait();
    let (again, never) = (world.pid("again"), world.pid("never"));
    for service in ["never", "again"] {
        world.sh(service, "touch /tmp/broken");
    }
    let health = |service: &str| world.inspect(service)["State"]["Health"]["Status"].as_str().unwrap_or("").to_owned();
    healed(&world, "again", "its check failed 2 times in a row");
    eventually("another run", SOON, || {
        let pid = world.inspect("again")["State"]["Pid"].as_i64()?;
        (pid > 0 && pid != i64::from(again)).then_some(())
    });
    becomes("health", &"healthy".to_owned(), || health("again"));
    let why = world.stack(&["why", "again"]).ok();
    assert!(why.contains("by the engine") && why.contains("its check failed 2 times in a row"), "{why}");
    becomes("health", &"unhealthy".to_owned(), || health("never"));
    assert_eq!(world.pid("never"), never);
}

/// Returns the process of a service's container once it is another one than `pid`.
#[track_caller]
fn another_run(world: &World, service: &str, pid: i32) -> i32 {
    eventually("another run", SOON, || {
        let now = world.inspect(service)["State"]["Pid"].as_i64()?;
        (now > 0 && now != i64::from(pid)).then(|| i32::try_from(now).unwrap())
    })
}

#[test]
fn vanished_mounts_come_back() {
    let world = World::with(
        "
services:
  web:
    image: busybox
    command: sleep 1000
    volumes: ['./files:/files:ro', 'data:/data']
    tmpfs: /scratch
volumes: {data: }
",
    );
    fs::create_dir(world.folder().join("files")).unwrap();
    world.write("files/one", "1");
    world.up();
    world.sh("web", "echo kept > /data/file");
    let pid = world.pid("web");
    let umount = |target: &str| {
        run(Command::new("nsenter").args(["-t", &pid.to_string(), "-m", "umount", target]), SOON).ok();
    };
    let mounted = |target: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        text.lines().find(|line| line.split(' ').nth(4) == Some(target)).map(str::to_owned)
    };
    for target in ["/files", "/data", "/files"] {
        let before = mounted(target).unwrap();
        umount(target);
        let again = eventually("the mount", SOON, || mounted(target));
        let options = |line: &str| line.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro");
        assert_eq!(options(&again), options(&before), "{again}");
    }
    assert_eq!(world.sh("web", "cat /files/one /data/file"), "1kept");
    healed(&world, "web", "the mount at /files vanished");
    healed(&world, "web", "the mount at /data vanished");
    umount("/scratch");
    healed(&world, "web", "the mount at /scratch vanished");
    assert_eq!(world.pid("web"), pid, "nothing was restarted");
}

#[test]
fn guests_follow_into_a_new_network_namespace() {
    let world = World::with(&format!(
        "
services:
  web: {{image: busybox, command: {SERVER:?}, restart: always}}
  guest: {{image: busybox, init: true, command: sleep 1000, network_mode: 'service:web'}}
"
    ));
    world.up();
    let netns = |service: &str| {
        let pid = world.inspect(service)["State"]["Pid"].as_i64().unwrap_or(0);
        fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default()
    };
    let together = |before: &std::path::Path| {
        eventually("one namespace", SOON, || {
            let (web, guest) = (netns("web"), netns("guest"));
            (web == guest && web != before && web.to_string_lossy().contains("net:")).then_some(())
        });
        eventually("the page", SOON, || {
            let page = world.stack(&["exec", "-T", "guest", "wget", "-qO-", "http://127.0.0.1"]);
            (page.stdout == "page\n").then_some(())
        });
    };
    together(std::path::Path::new(""));
    let first = netns("web");
    world.stack(&["stop", "-t", "0", "web"]).ok();
    world.stack(&["start", "web"]).ok();
    together(&first);
    healed(&world, "guest", "web, whose network it shares");
    // A killed shim takes the namespace along.
    let second = netns("web");
    world.kill(world.shim("web"));
    together(&second);
}

#[test]
fn dependents_follow_a_dependency_that_died() {
    let world = World::with(
        "
services:
  db: {image: busybox, command: sleep 1000, restart: always}
  web: {image: busybox, init: true, command: sleep 1000, depends_on: {db: {condition: service_started, restart: true}}}
  other: {image: busybox, command: sleep 1000, depends_on: [db]}
",
    );
    world.up();
    let (db, web, other) = (world.pid("db"), world.pid("web"), world.pid("other"));
    world.kill(db);
    another_run(&world, "db", db);
    let web = another_run(&world, "web", web);
    healed(&world, "web", "db, which it depends on, was started again");
    assert_eq!(world.pid("other"), other);
    // Once is enough, also for the next daemon.
    world.kill(world.daemon());
    assert_eq!(world.pid("web"), web);
}

#[test]
fn a_dependency_that_failed_holds_the_restarts_of_its_dependents() {
    let world = World::with(
        "
services:
  db: {image: busybox, command: sleep 1000}
  web: {image: busybox, command: sleep 1000, restart: always, depends_on: [db]}
",
    );
    let fail = || {
        for service in ["db", "web"] {
            world.kill(world.pid(service));
            eventually("its end is known", SOON, || (world.state(service) != "running").then_some(()));
        }
        healed(&world, "web", "db exited (137)");
        assert_eq!(world.state("web"), "restarting");
    };
    world.up();
    fail();
    world.stack(&["start", "db"]).ok();
    becomes("state", &"running".to_owned(), || world.state("web"));
    fail();
    world.stack(&["stop", "web"]).ok();
    assert_eq!(world.state("web"), "exited");
    world.up();
    assert_eq!((world.state("db"), world.state("web")), ("running".to_owned(), "running".to_owned()));
}

#[test]
fn a_deleted_container_is_made_again() {
    let world = World::with(
        "
services:
  web: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['data:/data']}
  db: {image: busybox, command: sleep 1000}
volumes: {data: }
",
    );
    world.up();
    world.sh("web", "echo kept > /data/file");
    let (before, name) = (world.ids(), world.container("web"));
    let folders = || -> Vec<String> {
        let entries = fs::read_dir(world.root().join("containers")).unwrap().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let folder = folders().into_iter().find(|id| id.starts_with(&before[&name])).unwrap();
    run(Command::new("rm").arg("-rf").arg(world.root().join("containers").join(folder)), SOON).ok();
    eventually("another container", SOON, || {
        let now = world.ids();
        let made = now.get(&name).is_some_and(|id| *id != before[&name]);
        (made && world.state("web") == "running").then_some(())
    });
    healed(&world, "web", "its files were deleted");
    assert_eq!(world.sh("web", "cat /data/file"), "kept");
    let db = world.container("db");
    assert_eq!(world.ids()[&db], before[&db]);
    assert_eq!(folders().len(), 2);
}

#[test]
fn a_deleted_host_takes_its_guest_into_the_new_one() {
    let world = World::with(&format!(
        "
services:
  web: {{image: busybox, command: {SERVER:?}, stop_grace_period: 0s, restart: always}}
  guest: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, network_mode: 'service:web'}}
"
    ));
    world.up();
    let (before, web) = (world.ids(), world.container("web"));
    let folder = world.root().join("containers").join(world.inspect("web")["Id"].as_str().unwrap());
    fs::remove_dir_all(folder).unwrap();
    eventually("another container", SOON, || world.ids().get(&web).is_some_and(|id| *id != before[&web]).then_some(()));
    let netns = |service: &str| {
        // It may not be there now.
        let text = world.stack(&["inspect", &world.container(service)]).stdout;
        let inspect: serde_json::Value = serde_json::from_str(&text).ok()?;
        fs::read_link(format!("/proc/{}/ns/net", inspect[0]["State"]["Pid"])).ok()
    };
    eventually("one namespace", SOON, || netns("web").filter(|own| netns("guest").as_ref() == Some(own)));
    eventually("the page", SOON, || {
        let page = world.stack(&["exec", "-T", "guest", "wget", "-qO-", "http://127.0.0.1"]);
        (page.stdout == "page\n").then_some(())
    });
}

#[test]
fn an_idle_engine_does_nothing() {
    let world = web(free_port());
    let daemon = world.daemon();
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{daemon}/stat")).unwrap();
        // One of them is -1 without a terminal.
        let fields: Vec<i64> =
            stat.rsplit(')').next().unwrap().split(' ').filter_map(|field| field.parse().ok()).collect();
        // utime and stime, after the state letter.
        fields[10] + fields[11]
    };
    let switches = || {
        let tasks = fs::read_dir(format!("/proc/{daemon}/task")).unwrap().flatten();
        let count = |path: std::path::PathBuf| -> u64 {
            let status = fs::read_to_string(path.join("status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
        };
        tasks.map(|task| count(task.path())).sum::<u64>()
    };
    // What the start left to do settles.
    let mut before = (ticks(), switches());
    eventually("a second without work", SOON, || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let now = (ticks(), switches());
        let quiet = now.1 - before.1 <= 2 && now.0 == before.0;
        before = now;
        quiet.then_some(())
    });
}

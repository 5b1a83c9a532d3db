//! `kill -9` of the client, the daemon and a shim: containers run on, and the next command repairs the rest.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::world::{free_port, get};
use crate::support::{SOON, World, becomes, eventually, host};

const SERVER: &str = "sh -c 'echo page > /www/index.html; exec httpd -f -p 80 -h /www'";

#[test]
fn killing_the_daemon_leaves_pids_logs_and_ports() {
    let port = free_port();
    let world = World::with(&format!(
        "
services:
  web: {{image: busybox, command: {SERVER:?}, ports: ['{port}:80']}}
  ticker: {{image: busybox, command: \"sh -c 'i=0; while true; do i=$$((i+1)); echo tick $$i; sleep 0.1; done'\"}}
"
    ));
    world.up();
    let page = || get(Ipv4Addr::LOCALHOST, port, "/").ok();
    eventually("the page", SOON, page);
    let (ids, web, ticker, daemon) = (world.ids(), world.pid("web"), world.pid("ticker"), world.daemon());

    world.kill(daemon);

    assert_eq!(page().as_deref(), Some("page\n"), "the port answers without a daemon");
    assert_eq!(world.ids(), ids);
    assert_eq!((world.pid("web"), world.pid("ticker")), (web, ticker));
    assert_ne!(world.daemon(), daemon);
    let last = || world.stack(&["logs", "--no-log-prefix", "--tail", "1", "ticker"]).ok();
    let before = last();
    eventually("the log goes on", SOON, || (last() != before).then_some(()));
    let ticks: Vec<u64> = world
        .stack(&["logs", "--no-log-prefix", "ticker"])
        .ok()
        .lines()
        .filter_map(|line| line.strip_prefix("tick ")?.parse().ok())
        .collect();
    assert!(ticks.iter().zip(1..).all(|(have, want)| *have == want), "lines are missing: {ticks:?}");
    assert_eq!(world.sh("web", "wget -qO- http://web"), "page", "names resolve");
}

#[test]
fn a_container_that_ends_while_no_daemon_runs_is_healed() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000, restart: always}}");
    world.up();
    let pid = world.pid("app");
    world.kill(world.daemon());
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually("it runs again", SOON, || {
        let inspect = world.inspect("app");
        let again = inspect["State"]["Pid"].as_i64()?;
        (again > 0 && again != i64::from(pid)).then_some(())
    });
}

#[test]
fn a_shim_that_loses_its_daemon_starts_another() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    world.up();
    let daemon = world.daemon();
    world.kill(daemon);
    // No command of ours: the shims do it themselves.
    let again = eventually("another daemon", SOON, || {
        world.processes().find(|p| p.is_daemon() && p.pid != daemon).map(|p| p.pid)
    });
    assert!(host::runs(again));
}

#[test]
fn killing_a_shim_is_healed() {
    let port = free_port();
    let world = World::with(&format!(
        "services: {{web: {{image: busybox, command: {SERVER:?}, ports: ['{port}:80'], restart: always, volumes: ['data:/data']}}}}\nvolumes: {{data: }}"
    ));
    world.up();
    world.sh("web", "echo kept > /data/file; sync");
    let pid = world.pid("web");
    let address = world.address("web");
    world.kill(world.shim("web"));
    eventually("the container's old process is gone", SOON, || (!host::runs(pid)).then_some(()));
    eventually("the page", SOON, || get(Ipv4Addr::LOCALHOST, port, "/").ok().filter(|page| page == "page\n"));
    becomes("state", &"running".to_owned(), || world.state("web"));
    assert_eq!(world.sh("web", "cat /data/file"), "kept");
    assert_eq!(world.address("web"), address);
}

#[test]
fn a_shim_killed_without_a_restart_policy_is_repaired_by_up() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    world.up();
    world.kill(world.shim("app"));
    becomes("state", &"exited".to_owned(), || world.state("app"));
    world.up();
    assert_eq!(world.state("app"), "running");
}

/// Kills the daemon; none comes back as long as the lock that this returns is held.
#[track_caller]
fn without_daemon(world: &World) -> Flock<File> {
    world.kill(world.daemon());
    let paths = stack::paths::Paths { root: world.root(), run: world.run_folder() };
    let lock = || Flock::lock(File::open(paths.daemon_lock()).unwrap(), FlockArg::LockExclusiveNonblock).ok();
    eventually("the lock", SOON, || {
        // One may have come back already.
        for daemon in world.processes().filter(|process| process.is_daemon()) {
            let _ = kill(Pid::from_raw(daemon.pid), Signal::SIGKILL);
        }
        lock()
    })
}

/// Kills a process of a container and whoever would tell of it: only what its shim wrote down is left.
#[track_caller]
fn ends_unseen(world: &World, service: &str, signal: Signal) {
    let (pid, shim) = (world.pid(service), world.shim(service));
    let kept = world.run_folder().join("containers").join(world.inspect(service)["Id"].as_str().unwrap());
    let _lock = without_daemon(world);
    kill(Pid::from_raw(pid), signal).unwrap();
    eventually("its shim wrote down how it ended", SOON, || kept.join("exit.json").exists().then_some(()));
    world.kill(shim);
}

#[test]
fn nothing_of_a_container_is_left_whose_files_are_deleted_while_no_daemon_runs() {
    let world = World::with(
        "
services:
  one: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
  two: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
  other: {image: busybox, command: sleep 1000, stop_grace_period: 0s}
",
    );
    world.up();
    let ids = ["one", "two"].map(|service| world.inspect(service)["Id"].as_str().unwrap().to_owned());
    let (pids, shim) = (["one", "two"].map(|service| world.pid(service)), world.shim("two"));
    let lock = without_daemon(&world);
    for id in &ids {
        std::fs::remove_dir_all(world.root().join("containers").join(id)).unwrap();
    }
    // Nobody holds the process of one of them any more.
    world.kill(shim);
    drop(lock);
    becomes("containers", &1, || world.ids().len());
    for pid in pids {
        eventually("its process has ended", SOON, || (!host::runs(pid)).then_some(()));
    }
    let left = || ids.iter().filter(|id| world.traces().to_string().contains(id.as_str())).count();
    becomes("cgroups", &0, left);
}

#[test]
fn the_exit_status_of_a_run_that_ended_unseen_is_known_though_its_shim_is_killed() {
    let world = World::with(
        "
services:
  app: {image: busybox, command: sh -c 'trap \"exit 7\" TERM; while :; do sleep 0.01; done'}
  other: {image: busybox, command: sleep 1000}
",
    );
    world.up();
    ends_unseen(&world, "app", Signal::SIGTERM);
    assert_eq!(world.inspect("app")["State"]["ExitCode"], 7);
}

#[test]
fn the_exit_status_of_an_earlier_run_is_not_taken_for_that_of_the_newest() {
    let world = World::with(
        "
services:
  job:
    image: busybox
    command: sh -c 'test -e /data/done || { touch /data/done; exec sleep 1000; }'
    volumes: ['data:/data']
  other: {image: busybox, command: sleep 1000}
volumes: {data: }
",
    );
    world.up();
    eventually("its first run", SOON, || (world.sh("job", "ls /data") == "done").then_some(()));
    let job = world.pid("job");
    // Its shim outlives the daemon, and writes down how the run ended.
    kill(Pid::from_raw(world.daemon()), Signal::SIGSTOP).unwrap();
    kill(Pid::from_raw(job), Signal::SIGKILL).unwrap();
    world.kill(world.daemon());
    becomes("state", &"exited".to_owned(), || world.state("job"));
    assert_eq!(world.inspect("job")["State"]["ExitCode"], 137);
    world.stack(&["start", "job"]).ok();
    let code = || world.inspect("job")["State"]["ExitCode"].clone();
    becomes("exit status", &serde_json::json!(0), code);
    for _ in 0..3 {
        world.kill(world.daemon());
        assert_eq!(code(), 0);
    }
}

#[test]
fn a_dependent_that_a_killed_daemon_had_stopped_to_start_it_again_runs_again() {
    let world = World::with(
        "
services:
  db: {image: busybox, command: sleep 1000, restart: always, stop_grace_period: 0s}
  api:
    image: busybox
    command: sh -c 'trap \"touch /data/asked; while [ -e /data/hold ]; do sleep 0.05; done; exit 0\" TERM; while :; do sleep 0.05; done'
    volumes: ['./data:/data']
    restart: always
    stop_grace_period: 30s
    depends_on: {db: {condition: service_started, restart: true}}
",
    );
    let data = world.folder().join("data");
    std::fs::create_dir(&data).unwrap();
    world.write("data/hold", "");
    world.up();
    let api = world.pid("api");
    kill(Pid::from_raw(world.pid("db")), Signal::SIGKILL).unwrap();
    eventually("it is asked to end, as db was started again", SOON, || data.join("asked").exists().then_some(()));
    world.kill(world.daemon());
    std::fs::remove_file(data.join("hold")).unwrap();
    eventually("it runs again", SOON, || {
        let pid = world.inspect("api")["State"]["Pid"].as_i64()?;
        (pid > 0 && pid != i64::from(api)).then_some(())
    });
    // What a user stopped is left alone, by the next engine too.
    world.stack(&["stop", "-t", "0", "api"]).ok();
    world.kill(world.daemon());
    assert_eq!(world.state("api"), "exited");
}

#[test]
fn killing_the_daemon_in_the_middle_of_up_is_repaired_by_the_next() {
    let services: String = (0..12).map(|n| format!("  s{n}: {{image: busybox, command: sleep 1000}}\n")).collect();
    // At several moments: before anything, while networks are made, while containers start.
    for delay in [0, 15, 30, 60] {
        let world = World::with(&format!("services:\n{services}"));
        let up = world.start(&["up", "-d"]);
        let daemon = world.daemon();
        std::thread::sleep(Duration::from_millis(delay));
        world.kill(daemon);
        let _ = up.end(Duration::from_secs(60));
        world.up();
        let states: Vec<_> = world.ps().iter().map(|line| line["State"].as_str().unwrap_or("?").to_owned()).collect();
        assert_eq!(states, ["running"; 12], "killed after {delay} ms");
        // Drop checks that nothing of either try is left.
    }
}

#[test]
fn killing_the_client_in_the_middle_of_up_loses_nothing() {
    let services: String = (0..8).map(|n| format!("  s{n}: {{image: busybox, command: sleep 1000}}\n")).collect();
    let world = World::with(&format!("services:\n{services}"));
    let up = world.start(&["up", "-d"]);
    let _ = world.daemon();
    drop(up); // kills it
    world.up();
    assert_eq!(world.ps().iter().filter(|line| line["State"] == "running").count(), 8);
}

#[test]
fn the_daemon_leaves_when_nothing_is_left_to_run() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    world.up();
    world.down();
    world.leaves_nothing();
}

#[test]
fn a_busy_port_names_its_holder_and_leaves_nothing_half_made() {
    let holder = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let world =
        World::with(&format!("services: {{web: {{image: busybox, command: sleep 1000, ports: ['{port}:80']}}}}"));
    let message = world.stack(&["up", "-d"]).fails_naming(&[&port.to_string(), "web", &std::process::id().to_string()]);
    let myself = std::env::current_exe().unwrap();
    let name = myself.file_name().unwrap().to_string_lossy().into_owned();
    assert!(message.contains(&name[..name.len().min(15)]), "names the command {name}:\n{message}");
    assert_ne!(world.state("web"), "running");
    drop(holder);
    world.up();
    assert_eq!(world.state("web"), "running");
}

#[test]
fn without_root_rights_the_message_says_what_to_do() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    // A folder that anyone can read, and state folders that nobody else can.
    let folder = world.folder();
    for path in [folder.parent().unwrap(), &folder] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let program = world.folder().join("stack");
    std::fs::copy(crate::support::world::PROGRAM, &program).unwrap();
    let command = world.command(&["up", "-d"]);
    let mut as_nobody = std::process::Command::new(&program);
    as_nobody.args(["up", "-d"]).current_dir(world.folder()).env_clear();
    as_nobody.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    as_nobody.env("STACK_RUN", world.folder().parent().unwrap().join("other-run"));
    as_nobody.env("STACK_ROOT", world.folder().parent().unwrap().join("other-root"));
    as_nobody.uid(65534).gid(65534);
    let output = crate::support::program::run(&mut as_nobody, SOON);
    let stderr = output.fails(1);
    assert!(stderr.contains("root") || stderr.contains("sudo"), "{stderr}");
}

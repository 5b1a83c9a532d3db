//! The commands as a user sees them.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::program::{Running, run, run_as_is};
use crate::support::world::{PROGRAM, World};
use crate::support::{SOON, becomes, eventually};

const APP: &str = "services: {app: {image: busybox, init: true, command: sleep 1000, environment: {GREETING: hello}}}";

#[test]
fn exec_passes_status_streams_environment_and_user_through() {
    let world = World::with(APP);
    world.up();
    let output = world.stack(&["exec", "-T", "app", "sh", "-c", "echo out; echo err >&2; exit 42"]);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (Some(42), "out\n", "err\n"));
}

#[test]
fn exec_takes_environment_user_and_folder() {
    let world = World::with(APP);
    world.up();
    let output = world.stack(&[
        "exec",
        "-T",
        "-e",
        "MORE=1",
        "-u",
        "app",
        "-w",
        "/var",
        "app",
        "sh",
        "-c",
        "echo $GREETING $MORE $(id -u) $(pwd)",
    ]);
    assert_eq!(output.ok(), "hello 1 1000 /var\n");
    let missing = world.stack(&["exec", "-T", "app", "no-such-program"]);
    assert_eq!(missing.code, Some(127), "{missing}");
    assert!(missing.stderr.contains("no-such-program"), "{missing}");
    let directory = world.stack(&["exec", "-T", "app", "/etc"]);
    assert_eq!(directory.code, Some(126), "{directory}");
}

#[test]
fn exec_reads_standard_input_to_its_end() {
    let world = World::with(APP);
    world.up();
    world.write("input", &"line\n".repeat(50_000));
    let mut command = world.command(&["exec", "-T", "app", "wc", "-l"]);
    command.stdin(File::open(world.folder().join("input")).unwrap());
    assert_eq!(run_as_is(&mut command, SOON).ok().trim(), "50000");
}

#[test]
fn exec_gives_a_terminal_when_there_is_one() {
    let world = World::with(APP);
    world.up();
    // script(1) runs the command on a terminal of its own and passes its status on.
    let line = format!("stty rows 33 cols 123; {PROGRAM} exec app sh -c 'test -t 0 && test -t 1 && stty size; exit 9'");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let environment = world.command(&[]);
    command.current_dir(world.folder()).envs(environment.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = run(&mut command, SOON);
    assert_eq!(output.code, Some(9), "{output}");
    // script(1) may show the end of its own input before or after it.
    assert!(output.stdout.contains("33 123"), "{output}");
}

#[test]
fn exec_in_a_service_that_does_not_run_says_so() {
    let world = World::with(APP);
    world.stack(&["exec", "-T", "app", "true"]).fails_naming(&["app", "not running"]);
    world.stack(&["exec", "-T", "nobody", "true"]).fails_naming(&["nobody"]);
}

#[test]
fn logs_are_prefixed_cut_timestamped_and_followed() {
    let world = World::with(
        "
services:
  app:
    image: busybox
    command: sh -c 'echo one; echo two >&2; sleep 0.1; echo three; while test ! -e /tmp/more; do sleep 0.02; done; echo four; exec sleep 1000'
",
    );
    world.up();
    // As Compose, what a container wrote to standard error goes to standard error.
    let logs = |arguments: &[&str]| {
        let output = world.stack(&[&["logs", "--no-color"], arguments].concat());
        output.stdout.clone() + &output.stderr
    };
    becomes("lines", &3, || logs(&[]).lines().count());
    assert!(logs(&[]).lines().all(|line| line.contains("app-1") && line.contains(" | ")), "{}", logs(&[]));
    // The two streams are two pipes: which line is the last is not settled.
    let last = logs(&["--no-log-prefix", "--tail", "1"]);
    assert!(last == "three\n" || last == "two\n", "{last:?}");
    let stamped = logs(&["--no-log-prefix", "-t", "--tail", "1"]);
    let (time, text) = stamped.trim().split_once(' ').unwrap();
    assert_eq!(format!("{text}\n"), last);
    time.parse::<jiff::Timestamp>().unwrap();

    let mut follow = world.start(&["logs", "-f", "--no-color"]);
    follow.line_with("three");
    world.sh("app", "touch /tmp/more");
    follow.line_with("four");
    // Containers that appear later are followed, too.
    world.stack(&["up", "-d", "--scale", "app=2"]).ok();
    follow.line_with("app-2");
    // With the last container following ends, as Compose's does.
    world.stack(&["kill"]).ok();
    let (code, _) = follow.end(SOON);
    assert_eq!(code, Some(0), "following ends with the last container");
}

#[test]
fn following_a_silent_container_ends_with_it() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    world.up();
    let follow = world.start(&["logs", "-f"]);
    // Whether it follows already or begins to only now: nothing writes any more.
    world.stack(&["kill"]).ok();
    let (code, _) = follow.end(SOON);
    assert_eq!(code, Some(0));
}

#[test]
fn up_in_the_foreground_shows_logs_and_stops_on_ctrl_c() {
    let world =
        World::with("services: {app: {image: busybox, init: true, command: sh -c 'echo started; exec sleep 1000'}}");
    let mut up = world.start(&["up"]);
    let line = up.line_with("started");
    assert!(line.contains("app-1"), "{line}");
    kill(Pid::from_raw(up.pid()), Signal::SIGINT).unwrap();
    let (code, lines) = up.end(SOON);
    assert_eq!(code, Some(130), "{}", lines.join("\n"));
    assert_eq!(world.state("app"), "exited");
}

#[test]
fn a_second_ctrl_c_kills() {
    let world = World::with(
        "
services:
  app:
    image: busybox
    command: sh -c 'trap \"echo ignored\" TERM; echo started; while true; do sleep 0.05; done'
    stop_grace_period: 1h
",
    );
    let mut up = world.start(&["up"]);
    up.line_with("started");
    kill(Pid::from_raw(up.pid()), Signal::SIGINT).unwrap();
    up.line_with("ignored");
    kill(Pid::from_raw(up.pid()), Signal::SIGINT).unwrap();
    let (code, lines) = up.end(SOON);
    assert_eq!(code, Some(130), "{}", lines.join("\n"));
    becomes("state", &"exited".to_owned(), || world.state("app"));
}

#[test]
fn up_in_the_foreground_ends_when_all_containers_have() {
    let world = World::with("services: {app: {image: busybox, command: sh -c 'echo bye; exit 3'}}");
    let up: Running = world.start(&["up"]);
    let (code, lines) = up.end(SOON);
    assert!(lines.iter().any(|line| line.contains("bye")), "{lines:?}");
    assert_eq!(code, Some(0), "{lines:?}");
}

#[test]
fn a_dry_run_shows_the_steps_and_takes_none() {
    let world = World::with(APP);
    let plan = world.stack(&["--dry-run", "up"]).ok();
    assert!(plan.contains("app-1") && plan.contains("create"), "{plan}");
    assert!(world.ps().is_empty());
    world.up();
    let before = world.ids();
    let steps = world.stack(&["down", "--dry-run", "-v"]).ok();
    assert!(steps.contains("app/1 remove-container (down)"), "{steps}");
    world.stack(&["--dry-run", "kill"]).ok();
    assert_eq!((world.ids(), world.state("app").as_str()), (before, "running"));
    assert_eq!(
        world.stack(&["--dry-run", "up"]).ok().lines().last(),
        Some("Nothing to do: 1 of 1 containers are as the file says.")
    );
    world.stack(&["--dry-run", "exec", "app", "true"]).fails_naming(&["--dry-run"]);
}

#[test]
fn a_container_that_never_ran_is_created_and_keeps_the_status_of_the_attempt() {
    let world = World::with("services: {app: {image: busybox, command: no-such-program}}");
    world.stack(&["up", "-d"]).fails_naming(&["no-such-program", "app-1"]);
    let ps = world.stack(&["ps", "-a"]).ok();
    assert!(ps.contains("Created") && !ps.contains("Exited"), "{ps}");
    let state = &world.inspect("app")["State"];
    assert_eq!((state["Status"].as_str(), state["ExitCode"].as_i64()), (Some("created"), Some(127)));
    // It can be told once more to start, with the same answer.
    world.stack(&["start"]).fails_naming(&["no-such-program"]);
}

#[test]
fn a_service_that_is_waited_for_in_vain_is_quoted() {
    let world = World::with(
        "
services:
  sick: {image: busybox, command: sleep 1000, healthcheck: {test: 'echo no table; exit 3', interval: 50ms, retries: 2}}
  slow: {image: busybox, command: sleep 1000, healthcheck: {test: sleep 9, interval: 50ms, retries: 1, timeout: 100ms}}
  first: {image: busybox, command: sleep 1000, depends_on: {sick: {condition: service_healthy}}}
  second: {image: busybox, command: sleep 1000, depends_on: {slow: {condition: service_healthy}}}
",
    );
    world.stack(&["up", "-d"]).fails_naming(&[
        "sick-1 is unhealthy",
        "its check ended with status 3: no table",
        "stack logs sick",
        "the check took longer than its timeout of 100ms",
    ]);
}

#[test]
fn ps_has_composes_shape() {
    let world = World::with(
        "services: {app: {image: busybox, command: sleep 1000, labels: {a: b}, healthcheck: {test: 'true', interval: 1s}}}",
    );
    world.up_wait();
    let ps = world.ps();
    let line = ps[0].as_object().unwrap();
    for key in [
        "Command",
        "CreatedAt",
        "ExitCode",
        "Health",
        "ID",
        "Image",
        "Labels",
        "LocalVolumes",
        "Mounts",
        "Name",
        "Names",
        "Networks",
        "Ports",
        "Project",
        "Publishers",
        "RunningFor",
        "Service",
        "Size",
        "State",
        "Status",
    ] {
        assert!(line.contains_key(key), "{key} in {line:?}");
    }
    assert_eq!(line["Name"], world.container("app").as_str());
    assert_eq!(line["Health"], "healthy");
    let table = world.stack(&["ps"]).ok();
    assert!(table.starts_with("NAME"), "{table}");
    assert!(table.contains("Up") && table.contains("(healthy)"), "{table}");
    assert_eq!(world.stack(&["ps", "-q"]).ok().trim().len(), 64);
    assert_eq!(world.stack(&["ps", "--services"]).ok(), "app\n");
}

#[test]
fn inspect_has_dockers_shape() {
    let world = World::with(
        "services: {app: {image: busybox, command: sleep 1000, volumes: ['data:/data'], ports: ['80'], labels: {mine: x}}}\nvolumes: {data: }",
    );
    world.up();
    let inspect = world.inspect("app");
    assert_eq!(inspect["Name"], format!("/{}", world.container("app")));
    assert_eq!(inspect["Id"].as_str().unwrap().len(), 64);
    assert_eq!(inspect["State"]["Status"], "running");
    assert_eq!(inspect["State"]["OOMKilled"], false);
    assert_eq!(inspect["Config"]["Labels"]["mine"], "x");
    assert_eq!(inspect["Config"]["Labels"]["com.docker.compose.project"], world.project.as_str());
    assert_eq!(inspect["Config"]["Labels"]["com.docker.compose.service"], "app");
    assert_eq!(inspect["HostConfig"]["RestartPolicy"]["Name"], "no");
    let network = &inspect["NetworkSettings"]["Networks"][format!("{}_default", world.project)];
    assert!(network["IPAddress"].as_str().unwrap().parse::<std::net::Ipv4Addr>().is_ok());
    assert_eq!(inspect["Mounts"][0]["Destination"], "/data");
    assert_eq!(inspect["Mounts"][0]["Name"], format!("{}_data", world.project));
    world.stack(&["inspect", "not-there"]).fails_naming(&["not-there"]);
}

#[test]
fn kill_stop_start_and_rm_do_what_they_say() {
    let world = World::with(APP);
    world.up();
    world.stack(&["kill", "-s", "KILL", "app"]).ok();
    becomes("state", &"exited".to_owned(), || world.state("app"));
    assert_eq!(world.inspect("app")["State"]["ExitCode"], 137);
    world.stack(&["start", "app"]).ok();
    assert_eq!(world.state("app"), "running");
    world.stack(&["stop", "app"]).ok();
    world.stack(&["rm", "-f", "app"]).ok();
    assert_eq!(world.state("app"), "gone");
}

#[test]
fn a_tty_service_logs_what_its_terminal_shows() {
    let world = World::with(
        "services: {app: {image: busybox, tty: true, command: sh -c 'test -t 1 && echo a terminal; exec sleep 1000'}}",
    );
    world.up();
    eventually("its line", SOON, || world.stack(&["logs"]).ok().contains("a terminal").then_some(()));
}

#[test]
fn config_and_version_need_no_engine() {
    let world = World::empty();
    world.write("stack.yml", "services: {app: {image: 'busybox:${TAG:-1}', ports: ['80']}}");
    let config = world.stack(&["config"]).ok();
    assert!(config.contains("image: busybox:1"), "{config}");
    assert!(world.stack(&["version"]).ok().contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(world.processes().count(), 0, "no daemon was started");
}

#[test]
fn commands_on_nothing_are_quick_and_quiet() {
    let world = World::empty();
    world.write("stack.yml", APP);
    assert_eq!(world.stack(&["ps", "--format", "json"]).ok(), "");
    world.stack(&["down"]).ok();
    eventually("no engine stays", Duration::from_secs(10), || (world.processes().count() == 0).then_some(()));
}

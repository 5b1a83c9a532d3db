use std::fmt::Write as _;

use super::*;

/// Returns verdict, short form, memory and hints, a line each.
fn show(death: &Death<'_>) -> String {
    let card = card(death);
    let mut text = card.verdict();
    if let Some(short) = card.short() {
        let _ = write!(text, "\n[{short}]");
    }
    if let Some(memory) = card.memory {
        let _ = write!(text, "\nmemory: {}", memory.words());
    }
    for hint in &card.hints {
        let _ = write!(text, "\nhint: {hint}");
    }
    text
}

fn exited(code: i32) -> Death<'static> {
    Death { exit_code: code, ..Death::default() }
}

fn killed(signal: i32) -> Death<'static> {
    Death { exit_code: 128 + signal, signal: Some(signal), ..Death::default() }
}

fn said(code: i32, lines: &[&str]) -> Death<'static> {
    Death { lines: lines.iter().map(|&line| line.to_owned()).collect(), ..exited(code) }
}

fn user(signal: i32, command: &str) -> Sent {
    Sent { signal, by: By::User { command: command.to_owned() } }
}

const MIB: u64 = 1 << 20;

#[test]
fn who_ended_it() {
    insta::assert_snapshot!(show(&exited(1)), @"ended by itself: exit code 1");
    insta::assert_snapshot!(show(&exited(137)), @"ended by itself: exit code 137, as a shell tells of a child's SIGKILL");
    insta::assert_snapshot!(show(&killed(11)), @r"
    ended by a fault of its own: SIGSEGV
    [SIGSEGV]
    ");
    insta::assert_snapshot!(show(&killed(6)), @r"
    ended by a fault of its own: SIGABRT
    [SIGABRT]
    ");
    insta::assert_snapshot!(show(&killed(9)), @r"
    killed by somebody on the host: SIGKILL
    [SIGKILL from the host]
    ");
    insta::assert_snapshot!(show(&Death { init: true, ..exited(137) }), @"ended by a signal of another process, in it or on the host: exit code 137");
    insta::assert_snapshot!(show(&Death { shim_gone: true, ..exited(137) }), @r"
    killed with its shim, the process that held it
    [its shim was killed]
    ");
    insta::assert_snapshot!(show(&Death { start_error: "failed to execute /x: no such file", ..exited(127) }), @r"
    did not start: failed to execute /x: no such file
    [failed to execute /x: no such file]
    hint: a program was not found: failed to execute /x: no such file; look at PATH, at the name, and (for scripts) at the interpreter in its first line
    ");
}

#[test]
fn users_and_the_engine_are_told_from_strangers() {
    let stop = [user(15, "stop")];
    insta::assert_snapshot!(show(&Death { sent: &stop, expected: true, ..killed(15) }), @"ended by a user's `stack stop`: SIGTERM");
    insta::assert_snapshot!(show(&Death { sent: &stop, expected: true, ..exited(0) }), @"ended by a user's `stack stop`: exit code 0");
    let hard = [user(15, "down"), user(9, "down")];
    let grace = Duration::from_secs(10);
    insta::assert_snapshot!(show(&Death { sent: &hard, expected: true, grace, ..killed(9) }), @r"
    ended by a user's `stack down`: SIGKILL
    hint: it did not end within 10 s of SIGTERM; process 1 ignores signals that it has no handler for: `init: true` helps
    ");
    let abort = [user(6, "kill")];
    insta::assert_snapshot!(show(&Death { sent: &abort, ..killed(6) }), @r"
    ended by a user's `stack kill`: SIGABRT
    [stack kill]
    ");
    // It was sent a signal that it survived, and another one killed it later.
    insta::assert_snapshot!(show(&Death { sent: &[user(1, "kill")], ..killed(9) }), @r"
    killed by somebody on the host: SIGKILL
    [SIGKILL from the host]
    ");
    let unhealthy = Sent { signal: 9, by: By::Engine { why: "its check failed 3 times".to_owned() } };
    insta::assert_snapshot!(show(&Death { sent: &[unhealthy], ..killed(9) }), @r"
    ended by the engine: SIGKILL: its check failed 3 times
    [its check failed 3 times]
    ");
    // The memory ran out in a run that a user ended.
    let memory = Memory { kills: 1, limit: Some(64 * MIB), peak: Some(64 * MIB) };
    insta::assert_snapshot!(show(&Death { sent: &stop, expected: true, memory, ..killed(15) }), @r"
    ended by a user's `stack stop`: SIGTERM
    memory: limit 64 MiB, peak 64 MiB
    ");
}

#[test]
fn the_kernel_and_memory() {
    let memory = Memory { kills: 1, limit: Some(64 * MIB), peak: Some(64 * MIB - 4096) };
    insta::assert_snapshot!(show(&Death { memory, ..killed(9) }), @r"
    killed by the kernel: out of memory
    [out of memory, limit 64 MiB]
    memory: limit 64 MiB, peak 64 MiB
    hint: give it more than 64 MiB (deploy.resources.limits.memory or mem_limit), or have it use less
    ");
    insta::assert_snapshot!(show(&Death { memory, ..exited(1) }), @r"
    ended by itself (exit code 1) after the kernel had killed one of its processes: out of memory
    [a child ran out of memory]
    memory: limit 64 MiB, peak 64 MiB
    hint: give it more than 64 MiB (deploy.resources.limits.memory or mem_limit), or have it use less
    ");
    insta::assert_snapshot!(show(&Death { memory, init: true, ..exited(137) }), @r"
    killed by the kernel: out of memory
    [out of memory, limit 64 MiB]
    memory: limit 64 MiB, peak 64 MiB
    hint: give it more than 64 MiB (deploy.resources.limits.memory or mem_limit), or have it use less
    ");
    let machine = Memory { kills: 1, limit: None, peak: Some(3 << 30) };
    insta::assert_snapshot!(show(&Death { memory: machine, ..killed(9) }), @r"
    killed by the kernel: out of memory
    [the machine was out of memory]
    memory: no limit, peak 3 GiB
    hint: the machine itself was out of memory: a limit (mem_limit) on the service that takes most protects the others
    ");
    let below = Memory { kills: 2, limit: Some(1 << 30), peak: Some(200 * MIB) };
    insta::assert_snapshot!(show(&Death { memory: below, ..killed(9) }), @r"
    killed by the kernel: out of memory
    [the machine was out of memory]
    memory: limit 1 GiB, peak 200 MiB
    hint: the machine itself was out of memory: a limit (mem_limit) on the service that takes most protects the others
    ");
}

#[test]
fn the_usual_causes() {
    insta::assert_snapshot!(
        show(&said(1, &["starting", "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)"])), @r"
    ended by itself: exit code 1
    [nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address alre…]
    hint: port 80 is taken in the container's network: two programs in it, or services that share it by network_mode, listen on the same port
    ");
    insta::assert_snapshot!(show(&said(1, &["Error: listen EADDRINUSE: address already in use :::3000"])), @r"
    ended by itself: exit code 1
    [Error: listen EADDRINUSE: address already in use :::3000]
    hint: port 3000 is taken in the container's network: two programs in it, or services that share it by network_mode, listen on the same port
    ");
    insta::assert_snapshot!(show(&said(127, &["/entrypoint.sh: line 3: psql: not found"])), @r"
    ended by itself: exit code 127
    [/entrypoint.sh: line 3: psql: not found]
    hint: a program was not found: /entrypoint.sh: line 3: psql: not found; look at PATH, at the name, and (for scripts) at the interpreter in its first line
    ");
    insta::assert_snapshot!(show(&Death { argv: &["run.sh".to_owned()], ..exited(127) }), @r"
    ended by itself: exit code 127
    hint: run.sh or what it starts was not found: look at PATH and at the interpreter of scripts
    ");
    insta::assert_snapshot!(show(&Death { start_error: "failed to execute \"/app\": Exec format error", ..exited(126) }), @r#"
    did not start: failed to execute "/app": Exec format error
    [failed to execute "/app": Exec format error]
    hint: the program is for another processor than this machine's (x86_64), or a script without a `#!` line: use an image for this architecture
    "#);
    insta::assert_snapshot!(show(&said(2, &["open /etc/app.conf: no such file or directory"])), @r"
    ended by itself: exit code 2
    [open /etc/app.conf: no such file or directory]
    hint: a file is missing: open /etc/app.conf: no such file or directory
    ");
    insta::assert_snapshot!(show(&said(1, &["all is well"])), @r"
    ended by itself: exit code 1
    [all is well]
    ");
}

#[test]
fn a_refused_mount_names_the_owners() {
    let mount = |target: &str, owner| MountOwner {
        target: target.to_owned(),
        source: format!("/srv{target}"),
        owner,
        mode: 0o40750,
        read_only: false,
    };
    let mounts = vec![mount("/data", (0, 0)), mount("/data/db", (33, 33)), mount("/database", (1, 1))];
    let refused = said(1, &["mkdir: can't create directory '/data/db/x': Permission denied"]);
    insta::assert_snapshot!(show(&Death { mounts: mounts.clone(), user: Some((999, 999)), ..refused.clone() }), @r#"
    ended by itself: exit code 1
    [mkdir: can't create directory '/data/db/x': Permission denie…]
    hint: /data/db is mounted from /srv/data/db, which belongs to user 33, group 33 (mode 0750); the container runs as user 999, group 999: chown it, or set `user: "33:33"`
    "#);
    let elsewhere = said(1, &["open /etc/shadow: permission denied"]);
    insta::assert_snapshot!(show(&Death { mounts, user: Some((999, 999)), ..elsewhere }), @r"
    ended by itself: exit code 1
    [open /etc/shadow: permission denied]
    hint: it runs as user 999, group 999: look at the owner of what it was refused
    ");
    let read_only = MountOwner { read_only: true, ..mount("/data", (0, 0)) };
    let refused = said(1, &["touch: /data/x: Read-only file system"]);
    insta::assert_snapshot!(show(&Death { mounts: vec![read_only], user: Some((0, 0)), ..refused }), @r"
    ended by itself: exit code 1
    [touch: /data/x: Read-only file system]
    hint: /data is mounted from /srv/data, read-only
    ");
}

#[test]
fn a_refused_connection_names_the_dependency_that_was_not_ready() {
    let dependency = |service: &str, state: &str, ready, checked| Dependency {
        service: service.to_owned(),
        state: state.to_owned(),
        ready,
        checked,
    };
    let refused = said(1, &["dial tcp 10.1.0.2:5432: connect: connection refused"]);
    let starting =
        vec![dependency("db", "running (starting)", false, true), dependency("cache", "running", true, false)];
    insta::assert_snapshot!(show(&Death { dependencies: starting, ..refused.clone() }), @r"
    ended by itself: exit code 1
    [dial tcp 10.1.0.2:5432: connect: connection refused]
    hint: db was not ready: running (starting); `depends_on: {db: {condition: service_healthy}}` waits for it
    ");
    let unchecked = vec![dependency("db", "running", true, false), dependency("ok", "running (healthy)", true, true)];
    insta::assert_snapshot!(show(&Death { dependencies: unchecked, ..refused.clone() }), @r"
    ended by itself: exit code 1
    [dial tcp 10.1.0.2:5432: connect: connection refused]
    hint: db was running, and nothing tells when it is ready: give it a healthcheck and wait for it with `depends_on: {db: {condition: service_healthy}}`
    ");
    insta::assert_snapshot!(show(&refused), @r"
    ended by itself: exit code 1
    [dial tcp 10.1.0.2:5432: connect: connection refused]
    ");
}

#[test]
fn the_card_as_data() {
    let memory = Memory { kills: 1, limit: Some(64 * MIB), peak: Some(64 * MIB) };
    let lines = (0..20).map(|n| format!("line {n}")).collect();
    let uptime = Duration::from_millis(1500);
    let next_try = Some(Duration::from_millis(200));
    let card = card(&Death { memory, lines, uptime, next_try, restarts: 1, time_ns: 5, ..killed(9) });
    insta::assert_snapshot!(serde_json::to_string_pretty(&card).unwrap(), @r#"
    {
      "time_ns": 5,
      "exit_code": 137,
      "signal": 9,
      "by": {
        "who": "kernel",
        "child": false,
        "limit": true
      },
      "expected": false,
      "uptime_ms": 1500,
      "restarts": 1,
      "next_try_ms": 200,
      "memory": {
        "kills": 1,
        "limit": 67108864,
        "peak": 67108864
      },
      "lines": [
        "line 12",
        "line 13",
        "line 14",
        "line 15",
        "line 16",
        "line 17",
        "line 18",
        "line 19"
      ],
      "hints": [
        "give it more than 64 MiB (deploy.resources.limits.memory or mem_limit), or have it use less"
      ]
    }
    "#);
    assert_eq!(serde_json::from_str::<Card>(&serde_json::to_string(&card).unwrap()).unwrap(), card);
}

#[test]
fn sizes_read_well() {
    for (bytes, text) in [(512, "512 B"), (1536, "1.5 KiB"), (64 * MIB, "64 MiB"), (5 << 40, "5120 GiB")] {
        assert_eq!(size(bytes), text);
    }
}

//! Images and programs that mean harm, and hosts set up unlike this one.

use std::time::{Duration, Instant};

use stack::engine::{ExecRequest, Probe};
use stack::spec::{Capabilities, ContainerSpec};

use super::world::{World, alive, eventually};

fn probe(script: &str) -> Probe {
    Probe {
        argv: ["sh", "-c", script].map(String::from).to_vec(),
        timeout_ms: 10_000,
        max_output: 100_000,
        ..Probe::default()
    }
}

/// Starts a container that must not start; returns why.
async fn refused(world: &mut World, spec: &ContainerSpec) -> String {
    let why = match world.engine.create(spec) {
        Err(err) => err.to_string(),
        Ok(()) => {
            let shim = world.shim(spec).await;
            let why = shim.start().await.expect_err("it must not start").to_string();
            shim.shutdown().await;
            why
        }
    };
    world.engine.remove(&spec.id).await.unwrap();
    why
}

#[tokio::test]
async fn no_number_stands_for_leaving_the_user_as_it_is() {
    let mut world = World::new();
    // (uid_t)-1 makes setresuid(2) change nothing: the program would go on as root.
    for user in ["4294967295", "0:4294967295", "2147483648"] {
        let mut spec = world.spec(&["true"]);
        spec.user = user.into();
        let why = refused(&mut world, &spec).await;
        assert!(why.contains("4294967295") || why.contains("2147483648"), "{why}");
    }
    let passwd = world.folder.path().join("layer/etc/passwd");
    std::fs::write(passwd, "evil:x:4294967295:4294967295::/:/bin/sh\n").unwrap();
    let mut spec = world.spec(&["id"]);
    spec.user = "evil".into();
    let why = refused(&mut world, &spec).await;
    assert!(why.contains("evil"), "{why}");
}

#[tokio::test]
async fn the_working_directory_cannot_be_one_of_the_host() {
    let mut world = World::new();
    let mut held = world.spec(&["sleep", "1000"]);
    held.cwd = "/tmp".into();
    let shim = world.shim(&held).await;
    shim.start().await.unwrap();
    let mut reached = Vec::new();
    for fd in 3..40 {
        let cwd = format!("/proc/self/fd/{fd}");
        let mut spec = world.spec(&["sh", "-c", "ls -a; cat /proc/self/mountinfo | head -1"]);
        spec.cwd.clone_from(&cwd);
        let first = world.shim(&spec).await;
        if first.start().await.is_ok() {
            world.exited(&spec).await;
            reached.push((cwd.clone(), world.log(&spec)));
        }
        first.shutdown().await;
        world.engine.remove(&spec.id).await.unwrap();
        let output = shim.exec_wait(Probe { cwd: Some(cwd.clone()), ..probe("ls -a") }).await;
        reached.extend(output.ok().map(|output| (cwd, output.output)));
    }
    shim.shutdown().await;
    world.engine.remove(&held.id).await.unwrap();
    assert_eq!(reached, []);
}

#[tokio::test]
async fn the_engines_program_cannot_be_changed_from_inside() {
    let mut world = World::new();
    let program = world.folder.path().join("stack");
    std::fs::copy(env!("CARGO_BIN_EXE_stack"), &program).unwrap();
    world.use_program(&program);
    let before = std::fs::metadata(&program).unwrap();
    let spec = world.spec(&["sleep", "1000"]);
    let shim = world.shim(&spec).await;
    shim.start().await.unwrap();
    // What a container comes by that way is on a mount that cannot be written, also when nothing
    // runs the file any more.
    let exe = format!("/proc/{}/exe", shim.pid());
    let error = std::fs::set_permissions(&exe, before.permissions()).expect_err("it cannot be changed");
    assert_eq!(error.raw_os_error(), Some(nix::libc::EROFS), "{error}");
    std::fs::set_permissions(&program, before.permissions()).expect("the host's own file can");
    shim.shutdown().await;
    world.engine.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn settings_of_the_whole_host_are_refused() {
    let mut world = World::new();
    let before = std::fs::read_to_string("/proc/sys/vm/swappiness").unwrap();
    for key in [
        "vm.swappiness",
        "vm/swappiness",
        "kernel.core_pattern",
        "net/../vm/swappiness",
        "net.ipv4/../../vm/swappiness",
    ] {
        let mut spec = world.spec(&["true"]);
        spec.sysctls.insert(key.into(), before.trim().into());
        let why = refused(&mut world, &spec).await;
        assert!(why.contains(key), "{why}");
    }
    let mut spec = world.spec(&["cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"]);
    spec.sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "7".into());
    assert_eq!(world.run(&spec).await, (0, "7\n".into()));
}

#[tokio::test]
async fn real_time_signals_are_signals() {
    let mut world = World::new();
    for init in [false, true] {
        let mut spec = world.spec(&["sh", "-c", "trap 'echo got; exit 5' 37; echo ready; while :; do sleep 0.1; done"]);
        spec.init = init;
        let shim = world.shim(&spec).await;
        shim.start().await.unwrap();
        eventually("it waits", || world.log(&spec).contains("ready")).await;
        shim.signal(37).await.unwrap(); // SIGRTMIN+3, as systemd wants it
        assert_eq!(world.exited(&spec).await.code, 5);
        shim.signal(99).await.unwrap_err();
        shim.shutdown().await;
        world.engine.remove(&spec.id).await.unwrap();
    }
}

#[tokio::test]
async fn init_passes_signals_on_without_any_capability() {
    let mut world = World::new();
    let mut spec = world.spec(&["sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.1; done"]);
    spec.init = true;
    spec.user = "web".into();
    spec.capabilities = Capabilities { add: vec![], drop: vec!["ALL".into()] };
    let shim = world.shim(&spec).await;
    shim.start().await.unwrap();
    eventually("it waits", || world.log(&spec).contains("ready")).await;
    shim.signal(15).await.unwrap();
    assert_eq!(world.exited(&spec).await.code, 6);
    shim.shutdown().await;
    world.engine.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_container_that_floods_its_log_can_be_talked_to() {
    let mut world = World::new();
    let spec = world.spec(&["yes"]);
    let shim = world.shim(&spec).await;
    shim.start().await.unwrap();
    eventually("it writes", || world.log(&spec).len() > 100_000).await;
    let start = Instant::now();
    for _ in 0..5 {
        let output = tokio::time::timeout(Duration::from_secs(5), shim.exec_wait(probe("echo there"))).await;
        assert_eq!(output.expect("an answer in time").unwrap().output, "there\n");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // A session whose background program writes on and on, and whose caller has left.
    let socket = world.engine.shim_socket(&spec.id);
    let request =
        ExecRequest { argv: ["sh", "-c", "yes yes & sleep 0.1"].map(String::from).to_vec(), ..ExecRequest::default() };
    let session = tokio::time::timeout(Duration::from_millis(500), stack::engine::exec::run(&socket, request)).await;
    drop(session);
    let status = tokio::time::timeout(Duration::from_secs(5), shim.status()).await;
    assert!(status.expect("an answer in time").unwrap().pid.is_some());
    shim.shutdown().await;
    eventually("the shim ends", || !alive(shim.pid())).await;
    world.engine.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_session_has_a_keyring_and_an_oom_score_of_the_container() {
    let mut world = World::new();
    let mut spec = world.spec(&["sleep", "1000"]);
    spec.capabilities.add = vec!["SYS_ADMIN".into()];
    spec.seccomp = stack::spec::Seccomp::Unconfined;
    spec.resources.oom_score_adj = Some(321);
    let shim = world.shim(&spec).await;
    shim.start().await.unwrap();
    let output = shim.exec_wait(probe("cat /proc/self/oom_score_adj; ls /proc/self/fd | wc -l")).await.unwrap();
    // stdin, stdout, stderr and the folder that ls reads.
    assert_eq!(output.output, "321\n4\n");
    shim.shutdown().await;
    world.engine.remove(&spec.id).await.unwrap();
    let mut spec = world.spec(&["sh", "-c", "cat /proc/self/oom_score_adj; ls /proc/self/fd | wc -l"]);
    spec.stdin_open = true;
    assert_eq!(world.run(&spec).await, (0, "0\n4\n".into()));
}

#[tokio::test]
async fn what_the_engine_was_started_with_does_not_reach_the_container() {
    let mut world = World::with_program(
        "#!/bin/sh\nulimit -Sn 1000; ulimit -Sc 0; ulimit -Sf 99999; umask 077; echo 500 > /proc/self/oom_score_adj\n\
         trap '' TERM HUP PIPE; exec nice -n 7 $STACK \"$@\"",
    );
    let script = "ulimit -c; ulimit -f; umask; cat /proc/self/oom_score_adj; \
        cat /proc/self/stat | (read -r a b c d e f g h i j k l m n o p q r nice rest; echo $nice); \
        grep -E '^Sig(Blk|Ign)' /proc/self/status; env | grep -i stack; stat -c %a /etc/hosts /etc/resolv.conf";
    let spec = world.spec(&["sh", "-c", script]);
    let (_, log) = world.run(&spec).await;
    insta::assert_snapshot!(log, @r"
    unlimited
    unlimited
    0022
    0
    0
    SigBlk:	0000000000000000
    SigIgn:	0000000000000000
    644
    644
    ");
}

#[tokio::test]
async fn a_full_disk_leaves_no_half_line_in_the_log() {
    let mut world = World::new();
    let logs = world.folder.path().join("root/logs");
    std::fs::create_dir_all(&logs).unwrap();
    let small = Some("size=40k");
    nix::mount::mount(Some("tmpfs"), &logs, Some("tmpfs"), nix::mount::MsFlags::empty(), small).unwrap();
    let spec =
        world.spec(&["sh", "-c", "i=0; while [ $i -lt 400 ]; do echo line $i of many; sleep 0.001; i=$((i+1)); done"]);
    let shim = world.shim(&spec).await;
    shim.start().await.unwrap();
    world.exited(&spec).await;
    let text = std::fs::read_to_string(world.engine.log_path(&spec.name)).unwrap();
    shim.shutdown().await;
    world.engine.remove(&spec.id).await.unwrap();
    nix::mount::umount2(&logs, nix::mount::MntFlags::MNT_DETACH).unwrap();
    assert!(text.len() > 20_000 && text.ends_with('\n'), "{} bytes", text.len());
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|err| panic!("{err}: {line}"));
    }
}

#[tokio::test]
async fn what_a_newer_engine_added_to_a_record_is_no_damage() {
    let mut world = World::new();
    let spec = world.spec(&["true"]);
    world.engine.create(&spec).unwrap();
    let path = world.engine.container_dir(&spec.id).join("record.json");
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["later"] = 1.into();
    record["spec"]["later"] = serde_json::json!({"more": []});
    record["spec"]["resources"]["later"] = 2.into();
    std::fs::write(&path, record.to_string()).unwrap();
    let (records, damaged) = world.another_engine().records();
    assert!(damaged.is_empty(), "{damaged:?}");
    assert_eq!(records.iter().map(|record| &record.spec).collect::<Vec<_>>(), [&spec]);
    world.engine.remove(&spec.id).await.unwrap();
}

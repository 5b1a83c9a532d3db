//! One container at a time, for real.

mod hostile;
mod world;

use std::time::{Duration, Instant};

use stack::engine::{ExecRequest, Probe, ShimNotice};
use stack::spec::{Mount, MountKind, Resources};
use world::{DEADLINE, World, alive, eventually};

#[tokio::test]
async fn a_program_runs_and_its_output_and_status_are_kept() {
    let mut world = World::new();
    let spec = world.spec(&[
        "sh",
        "-c",
        "echo out; echo err >&2; hostname; id -u; echo $COLOUR $HOME $HOSTNAME; printf end; exit 7",
    ]);
    let (code, log) = world.run(&spec).await;
    assert_eq!(code, 7);
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    let short = spec.id.short();
    let mut expected = ["out", "err", short, "0", &format!("blue /root {short}"), "end"];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(world.cgroups(&spec), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn starting_says_why_it_failed() {
    let mut world = World::new();
    let mut check = async |argv: &[&str], change: &dyn Fn(&mut stack::spec::ContainerSpec), code: i32, words: &str| {
        let mut spec = world.spec(argv);
        change(&mut spec);
        let shim = world.shim(&spec).await;
        let failure = shim.start().await.expect_err(words);
        let text = format!("{failure} {:?}", failure.hint);
        assert!(text.contains(words), "{text:?} has no {words:?}");
        assert_eq!(failure.exit_code, code, "{text}");
        shim.shutdown().await;
        world.engine.remove(&spec.id).await.unwrap();
    };
    let same = |_: &mut stack::spec::ContainerSpec| {};
    check(&["no-such-program"], &same, 127, "executable file not found in $PATH").await;
    check(&["/no/such/program"], &same, 127, "no such file in the image").await;
    check(&["not-executable"], &same, 126, "not executable").await;
    check(&["/bin"], &same, 126, "start \"/bin\"").await;
    check(&["true"], &|spec| spec.user = "nobody".into(), 125, "no user \"nobody\"").await;
    let missing = |spec: &mut stack::spec::ContainerSpec| {
        let kind = MountKind::Bind { source: "/no/such/folder".into(), create: false, propagation: String::new() };
        spec.mounts.push(Mount { target: "/data".into(), read_only: false, kind });
    };
    check(&["true"], &missing, 125, "/no/such/folder").await;
    let no_layer = |spec: &mut stack::spec::ContainerSpec| spec.image.layers = vec!["/no/such/layer".into()];
    check(&["true"], &no_layer, 125, "layer /no/such/layer is missing").await;
}

#[tokio::test]
async fn a_restart_is_a_new_process_of_the_same_shim() {
    let mut world = World::new();
    let spec = world.spec(&["sh", "-c", "echo run >> /count; wc -l < /count; exit 4"]);
    let shim = world.shim(&spec).await;
    for _ in 0..3 {
        shim.start().await.unwrap();
        assert_eq!(world.exited(&spec).await.code, 4);
    }
    assert_eq!(world.log(&spec), "1\n2\n3\n");
    shim.shutdown().await;
    eventually("the shim ends", || !alive(shim.pid())).await;
    world.engine.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn mounts_users_and_limits() {
    let mut world = World::new();
    let data = world.folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("file"), "content\n").unwrap();
    let bind = |target: &str, read_only, source: std::path::PathBuf| Mount {
        target: target.into(),
        read_only,
        kind: MountKind::Bind { source, create: true, propagation: String::new() },
    };
    let script = "cat /data/file; touch /data/x 2>&1; touch /new/x && echo made; cat /etc/one; \
        touch /root-is-read-only 2>&1; stat -f -c %T /mem; id; pwd; ulimit -n; cat /proc/sys/kernel/msgmax; cat /etc/resolv.conf";
    let mut spec = world.spec(&["sh", "-c", script]);
    spec.mounts = vec![
        bind("/data", true, data.clone()),
        bind("/new", false, data.join("new")),
        bind("/etc/one", false, data.join("file")),
        Mount {
            target: "/mem".into(),
            read_only: false,
            kind: MountKind::Tmpfs { size: Some(1 << 20), mode: None, options: vec![] },
        },
    ];
    spec.read_only = true;
    spec.cwd = "/new/work/here".into();
    spec.rlimits = vec![stack::spec::Rlimit { name: "nofile".into(), soft: 100, hard: 200 }];
    spec.sysctls.insert("kernel.msgmax".into(), "9000".into());
    spec.user = "0:audio".into();
    spec.group_add = vec!["web".into()];
    let (code, log) = world.run(&spec).await;
    assert_eq!(code, 0, "{log}");
    insta::assert_snapshot!(log, @r"
    content
    touch: /data/x: Read-only file system
    made
    content
    touch: /root-is-read-only: Read-only file system
    tmpfs
    uid=0(root) gid=29(audio) groups=29(audio),34(web)
    /new/work/here
    100
    9000
    nameserver 127.0.0.11
    options ndots:0
    ");
    assert!(data.join("new/x").exists());
}

#[tokio::test]
async fn a_user_without_rights_has_none() {
    let mut world = World::new();
    let mut spec = world.spec(&["sh", "-c", "id; grep -E 'Cap|NoNew|Seccomp:' /proc/self/status | tr '\\t' ' '"]);
    spec.user = "web".into();
    spec.no_new_privileges = true;
    let (_, log) = world.run(&spec).await;
    insta::assert_snapshot!(log, @r"
    uid=33(web) gid=34(web) groups=29(audio),34(web)
    CapInh: 0000000000000000
    CapPrm: 0000000000000000
    CapEff: 0000000000000000
    CapBnd: 00000000a80425fb
    CapAmb: 0000000000000000
    NoNewPrivs: 1
    Seccomp: 2
    ");
}

#[tokio::test]
async fn links_in_an_image_do_not_lead_mounts_out() {
    let mut world = World::new();
    let outside = world.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, world.folder.path().join("layer/escape")).unwrap();
    let mut spec = world.spec(&["sh", "-c", "touch /escape/deep/x; ls /escape/deep"]);
    spec.mounts = vec![Mount {
        target: "/escape/deep".into(),
        read_only: false,
        kind: MountKind::Tmpfs { size: None, mode: None, options: vec![] },
    }];
    let shim = world.shim(&spec).await;
    // Either it fails or it stays inside; nothing appears outside.
    let _ = shim.start().await;
    shim.shutdown().await;
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    world.engine.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn init_reaps_zombies_and_passes_signals_on() {
    let mut world = World::new();
    let script = "trap 'echo term; exit 3' TERM; (sleep 0 & exec sleep 0) ; sh -c '(sh -c \"exit 0\" &) ; exit 0'; echo ready; while true; do sleep 0.05; done";
    let mut spec = world.spec(&["sh", "-c", script]);
    spec.init = true;
    let shim = world.shim(&spec).await;
    shim.start().await.unwrap();
    let ready = world.engine.log_path(&spec.name);
    eventually("the program is ready", || std::fs::read_to_string(&ready).is_ok_and(|log| log.contains("ready"))).await;
    let probe = Probe {
        argv: vec!["sh".into(), "-c".into(), "ps -o pid,stat,comm | grep ' Z' | wc -l; cat /proc/1/comm".into()],
        timeout_ms: 5000,
        max_output: 4096,
        ..Probe::default()
    };
    let mut output = shim.exec_wait(probe.clone()).await.unwrap();
    let start = Instant::now();
    while output.output != "0\ninit\n" && start.elapsed() < DEADLINE {
        output = shim.exec_wait(probe.clone()).await.unwrap();
    }
    assert_eq!(output.output, "0\ninit\n");
    shim.signal(15).await.unwrap();
    assert_eq!(world.exited(&spec).await.code, 3);
    shim.shutdown().await;
    world.engine.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn probes_are_captured_and_killed_in_time() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let shim = world.shim(&spec).await;
    let pid = shim.start().await.unwrap().pid;
    let probe = |script: &str, timeout_ms| Probe {
        argv: ["sh", "-c", script].map(String::from).to_vec(),
        timeout_ms,
        max_output: 100,
        ..Probe::default()
    };
    let output = shim.exec_wait(probe("echo one; echo two >&2; echo $COLOUR; exit 3", 5000)).await.unwrap();
    assert_eq!((output.exit_code, output.timed_out), (3, false));
    let mut lines: Vec<&str> = output.output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["blue", "one", "two"]);
    let output = shim.exec_wait(probe("yes | head -c 100000", 5000)).await.unwrap();
    assert_eq!(output.output.len(), 100);

    let start = Instant::now();
    let output = shim.exec_wait(probe("setsid sleep 999 & sleep 998", 100)).await.unwrap();
    assert!(output.timed_out && output.exit_code == 137, "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    let rest = shim.exec_wait(probe("ps | grep -c '[s]leep 99'", 5000)).await.unwrap();
    assert_eq!(rest.output, "0\n");
    let failure = shim.exec_wait(Probe { argv: vec!["nonsense".into()], ..Probe::default() }).await.unwrap_err();
    assert!(failure.to_string().contains("not found"), "{failure}");

    assert!(alive(pid));
    shim.signal(9).await.unwrap();
    assert_eq!(world.exited(&spec).await.code, 137);
    let failure = shim.exec_wait(probe("true", 0)).await.unwrap_err();
    assert!(failure.to_string().contains("not running"), "{failure}");
    shim.shutdown().await;
    world.engine.remove(&spec.id).await.unwrap();
    assert_eq!(world.cgroups(&spec), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn devices_of_the_host_cannot_be_opened() {
    let mut world = World::new();
    let script = "for node in 'disk b 254 0' 'kmsg c 1 11' 'null2 c 1 3'; do mknod /$(echo $node) && head -c 0 /${node%% *}; done 2>&1; echo x > /dev/null && echo written";
    let spec = world.spec(&["sh", "-c", script]);
    let (_, log) = world.run(&spec).await;
    insta::assert_snapshot!(log, @r"
    head: /disk: Operation not permitted
    head: /kmsg: Operation not permitted
    written
    ");
}

/// The built-in runtime gives what runc gives for the same bundle; but for the view of cgroups,
/// which runc leaves writable at its top on v1.
#[tokio::test]
async fn a_container_is_what_runc_makes_of_the_bundle() {
    const PROBE: &str = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ulimit -a | grep -vE 'files|core'; \
        cat /proc/self/mountinfo | while read -r _ _ _ root at options rest; do echo \"$at $options\"; done | grep -v '^/sys/fs/cgroup' | sort; \
        ls -l /dev | while read -r mode _ owner group rest; do echo $mode $owner $group $rest; done | grep -v '^total'; \
        for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do echo $f $(head -c 5 $f 2>/dev/null | wc -c); done; ls /sys/firmware; \
        for f in /proc/sys/kernel/msgmax /proc/sysrq-trigger; do (echo 1 > $f) 2>&1; done; \
        env | sort; id; pwd; stat -c '%a %u:%g' /dev/shm /dev/mqueue /dev/pts /; cat /proc/self/oom_score_adj";
    let mut world = World::new();
    let mut spec = world.spec(&["sh", "-c", PROBE]);
    spec.capabilities.add = vec!["NET_ADMIN".into()];
    spec.capabilities.drop = vec!["MKNOD".into()];
    spec.hostname = "probe".into();
    let shim = world.shim(&spec).await;
    shim.start().await.unwrap();
    world.exited(&spec).await;
    let ours = world.log(&spec);

    let bundle = world.engine.container_dir(&spec.id);
    let config = std::fs::read_to_string(bundle.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    // cgroups are set up by each in its own way; this host's are shared with others.
    config["linux"]["resources"] = serde_json::json!({});
    config["linux"]["cgroupsPath"] = serde_json::json!(format!("/stack-test-runc-{}", std::process::id()));
    std::fs::write(bundle.join("config.json"), config.to_string()).unwrap();
    let overlay = format!(
        "lowerdir={},upperdir={},workdir={}",
        spec.image.layers[0].display(),
        bundle.join("upper").display(),
        bundle.join("work").display()
    );
    let rootfs = bundle.join("rootfs");
    std::fs::create_dir(&rootfs).unwrap();
    let flags = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("overlay"), &rootfs, Some("overlay"), flags, Some(overlay.as_str())).unwrap();
    let state = world.folder.path().join("runc");
    let output = std::process::Command::new("runc")
        .arg("--root")
        .arg(&state)
        .args(["run", "--bundle"])
        .arg(&bundle)
        .arg(format!("stack-test-{}", std::process::id()))
        .stdin(std::process::Stdio::null())
        .output();
    nix::mount::umount(&rootfs).unwrap();
    let output = output.expect("runc is installed");
    let theirs = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    shim.shutdown().await;
    world.engine.remove(&spec.id).await.unwrap();
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn a_terminal_is_one() {
    let mut world = World::new();
    let mut spec = world.spec(&[
        "sh",
        "-c",
        "tty; test -t 0 && test -t 1 && echo yes; echo $TERM; ls -l /dev/console | head -c 1",
    ]);
    spec.tty = true;
    let (code, log) = world.run(&spec).await;
    assert_eq!((code, log.as_str()), (0, "/dev/pts/0\r\nyes\r\nxterm\r\nc"));
}

#[tokio::test]
async fn memory_limits_are_enforced_and_named() {
    let mut world = World::new();
    // tail of an endless line keeps it all in memory.
    let mut spec = world.spec(&["sh", "-c", "dd if=/dev/zero bs=1M count=200 | tr -d x | sh -c 'read x'; cat /dev/zero | head -c 200000000 | tail -c 190000000 > /dev/null; exit 9"]);
    std::os::unix::fs::symlink("busybox", world.folder.path().join("layer/bin/tail")).unwrap();
    spec.argv = ["busybox", "tail", "-c", "190000000", "/dev/zero"].map(String::from).to_vec();
    spec.resources =
        Resources { memory: Some(16 << 20), pids: Some(50), nano_cpus: Some(2_000_000_000), ..Resources::default() };
    let shim = world.shim(&spec).await;
    let started = shim.start().await.unwrap();
    assert_eq!(started.warnings, Vec::<String>::new());
    let status = world.exited(&spec).await;
    assert_eq!((status.code, status.oom_killed), (137, true));
    shim.shutdown().await;
    world.engine.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn killing_the_shim_ends_the_container_and_leaves_nothing() {
    let mut world = World::new();
    let spec = world.spec(&["sh", "-c", "setsid sleep 1000 & sleep 1001"]);
    let shim = world.shim(&spec).await;
    let pid = shim.start().await.unwrap().pid;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim.pid() as i32), nix::sys::signal::SIGKILL).unwrap();
    let notice = tokio::time::timeout(DEADLINE, world.notices.recv()).await.unwrap();
    assert_eq!(notice, Some(ShimNotice::Gone { id: spec.id.clone() }));
    world.engine.kill_leftovers(&spec.id);
    eventually("the container ends", || !alive(pid)).await;
    assert!(shim.status().await.is_err());
    world.engine.remove(&spec.id).await.unwrap();
    assert_eq!(world.cgroups(&spec), Vec::<std::path::PathBuf>::new());
    assert!(!world.folder.path().join("run/containers").join(spec.id.as_str()).exists());
}

#[tokio::test]
async fn a_new_daemon_adopts_what_runs_and_what_ended() {
    let mut world = World::new();
    let long = world.spec(&["sleep", "1000"]);
    let short = world.spec(&["sh", "-c", "exit 5"]);
    let pid = {
        let shim = world.shim(&long).await;
        shim.start().await.unwrap().pid
    };
    world.shim(&short).await.start().await.unwrap();
    assert_eq!(world.exited(&short).await.code, 5);

    let engine = world.another_engine();
    let adopted = engine.adopt(world.events.clone()).await;
    assert_eq!(adopted.len(), 2);
    for found in &adopted {
        if found.id == long.id {
            assert_eq!(found.status.pid, Some(pid));
        } else {
            assert_eq!((found.status.pid, found.status.exit.map(|e| e.code)), (None, Some(5)));
        }
        found.shim.shutdown().await;
        engine.remove(&found.id).await.unwrap();
    }
    assert!(!alive(pid));
    assert!(engine.adopt(world.events.clone()).await.is_empty());
}

/// The daemon is killed: the container goes on, its shim starts a daemon anew, and that one
/// finds the container as it was.
#[test]
fn a_shim_that_lost_its_daemon_starts_another() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut world = World::with_program(
        "#!/bin/sh\nif [ $1 = __daemon ]; then echo \"$STACK_ROOT $STACK_RUN\" > $STACK_RUN/daemon-started; exit; fi\nexec $STACK \"$@\"\n",
    );
    let spec = world.spec(&["sleep", "1000"]);
    let daemon = runtime();
    let pid = daemon.block_on(async { world.shim(&spec).await.start().await.unwrap().pid });
    drop(daemon); // its connections close without a word

    let run = world.folder.path().join("run");
    runtime().block_on(async {
        let expected = format!("{} {}\n", world.folder.path().join("root").display(), run.display());
        eventually("a daemon is started", || {
            std::fs::read_to_string(run.join("daemon-started")).is_ok_and(|text| text == expected)
        })
        .await;
        assert!(alive(pid));
        let engine = world.another_engine();
        let adopted = engine.adopt(world.events.clone()).await;
        assert_eq!(adopted[0].status.pid, Some(pid));
        adopted[0].shim.shutdown().await;
        engine.remove(&spec.id).await.unwrap();
    });
}

#[tokio::test]
async fn sessions_have_streams_and_a_status() {
    let mut world = World::new();
    let spec = world.spec(&["sleep", "1000"]);
    let shim = world.shim(&spec).await;
    shim.start().await.unwrap();
    let socket = world.engine.shim_socket(&spec.id);
    let request =
        |script: &str| ExecRequest { argv: ["sh", "-c", script].map(String::from).to_vec(), ..ExecRequest::default() };
    assert_eq!(stack::engine::exec::run(&socket, request("exit 42")).await.unwrap(), 42);
    assert_eq!(stack::engine::exec::run(&socket, request("kill -9 $$")).await.unwrap(), 137);
    let user = ExecRequest {
        user: Some("web".into()),
        cwd: Some("/tmp".into()),
        env: vec!["COLOUR=red".into()],
        ..request("test $(id -u) = 33 -a $PWD = /tmp -a $COLOUR = red -a $HOME = /tmp")
    };
    assert_eq!(stack::engine::exec::run(&socket, user).await.unwrap(), 0);
    let terminal = ExecRequest { tty: true, ..request("test -t 0 && test -t 1 && test -t 2") };
    assert_eq!(stack::engine::exec::run(&socket, terminal).await.unwrap(), 0);
    let detached = ExecRequest { detach: true, ..request("sleep 0; touch /detached") };
    assert_eq!(stack::engine::exec::run(&socket, detached).await.unwrap(), 0);
    assert_eq!(
        stack::engine::exec::run(&socket, request("while ! test -e /detached; do sleep 0.01; done")).await.unwrap(),
        0
    );
    let failure =
        stack::engine::exec::run(&socket, ExecRequest { argv: vec!["nonsense".into()], ..ExecRequest::default() })
            .await;
    assert!(failure.unwrap_err().to_string().contains("executable file not found"));
    shim.shutdown().await;
    let gone = stack::engine::exec::run(&socket, request("true")).await.unwrap_err();
    assert_eq!(gone.to_string(), "the container is not running");
    world.engine.remove(&spec.id).await.unwrap();
}

/// Prints what starting costs; run it by name.
#[tokio::test]
#[ignore = "a measurement, not a check"]
async fn cost_of_a_start() {
    let mut world = World::new();
    world.engine.warm_up().await.unwrap();
    let mut sum = [Duration::ZERO; 5];
    const COUNT: u32 = 30;
    for _ in 0..COUNT {
        let spec = world.spec(&["true"]);
        let mut step = Instant::now();
        let mut lap = |sum: &mut Duration| {
            *sum += step.elapsed();
            step = Instant::now();
        };
        world.engine.create(&spec).unwrap();
        lap(&mut sum[0]);
        let fds = stack::engine::ShimFds::default();
        let shim = world.engine.spawn_shim(&spec, fds, world.events.clone()).await.unwrap();
        lap(&mut sum[1]);
        shim.start().await.unwrap();
        lap(&mut sum[2]);
        world.exited(&spec).await;
        lap(&mut sum[3]);
        shim.shutdown().await;
        world.engine.remove(&spec.id).await.unwrap();
        lap(&mut sum[4]);
    }
    for (name, sum) in ["create", "spawn_shim", "start", "run true and end", "shutdown and remove"].iter().zip(sum) {
        println!("{name:20} {:?}", sum / COUNT);
    }
    let mut shims = Vec::new();
    let start = Instant::now();
    for _ in 0..20 {
        let spec = world.spec(&["sleep", "1000"]);
        let shim = world.shim(&spec).await;
        shim.start().await.unwrap();
        shims.push((spec, shim));
    }
    println!("20 one by one: {:?} each", start.elapsed() / 20);
    let pss = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        text.lines()
            .filter(|l| l.starts_with("Pss") || l.starts_with("Private"))
            .map(|l| l.split_whitespace().take(2).collect::<Vec<_>>().join(""))
            .collect::<Vec<_>>()
            .join(" ")
    };
    println!("shim {}", pss(shims[0].1.pid()));
    let start = Instant::now();
    for (spec, shim) in &shims {
        shim.shutdown().await;
        world.engine.remove(&spec.id).await.unwrap();
    }
    println!("20 removed one by one: {:?} each", start.elapsed() / 20);
    let start = Instant::now();
    let specs: Vec<_> = (0..40).map(|_| world.spec(&["sleep", "1000"])).collect();
    let up = specs.iter().map(|spec| async {
        let shim = world.shim(spec).await;
        shim.start().await.unwrap();
        shim
    });
    let shims = futures_util::future::join_all(up).await;
    println!("40 at once: {:?} each", start.elapsed() / 40);
    let start = Instant::now();
    let down = specs.iter().zip(&shims).map(|(spec, shim)| async {
        shim.shutdown().await;
        world.engine.remove(&spec.id).await.unwrap();
    });
    futures_util::future::join_all(down).await;
    println!("40 removed at once: {:?} each", start.elapsed() / 40);
}

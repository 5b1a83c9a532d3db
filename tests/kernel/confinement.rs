//! What a container may see and do.

use std::process::Command;

use crate::support::{SOON, World, eventually};

#[test]
fn a_read_only_root_refuses_writes_but_not_on_tmpfs() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000, read_only: true, tmpfs: /tmp}}");
    world.up();
    let refused = world.stack(&["exec", "-T", "app", "touch", "/file"]);
    assert!(refused.stderr.contains("Read-only file system"), "{refused}");
    assert_eq!(world.sh("app", "touch /tmp/file && echo written"), "written");
}

#[test]
fn capabilities_are_dockers_less_those_dropped_and_more_those_added() {
    let world = World::with(
        "
services:
  usual: {image: busybox, command: sleep 1000}
  none: {image: busybox, command: sleep 1000, cap_drop: [ALL]}
  some: {image: busybox, command: sleep 1000, cap_drop: [ALL], cap_add: [NET_ADMIN, CAP_CHOWN]}
  app: {image: busybox, command: sleep 1000, user: app}
",
    );
    world.up();
    let set = |service: &str, name: &str| world.sh(service, &format!("sed -n 's/^{name}:.//p' /proc/1/status"));
    assert_eq!(set("usual", "CapEff"), "00000000a80425fb");
    assert_eq!(set("usual", "CapBnd"), "00000000a80425fb");
    assert_eq!(set("none", "CapBnd"), "0000000000000000");
    assert_eq!(set("some", "CapEff"), format!("{:016x}", (1 << 12) | 1));
    assert_eq!(set("app", "CapEff"), "0000000000000000", "no root, no capabilities");
    let refused = world.stack(&["exec", "-T", "none", "chown", "app", "/tmp"]);
    assert!(refused.stderr.contains("Operation not permitted"), "{refused}");
}

#[test]
fn users_and_groups_are_those_of_the_image() {
    let world = World::with(
        "
services:
  name: {image: busybox, command: sleep 1000, user: app}
  numbers: {image: busybox, command: sleep 1000, user: '1234:5678'}
  group: {image: busybox, command: sleep 1000, user: 'app:root', group_add: ['3000']}
",
    );
    world.up();
    assert_eq!(world.sh("name", "id -u; id -g; id -G; echo $HOME"), "1000\n1000\n1000 2000\n/home/app");
    assert_eq!(world.sh("numbers", "id -u; id -g"), "1234\n5678");
    assert_eq!(world.sh("group", "id -u; id -g; id -G"), "1000\n0\n0 3000");
    assert_eq!(world.sh("name", "sed -n 's/^Uid:.//p' /proc/1/status"), "1000\t1000\t1000\t1000");
}

#[test]
fn a_user_that_the_image_does_not_know_is_named() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000, user: nobody-here}}");
    world.stack(&["up", "-d"]).fails_naming(&["nobody-here"]);
}

#[test]
fn a_container_sees_its_own_processes_hostname_and_files_only() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    world.up();
    assert_eq!(world.sh("app", "cat /proc/1/cmdline | tr '\\0' ' '"), "sleep 1000");
    assert_eq!(world.sh("app", "ls / | tr '\\n' ' '"), "bin dev etc proc root run sbin seed sys tmp usr var www");
    for folder in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/proc", "/sys"] {
        world.sh("app", &format!("grep -q ' {folder} ' /proc/mounts"));
    }
    for device in ["null", "zero", "full", "random", "urandom", "tty", "ptmx"] {
        world.sh("app", &format!("test -c /dev/{device}"));
    }
    assert_eq!(world.sh("app", "test -c /dev/kmsg -o -b /dev/vda && echo there || echo hidden"), "hidden");
    let mounts = world.sh("app", "cat /proc/mounts");
    assert!(!mounts.contains("/var/lib/stack") || mounts.contains("overlay"), "{mounts}");
}

#[test]
fn kernel_interfaces_are_masked_or_read_only() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000}}");
    world.up();
    assert_eq!(world.sh("app", "cat /proc/kcore /proc/timer_list 2>/dev/null | wc -c"), "0");
    for refused in [
        "echo 1 > /proc/sys/vm/overcommit_memory",
        "echo x > /sys/kernel/uevent_helper",
        "echo b > /proc/sysrq-trigger",
    ] {
        let output = world.stack(&["exec", "-T", "app", "sh", "-c", refused]);
        assert_ne!(output.code, Some(0), "{output}");
    }
}

#[test]
fn seccomp_filters_and_new_namespaces_are_refused() {
    let world = World::with(
        "
services:
  app: {image: busybox, command: sleep 1000}
  free: {image: busybox, command: sleep 1000, security_opt: ['seccomp=unconfined', 'no-new-privileges:true']}
",
    );
    world.up();
    assert_eq!(world.sh("app", "sed -n 's/^Seccomp:.//p' /proc/1/status"), "2");
    assert_eq!(world.sh("free", "sed -n 's/^Seccomp:.//p' /proc/1/status"), "0");
    assert_eq!(world.sh("free", "sed -n 's/^NoNewPrivs:.//p' /proc/1/status"), "1");
    assert_eq!(world.sh("app", "sed -n 's/^Seccomp:.//p' /proc/self/status"), "2", "exec is filtered, too");
    let refused = world.stack(&["exec", "-T", "app", "unshare", "-m", "true"]);
    assert!(refused.stderr.contains("not permitted"), "{refused}");
}

#[test]
fn limits_reach_the_kernel() {
    let world = World::with(
        "
services:
  app:
    image: busybox
    command: sleep 1000
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 20
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 77}
    shm_size: 8m
    sysctls: {net.ipv4.ip_unprivileged_port_start: 0}
  swarm:
    image: busybox
    command: sleep 1000
    deploy: {resources: {limits: {memory: 32M, cpus: '0.25', pids: 30}}}
",
    );
    world.up();
    let config = world.inspect("app")["HostConfig"].clone();
    assert_eq!(config["Memory"], 64 << 20);
    assert_eq!(config["NanoCpus"], 500_000_000);
    assert_eq!(config["PidsLimit"], 20);
    assert_eq!(world.inspect("swarm")["HostConfig"]["Memory"], 32 << 20);
    assert_eq!(world.sh("app", "ulimit -Sn; ulimit -Hn"), "100\n200");
    assert_eq!(world.sh("app", "df -k /dev/shm | tail -1 | awk '{print $2}'"), "8192");
    assert_eq!(world.sh("app", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "0");
    let forked = world.stack(&["exec", "-T", "app", "sh", "-c", "for i in $(seq 40); do sleep 5 & done; wait"]);
    assert!(forked.stderr.contains("fork") || forked.stderr.contains("Resource temporarily unavailable"), "{forked}");
}

#[test]
fn environment_working_folder_entrypoint_and_command_are_those_of_the_file() {
    let mut world = World::with(
        "
services:
  app:
    image: busybox
    entrypoint: [sh, -c, 'env; pwd; echo args: $$0 $$@; exec sleep 1000']
    command: [one, 'two words']
    working_dir: /var
    env_file: [app.env, {path: missing.env, required: false}]
    environment:
      PLAIN: value
      FROM_SHELL:
      OVER: environment
      WITH_DEFAULT: ${UNSET:-fallback}
",
    );
    world.write("app.env", "# comment\nOVER=file\nQUOTED=\"a b\"\nEXPANDED=${PLAIN_SHELL}-x\nexport EXPORTED=1\n");
    world.set("FROM_SHELL", "shell");
    world.set("PLAIN_SHELL", "p");
    world.up();
    let environment = world.sh("app", "tr '\\0' '\\n' </proc/1/environ");
    for line in [
        "PLAIN=value",
        "FROM_SHELL=shell",
        "OVER=environment",
        "WITH_DEFAULT=fallback",
        "QUOTED=a b",
        "EXPANDED=p-x",
        "EXPORTED=1",
    ] {
        assert!(environment.lines().any(|have| have == line), "{line} in:\n{environment}");
    }
    let logs = world.stack(&["logs", "--no-log-prefix"]).ok();
    assert!(logs.contains("/var\nargs: one two words"), "{logs}");
}

#[test]
fn mask_and_open_files_of_who_starts_the_engine_stay_outside() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000, user: app}}");
    // The one that imported the image.
    eventually("the engine leaves", SOON, || (!world.run_folder().join("stack.sock").exists()).then_some(()));
    let up = world.command(&["up", "-d"]);
    let lock = world.folder().join("lock");
    let script = format!("umask 077; exec 9>{}; flock 9; \"$@\"", lock.display());
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(up.get_program()).args(up.get_args());
    command.current_dir(up.get_current_dir().expect("the project's folder")).env_clear();
    command.envs(up.get_envs().filter_map(|(key, value)| Some((key, value?))));
    assert!(command.output().expect("a shell").status.success());
    assert_eq!(world.sh("app", "cat /etc/hosts /etc/resolv.conf | grep -c 127.0.0.1"), "2");
    assert_eq!(world.sh("app", "ls /proc/self/fd | wc -l"), "4");
    let free = Command::new("flock").arg("-n").arg(&lock).arg("true").status().expect("flock(1)");
    assert!(free.success(), "the engine holds a lock of its caller");
    let mut enter = Command::new("setpriv");
    enter.args(["--reuid=65534", "--clear-groups", "ls"]).arg(world.root().join("projects"));
    assert!(!enter.output().expect("setpriv(1)").status.success(), "records hold secrets");
}

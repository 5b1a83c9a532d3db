//! When a service is ready: inferred or by its rule, named by `ps`, and waited for.

use std::time::Duration;

use crate::support::{World, becomes};

/// Returns what `ps` says of a service: whether it is ready, and by which rule.
fn readiness(world: &World, service: &str) -> (bool, String) {
    let line = world.ps().into_iter().find(|line| line["Service"] == service).expect("the service has a container");
    (line["Ready"] == true, line["ReadyRule"].as_str().unwrap_or("?").to_owned())
}

fn ready_by(rule: &str) -> (bool, String) {
    (true, rule.to_owned())
}

#[test]
fn a_redis_answers_a_ping_a_web_server_http_and_others_listen_or_run() {
    let world = World::with_redis(
        "
services:
  cache: {image: redis}
  web: {image: busybox, command: httpd -f -p 80 -h /etc}
  plain: {image: busybox, command: nc -ll -p 7777 -e cat}
  worker: {image: busybox, command: sleep 1000}
  checked: {image: busybox, command: sleep 1000, healthcheck: {test: [CMD, 'true']}}
",
    );
    world.up_wait();
    assert_eq!(readiness(&world, "cache"), ready_by("redis PING on 6379"));
    assert_eq!(readiness(&world, "web"), ready_by("HTTP on 80"));
    assert_eq!(readiness(&world, "plain"), ready_by("port 7777 listens"));
    assert_eq!(readiness(&world, "worker"), ready_by("running"));
    assert_eq!(readiness(&world, "checked"), ready_by("healthcheck"));
    let status = world.stack(&["ps"]).ok();
    assert!(status.contains("(ready: redis PING on 6379)"), "{status}");
}

#[test]
fn dependents_wait_for_ready_where_the_file_says_so() {
    let world = World::with(
        "
services:
  db:
    image: busybox
    command: sh -c 'sleep 1; date +%s%N > /tmp/listens; exec httpd -f -p 8080 -h /etc'
    expose: [8080]
    x-stack: {ready: auto}
  web: {image: busybox, command: 'sh -c \"wget -qO- http://db:8080/hostname > /tmp/got; exec sleep 1000\"', depends_on: [db]}
  hasty: {image: busybox, command: sleep 1000, depends_on: [slow]}
  slow: {image: busybox, command: sh -c 'sleep 1000'}
",
    );
    let up = world.stack(&["up", "-d"]);
    assert!(up.took >= Duration::from_secs(1), "up ended before db listened: {up}");
    up.ok();
    assert_eq!(readiness(&world, "db"), ready_by("HTTP on 8080"));
    becomes("what web got from db", &"0".to_owned(), || world.sh("web", "test -s /tmp/got; echo $?"));
}

#[test]
fn the_rules_of_the_file_decide() {
    let world = World::with(
        "
services:
  tcp: {image: busybox, command: sh -c 'sleep 0.5; exec nc -ll -p 7000 -e cat', x-stack: {ready: 'tcp:7000'}}
  http:
    image: busybox
    command: sh -c 'mkdir /www; httpd -p 80 -h /www; sleep 0.5; echo ok > /www/health; exec sleep 1000'
    x-stack: {ready: 'http:80/health'}
  log: {image: busybox, command: sh -c 'echo begin; sleep 0.5; echo now ready to serve; exec sleep 1000', x-stack: {ready: 'log:ready to (accept|serve)'}}
  none: {image: busybox, command: sleep 1000, x-stack: {ready: none}}
",
    );
    world.up_wait();
    assert_eq!(readiness(&world, "tcp"), ready_by("tcp:7000"));
    assert_eq!(readiness(&world, "http"), ready_by("http:80/health"));
    assert_eq!(readiness(&world, "log"), ready_by("log:ready to (accept|serve)"));
    assert_eq!(readiness(&world, "none"), ready_by("none"));
    assert_eq!(world.sh("http", "cat /www/health"), "ok");

    // A new engine knows it, also where the line has gone with the oldest file of the log.
    let name = world.container("log");
    let log = world.root().join("logs").join(&name).join(format!("{name}.json.log"));
    std::fs::File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    let daemon = world.daemon();
    world.kill(daemon);
    becomes("another engine", &true, || world.daemon() != daemon);
    becomes("what it knows", &ready_by("log:ready to (accept|serve)"), || readiness(&world, "log"));
}

#[test]
fn a_server_that_is_set_up_first_is_not_taken_for_the_real_one() {
    let world = World::with(
        "
services:
  db:
    image: busybox
    command: >
      sh -c 'httpd -p 127.0.0.1:80 -h /etc; sleep 0.4; killall httpd; nc -l -p 80 -w 1 >/dev/null & sleep 0.3; kill %1;
      sleep 0.4; touch /tmp/real; exec httpd -f -p 80 -h /etc'
    expose: [80]
",
    );
    world.up_wait();
    assert_eq!(readiness(&world, "db"), ready_by("HTTP on 80"));
    assert_eq!(world.sh("db", "cat /proc/1/comm; ls /tmp"), "httpd\nreal");
}

#[test]
fn a_port_of_the_container_whose_network_is_shared_is_not_its_own() {
    let world = World::with(
        "
services:
  web: {image: busybox, command: httpd -f -p 80 -h /etc}
  side: {image: busybox, command: sh -c 'sleep 0.3; exec nc -ll -p 9999 -e cat', network_mode: 'service:web'}
",
    );
    world.up_wait();
    assert_eq!(readiness(&world, "web"), ready_by("HTTP on 80"));
    assert_eq!(readiness(&world, "side").1, "port 9999 listens");
}

#[test]
fn a_job_that_ended_well_is_done() {
    let world = World::with(
        "
services:
  job: {image: busybox, command: sh -c 'sleep 0.3; echo done'}
  web: {image: busybox, command: httpd -f -p 80 -h /etc}
",
    );
    world.up_wait();
    assert_eq!(world.state("job"), "exited");
    assert_eq!(readiness(&world, "web"), ready_by("HTTP on 80"));
}

#[test]
fn the_exit_status_of_up_wait_tells_a_failure_from_a_time_out() {
    let world = World::with(
        "
services:
  db: {image: busybox, command: sleep 1000, x-stack: {ready: 'tcp:5432'}}
  web: {image: busybox, command: sleep 1000, depends_on: [db]}
",
    );
    let up = world.stack(&["up", "-d", "--wait", "--wait-timeout", "1"]);
    let said = up.fails(4);
    assert!(said.contains("not ready after 1 s") && said.contains("web waits for db to be ready"), "{said}");
    let status = world.stack(&["ps"]).ok();
    assert!(status.contains("(waiting for tcp:5432)"), "{status}");

    world.write("stack.yml", "services: {job: {image: busybox, command: sh -c 'exit 5'}}");
    let up = world.stack(&["up", "-d", "--wait", "--remove-orphans", "-t", "0"]);
    let said = up.fails(3);
    assert!(said.contains("job") && said.contains("5"), "{said}");

    // One that may never be ready does not keep the failure of another back.
    world.write(
        "stack.yml",
        "services: {job: {image: busybox, command: sh -c 'exit 5'}, never: {image: busybox, command: sleep 1000, x-stack: {ready: 'tcp:9'}}}",
    );
    let up = world.stack(&["up", "-d", "--wait", "-t", "0"]);
    assert!(up.fails(3).contains("job"), "the job failed");
}

#[test]
fn the_configuration_can_ask_for_ready_dependencies() {
    let mut world = World::with(
        "
services:
  db: {image: busybox, command: sh -c 'sleep 1; exec httpd -f -p 80 -h /etc', expose: [80]}
  web: {image: busybox, command: sleep 1000, depends_on: [db]}
",
    );
    let folder = world.folder().join("config/stack");
    std::fs::create_dir_all(&folder).expect("a new folder");
    std::fs::write(folder.join("config.toml"), "ready = true\n").expect("a new file");
    world.set("XDG_CONFIG_HOME", &world.folder().join("config").display().to_string());
    let up = world.stack(&["up", "-d"]);
    assert!(up.took >= Duration::from_secs(1), "up ended before db listened: {up}");
    up.ok();
    assert_eq!(readiness(&world, "db"), ready_by("HTTP on 80"));

    std::fs::write(folder.join("config.toml"), "redy = true\n").expect("a file");
    world.stack(&["up", "-d"]).fails_naming(&["config.toml:1:1", "redy", "did you mean `ready`?"]);
}

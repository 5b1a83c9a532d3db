//! Services that are replaced batch by batch, and under load.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::world::{free_port, get};
use crate::support::{SOON, World, becomes, eventually};

/// Returns a web service that says `value`, and answers its check once it serves.
fn web(port: u16, value: &str, config: &str) -> String {
    let server = format!("sh -c 'echo {value} > /www/index.html; sleep 0.2; exec httpd -f -p 80 -h /www'");
    format!(
        "
services:
  web:
    image: busybox
    command: {server:?}
    stop_grace_period: 2s
    ports: ['{port}:80']
    healthcheck: {{test: 'wget -qO- http://127.0.0.1/', interval: 1s}}
    deploy: {{update_config: {{{config}}}, rollback_config: {{{config}}}}}
"
    )
}

fn page(port: u16) -> std::io::Result<String> {
    get(Ipv4Addr::LOCALHOST, port, "/")
}

/// Asks for the page from several threads while `change` runs; returns how many answers there were, and all failures.
fn under_load(port: u16, change: impl FnOnce()) -> (usize, Vec<String>) {
    let (done, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask = || {
        let mut failures = Vec::new();
        while !done.load(Ordering::Relaxed) {
            match page(port) {
                Ok(text) if text == "one\n" || text == "two\n" => {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                other => failures.push(format!("{other:?}")),
            }
        }
        failures
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        change();
        done.store(true, Ordering::Relaxed);
        let failures = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (answers.load(Ordering::Relaxed), failures)
    })
}

#[test]
fn replacing_a_web_service_start_first_fails_no_request() {
    let port = free_port();
    let world = World::with(&web(port, "one", "order: start-first"));
    world.up_wait();
    eventually("the first page", SOON, || page(port).ok());
    let before = world.ids();
    world.write("stack.yml", &web(port, "two", "order: start-first"));
    let (answers, failures) = under_load(port, || {
        world.up();
        becomes("the new page", &"two\n".to_owned(), || page(port).unwrap_or_default());
    });
    assert_eq!(failures, Vec::<String>::new(), "of {answers} requests");
    assert!(answers > 20, "{answers}");
    let after = world.ids();
    assert_eq!(after.len(), 1, "{after:?}");
    assert_ne!(before.values().collect::<Vec<_>>(), after.values().collect::<Vec<_>>());
    assert_eq!(world.ps()[0]["Publishers"][0]["PublishedPort"], port);
    world.stack(&["plan"]).ok();
    // Once more, to the number that is free again, and by a daemon that found all this.
    world.kill(world.daemon());
    world.write("stack.yml", &web(port, "one", "order: start-first"));
    let (answers, failures) = under_load(port, || world.up());
    assert_eq!(failures, Vec::<String>::new(), "of {answers} requests");
    assert_eq!(page(port).unwrap(), "one\n");
    assert_eq!(world.ids().into_keys().collect::<Vec<_>>(), before.into_keys().collect::<Vec<_>>());
    world.down();
    world.leaves_nothing();
}

#[test]
fn the_old_one_stays_when_the_new_one_does_not_get_well() {
    let port = free_port();
    let world = World::with(&web(port, "one", "order: start-first"));
    world.up_wait();
    eventually("the first page", SOON, || page(port).ok());
    let before = world.ids();
    let broken = web(port, "two", "order: start-first").replace("exec httpd", "exit 3; exec httpd");
    world.write("stack.yml", &broken);
    let up = world.stack(&["up", "-d"]);
    assert!(up.stderr.contains("ended with status 3"), "{up}");
    up.fails(1);
    assert_eq!(page(port).unwrap(), "one\n");
    // Again: still nothing is taken away.
    world.stack(&["up", "-d"]).fails(1);
    assert_eq!(page(port).unwrap(), "one\n");
    let now = world.ids();
    assert!(before.iter().all(|(name, id)| now[name] == *id), "{now:?}");
    // And when it is right, it takes over.
    world.write("stack.yml", &web(port, "two", "order: start-first"));
    world.up();
    assert_eq!(page(port).unwrap(), "two\n");
    assert_eq!(world.ids().len(), 1);
}

#[test]
fn a_definition_that_failed_is_taken_back_by_hand_or_by_itself() {
    let port = free_port();
    let world = World::with(&web(port, "one", "order: start-first"));
    world.stack(&["rollback"]).fails(1);
    world.up_wait();
    eventually("the first page", SOON, || page(port).ok());
    world.stack(&["rollback"]).fails_naming(&["there is no other definition"]);
    world.write("stack.yml", &web(port, "two", "order: start-first"));
    world.up();
    assert_eq!(page(port).unwrap(), "two\n");
    let (answers, failures) = under_load(port, || {
        world.stack(&["rollback", "web"]).ok();
        becomes("the old page", &"one\n".to_owned(), || page(port).unwrap_or_default());
    });
    assert_eq!(failures, Vec::<String>::new(), "of {answers} requests");
    // And forth again: both were good.
    world.stack(&["rollback"]).ok();
    assert_eq!(page(port).unwrap(), "two\n");
    world.stack(&["plan"]).ok();

    let broken =
        web(port, "one", "order: stop-first, failure_action: rollback").replace("exec httpd", "exit 3; exec httpd");
    world.write("stack.yml", &broken);
    let up = world.stack(&["up", "-d"]);
    assert!(up.stderr.contains("ended with status 3") && up.stderr.contains("taken back: web"), "{up}");
    up.fails(1);
    eventually("the good page", SOON, || page(port).ok().filter(|page| page == "two\n"));
    assert_eq!(world.ids().len(), 1);
}

#[test]
fn replicas_are_replaced_batch_by_batch_until_one_fails() {
    let yaml = |command: &str| {
        format!(
            "services: {{app: {{image: busybox, command: {command}, stop_grace_period: 0s,
                deploy: {{replicas: 3, update_config: {{parallelism: 1, monitor: 300ms}}}}}}}}"
        )
    };
    let world = World::with(&yaml("sleep 1000"));
    world.up();
    let first = world.ids();
    world.write("stack.yml", &yaml("sleep 2000"));
    let begin = std::time::Instant::now();
    world.up();
    assert!(begin.elapsed() >= Duration::from_millis(900), "three times the monitored time");
    let second = world.ids();
    assert!(second.iter().all(|(name, id)| first[name] != *id), "{second:?}");
    world.write("stack.yml", &yaml("sh -c 'sleep 0.1; exit 4'"));
    let up = world.stack(&["up", "-d"]);
    assert!(up.stderr.contains("ended with status 4"), "{up}");
    up.fails(1);
    let third = world.ids();
    let replaced = third.iter().filter(|(name, id)| second[*name] != **id).count();
    assert_eq!(replaced, 1, "the rest is left alone: {third:?}");
}

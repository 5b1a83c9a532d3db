//! Starts in simulated time: what listens from when on, and what is found out when.

use super::*;
use crate::spec::fixture;

/// A socket that listens from a moment to another one, in milliseconds.
struct Socket {
    from: u64,
    to: u64,
    port: u16,
    address: &'static str,
    main: bool,
    /// What it answers to its protocol from when on.
    answers: Vec<(u64, Seen)>,
}

fn socket(from: u64, port: u16) -> Socket {
    Socket { from, to: u64::MAX, port, address: "0.0.0.0", main: true, answers: vec![(0, Seen::Welcome)] }
}

fn subject(image: &str, published: &[u16], exposed: &[u16], rule: &str) -> Subject {
    let mut spec = fixture::container();
    spec.image.reference = image.to_owned();
    spec.ready = (!rule.is_empty()).then(|| rule.parse().unwrap());
    Subject { published: published.to_vec(), exposed: exposed.to_vec(), ..Subject::of(&spec) }
}

/// Plays a start and returns when and by which rule it was ready, or that it was not within two minutes.
fn play(subject: Subject, hurry: bool, sockets: &[Socket]) -> (String, usize) {
    let mut watch = Watch::new(subject, Time::default(), hurry);
    let (mut now, mut asked) = (Time::default(), 0);
    while now.0 < Duration::from_secs(120) {
        now = now.max(watch.next());
        let at = u64::try_from(now.0.as_millis()).unwrap();
        let open = || sockets.iter().enumerate().filter(|(_, socket)| (socket.from..socket.to).contains(&at));
        let answer = |port: u16| {
            let socket = open().find(|(_, socket)| socket.port == port).map(|(_, socket)| socket);
            let said = |s: &Socket| s.answers.iter().rev().find(|(from, _)| *from <= at).map(|(_, seen)| seen.clone());
            socket.and_then(said).unwrap_or(Seen::No)
        };
        let seen = match watch.ask() {
            Ask::Look => Seen::Listening(
                open()
                    .map(|(index, s)| Listener {
                        address: s.address.parse().unwrap(),
                        port: s.port,
                        inode: u32::try_from(index).unwrap(),
                        main: s.main,
                    })
                    .collect(),
            ),
            Ask::Greet(listener, _) => answer(listener.port),
            Ask::Connect(port) | Ask::Get(port, _) => answer(port),
        };
        asked += 1;
        if let Some(rule) = watch.seen(&seen, now) {
            return (format!("{at} {rule}"), asked);
        }
    }
    ("never".to_owned(), asked)
}

#[track_caller]
fn check(subject: Subject, sockets: &[Socket], expected: &str) {
    assert_eq!(play(subject, true, sockets).0, expected);
}

#[test]
fn known_servers_greet() {
    check(subject("redis:7", &[], &[6379], ""), &[socket(0, 6379)], "0 redis PING on 6379");
    check(subject("redis:7", &[], &[6379], ""), &[socket(30, 6379)], "40 redis PING on 6379");
    check(subject("mysql", &[], &[3306, 33060], ""), &[socket(0, 33060), socket(0, 3306)], "0 MySQL handshake on 3306");
    check(subject("mongo:7", &[], &[27017], ""), &[socket(0, 27017)], "0 MongoDB hello on 27017");
    check(subject("postgres", &[], &[5432], ""), &[socket(0, 5432)], "0 PostgreSQL SSLRequest on 5432");
    check(subject("me/app", &[8080], &[], ""), &[socket(0, 8080)], "0 HTTP on 8080");
    // By the image's name on another port, as the file says.
    check(subject("a.b/valkey/valkey@sha256:00", &[], &[7000], ""), &[socket(0, 7000)], "0 redis PING on 7000");
}

#[test]
fn a_server_that_is_loading_is_not_ready() {
    let loading = Socket { answers: vec![(0, Seen::Busy), (30_000, Seen::Welcome)], ..socket(0, 6379) };
    let (found, asked) = play(subject("redis", &[], &[6379], ""), true, &[loading]);
    let at: u64 = found.split(' ').next().unwrap().parse().unwrap();
    assert!((30_000..31_000).contains(&at) && asked < 200, "{found}, asked {asked} times");
}

#[test]
fn another_server_than_the_port_promises_is_ready_when_it_listens_for_a_while() {
    let other = Socket { answers: vec![(0, Seen::No)], ..socket(0, 8080) };
    let found = play(subject("me/app", &[8080], &[], ""), true, &[other]).0;
    assert!(found.starts_with("5") && found.ends_with(" port 8080 listens"), "{found}");
    check(subject("me/app", &[], &[], ""), &[socket(20, 7777)], "20 port 7777 listens");
}

#[test]
fn a_process_without_ports_is_ready_after_a_moment_and_one_that_declares_some_later() {
    check(subject("worker", &[], &[], ""), &[], "1000 running");
    check(subject("worker", &[], &[8000], ""), &[], "10000 running");
    check(subject("worker", &[8000], &[], ""), &[], "60000 running");
    check(subject("server", &[8000], &[], ""), &[socket(20_000, 8000)], "20121 HTTP on 8000");
    check(subject("worker", &[], &[], "none"), &[], "1000 running");
}

#[test]
fn what_listens_on_loopback_is_for_itself() {
    let own = |from, to, port| Socket { to, address: "127.0.0.1", ..socket(from, port) };
    check(subject("app", &[], &[], ""), &[own(0, u64::MAX, 9229)], "1000 running");
    // The first start of a MongoDB: a server on loopback that is set up, then the real one.
    let found = play(subject("mongo", &[], &[27017], ""), true, &[own(200, 4000, 27017), socket(4500, 27017)]).0;
    let at: u64 = found.split(' ').next().unwrap().parse().unwrap();
    assert!((4500..5000).contains(&at) && found.ends_with("MongoDB hello on 27017"), "{found}");
}

#[test]
fn a_socket_of_another_process_than_the_main_one_must_stay() {
    let of_child = |from, to| Socket { to, main: false, ..socket(from, 3306) };
    check(subject("mysql", &[], &[3306], ""), &[of_child(0, u64::MAX)], "500 MySQL handshake on 3306");
    // A temporary server of the image's script that lives for 300 ms.
    let found = play(subject("mysql", &[], &[3306], ""), true, &[of_child(100, 400), socket(2000, 3306)]).0;
    let at: u64 = found.split(' ').next().unwrap().parse().unwrap();
    assert!((2000..2250).contains(&at), "{found}");
}

#[test]
fn a_declared_port_comes_before_another_one() {
    check(subject("app", &[], &[8080], ""), &[socket(0, 9100), socket(500, 8080)], "518 HTTP on 8080");
    let found = play(subject("app", &[], &[8080], ""), true, &[socket(0, 9100)]).0;
    assert!(found.starts_with("2") && found.ends_with("port 9100 listens"), "{found}");
    check(subject("app", &[9000], &[80], ""), &[socket(0, 80), socket(0, 9000)], "0 HTTP on 9000");
}

#[test]
fn a_rule_of_the_file_is_the_only_one() {
    check(subject("redis", &[], &[6379], "tcp:7000"), &[socket(0, 6379)], "never");
    check(subject("redis", &[], &[6379], "tcp:7000"), &[socket(0, 6379), socket(100, 7000)], "100 tcp:7000");
    let failing = Socket { answers: vec![(0, Seen::No), (1000, Seen::Welcome)], ..socket(0, 80) };
    let found = play(subject("app", &[], &[], "http:80/ok"), true, &[failing]).0;
    assert!(found.ends_with(" http:80/ok"), "{found}");
}

#[test]
fn nobody_waits_so_nobody_is_in_a_hurry() {
    let quick = || subject("redis", &[], &[6379], "");
    assert_eq!(play(quick(), false, &[socket(0, 6379)]), ("300 redis PING on 6379".to_owned(), 2));
    assert_eq!(play(subject("worker", &[], &[], ""), false, &[]), ("1000 running".to_owned(), 4));
    let mut watch = Watch::new(quick(), Time::default(), false);
    watch.hurry(Time(Duration::from_millis(5)));
    assert_eq!(watch.next(), Time(Duration::from_millis(5)));
}

//! Published ports: who the application sees, every way in, restarts, conflicts.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::*;
use crate::net::publish::{PublishError, Publisher, Upstream};
use crate::spec::{PortRange, Protocol, PublishedPort};

/// A shim: one thread in the host's namespace with a runtime of its own.
struct Shim {
    publisher: Arc<Publisher>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shim {
    fn start(world: &World, guest: &Guest, ports: &[PublishedPort]) -> Self {
        let publisher = Arc::new(within(world.host.as_fd(), || Ok(Publisher::bind(ports).unwrap())));
        let (stop, stopped) = oneshot::channel();
        let upstream = Upstream {
            router_ns: world.router(),
            address: guest.endpoint.address,
            address6: guest.endpoint.address6,
            transparent: guest.endpoint.default_route,
        };
        let (host, served) = (world.host.try_clone().unwrap(), Arc::clone(&publisher));
        let thread = std::thread::spawn(move || {
            nix::sched::setns(host, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    result = served.serve(upstream) => panic!("serving ended: {result:?}"),
                    _ = stopped => {}
                }
            });
        });
        Self { publisher, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn port(protocol: Protocol, host_ip: Option<&str>, host: u16, container: u16) -> PublishedPort {
    PublishedPort {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port: PortRange { start: host, end: host },
        container_port: container,
        protocol,
    }
}

/// An application that answers each connection with the address it saw, then echoes to the end.
fn application(guest: &Guest, address: &str) {
    let listener = within(guest.netns.as_fd(), || TcpListener::bind(address));
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            std::thread::spawn(move || {
                writeln!(stream, "{}", peer.ip()).unwrap();
                std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
            });
        }
    });
}

/// Connects, sends `text`, ends its half and returns the first line and the rest of the answer.
fn call(from: impl AsFd, to: &str, text: &[u8]) -> (String, Vec<u8>) {
    let mut stream = within(from.as_fd(), || TcpStream::connect(to));
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let text = text.to_vec();
    let sender = std::thread::spawn(move || {
        writer.write_all(&text).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    sender.join().unwrap();
    let end = answer.iter().position(|&b| b == b'\n').unwrap();
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 1..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_sees_who_calls() {
    let world = World::new().await;
    let mut spec = network(1);
    spec.ipv6 = Some(("fd77:1::/64".parse().unwrap(), "fd77:1::1".parse().unwrap()));
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    let other = world.guest(&spec, 11, "other").await;
    application(&web, "[::]:80");
    let shim = Shim::start(&world, &web, &[port(Protocol::Tcp, None, 8080, 80)]);
    let bound: Vec<String> = shim.publisher.bound().iter().map(|bound| bound.address.to_string()).collect();
    assert_eq!(bound, ["0.0.0.0:8080", "[::]:8080"]);
    let big: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect();

    let (seen, echo) = call(&world.outside, &format!("{HOST}:8080"), &big);
    assert_eq!(seen, format!("::ffff:{OUTSIDE}"));
    assert_eq!(echo, big);
    let (seen, echo) = call(&world.host, "127.0.0.1:8080", b"hello");
    assert_eq!((seen.as_str(), echo.as_slice()), ("::ffff:10.77.1.1", b"hello".as_slice()));
    let (seen, _) = call(&world.host, "[::1]:8080", b"hello");
    assert_eq!(seen, "fd77:1::1");
    let (seen, _) = call(&world.host, &format!("{HOST}:8080"), b"hello");
    assert_eq!(seen, format!("::ffff:{HOST}"));
    let (seen, _) = call(&world.host, "[2001:db8::1]:8080", b"hello");
    assert_eq!(seen, "2001:db8::1");
    // Hairpin: a container, and the very container, by the host's address.
    let (seen, _) = call(&other.netns, &format!("{HOST}:8080"), b"hello");
    assert_eq!(seen, "::ffff:10.77.1.1");
    let (seen, _) = call(&web.netns, &format!("{HOST}:8080"), b"hello");
    assert_eq!(seen, "::ffff:10.77.1.1");
    drop(shim);
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_an_internal_network_answer_too() {
    let world = World::new().await;
    let mut spec = network(1);
    spec.internal = true;
    world.net.ensure_network(&spec).await.unwrap();
    let db = world.guest(&spec, 10, "db").await;
    application(&db, "0.0.0.0:80");
    let _shim = Shim::start(&world, &db, &[port(Protocol::Tcp, None, 8080, 80)]);
    assert_eq!(call(&world.outside, &format!("{HOST}:8080"), b"x").0, "10.77.1.1");
    // IPv6 clients reach a container without IPv6.
    assert_eq!(call(&world.host, "[::1]:8080", b"x").0, "10.77.1.1");
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_wait_while_the_container_restarts() {
    let world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    let shim = Shim::start(&world, &web, &[port(Protocol::Tcp, Some("127.0.0.1"), 8080, 80)]);
    shim.publisher.set_running(false);
    let host = world.host.try_clone().unwrap();
    let client = std::thread::spawn(move || call(host, "127.0.0.1:8080", b"patient"));
    // Down, then up but not listening, then listening.
    shim.publisher.set_running(true);
    eventually("the client tries", || sh(&world.host, "cat /proc/net/tcp").matches("0100007F:1F90").count() > 2);
    application(&web, "0.0.0.0:80");
    assert_eq!(client.join().unwrap().1, b"patient");
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_both_ways() {
    let world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let dns = world.guest(&spec, 10, "dns").await;
    let server = within(dns.netns.as_fd(), || UdpSocket::bind("0.0.0.0:5353"));
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            let answer = [from.ip().to_string().as_bytes(), b" ", &buffer[..length]].concat();
            server.send_to(&answer, from).unwrap();
        }
    });
    let _shim = Shim::start(&world, &dns, &[port(Protocol::Udp, None, 5300, 5353)]);
    // A second address of the host: the answer must come from where the question went.
    sh(&world.host, "ip addr add 192.0.2.77/24 dev eth0");
    let ask = |from: BorrowedFd<'_>, bind: &str, to: &str, text: &str| {
        let socket = within(from, || UdpSocket::bind(bind));
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send_to(text.as_bytes(), to).unwrap();
        let mut buffer = [0; 2048];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(from, to.parse::<SocketAddr>().unwrap());
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(ask(world.outside.as_fd(), "0.0.0.0:0", "192.0.2.77:5300", "one"), format!("{OUTSIDE} one"));
    assert_eq!(ask(world.host.as_fd(), "0.0.0.0:0", "127.0.0.1:5300", "two"), "10.77.1.1 two");
    assert_eq!(ask(world.host.as_fd(), "[::]:0", "[::1]:5300", "three"), "10.77.1.1 three");
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_with_its_holder() {
    let world = World::new().await;
    let mut child =
        within(world.host.as_fd(), || Command::new("busybox").args(["httpd", "-f", "-p", "127.0.0.1:8080"]).spawn());
    eventually("httpd listens", || sh(&world.host, "cat /proc/net/tcp").contains("0100007F:1F90"));
    let open = |ports: &[PublishedPort]| within(world.host.as_fd(), || Ok(Publisher::bind(ports)));
    let error = open(&[port(Protocol::Tcp, None, 9090, 80), port(Protocol::Tcp, None, 8080, 80)]).unwrap_err();
    let expected = format!(
        "port 8080/tcp on 0.0.0.0 is already in use by pid {} (busybox httpd -f -p 127.0.0.1:8080)",
        child.id()
    );
    assert_eq!(error.to_string(), expected);
    // All or nothing: the first port is free again. A range finds its free port, the same for both families.
    let mut range = port(Protocol::Tcp, None, 9090, 80);
    open(&[range.clone()]).unwrap();
    range.host_port = PortRange { start: 8080, end: 8081 };
    assert_eq!(open(&[range]).unwrap().bound()[1].address.to_string(), "[::]:8081");
    let kernel = open(&[port(Protocol::Udp, None, 0, 80)]).unwrap();
    assert_eq!(kernel.bound()[0].address.port(), kernel.bound()[1].address.port());
    assert_ne!(kernel.bound()[0].address.port(), 0);
    let error = open(&[port(Protocol::Tcp, Some("203.0.113.5"), 80, 80)]).unwrap_err();
    assert!(matches!(error, PublishError::NotLocal { .. }), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
}

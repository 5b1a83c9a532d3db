//! Names, addresses and published ports.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::support::host::own_address;
use crate::support::program::Running;
use crate::support::world::{free_port, get};
use crate::support::{SOON, World, eventually, images};

/// A web server that says where it runs.
const SERVER: &str = "sh -c 'hostname > /www/index.html; exec httpd -f -p 80 -h /www'";

#[test]
fn services_find_each_other_by_name_both_ways() {
    let world = World::with(&format!(
        "
services:
  one: {{image: busybox, command: {SERVER:?}, hostname: first}}
  two: {{image: busybox, command: {SERVER:?}, hostname: second}}
"
    ));
    world.up();
    assert_eq!(eventually_sh(&world, "one", "wget -qO- http://two"), "second");
    assert_eq!(eventually_sh(&world, "two", "wget -qO- http://one"), "first");
    let container = world.container("two");
    assert_eq!(world.sh("one", &format!("wget -qO- http://{container}")), "second", "by container name");
}

#[test]
fn a_name_leads_to_every_replica_and_to_none_that_is_gone() {
    let world = World::with(
        "
services:
  web: {image: busybox, command: sleep 1000, scale: 3, stop_grace_period: 0s}
  client: {image: busybox, command: sleep 1000}
",
    );
    world.up();
    let count = || addresses(&world.sh("client", "nslookup web 127.0.0.11 || true")).len();
    assert_eq!(count(), 3);
    world.stack(&["up", "-d", "--scale", "web=1"]).ok();
    assert_eq!(count(), 1);
}

#[test]
fn aliases_and_static_addresses_work() {
    let world = World::with(
        "
services:
  db:
    image: busybox
    command: sleep 1000
    networks:
      back: {aliases: [database, db.internal], ipv4_address: 10.213.7.40}
  client: {image: busybox, command: sleep 1000, networks: [back]}
networks:
  back: {ipam: {config: [{subnet: 10.213.7.0/24}]}}
",
    );
    world.up();
    assert_eq!(world.address("db"), "10.213.7.40");
    for name in ["db", "database", "db.internal"] {
        let answer = world.sh("client", &format!("nslookup -type=a {name} 127.0.0.11"));
        assert_eq!(addresses(&answer), ["10.213.7.40"], "{name}: {answer}");
    }
}

#[test]
fn networks_are_separate_unless_a_service_joins_both() {
    let world = World::with(&format!(
        "
services:
  left: {{image: busybox, command: {SERVER:?}, networks: [a]}}
  right: {{image: busybox, command: {SERVER:?}, hostname: right, networks: [b]}}
  both: {{image: busybox, command: sleep 1000, networks: [a, b]}}
networks: {{a: , b: }}
"
    ));
    world.up();
    assert_eq!(eventually_sh(&world, "both", "wget -qO- http://right"), "right");
    world.stack(&["exec", "-T", "left", "nslookup", "right", "127.0.0.11"]).fails(1);
    let right = world.address("right");
    let reached = world.stack(&["exec", "-T", "left", "wget", "-T", "1", "-qO-", &format!("http://{right}")]);
    assert_ne!(reached.code, Some(0), "left reached right in another network: {reached}");
}

#[test]
fn published_ports_answer_on_every_address_of_the_host() {
    let port = free_port();
    let world = World::with(&format!(
        "services: {{web: {{image: busybox, command: {SERVER:?}, hostname: web, ports: ['{port}:80']}}}}"
    ));
    world.up();
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    addresses.extend(own_address().map(IpAddr::from));
    for address in addresses {
        let page = eventually(&format!("{address} answers"), SOON, || get(address, port, "/").ok());
        assert_eq!(page, "web\n", "{address}");
    }
    let publishers = world.ps()[0]["Publishers"].clone();
    assert!(
        publishers
            .as_array()
            .is_some_and(|all| all.iter().any(|p| p["PublishedPort"] == port && p["TargetPort"] == 80))
    );
}

#[test]
fn a_port_published_on_loopback_is_only_there() {
    let port = free_port();
    let world = World::with(&format!(
        "services: {{web: {{image: busybox, command: {SERVER:?}, hostname: web, ports: ['127.0.0.1:{port}:80']}}}}"
    ));
    world.up();
    eventually("it answers", SOON, || get(Ipv4Addr::LOCALHOST, port, "/").ok());
    if let Some(address) = own_address() {
        assert!(get(address, port, "/").is_err(), "{address} answers, too");
    }
}

#[test]
fn udp_ports_are_published() {
    let port = free_port();
    // Each datagram goes back to where it came from; the numbers are AF_INET, SOCK_DGRAM and IPPROTO_UDP.
    let echo =
        "socket(S, 2, 2, 17); bind(S, pack('S n x12', 2, 5000)); send(S, $d, 0, $a) while $a = recv(S, $d, 1500, 0)";
    let world = World::with(&format!(
        "services: {{echo: {{image: perl, command: [perl, -e, {echo:?}], ports: ['{port}:5000/udp']}}}}",
        echo = echo.replace('$', "$$")
    ));
    world.import("perl", &images::perl());
    world.up();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answer = [0; 16];
    let length = eventually("the datagram comes back", SOON, || {
        socket.send_to(b"hello", ("127.0.0.1", port)).ok()?;
        socket.recv(&mut answer).ok()
    });
    assert_eq!(&answer[..length], b"hello");
}

#[test]
fn a_published_port_carries_a_megabyte_and_half_closed_streams() {
    let port = free_port();
    let world = World::with(&format!(
        "services: {{count: {{image: busybox, command: nc -ll -p 5000 -e wc -c, ports: ['{port}:5000']}}}}"
    ));
    world.up();
    let answer = eventually("an answer", SOON, || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(&vec![b'x'; 1 << 20]).ok()?;
        stream.shutdown(std::net::Shutdown::Write).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok().filter(|length| *length > 0)?;
        Some(text)
    });
    assert_eq!(answer.trim(), "1048576");
}

#[test]
fn a_port_is_free_once_its_container_has_gone_however_long_its_shim_takes_to_end() {
    let port = free_port();
    let world = World::with(&format!(
        "services: {{web: {{image: busybox, stop_grace_period: 0s, command: {SERVER:?}, ports: ['{port}:80']}}}}"
    ));
    world.up();
    let shim = world.shim("web").to_string();
    let delay = "inject=exit_group:delay_enter=3000000";
    let mut slow = Running::start(std::process::Command::new("strace").args(["-f", "-p", &shim, "-e", delay]));
    slow.line_with("attached");
    world.stack(&["rm", "-sf", "web"]).ok();
    world.up();
    eventually("it answers", SOON, || get(Ipv4Addr::LOCALHOST, port, "/").ok());
}

#[test]
fn a_port_range_gets_a_free_port_and_ps_names_it() {
    let world = World::with(&format!("services: {{web: {{image: busybox, command: {SERVER:?}, ports: ['80']}}}}"));
    world.up();
    let publishers = world.ps()[0]["Publishers"].clone();
    let port = publishers[0]["PublishedPort"].as_u64().expect("a port");
    let port = u16::try_from(port).expect("a port");
    eventually("it answers", SOON, || get(Ipv4Addr::LOCALHOST, port, "/").ok());
}

#[test]
fn containers_know_their_own_name_and_the_loopback() {
    let world = World::with(
        "services: {web: {image: busybox, command: sleep 1000, hostname: box, extra_hosts: ['far:10.9.8.7']}}",
    );
    world.up();
    assert_eq!(world.sh("web", "hostname"), "box");
    assert_eq!(world.sh("web", "cat /etc/hostname"), "box");
    let hosts = world.sh("web", "cat /etc/hosts");
    assert!(hosts.contains("127.0.0.1") && hosts.contains("localhost"), "{hosts}");
    assert!(hosts.contains(&world.address("web")) && hosts.contains("box"), "{hosts}");
    assert!(hosts.contains("10.9.8.7") && hosts.contains("far"), "{hosts}");
    assert!(world.sh("web", "cat /etc/resolv.conf").contains("nameserver 127.0.0.11"));
    assert_eq!(world.sh("web", "ping -c1 -W1 127.0.0.1 >/dev/null && echo up"), "up");
}

#[test]
fn a_service_lives_in_the_network_of_another() {
    let world = World::with(&format!(
        "
services:
  web: {{image: busybox, stop_grace_period: 0s, command: {SERVER:?}}}
  side: {{image: busybox, stop_grace_period: 0s, command: sleep 1000, network_mode: 'service:web'}}
"
    ));
    world.up();
    let page = || world.stack(&["exec", "-T", "side", "wget", "-qO-", "http://127.0.0.1"]);
    eventually("the page on the loopback", SOON, || (page().code == Some(0)).then_some(()));
    assert_eq!(
        world.sh("side", "nslookup web >/dev/null && ip -4 addr show dev eth0"),
        world.sh("web", "ip -4 addr show dev eth0")
    );
    let owner = world.inspect("web")["Id"].as_str().unwrap().to_owned();
    assert_eq!(world.inspect("side")["HostConfig"]["NetworkMode"], format!("container:{owner}"));
    // A new network namespace takes the guest along.
    world.stack(&["restart", "web"]).ok();
    eventually("the page after a restart", SOON, || (page().code == Some(0)).then_some(()));
    world.stack(&["stop", "web"]).ok();
    world.up();
    eventually("the page after a stop", SOON, || (page().code == Some(0)).then_some(()));
}

#[test]
fn network_mode_none_has_only_the_loopback() {
    let world = World::with("services: {web: {image: busybox, command: sleep 1000, network_mode: none}}");
    world.up();
    assert_eq!(world.sh("web", "ls /sys/class/net"), "lo");
}

/// Returns what the script prints once it succeeds: servers take a moment to listen.
#[track_caller]
fn eventually_sh(world: &World, service: &str, script: &str) -> String {
    eventually(script, SOON, || {
        let output = world.stack(&["exec", "-T", service, "sh", "-c", script]);
        (output.code == Some(0)).then(|| output.stdout.trim_end().to_owned())
    })
}

/// Returns the addresses that busybox's nslookup found; its first answer names the server itself.
fn addresses(answer: &str) -> Vec<String> {
    let found = answer.lines().skip_while(|line| !line.starts_with("Name:"));
    found.filter_map(|line| line.strip_prefix("Address")?.rsplit(' ').next().map(str::to_owned)).collect()
}

//! Names: the zone's answers as packets, and forwarding for real.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use super::*;
use crate::net::dns::{Answer, Zone};

fn zone() -> Zone {
    let mut zone = Zone::default();
    let mut add = |number: u8, network: &str, names: &[&str], address6: Option<&str>| {
        let record = Record {
            network: network.into(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            address: Ipv4Addr::new(10, 0, network.len() as u8, number),
            address6: address6.map(|ip| ip.parse().unwrap()),
        };
        zone.set(&ContainerId::from_bytes([number; 32]), Some(vec![record]));
    };
    add(1, "p_front", &["p-web-1", "web", "WWW.example"], Some("fd00::1"));
    add(2, "p_front", &["p-web-2", "web"], None);
    add(3, "p_front", &["p-web-3", "web"], None);
    add(4, "p_back", &["p-db-1", "db"], None);
    zone.set_network(&"p_back".into(), true);
    zone.host = Some(Ipv4Addr::new(10, 252, 0, 1));
    zone
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

/// Shows an answer as `code: data, data`, or `forward`.
fn show(answer: &Answer) -> String {
    let packet = match answer {
        Answer::Reply(packet) => packet,
        Answer::Forward { .. } => return "forward".to_owned(),
        Answer::Ignore => return "ignore".to_owned(),
    };
    let message = Message::from_vec(packet).unwrap();
    assert_eq!(message.metadata.id, 7);
    assert_eq!(message.metadata.message_type, MessageType::Response);
    let data: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
    let cut = if message.metadata.truncation { " (cut)" } else { "" };
    format!("{}: {}{cut}", message.metadata.response_code, data.join(", "))
}

#[test]
fn answers_depend_on_the_networks_of_who_asks() {
    let zone = zone();
    let check = |networks: &[&str], name: &str, kind: RecordType, turn: usize, expected: &str| {
        let client: Vec<NetworkName> = networks.iter().map(|&name| name.into()).collect();
        let answer = show(&zone.answer(&question(name, kind), &client, turn, true));
        assert_eq!(answer, expected, "{kind} {name} from {networks:?}");
    };
    let front = &["p_front"][..];
    check(front, "web.", RecordType::A, 0, "No Error: 10.0.7.1, 10.0.7.2, 10.0.7.3");
    check(front, "WEB", RecordType::AAAA, 0, "No Error: fd00::1");
    check(front, "p-web-2.", RecordType::A, 5, "No Error: 10.0.7.2");
    check(front, "www.example.", RecordType::A, 0, "No Error: 10.0.7.1");
    check(front, "web.p_front.", RecordType::A, 4, "No Error: 10.0.7.2, 10.0.7.3, 10.0.7.1");
    check(front, "web.p_back.", RecordType::A, 0, "forward");
    check(front, "p-web-2.", RecordType::AAAA, 0, "No Error: ");
    check(front, "p-web-2.", RecordType::MX, 0, "No Error: ");
    check(front, "db.", RecordType::A, 0, "forward");
    check(front, "debian.org.", RecordType::A, 0, "forward");
    check(front, "2.7.0.10.in-addr.arpa.", RecordType::PTR, 0, "No Error: p-web-2.p_front.");
    check(front, "4.6.0.10.in-addr.arpa.", RecordType::PTR, 0, "forward");
    check(
        front,
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.",
        RecordType::PTR,
        0,
        "No Error: p-web-1.p_front.",
    );
    check(front, "host.docker.internal.", RecordType::A, 0, "No Error: 10.252.0.1");
    let back = &["p_back"][..];
    check(back, "db.", RecordType::A, 0, "No Error: 10.0.6.4");
    check(back, "web.", RecordType::A, 0, "Non-Existent Domain: ");
    check(back, "host.docker.internal.", RecordType::A, 0, "Non-Existent Domain: ");
    check(&["p_front", "p_back"], "db.", RecordType::A, 0, "No Error: 10.0.6.4");
    check(&["p_front", "p_back"], "debian.org.", RecordType::A, 0, "forward");
    check(&[], "web.", RecordType::A, 0, "Non-Existent Domain: ");
}

#[test]
fn replicas_take_turns_and_leave() {
    let mut zone = zone();
    let client: [NetworkName; 1] = ["p_front".into()];
    let first = |zone: &Zone, turn| show(&zone.answer(&question("web.", RecordType::A), &client, turn, true));
    assert_eq!(first(&zone, 1), "No Error: 10.0.7.2, 10.0.7.3, 10.0.7.1");
    assert_eq!(first(&zone, 2), "No Error: 10.0.7.3, 10.0.7.1, 10.0.7.2");
    zone.set(&ContainerId::from_bytes([2; 32]), None);
    assert_eq!(first(&zone, 0), "No Error: 10.0.7.1, 10.0.7.3");
    zone.set(&ContainerId::from_bytes([1; 32]), Some(Vec::new()));
    zone.set(&ContainerId::from_bytes([3; 32]), None);
    assert_eq!(first(&zone, 0), "forward");
}

#[test]
fn long_answers_are_cut_for_datagrams_only() {
    let mut zone = Zone::default();
    for number in 0..100 {
        let record = Record {
            network: "n".into(),
            names: vec!["web".into()],
            address: Ipv4Addr::new(10, 0, 0, number),
            address6: None,
        };
        zone.set(&ContainerId::from_bytes([number; 32]), Some(vec![record]));
    }
    let packet = question("web.", RecordType::A);
    assert!(show(&zone.answer(&packet, &["n".into()], 0, true)).ends_with("(cut)"));
    assert_eq!(show(&zone.answer(&packet, &["n".into()], 0, false)).matches(',').count(), 99);
}

#[test]
fn what_is_not_a_question_gets_an_error_or_silence() {
    let zone = zone();
    let check = |packet: &[u8], expected: &str| {
        assert_eq!(show(&zone.answer(packet, &["p_front".into()], 0, true)), expected, "{packet:?}");
    };
    check(b"", "ignore");
    check(b"short", "ignore");
    let mut answer = question("web.", RecordType::A);
    answer[2] |= 0x80;
    check(&answer, "ignore");
    let mut notify = question("web.", RecordType::A);
    notify[2] |= 4 << 3;
    check(&notify, "Not Implemented: ");
    let mut two = question("web.", RecordType::A);
    two[5] = 2;
    check(&two, "Form Error: ");
    // A name that points to itself.
    check(&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1], "Form Error: ");
}

proptest! {
    #[test]
    fn no_packet_does_harm(packet in prop::collection::vec(any::<u8>(), 0..600), datagram: bool) {
        let _any = zone().answer(&packet, &["p_front".into()], 0, datagram);
    }

    #[test]
    fn no_damaged_question_does_harm(at in 0usize..60, byte: u8, end in 0usize..60, turn: usize) {
        let mut packet = question("web.p_front.", RecordType::A);
        let length = packet.len();
        packet[at % length] = byte;
        packet.truncate(length - end.min(length));
        if let Answer::Reply(reply) = zone().answer(&packet, &["p_front".into()], turn, true) {
            prop_assert!(reply.len() <= 1232);
            prop_assert!(Message::from_vec(&reply).is_ok());
        }
    }
}

/// A resolver at the outside that answers every question with its own header turned into NXDOMAIN.
fn resolver(world: &World) {
    let (udp, tcp) =
        within(world.outside.as_fd(), || Ok((UdpSocket::bind((OUTSIDE, 53))?, TcpListener::bind((OUTSIDE, 53))?)));
    let reply = |packet: &[u8]| [&packet[..2], &[0x81, 0x83], &packet[4..]].concat();
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&reply(&buffer[..length]), from).unwrap();
        }
    });
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut packet).unwrap();
            stream.write_all(&[&length, reply(&packet).as_slice()].concat()).unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn other_questions_are_asked_from_the_host() {
    let world = World::new().await;
    let (front, mut back) = (network(1), network(2));
    back.internal = true;
    world.net.ensure_network(&front).await.unwrap();
    world.net.ensure_network(&back).await.unwrap();
    let web = world.guest(&front, 10, "web").await;
    let db = world.guest(&back, 11, "db").await;
    let by_udp = |guest: &Guest, name: &str| {
        let socket = within(guest.netns.as_fd(), || UdpSocket::bind("127.0.0.1:0"));
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.send_to(&question(name, RecordType::A), "127.0.0.11:53").unwrap();
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).unwrap();
        Message::from_vec(&buffer[..length]).unwrap().metadata.response_code
    };
    // Nobody answers there yet: the failure is not taken for a fact.
    assert_eq!(by_udp(&web, "debian.org."), ResponseCode::ServFail);
    resolver(&world);
    assert_eq!(by_udp(&web, "debian.org."), ResponseCode::NXDomain);
    assert_eq!(by_udp(&db, "debian.org."), ResponseCode::NXDomain);
    // A container may be a name server itself.
    let own = within(web.netns.as_fd(), || Ok((UdpSocket::bind("0.0.0.0:53")?, TcpListener::bind("0.0.0.0:53")?)));
    assert_eq!(by_udp(&web, "web."), ResponseCode::NoError);
    let ports = |line: &str| line.split(" set ").nth(1).unwrap().parse::<u16>().unwrap();
    let listed = sh(&web.netns, "nft list ruleset");
    let (udp, tcp) =
        (listed.lines().find(|l| l.contains("udp dport set")), listed.lines().find(|l| l.contains("tcp dport set")));
    assert_eq!(listed, crate::net::dns::redirect(ports(udp.unwrap()), ports(tcp.unwrap())).to_string());
    // TCP, twice on one connection: ours and somebody else's.
    let mut stream = within(web.netns.as_fd(), || TcpStream::connect("127.0.0.11:53"));
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for (name, code) in [("web.", ResponseCode::NoError), ("debian.org.", ResponseCode::NXDomain)] {
        let packet = question(name, RecordType::A);
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length, packet.as_slice()].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(Message::from_vec(&answer).unwrap().metadata.response_code, code, "{name}");
    }
    drop(own);
    world.net.teardown().await.unwrap();
}

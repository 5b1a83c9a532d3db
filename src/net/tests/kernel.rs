//! Bridges, endpoints, ruleset, uplink, restart and teardown.

use std::net::{TcpListener, UdpSocket};

use futures_util::future::{join, join_all};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_containers_of_a_network_reach_each_other_by_name() {
    let world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    let db = world.guest(&spec, 11, "db").await;
    sh(&web.netns, "busybox ping -c1 -W2 10.77.1.11");
    let answer = sh(&web.netns, "busybox nslookup db 127.0.0.11");
    assert!(answer.contains("10.77.1.11"), "{answer}");
    let answer = sh(&db.netns, "busybox nslookup WEB.app_net1. 127.0.0.11");
    assert!(answer.contains("10.77.1.10"), "{answer}");
    let links = sh(world.router(), "ip -d -o link show");
    assert!(links.contains("v1-10@") && links.contains("master br1") && links.contains("group 1001"), "{links}");
    assert!(sh(&web.netns, "ip -o addr").contains("10.77.1.10/24"));
    assert!(sh(&web.netns, "ip link show eth0").contains("02:42:0a:4d:01:0a"));
    assert_eq!(
        sh(&web.netns, "ip route"),
        "default via 10.77.1.1 dev eth0 \n10.77.1.0/24 dev eth0 proto kernel scope link src 10.77.1.10 \n"
    );
    assert_eq!(sh(&web.netns, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start").trim(), "0");
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_are_apart_and_internal_ones_have_no_way_out() {
    let world = World::new().await;
    let (front, mut back) = (network(1), network(2));
    back.internal = true;
    world.net.ensure_network(&front).await.unwrap();
    world.net.ensure_network(&back).await.unwrap();
    let web = world.guest(&front, 10, "web").await;
    let db = world.guest(&back, 11, "db").await;
    let peer = world.guest(&back, 12, "peer").await;
    assert!(!try_sh(&web.netns, "busybox ping -c1 -W1 10.77.2.11").0);
    // Even when a container helps itself to a route.
    sh(&db.netns, "ip route add default via 10.77.2.1");
    assert!(!try_sh(&db.netns, "busybox ping -c1 -W1 10.77.1.10").0);
    assert!(!try_sh(&db.netns, &format!("busybox ping -c1 -W1 {OUTSIDE}")).0);
    sh(&db.netns, "busybox ping -c1 -W2 10.77.2.12");
    assert!(!try_sh(&web.netns, "busybox nslookup db 127.0.0.11").1.contains("10.77.2.11"));
    assert!(sh(&peer.netns, "busybox nslookup db 127.0.0.11").contains("10.77.2.11"));
    // A forged source on another network's bridge is not routed.
    sh(&web.netns, "ip addr add 10.77.2.99/32 dev eth0");
    assert!(!try_sh(&web.netns, &format!("busybox ping -c1 -W1 -I 10.77.2.99 {OUTSIDE}")).0);
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_reach_the_outside_through_the_uplink() {
    let world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    sh(&web.netns, &format!("busybox ping -c1 -W2 {OUTSIDE}"));
    // The outside sees the host's address.
    let server = within(world.outside.as_fd(), || TcpListener::bind("192.0.2.9:7000"));
    let client = within(web.netns.as_fd(), || std::net::TcpStream::connect("192.0.2.9:7000"));
    let (_, seen) = server.accept().unwrap();
    assert_eq!(seen.ip().to_string(), HOST);
    drop(client);
    // The host by its name.
    let answer = sh(&web.netns, "busybox nslookup host.docker.internal 127.0.0.11");
    let uplink = sh(&world.host, &format!("ip -o -4 addr show dev {}", world.config.instance));
    let address = uplink.split_whitespace().nth(3).unwrap().split('/').next().unwrap().to_owned();
    assert!(answer.contains(&address), "{answer} {address}");
    sh(&web.netns, &format!("busybox ping -c1 -W2 {address}"));
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rulesets_are_what_nft_shows() {
    let world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let listed = sh(world.router(), "nft list ruleset");
    let without_elements: String =
        listed.lines().filter(|l| !l.contains("elements = ")).map(|l| format!("{l}\n")).collect();
    assert_eq!(without_elements, router::ruleset(&world.config.instance).to_string());
    assert!(listed.contains("elements = { \"br1\" }"), "{listed}");
    assert!(listed.contains("elements = { \"br1\" . \"br1\" }"), "{listed}");
    let uplink = lock(&world.net.inner.uplink).unwrap();
    assert_eq!(sh(&world.host, "nft list ruleset"), uplink::masquerade(&world.config.instance, &uplink).to_string());
    world.net.teardown().await.unwrap();
}

#[test]
fn the_router_ruleset() {
    insta::assert_snapshot!(router::ruleset("stack").to_string().replace('\t', "  "), @r#"
    table inet stack {
      set outbound {
        type ifname
      }

      set bridged {
        type ifname . ifname
      }

      chain prerouting {
        type filter hook prerouting priority mangle; policy accept;
        socket transparent 1 meta mark set 0x00000001 accept
      }

      chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname . oifname @bridged accept
        iifname @outbound oifname "uplink" accept
        reject with icmpx admin-prohibited
      }

      chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "uplink" masquerade
      }
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_leaves_nothing_and_gives_ip_forward_back() {
    let world = World::new().await;
    let links = sh(&world.host, "ip -o link | wc -l");
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let guest = world.guest(&spec, 10, "web").await;
    assert_eq!(sh(&world.host, "cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
    world.net.teardown().await.unwrap();
    world.net.teardown().await.unwrap();
    assert_eq!(sh(&world.host, "cat /proc/sys/net/ipv4/ip_forward").trim(), "0");
    assert_eq!(sh(&world.host, "nft list ruleset"), "");
    eventually("the host's links are as before", || sh(&world.host, "ip -o link | wc -l") == links);
    eventually("the container's link went with the router", || !sh(&guest.netns, "ip -o link").contains("eth0"));
    assert!(!namespace::path(&world.config.instance).exists());
    // And it can begin anew.
    world.net.ensure_network(&spec).await.unwrap();
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_daemon_finds_everything_in_place() {
    let mut world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    let db = world.guest(&spec, 11, "db").await;
    world.net.stop_dns(&web.id);
    world.net = Net::open_on(world.config.clone(), Some(world.host.try_clone().unwrap())).await.unwrap();
    sh(&web.netns, &format!("busybox ping -c1 -W2 10.77.1.11; busybox ping -c1 -W2 {OUTSIDE}"));
    let seen = world.net.observe().await.unwrap();
    let bridge = ObservedBridge { name: "br1".to_owned(), network: Some(spec.name.clone()), group: 1001, up: true };
    assert_eq!(seen.bridges, [bridge]);
    assert_eq!(seen.veths.len(), 2);
    assert!(world.net.used_subnets().await.unwrap().contains(&IpNetwork::V4(spec.subnet)));
    world.net.ensure_network(&spec).await.unwrap();
    world.net.attach(web.netns.as_fd(), &web.endpoint, &spec).await.unwrap();
    world.net.set_records(
        &db.id,
        Some(vec![Record {
            network: spec.name.clone(),
            names: vec!["db".into()],
            address: db.endpoint.address,
            address6: None,
        }]),
    );
    // The old daemon's sockets went with it.
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(err) = world.net.serve_dns(&web.id, web.netns.as_fd(), vec![spec.name.clone()], Vec::new()).await {
        assert!(Instant::now() < deadline, "{err:?}");
    }
    assert!(sh(&web.netns, "busybox nslookup db 127.0.0.11").contains("10.77.1.11"));
    world.net.remove_group(1001).await.unwrap();
    assert_eq!(world.net.observe().await.unwrap(), ObservedNet { uplink: true, ..ObservedNet::default() });
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_bridge_is_repaired_with_its_containers() {
    let world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    let db = world.guest(&spec, 11, "db").await;
    sh(world.router(), "ip link delete br1");
    for guest in [&web, &db] {
        world.net.ensure_network(&spec).await.unwrap();
        world.net.attach(guest.netns.as_fd(), &guest.endpoint, &spec).await.unwrap();
    }
    sh(&web.netns, "busybox ping -c1 -W2 10.77.1.11");
    // A pair whose container is gone gives its name to the next.
    let fresh = world.net.create_namespace().await.unwrap();
    world.net.attach(fresh.as_fd(), &db.endpoint, &spec).await.unwrap();
    sh(&web.netns, "ip neigh flush all; busybox ping -c1 -W2 10.77.1.11");
    world.net.detach(&db.endpoint).await.unwrap();
    world.net.detach(&db.endpoint).await.unwrap();
    world.net.remove_network(&spec.name).await.unwrap();
    world.net.remove_network(&spec.name).await.unwrap();
    assert!(world.net.observe().await.unwrap().bridges.is_empty());
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_are_removed_and_listed_by_many_at_the_same_time() {
    let world = World::new().await;
    let specs = [network(1), network(2)];
    for round in 0..5 {
        for spec in &specs {
            world.net.ensure_network(spec).await.unwrap();
        }
        // Afterwards their bridges' names are not known any more and are looked for, as `down` does.
        for spec in &specs {
            world.net.remove_group(spec.group).await.unwrap();
        }
        let removals = specs.iter().map(|spec| world.net.remove_network(&spec.name));
        let lists = (0..16).map(|_| world.net.observe());
        let (removed, listed) = join(join_all(removals), join_all(lists)).await;
        assert!(removed.iter().all(Result::is_ok), "round {round}: {removed:?}");
        assert!(listed.iter().all(Result::is_ok), "round {round}: {listed:?}");
    }
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_look_at_once() {
    let world = World::new().await;
    for number in 1..=9 {
        world.net.ensure_network(&network(number)).await.unwrap();
    }
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let net = world.net.clone();
        looks.spawn(async move { net.observe().await.map(|seen| seen.bridges.len()) });
    }
    for seen in looks.join_all().await {
        assert_eq!(seen.unwrap(), 9);
    }
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_may_be_a_container() {
    let world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    let resolver = world.guest(&spec, 11, "pihole").await;
    let address = resolver.endpoint.address;
    let socket = run_in(Place::In(resolver.netns.as_fd()), || UdpSocket::bind((address, 53))).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // Answers every question with one address.
    let served = std::thread::spawn(move || {
        let mut packet = [0; 512];
        let (length, from) = socket.recv_from(&mut packet).unwrap();
        let mut answer = packet[..length].to_vec();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 1, 2, 3]);
        socket.send_to(&answer, from).unwrap();
    });
    let networks = vec![spec.name.clone()];
    world.net.serve_dns(&web.id, web.netns.as_fd(), networks, vec![address.into()]).await.unwrap();
    let answer = sh(&web.netns, "busybox nslookup -type=a advertising.example 127.0.0.11");
    assert!(answer.contains("10.1.2.3"), "{answer}");
    served.join().unwrap();
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_works_inside_a_network_at_once() {
    let world = World::new().await;
    let mut spec = network(1);
    spec.ipv6 = Some(("fd77:1::/64".parse().unwrap(), "fd77:1::1".parse().unwrap()));
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    let db = world.guest(&spec, 11, "db").await;
    // No address is tentative: a server can bind it now.
    within(db.netns.as_fd(), || UdpSocket::bind("[fd77:1::b]:9"));
    sh(&web.netns, "busybox ping6 -c1 -W2 fd77:1::b; busybox ping6 -c1 -W2 fd77:1::1");
    assert!(sh(&web.netns, "busybox nslookup -type=AAAA db 127.0.0.11").contains("fd77:1::b"));
    world.net.teardown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_docker_our_packets_are_accepted() {
    let world = World::new().await;
    sh(
        &world.host,
        "iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; iptables-nft -A DOCKER-USER -j RETURN; \
         iptables-nft -A FORWARD -j DOCKER-USER",
    );
    let before = sh(&world.host, "nft list chain ip filter DOCKER-USER");
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    world.net.ensure_network(&network(2)).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    sh(&web.netns, &format!("busybox ping -c1 -W2 {OUTSIDE}"));
    let rules = sh(&world.host, "iptables-nft -S DOCKER-USER");
    assert_eq!(rules.matches(&world.config.instance).count(), 4, "two rules, each with its comment: {rules}");
    world.net.teardown().await.unwrap();
    assert_eq!(sh(&world.host, "nft list chain ip filter DOCKER-USER"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn bridged_packets_pass_where_br_netfilter_shows_them_to_us() {
    let world = World::new().await;
    let spec = network(1);
    world.net.ensure_network(&spec).await.unwrap();
    let web = world.guest(&spec, 10, "web").await;
    let _db = world.guest(&spec, 11, "db").await;
    let (loaded, _) = try_sh(world.router(), "echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables");
    if loaded {
        sh(&web.netns, "busybox ping -c1 -W2 10.77.1.11");
    }
    world.net.teardown().await.unwrap();
}

/// Prints what 50 containers cost; the bound is generous, for a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_containers_are_cheap() {
    let world = World::new().await;
    let spec = network(1);
    let clock = |name: &str, since: (Instant, Duration), count: u32| {
        let (wall, cpu) = (since.0.elapsed() / count, (cpu() - since.1) / count);
        println!("{name}: {wall:?} wall, {cpu:?} cpu");
        wall
    };
    let start = (Instant::now(), cpu());
    world.net.ensure_network(&spec).await.unwrap();
    clock("first network with router and uplink", start, 1);
    let start = (Instant::now(), cpu());
    world.net.ensure_network(&network(2)).await.unwrap();
    clock("second network", start, 1);
    let start = (Instant::now(), cpu());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (net, spec) = (world.net.clone(), spec.clone());
        tasks.spawn(async move {
            let netns = net.create_namespace().await.unwrap();
            net.attach(netns.as_fd(), &endpoint(&spec, 10 + number, 0), &spec).await.unwrap();
            let id = ContainerId::from_bytes([number; 32]);
            net.serve_dns(&id, netns.as_fd(), vec![spec.name.clone()], Vec::new()).await.unwrap();
            netns
        });
    }
    let guests = tasks.join_all().await;
    let each = clock("a container of 50", start, 50);
    assert!(each < Duration::from_millis(50));
    let start = (Instant::now(), cpu());
    world.net.remove_group(1001).await.unwrap();
    clock("removing a container of 50", start, 50);
    drop(guests);
    let start = (Instant::now(), cpu());
    world.net.teardown().await.unwrap();
    clock("teardown", start, 1);
}

/// Processor time of this process, kernel and user.
fn cpu() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let time = |t: nix::sys::time::TimeVal| {
        Duration::from_secs(t.tv_sec().unsigned_abs()) + Duration::from_micros(t.tv_usec().unsigned_abs())
    };
    time(usage.user_time()) + time(usage.system_time())
}

//! Networks, subnets, addresses, ports.

use insta::assert_snapshot;

use super::*;

fn subnets(world: &World) -> String {
    world.observed.networks.iter().map(|n| format!("{} {}", n.spec.name, n.spec.subnet)).collect::<Vec<_>>().join(", ")
}

const STATIC: &str = "{services: {db: {networks: {net: {ipv4_address: 10.5.0.2}}}},
    networks: {net: {ipam: {config: [{subnet: 10.5.0.0/24, gateway: null, ip_range: null}]}}}}";

#[test]
fn subnets_come_from_the_pool_and_avoid_the_host() {
    let mut world = World::new();
    world.host.used_subnets = vec!["172.17.0.0/16".parse().unwrap(), "172.18.5.0/24".parse().unwrap()];
    world.up("{services: {web: {networks: {a: , b: }}}, networks: {a: , b: }}");
    assert_eq!(subnets(&world), "app_a 172.19.0.0/16, app_b 172.20.0.0/16");
    assert_eq!(world.address("app-web-1"), "172.19.0.2 172.20.0.2");
}

#[test]
fn a_pool_that_is_used_up_is_an_error() {
    let mut world = World::new();
    world.host.pool = vec!["172.17.0.0/16".parse().unwrap()];
    assert_snapshot!(world.up("{services: {web: {networks: {a: , b: }}}, networks: {a: , b: }}"), @"error: network app_b gets no subnet: all of the pool are used by routes of the host or by other networks");
}

#[test]
fn the_default_pool_has_room_for_hundreds_of_networks() {
    let pool = default_pool();
    assert!(pool.len() > 800, "{}", pool.len());
    assert_eq!(pool[0].to_string(), "172.17.0.0/16");
    assert_eq!(pool[15].to_string(), "192.168.0.0/20");
    for (i, a) in pool.iter().enumerate() {
        assert!(pool[..i].iter().all(|b| !super::super::addresses::overlap(*a, *b)), "{a}");
    }
}

#[test]
fn subnets_of_the_file_must_be_free_and_sound() {
    let mut world = World::new().with(STATIC);
    let net = |ipam: &str| {
        format!("{{services: {{web: {{networks: {{x: }}}}}}, networks: {{x: {{ipam: {{config: [{{{ipam}}}]}}}}}}}}")
    };
    let mut problems = String::new();
    for ipam in [
        "subnet: 10.5.0.128/25, gateway: null, ip_range: null",
        "subnet: 10.6.0.0/31, gateway: null, ip_range: null",
        "subnet: 10.6.0.0/24, gateway: 10.7.0.1, ip_range: null",
        "subnet: 10.6.0.0/24, gateway: null, ip_range: 10.7.0.0/28",
    ] {
        problems += &world.would(&net(ipam));
    }
    assert_snapshot!(problems, @r"
    error: subnet 10.5.0.128/25 of network app_x overlaps network app_net
    note: containers of services that are not in the file: app-db-1 (--remove-orphans removes them)
    error: network app_x: subnet 10.6.0.0/31 has no room for a gateway and containers
    note: containers of services that are not in the file: app-db-1 (--remove-orphans removes them)
    error: network app_x: gateway 10.7.0.1 is no host address of subnet 10.6.0.0/24
    note: containers of services that are not in the file: app-db-1 (--remove-orphans removes them)
    error: network app_x: ip_range 10.7.0.0/28 is not in subnet 10.6.0.0/24
    note: containers of services that are not in the file: app-db-1 (--remove-orphans removes them)
    ");
}

#[test]
fn ranges_and_gateways_of_the_file_are_used() {
    let mut world = World::new();
    world.up("{services: {web: {networks: {x: }, scale: 2}},
          networks: {x: {ipam: {config: [{subnet: 10.6.0.0/24, gateway: 10.6.0.9, ip_range: 10.6.0.8/29}]}}}}");
    assert_eq!(world.address("app-web-1"), "10.6.0.8");
    assert_eq!(world.address("app-web-2"), "10.6.0.10");
    assert_eq!(world.observed.networks[0].spec.gateway.to_string(), "10.6.0.9");
}

#[test]
fn a_range_without_room_is_an_error() {
    let yaml = "{services: {web: {networks: {x: }, scale: 9}},
        networks: {x: {ipam: {config: [{subnet: 10.6.0.0/24, gateway: null, ip_range: 10.6.0.8/29}]}}}}";
    assert_snapshot!(World::new().up(yaml), @"error: network app_x has no free address left in 10.6.0.8/29");
}

#[test]
fn static_addresses_are_reserved_before_others_choose() {
    let mut world = World::new();
    world.up("{services: {a: {networks: {net: }}, b: {networks: {net: {ipv4_address: 10.5.0.2}}}},
          networks: {net: {ipam: {config: [{subnet: 10.5.0.0/24, gateway: null, ip_range: null}]}}}}");
    assert_eq!(world.address("app-b-1"), "10.5.0.2");
    assert_eq!(world.address("app-a-1"), "10.5.0.3");
}

#[test]
fn static_addresses_outside_or_twice_are_errors() {
    let mut world = World::new();
    let yaml = "{services: {a: {networks: {net: {ipv4_address: 10.5.0.2}}},
          b: {networks: {net: {ipv4_address: 10.5.0.2}}},
          c: {networks: {net: {ipv4_address: 10.9.0.2}}},
          d: {scale: 2, networks: {net: {ipv4_address: 10.5.0.4}}},
          e: {networks: {net: {ipv4_address: 10.5.0.1}}}},
          networks: {net: {ipam: {config: [{subnet: 10.5.0.0/24, gateway: null, ip_range: null}]}}}}";
    assert_snapshot!(world.up(yaml), @r"
    error: address 10.5.0.2 of service b on network app_net is taken by app-a-1
    error: address 10.9.0.2 of service c is not in subnet 10.5.0.0/24 of network app_net
    error: address 10.5.0.4 of service d on network app_net is taken by app-d-1
    error: address 10.5.0.1 of service e on network app_net is taken by the gateway
    ");
}

#[test]
fn who_has_a_static_address_by_chance_gives_it_up() {
    let net = "networks: {net: {ipam: {config: [{subnet: 10.5.0.0/24, gateway: null, ip_range: null}]}}}";
    let mut world = World::new().with(&format!("{{services: {{a: {{networks: {{net: }}}}}}, {net}}}"));
    assert_eq!(world.address("app-a-1"), "10.5.0.2");
    let yaml = format!(
        "{{services: {{a: {{networks: {{net: }}}}, b: {{networks: {{net: {{ipv4_address: 10.5.0.2}}}}}}}}, {net}}}"
    );
    assert_snapshot!(world.up(&yaml), @r"
    [] -> #1 a/1 stop-container (its address is needed by b)
    [1] -> #2 a/1 remove-container (its address is needed by b)
    [2] -> #3 a/1 create-container (its address is needed by b)
    [2] -> #4 b/1 create-container (missing)
    [3] -> #5 a/1 start-container (its address is needed by b)
    [4] -> #6 b/1 start-container (missing)
    ");
    assert_eq!(world.address("app-b-1"), "10.5.0.2");
    assert_eq!(world.address("app-a-1"), "10.5.0.3");
}

#[test]
fn static_addresses_can_be_swapped() {
    let yaml = |a, b| {
        format!(
            "{{services: {{a: {{networks: {{net: {{ipv4_address: 10.5.0.{a}}}}}}},
              b: {{networks: {{net: {{ipv4_address: 10.5.0.{b}}}}}}}}},
              networks: {{net: {{ipam: {{config: [{{subnet: 10.5.0.0/24, gateway: null, ip_range: null}}]}}}}}}}}"
        )
    };
    let mut world = World::new().with(&yaml(2, 3));
    assert!(!world.up(&yaml(3, 2)).contains("error"));
    assert_eq!((world.address("app-a-1"), world.address("app-b-1")), ("10.5.0.3".into(), "10.5.0.2".into()));
}

#[test]
fn a_changed_network_is_made_anew_with_its_containers() {
    let mut world = World::new().with("{services: {web: , other: {networks: {x: }}}, networks: {x: }}");
    let before = world.address("app-web-1");
    let yaml = "{services: {web: , other: {networks: {x: }}}, networks: {x: , default: {internal: true}}}";
    assert_snapshot!(world.up(yaml), @r"
    [] -> #1 web/1 stop-container (network app_default changed)
    [1] -> #2 web/1 remove-container (network app_default changed)
    [2] -> #3 network app_default remove-network (network app_default changed)
    [3] -> #4 network app_default ensure-network (network app_default changed)
    [2,4] -> #5 web/1 create-container (network app_default changed)
    [5] -> #6 web/1 start-container (network app_default changed)
    ");
    assert_eq!(world.address("app-web-1"), before);
    let yaml = "{services: {web: , other: {networks: {x: }}},
        networks: {x: , default: {ipam: {config: [{subnet: 10.9.0.0/24, gateway: null, ip_range: null}]}}}}";
    world.up(yaml);
    assert_eq!(world.address("app-web-1"), "10.9.0.2");
}

#[test]
fn a_changed_network_stays_while_others_use_it() {
    let mut world = World::new().with("services: {web: , db: }");
    world.wishes.services = vec!["web"];
    assert_snapshot!(world.up("{services: {web: , db: }, networks: {default: {internal: true}}}"), @"note: network app_default has changed in the file but app-db-1 still uses it; it is kept as it is");
}

#[test]
fn a_lost_bridge_comes_back() {
    let mut world = World::new().with("services: {web: , db: }");
    world.observed.networks[0].alive = false;
    world.container("app-web-1").state = ContainerState::Exited(255);
    assert_snapshot!(world.up("services: {web: , db: }"), @r"
    [] -> #1 db/1 stop-container (network app_default changed)
    [1] -> #2 db/1 remove-container (network app_default changed)
    [] -> #3 network app_default ensure-network (bridge is gone)
    [2,3] -> #4 db/1 create-container (network app_default changed)
    [3] -> #5 web/1 start-container (not running)
    [4] -> #6 db/1 start-container (network app_default changed)
    ");
}

#[test]
fn external_networks_must_exist() {
    let yaml = "{services: {web: {networks: {x: }}}, networks: {x: {external: true, name: shared}}}";
    let mut world = World::new();
    assert_snapshot!(world.up(yaml), @"error: network shared is declared as external and does not exist");
    let mut other = project("{services: {a: {networks: {x: }}}, networks: {x: {name: shared}}}");
    other.name = "other".into();
    let plan = world.plan_project(&other);
    fake::apply(&plan, &mut world.observed);
    assert_snapshot!(world.up(yaml), @r"
    [] -> #1 web/1 create-container (missing)
    [1] -> #2 web/1 start-container (missing)
    ");
    assert_eq!(world.address("app-web-1"), "172.17.0.3");
}

#[test]
fn a_network_of_somebody_else_is_used_and_reported() {
    let mut world = World::new();
    let mut other = project("{services: {a: {networks: {x: }}}, networks: {x: {name: shared}}}");
    other.name = "other".into();
    let plan = world.plan_project(&other);
    fake::apply(&plan, &mut world.observed);
    assert_snapshot!(world.up("{services: {web: {networks: {x: }}}, networks: {x: {name: shared, internal: true}}}"), @r"
    [] -> #1 web/1 create-container (missing)
    [1] -> #2 web/1 start-container (missing)
    note: network shared was not made by this project; it is used as it is (external: true says so)
    ");
}

#[test]
fn networks_and_volumes_carry_composes_labels() {
    let kind = "kind: {type: volume, source: data, nocopy: false, subpath: null}";
    let yaml = format!(
        "{{services: {{db: {{volumes: [{{target: /data, read_only: false, {kind}}}]}}}}, volumes: {{data: {{labels: {{mine: x}}}}}}}}"
    );
    let plan = World::new().plan(&yaml);
    let labels = plan.steps.iter().filter_map(|step| match &step.op {
        Op::EnsureNetwork(spec) => Some(&spec.labels),
        Op::EnsureVolume(spec) => Some(&spec.labels),
        _ => None,
    });
    let shown: Vec<String> = labels
        .flatten()
        .filter(|(key, _)| *key != super::super::labels::CONFIG_HASH)
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_snapshot!(shown.join("\n"), @r"
    com.docker.compose.network=default
    com.docker.compose.project=app
    com.docker.compose.version=0.1.0
    com.docker.compose.project=app
    com.docker.compose.version=0.1.0
    com.docker.compose.volume=data
    mine=x
    ");
}

#[test]
fn an_external_volume_must_exist() {
    let kind = "kind: {type: volume, source: data, nocopy: false, subpath: null}";
    let yaml = format!(
        "{{services: {{db: {{volumes: [{{target: /data, read_only: false, {kind}}}]}}}}, volumes: {{data: {{external: true, name: ours}}}}}}"
    );
    assert_snapshot!(World::new().up(&yaml), @"error: volume ours is declared as external and does not exist");
}

#[test]
fn drivers_that_are_not_there_are_errors() {
    assert_snapshot!(World::new().up("{services: {web: {networks: {x: }}}, networks: {x: {driver: macvlan}}}"), @r#"
    error: network app_x asks for driver "macvlan", which is not supported; use bridge
    "#);
}

#[test]
fn a_bridge_has_1023_ports() {
    assert_snapshot!(World::new().up("services: {web: {scale: 1024}}"), @"error: network app_default would have 1024 containers; a bridge has room for 1023");
    let plan = World::new().plan("services: {web: {scale: 1023}}");
    assert!(plan.errors.is_empty());
}

#[test]
fn ports_that_two_containers_want_are_errors() {
    let port = |published: &str, ip: &str, protocol: &str| {
        format!("ports: [{{target: 80, published: {published}, host_ip: {ip}, protocol: {protocol}}}]")
    };
    let one = port("{start: 8080, end: 8080}", "null", "tcp");
    let mut world = World::new().with(&format!("services: {{a: {{{one}}}}}"));
    let local = port("{start: 8080, end: 8080}", "127.0.0.1", "tcp");
    let udp = port("{start: 8080, end: 8080}", "null", "udp");
    let range = port("{start: 8080, end: 8090}", "null", "tcp");
    let any = port("null", "null", "tcp");
    let yaml = format!(
        "services: {{a: {{{one}}}, b: {{{local}}}, c: {{{udp}}}, d: {{{range}, scale: 2}}, e: {{{any}, scale: 2}}}}"
    );
    assert_snapshot!(world.up(&yaml), @"error: port 127.0.0.1:8080/tcp of service b is published by container app-a-1 already");
    assert_snapshot!(World::new().up(&format!("services: {{a: {{{one}, scale: 2}}}}")), @"error: port 8080/tcp of service a is published by container app-a-1 already");
    // The container that is made anew gives its port to its successor.
    assert!(!world.up(&format!("services: {{a: {{{one}, tty: true}}}}")).contains("error"));
}

#[test]
fn container_names_are_unique_on_the_engine() {
    let mut world = World::new();
    let mut other = project("services: {a: {container_name: db}}");
    other.name = "other".into();
    let plan = world.plan_project(&other);
    fake::apply(&plan, &mut world.observed);
    let mut problems = String::new();
    for yaml in [
        "services: {b: {container_name: mine}, c: {container_name: mine}}",
        "services: {b: {container_name: mine, scale: 2}}",
        "services: {b: {container_name: app-c-1}, c: }",
    ] {
        problems += &world.would(yaml);
    }
    assert_snapshot!(problems, @r#"
    error: the container name "mine" of service c is taken by another service
    note: network app_default was not made by this project; it is used as it is (external: true says so)
    error: service b has a container_name and so can have one replica only
    note: network app_default was not made by this project; it is used as it is (external: true says so)
    error: the container name "app-c-1" of service c is taken by another service
    note: network app_default was not made by this project; it is used as it is (external: true says so)
    "#);
    assert!(
        world
            .would("services: {b: {container_name: db}}")
            .starts_with("error: the container name \"db\" of service b is taken")
    );
}

#[test]
fn a_project_has_one_device_group() {
    let mut world = World::new().with("{services: {web: {networks: {a: , b: }}}, networks: {a: , b: }}");
    world.up("{services: {web: {networks: {a: , b: , c: }}}, networks: {a: , b: , c: }}");
    let groups: Vec<_> = world.observed.networks.iter().map(|network| network.spec.group).collect();
    assert!(groups.iter().all(|group| *group == groups[0] && *group > 0xffff), "{groups:?}");
}

#[test]
fn names_of_links_fit() {
    let mut world = World::new().with("services: {web: {scale: 3}}");
    let network = &world.observed.networks[0].spec;
    assert_eq!(network.bridge, format!("br-{}", &network.id[..12]));
    let veth = world.spec("app-web-1").endpoints[0].veth.clone();
    assert_eq!(veth.len(), 15);
}

#[test]
fn ipv6_addresses_go_with_the_ipv4_ones() {
    let mut world = World::new().with("{services: {web: }, networks: {default: {enable_ipv6: true}}}");
    let (subnet, gateway) = world.observed.networks[0].spec.ipv6.unwrap();
    assert!(subnet.network().segments()[0] & 0xff00 == 0xfd00 && subnet.contains(gateway));
    let address = world.spec("app-web-1").endpoints[0].address6.unwrap();
    assert!(subnet.contains(address) && address.to_string().ends_with("ac11:2"), "{address}");
}

#[test]
fn ipv6_addresses_of_the_file_are_used() {
    let yaml = "{services: {web: {networks: {x: {ipv6_address: 'fd00:5::10'}}}},
        networks: {x: {enable_ipv6: true, ipam: {config: [{subnet: 'fd00:5::/64', gateway: 'fd00:5::9', ip_range: null}]}}}}";
    let mut world = World::new().with(yaml);
    let (subnet, gateway) = world.observed.networks[0].spec.ipv6.unwrap();
    assert_eq!((subnet.to_string(), gateway.to_string()), ("fd00:5::/64".into(), "fd00:5::9".into()));
    assert_eq!(world.spec("app-web-1").endpoints[0].address6.unwrap().to_string(), "fd00:5::10");
}

#[test]
fn an_interface_has_the_name_of_the_file() {
    let mut world =
        World::new().with("{services: {web: {networks: {a: {interface_name: lan0}, b: }}}, networks: {a: , b: }}");
    let names: Vec<_> = world.spec("app-web-1").endpoints.iter().map(|e| e.interface.clone()).collect();
    assert_eq!(names, ["lan0", "eth1"]);
}

#[test]
fn a_network_has_the_labels_of_the_file() {
    let world = World::new().with("{services: {web: }, networks: {default: {labels: {mine: x}}}}");
    let labels = &world.observed.networks[0].spec.labels;
    assert_eq!((labels["mine"].as_str(), labels[super::super::labels::PROJECT].as_str()), ("x", "app"));
}

#[test]
fn a_volume_has_the_labels_of_the_file() {
    let kind = "kind: {type: volume, source: data, nocopy: false, subpath: null}";
    let world = World::new().with(&format!(
        "{{services: {{db: {{volumes: [{{target: /data, read_only: false, {kind}}}]}}}}, volumes: {{data: {{labels: {{mine: x}}}}}}}}"
    ));
    let labels = &world.observed.volumes[0].labels;
    assert_eq!((labels["mine"].as_str(), labels[super::super::labels::PROJECT].as_str()), ("x", "app"));
}

#[test]
fn a_network_has_the_mtu_of_the_file() {
    let world = World::new()
        .with("{services: {web: }, networks: {default: {driver_opts: {com.docker.network.driver.mtu: '1400'}}}}");
    assert_eq!(world.observed.networks[0].spec.mtu, Some(1400));
}

#[test]
fn endpoints_are_ordered_by_priority_and_route_by_gw_priority() {
    let yaml = "{services: {web: {hostname: www, networks: {
          a: {aliases: [one, web]}, b: {priority: 5}, c: {gw_priority: 1, mac_address: '02:00:00:00:00:01'}, d: {gw_priority: 9}}}},
        networks: {a: , b: , c: , d: {internal: true}}}";
    let mut world = World::new().with(yaml);
    let shown: Vec<_> = world
        .spec("app-web-1")
        .endpoints
        .iter()
        .map(|e| format!("{} {} {:02x?} {:?} {}", e.network, e.interface, e.mac, e.aliases, e.default_route))
        .collect();
    assert_snapshot!(shown.join("\n"), @r#"
    app_b eth0 [02, 42, ac, 12, 00, 02] ["web", "www"] false
    app_a eth1 [02, 42, ac, 11, 00, 02] ["web", "one", "www"] false
    app_c eth2 [02, 00, 00, 00, 00, 01] ["web", "www"] true
    app_d eth3 [02, 42, ac, 14, 00, 02] ["web", "www"] false
    "#);
}

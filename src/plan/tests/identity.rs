//! Hashes of definitions: what is in force counts, nothing else does, and they stay what they
//! are from version to version, since each change makes everybody's containers anew.

use super::super::hash;
use crate::compose::model::Project;

/// Every attribute that containers are made from.
const EVERYTHING: &str = r#"
name: app
services:
  db: {image: img, network_mode: none}
  api:
    image: img
    command: [a, "b c"]
    entrypoint: [sh, -c]
    environment: {A: "1", B: ""}
    ports: ["8080:80", "127.0.0.1:9000-9001:90/udp", "70"]
    expose: ["99", "100-101/udp"]
    volumes:
      - /anonymous
      - data:/data:ro
      - {type: volume, source: data, target: /sub, volume: {nocopy: true, subpath: a/b}}
      - {type: bind, source: /tmp, target: /tmp, bind: {propagation: rslave, create_host_path: false}}
      - {type: bind, source: /srv, target: /srv}
      - {type: tmpfs, target: /cache, tmpfs: {size: 64m, mode: 0o1777}}
    tmpfs: ["/run:size=1m,mode=755,noexec", /plain]
    networks:
      default:
      front:
        aliases: [one, two]
        ipv4_address: 10.5.0.9
        ipv6_address: fd00::9
        mac_address: 02:42:ac:11:65:43
        priority: 10
        gw_priority: 20
        interface_name: lan0
    links: [db, "db:other"]
    healthcheck: {test: [CMD, ok], interval: 1m30s, timeout: 1500ms, retries: 4, start_period: 5s, start_interval: 1s}
    restart: on-failure:3
    labels: {a: b}
    annotations: {c: d}
    hostname: host
    domainname: domain
    container_name: mine
    user: "1000:1000"
    group_add: [wheel, 7]
    working_dir: /work
    stop_signal: SIGINT
    stop_grace_period: 20s
    init: true
    tty: true
    stdin_open: true
    read_only: true
    privileged: true
    cap_add: [net_admin]
    cap_drop: [CAP_CHOWN]
    security_opt: ["no-new-privileges:true"]
    mem_limit: 512m
    mem_reservation: 256m
    memswap_limit: 1g
    cpus: 1.5
    cpu_shares: 512
    cpuset: "0"
    pids_limit: 100
    oom_score_adj: -5
    ulimits: {nofile: 1024, nproc: {soft: 1, hard: 2}}
    sysctls: {net.core.somaxconn: 1024}
    shm_size: 32m
    extra_hosts: ["a=10.0.0.1", "b=host-gateway"]
    dns: [10.0.0.53]
    dns_search: [example.org]
    dns_opt: ["ndots:1"]
networks:
  front:
    driver_opts: {com.docker.network.driver.mtu: 1400}
    enable_ipv6: true
    internal: true
    ipam: {config: [{subnet: 10.5.0.0/16, gateway: 10.5.0.1, ip_range: 10.5.1.0/24}, {subnet: "fd00::/64"}]}
    labels: {a: b}
volumes:
  data: {driver_opts: {type: none, o: bind, device: /srv}, labels: {c: d}}
"#;

fn load(yaml: &str) -> Project {
    let options = crate::compose::LoadOptions {
        cwd: "/".into(),
        files: vec!["-".into()],
        stdin: Some(yaml.into()),
        ..Default::default()
    };
    let loaded = crate::compose::load(&options);
    let messages: Vec<_> = loaded.diagnostics.iter().map(|d| d.message.clone()).collect();
    let project = loaded.project.unwrap_or_else(|| panic!("{messages:?}"));
    let errors: Vec<_> = loaded.unsupported.iter().filter(|d| d.severity == crate::diag::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    project
}

#[test]
fn hashes_stay_what_they_are() {
    let project = load(EVERYTHING);
    let short = |hash: String| hash[..16].to_owned();
    assert_eq!(short(hash::service(&project.services["api"])), "f469763f0b25072d");
    assert_eq!(short(hash::service(&project.services["db"])), "35412ef43e1572d5");
    assert_eq!(short(hash::network(&project.networks["front"])), "ca0807ec789bb9d2");
    assert_eq!(short(hash::network(&project.networks["default"])), "45e14502475e4b2f");
    assert_eq!(short(hash::volume(&project.volumes["data"])), "5f7fc34c8b0eb06c");
}

#[test]
fn what_is_not_in_force_makes_nothing_anew() {
    let hash = |attributes: &str| {
        let text = format!(
            "name: app\nservices: {{b: {{image: img, build: .}}, a: {{image: img, {attributes}}}}}\n\
             secrets: {{s: {{environment: HOME}}}}\nconfigs: {{c: {{content: x}}}}\nmodels: {{m: {{model: x}}}}\n"
        );
        hash::service(&load(&text).services["a"])
    };
    let plain = hash("");
    let others = [
        "build: {context: ., args: {A: b}, labels: {a: b}, tags: ['img:2']}",
        "develop: {watch: [{path: ., action: rebuild}]}",
        "pull_policy: daily, pull_refresh_after: 5m, platform: linux/amd64, runtime: runc",
        "scale: 2, profiles: [], attach: false, depends_on: [b]",
        "deploy: {mode: global, endpoint_mode: vip, replicas: 1, labels: {a: b}}",
        "deploy: {update_config: {parallelism: 2}, rollback_config: {order: stop-first}, placement: {constraints: [x]}}",
        "deploy: {resources: {reservations: {cpus: 1, devices: [{capabilities: [gpu]}]}}}",
        "pre_start: [{command: a}], post_start: [{command: a}], pre_stop: [{command: a}]",
        "secrets: [s], configs: [c], models: [m], use_api_socket: true",
        "devices: ['/dev/null'], device_cgroup_rules: ['c 1:3 r'], gpus: all, blkio_config: {weight: 300}",
        "ipc: host, pid: host, uts: host, userns_mode: host, cgroup: host, cgroup_parent: x",
        "cpu_quota: 50000, cpu_period: 100000, cpu_count: 1, cpu_percent: 50, mem_swappiness: 1, oom_kill_disable: true",
        "logging: {driver: local}, storage_opt: {size: 1g}, isolation: default, credential_spec: {file: x}",
        "external_links: [x], volumes: [{type: image, source: img, target: /x}]",
        "networks: {default: {link_local_ips: [169.254.1.1], driver_opts: {a: b}}}",
    ];
    for other in others {
        assert_eq!(hash(other), plain, "{other}");
    }
    let port = "ports: [{target: 80, mode: host, name: web, app_protocol: http}]";
    assert_eq!(hash(port), hash("ports: [80]"));
    let mount = |more: &str| hash(&format!("volumes: [{{type: bind, source: /a, target: /a, {more}}}]"));
    assert_eq!(mount("consistency: cached, bind: {selinux: z, recursive: disabled}"), mount(""));
}

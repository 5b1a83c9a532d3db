//! What is only told when the project runs.

use super::super::{config, diagnose_running};

#[test]
fn what_is_not_in_force() {
    let text = r#"services:
  a:
    image: x
    build: .
    gpus: all
    devices: [/dev/a]
    platform: linux/arm64
    logging: {driver: syslog}
    security_opt: ['no-new-privileges:true', 'label:user:u']
    deploy: {placement: {constraints: [a]}, mode: replicated}
    secrets: [s]
    network_mode: bridge
  b: {image: x, platform: linux/arm64}
secrets: {s: {file: ./s}}
"#;
    insta::assert_snapshot!(diagnose_running(text), @r"
    stack.yml:4:5 `build` warning: `services.a.build` is not in force yet: the image must exist
    stack.yml:5:5 `gpus` warning: `services.*.gpus` is ignored: the engine does not act on it yet
    stack.yml:6:5 `devices` warning: `services.*.devices` is ignored: the engine does not act on it yet
    stack.yml:7:5 `platform` warning: `services.*.platform` is ignored: the image's own platform is run (used 2 times)
    stack.yml:8:23 `syslog` warning: the log driver syslog is not in force yet
        logs are written as json-file; `stack logs` shows them
    stack.yml:9:46 `'label:user:u'` warning: `security_opt: label:user:u` is not in force yet
    stack.yml:10:26 `constraints` warning: `services.*.deploy.placement.constraints` is ignored: there is one machine, so nothing is placed
    stack.yml:11:5 `secrets` warning: `services.*.secrets` is ignored: secrets are not mounted yet
    stack.yml:12:5 `network_mode` warning: there is no common bridge: the service `a` is put on the project's default network
        remove `network_mode`
    ");
}

#[test]
fn names_that_no_image_or_container_can_have() {
    let text = "services:\n  a: {image: Redis, container_name: a b}\n  b: {image: 'x:y z'}\n  c: {image: 'oci:dir', container_name: c.1}\n";
    let said = diagnose_running(text);
    for expected in [
        "stack.yml:2:14 `Redis` error: \"Redis\" is not the name of an image: ",
        "stack.yml:2:37 `a b` error: \"a b\" is not a container name: ",
        "stack.yml:3:14 `'x:y z'` error: \"x:y z\" is not the name of an image: ",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(!said.contains("stack.yml:4"), "{said}");
}

#[test]
fn what_cannot_run() {
    let text = r#"services:
  a: {build: .}
  c: {image: x, restart: sometimes, stop_signal: SIGFOO, dns: [here]}
  e: {image: x, cap_add: [cap_sys_nice, NOPE], cap_drop: [all]}
  d: {image: x, networks: {n: {ipv4_address: 1.2.3}}, ports: ['53:53/sctp'], tmpfs: ['/x:size=big']}
networks: {n: {ipam: {config: [{subnet: 10.0.0.0/99}]}}}
"#;
    insta::assert_snapshot!(diagnose_running(text), @r#"
    stack.yml:2:7 `build` error: the service `a` has to be built, which is not possible yet
        build the image elsewhere and name it with `image`
    stack.yml:3:26 `sometimes` error: "sometimes" is not a restart policy: no, always, on-failure[:N] or unless-stopped
    stack.yml:3:50 `SIGFOO` error: "SIGFOO" is not a signal
        write a name as SIGTERM, or a number
    stack.yml:3:64 `here` error: "here" is not an IP address
    stack.yml:4:41 `NOPE` error: "NOPE" is not a capability
        write a name of capabilities(7), as NET_ADMIN or SYS_PTRACE, or ALL
    stack.yml:5:46 `1.2.3` error: "1.2.3" is not an IPv4 address
    stack.yml:5:63 `'53:53/sctp'` error: ports of the protocol "sctp" cannot be published: only tcp and udp
    stack.yml:5:86 `'/x:size=big'` error: "big" is not a size
    stack.yml:6:41 `10.0.0.0/99` error: "10.0.0.0/99" is not a subnet such as 10.5.0.0/16
    "#);
}

#[test]
fn what_has_no_meaning_on_one_machine() {
    let text = r#"services:
  a:
    image: x
    deploy: {endpoint_mode: vip, rollback_config: {delay: 1s}, resources: {reservations: {generic_resources: []}}}
    volumes: [{type: npipe, source: p, target: /p}]
    isolation: hyperv
    credential_spec: {file: f}
    oom_kill_disable: true
    cpu_rt_period: 5
    use_api_socket: true
    secrets: [s]
    configs: [c]
    networks: [n]
    models: [m]
    ports: [{target: 80, mode: host}]
  b: {image: x, deploy: {endpoint_mode: dnsrr}, isolation: default}
networks: {n: {driver: overlay, attachable: true}}
secrets: {s: {file: s, driver: vault, driver_opts: {a: b}, template_driver: t}}
configs: {c: {file: ./c, template_driver: t}}
models: {m: {model: ai/m}}
"#;
    insta::assert_snapshot!(diagnose_running(text), @r"
    stack.yml:4:14 `endpoint_mode` warning: `services.*.deploy.endpoint_mode` is ignored: names resolve to the containers themselves
    stack.yml:5:15 `{type: npipe, source: p, target: /p}` warning: mounts of the type npipe are ignored: there are none on one Linux machine
        this mount is left out
    stack.yml:6:5 `isolation` warning: `services.*.isolation` is ignored: it only has a meaning on Windows
    stack.yml:7:5 `credential_spec` warning: `services.*.credential_spec` is ignored: it only has a meaning on Windows
    stack.yml:8:5 `oom_kill_disable` warning: `services.*.oom_kill_disable` is ignored: cgroup v2 has no such switch
    stack.yml:9:5 `cpu_rt_period` warning: `services.*.cpu_rt_period` is ignored: the kernel has no realtime group scheduling on cgroup v2
    stack.yml:10:5 `use_api_socket` warning: `services.*.use_api_socket` is ignored: there is no Docker socket
    stack.yml:11:5 `secrets` warning: `services.*.secrets` is ignored: secrets are not mounted yet
    stack.yml:12:5 `configs` warning: `services.*.configs` is ignored: configs are not mounted yet
    stack.yml:14:5 `models` warning: `services.*.models` is ignored: there is no model runner
    stack.yml:17:24 `overlay` warning: the network driver overlay is not in force: `n` is a bridge on this machine
    stack.yml:18:24 `driver` warning: `secrets.*.driver` is ignored: there are no drivers for secrets
    stack.yml:18:39 `driver_opts` warning: `secrets.*.driver_opts` is ignored: there are no drivers for secrets
    stack.yml:18:60 `template_driver` warning: `secrets.*.template_driver` is ignored: nothing fills in templates
    stack.yml:19:26 `template_driver` warning: `configs.*.template_driver` is ignored: nothing fills in templates
    stack.yml:20:1 `models` warning: `models` is ignored: there is no model runner
    ");
}

#[test]
fn more_replicas_than_a_machine_can_have() {
    // What is printed stays what the file says.
    let text = "services:\n  a: {image: x, scale: 1000000000}\n  b: {image: x, deploy: {replicas: 5000000000}}\n";
    assert_eq!(config(text)["services"]["a"]["scale"], 1_000_000_000);
    insta::assert_snapshot!(diagnose_running(text), @"
    stack.yml:2:24 `1000000000` error: `scale` is a whole number: 0 to 10000
    stack.yml:3:36 `5000000000` error: `replicas` is a whole number: 0 to 10000
    ");
}

//! Values: what a section of the file is in the model, in the model's own words.

use serde_json::{Value as Json, json};

use super::super::load_files;
use crate::compose::model::Project;

fn project(text: &str) -> Project {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    loaded
        .project
        .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics.iter().map(super::super::line).collect::<Vec<_>>()))
}

/// Compares what attributes of a service become, without what each service has.
#[expect(clippy::needless_pass_by_value, reason = "the calls read better with a bare json!")]
fn check(attributes: &str, expected: Json) {
    let text = format!(
        "services: {{b: {{image: x}}, a: {{image: x, {attributes}}}}}\n\
         networks: {{n: }}\nvolumes: {{vol: }}\nconfigs: {{c: {{content: x}}}}\nsecrets: {{s: {{environment: SET}}}}\nmodels: {{m: {{model: x}}}}\n"
    );
    let mut json = serde_json::to_value(&project(&text).services["a"]).unwrap();
    let map = json.as_object_mut().unwrap();
    assert_eq!(map.remove("image"), Some(json!("x")));
    if map.get("networks") == Some(&json!({"default": {}})) {
        map.remove("networks");
    }
    assert_eq!(json, expected, "{attributes}");
}

/// Compares what a top-level section becomes.
#[expect(clippy::needless_pass_by_value, reason = "the calls read better with a bare json!")]
fn check_top(section: &str, text: &str, expected: Json) {
    let json = serde_json::to_value(project(&format!("services: {{}}\n{section}: {text}\n"))).unwrap();
    assert_eq!(json[section], expected, "{text}");
}

#[test]
fn limits() {
    check(
        "mem_limit: 1.5g, mem_reservation: 64m, memswap_limit: -1, mem_swappiness: 60, shm_size: 1000",
        json!({"mem_limit": "1536m", "mem_reservation": "64m", "memswap_limit": "-1", "mem_swappiness": 60, "shm_size": "1000b"}),
    );
    check(
        "cpus: '0.5', cpu_shares: 512, cpuset: '0-1', cpu_count: 2, cpu_percent: 12, pids_limit: 10",
        json!({"cpus": "0.5", "cpu_shares": 512, "cpuset": "0-1", "cpu_count": 2, "cpu_percent": 12.0, "pids_limit": 10}),
    );
    check("cpu_quota: 25000, cpu_period: 50000", json!({"cpu_quota": "25ms", "cpu_period": "50ms"}));
    check("cpu_quota: -1, pids_limit: -1, mem_limit: 0", json!({}));
    check("oom_kill_disable: true, oom_score_adj: -5", json!({"oom_kill_disable": true, "oom_score_adj": -5}));
    check(
        "blkio_config: {weight: 300, weight_device: [{path: /dev/sda, weight: 400}], device_read_bps: [{path: /dev/sda, rate: 12m}], device_write_iops: [{path: /dev/sda, rate: 30}]}",
        json!({"blkio_config": {
            "weight": 300,
            "weight_device": [{"path": "/dev/sda", "weight": 400}],
            "device_read_bps": [{"path": "/dev/sda", "rate": "12m"}],
            "device_write_iops": [{"path": "/dev/sda", "rate": 30}],
        }}),
    );
    check(
        "ulimits: {nofile: -1, nproc: {soft: 1, hard: 2}}",
        json!({"ulimits": {"nofile": {"soft": -1, "hard": -1}, "nproc": {"soft": 1, "hard": 2}}}),
    );
}

#[test]
fn lifecycle() {
    check(
        "stop_grace_period: 90s, stop_signal: SIGINT, restart: unless-stopped, scale: 0, attach: false, pull_policy: weekly, pull_refresh_after: 1h",
        json!({"stop_grace_period": "1m30s", "stop_signal": 2, "restart": "unless-stopped", "scale": 0, "attach": false,
               "pull_policy": "weekly", "pull_refresh_after": "1h0m0s"}),
    );
    check(
        "healthcheck: {test: curl x, interval: 1500ms, retries: 0, start_period: 5s}",
        json!({"healthcheck": {"test": {"shell": "curl x"}, "interval": "1.5s", "retries": 0, "start_period": "5s"}}),
    );
    check("healthcheck: {disable: true}", json!({"healthcheck": {"test": "none"}}));
    check(
        "depends_on: {b: {condition: service_completed_successfully, required: false}}",
        json!({"depends_on": {"b": {"condition": "service_completed_successfully"}}}),
    );
    check(
        "post_start: [{command: a 'b c', user: root, environment: [A=1, B]}], pre_start: [{image: tool, per_replica: true}], pre_stop: [{command: [x], privileged: true, working_dir: /w}]",
        json!({
            "post_start": [{"command": ["a", "b c"], "user": "root", "environment": {"A": "1", "B": null}}],
            "pre_start": [{"image": "tool", "per_replica": true}],
            "pre_stop": [{"command": ["x"], "privileged": true, "working_dir": "/w"}],
        }),
    );
    check(
        "logging: {driver: local, options: {max-size: 10m, max-file: 3}}",
        json!({"logging": {"driver": "local", "options": {"max-size": "10m", "max-file": "3"}}}),
    );
    check(
        "provider: {type: cloud, options: {size: 2, region: [eu, us], fast: true}}",
        json!({"provider": {"kind": "cloud", "options": {"size": ["2"], "region": ["eu", "us"], "fast": ["true"]}}}),
    );
}

#[test]
fn deploy() {
    check(
        "deploy: {mode: global, endpoint_mode: vip, replicas: 2, labels: [a=b]}",
        json!({"deploy": {"mode": "global", "endpoint_mode": "vip", "replicas": 2, "labels": {"a": "b"}}}),
    );
    check(
        "deploy: {resources: {limits: {cpus: '1.50', memory: 1g, pids: 9}, reservations: {cpus: 0.25, memory: 64m, devices: [{capabilities: [gpu], count: all}], generic_resources: [{discrete_resource_spec: {kind: ssd, value: 2}}]}}}",
        json!({"deploy": {"resources": {
            "limits": {"cpus": "1.5", "memory": "1g", "pids": 9},
            "reservations": {"cpus": "0.25", "memory": "64m", "devices": [{"capabilities": ["gpu"], "count": "all"}],
                             "generic_resources": [{"kind": "ssd", "value": 2}]},
        }}}),
    );
    check(
        "deploy: {restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 2m}}",
        json!({"deploy": {"restart_policy": {"condition": "on-failure", "delay": "5s", "max_attempts": 3, "window": "2m0s"}}}),
    );
    check(
        "deploy: {update_config: {parallelism: 2, delay: 10s, failure_action: rollback, monitor: 1m, max_failure_ratio: 0.5, order: start-first}, rollback_config: {parallelism: 0}}",
        json!({"deploy": {
            "update_config": {"parallelism": 2, "delay": "10s", "failure_action": "rollback", "monitor": "1m0s",
                              "max_failure_ratio": 0.5, "order": "start-first"},
            "rollback_config": {"parallelism": 0},
        }}),
    );
    check(
        "deploy: {placement: {constraints: [node.role == manager], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 2}}",
        json!({"deploy": {"placement": {"constraints": ["node.role == manager"],
            "preferences": [{"spread": "node.labels.zone"}], "max_replicas_per_node": 2}}}),
    );
}

#[test]
fn build_and_develop() {
    check(
        "build: {context: https://example.org/x.git, dockerfile_inline: FROM x, args: {A: 1}, ssh: [default], platforms: [linux/arm64/v8], shm_size: 1m, secrets: [{source: s, mode: 0440}], ulimits: {nofile: 5}, extra_hosts: [h=host-gateway], provenance: false, sbom: a=b, no_cache: true}",
        json!({"build": {
            "context": "https://example.org/x.git", "dockerfile_inline": "FROM x", "args": {"A": "1"}, "ssh": {"default": null},
            "platforms": ["linux/arm64/v8"], "shm_size": "1m", "secrets": [{"source": "s", "mode": "0440"}],
            "ulimits": {"nofile": {"soft": 5, "hard": 5}}, "extra_hosts": [["h", null]], "provenance": "false", "sbom": "a=b",
            "no_cache": true,
        }}),
    );
    check(
        "develop: {watch: [{path: /src, action: sync+restart, target: /dst, ignore: a, include: [b], initial_sync: true}, {path: /x, action: sync+exec, target: /y, exec: {command: make it}}]}",
        json!({"develop": {"watch": [
            {"path": "/src", "action": "sync+restart", "target": "/dst", "ignore": ["a"], "include": ["b"], "initial_sync": true},
            {"path": "/x", "action": "sync+exec", "target": "/y", "exec": {"command": ["make", "it"]}},
        ]}}),
    );
}

#[test]
fn file_system() {
    check(
        "volumes: ['/a:/b:ro,rslave', 'vol:/v:nocopy', /anon, {type: image, source: files, target: /f, image: {subpath: p}}]",
        json!({"volumes": [
            {"target": "/b", "read_only": true, "kind": {"type": "bind", "source": "/a", "create_host_path": true, "propagation": "rslave"}},
            {"target": "/v", "read_only": false, "kind": {"type": "volume", "source": "vol", "nocopy": true, "subpath": null}},
            {"target": "/anon", "read_only": false, "kind": {"type": "volume", "source": null, "nocopy": false, "subpath": null}},
            {"target": "/f", "read_only": false, "kind": {"type": "image", "source": "files", "subpath": "p"}},
        ]}),
    );
    check(
        "tmpfs: ['/run:size=1m,mode=755,noexec', /plain]",
        json!({"tmpfs": [
            {"target": "/run", "read_only": false, "kind": {"type": "tmpfs", "size": "1m", "mode": "0755", "options": ["noexec"]}},
            {"target": "/plain", "read_only": false, "kind": {"type": "tmpfs", "size": null, "mode": null, "options": []}},
        ]}),
    );
    check(
        "configs: [c], secrets: [{source: s, target: x, uid: '5', mode: '0400'}], storage_opt: {size: 1g}",
        json!({
            "configs": [{"source": "c"}],
            "secrets": [{"source": "s", "target": "x", "uid": 5, "mode": "0400"}],
            "storage_opt": {"size": "1g"},
        }),
    );
    check(
        "volumes_from: ['container:old:ro']",
        json!({"volumes_from": [{"source": {"container": "old"}, "read_only": true}]}),
    );
}

#[test]
fn network() {
    check(
        "networks: {n: {aliases: [q], ipv4_address: 10.0.0.2, link_local_ips: [169.254.1.1], mac_address: 02-42-AC-11-65-43, priority: 5, driver_opts: {a: 1}}}",
        json!({"networks": {"n": {"aliases": ["q"], "ipv4_address": "10.0.0.2", "link_local_ips": ["169.254.1.1"],
            "mac_address": "02:42:ac:11:65:43", "priority": 5, "driver_opts": {"a": "1"}}}}),
    );
    check(
        "ports: ['127.0.0.1:8000-8001:80/udp', {target: 9, mode: host, name: web, app_protocol: http}], expose: [7]",
        json!({
            "ports": [
                {"target": 80, "published": {"start": 8000, "end": 8001}, "host_ip": "127.0.0.1", "protocol": "udp"},
                {"target": 9, "published": null, "host_ip": null, "protocol": "tcp", "mode": "host", "name": "web", "app_protocol": "http"},
            ],
            "expose": ["7"],
        }),
    );
    check("network_mode: 'container:x'", json!({"network_mode": {"container": "x"}}));
    check(
        "external_links: [db, 'cache:c'], extra_hosts: [h=10.0.0.1], models: {m: {endpoint_var: E}}, use_api_socket: true",
        json!({"external_links": [{"container": "db", "alias": "db"}, {"container": "cache", "alias": "c"}],
               "extra_hosts": [["h", "10.0.0.1"]], "models": {"m": {"endpoint_var": "E"}}, "use_api_socket": true}),
    );
}

#[test]
fn confinement() {
    check(
        "ipc: shareable, pid: 'container:x', uts: host, cgroup: host, userns_mode: host, cgroup_parent: /p",
        json!({"ipc": "shareable", "pid": {"container": "x"}, "uts": "host", "cgroup": "host", "userns_mode": "host",
               "cgroup_parent": "/p"}),
    );
    check(
        "devices: ['/dev/a:/dev/b:r', vendor.com/gpu=0], device_cgroup_rules: ['c 1:* mrw'], gpus: all",
        json!({
            "devices": [
                {"source": "/dev/a", "target": "/dev/b", "permissions": "r"},
                {"source": "vendor.com/gpu=0", "target": "vendor.com/gpu=0", "permissions": "rwm"},
            ],
            "device_cgroup_rules": ["c 1:* rwm"],
            "gpus": [{"count": "all"}],
        }),
    );
    check(
        "cap_add: [net_admin], security_opt: [no-new-privileges], sysctls: [a.b=1], credential_spec: {file: x}, isolation: default, runtime: runc, platform: linux/amd64",
        json!({"cap_add": ["NET_ADMIN"], "security_opt": ["no-new-privileges"], "sysctls": {"a.b": "1"},
               "credential_spec": {"file": "x"}, "isolation": "default", "runtime": "runc", "platform": "linux/amd64"}),
    );
}

#[test]
fn top_level() {
    check_top(
        "networks",
        "{n: {driver: bridge, driver_opts: {a: 1}, attachable: true, enable_ipv4: false, enable_ipv6: true, internal: true, ipam: {driver: default, config: [{subnet: 10.5.0.0/16, aux_addresses: {printer: 10.5.0.7}}], options: {a: b}}, labels: [a=b]}, e: {external: true}}",
        json!({
            "n": {"name": "demo_n", "driver": "bridge", "driver_opts": {"a": "1"}, "attachable": true, "enable_ipv4": false,
                  "enable_ipv6": true, "internal": true, "labels": {"a": "b"},
                  "ipam": {"driver": "default", "options": {"a": "b"},
                           "config": [{"subnet": "10.5.0.0/16", "aux_addresses": {"printer": "10.5.0.7"}}]}},
            "e": {"name": "e", "external": true},
        }),
    );
    check_top(
        "volumes",
        "{v: {driver: local, labels: {a: b}}}",
        json!({"v": {"name": "demo_v", "driver": "local", "labels": {"a": "b"}}}),
    );
    check_top(
        "configs",
        "{a: {file: /x}, b: {environment: SET}, c: {content: ''}, d: {external: true, name: real}}",
        json!({
            "a": {"name": "demo_a", "source": {"file": "/x"}},
            "b": {"name": "demo_b", "source": {"environment": "SET"}},
            "c": {"name": "demo_c", "source": {"content": ""}},
            "d": {"name": "real", "source": "external"},
        }),
    );
    check_top(
        "secrets",
        "{a: {file: /x, labels: {a: b}}, d: {file: /y, driver: vault, driver_opts: {k: 1}, template_driver: golang}}",
        json!({
            "a": {"name": "demo_a", "source": {"file": "/x"}, "labels": {"a": "b"}},
            "d": {"name": "demo_d", "source": {"file": "/y"}, "driver": "vault", "driver_opts": {"k": "1"}, "template_driver": "golang"},
        }),
    );
    check_top("models", "{m: {model: ai/x, context_size: 10}}", json!({"m": {"model": "ai/x", "context_size": 10}}));
}

#[test]
fn what_several_attributes_say_together() {
    let service = |text: &str| project(&format!("services: {{a: {{image: x, {text}}}}}")).services["a"].clone();
    let a = service(
        "restart: always, deploy: {replicas: 3, restart_policy: {condition: none}, resources: {limits: {cpus: 2, memory: 64m, pids: 5}}}",
    );
    assert_eq!((a.replicas(), a.restart_policy()), (Some(3), crate::spec::RestartPolicy::No));
    let resources = a.resources();
    assert_eq!((resources.nano_cpus, resources.memory, resources.pids), (Some(2_000_000_000), Some(64 << 20), Some(5)));
    let b = service("scale: 2, mem_limit: 64m, memswap_limit: 128m, cpus: 0");
    assert_eq!((b.replicas(), b.resources().memory_swap, b.resources().nano_cpus), (Some(2), Some(128 << 20), None));
    let c = service("volumes: [{type: cluster, source: x, target: /c}, /data], tmpfs: /run");
    assert_eq!(c.mounts().map(|mount| mount.target.as_str()).collect::<Vec<_>>(), ["/data", "/run"]);
}

//! What a container is made from: the image's configuration and the service's over it.

use insta::assert_snapshot;

use super::*;
use crate::spec::{ImageHealthcheck, MountKind};

fn redis() -> ImageConfig {
    ImageConfig {
        entrypoint: vec!["docker-entrypoint.sh".into()],
        cmd: vec!["redis-server".into()],
        env: vec!["PATH=/opt/bin:/bin".into(), "REDIS_VERSION=7".into()],
        working_dir: "/data".into(),
        user: "redis".into(),
        exposed_ports: ["6379/tcp".to_owned()].into(),
        volumes: ["/data".to_owned()].into(),
        labels: [("maintainer".to_owned(), "us".to_owned())].into(),
        stop_signal: "SIGINT".into(),
        shell: vec!["/bin/bash".into(), "-c".into()],
        healthcheck: Some(ImageHealthcheck {
            test: vec!["CMD-SHELL".into(), "redis-cli ping".into()],
            interval: 1_000_000_000,
            retries: 7,
            ..ImageHealthcheck::default()
        }),
    }
}

fn spec(service: &str) -> ContainerSpec {
    let mut world = World::new();
    world.image("redis", redis());
    let plan = world.plan(&format!("{{services: {{db: {{image: redis, {service}}}, api: }}, volumes: {{named: }}}}"));
    assert!(plan.errors.is_empty(), "{plan}");
    specs(&plan).into_iter().find(|spec| spec.name == "app-db-1").expect("db").clone()
}

#[test]
fn the_images_defaults_are_in_force() {
    let spec = spec("");
    assert_eq!(spec.argv, ["docker-entrypoint.sh", "redis-server"]);
    assert_eq!((spec.entrypoint_len, spec.cwd.as_str(), spec.user.as_str()), (1, "/data", "redis"));
    assert_eq!((spec.stop_signal, spec.stop_grace), (2, Duration::from_secs(10)));
    assert_eq!(spec.shm_size, 64 << 20);
    assert_eq!(spec.exposed, ["6379/tcp"]);
    assert_eq!(spec.hostname, spec.id.short());
    let hostname = format!("HOSTNAME={}", spec.hostname);
    assert_eq!(spec.env, ["PATH=/opt/bin:/bin", hostname.as_str(), "REDIS_VERSION=7"]);
    assert!(matches!(&spec.mounts[..], [mount] if mount.target == "/data"
        && matches!(mount.kind, MountKind::Volume { anonymous: true, .. })));
    assert_eq!(spec.cgroup_parent, "stack/app");
    let health = spec.healthcheck.unwrap();
    assert_eq!(health.argv, ["/bin/bash", "-c", "redis-cli ping"]);
    assert_eq!((health.interval.as_secs(), health.timeout.as_secs(), health.retries), (1, 30, 7));
    assert_eq!((health.start_period.as_secs(), health.start_interval.as_secs()), (0, 5));
}

#[test]
fn commands_and_entrypoints_replace_the_images() {
    let argv = |service: &str| (spec(service).argv.join(" "), spec(service).entrypoint_len);
    assert_eq!(argv("command: [x]"), ("docker-entrypoint.sh x".into(), 1));
    assert_eq!(argv("command: []"), ("docker-entrypoint.sh".into(), 1));
    assert_eq!(argv("entrypoint: [e, f]"), ("e f".into(), 2));
    assert_eq!(argv("entrypoint: [], command: [x, y]"), ("x y".into(), 0));
    assert_snapshot!(World::new().up("services: {a: {command: []}}"), @"error: service a has no command: neither the file nor its image names one");
}

#[test]
fn each_variable_is_there_once() {
    let env = spec("tty: true, hostname: h, environment: {REDIS_VERSION: '8', PATH: /p, NEW: ''}").env;
    assert_eq!(env, ["PATH=/p", "HOSTNAME=h", "TERM=xterm", "REDIS_VERSION=8", "NEW="]);
    let mut world = World::new();
    let plan = world.plan("services: {a: }");
    assert!(specs(&plan)[0].env[0].starts_with("PATH=/usr/local/sbin:"));
}

#[test]
fn healthchecks_merge_key_by_key() {
    let check = |service: &str| spec(service).healthcheck;
    let merged = check("healthcheck: {retries: 2}").unwrap();
    assert_eq!((merged.retries, merged.interval.as_secs(), merged.shell), (2, 1, true));
    let own = check("healthcheck: {test: {exec: [a, b]}, start_period: 9s}").unwrap();
    assert_eq!((own.argv.join(" "), own.shell, own.start_period.as_secs()), ("a b".into(), false, 9));
    assert_eq!(check("healthcheck: {test: none}"), None);
}

#[test]
fn mounts_cover_the_images_volumes_and_parents_come_first() {
    let volume = |target: &str, source: &str| {
        format!(
            "{{target: {target}, read_only: false, kind: {{type: volume, source: {source}, nocopy: false, subpath: null}}}}"
        )
    };
    let mounts = spec(&format!("volumes: [{}, {}]", volume("/data/deep/er", "null"), volume("/data/", "named"))).mounts;
    let shown: Vec<_> = mounts
        .iter()
        .map(|mount| match &mount.kind {
            MountKind::Volume { name, anonymous, .. } if !anonymous => format!("{} {name}", mount.target),
            MountKind::Volume { name, .. } => format!("{} {} digits", mount.target, name.as_str().len()),
            _ => mount.target.clone(),
        })
        .collect();
    assert_eq!(shown, ["/data/ app_named", "/data/deep/er 64 digits"]);
}

#[test]
fn labels_are_composes() {
    let spec =
        spec("labels: {mine: x, maintainer: me}, depends_on: {api: {condition: service_started, restart: true}}");
    let shown: Vec<_> = spec
        .labels
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), super::super::labels::CONFIG_HASH | super::super::labels::IMAGE))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_snapshot!(shown.join("\n"), @r"
    com.docker.compose.container-number=1
    com.docker.compose.depends_on=api:service_started:true
    com.docker.compose.oneoff=False
    com.docker.compose.project=app
    com.docker.compose.project.config_files=/app/stack.yml
    com.docker.compose.project.working_dir=/app
    com.docker.compose.service=db
    com.docker.compose.version=0.1.0
    maintainer=me
    mine=x
    ");
}

#[test]
fn security_options_and_limits() {
    let spec = spec(
        "security_opt: ['no-new-privileges:true', 'seccomp=unconfined'], ulimits: {nofile: {soft: 1024, hard: -1}},
         cap_add: [SYS_ADMIN], extra_hosts: [[a, 10.0.0.1], [b, null]], links: [[api, x], [api, api]]",
    );
    assert!(spec.no_new_privileges);
    assert_eq!(spec.seccomp, crate::spec::Seccomp::Unconfined);
    assert_eq!((spec.rlimits[0].soft, spec.rlimits[0].hard), (1024, u64::MAX));
    let hosts: Vec<_> = spec.extra_hosts.iter().map(|(name, ip)| format!("{name} {ip}")).collect();
    assert_eq!(hosts, ["a 10.0.0.1", "b 172.17.0.1"]);
    assert_eq!(spec.links, [("x".to_owned(), "api".to_owned())]);
}

#[test]
fn the_hosts_network_has_no_ports_of_its_own() {
    let mut world = World::new();
    let port = "ports: [{target: 80, published: null, host_ip: null, protocol: tcp}]";
    assert_snapshot!(world.up(&format!("services: {{a: {{network_mode: host, {port}}}, b: {{network_mode: none}}}}")), @r"
    [] -> #1 a/1 create-container (missing)
    [] -> #2 b/1 create-container (missing)
    [1] -> #3 a/1 start-container (missing)
    [2] -> #4 b/1 start-container (missing)
    note: service a has no network of its own: its ports are not published
    ");
    assert!(world.spec("app-a-1").host_network);
    assert!(world.spec("app-a-1").ports.is_empty());
    assert!(!world.spec("app-b-1").host_network);
    assert!(world.spec("app-b-1").endpoints.is_empty());
}

#[test]
fn a_privileged_container_is_not_filtered() {
    assert_eq!(spec("").seccomp, crate::spec::Seccomp::Default);
    let spec = spec("privileged: true");
    assert!(spec.privileged && spec.seccomp == crate::spec::Seccomp::Unconfined);
}

#[test]
fn names_are_looked_up_as_the_file_says() {
    let spec = spec("dns: [9.9.9.9], dns_search: [a.example], dns_opt: [use-vc]");
    assert_eq!(spec.dns, ["9.9.9.9".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((spec.dns_search, spec.dns_options), (vec!["a.example".to_owned()], vec!["use-vc".to_owned()]));
}

#[test]
fn ports_of_the_image_and_of_the_file_are_exposed() {
    assert_eq!(spec("expose: ['80', '90-91/udp', '6379']").exposed, ["6379/tcp", "80/tcp", "90-91/udp"]);
}

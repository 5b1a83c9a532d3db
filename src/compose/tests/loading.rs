//! From files to tree and model.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{config, line, load_files};
use crate::compose::model::{Bytes, Condition, HealthTest, MacAddress, Mode, NetworkMode, Service, VolumeMountKind};
use crate::compose::{config_json, config_yaml};
use crate::spec::{PortRange, RestartPolicy};

fn service(text: &str) -> Service {
    let text = format!("services: {{a: {text}, b: {{image: x}}}}\nvolumes: {{v: }}\nnetworks: {{n: }}\n");
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    loaded.project.unwrap().services["a"].clone()
}

#[test]
fn the_model_has_types() {
    let a = service(
        "{image: x, command: a 'b c', entrypoint: [], environment: {A: 1, B: , SET: }, ports: ['127.0.0.1:80-81:80-81/udp', 90],
          expose: [1], user: '5', stop_signal: usr1, stop_grace_period: 1m30s, init: true, restart: 'on-failure:3',
          cap_add: [net_admin, CAP_SYS_TIME], mem_limit: 1g, cpus: 0.5, pids_limit: -1, deploy: {replicas: 2, resources: {reservations: {memory: 1m}}},
          shm_size: 64m, ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}, extra_hosts: [h=host-gateway, i=::1], dns: 1.1.1.1,
          healthcheck: {test: curl x, interval: 5s, retries: 2}, depends_on: {b: {condition: service_healthy, restart: true}},
          links: ['b:c'], networks: {n: {aliases: [q], ipv4_address: 10.0.0.2, mac_address: '02:42:ac:11:65:43'}}, sysctls: [a.b=1]}",
    );
    assert_eq!(a.command.clone().unwrap(), ["a", "b c"]);
    assert_eq!(a.entrypoint.clone().unwrap(), [""; 0]);
    assert_eq!(
        a.environment.clone().into_iter().collect::<Vec<_>>(),
        [("A".into(), "1".into()), ("SET".into(), "value".into())]
    );
    assert_eq!(a.ports.len(), 3);
    assert_eq!((a.ports[1].target, a.ports[1].published), (81, Some(PortRange { start: 81, end: 81 })));
    assert_eq!(a.ports[2].published, None);
    assert_eq!(a.stop_signal, Some(10));
    assert_eq!(a.stop_grace_period, Some(Duration::from_secs(90)));
    assert_eq!(a.restart_policy(), RestartPolicy::OnFailure(Some(3)));
    assert_eq!(a.cap_add, ["NET_ADMIN", "SYS_TIME"]);
    let resources = a.resources();
    assert_eq!(resources.memory, Some(1 << 30));
    assert_eq!(resources.memory_reservation, Some(1 << 20));
    assert_eq!(resources.nano_cpus, Some(500_000_000));
    assert_eq!(resources.pids, None);
    assert_eq!(a.replicas(), Some(2));
    assert_eq!(a.ulimits["nproc"].hard, 3);
    assert_eq!(a.extra_hosts, [("h".into(), None), ("i".into(), Some("::1".parse().unwrap()))]);
    let check = a.healthcheck.clone().unwrap();
    assert_eq!(check.test, Some(HealthTest::Shell("curl x".into())));
    assert_eq!(a.depends_on["b"].condition, Condition::ServiceHealthy);
    assert_eq!(a.links, [("b".into(), "c".into())]);
    assert_eq!(a.networks["n"].mac_address, Some(MacAddress([2, 0x42, 0xac, 0x11, 0x65, 0x43])));
}

#[test]
fn mounts() {
    let a = service(
        "{image: x, volumes: ['./d:/d:ro', 'v:/v', /anon, {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}], tmpfs: '/r:size=2m,mode=755,noexec'}",
    );
    let kinds: Vec<&VolumeMountKind> = a.mounts().map(|m| &m.kind).collect();
    assert!(a.volumes[0].read_only);
    assert!(
        matches!(kinds[0], VolumeMountKind::Bind { source, create_host_path: true, .. } if source.ends_with("demo/d"))
    );
    // The short form takes `v:` for a drive; the model does not.
    assert_eq!(a.volumes[1].target, "/v");
    assert!(matches!(kinds[1], VolumeMountKind::Volume { source: Some(v), .. } if v == "v"));
    assert!(matches!(kinds[2], VolumeMountKind::Volume { source: None, .. }));
    assert!(matches!(kinds[3], VolumeMountKind::Tmpfs { size: Some(Bytes(0x10_0000)), mode: Some(Mode(0o700)), .. }));
    assert!(
        matches!(kinds[4], VolumeMountKind::Tmpfs { size: Some(Bytes(0x20_0000)), mode: Some(Mode(0o755)), options } if options == &["noexec"])
    );
}

#[test]
fn replicas_of_the_deploy_section() {
    let replicas = |text: &str| service(&format!("{{image: x, {text}}}")).replicas();
    assert_eq!(replicas("init: true"), None);
    assert_eq!(replicas("deploy: {replicas: 3}"), Some(3));
    assert_eq!(replicas("deploy: {replicas: 0}"), Some(0));
    assert_eq!(replicas("scale: 2, deploy: {replicas: 2, mode: replicated}"), Some(2));
    assert_eq!(replicas("deploy: {mode: global, replicas: 3}"), Some(1));
}

#[test]
fn limits_of_the_deploy_section() {
    let resources = service(
        "{image: x, deploy: {resources: {limits: {cpus: '0.5', memory: 50M, pids: 10}, reservations: {memory: 20M}}}}",
    )
    .resources();
    assert_eq!((resources.memory, resources.memory_reservation), (Some(50 << 20), Some(20 << 20)));
    assert_eq!((resources.nano_cpus, resources.pids), (Some(500_000_000), Some(10)));
}

#[test]
fn restart_policies_of_the_deploy_section() {
    let restart = |policy: &str| {
        service(&format!("{{image: x, restart: unless-stopped, deploy: {{restart_policy: {policy}}}}}"))
            .restart_policy()
    };
    assert_eq!(restart("{condition: none}"), RestartPolicy::No);
    assert_eq!(restart("{condition: on-failure}"), RestartPolicy::OnFailure(None));
    assert_eq!(restart("{condition: on-failure, max_attempts: 3}"), RestartPolicy::OnFailure(Some(3)));
    assert_eq!((restart("{condition: any}"), restart("{}")), (RestartPolicy::Always, RestartPolicy::Always));
}

#[test]
fn a_folder_that_is_a_volume_is_of_the_project() {
    let text = "services: {a: {image: x, volumes: ['one:/a', 'two:/b']}}\nvolumes:\n  one: {driver_opts: {o: bind, device: ./data}}\n  \
                two: {driver_opts: {o: 'rbind,ro', device: /srv}}\n";
    let volumes = load_files(&[("stack.yml", text.as_bytes())], |_| {}).project.unwrap().volumes;
    let device = |volume: &str| volumes[volume].driver_opts["device"].clone();
    assert!(device("one").starts_with('/') && device("one").ends_with("/demo/data"), "{}", device("one"));
    assert_eq!(device("two"), "/srv");
}

#[test]
fn the_mac_address_goes_to_the_first_network() {
    let mac = |networks: &str| {
        let text = format!(
            "services: {{a: {{image: x, mac_address: '02:42:ac:11:65:43', networks: {{{networks}}}}}}}\nnetworks: {{n: , m: , l: }}\n"
        );
        let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
        let networks = loaded.project.unwrap().services["a"].networks.clone();
        networks.into_iter().filter(|(_, n)| n.mac_address.is_some()).map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(mac("n: , l: , m: "), ["l"], "by name");
    assert_eq!(mac("n: {priority: 1}, l: , m: {priority: 2}"), ["m"], "by priority");
}

#[test]
fn networks_and_names() {
    let text = "services:\n  a: {image: x, networks: [front]}\n  b: {image: x, network_mode: none}\n  c: {image: x}\n\
                networks: {front: {name: real}, other: }\nvolumes: {v: {external: true}, w: }\n";
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    let project = loaded.project.unwrap();
    assert_eq!(project.name.as_str(), "demo");
    assert_eq!(project.networks["front"].name, "real");
    assert_eq!(project.networks["default"].name, "demo_default");
    assert_eq!((project.volumes["v"].name.as_str(), project.volumes["w"].name.as_str()), ("v", "demo_w"));
    assert_eq!(project.services["b"].network_mode, Some(NetworkMode::None));
    assert!(project.services["b"].networks.is_empty());
    assert!(project.files[0].ends_with("demo/stack.yml"));
    // What no service uses is not printed.
    let tree = config_json(&loaded.tree.unwrap());
    assert_eq!(tree["networks"].as_object().unwrap().len(), 2);
    assert!(tree.get("volumes").is_none());
}

#[test]
fn stack_files_come_first_and_parents_are_searched() {
    let files: [(&str, &[u8]); 4] = [
        ("compose.yaml", b"services: {compose: {image: x}}"),
        ("stack.yml", b"services: {stack: {image: x}}"),
        ("stack.override.yml", b"services: {stack: {user: over}}"),
        ("sub/deep/file", b""),
    ];
    let loaded = load_files(&files, |options| options.cwd.push("sub/deep"));
    let project = loaded.project.unwrap();
    assert_eq!(project.services["stack"].user.as_deref(), Some("over"));
    assert!(project.working_dir.ends_with("demo"));
    let warning = line(&loaded.diagnostics[0]);
    assert!(warning.contains("stack.yml is used, not") && warning.contains("compose.yaml"), "{warning}");
    let none = load_files(&[], |_| {});
    assert!(line(&none.diagnostics[0]).contains("no stack file found"));
}

#[test]
fn environment_layers() {
    let files: [(&str, &[u8]); 4] = [
        ("stack.yml", b"services: {a: {image: '${SET}-${A}-${B}-${COMPOSE_PROJECT_NAME}'}}"),
        (".env", b"SET=file\nA=env\nB=env\n"),
        ("one.env", b"A=one\nB=one\n"),
        ("two.env", b"B=${A}2\n"),
    ];
    let image = |change: fn(&mut crate::compose::LoadOptions)| {
        let loaded = load_files(&files, change);
        loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics)).services["a"].image.clone().unwrap()
    };
    assert_eq!(image(|_| {}), "value-env-env-demo");
    assert_eq!(image(|o| o.env_files = vec!["one.env".into(), "two.env".into()]), "value-one-one2-demo");
    assert_eq!(image(|o| o.project_name = Some("p".into())), "value-env-env-p");
    let set = |o: &mut crate::compose::LoadOptions, key: &str, value: &str| {
        o.environment.insert(key.to_owned(), value.to_owned());
    };
    let loaded = load_files(&files, |o| set(o, "COMPOSE_DISABLE_ENV_FILE", "true"));
    assert_eq!(loaded.project.unwrap().services["a"].image.as_deref(), Some("value---demo"));
    let loaded = load_files(&files, |o| set(o, "COMPOSE_PROJECT_NAME", "from-env"));
    assert_eq!(loaded.project.unwrap().name.as_str(), "from-env");
    let loaded = load_files(&files, |o| o.env_files = vec!["nowhere.env".into()]);
    assert!(line(&loaded.diagnostics[0]).contains("cannot read the env file nowhere.env: no such file"));
}

#[test]
fn standard_input_and_compose_file() {
    let loaded = load_files(&[], |options| {
        options.files = vec!["-".into()];
        options.stdin = Some("services: {a: {image: x, volumes: ['./d:/d']}}".into());
    });
    let project = loaded.project.unwrap();
    assert!(project.working_dir.ends_with("demo"));
    let files: [(&str, &[u8]); 3] = [
        ("a.yml", b"services: {a: {image: x}}"),
        ("b.yml", b"services: {a: {image: y}}"),
        (".env", b"COMPOSE_FILE=a.yml,b.yml\nCOMPOSE_PATH_SEPARATOR=,\n"),
    ];
    let loaded = load_files(&files, |_| {});
    assert_eq!(loaded.project.unwrap().services["a"].image.as_deref(), Some("y"));
}

#[test]
fn profiles() {
    let text =
        "services:\n  web: {image: x, depends_on: [db]}\n  db: {image: x}\n  tool: {image: x, profiles: [debug, ci]}\n";
    let services = |change: fn(&mut crate::compose::LoadOptions)| {
        let loaded = load_files(&[("stack.yml", text.as_bytes())], change);
        let tree = config_json(&loaded.tree.unwrap());
        let printed: Vec<String> = tree["services"].as_object().unwrap().keys().cloned().collect();
        (loaded.project.unwrap().disabled.len(), printed.join(" "))
    };
    assert_eq!(services(|_| {}), (1, "db web".into()));
    assert_eq!(services(|o| o.profiles = vec!["ci".into()]), (0, "db tool web".into()));
    assert_eq!(services(|o| o.profiles = vec!["*".into()]), (0, "db tool web".into()));
    // The tree is what the services named need; the project is whole.
    assert_eq!(services(|o| o.services = vec!["tool".into()]), (0, "tool".into()));
    assert_eq!(services(|o| o.services = vec!["web".into()]), (1, "db web".into()));
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |o| o.services = vec!["wbe".into()]);
    assert!(line(&loaded.diagnostics[0]).contains("did you mean `web`?"));
}

#[test]
fn anchors_and_documents() {
    let tree = config(
        "x-a: &a {image: x, environment: {A: 1}}\nx-b: &b {user: u, image: z}\nservices:\n  a: {<<: *a, user: me}\n  b:\n    <<: [*a, *b]\n\
         ---\nservices: {a: {image: y}}\n",
    );
    assert_eq!(tree["services"]["a"]["image"], "y");
    assert_eq!(tree["services"]["a"]["environment"], json!({"A": "1"}));
    assert_eq!((&tree["services"]["b"]["image"], &tree["services"]["b"]["user"]), (&json!("x"), &json!("u")));
}

#[test]
fn dependencies_have_places() {
    let text = "services:\n  web:\n    image: x\n    depends_on:\n      - db\n    links: [cache]\n  db: {image: x}\n  cache: {image: x}\n";
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    let place = |to: &str| loaded.dependency_spans[&("web".to_owned(), to.to_owned())].location();
    assert_eq!((place("db").as_str(), place("cache").as_str()), ("stack.yml:5:9", "stack.yml:6:13"));
    assert_eq!(loaded.service_spans["db"].location(), "stack.yml:7:3");
}

#[test]
fn paths_start_at_the_first_file() {
    let files: [(&str, &[u8]); 3] = [
        ("sub/stack.yml", b"services: {a: {image: x, volumes: ['./d:/d', '~/h:/h'], build: ./b, extends: {file: more/base.yml, service: s}}}"),
        ("sub/more/base.yml", b"services: {s: {volumes: ['./e:/e']}}"),
        ("over.yml", b"services: {a: {volumes: ['./f:/f']}}"),
    ];
    let loaded = load_files(&files, |o| o.files = vec!["sub/stack.yml".into(), "over.yml".into()]);
    let project = loaded.project.unwrap();
    let folder = project.working_dir.clone();
    let sources: Vec<&Path> = project.services["a"]
        .volumes
        .iter()
        .map(|m| match &m.kind {
            VolumeMountKind::Bind { source, .. } => source.strip_prefix(&folder).unwrap_or(source),
            _ => Path::new("?"),
        })
        .collect();
    assert_eq!(sources, ["more/e", "d", "/home/me/h", "f"].map(Path::new));
}

#[test]
fn what_config_prints_can_be_read_again() {
    let text = "services:\n  a:\n    image: x:${EMPTY}1\n    command: echo $$HOME\n    environment: {P: 'a$$b', N: }\n    ports: ['80:80', 90]\n\
                    \x20   volumes: ['./d:/d', 'data:/v']\n    mem_limit: 1g\n    stop_grace_period: 90s\n    x-note: {k: 1}\n    depends_on: [b]\n\
                \x20 b: {image: x, healthcheck: {test: curl, interval: 5s}, cpus: 0.5}\nvolumes: {data: }\nx-top: 1\n";
    let first = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    let printed = config_yaml(&first.tree.unwrap());
    assert!(printed.starts_with("name: demo\nservices:\n  a:\n    command:\n"), "{printed}");
    assert!(printed.contains("echo\n") && printed.contains("$$HOME") && printed.contains("x-note"), "{printed}");
    let second = load_files(&[("stack.yml", printed.as_bytes())], |_| {});
    assert!(second.diagnostics.is_empty(), "{:?}\n{printed}", second.diagnostics);
    assert_eq!(config_yaml(&second.tree.unwrap()), printed);
}

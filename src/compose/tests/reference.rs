//! Corners where Compose's own reader decides: what it accepts, refuses and prints.

use serde_json::json;

use super::{config, diagnose, line, load_files};
use crate::compose::{config_json, template_json};

/// Returns what is wrong with files that are given with `-f`, one line each.
fn mistakes(files: &[(&str, &str)]) -> Vec<String> {
    let bytes: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let loaded = load_files(&bytes, |options| options.files = files.iter().map(|(name, _)| name.into()).collect());
    loaded.diagnostics.iter().map(|d| line(d).lines().next().unwrap_or_default().to_owned()).collect()
}

/// Returns what `--no-interpolate` prints for one file.
fn templates(text: &str) -> serde_json::Value {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |options| options.interpolate = false);
    template_json(&loaded.tree.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics)))
}

#[test]
fn an_empty_image_is_none() {
    insta::assert_snapshot!(diagnose("services:\n  a: {image: '${EMPTY}'}\n  b: {image: '', build: .}\n"), @"
    stack.yml:2:7 `image` error: the `image` of the service `a` is empty
        name an image; a variable in it may not be set
    ");
}

#[test]
fn an_empty_container_name_is_none() {
    let text = "services:\n  a: {image: x, container_name: ''}\n  b: {image: x, container_name: '${EMPTY}'}\n";
    assert_eq!(diagnose(text), "");
}

#[test]
fn a_file_that_says_nothing() {
    assert_eq!(mistakes(&[("a.yml", "{}")]), ["error: a.yml says nothing"]);
    let version = mistakes(&[("a.yml", "version: '3'\n")]);
    assert!(version.contains(&"error: a.yml says nothing".to_owned()), "{version:?}");
    assert_eq!(mistakes(&[("a.yml", "name: n\n")]), [""; 0]);
    assert_eq!(mistakes(&[("a.yml", "x-a: 1\n")]), [""; 0]);
}

#[test]
fn every_file_has_to_be_right_by_itself() {
    let base = ("a.yml", "services:\n  a:\n    image: x\n    devices:\n");
    let over = ("b.yml", "services: {a: {devices: [/dev/null]}}\n");
    assert_eq!(
        mistakes(&[base, over]),
        ["a.yml:4:5 `devices` error: `services.a.devices` has no value, a list is expected"]
    );
    // Without a value, what another file says stays.
    assert_eq!(mistakes(&[over, ("c.yml", "services: {a: {image: x, devices: }}\n")]), [""; 0]);
    let nothing = ("b.yml", "services:\n");
    let good = ("a.yml", "services: {a: {image: x}}\n");
    assert_eq!(
        mistakes(&[good, nothing]),
        ["b.yml:1:1 `services` error: `services` has no value, a mapping is expected"]
    );
    let version = mistakes(&[("a.yml", "version:\nservices: {a: {image: x}}\n")]);
    assert_eq!(version, ["a.yml:1:1 `version` error: `version` has no value, a string is expected"]);
}

/// Returns what files given with `-f` result in.
fn merged(files: &[(&str, &str)], interpolate: bool) -> serde_json::Value {
    let bytes: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let loaded = load_files(&bytes, |options| {
        options.files = files.iter().map(|(name, _)| name.into()).collect();
        options.interpolate = interpolate;
    });
    let tree = loaded.tree.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    if interpolate { config_json(&tree) } else { template_json(&tree) }
}

#[test]
fn a_bad_value_that_another_file_replaces_is_no_mistake() {
    let base = "services:
  a:
    image: x
    mem_limit: lots
    stop_grace_period: soon
    command: \"it's\"
    attach: maybe
    healthcheck: {test: x, interval: often}
    deploy: {resources: {limits: {cpus: some}}}
    extra_hosts: [nowhere]
    volumes: [{type: y, target: /a}]
";
    assert_eq!(mistakes(&[("a.yml", base)]).len(), 8);
    let over = "services:
  a:
    mem_limit: 1m
    stop_grace_period: 1s
    command: ok
    attach: false
    healthcheck: {interval: 1s}
    deploy: {resources: {limits: {cpus: 1}}}
    extra_hosts: !override [a=b]
    volumes: [{type: tmpfs, target: /a}]
";
    assert_eq!(mistakes(&[("a.yml", base), ("b.yml", over)]), [""; 0]);
    // What is wrong by its form is, also where it is replaced.
    let base = "services: {a: {image: x, mem_limit: [1], init: maybe, pull_policy: often, stop_grace_period: soon}}\n";
    let over = "services: {a: {mem_limit: 1m, init: true, pull_policy: never}}\n";
    assert_eq!(
        mistakes(&[("a.yml", base), ("b.yml", over)]),
        [
            "a.yml:1:37 `[1]` error: `services.a.mem_limit` must be a size, not a list",
            "a.yml:1:48 `maybe` error: `services.a.init`: \"maybe\" is not a boolean",
            "a.yml:1:68 `often` error: \"often\" is not a pull policy",
            "a.yml:1:94 `soon` error: `services.a.stop_grace_period`: \"soon\" is not a duration",
        ]
    );
}

#[test]
fn what_is_merged_as_it_is_written_becomes_a_list() {
    let base = "services: {a: {image: x, environment: {Z: 1, B: '${X}'}, labels: {a: true}, extra_hosts: {h: [i, j]}, build: {context: ., ssh: {k: l}}}}\n";
    let over = "services: {a: {environment: {B: 2, C: }, labels: {b: 1}, extra_hosts: {h: i}, build: {ssh: {m: n}}}}\n";
    let value = merged(&[("a.yml", base), ("b.yml", over)], false);
    let a = &value["services"]["a"];
    assert_eq!(a["environment"], json!(["B=2", "Z=1", "C"]));
    assert_eq!(a["labels"], json!(["a=true", "b=1"]));
    assert_eq!(a["extra_hosts"], json!(["h=i", "h=j"]));
    assert!(a["build"]["ssh"].is_object());
    // Ports of all files become long ones, or none.
    let base = "services: {a: {image: x, ports: ['${A:-80}:80', '81:81']}}\n";
    let over = "services: {a: {ports: ['81:81', '82:82']}}\n";
    let ports = merged(&[("a.yml", base), ("b.yml", over)], false)["services"]["a"]["ports"].clone();
    assert_eq!(ports, json!(["${A:-80}:80", "81:81", "82:82"]));
    let base = "services: {a: {image: x, environment: {A: 1}}}\n";
    // Where one file alone has it, it stays as it is.
    assert!(merged(&[("a.yml", base)], false)["services"]["a"]["environment"].is_object());
}

#[test]
fn a_published_port_as_number_and_as_text() {
    let base = "services: {a: {image: x, ports: [{target: 80, published: 80, host_ip: 0.0.0.0}]}}\n";
    let ports = |over: &str| {
        let value = merged(&[("a.yml", base), ("b.yml", over)], true);
        value["services"]["a"]["ports"].as_array().unwrap().len()
    };
    assert_eq!(ports("services: {a: {ports: [{target: 80, published: 80}]}}\n"), 1);
    assert_eq!(ports("services: {a: {ports: ['80:80', {target: '80', published: '80'}]}}\n"), 2);
    // It is published once.
    let text = "services: {a: {image: x, ports: ['80:80', {target: 80, published: 80}]}}\n";
    let project = load_files(&[("stack.yml", text.as_bytes())], |_| {}).project.unwrap();
    assert_eq!(project.services["a"].ports.len(), 1);
}

#[test]
fn an_attribute_with_a_default_needs_a_value_all_the_same() {
    let text = "services:
  a: {build: {context: }}
  b: {image: x, ports: [{target: 80, protocol: , mode: }], gpus: [{count: }], secrets: [{source: s, target: }]}
  c: {image: x, env_file: [{path: e, required: }], depends_on: {b: {condition: service_started, required: }}}
secrets: {s: {file: f}}
networks: {n: {name: }}
";
    let told = mistakes(&[("a.yml", text), ("e", "")][..1]);
    assert_eq!(told.iter().filter(|line| line.contains("has no value")).count(), 8, "{told:#?}");
}

#[test]
fn limits_of_0_can_be_read_again_from_json() {
    let value = config("services: {a: {image: x, ulimits: {core: 0}}}\n");
    assert_eq!(config(&value.to_string()), value);
}

#[test]
fn pull_policies() {
    let policy = |policy: &str| diagnose(&format!("services: {{a: {{image: x, pull_policy: {policy}}}}}\n"));
    for good in ["always", "never", "missing", "if_not_present", "build", "refresh", "daily", "weekly", "every_12h"] {
        assert_eq!(policy(good), "", "{good}");
    }
    insta::assert_snapshot!(policy("allways"), @r#"
    stack.yml:1:39 `allways` error: "allways" is not a pull policy
        did you mean `always`?
    "#);
    assert_ne!(policy("every_day"), "");
}

#[test]
fn paths_that_are_no_paths_here() {
    let text = "services:
  a: {image: x, build: 'a:b', volumes: ['C:\\x:/y', 'vol:/v']}
volumes: {vol: {driver: local, driver_opts: {o: bind, device: '${EMPTY}'}}}
secrets: {s: {file: 'D:/s'}}
";
    let value = config(&text.replace("[", "[{type: bind, source: 'E:x', target: /z}, "));
    let a = &value["services"]["a"];
    assert!(a["build"]["context"].as_str().unwrap().ends_with("/demo/a:b"));
    assert!(a["volumes"][0]["source"].as_str().unwrap().ends_with("/demo/E:x"));
    assert_eq!(a["volumes"][1]["source"], "C:\\x");
    assert!(value["volumes"]["vol"]["driver_opts"]["device"].as_str().unwrap().ends_with("/demo"));
}

#[test]
fn a_base_without_attributes_stays_named() {
    let files: [(&str, &[u8]); 2] = [
        ("stack.yml", b"services: {a: {image: x, extends: {file: base.yml, service: b}}}\n"),
        ("base.yml", b"services:\n  b:\n"),
    ];
    let value = config_json(&load_files(&files, |_| {}).tree.unwrap());
    let extends = &value["services"]["a"]["extends"];
    assert_eq!(extends["service"], "b");
    assert!(extends["file"].as_str().unwrap().ends_with("/demo/base.yml"));
}

#[test]
fn lists_limits_and_servers() {
    let value = config(
        "services: {a: {image: x, ulimits: {core: 0, nproc: {soft: 0, hard: 5}, n: 7}, expose: [a=b, a=c], dns: ['']}}\nx-a: {b: [], c: [[]]}\n",
    );
    let a = &value["services"]["a"];
    assert_eq!(a["ulimits"], json!({"core": {}, "nproc": {"hard": 5}, "n": 7}));
    assert_eq!(a["expose"], json!(["a=b", "a=c"]));
    assert_eq!(a.get("dns"), None);
    assert_eq!(value["x-a"], json!({"b": null, "c": [null]}));
}

#[test]
fn templates_stay_as_they_are_written() {
    let value = templates(
        "services:
  a:
    image: ${I:-x}
    command: echo 'a b'
    init: 'true'
    mem_limit: 1g
    environment: [SET, B=2]
    build: {context: ., args: [SET, B=2]}
    extra_hosts: {h: 1.1.1.1}
    tmpfs: /t
    dns: ${DNS}
    ports: ['${P}:80', '81:81']
    healthcheck: {test: curl x, interval: 90s}
    x-own: []
  b:
    image: x
    ports: [80, {target: 81, published: 81}]
    gpus: all
    volumes_from: [a]
networks: {n: {x-n: 1}}
",
    );
    let mut a = value["services"]["a"].clone();
    a["build"]["context"].take();
    assert_eq!(
        a,
        json!({
            "image": "${I:-x}", "command": "echo 'a b'", "init": "true", "mem_limit": "1g",
            "environment": ["SET", "B=2"], "build": {"context": null, "args": ["B=2"], "dockerfile": "Dockerfile"},
            "extra_hosts": {"h": "1.1.1.1"}, "tmpfs": "/t", "dns": ["${DNS}"], "ports": ["${P}:80", "81:81"],
            "healthcheck": {"test": "curl x", "interval": "90s"}, "x-own": null, "networks": {"default": null},
        })
    );
    let b = &value["services"]["b"];
    assert_eq!(b["ports"][0], json!({"mode": "ingress", "target": 80, "protocol": "tcp"}));
    assert_eq!(b["ports"][1], json!({"mode": "ingress", "target": 81, "published": 81, "protocol": "tcp"}));
    assert_eq!(b["gpus"], json!([{"count": "all"}]));
    assert_eq!(b["depends_on"]["a"]["restart"], json!(false));
    assert_eq!(value["networks"]["n"], json!({"x-n": 1, "name": "demo_n"}));
}

#[test]
fn without_implied_values() {
    let text = "services: {a: {image: x, environment: [SET, B]}}\nnetworks: {n: }\nvolumes: {vol: }\n";
    let text = text.replace("image: x", "image: x, networks: [n], volumes: ['vol:/v']");
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |options| options.normalize = false);
    let value = config_json(&loaded.tree.unwrap());
    assert_eq!(value["services"]["a"]["environment"], json!({"SET": "value", "B": null}));
    assert_eq!(value["networks"], json!({"n": {"ipam": {}}}));
    assert_eq!(value["volumes"], json!({"vol": {}}));
}

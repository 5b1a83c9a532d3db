//! What stands for a value and what is printed of it, attribute by attribute, as the reference has it.

use serde_json::json;

use super::{config, line, load_files};
use crate::compose::{config_yaml, plain_yaml};
use crate::diag::Severity;

/// Returns the first mistake in one file, without its place.
fn mistake(text: &str) -> String {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    let first = loaded.diagnostics.iter().find(|d| d.severity == Severity::Error);
    first.map(|d| d.message.clone()).unwrap_or_default()
}

/// Returns what YAML `config` prints of files given with `-f`, or the first mistake.
fn printed(files: &[(&str, &str)], interpolate: bool) -> String {
    let bytes: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let loaded = load_files(&bytes, |options| {
        options.files = files
            .iter()
            .map(|(name, _)| name.into())
            .filter(|p: &std::path::PathBuf| p.extension().is_some_and(|e| e == "yml"))
            .collect();
        options.interpolate = interpolate;
        options.resolve_paths = false;
    });
    match loaded.tree {
        Some(tree) if interpolate => config_yaml(&tree),
        Some(tree) => plain_yaml(&tree),
        None => loaded.diagnostics.first().map(line).unwrap_or_default(),
    }
}

#[test]
fn numbers_for_sizes() {
    // What is printed; none: nothing.
    let check = |attribute: &str, value: &str, expected: Option<&str>| {
        let service = config(&format!("services: {{a: {{image: x, {attribute}: {value}}}}}\n"));
        assert_eq!(service["services"]["a"][attribute].as_str(), expected, "{attribute}: {value}");
    };
    for attribute in ["mem_limit", "memswap_limit", "shm_size"] {
        check(attribute, "5", Some("5"));
        check(attribute, "-1", Some("-1"));
        check(attribute, "\"-1\"", Some("-1"));
        check(attribute, "1.5", None);
        check(attribute, "2.0", None);
        check(attribute, "1e3", None);
        check(attribute, "99999999999999999999", None);
    }
    check("mem_reservation", "2.0", None);
    let check = |attributes: &str, expected: &str| {
        assert_eq!(mistake(&format!("services: {{a: {{image: x, {attributes}}}}}\n")), expected);
    };
    check("mem_reservation: 1.5", "`services.a.mem_reservation` must be a whole number or a string, not a fraction");
    check("mem_limit: 1e400", "`services.a.mem_limit`: \"1e400\" is not a size");
    check(
        "build: {context: ., shm_size: 1.5}",
        "`services.a.build.shm_size` must be a whole number or a string, not a fraction",
    );
    for size in ["-1", "\"-1\""] {
        let mount = format!("volumes: [{{type: tmpfs, target: /x, tmpfs: {{size: {size}}}}}]");
        check(&mount, "`services.a.volumes[0].tmpfs.size` is a number from 0");
    }
    for place in ["limits", "reservations"] {
        let memory = |value: &str| format!("deploy: {{resources: {{{place}: {{memory: {value}}}}}}}");
        let path = format!("`services.a.deploy.resources.{place}.memory`");
        check(&memory("100"), &format!("{path} must be a string, not a number"));
        check(&memory("\"-1\""), &format!("{path}: \"-1\" is not a size"));
        check(&memory("\"100\""), "");
    }
}

#[test]
fn whole_numbers() {
    let check = |attributes: &str, pointer: &str, expected: serde_json::Value| {
        let value = config(&format!("services: {{a: {{image: x, {attributes}}}}}\n"));
        assert_eq!(value.pointer(&format!("/services/a/{pointer}")), Some(&expected), "{attributes}");
    };
    check("cpu_shares: 1.9", "cpu_shares", json!(1));
    check("pids_limit: 1.5", "pids_limit", json!(1));
    check("healthcheck: {test: x, retries: 2.5}", "healthcheck/retries", json!(2));
    check("networks: {default: {priority: 1.5}}", "networks/default/priority", json!(1));
    check("volumes: [{type: tmpfs, target: /x, tmpfs: {mode: 7.5}}]", "volumes/0/tmpfs/mode", json!(7));
    check("blkio_config: {device_read_bps: [{path: /x}]}", "blkio_config/device_read_bps/0/Rate", json!("0"));
    check("blkio_config: {weight_device: [{path: /x, weight: 0}]}", "blkio_config/weight_device/0/Weight", json!(0));
    let check = |attributes: &str, expected: &str| {
        assert_eq!(mistake(&format!("services: {{a: {{image: x, {attributes}}}}}\n")), expected);
    };
    check(
        "networks: {default: {priority: '1'}}",
        "`services.a.networks.default.priority` must be a number, not a string",
    );
    check("blkio_config: {weight: '2'}", "`services.a.blkio_config.weight` must be a number, not a string");
    check("blkio_config: {weight: -1}", "`services.a.blkio_config.weight` is a number from 0");
    check("healthcheck: {test: x, retries: -1}", "`services.a.healthcheck.retries` is a number from 0");
    check("cpu_percent: 1.5", "`services.a.cpu_percent` must be a whole number, not a fraction");
    check(
        "deploy: {restart_policy: {max_attempts: -1}}",
        "`services.a.deploy.restart_policy.max_attempts` is a number from 0",
    );
}

#[test]
fn address_pools_take_strings() {
    let check = |ipam: &str, expected: &str| {
        let text = format!("services: {{a: {{image: x, networks: [n]}}}}\nnetworks: {{n: {{ipam: {ipam}}}}}\n");
        assert_eq!(mistake(&text), expected);
    };
    check("{options: {a: 1}}", "`networks.n.ipam.options.a` must be a string, not a number");
    check("{options: {a: }}", "`networks.n.ipam.options.a` must be a string, not nothing");
    check("{options: {a: '1'}}", "");
    let pool = "{config: [{subnet: 10.0.0.0/8, aux_addresses: {a: 1}}]}";
    check(pool, "`networks.n.ipam.config[0].aux_addresses.a` must be a string, not a number");
}

#[test]
fn other_versions_of_yaml() {
    let check = |text: &str, accepted: bool| {
        let file = format!("{text}services: {{a: {{image: x}}}}\n");
        assert_eq!(mistake(&file).is_empty(), accepted, "{text}");
    };
    check("%YAML 1.1\n---\n", true);
    check("%YAML 1.2\n---\n", false);
    check("# a comment\n\n%YAML 1.2\n---\n", false);
    check("x-a: |\n  text\n  %YAML 1.2\n", true);
}

#[test]
fn tags_must_hold() {
    let check = |value: &str, expected: &str| {
        assert_eq!(mistake(&format!("services: {{a: {{image: x, labels: {{l: {value}}}}}}}\n")), expected);
    };
    check("!!bool true", "");
    check("!!bool yes", "\"yes\" is not what the tag `!!bool` says");
    check("!!int x", "\"x\" is not what the tag `!!int` says");
    check("!!str yes", "");
    let value = config("services: {a: {image: x, labels: {l: !!binary aGVsbG8=}}}\n");
    assert_eq!(value["services"]["a"]["labels"]["l"], "hello");
}

#[test]
fn dates_alone_and_in_texts() {
    let text = "x-a: [2024-01-02, 2024-01-02T03:04:05.50+02:00, 2024-01-02 03:04:05]\nservices: {a: {image: x, x-b: 2024-01-02, labels: {l: 2024-01-02}}}\n";
    insta::assert_snapshot!(printed(&[("a.yml", text)], true), @r"
    name: demo
    services:
      a:
        image: x
        labels:
          l: 2024-01-02 00:00:00 +0000 UTC
        networks:
          default: null
        x-b: 2024-01-02T00:00:00Z
    networks:
      default:
        name: demo_default
    x-a:
      - 2024-01-02T00:00:00Z
      - 2024-01-02T03:04:05.5+02:00
      - 2024-01-02T03:04:05Z
    ");
    insta::assert_snapshot!(printed(&[("a.yml", text)], false), @r"
    name: demo
    networks:
      default:
        name: demo_default
    services:
      a:
        image: x
        labels:
          l: 2024-01-02T00:00:00Z
        networks:
          default: null
        x-b: 2024-01-02T00:00:00Z
    x-a:
      - 2024-01-02T00:00:00Z
      - 2024-01-02T03:04:05.5+02:00
      - 2024-01-02T03:04:05Z
    ");
    assert_eq!(mistake("services: {a: {image: 2024-01-02}}\n"), "`services.a.image` must be a string, not a date");
}

#[test]
fn ssh_agents_of_two_files() {
    let file = |ssh: &str| format!("services: {{a: {{build: {{context: ., ssh: {ssh}}}}}}}\n");
    let check = |below: &str, above: &str, expected: &[&str]| {
        let printed = printed(&[("a.yml", &file(below)), ("b.yml", &file(above))], true);
        let agents: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("        - ")).collect();
        assert_eq!(agents, expected, "{below} {above}: {printed}");
    };
    check("{k: l}", "{m: n}", &["k=l", "m=n"]);
    check("[k=l]", "[m=n]", &[]);
    check("[k=l]", "{m: n}", &[]);
    check("{k: l}", "[default]", &[]);
    check("[k=l]", "!override [default, m=n]", &["default", "m=n"]);
    insta::assert_snapshot!(printed(&[("a.yml", &file("[k=l]")), ("b.yml", &file("[m=n]"))], true), @r"
    b.yml:1:36 `ssh` error: `services.a.build.ssh` is set twice, and lists of it are not merged
        write `ssh: !override` where it is set again, and repeat what shall stay
    ");
}

/// Keys stand in the order of the reference, so outputs can be compared line by line.
#[test]
fn the_order_of_keys() {
    let text = "\
x-b: 1
volumes: {v2: {labels: {b: 1, a: 2}, driver: d}, v10: {}}
networks: {n: {internal: true, ipam: {config: [{gateway: 10.0.0.1, subnet: 10.0.0.0/8}], driver: d}}}
services:
  b10: {image: x}
  b9:
    networks: [n]
    user: u
    image: x
    profiles: []
    cpus: 0.5
    cpu_shares: 5
    ports: ['127.0.0.1:80:80']
    volumes: [v2:/a, v10:/b:ro]
    healthcheck: {retries: 1, test: x, timeout: 1s, interval: 2s}
    deploy: {resources: {limits: {memory: 1m, pids: 5}}, replicas: 2, mode: replicated}
    build: {dockerfile: D, context: ., args: {B: 1, A: 2}, target: t}
";
    insta::assert_snapshot!(printed(&[("a.yml", text)], true), @r#"
    name: demo
    services:
      b9:
        build:
          context: .
          dockerfile: D
          args:
            A: "2"
            B: "1"
          target: t
        cpus: 0.5
        cpu_shares: 5
        deploy:
          mode: replicated
          replicas: 2
          resources:
            limits:
              memory: "1048576"
              pids: 5
        healthcheck:
          test:
            - CMD-SHELL
            - x
          timeout: 1s
          interval: 2s
          retries: 1
        image: x
        networks:
          "n": null
        ports:
          - mode: ingress
            host_ip: 127.0.0.1
            target: 80
            published: "80"
            protocol: tcp
        user: u
        volumes:
          - type: volume
            source: v2
            target: /a
            volume: {}
          - type: volume
            source: v10
            target: /b
            read_only: true
            volume: {}
      b10:
        image: x
        networks:
          default: null
    networks:
      default:
        name: demo_default
      "n":
        name: demo_n
        ipam:
          driver: d
          config:
            - subnet: 10.0.0.0/8
              gateway: 10.0.0.1
        internal: true
    volumes:
      v2:
        name: demo_v2
        driver: d
        labels:
          a: "2"
          b: "1"
      v10:
        name: demo_v10
    x-b: 1
    "#);
    let keys: Vec<String> = config(text).as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["name", "networks", "services", "volumes", "x-b"]);
    let templates = printed(&[("a.yml", text)], false);
    let keys: Vec<&str> = templates.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(keys, ["name: demo", "networks:", "services:", "volumes:", "x-b: 1"]);
}

#[test]
fn services_of_providers() {
    let text = "services:\n  a: {provider: {type: t, options: {n: 1.5, b: true, l: [x, 2]}}}\n";
    insta::assert_snapshot!(printed(&[("a.yml", text)], true), @r#"
    name: demo
    services:
      a:
        provider:
          type: t
          options:
            b:
              - "true"
            l:
              - x
              - "2"
            "n":
              - "1.5"
    "#);
    let check = |options: &str, expected: &str| {
        assert_eq!(mistake(&format!("services: {{a: {{provider: {{type: t, options: {options}}}}}}}\n")), expected);
    };
    check(
        "{a: }",
        "`services.a.provider.options.a` must be a string, number or boolean, or a list of them, not nothing",
    );
    check("{a: [[]]}", "`services.a.provider.options.a[0]` must be a string, number or boolean, not a list");
}

#[test]
fn models_that_no_service_uses_are_not_printed() {
    let value = config("services: {a: {image: x, models: [m]}}\nmodels: {m: {model: ai/m}, n: {model: ai/n}}\n");
    assert_eq!(value["models"], json!({"m": {"model": "ai/m"}}));
}

/// Which value a variable in an env file has: the project's, then the service's own, then that of an earlier line, then
/// that of an earlier file.
#[test]
fn variables_in_env_files() {
    let check = |environment: &str, expected: &str| {
        let text = format!("services: {{a: {{image: x, env_file: [one.env, two.env], environment: {environment}}}}}\n");
        let files = [
            ("a.yml", text.as_bytes()),
            ("one.env", "SET=one\nOWN=one\nLINE=one\nFILE=one\n".as_bytes()),
            ("two.env", "LINE=two\nOWN=two\nSET=two\nGOT=$SET $OWN $LINE $FILE ${NONE-none}\nSET\n".as_bytes()),
        ];
        let loaded = load_files(&files, |options| options.files = vec!["a.yml".into()]);
        let value = crate::compose::config_json(&loaded.tree.unwrap());
        let environment = &value["services"]["a"]["environment"];
        assert_eq!(environment["GOT"], expected, "{environment}");
        assert_eq!(environment["SET"], "value");
    };
    check("{}", "value two two one none");
    check("{OWN: own}", "value own two one none");
    check("{OWN: own, FILE: own, NONE: own}", "value own two own own");
    check("[NONE, SET]", "value two two one none");
}

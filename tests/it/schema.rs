//! JSON Schemas: `stack schema`, Compose files in front of the first one, and what commands print.

use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};
use stack::compose::{LoadOptions, load};

use crate::engine::FakeEngine;
use crate::env::TestEnv;
use crate::operations::{done, event, progress, summary};

/// Returns what is wrong with a value.
fn validate(schema: &str, value: &Value) -> Result<(), String> {
    let text = stack::schemas::find(schema).unwrap().text();
    let mut compiler = Compiler::new();
    let mut schemas = Schemas::new();
    compiler.add_resource("https://stack/schema", serde_json::from_str(&text).unwrap()).unwrap();
    let index = compiler.compile("https://stack/schema", &mut schemas).unwrap();
    schemas.validate(value, index).map_err(|problem| format!("{problem:#}\n{value:#}"))
}

#[track_caller]
fn check(schema: &str, value: &Value) {
    if let Err(problem) = validate(schema, value) {
        panic!("{schema}: {problem}");
    }
}

#[track_caller]
fn check_lines(schema: &str, text: &str) {
    assert!(!text.is_empty());
    for line in text.lines() {
        check(schema, &serde_json::from_str(line).unwrap());
    }
}

#[test]
fn schemas_are_shown_by_name() {
    let env = TestEnv::new();
    let list = env.run(&["schema", "--list"]).success();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for line in list.lines() {
        let name = line.split_whitespace().next().unwrap();
        let committed = std::fs::read_to_string(folder.join(format!("{name}.schema.json"))).unwrap();
        assert_eq!(env.run(&["schema", name]).success(), committed);
    }
    assert_eq!(list.lines().count(), std::fs::read_dir(&folder).unwrap().count());
    assert_eq!(env.run(&["schema"]).success(), env.run(&["schema", "stack"]).success());
    let said = env.run(&["schema", "confg"]).failure(1);
    assert_eq!(said, "error: there is no schema \"confg\"\nhint: did you mean config?\n");
}

/// Returns a file as an editor sees it: without variables replaced or files merged.
fn document(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|err| panic!("{err}: {text}"))
}

#[test]
fn right_files_are_valid() {
    let right = [
        "services: {}",
        "name: demo-1\nservices:\n  web:\n    image: nginx\n    ports: [80, '8080:80', '127.0.0.1:53:53/udp', '[::1]:${PORT}:80', {target: 80, published: 8080}]\n",
        "services:\n  web:\n    build: .\n    command: serve --all\n    entrypoint: [/init]\n    environment: {A: 1, B: true, C: , D: '${D:-x}'}\n    volumes: ['./data:/data:ro', data:/var, /cache, {type: tmpfs, target: /tmp, tmpfs: {size: 64m, mode: 0o1777}}]\nvolumes:\n  data:\n",
        "services:\n  a:\n    image: x\n    depends_on: [b]\n    environment: [A=1, B]\n  b:\n    image: x\n    depends_on:\n      c: {condition: service_healthy, restart: true}\n  c:\n    image: x\n    scale: ${N}\n    init: '${INIT}'\n    healthcheck: {test: curl localhost, interval: 1m30s, retries: '3'}\n",
        "x-common: &common\n  restart: always\n  x-note: [anything]\nservices:\n  a:\n    image: x\n    mem_limit: 512m\n    cpus: '0.5'\n    ulimits: {nofile: 1024, nproc: {soft: 1, hard: 2}}\n    extra_hosts: ['a=1.2.3.4', 'b:::1']\n    deploy: {replicas: 2, resources: {limits: {cpus: 0.5, memory: 1g}}}\n",
        "include: [other.yml, {path: [a.yml, b.yml], env_file: .env}]\nnetworks:\n  default: {driver: bridge, ipam: {config: [{subnet: 10.0.0.0/24}]}}\n  out: {external: true, name: x}\nsecrets:\n  key: {file: ./key}\nconfigs:\n  c: {content: text}\n",
    ];
    for text in right {
        check("stack", &document(text));
    }
}

#[test]
fn wrong_files_are_not() {
    let wrong = [
        ("an unknown section", "service: {}"),
        ("an unknown attribute", "services: {a: {image: x, imgae: y}}"),
        ("a list of services", "services: [a]"),
        ("a service without a body", "services: {a: }"),
        ("a name with a blank", "services: {a b: {image: x}}"),
        ("an image that is a number", "services: {a: {image: 1}}"),
        ("a command that is a number", "services: {a: {image: x, command: 1}}"),
        ("a port of letters", "services: {a: {image: x, ports: ['http:80']}}"),
        ("a port of an unknown protocol", "services: {a: {image: x, ports: ['80/icmp']}}"),
        ("a port without a target", "services: {a: {image: x, ports: [{published: 80}]}}"),
        ("ports that are no list", "services: {a: {image: x, ports: '80:80'}}"),
        ("a size without a number", "services: {a: {image: x, mem_limit: lots}}"),
        ("a duration without a unit", "services: {a: {image: x, stop_grace_period: 10}}"),
        ("a duration of an unknown unit", "services: {a: {image: x, stop_grace_period: 10x}}"),
        ("a boolean in other words", "services: {a: {image: x, init: maybe}}"),
        ("a count in words", "services: {a: {image: x, scale: two}}"),
        ("an environment of lists", "services: {a: {image: x, environment: {A: [1]}}}"),
        ("an unknown condition", "services: {a: {image: x, depends_on: {b: {condition: healthy}}}}"),
        ("a dependency without a condition", "services: {a: {image: x, depends_on: {b: {restart: true}}}}"),
        ("a dependency that is named twice", "services: {a: {image: x, depends_on: [b, b]}}"),
        ("a test that begins with a program", "services: {a: {image: x, healthcheck: {test: [curl]}}}"),
        ("a mount of an unknown type", "services: {a: {image: x, volumes: [{type: floppy, target: /x}]}}"),
        ("an unknown pull policy", "services: {a: {image: x, pull_policy: sometimes}}"),
        ("a pull policy without an age", "services: {a: {image: x, pull_policy: every_day}}"),
        ("less than no containers", "services: {a: {image: x, scale: -1}}"),
        ("more than all CPUs", "services: {a: {image: x, cpu_percent: 101}}"),
        ("a mount without a type", "services: {a: {image: x, volumes: [{target: /x}]}}"),
        ("an empty part of a mount", "services: {a: {image: x, volumes: ['data::/x']}}"),
        ("a limit without its other half", "services: {a: {image: x, ulimits: {nofile: {soft: 1}}}}"),
        ("a capability that is listed twice", "services: {a: {image: x, security_opt: [a, a]}}"),
        ("a subnet outside the pool", "networks: {a: {ipam: {subnet: 10.0.0.0/24}}}"),
        ("an empty secret", "secrets: {a: }"),
    ];
    for (what, text) in wrong {
        assert!(validate("stack", &document(text)).is_err(), "{what} is valid: {text}");
        let options = LoadOptions {
            files: vec!["-".into()],
            stdin: Some(text.into()),
            cwd: "/".into(),
            project_name: Some("demo".to_owned()),
            ..LoadOptions::default()
        };
        assert!(load(&options).tree.is_none(), "{what} is loaded: {text}");
    }
}

#[test]
fn what_config_prints_is_valid() {
    let env = TestEnv::new();
    env.write(
        "stack.yml",
        "name: demo\nx-a: {b: c}\nservices:\n  web:\n    build: {context: ., ssh: [default]}\n    ports: ['80-81:80-81']\n    \
         environment: {A: 1, B: }\n    deploy: {replicas: 2, placement: {}}\n    ulimits: {nofile: 1, core: {soft: 1, hard: 2}}\n    \
         blkio_config: {weight_device: [{path: /dev/x, weight: 10}]}\n    networks: [out]\n    gpus: all\n    secrets: [key]\n    \
         healthcheck: {test: 'true', interval: 90s}\n    volumes: [data:/data, './x:/x']\nvolumes: {data: }\n\
         networks: {out: {external: {name: x}}}\nsecrets: {key: {file: ./key}}\n",
    );
    let text = env.run(&["config", "--format", "json"]).success();
    check("config", &serde_json::from_str(&text).unwrap());
    // What is printed is a Compose file itself.
    let text = env.run(&["config"]).success();
    check("stack", &document(&text));
}

#[test]
fn what_explain_prints_is_valid() {
    let env = TestEnv::new();
    env.write(
        "stack.yml",
        "services:\n  web:\n    image: 'x:${TAG:-1}'\n    environment: {TOKEN: '${SECRET}', A: b}\n    ports: ['80:80']\n",
    );
    env.write("b.yml", "services:\n  web:\n    image: y\n    environment: {A: c}\n");
    env.write(".env", "SECRET=s\n");
    for path in [&[][..], &["web.image"], &["web.environment"]] {
        let args = [&["-f", "stack.yml", "-f", "b.yml", "config", "explain", "--format", "json"], path].concat();
        check("explain", &serde_json::from_str(&env.run(&args).success()).unwrap());
    }
}

#[test]
fn what_commands_print_is_valid() {
    let env = TestEnv::new();
    check("version", &serde_json::from_str(&env.run(&["version", "--format", "json"]).success()).unwrap());
    let _engine = FakeEngine::start(&env.run_folder(), |request, _| {
        match request {
        "GET /v1/projects" => {
            vec![Some(json!([{ "name": "demo", "states": { "running": 2 }, "files": ["/a/stack.yml"] }]).to_string())]
        }
        "GET /v1/projects/demo/containers" => {
            vec![Some(json!([summary("demo-web-1", "web", "running"), summary("demo-db-1", "db", "exited")]).to_string())]
        }
        "GET /v1/images" => vec![Some(
            json!([
                { "id": "sha256:00", "references": ["docker.io/library/redis:7"], "digest": "sha256:11", "size": 5, "created": 0 },
                { "id": "sha256:01", "references": [], "digest": "", "size": 0, "created": null }
            ])
            .to_string(),
        )],
        "POST /v1/projects/demo/stop" => vec![
            progress("container", "demo-web-1", "stopping"),
            event(&json!({ "event": "note", "message": "db had stopped already" })),
            progress("container", "demo-web-1", "stopped"),
            done(&json!([{ "doing": "stop", "why": "it does not want to", "hint": null }])),
        ],
        _ => Vec::new(),
    }
    });
    let array = |args: &[&str]| serde_json::from_str(&env.run(args).success()).unwrap();
    check("ls", &array(&["ls", "--format", "json"]));
    check("images", &array(&["-p", "demo", "images", "--format", "json"]));
    check_lines("image-ls", &env.run(&["image", "ls", "--format", "json"]).success());
    check_lines("ps", &env.run(&["-p", "demo", "ps", "-a", "--format", "json"]).success());
    check_lines("ps", &env.run(&["-p", "demo", "ps", "-a", "--no-trunc", "--format", "json"]).success());
    let outcome = env.run(&["-p", "demo", "--progress", "json", "stop"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    check_lines("progress", &outcome.stderr);
}

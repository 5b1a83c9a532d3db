//! `config`: the model, lists of names, and problems as data.

use serde_json::{Value, json};

use crate::engine::FakeEngine;
use crate::env::TestEnv;
use crate::operations::{done, event};

/// Returns the lines of standard error as JSON.
#[track_caller]
fn objects(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"))).collect()
}

#[test]
fn problems_are_data_where_json_is_asked_for() {
    let env = TestEnv::new();
    env.write("stack.yml", "services:\n  web:\n    prots: []\n    hostname: a$TAG\n    image: a\n");
    let error = json!({
        "error": true, "severity": "error", "message": "`services.web` has no attribute `prots`", "file": "stack.yml",
        "line": 3, "column": 5, "end_line": 3, "end_column": 10, "label": "unknown", "help": "did you mean `ports`?",
    });
    for args in [
        &["config", "--format", "json"][..],
        &["config", "--format", "json", "--quiet"],
        &["ps", "--format", "json"],
        &["--progress", "json", "up"],
        &["logs", "--progress", "json"],
    ] {
        let said = objects(&env.run(args).failure(1));
        let (warnings, errors): (Vec<&Value>, Vec<&Value>) = said.iter().partition(|one| one["severity"] == "warning");
        assert_eq!(errors, [&error], "{args:?}");
        assert!(!warnings.is_empty() && warnings.iter().all(|one| one["line"] == 4), "{args:?}: {said:?}");
    }
    // What is wrong with the command line has no place.
    env.write("stack.yml", "services: {web: {image: a}}");
    let said = objects(&env.run(&["config", "--format", "json", "wbe"]).failure(1));
    assert!(said[0]["message"].as_str().unwrap().contains("wbe"), "{said:?}");
}

#[test]
fn what_seems_wrong_is_said_and_changes_nothing() {
    let env = TestEnv::new();
    let service = |mask: &str| format!("services:\n  web:\n    image: a\n    environment: {{UMASK: {mask}}}\n");
    env.write("stack.yml", &service("022"));
    let plain = env.run(&["config"]);
    assert!(plain.stderr.contains("022 without quotes is a number"), "{plain:?}");
    env.write("quoted.yml", &service("'18'"));
    assert_eq!(plain.success(), env.run(&["-f", "quoted.yml", "config"]).success());
    env.write("stack.yml", &service("022"));
    for args in [&["config", "--services"][..], &["ps"]] {
        let quiet = env.run(args);
        assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""), "{args:?}");
    }
    let checked = env.run(&["config", "-q", "--format", "json"]);
    assert_eq!((checked.status, checked.stdout.as_str()), (0, ""));
    assert_eq!(objects(&checked.stderr).len(), 1);
}

const FILE: &str = "name: demo
services:
  web:
    image: app:${TAG:-1}
    environment: {A: $ONE, B: '${TWO:?needed}', C: '${THREE-x${FOUR:+four}}', D: '${TAG}'}
    env_file: [{path: missing.env, required: false}]
  db: {image: db, volumes: ['data:/data']}
  job: {image: job, profiles: [x]}
volumes: {data: , more: }
networks: {front: }
models: {small: {model: ai/small}}
";

#[test]
fn lists_are_told_in_the_order_of_names() {
    let env = TestEnv::new();
    env.write("stack.yml", FILE);
    env.write(".env", "ONE=1\nTWO=2\n");
    let check = |args: &[&str], expected: &str| {
        let args: Vec<&str> = ["config"].iter().chain(args).copied().collect();
        assert_eq!(env.run(&args).success(), expected, "{args:?}");
    };
    check(&["--services"], "db\nweb\n");
    check(&["--volumes"], "data\n");
    check(&["--profiles"], "x\n");
    check(&["--images"], "app:1\ndb\n");
    check(&["--images", "web"], "app:1\n");
    // As in Compose, names of services narrow no other list, and the first of several is told.
    check(&["--services", "nope"], "db\nweb\n");
    check(&["--volumes", "--services"], "db\nweb\n");
    let environment = env.run(&["config", "--environment"]).success();
    assert!(
        environment.contains("COMPOSE_PROJECT_NAME=demo\n") && environment.contains("ONE=1\nPATH="),
        "{environment}"
    );
    check(&["--services", "--quiet"], "");
}

#[test]
fn variables_are_told_without_their_values() {
    let env = TestEnv::new();
    env.write("stack.yml", FILE);
    insta::assert_snapshot!(env.run(&["config", "--variables"]).success().replace(" \n", "|\n"), @r#"
    NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE
    FOUR                false                                   four
    ONE                 false                                  |
    TAG                 false               1                  |
    THREE               false               x${FOUR:+four}     |
    TWO                 true                                   |
    "#);
    let json: Value = serde_json::from_str(&env.run(&["config", "--variables", "--format", "json"]).success()).unwrap();
    let two = json!({ "Name": "TWO", "DefaultValue": "", "PresenceValue": "", "Required": true });
    assert_eq!((&json["TWO"], &json["TAG"]["DefaultValue"]), (&two, &"1".into()));
    let yaml = env.run(&["config", "--variables", "--format", "yaml"]).success();
    assert!(
        yaml.starts_with("FOUR:\n  defaultvalue: \"\"\n  name: FOUR\n  presencevalue: four\n  required: false\n"),
        "{yaml}"
    );
    let said = env.run(&["config", "--variables", "web"]);
    assert!(said.stderr.contains("all services are printed"), "{said:?}");
    assert!(env.run(&["config", "--format", "table"]).failure(1).contains("--variables"));
}

#[test]
fn hashes_follow_what_containers_are_made_from() {
    let env = TestEnv::new();
    env.write("stack.yml", FILE);
    env.write(".env", "ONE=1\nTWO=2\n");
    let hashes = |args: &[&str]| env.run(&[&["config", "--hash"], args].concat()).success();
    let all = hashes(&["*"]);
    let lines: Vec<(&str, &str)> = all.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line.0).collect::<Vec<_>>(), ["db", "web"]);
    assert!(lines.iter().all(|(_, hash)| hash.len() == 64), "{all}");
    assert_eq!(hashes(&["web,db"]), all);
    assert_eq!(hashes(&["db"]), format!("db {}\n", lines[0].1));
    env.write(".env", "ONE=one\nTWO=2\n");
    let changed = hashes(&["*"]);
    assert_eq!(changed.lines().next(), all.lines().next());
    assert_ne!(changed, all);
    let said = env.run(&["config", "--hash", "wbe"]).failure(1);
    assert!(said.contains("no such service: wbe") && said.contains("did you mean \"web\"?"), "{said}");
}

#[test]
fn phases_can_be_left_out() {
    let env = TestEnv::new();
    env.write("e.env", "FROM=file\n");
    env.write("stack.yml", "services: {web: {image: a, env_file: e.env, networks: [gone], volumes: ['./d:/d']}}");
    let said = env.run(&["config"]).failure(1);
    assert!(said.contains("the network `gone`"), "{said}");
    let flags = ["--no-consistency", "--no-normalize", "--no-path-resolution", "--no-env-resolution"];
    insta::assert_snapshot!(env.run(&[&["config"], &flags[..]].concat()).success(), @r"
    name: work
    services:
      web:
        env_file:
          - path: e.env
            required: true
        image: a
        networks:
          gone: null
        volumes:
          - type: bind
            source: ./d
            target: /d
            bind:
              create_host_path: true
    ");
}

#[test]
fn images_are_pinned_by_the_digests_of_their_registries() {
    let env = TestEnv::new();
    let script = |request: &str, body: &str| {
        let asked: Value = serde_json::from_str(body).unwrap_or_default();
        match request {
            "POST /v1/images/resolve" => {
                let note = |r: &Value| {
                    event(&json!({ "event": "note", "message": format!("{0} {0}@sha256:00", r.as_str().unwrap()) }))
                };
                let notes = asked["references"].as_array().unwrap().iter().map(note);
                notes.chain([done(&json!([]))]).collect()
            }
            _ => Vec::new(),
        }
    };
    let _engine = FakeEngine::start(&env.run_folder(), script);
    env.write(
        "stack.yml",
        "services:\n  web: {image: 'app:1', command: run, volumes: [{type: image, source: tools, target: /t}, './d:/d']}\n  db: {image: 'db:2'}\n",
    );
    let whole = env.run(&["config", "--resolve-image-digests"]).success();
    for expected in ["image: app:1@sha256:00", "image: db:2@sha256:00", "source: tools@sha256:00", "- run"] {
        assert!(whole.contains(expected), "{whole}");
    }
    insta::assert_snapshot!(env.run(&["config", "--lock-image-digests"]).success(), @r"
    services:
      db:
        image: db:2@sha256:00
      web:
        image: app:1@sha256:00
        volumes:
          - type: image
            source: tools@sha256:00
            target: /t
    ");
}

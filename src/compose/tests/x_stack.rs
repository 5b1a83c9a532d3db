//! `x-stack`: read into the model, printed as it was written, its mistakes told when the project runs.

use serde_json::json;

use super::{advise, config, diagnose, diagnose_running, load_files};
use crate::compose::model::{WatchMode, XStack};
use crate::diag::Severity;
use crate::spec::Ready;

/// Compares what a service `web` has when its and the file's `x-stack` are these.
fn check(of_file: &str, of_service: &str, ready: Option<&str>, watch: Option<WatchMode>) {
    let text = format!("x-stack: {of_file}\nservices:\n  web:\n    image: x\n    x-stack: {of_service}\n");
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
    let errors = loaded.unsupported.iter().filter(|d| d.severity == Severity::Error).count();
    assert!(loaded.diagnostics.is_empty() && errors == 0, "{loaded:?}");
    let web = loaded.project.unwrap().services["web"].clone();
    assert_eq!(web.x_stack, XStack { ready: ready.map(|text| text.parse().unwrap()), watch }, "{text}");
}

#[test]
fn every_form_arrives_in_the_model_and_the_service_wins_over_the_file() {
    let restart = Some(WatchMode::Restart);
    check("{}", "{ready: auto}", Some("auto"), None);
    check("{}", "{ready: none, watch: restart}", Some("none"), restart);
    check("", "{ready: tcp:6379}", Some("tcp:6379"), None);
    check("", "{ready: 'http:8080/health?full=1'}", Some("http:8080/health?full=1"), None);
    check("", "{ready: http:80}", Some("http:80/"), None);
    check("", "{ready: 'log:ready to accept|done$$'}", Some("log:ready to accept|done$"), None);
    check("{ready: auto, watch: restart}", "", Some("auto"), restart);
    check("{ready: auto}", "{watch: restart}", Some("auto"), restart);
    check("{ready: auto}", "{ready: none}", Some("none"), None);
    check("{x-note: mine}", "{x-note: mine}", None, None);
}

#[test]
fn rules_are_written_as_they_are_read() {
    for text in ["auto", "none", "tcp:1", "http:65535/", "http:8080/a/b", "log:a:b"] {
        assert_eq!(text.parse::<Ready>().unwrap().to_string(), text);
    }
    for text in ["", "tcp", "tcp:", "tcp:0", "tcp:70000", "tcp:+1", "http:a/", "http:80/a b", "log:", "log:(", "Auto"] {
        text.parse::<Ready>().expect_err(text);
    }
}

#[test]
fn it_is_printed_as_any_extension_is() {
    let text = "x-stack: {ready: auto}\nservices: {web: {image: x, x-stack: {ready: 'http:80', nope: [1]}}}\n";
    let printed = config(text);
    assert_eq!(printed["x-stack"], json!({"ready": "auto"}));
    // The reference's JSON has the extensions of the file only, its YAML all.
    assert_eq!(printed["services"]["web"].get("x-stack"), None);
    let tree = load_files(&[("stack.yml", text.as_bytes())], |_| {}).tree.unwrap();
    insta::assert_snapshot!(crate::compose::config_yaml(&tree), @r#"
    name: demo
    services:
      web:
        image: x
        networks:
          default: null
        x-stack:
          nope:
            - 1
          ready: http:80
    networks:
      default:
        name: demo_default
    x-stack:
      ready: auto
    "#);
}

#[test]
fn mistakes_are_told_with_what_is_allowed() {
    let text = r#"x-stack: {ready: tcp:80, raedy: auto, services: {}}
services:
  a: {image: x, x-stack: {ready: 6379, wacth: restart}}
  b: {image: x, x-stack: {ready: atuo, watch: sync}}
  c: {image: x, x-stack: {ready: 'log:(a', watch: Restart}}
  d: {image: x, x-stack: [ready]}
  e: {image: x, x-stack: {ready: true}}
  f: {image: x, x-stack: {ready: tcp:x, port: 80}}
  g: {image: x, x-stack: {ready: }}
"#;
    insta::assert_snapshot!(diagnose_running(text), @r#"
    stack.yml:1:18 `tcp:80` error: for all services `ready` can be auto or none, not "tcp:80"
        other rules belong into a service: services.NAME.x-stack.ready
    stack.yml:1:26 `raedy` error: `x-stack` has no attribute `raedy` (unknown)
        did you mean `ready`?
    stack.yml:1:39 `services` error: `x-stack` has no attribute `services` (unknown)
        a project's x-stack takes `ready`, `watch`
    stack.yml:3:34 `6379` error: "6379" is not a rule of readiness: auto, tcp:PORT, http:PORT/PATH, log:REGEX or none
        did you mean tcp:6379?
    stack.yml:3:40 `wacth` error: `x-stack` has no attribute `wacth` (unknown)
        did you mean `watch`?
    stack.yml:4:34 `atuo` error: "atuo" is not a rule of readiness: auto, tcp:PORT, http:PORT/PATH, log:REGEX or none
        did you mean `auto`?
    stack.yml:4:47 `sync` error: "sync" is not a value that `watch` can have
        write `restart`, or rules of your own in `develop.watch`
    stack.yml:5:34 `'log:(a'` error: "log:(a" is not log:REGEX with a regular expression
        error: unclosed group
    stack.yml:5:51 `Restart` error: "Restart" is not a value that `watch` can have
        did you mean `restart`?
    stack.yml:6:26 `[ready]` error: `x-stack` is a mapping
        write it as x-stack: {ready: auto}
    stack.yml:7:34 `true` error: "true" is not a rule of readiness: auto, tcp:PORT, http:PORT/PATH, log:REGEX or none
        did you mean `auto`?
    stack.yml:8:34 `tcp:x` error: "tcp:x" is not tcp:PORT with a port from 1 to 65535
        `ready` is auto, tcp:PORT, http:PORT/PATH, log:REGEX or none
    stack.yml:8:41 `port` error: `x-stack` has no attribute `port` (unknown)
        a service's x-stack takes `ready`, `watch`
    stack.yml:9:32 `` error: "" is not a rule of readiness: auto, tcp:PORT, http:PORT/PATH, log:REGEX or none
        `ready` is auto, tcp:PORT, http:PORT/PATH, log:REGEX or none
    "#);
}

#[test]
fn what_belongs_into_it_is_shown_the_way() {
    insta::assert_snapshot!(diagnose("services: {a: {image: x, ready: auto}}"), @r#"
    stack.yml:1:26 `ready` error: `services.a` has no attribute `ready` (unknown)
        did you mean `x-stack.ready`?
    "#);
    insta::assert_snapshot!(advise("services: {a: {image: x, x-stak: {ready: auto}}}\nx-stcak: {watch: restart}\nx-slack: {}"), @r#"
    stack.yml:1:26 `x-stak` warning: nothing reads the extension `x-stak`
        did you mean `x-stack`?
    stack.yml:2:1 `x-stcak` warning: nothing reads the extension `x-stcak`
        did you mean `x-stack`?
    "#);
}

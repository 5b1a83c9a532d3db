//! With a played engine: requests, progress, failures, logs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::engine::{FakeEngine, Script};
use crate::env::TestEnv;

pub(crate) fn summary(name: &str, service: &str, state: &str) -> Value {
    json!({
        "id": "ab".repeat(32), "name": name, "project": "demo", "service": service, "number": 1, "one_off": false,
        "image": "redis:7", "command": ["redis-server"], "created": 0, "state": state, "health": "", "exit_code": 0,
        "since": 0, "restarts": 0, "publishers": [
            { "url": "0.0.0.0", "target_port": 6379, "published_port": 16379, "protocol": "tcp" }
        ],
        "exposed": [], "labels": {}, "networks": ["demo_default"], "mounts": []
    })
}

pub(crate) fn log(container: &str, stream: &str, text: &str) -> Option<String> {
    let service = container.split('-').nth(1).unwrap();
    let line = json!({
        "container": container, "service": service, "number": 1, "stream": stream,
        "time_ns": 1_700_000_000_000_000_000_i64, "text": text
    });
    Some(format!("{line}\n"))
}

pub(crate) fn event(event: &Value) -> Option<String> {
    Some(format!("{event}\n"))
}

pub(crate) fn progress(kind: &str, name: &str, status: &str) -> Option<String> {
    event(&json!({ "event": "progress", "resource": { "kind": kind, "name": name }, "status": status }))
}

pub(crate) fn done(errors: &Value) -> Option<String> {
    event(&json!({ "event": "done", "errors": errors }))
}

fn script(request: &str, _body: &str) -> Vec<Option<String>> {
    match request {
        "GET /v1/projects/demo/containers" => {
            let list = json!([summary("demo-web-1", "web", "running"), summary("demo-db-1", "db", "exited")]);
            vec![Some(list.to_string())]
        }
        "POST /v1/projects/demo/stop" => vec![
            progress("container", "demo-web-1", "stopping"),
            event(&json!({ "event": "note", "message": "db had stopped already" })),
            progress("container", "demo-web-1", "stopped"),
            done(&json!([])),
        ],
        "POST /v1/projects/demo/start" => vec![
            progress("container", "demo-web-1", "error"),
            done(&json!([{
                "doing": "start container \"demo-web-1\"", "why": "port 80 is in use by nginx (pid 12)",
                "hint": "stop it, or publish another port"
            }])),
        ],
        "POST /v1/projects/demo/kill" => vec![progress("container", "demo-web-1", "killing")],
        "POST /v1/logs" => vec![
            log("demo-web-1", "stdout", "hello\n"),
            log("demo-db-1", "stdout", "no line feed"),
            log("demo-web-1", "stderr", "oops\n"),
        ],
        "DELETE /v1/images/redis:7" => vec![Some(String::new())],
        "POST /v1/images/load" => {
            vec![event(&json!({ "event": "note", "message": "Loaded image: app:1" })), done(&json!([]))]
        }
        _ => vec![],
    }
}

fn with(script: Script) -> (TestEnv, FakeEngine) {
    let env = TestEnv::new();
    let engine = FakeEngine::start(&env.run_folder(), script);
    (env, engine)
}

#[test]
fn an_operation_prints_a_line_for_each_change() {
    let (env, engine) = with(script);
    let stop = env.run(&["-p", "demo", "stop", "-t", "3", "web"]);
    assert_eq!(
        stop.stderr,
        " Container demo-web-1  Stopping\nnote: db had stopped already\n Container demo-web-1  Stopped\n"
    );
    assert_eq!(stop.success(), "");
    let (request, body) = engine.requests().remove(0);
    assert_eq!(request, "POST /v1/projects/demo/stop");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["timeout"], &body["services"]), (&json!(3), &json!(["web"])));

    let quiet = env.run(&["-p", "demo", "--progress", "quiet", "stop"]);
    assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""));
    let json = env.run(&["-p", "demo", "stop", "--progress", "json"]);
    let first = "{\"id\":\"Container demo-web-1\",\"status\":\"Working\",\"text\":\"Stopping\"}\n";
    assert!(json.status == 0 && json.stderr.starts_with(first), "{json:?}");
}

#[test]
fn failures_come_with_their_hints() {
    let (env, _engine) = with(script);
    let said = env.run(&["-p", "demo", "start"]).failure(1);
    assert_eq!(
        said,
        " Container demo-web-1  Error\n\
         error: start container \"demo-web-1\": port 80 is in use by nginx (pid 12)\n\
         hint: stop it, or publish another port\n"
    );
}

#[test]
fn an_engine_that_breaks_off_is_asked_once_more() {
    let (env, engine) = with(script);
    let said = env.run(&["-p", "demo", "kill"]).failure(1);
    assert!(said.contains("warning: the engine ended in the middle; starting it again to go on\n"), "{said}");
    assert!(said.contains("error: the engine ended in the middle of the operation\nhint: "), "{said}");
    assert_eq!(engine.requests().len(), 2);
}

#[test]
fn containers_are_listed_in_each_form() {
    let (env, _engine) = with(script);
    let table = env.run(&["-p", "demo", "ps"]).success();
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("0.0.0.0:16379->6379/tcp"), "{table}");
    assert_eq!(env.run(&["-p", "demo", "ps", "-aq"]).success(), format!("{0}\n{0}\n", "ab".repeat(32)));
    assert_eq!(env.run(&["-p", "demo", "ps", "-a", "--services"]).success(), "db\nweb\n");
    assert_eq!(env.run(&["-p", "demo", "ps", "--status", "exited", "--services"]).success(), "db\n");
    let json = env.run(&["-p", "demo", "ps", "--format", "json"]).success();
    let object: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&object["Service"], &object["Publishers"][0]["PublishedPort"]), (&json!("web"), &json!(16379)));
    assert_eq!(env.run(&["-p", "demo", "port", "web", "6379"]).success(), "0.0.0.0:16379\n");
    let said = env.run(&["-p", "demo", "port", "web", "80"]).failure(1);
    assert_eq!(said, "error: no port 80/tcp for container demo-web-1\nhint: it has 0.0.0.0:16379->6379/tcp\n");
}

#[test]
fn log_lines_are_prefixed_and_streams_stay_apart() {
    let (env, engine) = with(script);
    let logs = env.run(&["-p", "demo", "logs", "-n", "5", "web", "db"]);
    assert_eq!(logs.stdout, "web-1  | hello\ndb-1   | no line feed\n");
    assert_eq!((logs.status, logs.stderr.as_str()), (0, "web-1  | oops\n"));
    let (_, body) = engine.requests().pop().unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["tail"], &body["services"]), (&json!(5), &json!(["web", "db"])));
    let plain = env.run(&["-p", "demo", "logs", "--no-log-prefix", "-t"]);
    assert!(plain.stdout.starts_with("2023-11-14T22:13:20.000000000Z hello\n"), "{plain:?}");
    let coloured = env.run(&["-p", "demo", "--ansi", "always", "logs"]);
    assert!(coloured.stdout.contains("\x1b["), "{coloured:?}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    fn endless(request: &str, body: &str) -> Vec<Option<String>> {
        match request {
            "POST /v1/logs" => (0..20_000).map(|_| log("demo-web-1", "stdout", "hello\n")).chain([None]).collect(),
            _ => script(request, body),
        }
    }
    let (env, _engine) = with(endless);
    let mut child =
        env.command(&["-p", "demo", "logs", "-f"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "web-1  | hello\n");
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn images_are_removed_and_loaded() {
    let (env, engine) = with(script);
    assert_eq!(env.run(&["image", "rm", "redis:7"]).success(), "Removed: redis:7\n");
    env.write("app.tar", "");
    assert_eq!(env.run(&["image", "load", "-i", "app.tar"]).success(), "Loaded image: app:1\n");
    let (_, body) = engine.requests().pop().unwrap();
    assert_eq!(body, json!({ "path": env.work().join("app.tar") }).to_string());
    let said = env.run(&["image", "load", "-i", "none.tar"]).failure(1);
    assert_eq!(said, "error: cannot read none.tar: No such file or directory (os error 2)\n");
    let said = env.run(&["image", "rm", "nope", "redis:7"]).failure_with("Removed: redis:7\n", 1);
    assert!(said.starts_with("error: the engine answered 404"), "{said}");
}

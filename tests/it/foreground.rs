//! `up`: in the background, and in the foreground until the containers end or Ctrl-C.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::engine::{FakeEngine, Script};
use crate::env::{Outcome, TestEnv};
use crate::operations::{done, event, log, progress, summary};

const STACK: &str = "name: demo\nservices:\n  web:\n    image: redis:7\n  db:\n    image: redis:7\n";

fn container(name: &str, service: &str, action: Value) -> Option<String> {
    let mut object = json!({
        "event": "container", "time_ns": 1, "project": "demo", "service": service, "name": name, "id": "ab".repeat(32)
    });
    object["action"] = action;
    event(&object)
}

fn die(name: &str, service: &str, code: i32) -> Option<String> {
    container(name, service, json!({ "action": "die", "exit_code": code, "oom": false, "restart_in_ms": null }))
}

/// Two containers run; their output never ends.
fn running(request: &str, _body: &str) -> Vec<Option<String>> {
    match request {
        "POST /v1/projects/demo/up" => vec![progress("container", "demo-web-1", "started"), done(&json!([]))],
        "GET /v1/projects/demo/containers" => {
            let list = json!([summary("demo-web-1", "web", "running"), summary("demo-db-1", "db", "running")]);
            vec![Some(list.to_string())]
        }
        "GET /v1/events?project=demo" => vec![None],
        "POST /v1/logs" => vec![log("demo-web-1", "stdout", "hello\n"), None],
        "POST /v1/projects/demo/stop" | "POST /v1/projects/demo/kill" => {
            vec![progress("container", "demo-web-1", "stopped"), done(&json!([]))]
        }
        _ => vec![],
    }
}

fn with(script: Script) -> (TestEnv, FakeEngine) {
    let env = TestEnv::new();
    env.write("stack.yml", STACK);
    let engine = FakeEngine::start(&env.run_folder(), script);
    (env, engine)
}

fn paths(engine: &FakeEngine) -> Vec<String> {
    engine.requests().into_iter().map(|(request, _)| request).collect()
}

#[test]
fn in_the_background_only_the_operation_is_shown() {
    let (env, engine) = with(running);
    let up = env.run(&["up", "-f", "stack.yml", "-d", "--scale", "web=2", "-t", "5"]);
    assert_eq!(up.stderr, " Container demo-web-1  Started\n");
    assert_eq!(up.success(), "");
    let (request, body) = engine.requests().remove(0);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(request, "POST /v1/projects/demo/up");
    assert_eq!((&body["scale"], &body["start"], &body["timeout"]), (&json!({ "web": 2 }), &json!(true), &json!(5)));
    let said = env.run(&["up", "-d", "wbe"]).failure(1);
    assert_eq!(said, "error: no such service: wbe\nhint: did you mean \"web\"?\n");
}

#[test]
fn in_the_foreground_it_ends_when_all_containers_have() {
    fn ending(request: &str, body: &str) -> Vec<Option<String>> {
        match request {
            "GET /v1/events?project=demo" => {
                vec![die("demo-db-1", "db", 0), die("demo-web-1", "web", 3), None]
            }
            _ => running(request, body),
        }
    }
    let (env, _engine) = with(ending);
    let up = env.run(&["up"]);
    let mut lines: Vec<&str> = up.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["db-1 exited with code 0", "web-1  | hello", "web-1 exited with code 3"], "{up:?}");
    assert!(up.stderr.contains("Attaching to db-1, web-1\n"), "{up:?}");
    assert_eq!(up.status, 0);
    // The status of a service becomes ours where that is wanted.
    let up = env.run(&["up", "--exit-code-from", "web"]);
    assert_eq!(up.status, 3, "{up:?}");
    let up = env.run(&["up", "--no-attach", "web", "--no-log-prefix"]);
    assert!(up.stderr.contains("Attaching to db-1\n"), "{up:?}");
}

#[test]
fn a_container_that_fails_ends_everything_when_asked_to() {
    fn failing(request: &str, body: &str) -> Vec<Option<String>> {
        match request {
            "GET /v1/events?project=demo" => vec![die("demo-web-1", "web", 7), None],
            _ => running(request, body),
        }
    }
    let (env, engine) = with(failing);
    let up = env.run(&["up", "--abort-on-container-failure"]);
    assert_eq!(up.status, 7, "{up:?}");
    assert!(up.stderr.contains("Aborting on container failure...\n"), "{up:?}");
    assert!(paths(&engine).contains(&"POST /v1/projects/demo/stop".to_owned()));
}

#[test]
fn a_failed_start_attaches_to_nothing() {
    fn failing(request: &str, body: &str) -> Vec<Option<String>> {
        match request {
            "POST /v1/projects/demo/up" => {
                vec![done(&json!([{ "doing": "pull redis:7", "why": "no route to host", "hint": null }]))]
            }
            _ => running(request, body),
        }
    }
    let (env, engine) = with(failing);
    assert_eq!(env.run(&["up"]).failure(1), "error: pull redis:7: no route to host\n");
    assert!(!paths(&engine).contains(&"POST /v1/logs".to_owned()));
}

/// A program whose output is read as it comes.
struct Foreground {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Foreground {
    fn start(env: &TestEnv, args: &[&str]) -> Self {
        let mut child = env.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn interrupt(&self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
    }

    fn end(mut self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("it did not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Outcome { status: status.code().unwrap_or(-1), stdout, stderr }
    }
}

fn wait_for(engine: &FakeEngine, path: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !paths(engine).iter().any(|p| p == path) {
        assert!(Instant::now() < deadline, "no {path} came: {:?}", paths(engine));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn ctrl_c_stops_and_a_second_one_kills() {
    fn stubborn(request: &str, body: &str) -> Vec<Option<String>> {
        match request {
            "POST /v1/projects/demo/stop" => vec![progress("container", "demo-web-1", "stopping"), None],
            _ => running(request, body),
        }
    }
    let (env, engine) = with(running);
    let mut up = Foreground::start(&env, &["up"]);
    assert_eq!(up.line(), "web-1  | hello\n");
    up.interrupt();
    let outcome = up.end();
    assert_eq!(outcome.status, 130, "{outcome:?}");
    assert!(outcome.stderr.contains("Gracefully Stopping... press Ctrl+C again to force\n"), "{outcome:?}");
    assert!(!paths(&engine).contains(&"POST /v1/projects/demo/kill".to_owned()));

    let (env, engine) = with(stubborn);
    let mut up = Foreground::start(&env, &["up"]);
    assert_eq!(up.line(), "web-1  | hello\n");
    up.interrupt();
    wait_for(&engine, "POST /v1/projects/demo/stop");
    up.interrupt();
    assert_eq!(up.end().status, 130);
    assert_eq!(paths(&engine).last().map(String::as_str), Some("POST /v1/projects/demo/kill"));
}

#[test]
fn ctrl_c_before_all_is_up_stops_what_was_started() {
    fn slow(request: &str, body: &str) -> Vec<Option<String>> {
        match request {
            "POST /v1/projects/demo/up" => vec![progress("container", "demo-web-1", "starting"), None],
            _ => running(request, body),
        }
    }
    let (env, engine) = with(slow);
    let up = Foreground::start(&env, &["up"]);
    wait_for(&engine, "POST /v1/projects/demo/up");
    up.interrupt();
    assert_eq!(up.end().status, 130);
    assert_eq!(paths(&engine).last().map(String::as_str), Some("POST /v1/projects/demo/stop"));
}

#[test]
fn an_engine_that_goes_is_named_and_the_containers_run_on() {
    fn going(request: &str, body: &str) -> Vec<Option<String>> {
        match request {
            "GET /v1/events?project=demo" => vec![Some("\n".to_owned())],
            _ => running(request, body),
        }
    }
    let (env, _engine) = with(going);
    let up = env.run(&["up"]);
    assert_eq!(up.status, 1, "{up:?}");
    assert!(
        up.stderr
            .ends_with("error: the engine ended; the containers run on\nhint: show their output with: stack logs -f\n")
    );
}

//! `exec`: streams, exit status, and programs that do not start; the shim is played.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::engine::FakeEngine;
use crate::env::TestEnv;
use crate::operations::summary;

const CONTROL: u8 = 0;
const STDIN: u8 = 1;
const STDOUT: u8 = 2;
const STDERR: u8 = 3;

fn script(request: &str, _body: &str) -> Vec<Option<String>> {
    match request {
        "GET /v1/projects/demo/containers" => {
            let list = json!([summary("demo-web-1", "web", "running"), summary("demo-db-1", "db", "exited")]);
            vec![Some(list.to_string())]
        }
        shim if shim.ends_with("/shim") => {
            let id = "ab".repeat(32);
            // Found from the folder that the program runs in.
            let address = json!({ "id": id, "name": "demo-web-1", "socket": "../work/shim.sock", "tty": false });
            vec![Some(address.to_string())]
        }
        _ => vec![],
    }
}

struct Session(UnixStream);

impl Session {
    fn read(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 6];
        self.0.read_exact(&mut header).unwrap();
        let [a, b, c, d, kind, fds] = header;
        assert_eq!(fds, 0);
        let mut payload = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
        self.0.read_exact(&mut payload).unwrap();
        (kind, payload)
    }

    fn control(&mut self) -> Value {
        let (kind, payload) = self.read();
        assert_eq!(kind, CONTROL);
        serde_json::from_slice(&payload).unwrap()
    }

    fn write(&mut self, kind: u8, payload: &[u8]) {
        let [a, b, c, d] = (payload.len() as u32).to_le_bytes();
        self.0.write_all(&[&[a, b, c, d, kind, 0], payload].concat()).unwrap();
    }

    fn say(&mut self, message: &Value) {
        self.write(CONTROL, message.to_string().as_bytes());
    }
}

/// Plays the shim for one session; returns what `play` returns.
fn with<T: Send + 'static>(play: fn(Session) -> T) -> (TestEnv, FakeEngine, JoinHandle<T>) {
    let env = TestEnv::new();
    let engine = FakeEngine::start(&env.run_folder(), script);
    let listener = UnixListener::bind(env.work().join("shim.sock")).unwrap();
    let shim = std::thread::spawn(move || play(Session(listener.accept().unwrap().0)));
    (env, engine, shim)
}

#[test]
fn streams_and_status_pass_through() {
    let (env, _engine, shim) = with(|mut session| {
        let hello = session.control();
        session.say(&json!({ "Started": { "tty": false } }));
        let mut input = Vec::new();
        loop {
            match session.read() {
                (STDIN, piece) if piece.is_empty() => break,
                (STDIN, piece) => input.extend(piece),
                other => panic!("{other:?}"),
            }
        }
        session.write(STDOUT, &input);
        session.write(STDERR, b"warned\n");
        session.say(&json!({ "Ended": 42 }));
        hello
    });
    let mut command = env.command(&[
        "-p", "demo", "exec", "-u", "app", "-e", "A=1", "-e", "GIVEN", "-e", "UNSET", "-w", "/srv", "web", "cat", "-n",
    ]);
    let mut child =
        command.env("GIVEN", "x").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "warned\n");
    assert_eq!(output.status.code(), Some(42));
    let exec = &shim.join().unwrap()["Exec"];
    assert_eq!(exec["argv"], json!(["cat", "-n"]));
    assert_eq!(exec["env"], json!(["A=1", "GIVEN=x"]));
    assert_eq!((&exec["user"], &exec["cwd"], &exec["tty"]), (&json!("app"), &json!("/srv"), &json!(false)));
}

#[test]
fn a_program_that_does_not_start_has_the_status_of_a_shell() {
    let (env, _engine, shim) = with(|mut session| {
        session.control();
        session.say(&json!({ "Failed": {
            "step": "execute \"bash\"", "why": "No such file or directory", "errno": 2,
            "hint": "the image has sh", "exit_code": 127
        } }));
    });
    let said = env.run(&["-p", "demo", "exec", "web", "bash"]).failure(127);
    assert_eq!(said, "error: failed to execute \"bash\": No such file or directory\nhint: the image has sh\n");
    shim.join().unwrap();
}

#[test]
fn in_the_background_nobody_waits() {
    let (env, _engine, shim) = with(|mut session| {
        let hello = session.control();
        session.say(&json!({ "Started": { "tty": false } }));
        (hello["Exec"]["detach"].clone(), hello["Exec"]["interactive"].clone())
    });
    assert_eq!(env.run(&["-p", "demo", "exec", "-d", "web", "sleep", "9"]).success(), "");
    assert_eq!(shim.join().unwrap(), (json!(true), json!(false)));
}

#[test]
fn a_container_that_is_gone_is_named() {
    let env = TestEnv::new();
    let _engine = FakeEngine::start(&env.run_folder(), script);
    let said = env.run(&["-p", "demo", "exec", "db", "true"]).failure(1);
    assert!(said.starts_with("error: container demo-db-1 is not running: it is exited\nhint: "), "{said}");
    let said = env.run(&["-p", "demo", "exec", "--index", "2", "web", "true"]).failure(1);
    assert_eq!(said, "error: service \"web\" has no container #2\n");
    let said = env.run(&["-p", "demo", "exec", "web", "true"]).failure(1);
    assert!(said.starts_with("error: the container is not running"), "{said}");
}

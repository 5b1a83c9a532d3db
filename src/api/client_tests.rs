//! The client against an engine that is played here.

use std::convert::Infallible;
use std::path::Path;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;
use crate::event::Event;

fn folders() -> (TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths { root: dir.path().join("root"), run: dir.path().join("run") };
    std::fs::create_dir_all(&paths.run).unwrap();
    (dir, paths)
}

fn starter(script: &str) -> Starter {
    Starter {
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".to_owned(), script.to_owned()],
        limit: Duration::from_secs(5),
    }
}

/// Answers each request with what `answer` makes of method, path and body; returns when dropped.
fn serve(socket: &Path, answer: fn(&str, &str, &str) -> (u16, String)) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<Incoming>| async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let text = String::from_utf8_lossy(&body).into_owned();
                let (status, text) = answer(parts.method.as_str(), &parts.uri.to_string(), &text);
                let response = Response::builder().status(status).body(Full::new(Bytes::from(text))).unwrap();
                Ok::<_, Infallible>(response)
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

fn version(api: u32) -> String {
    serde_json::to_string(&Version { api, program: "9.9.9".to_owned(), pid: 42 }).unwrap()
}

fn answer(method: &str, path: &str, body: &str) -> (u16, String) {
    match (method, path) {
        ("GET", "/v1/version") => (200, version(VERSION)),
        ("GET", "/v1/images/docker.io%2Flibrary%2Fredis:7") => (200, "{\"Id\":1}".to_owned()),
        ("POST", "/v1/projects/demo/up") => {
            let note = serde_json::to_string(&Event::Note { message: body.to_owned() }).unwrap();
            (200, format!("{note}\n\n{{\"event\":\"done\",\"errors\":[]}}\n"))
        }
        ("POST", "/v1/projects/demo/stop") => (200, "{\"event\":\"note\",\"mess".to_owned()),
        ("DELETE", _) => (409, "{\"message\":\"image redis:7 is in use\",\"hint\":\"stack down\"}".to_owned()),
        _ => (404, "gone".to_owned()),
    }
}

#[tokio::test]
async fn objects_and_streams_are_read() {
    let (_dir, paths) = folders();
    serve(&paths.socket(), answer);
    let client = Client::connect(&paths, &starter("exit 1")).await.unwrap();
    assert_eq!(client.version().program, "9.9.9");
    let image: serde_json::Value =
        client.get(&format!("/v1/images/{}", escape("docker.io/library/redis:7"))).await.unwrap();
    assert_eq!(image["Id"], 1);
    let mut events = client.post::<_, Event>("/v1/projects/demo/up", &[1]).await.unwrap();
    assert_eq!(events.next().await.unwrap(), Some(Event::Note { message: "[1]".to_owned() }));
    assert!(events.ready());
    assert_eq!(events.next().await.unwrap(), Some(Event::Done { errors: Vec::new() }));
    assert_eq!(events.next().await.unwrap(), None);
}

#[tokio::test]
async fn errors_say_what_the_engine_said() {
    let (_dir, paths) = folders();
    serve(&paths.socket(), answer);
    let client = Client::connect_running(&paths).await.unwrap().unwrap();
    let err = client.delete("/v1/images/redis:7").await.unwrap_err();
    assert_eq!((err.to_string().as_str(), err.hint().as_deref()), ("image redis:7 is in use", Some("stack down")));
    let err = client.get::<u32>("/v1/nothing").await.unwrap_err();
    assert_eq!(err.to_string(), "the engine answered 404 to /v1/nothing: gone");
    let mut events = client.post::<_, Event>("/v1/projects/demo/stop", &()).await.unwrap();
    assert!(events.next().await.unwrap_err().lost());
}

#[tokio::test]
async fn another_version_is_named() {
    let (_dir, paths) = folders();
    serve(&paths.socket(), |_, _, _| (200, version(99)));
    let err = Client::connect(&paths, &starter("exit 1")).await.unwrap_err();
    assert!(err.to_string().contains("9.9.9 (protocol 99, process 42)"), "{err}");
    assert!(err.hint().unwrap().contains("kill 42"));
}

#[tokio::test]
async fn no_engine_is_no_failure_unless_it_is_needed() {
    let (_dir, paths) = folders();
    assert!(Client::connect_running(&paths).await.unwrap().is_none());
    // A socket that nobody listens on is left behind by an engine that was killed.
    drop(UnixListener::bind(paths.socket()).unwrap());
    assert!(Client::connect_running(&paths).await.unwrap().is_none());
}

#[tokio::test]
async fn an_engine_that_dies_while_starting_is_quoted() {
    let (_dir, paths) = folders();
    let err = Client::connect(&paths, &starter("echo first >&2; echo cannot mount >&2")).await.unwrap_err();
    assert_eq!(err.to_string(), "the engine ended while it started; it said:\n  first\n  cannot mount");
    // Only what this start said.
    let err = Client::connect(&paths, &starter("echo again >&2")).await.unwrap_err();
    assert_eq!(err.to_string(), "the engine ended while it started; it said:\n  again");
}

/// An engine that is killed whenever it is asked more than its version; the one after `lives` answers.
fn killed_when_asked(paths: &Paths, lives: usize) {
    let listener = UnixListener::bind(paths.socket()).unwrap();
    let socket = paths.socket();
    tokio::spawn(async move {
        for _ in 0..lives {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            // Its version is asked once a connection, first.
            let _ = stream.read(&mut request).await.unwrap();
            let version = version(VERSION);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{version}", version.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            let _ = stream.read(&mut request).await.unwrap();
        }
        drop(listener);
        std::fs::remove_file(&socket).unwrap();
        serve(&socket, answer);
    });
}

#[tokio::test]
async fn a_question_is_put_to_the_next_engine_when_one_goes_before_it_answers() {
    let (_dir, paths) = folders();
    killed_when_asked(&paths, 2);
    let client = Client::connect(&paths, &starter("echo ready")).await.unwrap();
    let image: serde_json::Value = client.get("/v1/images/docker.io%2Flibrary%2Fredis:7").await.unwrap();
    assert_eq!(image["Id"], 1);

    let (_dir, paths) = folders();
    killed_when_asked(&paths, 1);
    let client = Client::connect(&paths, &starter("echo ready")).await.unwrap();
    let mut lines = client.ask::<_, Event>("/v1/projects/demo/up", &[1]).await.unwrap();
    assert_eq!(lines.next().await.unwrap(), Some(Event::Note { message: "[1]".to_owned() }));
}

#[tokio::test]
async fn what_changes_something_is_not_asked_twice_and_no_question_for_ever() {
    let (_dir, paths) = folders();
    killed_when_asked(&paths, 1);
    let client = Client::connect(&paths, &starter("echo ready")).await.unwrap();
    assert!(client.post::<_, Event>("/v1/projects/demo/up", &[1]).await.unwrap_err().lost());

    let (_dir, paths) = folders();
    killed_when_asked(&paths, 100);
    let client = Client::connect(&paths, &starter("echo ready")).await.unwrap();
    assert!(client.get::<serde_json::Value>("/v1/images").await.unwrap_err().lost());
}

#[tokio::test]
async fn a_silent_engine_is_waited_for_only_so_long() {
    let (_dir, paths) = folders();
    let starter = Starter { limit: Duration::from_millis(50), ..starter("exec sleep 1") };
    let err = Client::connect(&paths, &starter).await.unwrap_err();
    assert!(matches!(err, ClientError::Silent { .. }), "{err}");
}

#[tokio::test]
async fn a_started_engine_gets_its_folders_and_is_ready_by_its_word() {
    let (_dir, paths) = folders();
    let script = "echo noise; echo \"$STACK_ROOT $STACK_RUN\" > \"$STACK_RUN/env\"; echo ready";
    start(&paths, &starter(script)).unwrap();
    let env = std::fs::read_to_string(paths.run.join("env")).unwrap();
    assert_eq!(env.trim(), format!("{} {}", paths.root.display(), paths.run.display()));
}

#[tokio::test]
async fn an_engine_that_goes_before_it_answers_is_replaced() {
    let (_dir, paths) = folders();
    let listener = UnixListener::bind(paths.socket()).unwrap();
    let socket = paths.socket();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        stream.read_exact(&mut request).await.unwrap();
        stream.shutdown().await.unwrap();
        drop(listener);
        std::fs::remove_file(&socket).unwrap();
        serve(&socket, answer);
    });
    let client = Client::connect(&paths, &starter("echo ready")).await.unwrap();
    assert_eq!(client.version().pid, 42);
}

#[test]
fn paths_are_escaped() {
    assert_eq!(escape("docker.io/library/redis:7"), "docker.io%2Flibrary%2Fredis:7");
    assert_eq!(escape("a b?c#ä"), "a%20b%3Fc%23%C3%A4");
}

//! An engine that is played: it answers requests with what the test says, and remembers them.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

/// A request that came: method and path, and the body.
pub(crate) type Seen = (String, String);

/// What is sent for a request; `None` keeps the connection open without an end.
pub(crate) type Script = fn(request: &str, body: &str) -> Vec<Option<String>>;

/// The played engine; gone when dropped.
pub(crate) struct FakeEngine {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeEngine {
    /// Listens where the client looks.
    pub(crate) fn start(run_folder: &Path, script: Script) -> Self {
        std::fs::create_dir_all(run_folder).unwrap();
        let socket = run_folder.join("stack.sock");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (listening, ready) = std::sync::mpsc::channel();
        let requests = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::bind(socket).unwrap();
                listening.send(()).unwrap();
                tokio::select! {
                    () = serve(listener, script, requests) => {}
                    _ = stopped => {}
                }
            });
        });
        ready.recv().unwrap();
        Self { seen, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns the requests so far, but for those that ask for the version.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|(r, _)| r != "GET /v1/version").cloned().collect()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: UnixListener, script: Script, seen: Arc<Mutex<Vec<Seen>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        let service = service_fn(move |request: Request<Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body = String::from_utf8_lossy(&body).into_owned();
                seen.lock().unwrap().push((line.clone(), body.clone()));
                let pieces = if line == "GET /v1/version" {
                    vec![Some(format!("{{\"api\":{},\"program\":\"9.9.9\",\"pid\":1}}", stack::api::VERSION))]
                } else {
                    script(&line, &body)
                };
                let status = if pieces.is_empty() { 404 } else { 200 };
                let frames = stream::unfold(pieces.into_iter(), |mut pieces| async move {
                    match pieces.next()? {
                        Some(text) => Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), pieces)),
                        None => std::future::pending().await,
                    }
                });
                Ok::<_, Infallible>(Response::builder().status(status).body(StreamBody::new(frames)).unwrap())
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

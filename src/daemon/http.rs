//! The daemon's socket: routes of `api` to calls of the [`Daemon`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::Serialize;
use tokio::sync::mpsc;

use super::Daemon;
use crate::api::{
    ApiError, DownRequest, ImportRequest, LoadRequest, LogsRequest, PullRequest, ResolveRequest, RewatchRequest,
    RollbackRequest, ServicesRequest, UpRequest, VERSION, Version, WatchRequest,
};
use crate::event::{Event, Failure};
use crate::ids::ProjectName;
use crate::plan::Action;

type Shared = State<Arc<Daemon>>;

/// Bytes of a request: a model of a thousand services with long environments has some.
const LARGEST_REQUEST: usize = 64 << 20;

/// Returns the routes.
pub(super) fn router(daemon: Arc<Daemon>) -> Router {
    Router::new()
        .route("/v1/version", get(version))
        .route("/v1/projects", get(projects))
        .route("/v1/projects/{name}/containers", get(containers))
        .route("/v1/projects/{name}/why", get(why))
        .route("/v1/projects/{name}/timings", get(timings))
        .route("/v1/projects/{name}/up", post(up))
        .route("/v1/projects/{name}/plan", post(plan))
        .route("/v1/projects/{name}/down", post(down))
        .route("/v1/projects/{name}/rollback", post(rollback))
        .route("/v1/projects/{name}/watch", post(watch))
        .route("/v1/projects/{name}/rewatch", post(rewatch))
        .route("/v1/projects/{name}/{action}", post(services))
        .route("/v1/logs", post(logs))
        .route("/v1/events", get(events))
        .route("/v1/containers/{name}", get(inspect))
        .route("/v1/containers/{name}/shim", get(shim))
        .route("/v1/images", get(images))
        .route("/v1/images/pull", post(pull))
        .route("/v1/images/resolve", post(resolve))
        .route("/v1/images/load", post(load))
        .route("/v1/images/import", post(import))
        // References hold slashes; they travel percent-encoded in one segment.
        .route("/v1/images/{reference}", get(image))
        .route("/v1/images/{reference}", delete(remove_image))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(daemon)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(self)).into_response()
    }
}

/// An error that says that something does not exist.
pub(super) struct NotFound(pub ApiError);

impl IntoResponse for NotFound {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, Json(self.0)).into_response()
    }
}

/// Where an operation writes its events; closed when the client has gone.
pub(super) type Sink = mpsc::UnboundedSender<Event>;

/// Returns an answer that streams one JSON object a line.
fn ndjson<T: Serialize + Send + 'static>(receiver: impl Source<T>) -> Response {
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let item = receiver.next().await?;
        // What is ready goes out in one piece: a frame a line would cost a system call each.
        let mut bytes = serde_json::to_vec(&item).expect("answers have text keys");
        bytes.push(b'\n');
        while bytes.len() < 64 * 1024 {
            let Some(item) = receiver.ready() else { break };
            serde_json::to_writer(&mut bytes, &item).expect("answers have text keys");
            bytes.push(b'\n');
        }
        Some((Ok::<_, Infallible>(Bytes::from(bytes)), receiver))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// The receiving end of a channel.
trait Source<T>: Send + 'static {
    /// Waits for the next item; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Option<T>> + Send;
    /// Returns an item that is there already.
    fn ready(&mut self) -> Option<T>;
}

impl<T: Send + 'static> Source<T> for mpsc::UnboundedReceiver<T> {
    fn next(&mut self) -> impl Future<Output = Option<T>> + Send {
        self.recv()
    }

    fn ready(&mut self) -> Option<T> {
        self.try_recv().ok()
    }
}

impl<T: Send + 'static> Source<T> for mpsc::Receiver<T> {
    fn next(&mut self) -> impl Future<Output = Option<T>> + Send {
        self.recv()
    }

    fn ready(&mut self) -> Option<T> {
        self.try_recv().ok()
    }
}

/// Runs an operation on a task of its own and streams its events; the last one is `done`.
fn operation<F>(daemon: &Daemon, run: impl FnOnce(Sink) -> F) -> Response
where
    F: Future<Output = Vec<Failure>> + Send + 'static,
{
    let (sink, receiver) = mpsc::unbounded_channel();
    let work = run(sink.clone());
    let reason = daemon.presence.hold();
    tokio::spawn(async move {
        let _reason = reason;
        let errors = work.await;
        // A client that has gone needs no answer.
        let _ = sink.send(Event::Done { errors });
    });
    ndjson(receiver)
}

async fn version() -> Json<Version> {
    Json(Version { api: VERSION, program: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() })
}

async fn projects(State(daemon): Shared) -> Response {
    Json(daemon.projects().await).into_response()
}

async fn containers(State(daemon): Shared, Path(name): Path<String>) -> Response {
    Json(daemon.summaries(Some(ProjectName::new(name))).await).into_response()
}

async fn why(State(daemon): Shared, Path(name): Path<String>) -> Response {
    Json(daemon.why(ProjectName::new(name)).await).into_response()
}

async fn timings(State(daemon): Shared, Path(name): Path<String>) -> Response {
    Json(daemon.timings(ProjectName::new(name)).await).into_response()
}

async fn plan(State(daemon): Shared, Path(_): Path<String>, Json(request): Json<UpRequest>) -> Response {
    Json(daemon.review(request).await).into_response()
}

async fn up(State(daemon): Shared, Path(_): Path<String>, Json(request): Json<UpRequest>) -> Response {
    operation(&Arc::clone(&daemon), |sink| async move { daemon.up(request, sink).await })
}

async fn down(State(daemon): Shared, Path(name): Path<String>, Json(request): Json<DownRequest>) -> Response {
    operation(&Arc::clone(&daemon), |sink| async move { daemon.down(ProjectName::new(name), request, sink).await })
}

async fn watch(State(daemon): Shared, Path(_): Path<String>, Json(request): Json<WatchRequest>) -> Response {
    operation(&Arc::clone(&daemon), |sink| async move { daemon.watch(request, sink).await })
}

async fn rewatch(State(daemon): Shared, Path(_): Path<String>, Json(request): Json<RewatchRequest>) -> Response {
    Json(daemon.rewatch(request)).into_response()
}

async fn rollback(State(daemon): Shared, Path(name): Path<String>, Json(request): Json<RollbackRequest>) -> Response {
    operation(&Arc::clone(&daemon), |sink| async move { daemon.rollback(ProjectName::new(name), request, sink).await })
}

async fn services(
    State(daemon): Shared,
    Path((name, action)): Path<(String, String)>,
    Json(request): Json<ServicesRequest>,
) -> Response {
    let action = match action.as_str() {
        "start" => Action::Start,
        "stop" => Action::Stop,
        "restart" => Action::Restart,
        "kill" => Action::Kill,
        "rm" => Action::Remove,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    operation(&Arc::clone(&daemon), |sink| async move {
        daemon.services(ProjectName::new(name), action, request, sink).await
    })
}

async fn logs(State(daemon): Shared, Json(request): Json<LogsRequest>) -> Response {
    let (sink, receiver) = mpsc::channel(1024);
    tokio::spawn(async move { daemon.logs(request, sink).await });
    ndjson(receiver)
}

async fn events(State(daemon): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
    let moment = |key: &str| query.get(key).and_then(|text| text.parse().ok());
    ndjson(match query.get("project").map(|name| ProjectName::new(name.as_str())) {
        Some(project) => daemon.events(project, moment("since"), moment("until")),
        None => daemon.subscribe(None),
    })
}

async fn inspect(State(daemon): Shared, Path(name): Path<String>) -> Response {
    match daemon.inspect(&name).await {
        Some(object) => Json(object).into_response(),
        None => no_container(&name),
    }
}

async fn shim(State(daemon): Shared, Path(name): Path<String>) -> Response {
    match daemon.shim_address(&name).await {
        Some(Ok(address)) => Json(address).into_response(),
        Some(Err(error)) => error.into_response(),
        None => no_container(&name),
    }
}

fn no_container(name: &str) -> Response {
    NotFound(ApiError {
        message: format!("no such container: {name}"),
        hint: Some("`stack ps -a` lists the containers of a project, `stack ls -a` the projects".to_owned()),
    })
    .into_response()
}

async fn images(State(daemon): Shared) -> Response {
    Json(daemon.images()).into_response()
}

async fn image(State(daemon): Shared, Path(reference): Path<String>) -> Response {
    match daemon.inspect_image(&reference) {
        Ok(object) => Json(object).into_response(),
        Err(error) => NotFound(error).into_response(),
    }
}

async fn remove_image(State(daemon): Shared, Path(reference): Path<String>) -> Response {
    match daemon.remove_image(&reference).await {
        Ok(lines) => Json(lines).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn pull(State(daemon): Shared, Json(request): Json<PullRequest>) -> Response {
    operation(&Arc::clone(&daemon), |sink| async move { daemon.pull(request, sink).await })
}

async fn resolve(State(daemon): Shared, Json(request): Json<ResolveRequest>) -> Response {
    operation(&Arc::clone(&daemon), |sink| async move { daemon.resolve(request, sink).await })
}

async fn load(State(daemon): Shared, Json(request): Json<LoadRequest>) -> Response {
    operation(&Arc::clone(&daemon), |sink| async move { daemon.load(request, sink).await })
}

async fn import(State(daemon): Shared, Json(request): Json<ImportRequest>) -> Response {
    operation(&Arc::clone(&daemon), |sink| async move { daemon.import(request, sink).await })
}

//! Watching the files of projects: it goes on in the engine, whoever asked for it, through
//! restarts of containers and of the engine itself.
//!
//! Each watched project has a task ([`session`]); this module starts, tells and ends them. A
//! record on disk ([`record`]) says what a new daemon has to go on with.
//!
//! The project's own files are read by a client, `stack reload`, which the session starts with
//! the arguments, the folder and the environment of the command that began it: the engine has no
//! reader of Compose files, one that is broken harms a process of its own only, and it is read in
//! one way, whether a person or the engine asks for it.

mod act;
mod record;
mod session;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::Daemon;
use super::http::Sink;
use super::operations::failure;
use crate::api::{RewatchRequest, WatchRequest};
use crate::compose::model::Project;
use crate::event::Failure;
use crate::ids::ProjectName;
use record::Record;
use session::Session;

/// The sessions that run.
#[derive(Default)]
pub(super) struct Watchers(Mutex<HashMap<ProjectName, Handle>>);

/// How a session is talked to.
#[derive(Clone)]
struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    /// Commands in containers are not waited for any more.
    ending: Arc<watch::Sender<bool>>,
    /// No client has to be there.
    detached: bool,
}

/// What a session is told.
enum Order {
    /// The project is another now.
    Project(Box<Project>),
    /// Its own files are.
    Rewatch(Box<RewatchRequest>),
    /// End; the answer comes when it has.
    End(oneshot::Sender<()>),
}

impl Watchers {
    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<ProjectName, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the session of a project something; returns whether there is one.
    fn tell(&self, project: &ProjectName, order: Order) -> bool {
        self.sessions().get(project).is_some_and(|session| session.orders.send(order).is_ok())
    }
}

impl Daemon {
    /// Watches a project until its client has gone, or (detached) answers when it has begun.
    pub(super) async fn watch(self: Arc<Self>, request: WatchRequest, sink: Sink) -> Vec<Failure> {
        let name = request.project.name.clone();
        let record = Record {
            project: name.clone(),
            services: request.services,
            detached: request.detach,
            caller: request.caller,
        };
        let before = self.watchers.sessions().get(&name).map(|session| session.detached);
        match before {
            Some(false) => {
                return vec![Failure {
                    hint: Some("end the other command first: a project is watched once".to_owned()),
                    ..failure("watch", format!("another command watches project \"{name}\" already"))
                }];
            }
            // Whoever asks last says how.
            Some(true) => self.end_watch(&name).await,
            None => {}
        }
        let started = self.begin_watch(record, &request.project, request.resume, Some(sink.clone())).await;
        if let Err(failures) = started {
            record::remove(&self.parts.paths, &name);
            return failures;
        }
        if request.detach {
            return Vec::new();
        }
        let session = self.watchers.sessions().get(&name).map(|session| session.orders.clone());
        if let Some(session) = session {
            tokio::select! {
                // Both arms wait for a level.
                () = sink.closed() => self.end_watch(&name).await,
                () = session.closed() => {}
            }
        }
        Vec::new()
    }

    /// Starts a session; returns when nothing that changes from now on is missed.
    async fn begin_watch(
        self: &Arc<Self>,
        record: Record,
        project: &Project,
        resume: bool,
        sink: Option<Sink>,
    ) -> Result<(), Vec<Failure>> {
        let name = record.project.clone();
        let detached = record.detached;
        let (orders, received) = mpsc::unbounded_channel();
        let (ending, ends) = watch::channel(false);
        let mut session = Session::begin(Arc::clone(self), record, project, resume, sink, ends)?;
        self.watchers.sessions().insert(name.clone(), Handle { orders, ending: Arc::new(ending), detached });
        // Whoever asks waits until the first copies are there; a new daemon has other things to do.
        if session.is_attended() {
            session.catch_up().await;
        }
        let daemon = Arc::clone(self);
        tokio::spawn(async move {
            session.catch_up().await;
            let ended = session.run(received).await;
            // A session that took its place is not this one.
            let mut sessions = daemon.watchers.sessions();
            if sessions.get(&name).is_some_and(|handle| handle.orders.is_closed()) {
                sessions.remove(&name);
            }
            drop(sessions);
            if let Some(ended) = ended {
                let _ = ended.send(());
            }
        });
        Ok(())
    }

    /// Ends the watching of a project; a new daemon does not go on with it.
    pub(super) async fn end_watch(&self, name: &ProjectName) {
        let (ended, end) = oneshot::channel();
        if let Some(session) = self.watchers.sessions().get(name) {
            session.ending.send_replace(true);
        }
        if self.watchers.tell(name, Order::End(ended)) {
            let _ = end.await;
        }
        record::remove(&self.parts.paths, name);
    }

    /// A project was brought up: what is watched follows its definition.
    pub(super) fn project_changed(&self, project: &Project) {
        self.watchers.tell(&project.name, Order::Project(Box::new(project.clone())));
    }

    /// The project's files were read anew; returns whether it is watched.
    pub(super) fn rewatch(&self, request: RewatchRequest) -> bool {
        let name = request.project.name.clone();
        self.watchers.tell(&name, Order::Rewatch(Box::new(request)))
    }

    /// Goes on with what an earlier daemon watched for nobody in particular.
    pub(super) async fn resume_watches(self: &Arc<Self>) {
        for record in record::read_all(&self.parts.paths) {
            let name = record.project.clone();
            // A client that is still there asks again.
            if !record.detached {
                continue;
            }
            let Some(project) = super::project_record::read(&self.parts.paths, &name) else {
                record::remove(&self.parts.paths, &name);
                continue;
            };
            if let Err(failures) = self.begin_watch(record, &project, true, None).await {
                for failure in failures {
                    tracing::warn!(project = %name, %failure, "the project is not watched any more");
                }
            }
        }
    }
}

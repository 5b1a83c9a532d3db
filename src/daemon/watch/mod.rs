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
use std::collections::hash_map::Entry;
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
    /// Copies and commands in containers are not waited for any more.
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

/// A session that begins: its handle, and what it tells when it has made its first copies.
struct Begun {
    handle: Handle,
    copied: oneshot::Receiver<Result<(), Vec<Failure>>>,
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

impl Handle {
    /// Ends the session; returns when it has.
    async fn end(&self) {
        let (ended, end) = oneshot::channel();
        self.ending.send_replace(true);
        if self.orders.send(Order::End(ended)).is_ok() {
            let _ = end.await; // one that ended by itself answers nobody
        }
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
        let project = Arc::new(request.project);
        let begun = loop {
            match self.begin_watch(record.clone(), Arc::clone(&project), request.resume, Some(sink.clone())) {
                Ok(begun) => break begun,
                // Whoever asks last says how.
                Err(other) if other.detached => other.end().await,
                Err(_) => {
                    return vec![Failure {
                        hint: Some("end the other command first: a project is watched once".to_owned()),
                        ..failure("watch", format!("another command watches project \"{name}\" already"))
                    }];
                }
            }
        };
        tokio::select! {
            copied = begun.copied => match copied {
                Ok(Ok(())) if request.detach => return Vec::new(),
                Ok(Err(failures)) => return failures,
                // Or it was ended meanwhile, as is seen below.
                Ok(Ok(())) | Err(_) => {}
            },
            // Who goes before it has begun does not want it.
            () = sink.closed() => {}
        }
        tokio::select! {
            // Both arms wait for a level.
            () = sink.closed() => begun.handle.end().await,
            () = begun.handle.orders.closed() => {}
        }
        Vec::new()
    }

    /// Begins a session, which tells when its first copies are there: nothing that changes from then on
    /// is missed. Returns the one that there is already.
    fn begin_watch(
        self: &Arc<Self>,
        record: Record,
        project: Arc<Project>,
        resume: bool,
        sink: Option<Sink>,
    ) -> Result<Begun, Handle> {
        let name = record.project.clone();
        let (orders, received) = mpsc::unbounded_channel();
        let (ending, ends) = watch::channel(false);
        let handle = Handle { orders, ending: Arc::new(ending), detached: record.detached };
        match self.watchers.sessions().entry(name.clone()) {
            Entry::Occupied(other) => return Err(other.get().clone()),
            Entry::Vacant(place) => drop(place.insert(handle.clone())),
        }
        let daemon = Arc::clone(self);
        // From here on its place is kept, and with it the daemon.
        let reason = self.presence.hold();
        let (tell, copied) = oneshot::channel();
        let mut tell = Some(tell);
        tokio::spawn(async move {
            let attended = sink.is_some();
            let begin = || Session::begin(Arc::clone(&daemon), record, &project, resume, sink, ends);
            let session = tokio::task::block_in_place(begin);
            drop((project, reason));
            let (ended, failed) = match session {
                Ok(session) => {
                    let ended = session.run(received, &mut tell).await;
                    record::remove(&daemon.parts.paths, &name);
                    (ended, None)
                }
                Err(failures) => {
                    for failure in &failures {
                        tracing::warn!(project = %name, %failure, "the project is not watched");
                    }
                    // Else a later daemon tries again.
                    if attended {
                        record::remove(&daemon.parts.paths, &name);
                    }
                    (None, Some(failures))
                }
            };
            // Only now another can take its place. Whoever asked may have gone.
            daemon.watchers.sessions().remove(&name);
            if let (Some(failures), Some(tell)) = (failed, tell) {
                let _ = tell.send(Err(failures));
            }
            if let Some(ended) = ended {
                let _ = ended.send(());
            }
        });
        Ok(Begun { handle, copied })
    }

    /// Ends the watching of a project; a new daemon does not go on with it.
    pub(super) async fn end_watch(&self, name: &ProjectName) {
        let session = {
            let sessions = self.watchers.sessions();
            let session = sessions.get(name).cloned();
            if session.is_none() {
                record::remove(&self.parts.paths, name);
            }
            session
        };
        if let Some(session) = session {
            session.end().await;
        }
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

    /// Goes on with what an earlier daemon watched for nobody in particular. Returns at once: what changed
    /// meanwhile is looked for by the sessions.
    pub(super) fn resume_watches(self: &Arc<Self>) {
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
            // Nobody else watches yet.
            let _ = self.begin_watch(record, Arc::new(project), true, None);
        }
    }
}

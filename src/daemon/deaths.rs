//! Tells whoever waits for an operation which containers die meanwhile that nobody wanted to end.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Daemon;
use super::http::Sink;
use crate::event::{Action, Event};
use crate::ids::ProjectName;

/// Tells of deaths until it is ended.
pub(super) struct Deaths {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Daemon {
    /// Begins to tell a client of the deaths in a project.
    pub(super) fn tell_deaths(&self, project: &ProjectName, sink: &Sink) -> Deaths {
        let mut events = self.subscribe(Some(project.clone()));
        let (end, mut ended) = oneshot::channel();
        let sink = sink.clone();
        let task = tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    // Both arms are cancel-safe. What happened before the end is told.
                    biased;
                    event = events.recv() => event,
                    _ = &mut ended => return,
                };
                let Some(event) = event else { return };
                if is_crash(&event) {
                    let _ = sink.send(event);
                }
            }
        });
        Deaths { end, task }
    }
}

impl Deaths {
    /// Ends once all that happened so far is told.
    pub(super) async fn end(self, daemon: &Daemon) {
        // A death is told when its card is there.
        let (reply, told) = oneshot::channel();
        daemon.read(move |state| state.when_told(reply)).await;
        let _ = told.await; // it only ends
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

fn is_crash(event: &Event) -> bool {
    matches!(event, Event::Container { action: Action::Die { card: Some(card), .. }, .. } if card.is_crash())
}

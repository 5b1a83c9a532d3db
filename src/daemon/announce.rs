//! Tells the world what happens to containers: subscribers, the history and the log.

use tokio::sync::mpsc;

use super::container::label_of;
use super::history::History;
use crate::event::{Action, Event};
use crate::ids::ProjectName;
use crate::plan::labels;
use crate::spec::ContainerSpec;

/// Who is told.
pub(super) struct Announcer {
    history: History,
    subscribers: Vec<(Option<ProjectName>, mpsc::Sender<Event>)>,
    /// Time of the last event: no two have the same, so a reader knows where it stands.
    last_ns: i64,
}

impl Announcer {
    /// Returns an announcer that keeps what happens in this history.
    pub(super) fn new(history: History) -> Self {
        Self { history, subscribers: Vec::new(), last_ns: 0 }
    }

    /// Sends container events of a project, or of all, from now on.
    pub(super) fn subscribe(&mut self, project: Option<ProjectName>, sink: mpsc::Sender<Event>) {
        self.subscribers.push((project, sink));
    }

    /// Tells what happened to a container.
    pub(super) fn announce(&mut self, spec: &ContainerSpec, action: Action) {
        match &action {
            Action::Die { card: Some(card), .. } => tracing::info!(container = spec.name, "died: {}", card.verdict()),
            action => tracing::info!(container = spec.name, ?action, "container"),
        }
        self.last_ns = super::now_ns().max(self.last_ns + 1);
        let project = ProjectName::new(label_of(spec, labels::PROJECT));
        let event = Event::Container {
            time_ns: self.last_ns,
            project: project.clone(),
            service: label_of(spec, labels::SERVICE).to_owned(),
            name: spec.name.clone(),
            id: spec.id.clone(),
            action,
            attributes: attributes(spec),
        };
        self.history.append(&project, &event);
        self.subscribers.retain(|(wanted, sink)| match wanted {
            Some(wanted) if *wanted != project => !sink.is_closed(),
            // One that does not read is let go rather than remembered for.
            _ => sink.try_send(event.clone()).is_ok(),
        });
    }
}

/// Returns what Compose shows of a container with each event: image, and labels but its own.
fn attributes(spec: &ContainerSpec) -> std::collections::BTreeMap<String, String> {
    let own = spec.labels.iter().filter(|(key, _)| !key.starts_with("com.docker.compose."));
    let labels = own.map(|(key, value)| (key.clone(), value.clone()));
    std::iter::once(("image".to_owned(), spec.image.reference.clone())).chain(labels).collect()
}

//! Tells the world what happens to containers: subscribers, the history and the log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::container::label_of;
use super::history::History;
use crate::event::{Action, Event};
use crate::ids::{ContainerId, ProjectName};
use crate::plan::labels;
use crate::spec::ContainerSpec;

/// Who is told.
pub(super) struct Announcer {
    history: History,
    subscribers: Vec<(Option<ProjectName>, mpsc::Sender<Event>)>,
    /// Time of the last event: no two have the same, so a reader knows where it stands.
    last_ns: i64,
    /// Containers of which something is told later, and with it all that came after.
    held: HashMap<ContainerId, VecDeque<Held>>,
    places: u64,
    /// Who waits until these are told.
    waiting: Vec<(HashSet<u64>, oneshot::Sender<()>)>,
}

/// A place in what is told of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    container: ContainerId,
    number: u64,
}

/// Something that is not told yet.
struct Held {
    spec: Arc<ContainerSpec>,
    number: u64,
    /// `None`: it is not known yet.
    action: Option<Action>,
}

impl Announcer {
    /// Returns an announcer that keeps what happens in this history.
    pub(super) fn new(history: History) -> Self {
        Self { history, subscribers: Vec::new(), last_ns: 0, held: HashMap::new(), places: 0, waiting: Vec::new() }
    }

    /// Sends container events of a project, or of all, from now on.
    pub(super) fn subscribe(&mut self, project: Option<ProjectName>, sink: mpsc::Sender<Event>) {
        self.subscribers.push((project, sink));
    }

    /// Tells what happened to a container, after what is held of it.
    pub(super) fn announce(&mut self, spec: &Arc<ContainerSpec>, action: Action) {
        match self.held.get_mut(&spec.id) {
            Some(held) => held.push_back(Held { spec: Arc::clone(spec), number: 0, action: Some(action) }),
            None => self.tell_now(spec, action),
        }
    }

    /// Keeps a place for something that happened now to a container and is told once all is known of it.
    pub(super) fn hold(&mut self, spec: &Arc<ContainerSpec>) -> Place {
        self.places += 1;
        let held = Held { spec: Arc::clone(spec), number: self.places, action: None };
        self.held.entry(spec.id.clone()).or_default().push_back(held);
        Place { container: spec.id.clone(), number: self.places }
    }

    /// Tells what a place was kept for, and what waited for that.
    pub(super) fn tell(&mut self, place: Place, action: Action) {
        let Some(mut held) = self.held.remove(&place.container) else { return };
        if let Some(held) = held.iter_mut().find(|held| held.number == place.number) {
            held.action = Some(action);
        }
        while held.front().is_some_and(|held| held.action.is_some()) {
            if let Some(Held { spec, action: Some(action), .. }) = held.pop_front() {
                self.tell_now(&spec, action);
            }
        }
        if !held.is_empty() {
            self.held.insert(place.container, held);
        }
        for (open, _) in &mut self.waiting {
            open.remove(&place.number);
        }
        // Who waits is told by the end of its channel.
        self.waiting.retain(|(open, reply)| !open.is_empty() && !reply.is_closed());
    }

    /// Lets go of `reply` once all that happened by now is told.
    pub(super) fn when_told(&mut self, reply: oneshot::Sender<()>) {
        let held = self.held.values().flatten().filter(|held| held.action.is_none());
        let open: HashSet<u64> = held.map(|held| held.number).collect();
        if !open.is_empty() {
            self.waiting.push((open, reply));
        }
    }

    /// Returns the containers of which something is told later.
    pub(super) fn held(&self) -> HashSet<ContainerId> {
        self.held.keys().cloned().collect()
    }

    fn tell_now(&mut self, spec: &ContainerSpec, action: Action) {
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

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn what_comes_after_a_death_is_told_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut announcer = Announcer::new(History::open(folder.path()));
        let (sink, mut events) = mpsc::channel(16);
        announcer.subscribe(None, sink);
        let spec = Arc::new(fixture::container());
        let other = Arc::new(ContainerSpec { id: ContainerId::from_bytes([9; 32]), ..fixture::container() });
        let die = |exit_code| Action::Die { exit_code, oom: false, restart_in_ms: None, card: None };
        let mut told = move || {
            let mut text = String::new();
            while let Ok(Event::Container { id, action, .. }) = events.try_recv() {
                let whose = if id == ContainerId::from_bytes([9; 32]) { "other " } else { "" };
                text += &format!("{whose}{action:?}; ");
            }
            text
        };
        let first = announcer.hold(&spec);
        announcer.announce(&spec, Action::Start);
        let second = announcer.hold(&spec);
        announcer.announce(&spec, Action::Stop);
        announcer.announce(&other, Action::Start);
        assert_eq!(told(), "other Start; ");
        let (reply, mut all) = oneshot::channel();
        announcer.when_told(reply);
        announcer.tell(second, die(2));
        assert_eq!((told().as_str(), all.try_recv()), ("", Err(oneshot::error::TryRecvError::Empty)));
        announcer.tell(first, die(1));
        assert_eq!(all.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        let death = |code| format!("Die {{ exit_code: {code}, oom: false, restart_in_ms: None, card: None }}");
        assert_eq!(told(), format!("{}; Start; {}; Stop; ", death(1), death(2)));
        announcer.announce(&spec, Action::Destroy);
        assert_eq!(told(), "Destroy; ");
        assert!(announcer.held.is_empty());
    }
}

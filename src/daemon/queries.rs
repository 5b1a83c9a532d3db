//! Questions about what there is: `ps`, `ls`, `inspect`, where a shim listens, events.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use super::container::label_of;
use super::state::{Input, State};
use super::{Daemon, inspect, project_record, summary};
use crate::api::{ApiError, ContainerSummary, ProjectSummary, ShimAddress};
use crate::event::Event;
use crate::ids::{ContainerId, ProjectName};
use crate::plan::labels;

impl Daemon {
    /// Answers a question between two inputs of the state's owner.
    async fn read<T: Send + 'static>(&self, look: impl FnOnce(&mut State) -> T + Send + 'static) -> T {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Read(Box::new(move |state| {
            let _ = reply.send(look(state));
        })));
        answer.await.expect("the owner of the state answers each question")
    }

    /// Returns the containers of a project, or all, ordered by name.
    pub(super) async fn summaries(&self, project: Option<ProjectName>) -> Vec<ContainerSummary> {
        let mut list = self
            .read(move |state| {
                let wanted = |spec: &_| project.as_ref().is_none_or(|p| label_of(spec, labels::PROJECT) == p.as_str());
                let entries = state.containers.values().filter(|e| wanted(&e.spec));
                entries.map(|entry| summary::summary(&entry.view(state.epoch_ns()))).collect::<Vec<_>>()
            })
            .await;
        list.sort_by(|a, b| (&a.service, a.number, &a.name).cmp(&(&b.service, b.number, &b.name)));
        list
    }

    /// Returns the projects that have containers.
    pub(super) async fn projects(&self) -> Vec<ProjectSummary> {
        let mut projects: BTreeMap<ProjectName, BTreeMap<String, u32>> = BTreeMap::new();
        for container in self.summaries(None).await {
            *projects.entry(container.project).or_default().entry(container.state).or_default() += 1;
        }
        let with_files = |(name, states)| {
            let files = project_record::read(&self.parts.paths, &name).map_or_else(Vec::new, |p| p.files);
            ProjectSummary { name, states, files }
        };
        projects.into_iter().map(with_files).collect()
    }

    /// Returns Docker's inspect object of the container with this name, id or unique prefix.
    pub(super) async fn inspect(&self, text: &str) -> Option<serde_json::Value> {
        let engine = self.parts.engine.clone();
        let text = text.to_owned();
        self.read(move |state| {
            let id = find(state, &text)?;
            let networks = state.networks.clone();
            let view = state.containers.get(&id)?.view(state.epoch_ns());
            Some(inspect::inspect(&view, &engine.container_dir(&id), &engine.log_path(&view.spec.name), &networks))
        })
        .await
    }

    /// Returns where the container's shim listens; an error when the container does not run.
    pub(super) async fn shim_address(&self, text: &str) -> Option<Result<ShimAddress, ApiError>> {
        let engine = self.parts.engine.clone();
        let text = text.to_owned();
        self.read(move |state| {
            let id = find(state, &text)?;
            let entry = state.containers.get(&id)?;
            let name = entry.spec.name.clone();
            Some(match (&entry.sandbox, entry.pid) {
                (Some(_), Some(_)) => {
                    Ok(ShimAddress { socket: engine.shim_socket(&id), id, name, tty: entry.spec.tty })
                }
                _ => Err(ApiError {
                    message: format!("container {name} is not running ({})", entry.replica.word()),
                    hint: Some("`stack start` starts it, `stack logs` shows why it ended".to_owned()),
                }),
            })
        })
        .await
    }

    /// Returns container events from now on.
    pub(super) fn subscribe(&self, project: Option<ProjectName>) -> mpsc::UnboundedReceiver<Event> {
        let (sink, receiver) = mpsc::unbounded_channel();
        self.send(Input::Subscribe { project, sink });
        receiver
    }
}

/// Returns the container whose name, id or unique id prefix (at least 4 digits) this is.
fn find(state: &State, text: &str) -> Option<ContainerId> {
    let mut found = None;
    for (id, entry) in &state.containers {
        if entry.spec.name == text || id.as_str() == text {
            return Some(id.clone());
        }
        if text.len() >= 4 && id.as_str().starts_with(text) {
            if found.is_some() {
                return None;
            }
            found = Some(id.clone());
        }
    }
    found
}

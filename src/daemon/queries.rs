//! Questions about what there is: `ps`, `ls`, `inspect`, where a shim listens.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::container::label_of;
use super::state::{Input, State};
use super::{Daemon, inspect, project_record, summary};
use crate::api::{ApiError, ContainerSummary, ProjectSummary, ShimAddress, Why};
use crate::ids::{ContainerId, ProjectName};
use crate::plan::labels;
use crate::spec::Health;

impl Daemon {
    /// Answers a question between two inputs of the state's owner.
    pub(super) async fn read<T: Send + 'static>(&self, look: impl FnOnce(&mut State) -> T + Send + 'static) -> T {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Read(Box::new(move |state| {
            let _ = reply.send(look(state));
        })));
        match answer.await {
            Ok(answer) => answer,
            // The owner has died, and `serve` ends the process.
            Err(_) => std::future::pending().await,
        }
    }

    /// Tells every shim that this daemon leaves and none need be started.
    pub(super) async fn say_goodbye(&self) {
        let shims = self.read(|state| {
            let sandboxes = state.containers.values().filter_map(|entry| entry.sandbox.as_ref());
            sandboxes.map(|sandbox| sandbox.shim.clone()).collect::<Vec<_>>()
        });
        let goodbyes = shims.await.into_iter().map(|shim| async move { shim.goodbye().await });
        futures_util::future::join_all(goodbyes).await;
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

    /// Tells why the containers of a project are as they are, ordered as [`Self::summaries`].
    pub(super) async fn why(&self, project: ProjectName) -> Vec<Why> {
        let mut list = self
            .read(move |state| {
                let entries = state.containers.values();
                let own = entries.filter(|e| label_of(&e.spec, labels::PROJECT) == project.as_str());
                own.map(|entry| {
                    let container = summary::summary(&entry.view(state.epoch_ns()));
                    let check = match entry.replica.health() {
                        Some(Health::Unhealthy) => entry.why_not_ready(&container.service.as_str().into()),
                        _ => None,
                    };
                    Why { container, error: entry.error.clone(), check, card: entry.card.clone() }
                })
                .collect::<Vec<_>>()
            })
            .await;
        let key = |why: &Why| (why.container.service.clone(), why.container.number);
        list.sort_by_key(key);
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
}

/// Returns the container whose name, id or unique id prefix (at least 4 digits) this is.
fn find(state: &State, text: &str) -> Option<ContainerId> {
    choose(state.containers.iter().map(|(id, entry)| (id, entry.spec.name.as_str())), text).cloned()
}

/// Returns the one that is meant: a name or whole id goes before any prefix.
fn choose<'a>(
    containers: impl Iterator<Item = (&'a ContainerId, &'a str)> + Clone,
    text: &str,
) -> Option<&'a ContainerId> {
    let exact = containers.clone().find(|(id, name)| *name == text || id.as_str() == text);
    let mut prefixed = containers.filter(|(id, _)| text.len() >= 4 && id.as_str().starts_with(text));
    match (exact, prefixed.next(), prefixed.next()) {
        (Some((id, _)), ..) | (None, Some((id, _)), None) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_meant_by_name_id_or_unique_prefix() {
        let ids: Vec<ContainerId> =
            ["abcd1", "abcd2", "ef012"].map(|start| format!("{start:0<64}").parse().unwrap()).to_vec();
        let names = ["app-web-1", "app-web-2", "abcd"];
        let check = |text: &str, expected: Option<usize>| {
            let found = choose(ids.iter().zip(names), text);
            assert_eq!(found, expected.map(|n| &ids[n]), "{text}");
        };
        check("app-web-2", Some(1));
        check(ids[0].as_str(), Some(0));
        check("abcd2", Some(1));
        check("abcd", Some(2));
        check("abcd0", None);
        check("ef0", None);
        check("ef01", Some(2));
        check("", None);
    }
}

//! Makes containers again whose files somebody deleted under `STACK_ROOT/containers`: what they
//! are is known from the project's recorded definition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::Daemon;
use super::container::label_of;
use super::machine::Machine;
use super::project_record;
use super::state::State;
use crate::api::UpRequest;
use crate::crash::By;
use crate::event::{Action, Event};
use crate::host::{Host as _, HostError};
use crate::ids::{ContainerId, ProjectName, ServiceName};
use crate::plan::labels;
use crate::spec::{ContainerSpec, Recreate};

/// What was deleted.
struct Deleted {
    spec: Arc<ContainerSpec>,
    /// It ran, or was about to.
    up: bool,
    /// Its service and those that share its network, each with its replicas.
    services: BTreeMap<ServiceName, u32>,
}

/// Makes deleted containers again for as long as the process lives.
pub(super) async fn containers(daemon: Arc<Daemon>) {
    let folder = daemon.parts.paths.root.join("containers");
    let (wake, mut woken) = mpsc::unbounded_channel::<Vec<PathBuf>>();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Which containers are there is looked up: only that something changed matters.
        let _ = wake.send(event.map(|event| event.paths).unwrap_or_default());
    });
    let watching = std::fs::create_dir_all(&folder).map_err(HostError::new).and_then(|()| {
        let mut watcher = watcher.map_err(HostError::new)?;
        watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(HostError::new)?;
        Ok(watcher)
    });
    let _watcher = match watching {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "deleted containers are not noticed");
            return;
        }
    };
    while let Some(paths) = woken.recv().await {
        for path in paths.iter().filter(|path| path.parent() == Some(&folder) && !path.exists()) {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(id) = name.and_then(|name| name.parse::<ContainerId>().ok()) else { continue };
            // One that the engine removes is forgotten before its files go.
            let deleted = daemon.read(move |state| deleted(state, &id)).await;
            if let Some(deleted) = deleted {
                let reason = daemon.presence.hold();
                let daemon = Arc::clone(&daemon);
                tokio::spawn(async move {
                    make_again(&daemon, deleted).await;
                    drop(reason);
                });
            }
        }
    }
}

/// Returns what is known of a container.
fn deleted(state: &State, id: &ContainerId) -> Option<Deleted> {
    let entry = state.containers.get(id)?;
    let key =
        |spec: &ContainerSpec| (label_of(spec, labels::PROJECT).to_owned(), label_of(spec, labels::SERVICE).to_owned());
    let all = || state.containers.values().map(|other| &*other.spec);
    // Where its guests are, it is no more: they are made again with it.
    let guests = state.containers.values().filter(|guest| {
        let meant_to_run = !guest.replica.is_at_rest() && !guest.replica.is_stopped_by_user();
        guest.spec.network_of.as_ref() == Some(id) && meant_to_run && !is_one_off(&guest.spec)
    });
    let services = std::iter::once(&entry.spec).chain(guests.map(|guest| &guest.spec)).map(|spec| {
        let own = key(spec);
        (ServiceName::new(&own.1), replicas(all().filter(|other| key(other) == own)))
    });
    let services = services.collect();
    // One of `run` is nobody's replica: it is not made again.
    let up = !is_one_off(&entry.spec) && !entry.replica.is_at_rest() && !entry.replica.is_stopped_by_user();
    Some(Deleted { spec: Arc::clone(&entry.spec), up, services })
}

/// Counts the replicas among a service's containers, at least one: those of `run` are none, nor is
/// one whose successor is there already.
fn replicas<'a>(own: impl Iterator<Item = &'a ContainerSpec> + Clone) -> u32 {
    let replaced: BTreeSet<&str> = own.clone().map(|spec| label_of(spec, labels::REPLACES)).collect();
    let count = own.filter(|spec| !is_one_off(spec) && !replaced.contains(spec.id.as_str())).count();
    u32::try_from(count).unwrap_or(1).max(1)
}

fn is_one_off(spec: &ContainerSpec) -> bool {
    label_of(spec, labels::ONE_OFF) == "True"
}

/// Takes away what is left of a container and, where it ran, brings its service up again.
async fn make_again(daemon: &Arc<Daemon>, deleted: Deleted) {
    let Deleted { spec, up, services } = deleted;
    let cause = "its files were deleted".to_owned();
    let remedy = if up { "made again" } else { "removed" }.to_owned();
    let (id, action) = (spec.id.clone(), Action::Heal { cause: cause.clone(), remedy });
    daemon.read(move |state| state.emit(&id, action)).await;
    let machine = Machine(Arc::clone(daemon), By::Engine { why: cause });
    let removed = async {
        machine.stop_container(&spec.id, spec.stop_signal, spec.stop_grace).await?;
        machine.remove_container(&spec.id, &[]).await?;
        // Its record, which names them, went with its files.
        daemon.parts.engine.remove_cgroups_of(&spec).await.map_err(HostError::new)
    };
    if let Err(error) = removed.await {
        tracing::warn!(container = spec.name, %error, "what is left of a deleted container could not be removed");
        return;
    }
    let project = ProjectName::new(label_of(&spec, labels::PROJECT));
    let (true, Some(project)) = (up, project_record::read(&daemon.parts.paths, &project)) else { return };
    let request = UpRequest {
        project,
        services: services.keys().cloned().collect(),
        scale: services,
        no_deps: true,
        recreate: Recreate::Diverged,
        remove_orphans: false,
        ignore_orphans: true,
        renew_anon_volumes: false,
        start: true,
        wait: false,
        wait_timeout: None,
        timeout: None,
        pull: None,
        expected: None,
        edited: false,
    };
    let (sink, mut events) = mpsc::unbounded_channel::<Event>();
    // Nobody watches, but the operation must have a client.
    let drain = tokio::spawn(async move { while events.recv().await.is_some() {} });
    for failure in Arc::clone(daemon).up(request, sink).await {
        tracing::warn!(container = spec.name, %failure, "a deleted container could not be made again");
    }
    drain.abort();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_of_run_and_those_with_a_successor_are_no_replicas() {
        let container = |digit: &str, labels: &[(&str, String)]| {
            let mut spec = crate::daemon::fixture::container();
            spec.id = digit.repeat(64).parse().unwrap();
            spec.labels.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            spec
        };
        let (one, two) = (container("a", &[]), container("b", &[]));
        let run = container("c", &[(labels::ONE_OFF, "True".to_owned())]);
        let next = container("d", &[(labels::REPLACES, "a".repeat(64))]);
        assert_eq!(replicas([&one, &two].into_iter()), 2);
        assert_eq!(replicas([&one, &run, &two, &next].into_iter()), 2);
        assert_eq!(replicas([&next].into_iter()), 1);
        assert_eq!(replicas([&run].into_iter()), 1);
    }
}

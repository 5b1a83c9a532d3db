//! Puts mounts back that vanished from a container that runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::state::{Input, State};
use crate::engine::remount;
use crate::event::Action;
use crate::ids::ContainerId;
use crate::lifecycle::Budget;
use crate::spec::{ContainerSpec, Mount, MountKind};

/// First and longest pause between repairs: a program that unmounts again and again gets its way for longer and longer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));

/// Returns the pauses of a container's repairs.
pub(super) fn budget() -> Arc<Mutex<Budget>> {
    Arc::new(Mutex::new(Budget::new(PAUSES.0, PAUSES.1)))
}

/// Looks at the mounts of a container's run after they changed, and puts back what it lacks.
pub(super) fn look(state: &mut State, id: &ContainerId) {
    let now = state.now();
    let inputs = state.inputs();
    let Some(entry) = state.containers.get_mut(id) else { return };
    let (Some(pid), false) = (entry.pid, entry.replica.is_stopped_by_user()) else { return };
    if entry.mending_mounts {
        return;
    }
    entry.mending_mounts = true;
    let (spec, id) = (Arc::clone(&entry.spec), id.clone());
    let budget = Arc::clone(&entry.mount_budget);
    tokio::spawn(async move {
        let looking = Arc::clone(&spec);
        let lacks = tokio::task::spawn_blocking(move || missing(pid, &looking).next().is_some()).await;
        let mut mended = Vec::new();
        if lacks.unwrap_or(false) {
            // A look costs nothing; only repairs are put off.
            let pause = budget.lock().unwrap_or_else(PoisonError::into_inner).take(now);
            tokio::time::sleep(pause).await;
            mended = tokio::task::spawn_blocking(move || mend(pid, &spec)).await.unwrap_or_default();
        }
        let told = move |state: &mut State| {
            let Some(entry) = state.containers.get_mut(&id) else { return };
            entry.mending_mounts = false;
            if entry.pid != Some(pid) {
                return; // its run ended meanwhile, and what was seen is of no interest
            }
            for (cause, remedy) in mended {
                state.emit(&id, Action::Heal { cause, remedy });
            }
        };
        let _ = inputs.send(Input::Read(Box::new(told)));
    });
}

/// Returns the mounts that are not there; parents come first, as in the specification.
fn missing(pid: u32, spec: &ContainerSpec) -> impl Iterator<Item = &Mount> {
    spec.mounts.iter().filter(move |mount| matches!(remount::is_mounted(pid, &mount.target), Ok(false)))
}

/// Puts back what is missing; returns cause and remedy of each.
fn mend(pid: u32, spec: &ContainerSpec) -> Vec<(String, String)> {
    let one = |mount: &Mount| {
        let cause = format!("the mount at {} vanished", mount.target);
        let source = match &mount.kind {
            MountKind::Bind { source, .. } | MountKind::Volume { source, subpath: None, .. } => source,
            // Its data went with it, or only the start knows how to come by it.
            MountKind::Tmpfs { .. } | MountKind::Volume { .. } => {
                return (cause, "none: a restart of the container brings it back".to_owned());
            }
        };
        let remedy = match remount::bind(pid, source, &mount.target, mount.read_only) {
            Ok(()) => "mounted again".to_owned(),
            Err(error) => format!("none: {} could not be mounted: {error}", source.display()),
        };
        (cause, remedy)
    };
    missing(pid, spec).map(one).collect()
}

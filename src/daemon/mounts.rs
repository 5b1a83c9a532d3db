//! Puts mounts back that vanished from a container that runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::state::{Input, State};
use crate::engine::{Shim, remount};
use crate::event::Action;
use crate::ids::ContainerId;
use crate::lifecycle::Budget;
use crate::spec::{ContainerSpec, Mount, MountKind};

/// First and longest pause between repairs: a program that unmounts again and again gets its way for longer and longer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));

/// Whether a container's mounts are being looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Looking {
    /// Nobody looks.
    #[default]
    Not,
    /// Somebody does.
    Now,
    /// They changed meanwhile: what was seen may be outdated.
    Again,
}

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
    let Some(shim) = entry.sandbox.as_ref().map(|sandbox| sandbox.shim.clone()) else { return };
    if entry.looking != Looking::Not {
        entry.looking = Looking::Again;
        return;
    }
    entry.looking = Looking::Now;
    let (spec, id) = (Arc::clone(&entry.spec), id.clone());
    let budget = Arc::clone(&entry.mount_budget);
    tokio::spawn(async move {
        let mut mended = Vec::new();
        if lacks(pid, &shim, &spec).await {
            // A look costs nothing; only repairs are put off.
            let pause = budget.lock().unwrap_or_else(PoisonError::into_inner).take(now);
            tokio::time::sleep(pause).await;
            // Its run may have ended in the pause, and its number be that of a process of the host.
            if let Some(container) = open(pid, &shim).await {
                mended = tokio::task::spawn_blocking(move || mend(&container, &spec)).await.unwrap_or_default();
            }
        }
        let told = move |state: &mut State| {
            let Some(entry) = state.containers.get_mut(&id) else { return };
            let again = std::mem::take(&mut entry.looking) == Looking::Again;
            // Where its run ended meanwhile, what was seen is of no interest.
            if entry.pid == Some(pid) {
                for (cause, remedy) in mended {
                    state.emit(&id, Action::Heal { cause, remedy });
                }
            }
            if again {
                look(state, &id);
            }
        };
        let _ = inputs.send(Input::Read(Box::new(told)));
    });
}

/// Tells whether a mount is not there.
async fn lacks(pid: u32, shim: &Shim, spec: &Arc<ContainerSpec>) -> bool {
    let Some(container) = open(pid, shim).await else { return false };
    let spec = Arc::clone(spec);
    let look = move || missing(&container, &spec).next().is_some();
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

/// Opens the container's mounts; `None` when its first process does not have this number any more.
async fn open(pid: u32, shim: &Shim) -> Option<remount::Opened> {
    let container = remount::Opened::new(pid).ok()?;
    // Asked afterwards: the number is the container's as long as its parent, the shim, has not seen it end.
    let status = shim.status().await.ok()?;
    (status.pid == Some(pid)).then_some(container)
}

/// Returns the mounts that are not there; parents come first, as in the specification.
fn missing<'a>(container: &'a remount::Opened, spec: &'a ContainerSpec) -> impl Iterator<Item = &'a Mount> {
    spec.mounts.iter().filter(move |mount| matches!(remount::is_mounted(container, &mount.target), Ok(false)))
}

/// Puts back what is missing; returns cause and remedy of each.
fn mend(container: &remount::Opened, spec: &ContainerSpec) -> Vec<(String, String)> {
    let one = |mount: &Mount| {
        let cause = format!("the mount at {} vanished", mount.target);
        let source = match &mount.kind {
            MountKind::Bind { source, .. } | MountKind::Volume { source, subpath: None, .. } => source,
            // Its data went with it, or only the start knows how to come by it.
            MountKind::Tmpfs { .. } | MountKind::Volume { .. } => {
                return (cause, "none: a restart of the container brings it back".to_owned());
            }
        };
        let remedy = match remount::bind(container, source, &mount.target, mount.read_only) {
            Ok(()) => "mounted again".to_owned(),
            Err(error) => format!("none: {} could not be mounted: {error}", source.display()),
        };
        (cause, remedy)
    };
    missing(container, spec).map(one).collect()
}

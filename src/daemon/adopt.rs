//! What a new daemon finds: containers that run on under their shims, and containers that
//! ended while nobody was there.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::launch::{self, Sandbox};
use super::state::{Entry, State};
use crate::engine::{Adopted, ContainerRecord, ExitStatus};
use crate::ids::ContainerId;
use crate::lifecycle::{self, Replica, Settings};

/// Takes over every container: shims are connected, names answered again, and what ended in
/// the meantime meets its restart policy.
pub(super) async fn adopt(state: &mut State) {
    let parts = state.parts().clone();
    let (records, errors) = parts.engine.records();
    for error in errors {
        tracing::warn!(%error, "a container's record is damaged; it is left alone");
    }
    let shims = parts.engine.adopt(state.notices()).await;
    let mut shims: HashMap<ContainerId, Adopted> = shims.into_iter().map(|a| (a.id.clone(), a)).collect();
    for record in records {
        let adopted = shims.remove(&record.spec.id);
        take_over(state, record, adopted).await;
    }
    // A shim without a record: its container was being removed when the daemon ended.
    for (id, orphan) in shims {
        tracing::warn!(container = id.short(), "ending a shim whose container was removed");
        orphan.shim.shutdown().await;
        if let Err(error) = parts.engine.remove(&id).await {
            tracing::warn!(%error, "cannot remove what it left");
        }
    }
}

/// Takes over one container.
async fn take_over(state: &mut State, record: ContainerRecord, adopted: Option<Adopted>) {
    let parts = state.parts().clone();
    let spec = Arc::new(record.spec);
    let ran = record.runs.started_ns.filter(|&started| record.runs.exit.is_none_or(|exit| exit.finished_ns < started));
    let mut entry = Entry::new(Arc::clone(&spec), record.created_ns);
    entry.started_ns = record.runs.started_ns;
    entry.last_exit = record.runs.exit;
    let mut inputs = Vec::new();
    match adopted {
        Some(Adopted { shim, status, .. }) if status.started_ns.is_none() => {
            // The daemon died between making the shim and starting the container.
            shim.shutdown().await;
        }
        Some(Adopted { shim, status, netns, .. }) => {
            if let Some(netns) = &netns
                && !spec.endpoints.is_empty()
            {
                resume_names(&parts, &spec, netns).await;
            }
            entry.started_ns = status.started_ns;
            entry.pid = status.pid;
            entry.sandbox = Some(Sandbox { shim, netns: netns.map(Arc::new), bound: status.bound });
            inputs.push(lifecycle::Input::Started);
            if let (None, Some(exit)) = (status.pid, status.exit) {
                entry.last_exit = Some(exit);
                inputs.push(lifecycle::Input::Exited { code: exit.code, oom: exit.oom_killed });
            }
        }
        None => {
            let ended = |code| Replica::ended(Settings::of(&spec), code, record.runs.stopped_by_user);
            if ran.is_some() {
                // It was running and its shim is gone: the machine was restarted, or both were killed.
                parts.engine.kill_leftovers(&spec.id);
                entry.last_exit = Some(ExitStatus { code: 137, oom_killed: false, finished_ns: super::now_ns() });
                entry.replica = ended(137);
                if entry.replica.starts_with_engine() {
                    inputs.push(lifecycle::Input::StartRequested);
                }
            } else if let Some(exit) = record.runs.exit {
                entry.replica = ended(exit.code);
            }
        }
    }
    entry.finished_ns = entry.last_exit.map(|e| e.finished_ns);
    if let Some(exit) = entry.last_exit
        && Some(exit) != record.runs.exit
        && let Err(error) = parts.engine.update_runs(&spec.id, |runs| runs.exit = Some(exit))
    {
        tracing::warn!(%error, "a container's record could not be kept");
    }
    state.take_over(entry, inputs);
}

/// Answers DNS in the container's namespace again.
async fn resume_names(parts: &super::Parts, spec: &crate::spec::ContainerSpec, netns: &OwnedFd) {
    if let Err(error) = launch::answer_names(parts, spec, netns).await {
        tracing::warn!(container = spec.name, %error, "cannot answer its DNS queries");
    }
}

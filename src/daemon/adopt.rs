//! What a new daemon finds: containers that run on under their shims, and containers that
//! ended while nobody was there.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::launch::{self, Sandbox};
use super::state::{Entry, State};
use crate::engine::{Adopted, ContainerRecord, ExitStatus};
use crate::ids::ContainerId;
use crate::lifecycle;

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
    let id = spec.id.clone();
    let mut entry = Entry::new(Arc::clone(&spec), record.created_ns);
    entry.started_ns = record.started_ns;
    entry.last_exit = record.exit;
    entry.finished_ns = record.exit.map(|e| e.finished_ns);
    let phase = match adopted {
        Some(adopted) => {
            if let Some(netns) = &adopted.netns
                && !spec.endpoints.is_empty()
            {
                resume_names(&parts, &spec, netns).await;
            }
            entry.started_ns = adopted.started_ns.or(entry.started_ns);
            entry.pid = adopted.running;
            let exit = adopted.exit;
            entry.sandbox =
                Some(Sandbox { shim: adopted.shim, netns: adopted.netns.map(Arc::new), bound: adopted.bound });
            match (adopted.running, exit) {
                (Some(_), _) => Some(lifecycle::Adopted::Running),
                (None, Some(exit)) => {
                    entry.last_exit = Some(exit);
                    entry.finished_ns = Some(exit.finished_ns);
                    parts.engine.record_exited(&id, &exit);
                    Some(lifecycle::Adopted::Exited { code: exit.code, oom: exit.oom_killed })
                }
                // The daemon died between making the shim and starting the container.
                (None, None) => {
                    if let Some(sandbox) = entry.sandbox.take() {
                        sandbox.shim.shutdown().await;
                    }
                    None
                }
            }
        }
        None if record.running => {
            // It was running and its shim is gone: the machine was restarted, or both were killed.
            parts.engine.kill_leftovers(&id);
            let exit = ExitStatus { code: 137, oom_killed: false, finished_ns: super::now_ns() };
            entry.last_exit = Some(exit);
            entry.finished_ns = Some(exit.finished_ns);
            parts.engine.record_exited(&id, &exit);
            Some(lifecycle::Adopted::Exited { code: exit.code, oom: false })
        }
        None => record.exit.map(|exit| lifecycle::Adopted::Stopped { code: exit.code }),
    };
    let stopped = record.stopped_by_user;
    state.take_over(entry, phase, stopped, record.restarts);
}

/// Answers DNS in the container's namespace again.
async fn resume_names(parts: &super::Parts, spec: &crate::spec::ContainerSpec, netns: &OwnedFd) {
    if let Err(error) = launch::answer_names(parts, spec, netns).await {
        tracing::warn!(container = spec.name, %error, "cannot answer its DNS queries");
    }
}

//! What a new daemon finds: containers that run on under their shims, and containers that
//! ended while nobody was there.

use std::collections::HashMap;
use std::sync::Arc;

use super::autopsy;
use super::container::Entry;
use super::launch::{self, Sandbox};
use super::state::State;
use crate::engine::{Adopted, ContainerRecord, ExitStatus, ShimStatus};
use crate::ids::ContainerId;
use crate::lifecycle::{self, Replica, Settings};

/// Takes over every container: shims are connected, networks and names answered again, and what
/// ended in the meantime meets its restart policy.
pub(super) async fn adopt(state: &mut State) {
    let parts = state.parts().clone();
    resume_networks(state, &parts).await;
    // Shims first: what one that has gone wrote down of the end of its run goes into the record.
    let shims = parts.engine.adopt(state.notices()).await;
    let (records, errors) = parts.engine.records();
    for error in errors {
        tracing::warn!(%error, "a container's record is damaged; its folder is left alone");
    }
    let mut shims: HashMap<ContainerId, Adopted> = shims.into_iter().map(|a| (a.id.clone(), a)).collect();
    for record in records {
        let adopted = shims.remove(&record.spec.id);
        take_over(state, record, adopted).await;
    }
    for (id, orphan) in shims {
        tracing::warn!(container = id.short(), "ending a shim without a record of its container");
        orphan.shim.shutdown().await;
        // Without the folder, its container was being removed when the daemon ended. With it,
        // the record is damaged, and the files are the user's.
        let let_go = match parts.engine.container_dir(&id).exists() {
            true => parts.engine.abandon(&id).await,
            false => parts.engine.remove(&id).await,
        };
        if let Err(error) = let_go {
            tracing::warn!(%error, "cannot remove what it left");
        }
    }
}

/// Tells the network layer of every network that stands: it knows nothing of an earlier daemon.
async fn resume_networks(state: &State, parts: &super::Parts) {
    let standing = match parts.net.observe().await {
        Ok(observed) => observed.bridges,
        Err(error) => {
            tracing::warn!(%error, "cannot see which networks stand");
            return;
        }
    };
    let stands = |bridge: &str| standing.iter().any(|b| b.name == bridge);
    for spec in state.networks.values().filter(|spec| stands(&spec.bridge)) {
        if let Err(error) = parts.net.ensure_network(spec).await {
            tracing::warn!(network = %spec.name, %error, "cannot take a network over");
        }
    }
}

/// Takes over one container.
async fn take_over(state: &mut State, record: ContainerRecord, adopted: Option<Adopted>) {
    let parts = state.parts().clone();
    let known_exit = record.runs.exit;
    let id = record.spec.id.clone();
    let (mut entry, next) = revive(record, adopted.as_ref().map(|adopted| &adopted.status), super::now_ns());
    entry.card = autopsy::kept(&parts.engine, &id);
    let spec = Arc::clone(&entry.spec);
    let mut inputs = Vec::new();
    match (next, adopted) {
        (Next::Adopt { exit }, Some(Adopted { shim, status, netns, .. })) => {
            let standby = status.bound.is_empty()
                && super::hand_over::upstream(&spec).is_some()
                && spec.labels.contains_key(crate::plan::labels::REPLACES);
            if let Some(netns) = &netns
                && !spec.endpoints.is_empty()
                && let Err(error) = launch::answer_names(&parts, &spec, netns, standby).await
            {
                tracing::warn!(container = spec.name, %error, "cannot answer its DNS queries");
            }
            entry.sandbox = Some(Sandbox { shim, netns: netns.map(Arc::new), bound: status.bound, standby });
            inputs.push(lifecycle::Input::Started);
            if let Some(exit) = exit {
                inputs.push(lifecycle::Input::Exited { code: exit.code, oom: exit.oom_killed });
            }
        }
        (next, adopted) => {
            if let Some(Adopted { shim, .. }) = adopted {
                // The daemon died between making the shim and starting the container.
                shim.shutdown().await;
            }
            if entry.last_exit != known_exit {
                parts.engine.kill_leftovers(&spec.id);
            }
            if matches!(next, Next::Resume) {
                inputs.push(lifecycle::Input::Resumed);
            }
        }
    }
    if let Some(exit) = entry.last_exit
        && Some(exit) != known_exit
        && let Err(error) = parts.engine.update_runs(&spec.id, |runs| runs.exit = Some(exit))
    {
        tracing::warn!(%error, "a container's record could not be kept");
    }
    state.take_over(entry, inputs);
}

/// What a found container goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Its shim holds it; `exit` is how its process ended meanwhile.
    Adopt { exit: Option<ExitStatus> },
    /// Its policy starts it again.
    Resume,
    /// Nothing.
    Rest,
}

/// Returns a container as its record and its shim tell of it. Pure.
fn revive(record: ContainerRecord, shim: Option<&ShimStatus>, now_ns: i64) -> (Entry, Next) {
    let spec = Arc::new(record.spec);
    let ran =
        record.runs.started_ns.is_some_and(|started| record.runs.exit.is_none_or(|exit| exit.finished_ns < started));
    // The last daemon may have died after a try began and before it was written down.
    let begun = shim.and_then(|status| status.started_ns);
    let missed = record.runs.started_ns.is_some() && begun > record.runs.started_ns && !record.runs.stopped_by_user;
    let restarts = record.runs.restarts.saturating_add(u32::from(missed));
    let replica = Replica::with_past(Settings::of(&spec), restarts, record.runs.stopped_by_user);
    let mut entry = Entry::new(spec, record.created_ns);
    entry.started_ns = record.runs.started_ns;
    entry.last_exit = record.runs.exit;
    entry.error = record.runs.error;
    entry.said_ready_ns = record.runs.said_ready_ns;
    let next = match shim {
        Some(status) if status.started_ns.is_some() => {
            entry.replica = replica;
            entry.started_ns = status.started_ns;
            entry.pid = status.pid;
            entry.error.clear();
            let exit = if status.pid.is_none() { status.exit } else { None };
            entry.last_exit = exit.or(entry.last_exit);
            Next::Adopt { exit }
        }
        _ => {
            // It was running and its shim is gone: the machine was restarted, or both were killed.
            if ran {
                entry.last_exit =
                    Some(ExitStatus { code: KILLED, oom_killed: false, finished_ns: now_ns, ..ExitStatus::default() });
            }
            // Unless the user stopped it, it may also have been between two tries of its policy.
            let wanted = entry.started_ns.is_some() && entry.error.is_empty() && !record.runs.stopped_by_user;
            entry.replica = match entry.last_exit {
                Some(exit) => replica.ended(exit.code),
                None => replica,
            };
            if wanted && entry.replica.starts_with_engine() { Next::Resume } else { Next::Rest }
        }
    };
    entry.finished_ns = entry.last_exit.map(|exit| exit.finished_ns).filter(|_| entry.started_ns.is_some());
    (entry, next)
}

/// Exit status of what nobody saw end.
const KILLED: i32 = 137;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::fixture;
    use crate::engine::Runs;
    use crate::spec::{ContainerSpec, RestartPolicy};

    const EXIT: ExitStatus =
        ExitStatus { code: 3, oom_killed: false, finished_ns: 20, signal: None, oom_kills: 0, memory_peak: None };

    fn record(restart: RestartPolicy) -> ContainerRecord {
        ContainerRecord {
            version: 1,
            spec: ContainerSpec { restart, ..fixture::container() },
            created_ns: 1,
            runs: Runs { started_ns: Some(10), restarts: 4, ..Runs::default() },
        }
    }

    #[track_caller]
    fn check(record: ContainerRecord, shim: Option<&ShimStatus>, next: Next, word: &str, restarts: u32) -> Entry {
        let (entry, found) = revive(record, shim, 99);
        assert_eq!((found, entry.word(), entry.replica.restarts()), (next, word, restarts));
        entry
    }

    fn shim(pid: Option<u32>, exit: Option<ExitStatus>) -> ShimStatus {
        ShimStatus { pid, started_ns: Some(10), exit, bound: Vec::new() }
    }

    #[test]
    fn a_container_that_runs_on_keeps_its_past() {
        let mut stopped = record(RestartPolicy::Always);
        stopped.runs.stopped_by_user = true;
        let entry = check(stopped, Some(&shim(Some(7), None)), Next::Adopt { exit: None }, "created", 4);
        assert!(entry.replica.is_stopped_by_user(), "its stop was under way: it is not started again");
        let exit = Some(EXIT);
        let entry = check(record(RestartPolicy::No), Some(&shim(None, exit)), Next::Adopt { exit }, "created", 4);
        assert_eq!((entry.finished_ns, entry.last_exit), (Some(20), exit));
    }

    #[test]
    fn what_ended_with_the_machine_meets_its_policy() {
        for (policy, next) in [
            (RestartPolicy::No, Next::Rest),
            (RestartPolicy::OnFailure(None), Next::Rest),
            (RestartPolicy::Always, Next::Resume),
            (RestartPolicy::UnlessStopped, Next::Resume),
        ] {
            let entry = check(record(policy), None, next, "exited", 4);
            assert_eq!(entry.last_exit.map(|exit| (exit.code, exit.finished_ns)), Some((137, 99)));
            let mut waiting = record(policy);
            waiting.runs.exit = Some(EXIT);
            let entry = check(waiting, None, next, "exited", 4);
            assert_eq!(entry.last_exit, Some(EXIT), "it was between two tries");
        }
    }

    #[test]
    fn a_try_that_the_last_daemon_did_not_write_down_counts() {
        let status = ShimStatus { started_ns: Some(30), ..shim(Some(7), None) };
        check(record(RestartPolicy::OnFailure(Some(9))), Some(&status), Next::Adopt { exit: None }, "created", 5);
    }

    #[test]
    fn what_was_stopped_or_never_ran_stays_so() {
        let mut stopped = record(RestartPolicy::Always);
        stopped.runs.exit = Some(EXIT);
        stopped.runs.stopped_by_user = true;
        check(stopped, None, Next::Rest, "exited", 4);
        let mut refused = record(RestartPolicy::Always);
        refused.runs.exit = Some(EXIT);
        refused.runs.error = "no such command".to_owned();
        check(refused.clone(), None, Next::Rest, "exited", 4);
        refused.runs.started_ns = None;
        let entry = check(refused, None, Next::Rest, "created", 4);
        assert_eq!((entry.finished_ns, entry.error.as_str()), (None, "no such command"));
        let fresh = ContainerRecord { runs: Runs::default(), ..record(RestartPolicy::Always) };
        check(fresh.clone(), Some(&ShimStatus::default()), Next::Rest, "created", 0);
        check(fresh, None, Next::Rest, "created", 0);
    }
}

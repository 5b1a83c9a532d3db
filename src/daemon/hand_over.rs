//! One container takes the place of another while both run: published ports, names, and the watch
//! over the new one.
//!
//! A container whose predecessor still runs when it starts stands by: it opens no port and answers
//! to no name but its own. [`Daemon::hand_over`] gives it both. The host's sockets are passed on,
//! not opened again, so a client finds one of the two at every moment, and what waits to be
//! accepted is accepted by the new one.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Daemon;
use super::container::{Entry, label_of};
use super::launch::{self, Sandbox};
use super::state::{Input, State};
use crate::engine::{Bound, Lent, Upstream};
use crate::host::HostError;
use crate::ids::ContainerId;
use crate::lifecycle::Time;
use crate::lifecycle::rollout::{Seen, Verdict, Watch};
use crate::plan::labels;
use crate::spec::{Batch, ContainerSpec};
use std::sync::Arc;

/// How long the ports of a container that ended are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(20);

/// What a hand-over needs to know of one side.
type Side = (Arc<ContainerSpec>, Sandbox);

impl State {
    /// Tells whether the container that this one replaces still runs.
    pub(super) fn stands_by(&self, spec: &ContainerSpec) -> bool {
        let old = label_of(spec, labels::REPLACES);
        !old.is_empty() && self.containers.iter().any(|(id, entry)| id.as_str() == old && is_up(entry))
    }

    /// Lets whoever stood by for a container that has ended take its place: nobody handed over.
    pub(super) fn step_in(&mut self, ended: &ContainerId) {
        let waits = |entry: &&Entry| label_of(&entry.spec, labels::REPLACES) == ended.as_str();
        let Some(entry) = self.containers.values().find(waits) else { return };
        let Some(sandbox) = entry.sandbox.clone().filter(|sandbox| sandbox.standby) else { return };
        let (parts, spec, inputs) = (self.parts().clone(), Arc::clone(&entry.spec), self.inputs());
        tokio::spawn(async move {
            let began = Instant::now();
            loop {
                match open(&spec, &sandbox, Vec::new()).await {
                    Ok(bound) => {
                        launch::tell_names(&parts, &spec, false);
                        let _ = inputs.send(took_over(spec.id.clone(), bound));
                        return;
                    }
                    // The shim of the other one is on its way out, and its sockets with it.
                    Err(_) if began.elapsed() < PATIENCE => tokio::time::sleep(AGAIN).await,
                    Err(error) => {
                        tracing::warn!(container = spec.name, %error, "its ports cannot be opened");
                        return;
                    }
                }
            }
        });
    }

    fn side(&self, id: &ContainerId) -> Option<Side> {
        let entry = self.containers.get(id).filter(|entry| is_up(entry))?;
        Some((Arc::clone(&entry.spec), entry.sandbox.clone()?))
    }

    fn seen(&self, batch: &Batch) -> Vec<Seen> {
        let one = |(id, name): &(ContainerId, String)| match self.containers.get(id) {
            Some(entry) => Seen {
                name: name.clone(),
                phase: entry.replica.phase(),
                at_rest: entry.replica.is_at_rest(),
                restarts: entry.replica.restarts(),
            },
            None => {
                Seen { name: name.clone(), phase: crate::lifecycle::condition::Phase::Gone, at_rest: true, restarts: 0 }
            }
        };
        batch.containers.iter().map(one).collect()
    }
}

impl Daemon {
    /// Lets `to` take over from `from`; returns when the connections of that one have ended, or
    /// after `grace`.
    pub(super) async fn hand_over(
        &self,
        from: &ContainerId,
        to: &ContainerId,
        grace: Duration,
    ) -> Result<(), HostError> {
        let (old, new) = {
            let (from, to) = (from.clone(), to.clone());
            self.look(move |state| (state.side(&from), state.side(&to))).await
        };
        let Some((spec, sandbox)) = new else {
            return Err(HostError::new("the new container does not run; the old one goes on"));
        };
        if sandbox.standby {
            let lent = match &old {
                Some((_, old)) => old.shim.lend().await.map_err(HostError::new)?,
                None => Vec::new(),
            };
            let bound = open(&spec, &sandbox, lent).await?;
            self.send(took_over(to.clone(), bound));
            launch::tell_names(&self.parts, &spec, false);
        }
        // Whoever is stopped already has no connections.
        let Some((spec, sandbox)) = old else { return Ok(()) };
        launch::tell_names(&self.parts, &spec, true);
        let id = from.clone();
        self.look(move |state| {
            if let Some(sandbox) = state.containers.get_mut(&id).and_then(|entry| entry.sandbox.as_mut()) {
                sandbox.bound.clear();
            }
        })
        .await;
        sandbox.shim.retire(grace).await.map_err(HostError::new)
    }

    /// Watches over replicas that an update made.
    pub(super) async fn watch_replicas(&self, batch: &Batch) -> Result<(), HostError> {
        let mut events = self.subscribe(None);
        let began = Instant::now();
        let mut watch = Watch::new(Time::default());
        loop {
            let seen = {
                let batch = batch.clone();
                self.look(move |state| state.seen(&batch)).await
            };
            let until = match watch.look(batch, &seen, Time(began.elapsed())) {
                Verdict::Good => return Ok(()),
                Verdict::Failed(who) => {
                    let hint = format!("stack why {0}; stack logs {0}; stack rollback {0}", batch.service);
                    return Err(HostError::new(format!("the update fails: {who}")).hint(hint));
                }
                Verdict::Pending(until) => until,
            };
            let timer = async {
                match until {
                    Some(until) => tokio::time::sleep_until((began + until.0).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Both are cancel-safe: what is there is looked at anew.
                event = events.recv() => if event.is_none() {
                    // It was let go for reading too slowly.
                    events = self.subscribe(None);
                },
                () = timer => {}
            }
        }
    }

    /// Returns what a look at the state gives.
    async fn look<T: Send + 'static>(&self, look: impl FnOnce(&mut State) -> T + Send + 'static) -> T {
        self.ask(|reply: oneshot::Sender<T>| {
            Input::Read(Box::new(move |state: &mut State| drop(reply.send(look(state)))))
        })
        .await
    }
}

/// Opens a container's ports, with the sockets that another one had where it lends them.
async fn open(spec: &ContainerSpec, sandbox: &Sandbox, lent: Vec<Lent>) -> Result<Vec<Bound>, HostError> {
    let Some(upstream) = upstream(spec) else { return Ok(Vec::new()) };
    sandbox.shim.publish(spec.ports.clone(), upstream, lent).await.map_err(HostError::new)
}

/// Returns where a container's published ports lead; `None` where there are none, or nothing to lead to.
pub(super) fn upstream(spec: &ContainerSpec) -> Option<Upstream> {
    let endpoint = spec.endpoints.iter().find(|e| e.default_route).or(spec.endpoints.first());
    let endpoint = endpoint.filter(|_| !spec.ports.is_empty())?;
    Some(Upstream { v4: Some(endpoint.address), v6: endpoint.address6 })
}

fn took_over(id: ContainerId, bound: Vec<Bound>) -> Input {
    Input::Read(Box::new(move |state: &mut State| {
        if let Some(sandbox) = state.containers.get_mut(&id).and_then(|entry| entry.sandbox.as_mut()) {
            sandbox.bound = bound;
            sandbox.standby = false;
        }
    }))
}

fn is_up(entry: &Entry) -> bool {
    !entry.replica.is_at_rest() && entry.sandbox.is_some()
}

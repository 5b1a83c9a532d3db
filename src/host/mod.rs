//! The narrow trait that [`apply`](crate::apply) needs of a host, in our words.
//!
//! `daemon::machine` is the real one; `fake` records calls and answers as a test told it to.
//!
//! Every method can run again: a network that is there, a container that runs already, a link
//! that is gone are successes.

#[cfg(test)]
pub mod fake;

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use crate::ids::{ContainerId, VolumeName};
use crate::plan::Wait;
use crate::spec::{Batch, ContainerSpec, NetworkSpec, VolumeSpec};

/// What executes the steps of a plan.
pub trait Host: Send + Sync + 'static {
    /// Called when a step begins and when it has ended.
    fn boundary(&self) {}

    /// Makes the network's bridge, or repairs what is missing of it.
    fn ensure_network(&self, spec: &NetworkSpec) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Removes the network's bridge and its record.
    fn remove_network(&self, spec: &NetworkSpec) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Removes all links of a device group at once, before the containers and networks that
    /// they belong to are removed.
    fn remove_links(&self, group: u32) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Makes a named volume.
    fn ensure_volume(&self, spec: &VolumeSpec) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Removes a volume and its data.
    fn remove_volume(&self, name: &VolumeName) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Makes a container and its anonymous volumes (`MountKind::Volume { anonymous: true, .. }`)
    /// where they are not there yet; does not start it.
    fn create_container(&self, spec: &ContainerSpec) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Changes a container in place to this specification, of which only what can be changed so
    /// differs: its limits, restart policy, health check, labels, signal and grace of stops, and
    /// networks. One that runs goes on. A limit that the kernel refuses is an error that names it,
    /// and all stays as it was.
    fn update_container(&self, spec: &ContainerSpec) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Starts a container; returns once its process runs. Its network namespace and links are made
    /// anew where they are gone (the machine started anew).
    fn start_container(&self, id: &ContainerId) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Asks a container to stop and returns once it has ended; it is killed after `grace`.
    fn stop_container(
        &self,
        id: &ContainerId,
        signal: i32,
        grace: Duration,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Sends a signal; returns once it was sent (for SIGKILL: once the container has ended).
    fn kill_container(&self, id: &ContainerId, signal: i32) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Removes a container that does not run, and these volumes of its own.
    fn remove_container(
        &self,
        id: &ContainerId,
        volumes: &[VolumeName],
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Watches over replicas that an update made; fails as soon as too many of them do
    /// ([`rollout::Watch`](crate::lifecycle::rollout::Watch) decides).
    fn watch_replicas(&self, batch: &Batch) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Gives one running container the published ports and the names of another, without closing a
    /// port, and waits until the connections of that one have ended, at most for `grace`.
    fn hand_over(
        &self,
        from: &ContainerId,
        to: &ContainerId,
        grace: Duration,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Waits until the condition holds for all containers, and fails as soon as it cannot hold
    /// any more ([`condition::evaluate`](crate::lifecycle::condition::evaluate) decides both).
    fn await_condition(&self, wait: &Wait) -> impl Future<Output = Result<(), HostError>> + Send;
}

/// Why a step failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{}", chain(.cause.as_ref()))]
pub struct HostError {
    cause: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
}

impl HostError {
    /// Returns the failure with its causes.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), hint: None }
    }

    /// Returns the failure with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the chain of causes joined by `: `, and the advice.
    pub fn into_parts(self) -> (String, Option<String>) {
        (chain(self.cause.as_ref()), self.hint)
    }
}

/// Returns an error and its causes joined by `: `.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

//! Changing a container in place: the record on disk first, then what runs, then the record again.
//!
//! ```text
//! record: new, without its config hash -> limits -> networks joined, left -> record: new
//!                                           | refused
//!                                           v
//!                                 what was done is undone -> record: old
//! ```
//!
//! A daemon that dies in between leaves a record without a config hash, which lists the networks of
//! both: the next plan changes the container again, and everything here can be done twice.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::Daemon;
use super::launch::{self, Sandbox};
use super::machine::blocking;
use super::state::{Input, State};
use crate::host::HostError;
use crate::ids::NetworkName;
use crate::lifecycle::{self, Settings};
use crate::plan::labels;
use crate::spec::{ContainerSpec, Endpoint, NetworkSpec};

/// Between two looks at a container that is just being started.
const AGAIN: Duration = Duration::from_millis(10);

/// What a change begins with.
struct Standing {
    before: Arc<ContainerSpec>,
    /// What it is up in.
    sandbox: Option<Sandbox>,
    networks: HashMap<NetworkName, NetworkSpec>,
}

enum Swapped {
    Done(Box<Standing>),
    /// A start made from the old specification is under way.
    Launching,
    Gone,
}

impl State {
    /// Takes a specification in the place of the one that is there.
    fn swap(&mut self, spec: &Arc<ContainerSpec>) -> Swapped {
        let Some(entry) = self.containers.get_mut(&spec.id) else { return Swapped::Gone };
        if entry.launching && entry.sandbox.is_none() {
            return Swapped::Launching;
        }
        let before = std::mem::replace(&mut entry.spec, Arc::clone(spec));
        let sandbox = entry.sandbox.clone();
        let named = before.endpoints.iter().chain(&spec.endpoints).map(|endpoint| &endpoint.network);
        let networks = named.filter_map(|name| Some((name.clone(), self.networks.get(name)?.clone()))).collect();
        self.step(&spec.id, lifecycle::Input::Changed(Settings::of(spec)));
        Swapped::Done(Box::new(Standing { before, sandbox, networks }))
    }
}

impl Daemon {
    /// Changes a container in place.
    ///
    /// # Errors
    ///
    /// What the kernel refused; then the container is as it was.
    pub(super) async fn amend(&self, spec: &ContainerSpec) -> Result<(), HostError> {
        // Where a volume's data is was filled in when the container was made, and stays.
        let spec = Arc::new(spec.clone());
        let Standing { before, sandbox, networks } = *self.swap(&spec).await?;
        // What is not known to be in force is done again.
        let again = !before.labels.contains_key(labels::CONFIG_HASH);
        let both = Arc::new(between(&before, &spec));
        let work = async {
            self.keep(&before, &both).await?;
            let Some(sandbox) = &sandbox else { return Ok(()) };
            self.limit(&before, &spec, sandbox, again).await?;
            let done = self.move_networks(&before, &spec, sandbox, &networks, again).await;
            if done.is_err()
                && let Err(error) = sandbox.shim.limit(before.resources.clone()).await
            {
                tracing::warn!(container = spec.name, %error, "its limits are not as they were");
            }
            done
        };
        match work.await {
            Ok(()) => self.keep(&both, &spec).await,
            Err(error) => {
                if let Err(error) = self.keep(&both, &before).await {
                    tracing::warn!(container = spec.name, %error, "the next `up` changes it again");
                }
                self.swap(&before).await.map(drop)?;
                Err(error)
            }
        }
    }

    async fn swap(&self, spec: &Arc<ContainerSpec>) -> Result<Box<Standing>, HostError> {
        loop {
            let look = |reply: tokio::sync::oneshot::Sender<Swapped>| {
                let spec = Arc::clone(spec);
                Input::Read(Box::new(move |state: &mut State| drop(reply.send(state.swap(&spec)))))
            };
            match self.ask(look).await {
                Swapped::Done(standing) => return Ok(standing),
                Swapped::Launching => tokio::time::sleep(AGAIN).await,
                Swapped::Gone => {
                    return Err(HostError::new(format!("container {} has gone", spec.id.short())));
                }
            }
        }
    }

    /// Writes down what a container is.
    async fn keep(&self, before: &Arc<ContainerSpec>, after: &Arc<ContainerSpec>) -> Result<(), HostError> {
        let (engine, before, after) = (self.parts.engine.clone(), Arc::clone(before), Arc::clone(after));
        blocking(move || engine.amend(&before, &after).map_err(HostError::new)).await
    }

    async fn limit(
        &self,
        before: &ContainerSpec,
        after: &ContainerSpec,
        sandbox: &Sandbox,
        again: bool,
    ) -> Result<(), HostError> {
        if before.resources == after.resources && !again {
            return Ok(());
        }
        let warnings = sandbox.shim.limit(after.resources.clone()).await.map_err(|error| {
            let service = after.labels.get(labels::SERVICE).map_or("SERVICE", String::as_str);
            HostError::new(error).hint(format!(
                "the container runs on with its old limits; to make it anew: stack up --force-recreate {service}"
            ))
        })?;
        for warning in warnings {
            tracing::warn!(container = after.name, "{warning}");
        }
        Ok(())
    }

    /// Joins and leaves networks, and makes the names known.
    async fn move_networks(
        &self,
        before: &ContainerSpec,
        after: &ContainerSpec,
        sandbox: &Sandbox,
        networks: &HashMap<NetworkName, NetworkSpec>,
        again: bool,
    ) -> Result<(), HostError> {
        let Some(netns) = sandbox.netns.as_deref().filter(|_| after.network_of.is_none()) else { return Ok(()) };
        if before.endpoints == after.endpoints && !again {
            return Ok(());
        }
        let is_new = |endpoint: &&Endpoint| again || place(before, &endpoint.network).is_none();
        let mut joined = Vec::new();
        for endpoint in after.endpoints.iter().filter(is_new) {
            joined.push(endpoint);
            if let Err(error) = self.join(netns, endpoint, networks).await {
                for endpoint in joined.into_iter().filter(|e| !again && place(before, &e.network).is_none()) {
                    if let Err(error) = self.parts.net.detach(endpoint).await {
                        tracing::warn!(container = after.name, %error, "a network that could not be joined");
                    }
                }
                return Err(error);
            }
        }
        for endpoint in before.endpoints.iter().filter(|e| place(after, &e.network).is_none()) {
            self.parts.net.detach(endpoint).await.map_err(HostError::new)?;
        }
        let leads = |spec: &ContainerSpec| spec.endpoints.iter().find(|e| e.default_route).cloned();
        if let Some(endpoint) = leads(after).filter(|e| leads(before).is_none_or(|old| old.network != e.network)) {
            // The one that was left took its route along; a place that stands is only put in order.
            self.join(netns, &endpoint, networks).await?;
        }
        let on = after.endpoints.iter().map(|endpoint| endpoint.network.clone()).collect();
        if self.parts.net.set_networks(&after.id, on) {
            launch::tell_names(&self.parts, after, sandbox.standby);
            return Ok(());
        }
        launch::answer_names(&self.parts, after, netns, sandbox.standby).await
    }

    async fn join(
        &self,
        netns: &OwnedFd,
        endpoint: &Endpoint,
        networks: &HashMap<NetworkName, NetworkSpec>,
    ) -> Result<(), HostError> {
        let network = networks.get(&endpoint.network);
        let network = network.ok_or_else(|| HostError::new(format!("its network {} has gone", endpoint.network)))?;
        self.parts.net.ensure_network_lately(network).await.map_err(HostError::new)?;
        self.parts.net.attach(netns.as_fd(), endpoint, network).await.map_err(HostError::new)
    }
}

fn place<'a>(spec: &'a ContainerSpec, network: &NetworkName) -> Option<&'a Endpoint> {
    spec.endpoints.iter().find(|endpoint| endpoint.network == *network)
}

/// Returns what a container is while it changes: the new one, on the networks of both, and without
/// the hash that says that it is as the file wants it.
fn between(before: &ContainerSpec, after: &ContainerSpec) -> ContainerSpec {
    let mut both = after.clone();
    both.labels.remove(labels::CONFIG_HASH);
    both.endpoints.extend(before.endpoints.iter().filter(|e| place(after, &e.network).is_none()).cloned());
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::fixture;

    #[test]
    fn while_it_changes_a_container_is_on_all_its_networks_and_not_as_the_file_wants_it() {
        let mut before = fixture::container();
        before.labels.insert(labels::CONFIG_HASH.to_owned(), "old".to_owned());
        let mut after = before.clone();
        after.labels.insert(labels::CONFIG_HASH.to_owned(), "new".to_owned());
        after.endpoints[0].network = NetworkName::new("app_other");
        let both = between(&before, &after);
        let names: Vec<_> = both.endpoints.iter().map(|e| e.network.as_str()).collect();
        assert_eq!(names, ["app_other", before.endpoints[0].network.as_str()]);
        assert!(!both.labels.contains_key(labels::CONFIG_HASH));
    }
}

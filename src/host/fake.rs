//! A host that records what it is asked for and answers as a test told it to.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::{Host, HostError};
use crate::ids::{ContainerId, VolumeName};
use crate::plan::Wait;
use crate::spec::{Batch, ContainerSpec, NetworkSpec, VolumeSpec};

/// How a call goes.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// How long it takes.
    pub takes: Duration,
    /// Why it fails; `None` for success.
    pub fails: Option<String>,
    /// It panics.
    pub panics: bool,
}

/// The fake: calls are named `create app-web-1`, `start app-web-1`, `network app_default`,
/// `await db`, ...
#[derive(Debug, Default)]
pub struct FakeHost {
    replies: HashMap<String, Reply>,
    /// How long a call takes that has no reply of its own.
    default_takes: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<String>,
    names: HashMap<ContainerId, String>,
    running: usize,
    most: usize,
}

impl FakeHost {
    /// Returns a host on which every call takes so long and succeeds.
    pub fn new(takes: Duration) -> Self {
        Self { default_takes: takes, ..Self::default() }
    }

    /// Scripts one call.
    #[must_use]
    pub fn reply(mut self, call: &str, reply: Reply) -> Self {
        self.replies.insert(call.to_owned(), reply);
        self
    }

    /// Lets one call fail.
    #[must_use]
    pub fn fails(self, call: &str, why: &str) -> Self {
        let takes = self.default_takes;
        self.reply(call, Reply { takes, fails: Some(why.to_owned()), panics: false })
    }

    /// Lets one call take so many milliseconds.
    #[must_use]
    pub fn takes(self, call: &str, milliseconds: u64) -> Self {
        self.reply(call, Reply { takes: Duration::from_millis(milliseconds), ..Reply::default() })
    }

    /// Returns the calls that ended, in that order; failures are marked by `!`.
    pub fn log(&self) -> Vec<String> {
        self.state.lock().expect("no panic in the fake").log.clone()
    }

    /// Returns how many calls ran at the same time at most.
    pub fn most_at_once(&self) -> usize {
        self.state.lock().expect("no panic in the fake").most
    }

    async fn call(&self, call: String) -> Result<(), HostError> {
        {
            let mut state = self.state.lock().expect("no panic in the fake");
            state.running += 1;
            state.most = state.most.max(state.running);
        }
        let default = Reply { takes: self.default_takes, ..Reply::default() };
        let reply = self.replies.get(&call).cloned().unwrap_or(default);
        tokio::time::sleep(reply.takes).await;
        let mut state = self.state.lock().expect("no panic in the fake");
        state.running -= 1;
        match reply.fails {
            Some(why) => {
                state.log.push(format!("!{call}"));
                Err(HostError::new(why))
            }
            None if reply.panics => {
                drop(state);
                panic!("scripted");
            }
            None => {
                state.log.push(call);
                Ok(())
            }
        }
    }

    fn name(&self, id: &ContainerId) -> String {
        let state = self.state.lock().expect("no panic in the fake");
        state.names.get(id).cloned().unwrap_or_else(|| id.short().to_owned())
    }

    /// Lets calls about a container that a test did not create be named.
    pub fn know(&self, id: &ContainerId, name: &str) {
        self.state.lock().expect("no panic in the fake").names.insert(id.clone(), name.to_owned());
    }
}

impl Host for FakeHost {
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<(), HostError> {
        self.call(format!("network {}", spec.name)).await
    }

    async fn remove_network(&self, spec: &NetworkSpec) -> Result<(), HostError> {
        self.call(format!("remove-network {}", spec.name)).await
    }

    async fn remove_links(&self, _group: u32) -> Result<(), HostError> {
        self.call("remove-links".to_owned()).await
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<(), HostError> {
        self.call(format!("volume {}", spec.name)).await
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), HostError> {
        self.call(format!("remove-volume {name}")).await
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<(), HostError> {
        self.know(&spec.id, &spec.name);
        self.call(format!("create {}", spec.name)).await
    }

    async fn update_container(&self, spec: &ContainerSpec) -> Result<(), HostError> {
        self.know(&spec.id, &spec.name);
        self.call(format!("update {}", spec.name)).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), HostError> {
        self.call(format!("start {}", self.name(id))).await
    }

    async fn stop_container(&self, id: &ContainerId, _signal: i32, _grace: Duration) -> Result<(), HostError> {
        self.call(format!("stop {}", self.name(id))).await
    }

    async fn kill_container(&self, id: &ContainerId, signal: i32) -> Result<(), HostError> {
        self.call(format!("kill {signal} {}", self.name(id))).await
    }

    async fn remove_container(&self, id: &ContainerId, _volumes: &[VolumeName]) -> Result<(), HostError> {
        self.call(format!("remove {}", self.name(id))).await
    }

    async fn watch_replicas(&self, batch: &Batch) -> Result<(), HostError> {
        self.call(format!("watch {}", batch.service)).await
    }

    async fn hand_over(&self, from: &ContainerId, _to: &ContainerId, _grace: Duration) -> Result<(), HostError> {
        self.call(format!("hand-over {}", self.name(from))).await
    }

    async fn await_condition(&self, wait: &Wait) -> Result<(), HostError> {
        self.call(format!("await {}", wait.service)).await
    }
}

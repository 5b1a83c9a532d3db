//! `x-stack`: this program's own attributes, one map on a service and one at the top of the file.

use serde::{Deserialize, Serialize};

use crate::spec::Ready;

attributes! {
    /// `x-stack` of a service. What the `x-stack` at the top of the file says is filled in already.
    pub struct XStack {
        /// How it is known that the service is ready. Where it is given and not [`Ready::None`], services
        /// that wait for this one to be started wait until it is ready.
        pub ready: Option<Ready>,
        /// What is done when files that its containers are made with change; nothing when absent.
        pub watch: Option<WatchMode>,
    }
}

impl XStack {
    /// Tells whether services that wait for this one to be started wait until it is ready.
    pub fn dependents_wait(&self) -> bool {
        self.ready.as_ref().is_some_and(|rule| *rule != Ready::None)
    }
}

/// What is done when the sources of a service's bind mounts or its env files change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchMode {
    /// Its containers are restarted.
    Restart,
}

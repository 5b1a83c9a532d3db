//! What is there: everything the engine has, not only one project's, so that names and
//! addresses of others are seen.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::labels;
use crate::ids::{ProjectName, ServiceName};
use crate::spec::{ContainerSpec, Health, NetworkSpec, VolumeSpec};

/// All containers, networks and volumes of an engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Containers.
    pub containers: Vec<ObservedContainer>,
    /// Networks.
    pub networks: Vec<ObservedNetwork>,
    /// Named volumes.
    pub volumes: Vec<VolumeSpec>,
}

/// A container and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// As it was created.
    pub spec: ContainerSpec,
    /// What it does.
    pub state: ContainerState,
    /// Its health; `None` without a healthcheck or when it does not run.
    pub health: Option<Health>,
    /// It is ready by its rule.
    pub ready: bool,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Its creation did not end: only fit to be removed.
    Incomplete,
    /// Made, never started.
    Created,
    /// Its process and shim run.
    Running,
    /// It ended and is started again after a pause.
    Restarting,
    /// It ended, or its shim is gone.
    Exited(i32),
}

/// A network and whether it works.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedNetwork {
    /// As it was created.
    pub spec: NetworkSpec,
    /// Its bridge exists.
    pub alive: bool,
}

impl ObservedContainer {
    /// Tells whether it runs or is about to.
    pub fn is_up(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Restarting)
    }

    /// Returns the value of a label.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.spec.labels.get(key).map(String::as_str)
    }

    /// Returns its service's name; empty for containers that Compose's labels are missing of.
    pub(super) fn service(&self) -> &str {
        self.label(labels::SERVICE).unwrap_or_default()
    }

    /// Tells whether it belongs to a project.
    pub(super) fn is_of(&self, project: &ProjectName) -> bool {
        self.label(labels::PROJECT) == Some(project.as_str())
    }

    /// Tells whether it is a container of `run`.
    pub(super) fn is_one_off(&self) -> bool {
        self.label(labels::ONE_OFF) == Some("True")
    }

    /// Returns its replica number; 0 when it has none.
    pub(super) fn number(&self) -> u32 {
        self.label(labels::NUMBER).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Returns how steps refer to it.
    pub(super) fn target(&self) -> super::Target {
        super::Target {
            id: self.spec.id.clone(),
            name: self.spec.name.clone(),
            service: ServiceName::new(self.service()),
            number: self.number(),
        }
    }
}

/// Containers of one project by service, each service's by replica number.
pub(super) fn by_service<'a>(
    observed: &'a Observed,
    project: &ProjectName,
) -> BTreeMap<&'a str, Vec<&'a ObservedContainer>> {
    let mut services: BTreeMap<&str, Vec<&ObservedContainer>> = BTreeMap::new();
    for container in observed.containers.iter().filter(|c| c.is_of(project) && !c.is_one_off()) {
        services.entry(container.service()).or_default().push(container);
    }
    for replicas in services.values_mut() {
        replicas.sort_by(|a, b| (a.number(), &a.spec.name).cmp(&(b.number(), &b.spec.name)));
    }
    services
}

/// Returns the networks by name.
pub(super) fn networks_by_name(observed: &Observed) -> HashMap<&str, &ObservedNetwork> {
    observed.networks.iter().map(|network| (network.spec.name.as_str(), network)).collect()
}

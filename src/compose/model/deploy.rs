//! `deploy` (spec rows `svc-deploy-*`). Much of it was made for clusters.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::device::DeviceRequest;
use super::units::{Bytes, Cpus, duration};

attributes! {
    /// `deploy`: how many containers a service has and what they may use.
    pub struct Deploy {
        /// `replicated` when absent.
        pub mode: Option<DeployMode>,
        /// How other services reach it; `dnsrr` is what happens here.
        pub endpoint_mode: Option<EndpointMode>,
        /// Number of containers; 1 when absent. `scale` says the same.
        pub replicas: Option<u32>,
        /// Labels of the service as a whole; containers do not get them.
        pub labels: BTreeMap<String, String>,
        /// What its containers may use, and what is kept for them.
        pub resources: DeployResources,
        /// Goes before the service's `restart`.
        pub restart_policy: Option<DeployRestartPolicy>,
        /// How containers are replaced when the service changes.
        pub update_config: Option<UpdateConfig>,
        /// How they are put back when that fails.
        pub rollback_config: Option<UpdateConfig>,
        /// Which hosts of a cluster may run it.
        pub placement: Placement,
    }

    /// `deploy.resources`.
    pub struct DeployResources {
        /// The most that each container may use.
        pub limits: ResourceLimits,
        /// What is kept for each container.
        pub reservations: ResourceReservations,
    }

    /// `deploy.resources.limits`; each has an attribute of the service that says the same.
    pub struct ResourceLimits {
        /// CPUs, as `cpus`; no limit when absent.
        pub cpus: Option<Cpus>,
        /// Memory, as `mem_limit`; no limit when absent.
        pub memory: Option<Bytes>,
        /// Processes and threads, as `pids_limit`; no limit when absent.
        pub pids: Option<u64>,
    }

    /// `deploy.resources.reservations`.
    pub struct ResourceReservations {
        /// CPUs that a scheduler would keep free.
        pub cpus: Option<Cpus>,
        /// Memory, as `mem_reservation`.
        pub memory: Option<Bytes>,
        /// Accelerators, as `gpus`.
        pub devices: Vec<DeviceRequest>,
        /// What a cluster's hosts say that they have.
        pub generic_resources: Vec<GenericResource>,
    }

    /// One `generic_resources` entry: its `discrete_resource_spec`.
    pub struct GenericResource {
        /// Name of the resource.
        pub kind: String,
        /// How many.
        pub value: i64,
    }

    /// `deploy.restart_policy`.
    pub struct DeployRestartPolicy {
        /// When a container that ended is started again; `any` when absent.
        pub condition: Option<RestartCondition>,
        /// Time before each start; 0 when absent.
        #[serde(with = "duration")]
        pub delay: Option<Duration>,
        /// Starts after which it is left alone; without end when absent.
        pub max_attempts: Option<u32>,
        /// Running so long is success; at once when absent.
        #[serde(with = "duration")]
        pub window: Option<Duration>,
    }

    /// `deploy.update_config` and `deploy.rollback_config`.
    pub struct UpdateConfig {
        /// Containers at a time; all when 0, 1 when absent.
        pub parallelism: Option<u32>,
        /// Time between two batches; 0 when absent.
        #[serde(with = "duration")]
        pub delay: Option<Duration>,
        /// What happens when a new container fails; `pause` when absent.
        pub failure_action: Option<FailureAction>,
        /// Time after its start in which a container's end is a failure; 0 when absent.
        #[serde(with = "duration")]
        pub monitor: Option<Duration>,
        /// Share of failures, 0 to 1, that is put up with; 0 when absent.
        pub max_failure_ratio: Option<f64>,
        /// Which comes first, the old container's end or the new one's start.
        pub order: Option<UpdateOrder>,
    }

    /// `deploy.placement`.
    pub struct Placement {
        /// Expressions that a host must meet, `node.role == manager`.
        pub constraints: Vec<String>,
        /// How containers are spread over hosts.
        pub preferences: Vec<PlacementPreference>,
        /// Containers on one host, at most; no limit when absent.
        pub max_replicas_per_node: Option<u32>,
    }

    /// One `deploy.placement.preferences` entry.
    pub struct PlacementPreference {
        /// Label whose values get equal numbers of containers, `node.labels.zone`.
        pub spread: Option<String>,
    }
}

/// `deploy.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeployMode {
    /// So many containers as `replicas` says.
    Replicated,
    /// One container a host.
    Global,
    /// As `replicated`, run to completion.
    ReplicatedJob,
    /// As `global`, run to completion.
    GlobalJob,
}

/// `deploy.endpoint_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointMode {
    /// One virtual address for all containers.
    Vip,
    /// The service's name leads to the addresses of all its containers.
    Dnsrr,
}

/// `deploy.restart_policy.condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartCondition {
    /// Never.
    None,
    /// When the exit status is not 0.
    OnFailure,
    /// Always.
    Any,
}

/// `failure_action` of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureAction {
    /// The update stops where it is.
    Pause,
    /// It goes on.
    Continue,
    /// What was there before comes back.
    Rollback,
}

/// `order` of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// The new container starts before the old one stops.
    StartFirst,
    /// The old container stops before the new one starts.
    StopFirst,
}

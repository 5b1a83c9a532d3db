//! A step of a rolling update.

use std::time::Duration;

use crate::ids::{ContainerId, ServiceName};

/// Replicas of a service that an update has made so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The service.
    pub service: ServiceName,
    /// The new containers.
    pub containers: Vec<(ContainerId, String)>,
    /// How long they must do well, from their start.
    pub monitor: Duration,
    /// Time before the next ones are replaced.
    pub delay: Duration,
    /// So many may fail.
    pub tolerated: u32,
}

//! Desired state and observed state in, steps out. Pure: no clock, randomness, I/O or logging.
//!
//! ```text
//! Inputs (project, images, wishes) --+
//!                                    +--> plan_up, plan_down, plan_services --> Plan --> check, Display
//! Observed (the whole engine) -------+
//! ```
//!
//! A plan names every id, name and address; ids are derived from [`Inputs::seed`], so the same
//! input gives the same plan. Applying a plan and planning again gives an empty one.

mod addresses;
mod build;
mod check;
mod desired;
mod display;
pub mod follow;
mod hash;
pub mod labels;
pub mod needs;
mod networks;
mod observed;
mod op;
mod reconcile;
pub mod repair;
pub mod review;
mod services;

#[cfg(test)]
mod fake;
#[cfg(test)]
pub(crate) mod tests;

pub use addresses::default_pool;
pub use check::check;
pub use desired::{ImageInfo, healthcheck};
pub use hash::{network as network_hash, service as service_hash, volume as volume_hash};
pub use observed::{ContainerState, Observed, ObservedContainer, ObservedNetwork};
pub use op::{Cause, Note, Op, Plan, PlanError, Step, StepId, Target, Wait};
pub use reconcile::plan_up;
pub use services::{Action, Down, Services, plan_down, plan_services};

pub use crate::spec::Health;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;

use crate::compose::model::Project;
use crate::ids::ServiceName;
use crate::spec::Recreate;

/// What `up` and `create` converge to.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The resolved project.
    pub project: &'a Project,
    /// Images by the reference the file names them with.
    pub images: &'a BTreeMap<String, ImageInfo>,
    /// Replica counts that override the file's.
    pub scale: &'a BTreeMap<ServiceName, u32>,
    /// Only these services (and, without `no_deps`, what they depend on); empty is all.
    pub services: &'a [ServiceName],
    /// Leave dependencies alone and do not wait for them.
    pub no_deps: bool,
    /// Which containers are made anew.
    pub recreate: Recreate,
    /// Remove containers of services that are not in the file.
    pub remove_orphans: bool,
    /// Do not report them either.
    pub ignore_orphans: bool,
    /// Anonymous volumes are made anew rather than kept.
    pub renew_anon_volumes: bool,
    /// Start what was created or does not run.
    pub start: bool,
    /// End only when all are running or healthy.
    pub wait: bool,
    /// Overrides the grace of containers that are replaced or removed.
    pub timeout: Option<Duration>,
    /// What new ids are derived from: a random number, chosen by the caller.
    pub seed: u64,
    /// What the host looks like.
    pub host: &'a HostFacts,
}

/// What the planner must know of the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostFacts {
    /// Subnets of the host's routes and resolvers, and the uplink's: never given to a network.
    pub used_subnets: Vec<IpNetwork>,
    /// Subnets to give, in this order ([`default_pool`]).
    pub pool: Vec<IpNetwork>,
    /// What `host-gateway` stands for; the network's gateway when `None`.
    pub host_gateway: Option<IpAddr>,
}

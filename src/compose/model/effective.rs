//! What several attributes of a service say together.

use super::{DeployMode, RestartCondition, Service, SwapLimit, VolumeMount};
use crate::spec::{Resources, RestartPolicy};

/// Most containers that one project runs: more is surely a mistake, and would keep a machine busy with planning.
pub const MAX_CONTAINERS: u32 = 10_000;

impl Service {
    /// Returns the number of its containers: `scale`, else `deploy.replicas`; `None` where the
    /// file does not say, which is 1. A `global` service has one (spec row `svc-deploy-mode`).
    pub fn replicas(&self) -> Option<u32> {
        match self.deploy.as_ref().and_then(|deploy| deploy.mode) {
            // One on each host, and there is one.
            Some(DeployMode::Global | DeployMode::GlobalJob) => Some(1),
            _ => self.scale.or_else(|| self.deploy.as_ref()?.replicas),
        }
    }

    /// Returns when its containers are started again: `deploy.restart_policy` goes before
    /// `restart` (spec row `svc-deploy-restart-policy`).
    pub fn restart_policy(&self) -> RestartPolicy {
        let Some(policy) = self.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref()) else {
            return self.restart.unwrap_or_default();
        };
        match policy.condition {
            None | Some(RestartCondition::Any) => RestartPolicy::Always,
            Some(RestartCondition::OnFailure) => RestartPolicy::OnFailure(policy.max_attempts.filter(|n| *n > 0)),
            Some(RestartCondition::None) => RestartPolicy::No,
        }
    }

    /// Returns the cgroup limits that are in force: the service's own attributes, else those of
    /// `deploy.resources`. A limit of 0 is none.
    pub fn resources(&self) -> Resources {
        let deploy = self.deploy.as_ref().map(|deploy| &deploy.resources);
        let (limits, reservations) = (deploy.map(|d| &d.limits), deploy.map(|d| &d.reservations));
        let positive = |number: Option<u64>| number.filter(|number| *number > 0);
        let memory = self.mem_limit.or_else(|| limits?.memory);
        let reservation = self.mem_reservation.or_else(|| reservations?.memory);
        let cpus = self.cpus.or_else(|| limits?.cpus);
        Resources {
            memory: positive(memory.map(|bytes| bytes.get())),
            memory_reservation: positive(reservation.map(|bytes| bytes.get())),
            memory_swap: match self.memswap_limit {
                Some(SwapLimit::Unlimited) => Some(-1),
                Some(SwapLimit::Total(bytes)) => i64::try_from(bytes.get()).ok().filter(|bytes| *bytes > 0),
                None => None,
            },
            nano_cpus: positive(cpus.map(|cpus| cpus.nano)),
            cpu_shares: positive(self.cpu_shares),
            cpuset: self.cpuset.clone(),
            pids: positive(self.pids_limit.or_else(|| limits?.pids)),
            oom_score_adj: self.oom_score_adj,
        }
    }

    /// Returns the mounts of `volumes` and `tmpfs` that this program acts on.
    pub fn mounts(&self) -> impl Iterator<Item = &VolumeMount> {
        self.volumes.iter().chain(&self.tmpfs).filter(|mount| mount.kind.is_in_force())
    }
}

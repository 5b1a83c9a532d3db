//! What plans of several projects at once would both take: names, subnets and addresses that one
//! of them has chosen and not made yet.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::plan::{ContainerState, Observed, ObservedContainer, ObservedNetwork, Op, Plan};
use crate::spec::{ContainerSpec, NetworkSpec};

/// The networks and containers of all plans that are being carried out.
#[derive(Debug, Clone, Default)]
pub(super) struct Reservations {
    /// Held from looking at what there is until the plan is noted here.
    planning: Arc<tokio::sync::Mutex<()>>,
    plans: Arc<Mutex<Plans>>,
}

#[derive(Debug, Default)]
struct Plans {
    next: u64,
    open: BTreeMap<u64, (Vec<NetworkSpec>, Vec<ContainerSpec>)>,
}

/// What one plan is about to make, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    of: Reservations,
    number: u64,
}

impl Reservations {
    /// Returns once nobody else plans.
    pub(super) async fn planning(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.planning).lock_owned().await
    }

    /// Notes what a plan makes.
    pub(super) fn reserve(&self, plan: &Plan) -> Reservation {
        let (mut networks, mut containers) = (Vec::new(), Vec::new());
        for step in &plan.steps {
            match &step.op {
                Op::EnsureNetwork(spec) => networks.push(NetworkSpec::clone(spec)),
                Op::CreateContainer { spec, .. } | Op::UpdateContainer { spec, .. } => {
                    containers.push(ContainerSpec::clone(spec));
                }
                _ => {}
            }
        }
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.next += 1;
        let number = plans.next;
        plans.open.insert(number, (networks, containers));
        Reservation { of: self.clone(), number }
    }

    /// Adds what is about to be made to what there is.
    pub(super) fn add_to(&self, observed: &mut Observed) {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.open.is_empty() {
            return;
        }
        let mut ids: HashSet<_> = observed.containers.iter().map(|c| c.spec.id.clone()).collect();
        let mut names: HashSet<_> = observed.networks.iter().map(|n| n.spec.name.clone()).collect();
        for (networks, containers) in plans.open.values() {
            for spec in networks.iter().filter(|spec| names.insert(spec.name.clone())) {
                observed.networks.push(ObservedNetwork { spec: spec.clone(), alive: false });
            }
            for spec in containers {
                if !ids.insert(spec.id.clone()) {
                    // Places on networks that one which exists is about to take.
                    for own in observed.containers.iter_mut().filter(|own| own.spec.id == spec.id) {
                        let places = &mut own.spec.endpoints;
                        let joined = spec.endpoints.iter().filter(|e| places.iter().all(|o| o.network != e.network));
                        let joined: Vec<_> = joined.cloned().collect();
                        places.extend(joined);
                    }
                    continue;
                }
                let state = ContainerState::Created;
                observed.containers.push(ObservedContainer { spec: spec.clone(), state, health: None, ready: false });
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut plans = self.of.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::fixture;
    use crate::ids::ServiceName;
    use crate::plan::{Cause, Step, StepId, Target};

    #[test]
    fn what_another_plan_is_about_to_make_is_seen_until_it_is_done() {
        let spec = fixture::container();
        let target =
            Target { id: spec.id.clone(), name: spec.name.clone(), service: ServiceName::new("web"), number: 1 };
        let ops = [
            Op::EnsureNetwork(Box::new(fixture::network())),
            Op::CreateContainer { spec: Box::new(spec), target, replaces: None },
        ];
        let step = |(n, op)| Step { id: StepId(n), op, cause: Cause::Missing, after: Vec::new(), follows: Vec::new() };
        let plan = Plan { steps: (1..).zip(ops).map(step).collect(), ..Plan::default() };
        let reservations = Reservations::default();
        let seen = |observed: &Observed| {
            let mut observed = observed.clone();
            reservations.add_to(&mut observed);
            (observed.networks.len(), observed.containers.len())
        };
        let none = Observed::default();
        let reservation = reservations.reserve(&plan);
        assert_eq!(seen(&none), (1, 1));
        let made = Observed {
            networks: vec![ObservedNetwork { spec: fixture::network(), alive: true }],
            ..Observed::default()
        };
        assert_eq!(seen(&made), (1, 1), "made meanwhile: not twice");
        drop(reservation);
        assert_eq!(seen(&none), (0, 0));
    }
}

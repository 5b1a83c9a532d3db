//! A host made of data: what an engine would look like after a plan.

use super::{ContainerState, Health, Observed, ObservedContainer, ObservedNetwork, Op, Plan};

/// Applies all steps of a plan; containers become healthy and ready at once.
pub(super) fn apply(plan: &Plan, observed: &mut Observed) {
    for step in &plan.steps {
        match &step.op {
            Op::EnsureNetwork(spec) => {
                observed.networks.retain(|network| network.spec.name != spec.name);
                observed.networks.push(ObservedNetwork { spec: spec.as_ref().clone(), alive: true });
            }
            Op::RemoveNetwork(spec) => observed.networks.retain(|network| network.spec.name != spec.name),
            Op::RemoveLinks { .. } | Op::AwaitCondition(_) | Op::WatchReplicas(_) => {}
            Op::HandOver { from, to, .. } => {
                assert!(find(observed, from.id.as_str()).is_up() && find(observed, to.id.as_str()).is_up());
            }
            Op::EnsureVolume(spec) => observed.volumes.push(spec.as_ref().clone()),
            Op::RemoveVolume(name) => observed.volumes.retain(|volume| volume.name != *name),
            Op::CreateContainer { spec, .. } => observed.containers.push(ObservedContainer {
                spec: spec.as_ref().clone(),
                state: ContainerState::Created,
                health: None,
                ready: false,
            }),
            Op::UpdateContainer { spec, .. } => {
                let container = find(observed, spec.id.as_str());
                container.spec = spec.as_ref().clone();
                container.health = container.health.filter(|_| spec.healthcheck.is_some());
                if container.is_up() && container.health.is_none() {
                    container.health = spec.healthcheck.as_ref().map(|_| Health::Healthy);
                }
            }
            Op::StartContainer(target) => {
                let container = find(observed, target.id.as_str());
                container.state = ContainerState::Running;
                container.ready = true;
                container.health = container.spec.healthcheck.as_ref().map(|_| Health::Healthy);
            }
            Op::StopContainer { target, .. } => find(observed, target.id.as_str()).state = ContainerState::Exited(143),
            Op::KillContainer { target, .. } => find(observed, target.id.as_str()).state = ContainerState::Exited(137),
            Op::RemoveContainer { target, .. } => {
                let container = find(observed, target.id.as_str());
                assert!(!container.is_up(), "{} is removed while it runs", target.name);
                observed.containers.retain(|container| container.spec.id != target.id);
            }
        }
    }
}

fn find<'a>(observed: &'a mut Observed, id: &str) -> &'a mut ObservedContainer {
    observed.containers.iter_mut().find(|container| container.spec.id.as_str() == id).expect("a container of the plan")
}

//! What a plan takes for granted of the host, so that it can be looked at before the first step.

use std::collections::{HashMap, HashSet};

use super::{Observed, Op, Plan};
use crate::ids::ContainerId;
use crate::spec::{ContainerSpec, PublishedPort};

/// Returns the containers that the plan makes.
pub fn made(plan: &Plan) -> impl Iterator<Item = &ContainerSpec> {
    plan.steps.iter().filter_map(|step| match &step.op {
        Op::CreateContainer { spec, .. } => Some(spec.as_ref()),
        _ => None,
    })
}

/// Returns the ports that containers open when they are started and that none of those has now
/// which the plan stops: each must be free already, with the name of the container.
pub fn ports<'a>(plan: &'a Plan, observed: &'a Observed) -> Vec<(&'a str, &'a PublishedPort)> {
    let mut specs: HashMap<&ContainerId, &ContainerSpec> =
        observed.containers.iter().map(|container| (&container.spec.id, &container.spec)).collect();
    specs.extend(made(plan).map(|spec| (&spec.id, spec)));
    let stopped: HashSet<&ContainerId> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::StopContainer { target, .. } | Op::RemoveContainer { target, .. } => Some(&target.id),
            _ => None,
        })
        .collect();
    let released: Vec<&PublishedPort> =
        observed.containers.iter().filter(|c| stopped.contains(&c.spec.id)).flat_map(|c| &c.spec.ports).collect();
    let mut ports = Vec::new();
    for step in &plan.steps {
        let Op::StartContainer(target) = &step.op else { continue };
        let Some(spec) = specs.get(&target.id) else { continue };
        let needed = spec.ports.iter().filter(|port| !released.iter().any(|other| overlap(port, other)));
        ports.extend(needed.map(|port| (spec.name.as_str(), port)));
    }
    ports
}

/// Tells whether two ports of the host may be one.
fn overlap(a: &PublishedPort, b: &PublishedPort) -> bool {
    let address = a.host_ip.is_none() || b.host_ip.is_none() || a.host_ip == b.host_ip;
    let any = |port: &PublishedPort| port.host_port.start == 0;
    let number = any(a) || any(b) || (a.host_port.start <= b.host_port.end && b.host_port.start <= a.host_port.end);
    a.protocol == b.protocol && address && number
}

//! A linter for plans: what must hold of every one.

use std::collections::{HashMap, HashSet};

use super::{Observed, Op, Plan, Step, StepId};
use crate::ids::ContainerId;

/// Returns what is wrong with a plan; empty for every plan that this planner makes.
///
/// Order is right (so there is no circle), nothing is touched twice, users go before what they
/// use, what is used is made first, and names, addresses and links are unique afterwards.
pub fn check(plan: &Plan, observed: &Observed) -> Vec<String> {
    let mut problems = Vec::new();
    if !plan.errors.is_empty() && !plan.steps.is_empty() {
        problems.push("a plan with errors has steps".to_owned());
    }
    for (index, step) in plan.steps.iter().enumerate() {
        if step.id.0 as usize != index + 1 {
            problems.push(format!("{step}: is at place {}", index + 1));
        }
        if step.after.iter().chain(&step.follows).any(|before| *before >= step.id) {
            problems.push(format!("{step}: waits for a later step"));
        }
    }
    if problems.is_empty() {
        once(plan, &mut problems);
        order(plan, observed, &mut problems);
        unique(plan, observed, &mut problems);
    }
    problems
}

/// What a step acts on: kind of operation and name.
fn subject(op: &Op) -> (&'static str, String) {
    match op {
        Op::EnsureNetwork(spec) => ("ensure-network", spec.name.to_string()),
        Op::RemoveNetwork(spec) => ("remove-network", spec.name.to_string()),
        Op::RemoveLinks { group } => ("remove-links", group.to_string()),
        Op::EnsureVolume(spec) => ("ensure-volume", spec.name.to_string()),
        Op::RemoveVolume(name) => ("remove-volume", name.to_string()),
        Op::CreateContainer { target, .. } => ("create", target.id.to_string()),
        Op::UpdateContainer { target, .. } => ("update", target.id.to_string()),
        Op::StartContainer(target) => ("start", target.id.to_string()),
        Op::AwaitCondition(wait) => ("await", format!("{}{:?}{}", wait.service, wait.goal, wait.required)),
        Op::WatchReplicas(batch) => ("watch", format!("{}{}", batch.service, batch.containers.len())),
        Op::HandOver { from, .. } => ("hand-over", from.id.to_string()),
        Op::StopContainer { target, .. } => ("stop", target.id.to_string()),
        Op::KillContainer { target, .. } => ("kill", target.id.to_string()),
        Op::RemoveContainer { target, .. } => ("remove", target.id.to_string()),
    }
}

fn once(plan: &Plan, problems: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for step in &plan.steps {
        if !seen.insert(subject(&step.op)) {
            problems.push(format!("{step}: done twice"));
        }
        if let Op::UpdateContainer { target, .. } = &step.op
            && plan.steps.iter().any(|other| {
                matches!(&other.op, Op::CreateContainer { target: t, .. } | Op::RemoveContainer { target: t, .. }
                    if t.id == target.id)
            })
        {
            problems.push(format!("{step}: what is changed in place neither comes nor goes"));
        }
    }
}

/// Which steps come before a step, directly or not.
struct Before<'a> {
    steps: &'a [Step],
}

impl Before<'_> {
    fn is(&self, before: StepId, step: StepId) -> bool {
        let mut open = vec![step];
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            let Some(step) = self.steps.get(id.0 as usize - 1) else { continue };
            for &previous in step.after.iter().chain(&step.follows) {
                if previous == before {
                    return true;
                }
                if previous > before && seen.insert(previous) {
                    open.push(previous);
                }
            }
        }
        false
    }
}

fn order(plan: &Plan, observed: &Observed, problems: &mut Vec<String>) {
    let before = Before { steps: &plan.steps };
    let step_of: HashMap<_, _> = plan.steps.iter().map(|step| (subject(&step.op), step)).collect();
    let of = |kind: &'static str, name: &str| step_of.get(&(kind, name.to_owned())).copied();
    let mut must = |first: Option<&Step>, then: Option<&Step>| {
        if let (Some(first), Some(then)) = (first, then)
            && !before.is(first.id, then.id)
        {
            problems.push(format!("{then}: does not wait for {first}"));
        }
    };
    for step in &plan.steps {
        match &step.op {
            Op::EnsureNetwork(spec) => must(of("remove-network", spec.name.as_str()), Some(step)),
            Op::RemoveNetwork(spec) => {
                for user in &observed.containers {
                    if user.spec.endpoints.iter().any(|endpoint| endpoint.network == spec.name) {
                        let id = user.spec.id.as_str();
                        must(of("remove", id).or_else(|| of("update", id)), Some(step));
                    }
                }
            }
            Op::RemoveVolume(name) => {
                for user in &observed.containers {
                    let uses = user.spec.mounts.iter().any(
                        |mount| matches!(&mount.kind, crate::spec::MountKind::Volume { name: used, .. } if used == name),
                    );
                    if uses {
                        must(of("remove", user.spec.id.as_str()), Some(step));
                    }
                }
            }
            Op::CreateContainer { spec, replaces, .. } => {
                for endpoint in &spec.endpoints {
                    must(of("ensure-network", endpoint.network.as_str()), Some(step));
                }
                for mount in &spec.mounts {
                    if let crate::spec::MountKind::Volume { name, .. } = &mount.kind {
                        must(of("ensure-volume", name.as_str()), Some(step));
                    }
                }
                if let Some(replaced) = replaces {
                    match of("hand-over", replaced.as_str()) {
                        Some(hand_over) => must(of("start", spec.id.as_str()), Some(hand_over)),
                        None => must(of("remove", replaced.as_str()), Some(step)),
                    }
                }
                if let Some(owner) = &spec.network_of {
                    must(of("create", owner.as_str()), Some(step));
                }
            }
            Op::UpdateContainer { target, spec, .. } => {
                must(of("stop", target.id.as_str()), Some(step));
                for endpoint in &spec.endpoints {
                    must(of("ensure-network", endpoint.network.as_str()), Some(step));
                }
            }
            Op::HandOver { from, .. } => must(Some(step), of("stop", from.id.as_str())),
            Op::StartContainer(target) => {
                must(of("update", target.id.as_str()), Some(step));
                must(of("create", target.id.as_str()), Some(step));
                must(of("stop", target.id.as_str()), Some(step));
            }
            Op::RemoveContainer { target, .. } => must(of("stop", target.id.as_str()), Some(step)),
            _ => {}
        }
    }
}

fn unique(plan: &Plan, observed: &Observed, problems: &mut Vec<String>) {
    let removed: HashSet<&ContainerId> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::RemoveContainer { target, .. } => Some(&target.id),
            _ => None,
        })
        .collect();
    let changed: HashMap<&ContainerId, &crate::spec::ContainerSpec> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::UpdateContainer { spec, .. } => Some((&spec.id, spec.as_ref())),
            _ => None,
        })
        .collect();
    let handed: HashSet<&ContainerId> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::HandOver { from, .. } => Some(&from.id),
            _ => None,
        })
        .collect();
    let stays = |spec: &&crate::spec::ContainerSpec| !removed.contains(&spec.id) || handed.contains(&spec.id);
    let stay = observed.containers.iter().map(|c| &c.spec).filter(stays);
    let stay = stay.map(|spec| changed.get(&spec.id).copied().unwrap_or(spec));
    let made = plan.steps.iter().filter_map(|step| match &step.op {
        Op::CreateContainer { spec, .. } => Some(spec.as_ref()),
        _ => None,
    });
    let (mut ids, mut names, mut addresses, mut links) =
        (HashSet::new(), HashSet::new(), HashSet::new(), HashSet::new());
    for spec in stay.chain(made) {
        if !ids.insert(spec.id.as_str()) || !names.insert(spec.name.as_str()) {
            problems.push(format!("container {} is there twice", spec.name));
        }
        for endpoint in &spec.endpoints {
            if !addresses.insert((endpoint.network.as_str(), endpoint.address)) {
                problems.push(format!("address {} on {} is there twice", endpoint.address, endpoint.network));
            }
            if !links.insert(endpoint.veth.as_str()) || endpoint.veth.len() > 15 {
                problems.push(format!("link {} is there twice or too long", endpoint.veth));
            }
        }
    }
}

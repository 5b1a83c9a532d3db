//! Steps as progress lines, in Compose's words.

use std::collections::HashSet;

use crate::event::{Event, Resource, Status};
use crate::ids::ContainerId;
use crate::plan::{Cause, Op, Plan, Step};
use crate::spec::Goal;

/// What must be known of the whole plan to word a step.
pub(super) struct Progress {
    /// Containers that another one takes the place of.
    replaced: HashSet<ContainerId>,
    /// Containers that are stopped and started again.
    restarted: HashSet<ContainerId>,
}

impl Progress {
    pub(super) fn new(plan: &Plan) -> Self {
        let ops = || plan.steps.iter().map(|step| &step.op);
        // Where the new one starts first, the two have lines of their own.
        let handed: HashSet<&ContainerId> = ops()
            .filter_map(|op| match op {
                Op::HandOver { from, .. } => Some(&from.id),
                _ => None,
            })
            .collect();
        let replaced = ops().filter_map(|op| match op {
            Op::CreateContainer { replaces, .. } => replaces.clone().filter(|id| !handed.contains(id)),
            _ => None,
        });
        let stopped: HashSet<&ContainerId> = ops()
            .filter_map(|op| match op {
                Op::StopContainer { target, .. } => Some(&target.id),
                _ => None,
            })
            .collect();
        let restarted = ops().filter_map(|op| match op {
            Op::StartContainer(target) if stopped.contains(&target.id) => Some(target.id.clone()),
            _ => None,
        });
        Self { replaced: replaced.collect(), restarted: restarted.collect() }
    }

    /// Returns a line for each container that stays as it is.
    pub(super) fn unchanged(&self, plan: &Plan) -> Vec<Event> {
        let running = |name: &String| event(Resource::Container(name.clone()), Status::Running, "");
        plan.unchanged.iter().map(running).collect()
    }

    pub(super) fn begin(&self, step: &Step) -> Vec<Event> {
        let (resources, status, _) = self.words(step);
        lines(resources, status, "")
    }

    pub(super) fn end(&self, step: &Step) -> Vec<Event> {
        let (resources, _, status) = self.words(step);
        lines(resources, status, "")
    }

    pub(super) fn failed(&self, step: &Step, why: &str) -> Vec<Event> {
        lines(resources(&step.op), Some(Status::Error), why)
    }

    pub(super) fn skipped(&self, step: &Step, because: &Step) -> Vec<Event> {
        let about = match step.op {
            // The containers waited for have lines of their own.
            Op::AwaitCondition(_) | Op::WatchReplicas(_) | Op::HandOver { .. } => Vec::new(),
            _ => resources(&step.op),
        };
        lines(about, Some(Status::Skipped), &format!("{} failed", doing(&because.op)))
    }

    /// Returns what a step is about and its words at the beginning and at the end.
    fn words(&self, step: &Step) -> (Vec<Resource>, Option<Status>, Option<Status>) {
        use Status as S;
        let (begin, end) = match &step.op {
            Op::EnsureNetwork(_) | Op::EnsureVolume(_) => (Some(S::Creating), Some(S::Created)),
            Op::RemoveNetwork(_) | Op::RemoveVolume(_) => (Some(S::Removing), Some(S::Removed)),
            Op::RemoveLinks { .. } => (None, None),
            Op::CreateContainer { replaces: Some(_), .. } => (Some(S::Recreating), Some(S::Recreated)),
            Op::CreateContainer { replaces: None, .. } => (Some(S::Creating), Some(S::Created)),
            Op::UpdateContainer { .. } => (Some(S::Updating), Some(S::Updated)),
            Op::StartContainer(target) if self.restarted.contains(&target.id) => {
                (Some(S::Restarting), Some(S::Started))
            }
            Op::StartContainer(_) => (Some(S::Starting), Some(S::Started)),
            Op::StopContainer { target, .. } if self.replaced.contains(&target.id) => (Some(S::Recreating), None),
            Op::StopContainer { target, .. } if self.restarted.contains(&target.id) => (Some(S::Restarting), None),
            Op::StopContainer { .. } => (Some(S::Stopping), Some(S::Stopped)),
            Op::KillContainer { .. } => (Some(S::Killing), Some(S::Killed)),
            Op::RemoveContainer { target, .. } if self.replaced.contains(&target.id) => (Some(S::Recreating), None),
            Op::RemoveContainer { .. } => (Some(S::Removing), Some(S::Removed)),
            Op::WatchReplicas(_) => (Some(S::Waiting), Some(S::Running)),
            Op::HandOver { .. } => (None, None),
            Op::AwaitCondition(wait) => match wait.goal {
                Goal::Healthy => (Some(S::Waiting), Some(S::Healthy)),
                Goal::Completed => (Some(S::Waiting), Some(S::Exited)),
                Goal::Ready => (Some(S::Waiting), Some(S::Ready)),
                Goal::Started if step.cause == Cause::Waited => (None, Some(S::Running)),
                // The lines of the starts say it.
                Goal::Started => (None, None),
            },
        };
        (resources(&step.op), begin, end)
    }
}

/// Returns what a step does, as a phrase: `start container "app-web-1"`.
pub(super) fn doing(op: &Op) -> String {
    match op {
        Op::EnsureNetwork(spec) => format!("create network {:?}", spec.name.as_str()),
        Op::RemoveNetwork(spec) => format!("remove network {:?}", spec.name.as_str()),
        Op::RemoveLinks { .. } => "remove the project's links".to_owned(),
        Op::EnsureVolume(spec) => format!("create volume {:?}", spec.name.as_str()),
        Op::RemoveVolume(name) => format!("remove volume {:?}", name.as_str()),
        Op::CreateContainer { target, .. } => format!("create container {:?}", target.name),
        Op::UpdateContainer { target, .. } => format!("change container {:?}", target.name),
        Op::StartContainer(target) => format!("start container {:?}", target.name),
        Op::AwaitCondition(wait) => format!("wait for service {:?}", wait.service.as_str()),
        Op::WatchReplicas(batch) => format!("update service {:?}", batch.service.as_str()),
        Op::HandOver { from, to, .. } => format!("hand over from container {:?} to {:?}", from.name, to.name),
        Op::StopContainer { target, .. } => format!("stop container {:?}", target.name),
        Op::KillContainer { target, .. } => format!("signal container {:?}", target.name),
        Op::RemoveContainer { target, .. } => format!("remove container {:?}", target.name),
    }
}

fn resources(op: &Op) -> Vec<Resource> {
    match op {
        Op::EnsureNetwork(spec) | Op::RemoveNetwork(spec) => vec![Resource::Network(spec.name.as_str().to_owned())],
        Op::RemoveLinks { .. } => Vec::new(),
        Op::EnsureVolume(spec) => vec![Resource::Volume(spec.name.as_str().to_owned())],
        Op::RemoveVolume(name) => vec![Resource::Volume(name.as_str().to_owned())],
        Op::CreateContainer { target, .. }
        | Op::UpdateContainer { target, .. }
        | Op::StartContainer(target)
        | Op::StopContainer { target, .. }
        | Op::KillContainer { target, .. }
        | Op::RemoveContainer { target, .. } => vec![Resource::Container(target.name.clone())],
        Op::HandOver { to, .. } => vec![Resource::Container(to.name.clone())],
        // Those of earlier batches have said so.
        Op::WatchReplicas(batch) => {
            batch.containers.last().map(|(_, name)| Resource::Container(name.clone())).into_iter().collect()
        }
        Op::AwaitCondition(wait) => wait.containers.iter().map(|(_, name)| Resource::Container(name.clone())).collect(),
    }
}

fn lines(resources: Vec<Resource>, status: Option<Status>, detail: &str) -> Vec<Event> {
    let Some(status) = status else { return Vec::new() };
    resources.into_iter().map(|resource| event(resource, status, detail)).collect()
}

fn event(resource: Resource, status: Status, detail: &str) -> Event {
    Event::Progress { resource, status, detail: detail.to_owned() }
}

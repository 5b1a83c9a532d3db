//! A plan as a person reads it: a line per resource, with what changes, why, who else is
//! touched and which data goes. Pure; `stack plan` prints it.

mod fields;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{Cause, Observed, ObservedContainer, Op, Plan};
use crate::ids::{ContainerId, ServiceName};
use crate::spec::{ContainerSpec, MountKind};
use fields::Fields;

/// What applying a plan will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Everything of the project, networks and volumes first, containers in the plan's order,
    /// then what stays as it is.
    pub resources: Vec<Reviewed>,
    /// What the user should know that is no error.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One resource and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// What it is.
    pub kind: Kind,
    /// Its engine-wide name; of an image, its reference.
    pub name: String,
    /// The service, of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// What becomes of it.
    pub effect: Effect,
    /// Why, in a few words; empty where nothing happens.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
    /// What differs from what is there; secrets are `***`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Containers that are stopped on its account, besides itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounces: Vec<String>,
    /// Data that goes with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loses: Vec<String>,
}

/// Kinds of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// A container.
    Container,
}

/// What becomes of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is fetched.
    Pull,
    /// It is made.
    Create,
    /// It goes, and another takes its place.
    Recreate,
    /// It is changed in place, and goes on.
    Change,
    /// It is stopped and started, and stays the same.
    Restart,
    /// It exists and is started.
    Start,
    /// Its bridge is made again.
    Repair,
    /// It is stopped.
    Stop,
    /// It goes.
    Remove,
    /// Nothing.
    None,
}

/// One attribute that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name in a Compose file, `environment.A`, `ports.80/tcp`.
    pub field: String,
    /// As it is; `None` where it was not there.
    pub before: Option<String>,
    /// As it will be; `None` where it goes.
    pub after: Option<String>,
}

impl Review {
    /// Returns how many resources are changed in any way.
    pub fn changes(&self) -> usize {
        self.resources.iter().filter(|resource| resource.effect != Effect::None).count()
    }

    /// Returns the resources that differ between two reviews of the same wish, by kind and name.
    /// What is pulled, and what differs for that, does not count: before the pull nobody knows.
    pub fn moved<'a>(&'a self, now: &'a Self) -> Vec<(Kind, &'a str)> {
        let index = |review: &'a Self| -> BTreeMap<(Kind, &'a str), &'a Reviewed> {
            let of = |resource: &'a Reviewed| ((resource.kind, resource.name.as_str()), resource);
            review.resources.iter().filter(|r| r.kind != Kind::Image).map(of).collect()
        };
        let pulled = self.resources.iter().any(|resource| resource.effect == Effect::Pull);
        let (then, now) = (index(self), index(now));
        let names: BTreeSet<_> = then.keys().chain(now.keys()).copied().collect();
        let same = |name: &(Kind, &str)| match (then.get(name), now.get(name)) {
            (Some(then), Some(now)) => then == now || (pulled && then.effect == now.effect),
            (one, other) => one.or(other).is_some_and(|resource| resource.effect == Effect::None),
        };
        names.into_iter().filter(|name| !same(name)).collect()
    }
}

/// Returns what a plan does to the observed world.
///
/// `pulls` are references of images that are fetched first.
pub fn review(plan: &Plan, observed: &Observed, pulls: &[String]) -> Review {
    let there: HashMap<&ContainerId, &ObservedContainer> =
        observed.containers.iter().map(|container| (&container.spec.id, container)).collect();
    let mut resources: Vec<Reviewed> =
        pulls.iter().map(|reference| blank(Kind::Image, reference, Effect::Pull, "not here")).collect();
    networks(plan, &mut resources);
    for step in &plan.steps {
        match &step.op {
            Op::EnsureVolume(spec) => {
                resources.push(blank(Kind::Volume, spec.name.as_str(), Effect::Create, &step.cause.to_string()));
            }
            Op::RemoveVolume(name) => {
                let gone = blank(Kind::Volume, name.as_str(), Effect::Remove, &step.cause.to_string());
                resources.push(Reviewed { loses: vec!["all its data".to_owned()], ..gone });
            }
            _ => {}
        }
    }
    containers(plan, &there, &mut resources);
    resources.extend(plan.unchanged.iter().map(|name| blank(Kind::Container, name, Effect::None, "")));
    Review { resources, notes: plan.notes.iter().map(ToString::to_string).collect() }
}

fn blank(kind: Kind, name: &str, effect: Effect, cause: &str) -> Reviewed {
    Reviewed {
        kind,
        name: name.to_owned(),
        service: None,
        effect,
        cause: cause.to_owned(),
        changes: Vec::new(),
        bounces: Vec::new(),
        loses: Vec::new(),
    }
}

fn networks(plan: &Plan, resources: &mut Vec<Reviewed>) {
    let mut gone = HashMap::new();
    for step in &plan.steps {
        match &step.op {
            Op::RemoveNetwork(spec) => {
                gone.insert(spec.name.as_str(), (spec, &step.cause));
            }
            Op::EnsureNetwork(spec) => {
                let old = gone.remove(spec.name.as_str());
                let effect = match (&old, &step.cause) {
                    (Some(_), _) => Effect::Recreate,
                    (None, Cause::Lost) => Effect::Repair,
                    (None, _) => Effect::Create,
                };
                let changes = old.map(|(old, _)| fields::difference(&Fields::network(old), &Fields::network(spec)));
                resources.push(Reviewed {
                    changes: changes.unwrap_or_default(),
                    bounces: caused(
                        plan,
                        |cause| matches!(cause, Cause::NetworkChanged(name) if *name == spec.name.as_str()),
                    ),
                    ..blank(Kind::Network, spec.name.as_str(), effect, &step.cause.to_string())
                });
            }
            _ => {}
        }
    }
    let mut gone: Vec<_> = gone.into_iter().collect();
    gone.sort_unstable_by_key(|(name, _)| *name);
    resources.extend(
        gone.into_iter().map(|(name, (_, cause))| blank(Kind::Network, name, Effect::Remove, &cause.to_string())),
    );
}

/// What the steps do to one container.
#[derive(Default)]
struct Deeds<'a> {
    created: Option<&'a ContainerSpec>,
    replaces: Option<&'a ContainerId>,
    changed: Option<&'a ContainerSpec>,
    stopped: bool,
    started: bool,
    removed: Option<&'a [crate::ids::VolumeName]>,
    cause: Option<&'a Cause>,
    service: Option<&'a ServiceName>,
}

fn containers(plan: &Plan, there: &HashMap<&ContainerId, &ObservedContainer>, resources: &mut Vec<Reviewed>) {
    // By name: who takes the place of another has its name. Two that swap names are both there.
    let mut order: Vec<&str> = Vec::new();
    let mut deeds: HashMap<&str, Deeds<'_>> = HashMap::new();
    for step in &plan.steps {
        let target = match &step.op {
            Op::CreateContainer { target, .. }
            | Op::UpdateContainer { target, .. }
            | Op::StartContainer(target)
            | Op::StopContainer { target, .. }
            | Op::KillContainer { target, .. }
            | Op::RemoveContainer { target, .. } => target,
            _ => continue,
        };
        let own = deeds.entry(target.name.as_str()).or_insert_with(|| {
            order.push(target.name.as_str());
            Deeds::default()
        });
        own.cause.get_or_insert(&step.cause);
        own.service = Some(&target.service);
        match &step.op {
            Op::CreateContainer { spec, replaces, .. } => {
                own.created = Some(spec);
                own.replaces = replaces.as_ref();
                own.cause = Some(&step.cause);
            }
            Op::UpdateContainer { spec, .. } => own.changed = Some(spec),
            Op::StartContainer(_) => own.started = true,
            Op::StopContainer { .. } | Op::KillContainer { .. } => own.stopped = true,
            Op::RemoveContainer { volumes, .. } => own.removed = Some(volumes),
            _ => {}
        }
    }
    for name in order {
        let Some(own) = deeds.remove(name) else { continue };
        let old = own.replaces.and_then(|id| there.get(id)).map(|container| &container.spec);
        let effect = match (own.created, own.replaces, own.removed, own.stopped, own.started) {
            (Some(_), Some(_), ..) => Effect::Recreate,
            (Some(_), None, ..) => Effect::Create,
            (None, _, Some(_), ..) => Effect::Remove,
            (None, _, None, true, true) => Effect::Restart,
            (None, _, None, true, false) => Effect::Stop,
            (None, _, None, false, false) => Effect::Change,
            (None, _, None, false, true) => Effect::Start,
        };
        let changes = match (old, own.created) {
            (Some(old), Some(new)) => changed(old, new),
            (_, None) => match own.changed.and_then(|new| Some((there.get(&new.id)?, new))) {
                Some((old, new)) => changed(&old.spec, new),
                None => Vec::new(),
            },
            _ => Vec::new(),
        };
        let removed = there.values().find(|container| container.spec.name == name).map(|container| &container.spec);
        let loses = match (own.removed, old.or(removed)) {
            (Some(volumes), Some(spec)) => lost(spec, volumes),
            _ => Vec::new(),
        };
        let bounces = match own.service {
            Some(service) if own.stopped || own.removed.is_some() => caused(plan, |cause| match cause {
                Cause::DependencyRestarted(by) | Cause::NamespaceOf(by) | Cause::AddressNeeded(by) => by == service,
                _ => false,
            }),
            _ => Vec::new(),
        };
        let cause = own.cause.map(ToString::to_string).unwrap_or_default();
        resources.push(Reviewed {
            service: own.service.cloned(),
            changes,
            bounces,
            loses,
            ..blank(Kind::Container, name, effect, &cause)
        });
    }
}

/// Returns what differs between two specifications of a container; secrets are `***`.
pub(super) fn changed(before: &ContainerSpec, after: &ContainerSpec) -> Vec<Change> {
    fields::difference(&Fields::container(before), &Fields::container(after))
}

/// Returns the anonymous volumes among these by their place in the container.
fn lost(spec: &ContainerSpec, volumes: &[crate::ids::VolumeName]) -> Vec<String> {
    spec.mounts
        .iter()
        .filter_map(|mount| match &mount.kind {
            MountKind::Volume { name, .. } if volumes.contains(name) => {
                Some(format!("the anonymous volume at {}", mount.target))
            }
            _ => None,
        })
        .collect()
}

/// Returns the containers that are stopped for such a cause.
fn caused(plan: &Plan, is: impl Fn(&Cause) -> bool) -> Vec<String> {
    plan.steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::StopContainer { target, .. } if is(&step.cause) => Some(target.name.clone()),
            _ => None,
        })
        .collect()
}

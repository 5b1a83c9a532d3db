//! The decisions of `up` as steps.

use super::*;
use crate::spec::Goal;

impl Up<'_> {
    /// Writes the steps into the plan; `false` when replicas cannot be replaced by and by: steps would
    /// wait for each other in a circle, or for what goes last.
    pub(super) fn steps(&mut self, mut specs: HashMap<(usize, usize), ContainerSpec>) -> bool {
        let mut b = Builder::default();
        if self.rolling {
            let slots = || self.units.iter().flat_map(|unit| &unit.slots);
            let last: HashSet<_> = slots().filter_map(|slot| slot.outgoing).map(|old| &old.spec.id).collect();
            if !last.is_empty() && slots().any(|slot| slot.waits_for.iter().any(|id| last.contains(id))) {
                return false;
            }
            self.deal();
        }
        let mut first = HashMap::new();
        let stays = self.units.iter().flat_map(|unit| &unit.slots).filter(|slot| slot.make.is_none());
        let stays = stays.filter_map(|slot| slot.current).map(|current| &current.spec);
        let kept: HashSet<VolumeName> =
            specs.values().chain(stays).flat_map(anonymous_volumes).map(|(_, name)| name.clone()).collect();
        let removed = self.removals(&mut b, &specs, &mut first);
        let networks = self.networks(&mut b, &removed);
        let volumes: HashMap<VolumeName, Draft> = std::mem::take(&mut self.volumes)
            .into_iter()
            .map(|(name, spec)| (name, b.add(Op::EnsureVolume(Box::new(spec)), Cause::Missing)))
            .collect();
        let mut created: HashMap<ContainerId, Draft> = HashMap::new();
        for (u, unit) in self.units.iter().enumerate() {
            for (s, slot) in unit.slots.iter().enumerate() {
                let (Some(cause), Some(spec)) = (&slot.make, specs.remove(&(u, s))) else { continue };
                let mut before: Vec<Draft> = Vec::new();
                before.extend(spec.endpoints.iter().filter_map(|e| networks.get(e.network.as_str())));
                before.extend(named_volumes(&spec).filter_map(|name| volumes.get(name)));
                before.extend(slot.current.and_then(|current| removed.get(&current.spec.id)));
                before.extend(slot.waits_for.iter().filter_map(|id| removed.get(id)));
                before.extend(spec.network_of.as_ref().and_then(|owner| created.get(owner)));
                let replaces = slot.current.map(|current| current.spec.id.clone());
                let op = Op::CreateContainer { spec: Box::new(spec), target: slot.target(unit.name), replaces };
                let step = b.add(op, cause.clone());
                b.after(step, before);
                created.insert(slot.id.clone(), step);
            }
        }
        let amended = self.amendments(&mut b, &networks, &removed);
        if self.inputs.start {
            let started = self.starts(&mut b, &created, &amended, &networks, &removed);
            for unit in &self.units {
                rolling::batches(&mut b, unit, self.inputs.timeout, &kept, &first, &started);
            }
            if !self.plan.errors.is_empty() {
                b = Builder::default();
            }
        }
        let Some(steps) = b.finish() else { return false };
        self.plan.steps = steps;
        true
    }

    /// Adds what stops and removes containers; returns the last step of each that goes, or is
    /// stopped to be started again.
    /// `first` gets the first step of each that is replaced.
    fn removals(
        &self,
        b: &mut Builder,
        specs: &HashMap<(usize, usize), ContainerSpec>,
        first: &mut HashMap<ContainerId, Draft>,
    ) -> HashMap<ContainerId, Draft> {
        let mut last = HashMap::new();
        for orphan in &self.orphans {
            last.insert(orphan.spec.id.clone(), self.remove(b, orphan, Vec::new(), &Cause::Orphan).1);
        }
        // Stops of dependents, by what they depend on: dependents stop first.
        let mut dependents: HashMap<&ServiceName, Vec<Draft>> = HashMap::new();
        for (u, unit) in self.units.iter().enumerate().rev() {
            let (mut own, mut later) = (Vec::new(), Vec::new());
            for container in &unit.excess {
                let (stop, remove) = self.remove(b, container, Vec::new(), &Cause::ScaledDown);
                own.extend(stop);
                last.insert(container.spec.id.clone(), remove);
            }
            for (s, slot) in unit.slots.iter().enumerate() {
                // One that goes last is taken care of with its batch.
                let Some(current) = slot.current.filter(|_| slot.outgoing.is_none() || slot.make.is_none()) else {
                    continue;
                };
                if let Some(cause) = &slot.make {
                    let kept: HashSet<&VolumeName> = specs
                        .get(&(u, s))
                        .map(|spec| anonymous_volumes(spec).map(|(_, name)| name).collect())
                        .unwrap_or_default();
                    let volumes =
                        anonymous_volumes(&current.spec).map(|(_, name)| name).filter(|name| !kept.contains(name));
                    let (stop, remove) = self.remove(b, current, volumes.cloned().collect(), cause);
                    first.insert(current.spec.id.clone(), stop.unwrap_or(remove));
                    // What it depends on stops without waiting for later batches, which wait for its start.
                    if slot.batch.is_none_or(|batch| batch == 0) {
                        own.extend(stop);
                    } else {
                        later.extend(stop);
                    }
                    last.insert(current.spec.id.clone(), remove);
                } else if let Some(cause) = &slot.restart {
                    let stop = self.stop(b, current, cause);
                    own.push(stop);
                    last.insert(current.spec.id.clone(), stop);
                }
            }
            for &step in own.iter().chain(&later) {
                b.follows(step, dependents.get(unit.name).into_iter().flatten().copied());
            }
            if !own.is_empty() {
                for dependency in dependencies(unit.service) {
                    dependents.entry(dependency).or_default().extend(&own);
                }
            }
        }
        last
    }

    fn stop(&self, b: &mut Builder, container: &ObservedContainer, cause: &Cause) -> Draft {
        let grace = self.inputs.timeout.unwrap_or(container.spec.stop_grace);
        let op = Op::StopContainer { target: container.target(), signal: container.spec.stop_signal, grace };
        b.add(op, cause.clone())
    }

    fn remove(
        &self,
        b: &mut Builder,
        container: &ObservedContainer,
        volumes: Vec<VolumeName>,
        cause: &Cause,
    ) -> (Option<Draft>, Draft) {
        let stop = container.is_up().then(|| self.stop(b, container, cause));
        let remove = b.add(Op::RemoveContainer { target: container.target(), volumes }, cause.clone());
        b.after(remove, stop);
        (stop, remove)
    }

    /// Adds the networks; returns the step that makes each, by name.
    fn networks(&self, b: &mut Builder, removed: &HashMap<ContainerId, Draft>) -> HashMap<String, Draft> {
        let mut steps = HashMap::new();
        for net in self.nets.values() {
            let Some(cause) = &net.ensure else { continue };
            let gone = net.replaced.as_ref().map(|old| {
                let step = b.add(Op::RemoveNetwork(Box::new(old.clone())), cause.clone());
                let users = self.observed.containers.iter().filter(|c| networks::uses(c, old.name.as_str()));
                b.after(step, users.filter_map(|user| removed.get(&user.spec.id).copied()));
                step
            });
            let step = b.add(Op::EnsureNetwork(Box::new(net.spec.clone())), cause.clone());
            b.after(step, gone);
            steps.insert(net.spec.name.as_str().to_owned(), step);
        }
        steps
    }

    /// Adds the changes of containers that are kept.
    fn amendments(
        &mut self,
        b: &mut Builder,
        networks: &HashMap<String, Draft>,
        stopped: &HashMap<ContainerId, Draft>,
    ) -> HashMap<ContainerId, Draft> {
        let mut steps = HashMap::new();
        for ((u, s), Amended { spec, fields }) in std::mem::take(&mut self.amended) {
            let (unit, slot) = (&self.units[u], &self.units[u].slots[s]);
            let (Some(cause), Some(current)) = (&slot.change, slot.current) else { continue };
            let joined =
                spec.endpoints.iter().filter(|e| current.spec.endpoints.iter().all(|o| o.network != e.network));
            let before: Vec<_> = joined.filter_map(|e| networks.get(e.network.as_str()).copied()).collect();
            let waits_for: Vec<_> = slot.waits_for.iter().filter_map(|id| stopped.get(id).copied()).collect();
            let op = Op::UpdateContainer { target: slot.target(unit.name), spec: Box::new(spec), fields };
            let step = b.add(op, cause.clone());
            b.after(step, before);
            b.after(step, waits_for);
            // One that is started again anyway is changed while it is down.
            b.after(step, stopped.get(&slot.id).copied());
            steps.insert(slot.id.clone(), step);
        }
        steps
    }

    fn starts(
        &mut self,
        b: &mut Builder,
        created: &HashMap<ContainerId, Draft>,
        amended: &HashMap<ContainerId, Draft>,
        networks: &HashMap<String, Draft>,
        stopped: &HashMap<ContainerId, Draft>,
    ) -> HashMap<ContainerId, Draft> {
        let mut conditions = Conditions::default();
        let mut started: HashMap<ContainerId, Draft> = HashMap::new();
        let mut errors = Vec::new();
        for (u, unit) in self.units.iter().enumerate() {
            let changes: Vec<Draft> = unit.slots.iter().filter_map(|slot| amended.get(&slot.id).copied()).collect();
            if !changes.is_empty() {
                conditions.changes.insert(u, changes);
            }
            let starting: Vec<(&Slot<'_>, Cause)> = unit
                .slots
                .iter()
                .filter_map(|slot| match (&slot.make, &slot.restart) {
                    (Some(cause), _) | (None, Some(cause)) => Some((slot, cause.clone())),
                    (None, None) if slot.is_up() => {
                        if slot.change.is_none() {
                            self.plan.unchanged.push(slot.name.clone());
                        }
                        None
                    }
                    (None, None) => Some((slot, Cause::NotRunning)),
                })
                .collect();
            let (mut must, mut may) = (Vec::new(), Vec::new());
            for (name, dependency) in &unit.service.depends_on {
                let Some(&d) = self.by_name.get(name) else { continue };
                let other = &self.units[d];
                if dependency.condition == Condition::ServiceHealthy && !other.is_probed() && !other.slots.is_empty() {
                    errors.push(PlanError::NoHealthcheck { service: unit.name.clone(), dependency: name.clone() });
                }
                if !starting.is_empty() {
                    let cause = || Cause::NeededBy(unit.name.clone());
                    let list = if dependency.required { &mut must } else { &mut may };
                    let goal = labels::goal(dependency.condition, other.service.x_stack.dependents_wait());
                    list.extend(conditions.step(b, other, d, goal, dependency.required, cause));
                }
            }
            for (slot, cause) in starting {
                let step = b.add(Op::StartContainer(slot.target(unit.name)), cause);
                b.after(step, created.get(&slot.id).copied());
                b.after(step, amended.get(&slot.id).copied());
                b.after(step, must.iter().copied());
                b.follows(step, may.iter().copied());
                match slot.current {
                    Some(current) if slot.make.is_none() => {
                        b.after(step, slot.restart.as_ref().and_then(|_| stopped.get(&slot.id).copied()));
                        let lost = current.spec.endpoints.iter().filter_map(|e| networks.get(e.network.as_str()));
                        b.after(step, lost.copied());
                        // The namespace it shares must be there again.
                        b.after(step, current.spec.network_of.as_ref().and_then(|id| started.get(id).copied()));
                    }
                    _ => {
                        if let Some(NetworkMode::Service(owner)) = &unit.service.network_mode {
                            let owner = self.by_name.get(owner).and_then(|owner| self.units[*owner].slots.first());
                            b.after(step, owner.and_then(|slot| started.get(&slot.id).copied()));
                        }
                    }
                }
                started.insert(slot.id.clone(), step);
                conditions.starts.entry(u).or_default().push(step);
            }
        }
        if self.inputs.wait {
            self.waits(b, &mut conditions);
        }
        self.plan.errors.extend(errors);
        started
    }

    /// Adds what `--wait` waits for: the end of services that others need the end of, of all others
    /// that they are ready, or done.
    fn waits(&self, b: &mut Builder, conditions: &mut Conditions) {
        let ends: HashSet<&ServiceName> = self
            .units
            .iter()
            .flat_map(|unit| &unit.service.depends_on)
            .filter(|(_, dependency)| dependency.condition == Condition::ServiceCompletedSuccessfully)
            .map(|(name, _)| name)
            .collect();
        for (u, unit) in self.units.iter().enumerate() {
            let goal = if ends.contains(unit.name) { Goal::Completed } else { Goal::Ready };
            conditions.always(b, unit, u, goal, || Cause::Waited);
        }
    }
}

impl Unit<'_> {
    fn is_probed(&self) -> bool {
        self.image.is_some_and(|image| desired::healthcheck(self.service.healthcheck.as_ref(), &image.config).is_some())
    }

    fn holds_already(&self, goal: Goal) -> bool {
        self.slots.iter().all(|slot| {
            slot.make.is_none()
                && slot.restart.is_none()
                // A check that changes may find it in another state.
                && (slot.change.is_none() || goal == Goal::Started)
                && slot.current.is_some_and(|current| match goal {
                    Goal::Started => current.is_up(),
                    Goal::Healthy => {
                        current.state == ContainerState::Running && current.health == Some(Health::Healthy)
                    }
                    Goal::Ready => current.state == ContainerState::Running && current.ready,
                    Goal::Completed => false,
                })
        })
    }
}

/// One waiting step for each service and goal, shared by all who need it.
#[derive(Default)]
struct Conditions {
    /// Steps that start replicas, by unit.
    starts: HashMap<usize, Vec<Draft>>,
    /// Steps that change replicas in place, by unit.
    changes: HashMap<usize, Vec<Draft>>,
    /// By unit, condition and whether it is required.
    waits: HashMap<(usize, Goal, bool), Option<Draft>>,
}

impl Conditions {
    /// Returns the step after which the condition holds; `None` when it holds already.
    fn step(
        &mut self,
        b: &mut Builder,
        unit: &Unit<'_>,
        u: usize,
        goal: Goal,
        required: bool,
        cause: impl Fn() -> Cause,
    ) -> Option<Draft> {
        // A step that starts the only replica succeeds exactly when the service is started.
        if goal == Goal::Started {
            match self.starts.get(&u).map(Vec::as_slice) {
                None | Some([]) => return None,
                Some([start]) => return Some(*start),
                Some(_) => {}
            }
        }
        self.wait(b, unit, u, goal, required, cause)
    }

    /// Adds a waiting step even where a start would do.
    fn always(&mut self, b: &mut Builder, unit: &Unit<'_>, u: usize, goal: Goal, cause: impl Fn() -> Cause) {
        self.wait(b, unit, u, goal, true, cause);
    }

    fn wait(
        &mut self,
        b: &mut Builder,
        unit: &Unit<'_>,
        u: usize,
        goal: Goal,
        required: bool,
        cause: impl Fn() -> Cause,
    ) -> Option<Draft> {
        let key = (u, goal, required);
        if let Some(known) = self.waits.get(&key) {
            return *known;
        }
        let step = (!unit.slots.is_empty() && !unit.holds_already(goal)).then(|| {
            let containers = unit.slots.iter().map(|slot| (slot.id.clone(), slot.name.clone())).collect();
            let op = Op::AwaitCondition(Wait { service: unit.name.clone(), containers, goal, required });
            let step = b.add(op, cause());
            b.after(step, self.starts.get(&u).into_iter().flatten().copied());
            b.after(step, self.changes.get(&u).into_iter().flatten().copied());
            step
        });
        self.waits.insert(key, step);
        step
    }
}

fn dependencies(service: &Service) -> impl Iterator<Item = &ServiceName> {
    let shared = match &service.network_mode {
        Some(NetworkMode::Service(owner)) => Some(owner),
        _ => None,
    };
    service.depends_on.keys().chain(service.links.iter().map(|(to, _)| to)).chain(shared)
}

fn named_volumes(spec: &ContainerSpec) -> impl Iterator<Item = &VolumeName> {
    spec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { name, anonymous: false, .. } => Some(name),
        _ => None,
    })
}

//! The executor: walks a plan's steps and decides nothing.
//!
//! A step begins as soon as all steps it comes `after` have succeeded and all it `follows`
//! have ended. After a failure its dependents are skipped and everything else goes on. Each
//! step runs as a task of its own, so a host's work spreads over the cores.

mod progress;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

use crate::event::{Event, Failure, FailureKind};
use crate::host::{Host, HostError};
use crate::plan::{Cause, Op, Plan, Step, StepId};
use progress::Progress;

/// Steps that work at the same time unless the caller says otherwise: enough to hide waits, few
/// enough that two cores are not thrashed by hundreds of half-started containers.
pub const DEFAULT_LIMIT: usize = 16;

/// What became of a plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Steps that failed, in the order in which they did.
    pub failures: Vec<Failure>,
    /// Steps that never began.
    pub skipped: Vec<Skipped>,
    /// The caller cancelled before all was done.
    pub cancelled: bool,
    /// When each step of the plan, in its order, began and ended; `None` for those that did not.
    pub laps: Vec<Option<Lap>>,
}

/// When a step was carried out, since the walk began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lap {
    /// When it began.
    pub begun: Duration,
    /// When it ended, well or not.
    pub ended: Duration,
    /// It failed.
    pub failed: bool,
}

impl Outcome {
    /// Tells whether every step succeeded.
    pub fn is_success(&self) -> bool {
        self.failures.is_empty() && self.skipped.is_empty() && !self.cancelled
    }
}

/// A step that never began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The step.
    pub step: StepId,
    /// The step whose failure is the reason; `None` when the caller cancelled.
    pub because: Option<StepId>,
}

/// Executes a plan.
///
/// At most `limit` steps work at the same time; steps that only wait (for a condition, for a
/// container to stop) do not count. After a failure, what is only waited for because the command waits
/// (`--wait`) is not waited for to its end. Once `cancel` holds true no further step begins, waits for
/// conditions end, and steps that work are let finish, so that nothing is left half done; a
/// `cancel` whose sender is gone never cancels. `events` hears progress lines.
///
/// Dropping the future aborts the steps that run.
pub async fn apply<H: Host>(
    plan: Plan,
    host: &Arc<H>,
    limit: usize,
    mut cancel: watch::Receiver<bool>,
    events: impl Fn(Event),
) -> Outcome {
    let progress = Progress::new(&plan);
    for event in progress.unchanged(&plan) {
        events(event);
    }
    let epoch = Instant::now();
    let mut walk = Walk::new(plan.steps);
    let mut tasks: JoinSet<Result<(), HostError>> = JoinSet::new();
    let mut running: HashMap<Id, (usize, AbortHandle, Duration)> = HashMap::new();
    let mut working = 0;
    let mut outcome = Outcome { laps: vec![None; walk.steps.len()], ..Outcome::default() };
    let mut can_cancel = true;
    loop {
        if !outcome.cancelled {
            while let Some(index) = walk.next(working < limit.max(1)) {
                let steps = Arc::clone(&walk.steps);
                let host = Arc::clone(host);
                working += usize::from(!waits(&steps[index].op));
                progress.begin(&walk.steps[index]).into_iter().for_each(&events);
                let task = tasks.spawn(async move {
                    host.boundary();
                    let result = execute(host.as_ref(), &steps[index].op).await;
                    host.boundary();
                    result
                });
                running.insert(task.id(), (index, task, epoch.elapsed()));
            }
        }
        // Once something failed nobody is kept waiting for services that may never be ready.
        let only_waited =
            |index: &usize| walk.steps[*index].cause == Cause::Waited && walk.dependents[*index].is_empty();
        if !outcome.failures.is_empty() && running.values().all(|(index, ..)| only_waited(index)) {
            running.values().for_each(|(_, task, _)| task.abort());
        }
        let ended = tokio::select! {
            // Cancel-safe: a result that was not taken stays in the set.
            ended = tasks.join_next_with_id() => ended,
            // Cancel-safe: waits for a level, not an edge.
            cancelled = cancel.wait_for(|cancelled| *cancelled), if can_cancel => {
                can_cancel = false;
                outcome.cancelled = cancelled.is_ok();
                if outcome.cancelled {
                    let idle = running.values().filter(|(index, ..)| matches!(walk.steps[*index].op, Op::AwaitCondition(_) | Op::WatchReplicas(_)));
                    idle.for_each(|(_, task, _)| task.abort());
                }
                continue;
            }
        };
        let (id, result) = match ended {
            None => break,
            Some(Ok((id, result))) => (id, result),
            Some(Err(err)) if err.is_cancelled() => {
                // A wait that was cancelled: what comes after it is skipped below.
                running.remove(&err.id());
                continue;
            }
            Some(Err(err)) => (err.id(), Err(HostError::new(err))),
        };
        let Some((index, _, begun)) = running.remove(&id) else { continue };
        outcome.laps[index] = Some(Lap { begun, ended: epoch.elapsed(), failed: result.is_err() });
        let step = walk.steps[index].clone();
        working -= usize::from(!waits(&step.op));
        match result {
            Ok(()) => {
                progress.end(&step).into_iter().for_each(&events);
                walk.succeeded(index);
            }
            Err(error) => {
                let (why, hint) = error.into_parts();
                if matches!(&step.op, Op::AwaitCondition(wait) if !wait.required) {
                    events(Event::Note { message: format!("optional {why}") });
                } else {
                    progress.failed(&step, &why).into_iter().for_each(&events);
                    let kind = kind(&step.op);
                    outcome.failures.push(Failure { doing: progress::doing(&step.op), why, hint, kind });
                }
                for (skipped, because) in walk.failed(index) {
                    progress.skipped(&walk.steps[skipped], &walk.steps[because]).into_iter().for_each(&events);
                    outcome
                        .skipped
                        .push(Skipped { step: walk.steps[skipped].id, because: Some(walk.steps[because].id) });
                }
            }
        }
    }
    // A cancellation that came when nothing was left to do cancelled nothing.
    let left: Vec<_> = walk.left().collect();
    outcome.cancelled &= !left.is_empty();
    outcome.skipped.extend(left.into_iter().map(|index| Skipped { step: walk.steps[index].id, because: None }));
    outcome
}

/// Returns which failure that of a step is, to a command that waits.
fn kind(op: &Op) -> FailureKind {
    match op {
        Op::StartContainer(_) | Op::AwaitCondition(_) | Op::WatchReplicas(_) => FailureKind::Service,
        _ => FailureKind::Other,
    }
}

/// Tells whether a step mostly waits.
fn waits(op: &Op) -> bool {
    matches!(op, Op::AwaitCondition(_) | Op::WatchReplicas(_) | Op::HandOver { .. } | Op::StopContainer { .. })
}

async fn execute<H: Host>(host: &H, op: &Op) -> Result<(), HostError> {
    match op {
        Op::EnsureNetwork(spec) => host.ensure_network(spec).await,
        Op::RemoveNetwork(spec) => host.remove_network(spec).await,
        Op::RemoveLinks { group } => host.remove_links(*group).await,
        Op::EnsureVolume(spec) => host.ensure_volume(spec).await,
        Op::RemoveVolume(name) => host.remove_volume(name).await,
        Op::CreateContainer { spec, .. } => host.create_container(spec).await,
        Op::UpdateContainer { spec, .. } => host.update_container(spec).await,
        Op::StartContainer(target) => host.start_container(&target.id).await,
        Op::AwaitCondition(wait) => host.await_condition(wait).await,
        Op::WatchReplicas(batch) => host.watch_replicas(batch).await,
        Op::HandOver { from, to, grace } => host.hand_over(&from.id, &to.id, *grace).await,
        Op::StopContainer { target, signal, grace } => host.stop_container(&target.id, *signal, *grace).await,
        Op::KillContainer { target, signal } => host.kill_container(&target.id, *signal).await,
        Op::RemoveContainer { target, volumes } => host.remove_container(&target.id, volumes).await,
    }
}

/// Which steps may begin.
struct Walk {
    steps: Arc<[Step]>,
    /// How many predecessors have not ended.
    missing: Vec<usize>,
    /// Who comes after a step, and whether it must have succeeded.
    dependents: Vec<Vec<(usize, bool)>>,
    state: Vec<State>,
    ready: BTreeSet<usize>,
    /// Ready steps that only wait.
    ready_waits: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Begun,
    Done,
    Skipped,
}

impl Walk {
    fn new(steps: Vec<Step>) -> Self {
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut missing = vec![0; steps.len()];
        for (index, step) in steps.iter().enumerate() {
            let after = step.after.iter().map(|before| (before, true));
            for (before, must) in after.chain(step.follows.iter().map(|before| (before, false))) {
                dependents[before.0 as usize - 1].push((index, must));
                missing[index] += 1;
            }
        }
        let state = vec![State::Idle; steps.len()];
        let (ready, ready_waits) = (BTreeSet::new(), BTreeSet::new());
        let mut walk = Self { steps: steps.into(), missing, dependents, state, ready, ready_waits };
        (0..walk.steps.len()).for_each(|index| walk.offer(index));
        walk
    }

    /// Returns a step to begin: one that works if there is room, else one that only waits.
    fn next(&mut self, room: bool) -> Option<usize> {
        let index = match self.ready_waits.pop_first() {
            Some(index) => index,
            None if room => self.ready.pop_first()?,
            None => return None,
        };
        self.state[index] = State::Begun;
        Some(index)
    }

    fn offer(&mut self, index: usize) {
        if self.missing[index] == 0 && self.state[index] == State::Idle {
            let list = if waits(&self.steps[index].op) { &mut self.ready_waits } else { &mut self.ready };
            list.insert(index);
        }
    }

    fn succeeded(&mut self, index: usize) {
        self.state[index] = State::Done;
        for (dependent, _) in self.dependents[index].clone() {
            self.missing[dependent] -= 1;
            self.offer(dependent);
        }
    }

    /// Returns the steps that are skipped now, each with the step that failed or was skipped
    /// before it... down to the one that failed.
    fn failed(&mut self, index: usize) -> Vec<(usize, usize)> {
        self.state[index] = State::Done;
        let mut skipped = Vec::new();
        let mut ended = vec![index];
        while let Some(end) = ended.pop() {
            for (dependent, must) in self.dependents[end].clone() {
                self.missing[dependent] -= 1;
                if must && self.state[dependent] == State::Idle {
                    self.state[dependent] = State::Skipped;
                    skipped.push((dependent, index));
                    ended.push(dependent);
                } else {
                    self.offer(dependent);
                }
            }
        }
        skipped.sort_unstable();
        skipped
    }

    /// Returns the steps that neither ended nor were skipped.
    fn left(&self) -> impl Iterator<Item = usize> {
        self.state.iter().enumerate().filter(|(_, state)| matches!(state, State::Idle | State::Begun)).map(|(i, _)| i)
    }
}

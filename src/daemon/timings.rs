//! What an `up` takes: kept beside the project's history, so that `stack analyze` can tell later, too.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use super::provide::Fetched;
use super::{Daemon, history};
use crate::apply::Lap;
use crate::event::{Action, Event};
use crate::ids::{ContainerId, ProjectName};
use crate::plan::{Op, Plan, needs};
use crate::store::{self, Durability, StoreError};
use crate::timing::{Phase, Span, Timings};

/// What must be known of an operation before its plan is carried out.
pub(super) struct Outline {
    fetched: Vec<(Fetched, Vec<String>)>,
    steps: Vec<Part>,
}

/// A step, as what it takes is told.
struct Part {
    phase: Phase,
    subject: String,
    containers: Vec<String>,
    /// The container that it starts.
    starts: Option<ContainerId>,
    /// Places of the steps that it waits for.
    after: Vec<usize>,
}

/// When an operation began, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Began {
    at: Instant,
    ns: i64,
}

impl Began {
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), ns: super::now_ns() }
    }

    fn us(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.at))
    }
}

impl Outline {
    pub(super) fn of(plan: &Plan, fetched: Vec<Fetched>) -> Self {
        let users = |fetched: &Fetched| {
            let made = needs::made(plan).filter(|spec| spec.image.reference == fetched.reference);
            made.map(|spec| spec.name.clone()).collect()
        };
        let fetched = fetched.into_iter().map(|fetched| (users(&fetched), fetched)).map(|(u, f)| (f, u)).collect();
        let steps = plan.steps.iter().map(|step| {
            let (phase, subject, containers) = words(&step.op);
            let starts = match &step.op {
                Op::StartContainer(target) => Some(target.id.clone()),
                _ => None,
            };
            let after = step.after.iter().chain(&step.follows).map(|step| step.0 as usize - 1).collect();
            Part { phase, subject, containers, starts, after }
        });
        Self { fetched, steps: steps.collect() }
    }

    /// Returns the containers that are started.
    fn starts(&self) -> Vec<ContainerId> {
        self.steps.iter().filter_map(|step| step.starts.clone()).collect()
    }

    /// Returns what it all took: `applied` is when the first step could begin, `connecting` how long the network
    /// of each container took.
    fn timings(
        self,
        project: ProjectName,
        began: Began,
        applied: Instant,
        laps: &[Option<Lap>],
        connecting: &HashMap<ContainerId, Duration>,
    ) -> Timings {
        let mut spans = Spans::default();
        let mut fetches = Vec::new();
        for (Fetched { reference, begun, arrived, ended }, containers) in self.fetched {
            let [begun, arrived, ended] = [begun, arrived, ended].map(|at| began.us(at));
            let pull = spans.add(Phase::Pull, &reference, &containers, (begun, arrived), &[]);
            let unpack =
                (ended > arrived).then(|| spans.add(Phase::Unpack, &reference, &containers, (arrived, ended), &[pull]));
            fetches.push(unpack.unwrap_or(pull));
        }
        let here = fetches.iter().map(|&index| spans.0[index as usize].end_us).max().unwrap_or(0);
        let applied = began.us(applied);
        let planned = spans.add(Phase::Plan, "", &[], (here, applied), &fetches);
        let mut last: Vec<Option<u32>> = vec![None; self.steps.len()];
        for (index, part) in self.steps.into_iter().enumerate() {
            let Some(lap) = laps.get(index).copied().flatten() else { continue };
            let mut after: Vec<u32> = part.after.iter().filter_map(|&before| last[before]).collect();
            if after.is_empty() {
                after.push(planned);
            }
            let (mut begin, end) = (applied + micros(lap.begun), applied + micros(lap.ended));
            if let Some(connecting) = part.starts.and_then(|id| connecting.get(&id)) {
                let connected = (begin + micros(*connecting)).min(end);
                let network = spans.add(Phase::Network, &part.subject, &part.containers, (begin, connected), &after);
                (begin, after) = (connected, vec![network]);
            }
            let span = spans.add(part.phase, &part.subject, &part.containers, (begin, end), &after);
            spans.0[span as usize].failed = lap.failed;
            last[index] = Some(span);
        }
        let failed = laps.iter().any(|lap| lap.is_none_or(|lap| lap.failed));
        let took_us = micros(began.at.elapsed());
        Timings { project, began_ns: began.ns, took_us, failed, spans: spans.0 }
    }
}

#[derive(Default)]
struct Spans(Vec<Span>);

impl Spans {
    fn add(
        &mut self,
        phase: Phase,
        subject: &str,
        containers: &[String],
        (begin_us, end_us): (u64, u64),
        after: &[u32],
    ) -> u32 {
        self.0.push(Span {
            phase,
            subject: subject.to_owned(),
            containers: containers.to_vec(),
            begin_us,
            end_us,
            after: after.to_vec(),
            failed: false,
        });
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Returns which part of the work an operation is, what it is about, and the containers that it is for.
fn words(op: &Op) -> (Phase, String, Vec<String>) {
    let of = |phase, name: &String| (phase, name.clone(), vec![name.clone()]);
    match op {
        Op::EnsureNetwork(spec) => (Phase::Network, spec.name.to_string(), Vec::new()),
        Op::EnsureVolume(spec) => (Phase::Volume, spec.name.to_string(), Vec::new()),
        Op::RemoveNetwork(spec) => (Phase::Stop, spec.name.to_string(), Vec::new()),
        Op::RemoveLinks { .. } => (Phase::Stop, "links".to_owned(), Vec::new()),
        Op::RemoveVolume(name) => (Phase::Stop, name.to_string(), Vec::new()),
        Op::CreateContainer { target, .. } => of(Phase::Create, &target.name),
        Op::UpdateContainer { target, .. } => of(Phase::Update, &target.name),
        Op::StartContainer(target) => of(Phase::Start, &target.name),
        Op::StopContainer { target, .. } | Op::KillContainer { target, .. } | Op::RemoveContainer { target, .. } => {
            of(Phase::Stop, &target.name)
        }
        Op::HandOver { to, .. } => of(Phase::Update, &to.name),
        Op::AwaitCondition(wait) => {
            (Phase::Ready, wait.service.to_string(), wait.containers.iter().map(|(_, name)| name.clone()).collect())
        }
        Op::WatchReplicas(batch) => {
            (Phase::Update, batch.service.to_string(), batch.containers.iter().map(|(_, name)| name.clone()).collect())
        }
    }
}

impl Daemon {
    /// Keeps what an operation took.
    pub(super) async fn keep_timings(
        &self,
        project: &ProjectName,
        outline: Outline,
        began: Began,
        applied: Instant,
        laps: &[Option<Lap>],
    ) {
        let starts = outline.starts();
        let connecting = self.read(move |state| {
            let connecting = |id: &ContainerId| Some((id.clone(), state.containers.get(id)?.connecting?));
            starts.iter().filter_map(connecting).collect::<HashMap<_, _>>()
        });
        let timings = outline.timings(project.clone(), began, applied, laps, &connecting.await);
        if let Err(error) = write(&self.parts.paths.root, &timings) {
            tracing::warn!(%project, %error, "what it took could not be kept");
        }
    }

    /// Returns what the last `up` of a project took, with the containers that have become ready since.
    pub(super) async fn timings(&self, project: ProjectName) -> Option<Timings> {
        let root = self.parts.paths.root.clone();
        let work = move || {
            let mut timings = read(&root, &project)?;
            let events = history::read(&root, &project, timings.began_ns, i64::MAX);
            timings.add_ready(&ready(&events));
            Some(timings)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
    }
}

fn write(root: &Path, timings: &Timings) -> Result<(), StoreError> {
    let path = history::timings_path(root, &timings.project);
    // Replacing a file costs milliseconds on ext4, writing a new one does not.
    store::remove(&path)?;
    store::write(&path, timings, Durability::Fast)
}

fn read(root: &Path, project: &ProjectName) -> Option<Timings> {
    let read = store::read(&history::timings_path(root, project));
    read.unwrap_or_else(|error| {
        tracing::warn!(%project, %error, "what its last up took cannot be read");
        None
    })
}

/// Returns when containers became ready, healthy or done in their first run that these events tell of.
fn ready(events: &[Event]) -> BTreeMap<String, i64> {
    let mut ready = BTreeMap::new();
    let mut starts: HashMap<&str, u32> = HashMap::new();
    for event in events {
        let Event::Container { time_ns, name, action, .. } = event else { continue };
        let starts = starts.entry(name).or_default();
        let is_ready = match action {
            Action::Start => {
                *starts += 1;
                false
            }
            Action::Ready { .. } | Action::Die { exit_code: 0, .. } => true,
            Action::Health { status } => status == "healthy",
            _ => false,
        };
        if is_ready && *starts == 1 {
            ready.entry(name.clone()).or_insert(*time_ns);
        }
    }
    ready
}

/// Returns a duration in whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

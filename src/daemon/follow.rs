//! Restarts what must follow another container: see [`plan_follow`]. A container that started or
//! became healthy is the news; what follows is planned from what is.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use super::Daemon;
use super::container::{Entry, label_of};
use super::operations::Until;
use super::state::State;
use crate::crash::By;
use crate::event::Action;
use crate::ids::{ContainerId, ProjectName};
use crate::lifecycle::{Budget, Time};
use crate::plan::follow::{Run, plan_follow};
use crate::plan::{Cause, Observed, Op, Plan, labels};

/// What is left to settle before it looks: an operation starts several containers.
const SETTLE: Duration = Duration::from_millis(50);
/// Longest pause between two restarts of what follows something that dies again and again.
const LONGEST: Duration = Duration::from_secs(60);

/// Has containers follow for as long as the process lives.
pub(super) async fn followers(daemon: Arc<Daemon>, news: Arc<Notify>) {
    let busy: Arc<Mutex<HashSet<ProjectName>>> = Arc::default();
    let budgets: Arc<Mutex<HashMap<ProjectName, Budget>>> = Arc::default();
    let epoch = Instant::now();
    loop {
        news.notified().await;
        tokio::time::sleep(SETTLE).await;
        for project in daemon.read(|state| projects(state)).await {
            if !lock(&busy).insert(project.clone()) {
                continue;
            }
            let (daemon, news) = (Arc::clone(&daemon), Arc::clone(&news));
            let (busy, budgets) = (Arc::clone(&busy), Arc::clone(&budgets));
            tokio::spawn(async move {
                let pause = {
                    let mut budgets = lock(&budgets);
                    let fresh = || Budget::new(Duration::from_millis(1), LONGEST);
                    budgets.entry(project.clone()).or_insert_with(fresh).take(Time(epoch.elapsed()))
                };
                tokio::time::sleep(pause).await;
                follow(&daemon, &project).await;
                lock(&busy).remove(&project);
                // What happened meanwhile was not looked at.
                news.notify_one();
            });
        }
    }
}

/// Restarts what must follow in a project.
async fn follow(daemon: &Arc<Daemon>, project: &ProjectName) {
    // An operation on the project may restart the same containers: what is left then is ours.
    let (sink, _client) = mpsc::unbounded_channel();
    let Some(_turn) = daemon.turn(project, &sink).await else { return };
    let name = project.clone();
    let plan = daemon.read(move |state| plan(state, &name)).await;
    if plan.steps.is_empty() {
        return;
    }
    let cause = |cause: &Cause| match cause {
        Cause::NamespaceOf(owner) => format!("{owner}, whose network it shares, has a new one"),
        Cause::DependencyRestarted(service) => format!("{service}, which it depends on, was started again"),
        other => other.to_string(),
    };
    let mut why = String::new();
    for step in &plan.steps {
        if let Op::StartContainer(target) = &step.op {
            why = cause(&step.cause);
            let action = Action::Heal { cause: why.clone(), remedy: "restart".to_owned() };
            let id = target.id.clone();
            daemon.read(move |state| state.emit(&id, action)).await;
        }
    }
    for failure in daemon.apply(By::Engine { why }, plan, &sink, Until::Done).await {
        tracing::warn!(%project, %failure, "a container could not follow");
    }
}

/// Returns the projects in which something must follow.
fn projects(state: &State) -> Vec<ProjectName> {
    let may_follow = |entry: &&Entry| {
        entry.spec.network_of.is_some()
            || labels::parse_depends_on(label_of(&entry.spec, labels::DEPENDS_ON)).iter().any(|edge| edge.restart)
    };
    let names: HashSet<ProjectName> = state
        .containers
        .values()
        .filter(may_follow)
        .map(|entry| ProjectName::new(label_of(&entry.spec, labels::PROJECT)))
        .collect();
    names.into_iter().filter(|name| !plan(state, name).steps.is_empty()).collect()
}

fn plan(state: &State, project: &ProjectName) -> Plan {
    let observed: Observed = state.observed();
    let run = |(id, entry): (&ContainerId, &Entry)| {
        let netns = entry.sandbox.as_ref().and_then(|sandbox| sandbox.netns.as_ref());
        let netns = netns.and_then(|netns| rustix::fs::fstat(netns).ok()).map(|stat| (stat.st_dev, stat.st_ino));
        (id.clone(), Run { started_ns: entry.started_ns, restarts: entry.replica.restarts(), netns })
    };
    plan_follow(project, &observed, &state.containers.iter().map(run).collect())
}

/// Locks; a panic elsewhere leaves these sets whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Whether what a dependent waits for holds (spec row `svc-depends-on-any-condition`).

use crate::ids::ServiceName;
use crate::spec::{Goal, Health};

/// What a replica does, as far as conditions ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Created or being started.
    Pending,
    /// Its process runs.
    Running {
        /// `None` without a healthcheck.
        health: Option<Health>,
        /// It is ready by its rule.
        ready: bool,
    },
    /// It ended and is started again.
    Restarting {
        /// It has ended so often that the pauses between its starts have grown to the longest one.
        looping: bool,
    },
    /// It ended for good.
    Exited {
        /// Exit status.
        code: i32,
    },
    /// It was removed.
    Gone,
}

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Met,
    /// It may hold later.
    Pending,
    /// It cannot hold any more; why, in Compose's words.
    Failed(String),
}

/// Returns whether the condition holds for all replicas of a service, given by name and phase.
/// No replicas: nothing to wait for.
pub fn evaluate<'a>(
    service: &ServiceName,
    goal: Goal,
    replicas: impl IntoIterator<Item = (&'a str, Phase)>,
) -> Verdict {
    let mut all = Verdict::Met;
    for (name, phase) in replicas {
        match one(service, goal, name, phase) {
            Verdict::Met => {}
            Verdict::Pending => all = Verdict::Pending,
            failed @ Verdict::Failed(_) => return failed,
        }
    }
    all
}

fn one(service: &ServiceName, goal: Goal, name: &str, phase: Phase) -> Verdict {
    let failed = |why: &str| Verdict::Failed(format!("dependency failed to start: container {name} {why}"));
    match (goal, phase) {
        (_, Phase::Pending) => Verdict::Pending,
        (_, Phase::Gone) => failed("was removed"),
        (Goal::Started, Phase::Running { .. } | Phase::Exited { code: 0 }) => Verdict::Met,
        (Goal::Ready, Phase::Running { ready: true, .. } | Phase::Exited { code: 0 }) => Verdict::Met,
        (Goal::Started | Goal::Healthy | Goal::Ready, Phase::Exited { code }) => failed(&format!("exited ({code})")),
        (Goal::Healthy, Phase::Running { health: Some(Health::Healthy), .. }) => Verdict::Met,
        (Goal::Healthy | Goal::Ready, Phase::Running { health: Some(Health::Unhealthy), .. }) => failed("is unhealthy"),
        (Goal::Healthy, Phase::Running { health: None, .. }) => failed("has no healthcheck configured"),
        (Goal::Completed, Phase::Exited { code: 0 }) => Verdict::Met,
        (Goal::Completed, Phase::Exited { code }) => {
            Verdict::Failed(format!("service {:?} didn't complete successfully: exit {code}", service.as_str()))
        }
        // Whoever depends on it waits on, as with Compose: its next start may be the one that works. Who waits to be
        // told whether all is ready has seen enough.
        (Goal::Ready, Phase::Restarting { looping: true }) => failed("keeps ending: restarted for a minute in vain"),
        (_, Phase::Running { .. } | Phase::Restarting { .. }) => Verdict::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(goal: Goal, phases: &[Phase], expected: &str) {
        let names = ["app-db-1", "app-db-2", "app-db-3"];
        let shown = match evaluate(&"db".into(), goal, names.into_iter().zip(phases.iter().copied())) {
            Verdict::Met => "met".to_owned(),
            Verdict::Pending => "pending".to_owned(),
            Verdict::Failed(why) => why,
        };
        assert_eq!(shown, expected);
    }

    fn running(health: Health) -> Phase {
        Phase::Running { health: Some(health), ready: health == Health::Healthy }
    }

    #[test]
    fn started() {
        use Goal::Started as C;
        check(C, &[], "met");
        check(C, &[Phase::Running { health: None, ready: false }, running(Health::Unhealthy)], "met");
        check(C, &[Phase::Running { health: None, ready: false }, Phase::Pending], "pending");
        check(C, &[Phase::Exited { code: 0 }], "met");
        check(C, &[Phase::Restarting { looping: true }], "pending");
        check(C, &[Phase::Exited { code: 3 }], "dependency failed to start: container app-db-1 exited (3)");
    }

    #[test]
    fn healthy() {
        use Goal::Healthy as C;
        check(C, &[running(Health::Healthy), running(Health::Starting)], "pending");
        check(C, &[running(Health::Healthy), running(Health::Healthy)], "met");
        check(C, &[Phase::Restarting { looping: true }], "pending");
        check(
            C,
            &[Phase::Pending, running(Health::Unhealthy)],
            "dependency failed to start: container app-db-2 is unhealthy",
        );
        check(C, &[Phase::Exited { code: 1 }], "dependency failed to start: container app-db-1 exited (1)");
        check(C, &[Phase::Exited { code: 0 }], "dependency failed to start: container app-db-1 exited (0)");
        check(
            C,
            &[Phase::Running { health: None, ready: false }],
            "dependency failed to start: container app-db-1 has no healthcheck configured",
        );
        check(C, &[Phase::Gone], "dependency failed to start: container app-db-1 was removed");
    }

    #[test]
    fn completed() {
        use Goal::Completed as C;
        check(C, &[Phase::Running { health: None, ready: false }, Phase::Exited { code: 0 }], "pending");
        check(C, &[Phase::Exited { code: 0 }], "met");
        check(C, &[Phase::Restarting { looping: true }], "pending");
        check(C, &[Phase::Exited { code: 2 }], "service \"db\" didn't complete successfully: exit 2");
    }

    #[test]
    fn ready() {
        use Goal::Ready as C;
        let ready = |ready| Phase::Running { health: None, ready };
        check(C, &[ready(true), running(Health::Healthy)], "met");
        check(C, &[ready(true), ready(false)], "pending");
        check(C, &[ready(true), running(Health::Starting)], "pending");
        check(C, &[Phase::Exited { code: 0 }, ready(true)], "met");
        check(C, &[Phase::Exited { code: 2 }], "dependency failed to start: container app-db-1 exited (2)");
        check(C, &[running(Health::Unhealthy)], "dependency failed to start: container app-db-1 is unhealthy");
        check(C, &[Phase::Restarting { looping: false }], "pending");
        check(
            C,
            &[Phase::Restarting { looping: true }],
            "dependency failed to start: container app-db-1 keeps ending: restarted for a minute in vain",
        );
        check(C, &[Phase::Pending], "pending");
    }
}

//! Whether what a dependent waits for holds (spec row `svc-depends-on-any-condition`).

use crate::compose::model::Condition;
use crate::ids::ServiceName;
use crate::spec::Health;

/// What a replica does, as far as conditions ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Created or being started.
    Pending,
    /// Its process runs.
    Running {
        /// `None` without a healthcheck.
        health: Option<Health>,
    },
    /// It ended and is started again.
    Restarting,
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
    condition: Condition,
    replicas: impl IntoIterator<Item = (&'a str, Phase)>,
) -> Verdict {
    let mut all = Verdict::Met;
    for (name, phase) in replicas {
        match one(service, condition, name, phase) {
            Verdict::Met => {}
            Verdict::Pending => all = Verdict::Pending,
            failed @ Verdict::Failed(_) => return failed,
        }
    }
    all
}

fn one(service: &ServiceName, condition: Condition, name: &str, phase: Phase) -> Verdict {
    let failed = |why: &str| Verdict::Failed(format!("dependency failed to start: container {name} {why}"));
    match (condition, phase) {
        (_, Phase::Pending) => Verdict::Pending,
        (_, Phase::Gone) => failed("was removed"),
        (Condition::ServiceStarted, Phase::Running { .. } | Phase::Exited { code: 0 }) => Verdict::Met,
        (Condition::ServiceStarted | Condition::ServiceHealthy, Phase::Exited { code }) => {
            failed(&format!("exited ({code})"))
        }
        (Condition::ServiceHealthy, Phase::Running { health: Some(Health::Healthy) }) => Verdict::Met,
        (Condition::ServiceHealthy, Phase::Running { health: Some(Health::Unhealthy) }) => failed("is unhealthy"),
        (Condition::ServiceHealthy, Phase::Running { health: None }) => failed("has no healthcheck configured"),
        (Condition::ServiceCompletedSuccessfully, Phase::Exited { code: 0 }) => Verdict::Met,
        (Condition::ServiceCompletedSuccessfully, Phase::Exited { code }) => {
            Verdict::Failed(format!("service {:?} didn't complete successfully: exit {code}", service.as_str()))
        }
        (_, Phase::Running { .. } | Phase::Restarting) => Verdict::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(condition: Condition, phases: &[Phase], expected: &str) {
        let names = ["app-db-1", "app-db-2", "app-db-3"];
        let shown = match evaluate(&"db".into(), condition, names.into_iter().zip(phases.iter().copied())) {
            Verdict::Met => "met".to_owned(),
            Verdict::Pending => "pending".to_owned(),
            Verdict::Failed(why) => why,
        };
        assert_eq!(shown, expected);
    }

    fn running(health: Health) -> Phase {
        Phase::Running { health: Some(health) }
    }

    #[test]
    fn started() {
        use Condition::ServiceStarted as C;
        check(C, &[], "met");
        check(C, &[Phase::Running { health: None }, running(Health::Unhealthy)], "met");
        check(C, &[Phase::Running { health: None }, Phase::Pending], "pending");
        check(C, &[Phase::Exited { code: 0 }], "met");
        check(C, &[Phase::Restarting], "pending");
        check(C, &[Phase::Exited { code: 3 }], "dependency failed to start: container app-db-1 exited (3)");
    }

    #[test]
    fn healthy() {
        use Condition::ServiceHealthy as C;
        check(C, &[running(Health::Healthy), running(Health::Starting)], "pending");
        check(C, &[running(Health::Healthy), running(Health::Healthy)], "met");
        check(C, &[Phase::Restarting], "pending");
        check(
            C,
            &[Phase::Pending, running(Health::Unhealthy)],
            "dependency failed to start: container app-db-2 is unhealthy",
        );
        check(C, &[Phase::Exited { code: 1 }], "dependency failed to start: container app-db-1 exited (1)");
        check(C, &[Phase::Exited { code: 0 }], "dependency failed to start: container app-db-1 exited (0)");
        check(
            C,
            &[Phase::Running { health: None }],
            "dependency failed to start: container app-db-1 has no healthcheck configured",
        );
        check(C, &[Phase::Gone], "dependency failed to start: container app-db-1 was removed");
    }

    #[test]
    fn completed() {
        use Condition::ServiceCompletedSuccessfully as C;
        check(C, &[Phase::Running { health: None }, Phase::Exited { code: 0 }], "pending");
        check(C, &[Phase::Exited { code: 0 }], "met");
        check(C, &[Phase::Restarting], "pending");
        check(C, &[Phase::Exited { code: 2 }], "service \"db\" didn't complete successfully: exit 2");
    }
}

//! Whether a dependency keeps a container from being started again: one that failed by itself
//! does, one that a user stopped does not.

use crate::compose::model::Condition;
use crate::spec::Health;

use super::condition::Phase;

/// Returns what the dependency does that a restart must wait for; `None` when it may go on.
pub fn held_by(condition: Condition, phase: Phase, stopped_by_user: bool) -> Option<String> {
    if stopped_by_user {
        return None;
    }
    match (condition, phase) {
        (_, Phase::Restarting { .. }) => Some("is being restarted".to_owned()),
        (_, Phase::Exited { code }) if code != 0 => Some(format!("exited ({code})")),
        (Condition::ServiceHealthy, Phase::Running { health: Some(Health::Unhealthy), .. }) => {
            Some("is unhealthy".to_owned())
        }
        (Condition::ServiceHealthy, Phase::Running { health: Some(Health::Starting), .. }) => {
            Some("is not healthy yet".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_failed_holds_and_one_that_was_stopped_does_not() {
        use Condition::{ServiceCompletedSuccessfully, ServiceHealthy, ServiceStarted};
        let running = |health| Phase::Running { health, ready: true };
        let check = |condition, phase, stopped, expected: Option<&str>| {
            assert_eq!(held_by(condition, phase, stopped).as_deref(), expected, "{condition:?} {phase:?}");
        };
        check(ServiceStarted, running(None), false, None);
        check(ServiceStarted, running(Some(Health::Unhealthy)), false, None);
        check(ServiceStarted, Phase::Restarting { looping: false }, false, Some("is being restarted"));
        check(ServiceStarted, Phase::Exited { code: 1 }, false, Some("exited (1)"));
        check(ServiceStarted, Phase::Exited { code: 0 }, false, None);
        check(ServiceStarted, Phase::Exited { code: 143 }, true, None);
        check(ServiceHealthy, running(Some(Health::Unhealthy)), false, Some("is unhealthy"));
        check(ServiceHealthy, running(Some(Health::Starting)), false, Some("is not healthy yet"));
        check(ServiceHealthy, running(Some(Health::Healthy)), false, None);
        check(ServiceHealthy, running(Some(Health::Unhealthy)), true, None);
        check(ServiceCompletedSuccessfully, Phase::Exited { code: 2 }, false, Some("exited (2)"));
        check(ServiceCompletedSuccessfully, Phase::Gone, false, None);
    }
}

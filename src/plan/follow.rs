//! Which containers must be restarted because another one was: guests of a network namespace that
//! is no longer the one of its owner, and dependents of what died and runs again
//! (`depends_on.restart`). Pure, and of what is, not of what happened: applied once, it has nothing
//! left to do.

use std::collections::HashMap;

use super::build::Builder;
use super::services::{edges, followers, holds, start_all, stop_all};
use super::{Cause, ContainerState, Observed, ObservedContainer, Plan};
use crate::ids::{ContainerId, ProjectName, ServiceName};

/// The newest run of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Run {
    /// When it began, nanoseconds since 1970.
    pub started_ns: Option<i64>,
    /// Times that its policy started it since a user or a plan did.
    pub restarts: u32,
    /// Its network namespace (device and inode).
    pub netns: Option<(u64, u64)>,
}

/// Returns the restarts that a project needs, each with its cause; empty when all is well.
pub fn plan_follow(project: &ProjectName, observed: &Observed, runs: &HashMap<ContainerId, Run>) -> Plan {
    let own: Vec<&ObservedContainer> =
        observed.containers.iter().filter(|c| c.is_of(project) && !c.is_one_off()).collect();
    let stale: Vec<(&ObservedContainer, Cause)> = own
        .iter()
        .filter(|container| container.is_up())
        .filter_map(|container| Some((*container, cause(container, observed, &own, runs)?)))
        .collect();
    let mut plan = Plan::default();
    let Some((_, first)) = stale.first() else { return plan };
    let chosen: Vec<&ObservedContainer> = stale.iter().map(|(container, _)| *container).collect();
    let mut restarted = followers(&chosen, &own, false);
    for (container, cause) in &mut restarted {
        if let Some((_, own)) = stale.iter().find(|(other, _)| other.spec.id == container.spec.id) {
            *cause = own.clone();
        }
    }
    let containers: Vec<_> = restarted.iter().map(|(container, _)| *container).collect();
    let mut b = Builder::default();
    let stops = stop_all(&mut b, &containers, None, first);
    start_all(&mut b, &restarted, &stops, &own, false);
    plan.steps = b.finish().unwrap_or_default();
    plan
}

/// Returns why a container must be restarted; `None` when it need not.
fn cause(
    container: &ObservedContainer,
    observed: &Observed,
    own: &[&ObservedContainer],
    runs: &HashMap<ContainerId, Run>,
) -> Option<Cause> {
    let run = runs.get(&container.spec.id)?;
    if let Some(owner) = &container.spec.network_of
        && let Some(owner) = observed.containers.iter().find(|other| other.spec.id == *owner)
        && owner.state == ContainerState::Running
        && let (Some(inside), Some(now)) = (run.netns, runs.get(&owner.spec.id).and_then(|run| run.netns))
        && inside != now
    {
        return Some(Cause::NamespaceOf(ServiceName::new(owner.service())));
    }
    let began = run.started_ns?;
    let edge = edges(container).into_iter().find(|edge| {
        let mut replicas = own.iter().filter(|other| other.service() == edge.service.as_str());
        let newer = |other: &&&ObservedContainer| {
            let run = runs.get(&other.spec.id).copied().unwrap_or_default();
            // One that a user started again was followed then, unless the user said not to.
            run.restarts > 0 && run.started_ns.is_some_and(|started| started > began)
        };
        edge.restart
            && replicas.clone().any(|other| newer(&other))
            && replicas.all(|other| {
                holds(other, super::labels::goal(edge.condition, false)) && other.state != ContainerState::Restarting
            })
    })?;
    Some(Cause::DependencyRestarted(edge.service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::labels;
    use crate::spec::{Health, fixture};

    /// A container: id digit, service, what it depends on, network namespace, start, restarts.
    struct Is(char, &'static str, &'static str, u64, i64, u32);

    fn plan(list: &[Is], change: impl Fn(&mut ObservedContainer)) -> String {
        let mut observed = Observed::default();
        let mut runs = HashMap::new();
        for Is(digit, service, depends_on, netns, started, restarts) in list {
            let mut spec = fixture::container();
            (spec.id, spec.name) = (fixture::id(*digit), format!("app-{service}-1"));
            let labels = [
                (labels::PROJECT, "app"),
                (labels::SERVICE, service),
                (labels::NUMBER, "1"),
                (labels::DEPENDS_ON, depends_on),
            ];
            spec.labels = labels.map(|(key, value)| (key.to_owned(), (*value).to_owned())).into();
            spec.healthcheck = None;
            (spec.endpoints, spec.ports, spec.mounts) = Default::default();
            let run = Run { started_ns: Some(*started), restarts: *restarts, netns: Some((0, *netns)) };
            runs.insert(spec.id.clone(), run);
            let mut container = ObservedContainer { spec, state: ContainerState::Running, health: None, ready: false };
            change(&mut container);
            observed.containers.push(container);
        }
        let plan = plan_follow(&ProjectName::new("app"), &observed, &runs);
        assert_eq!(crate::plan::check(&plan, &observed), Vec::<String>::new());
        plan.to_string()
    }

    const RESTART: &str = "db:service_started:true";

    #[test]
    fn nothing_follows_what_is_in_order() {
        let same = |_: &mut ObservedContainer| {};
        assert_eq!(plan(&[Is('a', "db", "", 1, 5, 0), Is('b', "web", RESTART, 2, 6, 0)], same), "");
        // The dependency is older; was started by a user; or the file does not say to follow.
        assert_eq!(plan(&[Is('a', "db", "", 1, 5, 3), Is('b', "web", RESTART, 2, 6, 0)], same), "");
        assert_eq!(plan(&[Is('a', "db", "", 1, 7, 0), Is('b', "web", RESTART, 2, 6, 0)], same), "");
        let alone = "db:service_started:false";
        assert_eq!(plan(&[Is('a', "db", "", 1, 7, 1), Is('b', "web", alone, 2, 6, 0)], same), "");
    }

    #[test]
    fn dependents_follow_what_died_and_runs_again() {
        let chain = [
            Is('a', "db", "", 1, 7, 1),
            Is('b', "web", RESTART, 2, 6, 0),
            Is('c', "proxy", "web:service_started:true", 3, 8, 0),
            Is('d', "other", "", 4, 1, 0),
        ];
        insta::assert_snapshot!(plan(&chain, |_| {}), @r"
        [] -> #1 proxy/1 stop-container (db restarts)
        [~1] -> #2 web/1 stop-container (db restarts)
        [2] -> #3 web/1 start-container (db restarts)
        [1,3] -> #4 proxy/1 start-container (web restarts)
        ");
        // One that is down anyway stays so.
        let down = |c: &mut ObservedContainer| {
            if c.service() == "web" {
                c.state = ContainerState::Exited(0);
            }
        };
        assert_eq!(plan(&chain, down), "");
    }

    #[test]
    fn they_wait_until_it_is_healthy() {
        let pair = [Is('a', "db", "", 1, 7, 1), Is('b', "web", "db:service_healthy:true", 2, 6, 0)];
        let health =
            |health: Health| move |c: &mut ObservedContainer| c.health = (c.service() == "db").then_some(health);
        assert_eq!(plan(&pair, health(Health::Starting)), "");
        assert_eq!(plan(&pair, health(Health::Unhealthy)), "");
        insta::assert_snapshot!(plan(&pair, health(Health::Healthy)), @r"
        [] -> #1 web/1 stop-container (db restarts)
        [1] -> #2 web/1 start-container (db restarts)
        ");
    }

    #[test]
    fn guests_follow_into_a_new_namespace() {
        let guests = [Is('a', "vpn", "", 9, 7, 0), Is('b', "web", "", 1, 6, 0), Is('c', "sidecar", "", 9, 8, 0)];
        let share = |c: &mut ObservedContainer| {
            if c.service() != "vpn" {
                c.spec.network_of = Some(fixture::id('a'));
            }
        };
        insta::assert_snapshot!(plan(&guests, share), @r"
        [] -> #1 web/1 stop-container (shares the network of vpn)
        [1] -> #2 web/1 start-container (shares the network of vpn)
        ");
        let owner_down = |c: &mut ObservedContainer| {
            share(c);
            if c.service() == "vpn" {
                c.state = ContainerState::Exited(1);
            }
        };
        assert_eq!(plan(&guests, owner_down), "", "there is nothing to follow into");
    }
}

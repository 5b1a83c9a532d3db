//! `deploy`.

use super::Binder;
use super::read::{bytes, duration, items, text, texts, texts_by_key};
use crate::compose::model::{
    Cpus, Deploy, DeployResources, DeployRestartPolicy, GenericResource, MAX_CONTAINERS, Placement,
    PlacementPreference, ResourceLimits, ResourceReservations, RestartCondition, UpdateConfig,
};
use crate::compose::tree::Node;

impl Binder<'_> {
    pub(super) fn deploy(&mut self, node: &Node) -> Deploy {
        Deploy {
            mode: self.word(node.get("mode"), &["replicated", "global", "replicated-job", "global-job"]),
            endpoint_mode: self.word(node.get("endpoint_mode"), &["vip", "dnsrr"]),
            replicas: self.whole(node, "replicas", 0..=MAX_CONTAINERS.into()),
            labels: texts_by_key(node, "labels"),
            resources: node.get("resources").map(|node| self.deploy_resources(node)).unwrap_or_default(),
            restart_policy: node.get("restart_policy").map(|node| self.deploy_restart_policy(node)),
            update_config: node.get("update_config").map(|node| self.update_config(node)),
            rollback_config: node.get("rollback_config").map(|node| self.update_config(node)),
            placement: node.get("placement").map(placement).unwrap_or_default(),
        }
    }

    fn deploy_resources(&mut self, node: &Node) -> DeployResources {
        let limits = node.get("limits").map(|limits| ResourceLimits {
            cpus: limits.get("cpus").and_then(|at| self.cpus(at)),
            memory: self.memory(limits, "memory"),
            pids: limits.get("pids").and_then(Node::as_int).and_then(|pids| u64::try_from(pids).ok()),
        });
        let reservations = node.get("reservations").map(|reservations| ResourceReservations {
            cpus: reservations.get("cpus").and_then(Node::as_float).and_then(Cpus::from_number),
            memory: bytes(reservations, "memory"),
            devices: self.device_requests(reservations, "devices"),
            generic_resources: items(reservations, "generic_resources")
                .iter()
                .filter_map(|item| item.get("discrete_resource_spec"))
                .map(|spec| GenericResource {
                    kind: text(spec, "kind").unwrap_or_default(),
                    value: spec.get("value").and_then(Node::as_int).unwrap_or_default(),
                })
                .collect(),
        });
        DeployResources { limits: limits.unwrap_or_default(), reservations: reservations.unwrap_or_default() }
    }

    fn deploy_restart_policy(&mut self, node: &Node) -> DeployRestartPolicy {
        let condition = match node.get("condition").and_then(Node::as_text) {
            None | Some("") => None,
            Some("any" | "always") => Some(RestartCondition::Any),
            Some("none") => Some(RestartCondition::None),
            Some("on-failure") => Some(RestartCondition::OnFailure),
            Some(other) => {
                let at = node.get("condition").unwrap_or(node);
                self.error(at, format!("{other:?} is not a condition: none, on-failure or any"));
                self.meant(other, ["none", "on-failure", "any"]);
                None
            }
        };
        DeployRestartPolicy {
            condition,
            delay: duration(node, "delay"),
            max_attempts: node.get("max_attempts").and_then(Node::as_int).and_then(|n| u32::try_from(n).ok()),
            window: duration(node, "window"),
        }
    }

    fn update_config(&mut self, node: &Node) -> UpdateConfig {
        let ratio = node.get("max_failure_ratio").and_then(Node::as_float);
        if let (Some(ratio), Some(at)) = (ratio, node.get("max_failure_ratio"))
            && !(0.0..=1.0).contains(&ratio)
        {
            self.doubt(at, "`max_failure_ratio` is a number from 0 to 1");
        }
        UpdateConfig {
            parallelism: node.get("parallelism").and_then(Node::as_int).and_then(|n| u32::try_from(n).ok()),
            delay: duration(node, "delay"),
            failure_action: self.word(node.get("failure_action"), &["pause", "continue", "rollback"]),
            monitor: duration(node, "monitor"),
            max_failure_ratio: ratio,
            order: self.word(node.get("order"), &["start-first", "stop-first"]),
        }
    }
}

fn placement(node: &Node) -> Placement {
    Placement {
        constraints: texts(node, "constraints"),
        preferences: items(node, "preferences")
            .iter()
            .map(|item| PlacementPreference { spread: text(item, "spread") })
            .collect(),
        max_replicas_per_node: node
            .get("max_replicas_per_node")
            .and_then(Node::as_int)
            .and_then(|n| u32::try_from(n).ok()),
    }
}

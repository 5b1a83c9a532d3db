//! The words of a service, looked at without making a model of it: printing a large file must not cost what running it
//! does. An attribute that gets a grammar of its own gets a line here; a test compares with what binding says.

use super::Binder;
use crate::compose::model::{MAX_CONTAINERS, MacAddress, Platform, Service, XStack};
use crate::compose::tree::Node;

impl Binder<'_> {
    pub(super) fn service_words(&mut self, node: &Node, x_stack: &XStack) {
        let mut limited = false;
        for (key, value) in node.as_map().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            match key.as_str() {
                "image" => drop(self.image(value)),
                "restart" => {
                    self.restart(value);
                }
                "ports" => value.as_list().unwrap_or_default().iter().for_each(|port| drop(self.port(port))),
                "volumes" => self.mount_words(node),
                "networks" => {
                    let given = |endpoint: &&Node| endpoint.as_map().is_some_and(|map| !map.is_empty());
                    let endpoints = value.as_map().into_iter().flat_map(|map| map.values()).filter(given);
                    endpoints.for_each(|endpoint| drop(self.endpoint(endpoint)));
                }
                "healthcheck" => drop(self.healthcheck(value)),
                "deploy" => {
                    limited |= value.get("resources").is_some_and(|resources| resources.get("reservations").is_some());
                    self.deploy(value);
                }
                "network_mode" => drop(self.network_mode(node)),
                "cap_add" | "cap_drop" => drop(self.capabilities(node, key)),
                "security_opt" => drop(self.security_options(node)),
                "stop_signal" => {
                    self.signal(value);
                }
                "container_name" => drop(self.container_name(value)),
                "platform" => drop(self.unit::<Platform>(value)),
                "mac_address" => {
                    self.unit::<MacAddress>(value);
                }
                "ipc" => drop(self.ipc(node)),
                "pid" => drop(self.pid(node)),
                "uts" => {
                    self.uts(node);
                }
                "dns" => drop(self.addresses(node, key)),
                "extra_hosts" => drop(self.extra_hosts(node)),
                "expose" => drop(self.expose(node)),
                "tmpfs" => drop(self.tmpfs_mounts(node)),
                "volumes_from" => drop(self.volumes_from(node)),
                "configs" | "secrets" => drop(self.grants(node, key)),
                "ulimits" => drop(self.ulimits(node)),
                "devices" => drop(self.devices(node)),
                "device_cgroup_rules" => drop(self.device_rules(node)),
                "gpus" => drop(self.device_requests(node, key)),
                "build" => drop(self.build(value)),
                "develop" => drop(self.develop(value)),
                "post_start" | "pre_stop" => drop(self.hooks(node, key)),
                "scale" => {
                    self.whole::<u32>(node, key, 0..=MAX_CONTAINERS.into());
                }
                "provider" => drop(self.provider(value)),
                "x-stack" => drop(self.x_stack(node, x_stack)),
                "mem_limit" | "mem_reservation" | "memswap_limit" | "mem_swappiness" | "cpus" | "cpuset"
                | "cpu_count" | "cpu_percent" | "cpu_period" | "cpu_quota" | "blkio_config" => limited = true,
                _ => {}
            }
        }
        if limited {
            self.limits(node, &mut Service::default());
        }
    }
}

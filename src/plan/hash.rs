//! Identity: the config hash that decides whether a container is made anew, and ids derived
//! from a seed so that planning stays pure.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::compose::model::{Network, Service, Volume};
use crate::ids::ContainerId;

/// Returns the hash of everything in a service that its containers are made from, as 64
/// hexadecimal digits.
///
/// Left out are what converging does without a new container (spec row `life-converge`): the
/// number of replicas, dependencies, profiles, the pull policy, `attach`. The image counts by its
/// digest, beside this hash. Attributes at their default are left out too, so that a
/// version of this program that knows more attributes makes no container anew; the order of
/// maps does not matter.
pub fn service(service: &Service) -> String {
    let Service {
        image,
        command,
        entrypoint,
        environment,
        ports,
        expose,
        volumes,
        networks,
        network_mode,
        depends_on: _,
        links,
        healthcheck,
        restart,
        labels,
        annotations,
        hostname,
        domainname,
        container_name,
        user,
        group_add,
        working_dir,
        stop_signal,
        stop_grace_period,
        init,
        tty,
        stdin_open,
        read_only,
        privileged,
        cap_add,
        cap_drop,
        security_opt,
        resources,
        ulimits,
        sysctls,
        shm_size,
        extra_hosts,
        dns,
        dns_search,
        dns_opt,
        replicas: _,
        pull_policy: _,
        profiles: _,
        attach: _,
    } = service;
    let mut fields = Fields::default();
    fields.add("image", image);
    fields.add("command", command);
    fields.add("entrypoint", entrypoint);
    fields.add_map("environment", environment.iter());
    fields.add("ports", ports);
    fields.add("expose", expose);
    fields.add("volumes", volumes);
    fields.add_map("networks", networks.iter());
    fields.add("network_mode", network_mode);
    fields.add("links", links);
    fields.add("healthcheck", healthcheck);
    fields.add("restart", restart);
    fields.add_map("labels", labels.iter());
    fields.add_map("annotations", annotations.iter());
    fields.add("hostname", hostname);
    fields.add("domainname", domainname);
    fields.add("container_name", container_name);
    fields.add("user", user);
    fields.add("group_add", group_add);
    fields.add("working_dir", working_dir);
    fields.add("stop_signal", stop_signal);
    fields.add("stop_grace_period", stop_grace_period);
    fields.add("init", init);
    fields.add("tty", tty);
    fields.add("stdin_open", stdin_open);
    fields.add("read_only", read_only);
    fields.add("privileged", privileged);
    fields.add("cap_add", cap_add);
    fields.add("cap_drop", cap_drop);
    fields.add("security_opt", security_opt);
    fields.add("resources", resources);
    fields.add_map("ulimits", ulimits.iter());
    fields.add_map("sysctls", sysctls.iter());
    fields.add("shm_size", shm_size);
    fields.add("extra_hosts", extra_hosts);
    fields.add("dns", dns);
    fields.add("dns_search", dns_search);
    fields.add("dns_opt", dns_opt);
    fields.finish()
}

/// Returns the hash of a network's definition, as 64 hexadecimal digits.
pub fn network(network: &Network) -> String {
    let Network { name, external: _, driver, driver_opts, internal, enable_ipv6, ipam, labels } = network;
    let mut fields = Fields::default();
    fields.add("name", name);
    fields.add("driver", &driver.as_deref().filter(|driver| *driver != "bridge"));
    fields.add_map("driver_opts", driver_opts.iter());
    fields.add("internal", internal);
    fields.add("enable_ipv6", enable_ipv6);
    fields.add("ipam", ipam);
    fields.add_map("labels", labels.iter());
    fields.finish()
}

/// Returns the hash of a volume's definition, as 64 hexadecimal digits.
pub fn volume(volume: &Volume) -> String {
    let Volume { name, external: _, driver, driver_opts, labels } = volume;
    let mut fields = Fields::default();
    fields.add("name", name);
    fields.add("driver", &driver.as_deref().filter(|driver| *driver != "local"));
    fields.add_map("driver_opts", driver_opts.iter());
    fields.add_map("labels", labels.iter());
    fields.finish()
}

/// Returns 32 bytes that depend on the seed and on all parts.
pub(super) fn derive(seed: u64, parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Returns an id that depends on the seed and on all parts.
pub(super) fn id(seed: u64, parts: &[&str]) -> ContainerId {
    ContainerId::from_bytes(derive(seed, parts))
}

/// Returns the device group of a project: never one of the small numbers that people use.
pub(super) fn group(project: &str) -> u32 {
    let bytes = derive(0, &["group", project]);
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) | 0x1_0000
}

/// Collects the fields that are not at their default as text, one line a field, and hashes it.
#[derive(Default)]
struct Fields {
    text: Vec<u8>,
}

impl Fields {
    fn add<T: Serialize + Default + PartialEq>(&mut self, name: &str, value: &T) {
        if *value != T::default() {
            self.put(name, value);
        }
    }

    fn add_map<'a, K, V>(&mut self, name: &str, entries: impl Iterator<Item = (&'a K, &'a V)>)
    where
        K: Serialize + Ord + 'a,
        V: Serialize + 'a,
    {
        let mut entries: Vec<_> = entries.collect();
        if !entries.is_empty() {
            entries.sort_unstable_by_key(|(key, _)| *key);
            self.put(name, &entries);
        }
    }

    fn put(&mut self, name: &str, value: &impl Serialize) {
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b'=');
        if serde_json::to_writer(&mut self.text, value).is_err() {
            // Plain data with text keys always serialises.
            self.text.extend_from_slice(b"?");
        }
        self.text.push(b'\n');
    }

    fn finish(self) -> String {
        ContainerId::from_bytes(Sha256::digest(&self.text).into()).as_str().to_owned()
    }
}

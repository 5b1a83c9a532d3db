//! Identity: the config hash that decides whether a container is made anew, and ids derived
//! from a seed so that planning stays pure.

mod in_force;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::compose::model::{Bytes, Network, Service, Volume};
use crate::ids::ContainerId;

/// Returns the hash of everything in a service that its containers are made from, as 64
/// hexadecimal digits: what `config --hash` and the label `com.docker.compose.config-hash` show.
///
/// A container whose hash differs is made anew when [`shape`] differs too, and changed in place
/// otherwise. Left out are what converging does without touching a container (spec row `life-converge`): the
/// number of replicas, dependencies, profiles, the pull policy, `attach`. The image counts by its
/// digest, beside this hash. Attributes at their default are left out too, so that a
/// version of this program that knows more attributes makes no container anew; the order of
/// maps does not matter. What this program does not act on is left out as well (`build`,
/// `develop`, ...): it is no part of a container.
pub fn service(service: &Service) -> String {
    hash(service, Extent::All)
}

/// Returns the hash of what cannot be changed while a container lives. Not in it: limits,
/// restart policy, health checks, labels, signal and grace of stops, and networks, which are
/// compared one by one (`reconcile::diverge`).
pub(super) fn shape(service: &Service) -> String {
    hash(service, Extent::Shape)
}

/// How much of a service is hashed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    All,
    /// What needs a new container.
    Shape,
}

fn hash(service: &Service, extent: Extent) -> String {
    let all = extent == Extent::All;
    let mut fields = Fields::default();
    fields.add("image", &service.image);
    fields.add("command", &service.command);
    fields.add("entrypoint", &service.entrypoint);
    fields.add_map("environment", service.environment.iter());
    fields.add("ports", &service.ports.iter().map(in_force::Port::of).collect::<Vec<_>>());
    if all {
        fields.add("expose", &service.expose);
    }
    fields.add("volumes", &service.mounts().filter_map(in_force::Mount::of).collect::<Vec<_>>());
    if all {
        let networks: Vec<_> =
            service.networks.iter().map(|(key, network)| (key, in_force::Endpoint::of(network))).collect();
        fields.add_map("networks", networks.iter().map(|(key, endpoint)| (*key, endpoint)));
    }
    fields.add("network_mode", &service.network_mode);
    fields.add("links", &service.links);
    if all {
        fields.add("healthcheck", &service.healthcheck.as_ref().map(in_force::Healthcheck::of));
        fields.add("restart", &service.restart_policy());
        fields.add("ready", &service.x_stack.ready);
        fields.add_map("labels", service.labels.iter());
        fields.add_map("annotations", service.annotations.iter());
    }
    fields.add("hostname", &service.hostname);
    fields.add("domainname", &service.domainname);
    fields.add("container_name", &service.container_name);
    fields.add("user", &service.user);
    fields.add("group_add", &service.group_add);
    fields.add("working_dir", &service.working_dir);
    if all {
        fields.add("stop_signal", &service.stop_signal);
        fields.add("stop_grace_period", &service.stop_grace_period);
    }
    fields.add("init", &service.init);
    fields.add("tty", &service.tty);
    fields.add("stdin_open", &service.stdin_open);
    fields.add("read_only", &service.read_only);
    fields.add("privileged", &service.privileged);
    fields.add("cap_add", &service.cap_add);
    fields.add("cap_drop", &service.cap_drop);
    fields.add("security_opt", &service.security_opt);
    match extent {
        Extent::All => fields.add("resources", &service.resources()),
        // Processes have it from their first one: those that run would keep the old.
        Extent::Shape => fields.add("oom_score_adj", &service.resources().oom_score_adj),
    }
    fields.add_map("ulimits", service.ulimits.iter());
    fields.add_map("sysctls", service.sysctls.iter());
    fields.add("shm_size", &service.shm_size.map(Bytes::get));
    fields.add("extra_hosts", &service.extra_hosts);
    fields.add("dns", &service.dns);
    fields.add("dns_search", &service.dns_search);
    fields.add("dns_opt", &service.dns_opt);
    fields.finish()
}

/// Returns the hash of a network's definition, as 64 hexadecimal digits.
pub fn network(network: &Network) -> String {
    let Network {
        name,
        external: _,
        driver,
        driver_opts,
        internal,
        enable_ipv4: _,
        enable_ipv6,
        ipam,
        attachable: _,
        labels,
    } = network;
    let mut fields = Fields::default();
    fields.add("name", name);
    fields.add("driver", &driver.as_deref().filter(|driver| *driver != "bridge"));
    fields.add_map("driver_opts", driver_opts.iter());
    fields.add("internal", internal);
    fields.add("enable_ipv6", enable_ipv6);
    fields.add("ipam", &ipam.config.iter().map(in_force::Pool::of).collect::<Vec<_>>());
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

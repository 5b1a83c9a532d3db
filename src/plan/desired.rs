//! From a service and its image to the specification of one replica.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;

use super::{Inputs, PlanError, hash, labels};
use crate::compose::model::{Bytes, HealthTest, Healthcheck, Mode, NetworkMode, Project, Service, VolumeMountKind};
use crate::ids::signal;
use crate::ids::{ContainerId, Digest, ServiceName, VolumeName};
use crate::spec::{
    Capabilities, ContainerSpec, Endpoint, HealthcheckSpec, ImageConfig, ImageIdentity, Mount, MountKind, PortRange,
    PublishedPort, Rlimit, Seccomp,
};

/// Grace before SIGKILL unless the file says otherwise (spec row `svc-stop-grace-period`).
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// Docker's `/dev/shm`.
const DEFAULT_SHM: u64 = 64 * 1024 * 1024;
/// Docker's search path where neither image nor file has one (spec row `run-env-defaults`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SIGTERM: i32 = 15;

/// An image as the planner needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInfo {
    /// Digest of its configuration.
    pub id: Digest,
    /// Unpacked layer directories, lowest first.
    pub layers: Vec<PathBuf>,
    /// What containers inherit.
    pub config: ImageConfig,
}

/// What is decided about a replica before its specification is written.
pub(super) struct Replica<'a> {
    pub(super) id: ContainerId,
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) config_hash: &'a str,
    /// Hash of what needs a new container.
    pub(super) shape: &'a str,
    pub(super) endpoints: Vec<Endpoint>,
    /// Owner of the network namespace it shares, and the owner's host name.
    pub(super) network_of: Option<(ContainerId, String)>,
    /// What `host-gateway` stands for.
    pub(super) host_gateway: Option<IpAddr>,
    /// Anonymous volumes of its predecessor by target.
    pub(super) inherited: HashMap<&'a str, &'a VolumeName>,
    /// The container whose place it takes.
    pub(super) replaces: Option<&'a ContainerId>,
}

/// Returns the specification of a replica.
pub(super) fn container(
    inputs: &Inputs<'_>,
    name: &ServiceName,
    service: &Service,
    image: &ImageInfo,
    replica: Replica<'_>,
) -> Result<ContainerSpec, PlanError> {
    let (argv, entrypoint_len) = argv(service, &image.config);
    if argv.is_empty() {
        return Err(PlanError::NoCommand(name.clone()));
    }
    let hostname = match (&service.hostname, &replica.network_of) {
        (Some(hostname), _) => hostname.clone(),
        (None, Some((_, owner))) => owner.clone(),
        (None, None) => replica.id.short().to_owned(),
    };
    let gateway = replica.host_gateway;
    let mut endpoints = replica.endpoints;
    if let Some(hostname) = &service.hostname {
        for endpoint in endpoints.iter_mut().filter(|endpoint| !endpoint.aliases.contains(hostname)) {
            endpoint.aliases.push(hostname.clone());
        }
    }
    let shared_or_host = service.network_mode.is_some();
    Ok(ContainerSpec {
        mounts: mounts(inputs, service, &image.config, &replica.id, &replica.inherited),
        labels: container_labels(
            inputs.project,
            name,
            service,
            image,
            replica.config_hash,
            replica.number,
            replica.replaces,
        ),
        shape: replica.shape.to_owned(),
        env: environment(service, &image.config, &hostname),
        id: replica.id,
        name: replica.name,
        image: ImageIdentity {
            reference: service.image.clone().unwrap_or_default(),
            id: image.id.clone(),
            layers: image.layers.clone(),
        },
        argv,
        entrypoint_len,
        cwd: service
            .working_dir
            .clone()
            .or_else(|| Some(image.config.working_dir.clone()).filter(|dir| !dir.is_empty()))
            .unwrap_or_else(|| "/".to_owned()),
        user: service.user.clone().unwrap_or_else(|| image.config.user.clone()),
        group_add: service.group_add.clone(),
        hostname,
        domainname: service.domainname.clone().unwrap_or_default(),
        tty: service.tty,
        stdin_open: service.stdin_open,
        init: service.init,
        read_only: service.read_only,
        capabilities: Capabilities { add: service.cap_add.clone(), drop: service.cap_drop.clone() },
        privileged: service.privileged,
        no_new_privileges: service.security_opt.iter().any(|option| {
            matches!(option.as_str(), "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true")
        }),
        seccomp: if service.privileged
            || service.security_opt.iter().any(|o| o == "seccomp=unconfined" || o == "seccomp:unconfined")
        {
            Seccomp::Unconfined
        } else {
            Seccomp::Default
        },
        resources: service.resources(),
        rlimits: service
            .ulimits
            .iter()
            .map(|(name, limit)| Rlimit {
                name: name.clone(),
                soft: unlimited(limit.soft),
                hard: unlimited(limit.hard),
            })
            .collect(),
        sysctls: service.sysctls.clone(),
        shm_size: service.shm_size.map_or(DEFAULT_SHM, Bytes::get),
        extra_hosts: service
            .extra_hosts
            .iter()
            .filter_map(|(host, address)| address.or(gateway).map(|address| (host.clone(), address)))
            .collect(),
        dns: service.dns.clone(),
        dns_search: service.dns_search.clone(),
        dns_options: service.dns_opt.clone(),
        stop_signal: service.stop_signal.or_else(|| signal::number(&image.config.stop_signal)).unwrap_or(SIGTERM),
        stop_grace: service.stop_grace_period.unwrap_or(DEFAULT_GRACE),
        restart: service.restart_policy(),
        healthcheck: healthcheck(service.healthcheck.as_ref(), &image.config),
        ready: service.x_stack.ready.clone(),
        exposed: exposed(service, &image.config),
        links: service
            .links
            .iter()
            .filter(|(to, alias)| to.as_str() != alias)
            .map(|(to, alias)| (alias.clone(), to.as_str().to_owned()))
            .collect(),
        network_of: replica.network_of.map(|(id, _)| id),
        endpoints,
        host_network: uses_host_network(inputs.project, service),
        ports: if shared_or_host { Vec::new() } else { published(service) },
        cgroup_parent: format!("stack/{}", inputs.project.name),
    })
}

/// Tells whether a service shares the host's network, by `network_mode` or by the predefined
/// external network `host`.
pub(super) fn uses_host_network(project: &Project, service: &Service) -> bool {
    matches!(service.network_mode, Some(NetworkMode::Host))
        || service.networks.keys().any(|key| project.networks.get(key).is_some_and(|n| n.external && n.name == "host"))
}

/// Returns the ports that are published on the host.
pub(super) fn published(service: &Service) -> Vec<PublishedPort> {
    let published = |port: &crate::compose::model::Port| PublishedPort {
        host_ip: port.host_ip,
        host_port: port.published.unwrap_or(PortRange { start: 0, end: 0 }),
        container_port: port.target,
        protocol: port.protocol,
    };
    service.ports.iter().map(published).collect()
}

/// Returns the health probe with all defaults, `None` without one (spec rows `svc-healthcheck-*`).
///
/// The file's keys go over the image's one by one; a shell line runs in the image's `SHELL`.
pub fn healthcheck(service: Option<&Healthcheck>, image: &ImageConfig) -> Option<HealthcheckSpec> {
    let inherited = image.healthcheck.as_ref();
    let inherited_test = || {
        let words = &inherited?.test;
        match words.first()?.as_str() {
            "CMD" => Some(HealthTest::Exec(words[1..].to_vec())),
            "CMD-SHELL" => Some(HealthTest::Shell(words.get(1)?.clone())),
            _ => None,
        }
    };
    let test = service.and_then(|check| check.test.clone()).or_else(inherited_test)?;
    let (argv, shell) = match test {
        HealthTest::None => return None,
        HealthTest::Exec(words) => (words, false),
        HealthTest::Shell(line) => {
            let shell = if image.shell.is_empty() { vec!["/bin/sh".into(), "-c".into()] } else { image.shell.clone() };
            (shell.into_iter().chain([line]).collect(), true)
        }
    };
    if argv.is_empty() {
        return None;
    }
    let of_image = |nanoseconds: Option<u64>| nanoseconds.filter(|n| *n > 0).map(Duration::from_nanos);
    let pick = |own: Option<Duration>, image: Option<u64>, default: u64| {
        own.filter(|d| !d.is_zero()).or_else(|| of_image(image)).unwrap_or(Duration::from_secs(default))
    };
    Some(HealthcheckSpec {
        argv,
        shell,
        interval: pick(service.and_then(|c| c.interval), inherited.map(|c| c.interval), 30),
        timeout: pick(service.and_then(|c| c.timeout), inherited.map(|c| c.timeout), 30),
        start_period: pick(service.and_then(|c| c.start_period), inherited.map(|c| c.start_period), 0),
        start_interval: pick(service.and_then(|c| c.start_interval), inherited.map(|c| c.start_interval), 5),
        retries: service
            .and_then(|c| c.retries)
            .filter(|n| *n > 0)
            .or_else(|| inherited.map(|c| c.retries).filter(|n| *n > 0))
            .unwrap_or(3),
    })
}

/// Returns the words to run and how many of them are the entrypoint (spec rows `svc-command`,
/// `svc-entrypoint`): an entrypoint of the file drops the image's command.
fn argv(service: &Service, image: &ImageConfig) -> (Vec<String>, usize) {
    let entrypoint = service.entrypoint.as_ref().unwrap_or(&image.entrypoint);
    let command: &[String] = match (&service.command, &service.entrypoint) {
        (Some(command), _) => command,
        (None, Some(_)) => &[],
        (None, None) => &image.cmd,
    };
    (entrypoint.iter().chain(command).cloned().collect(), entrypoint.len())
}

/// Returns `KEY=value` lines, later sources over earlier ones, each key once (spec row
/// `run-env-defaults`). `HOME` is the engine's: it needs the image's `/etc/passwd`.
fn environment(service: &Service, image: &ImageConfig, hostname: &str) -> Vec<String> {
    let mut variables: IndexMap<&str, &str> = IndexMap::new();
    variables.insert("PATH", DEFAULT_PATH);
    variables.insert("HOSTNAME", hostname);
    if service.tty {
        variables.insert("TERM", "xterm");
    }
    variables.extend(image.env.iter().map(|line| line.split_once('=').unwrap_or((line, ""))));
    variables.extend(service.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    variables.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

fn exposed(service: &Service, image: &ImageConfig) -> Vec<String> {
    let with_protocol = |port: &String| if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
    let mut ports: Vec<String> = image.exposed_ports.iter().chain(&service.expose).map(with_protocol).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Returns the mounts, parents before children.
fn mounts(
    inputs: &Inputs<'_>,
    service: &Service,
    image: &ImageConfig,
    container: &ContainerId,
    inherited: &HashMap<&str, &VolumeName>,
) -> Vec<Mount> {
    let anonymous = |target: &str| match inherited.get(target) {
        Some(name) => (*name).clone(),
        None => VolumeName::new(hash::id(inputs.seed, &["volume", container.as_str(), target]).as_str()),
    };
    let from_file = service.mounts().filter_map(|mount| {
        let kind = match &mount.kind {
            VolumeMountKind::Bind { source, create_host_path, propagation, .. } => MountKind::Bind {
                source: source.clone(),
                create: *create_host_path,
                propagation: if propagation.is_empty() { "rprivate".to_owned() } else { propagation.clone() },
            },
            VolumeMountKind::Volume { source, nocopy, subpath, .. } => MountKind::Volume {
                name: match source.as_ref().and_then(|key| inputs.project.volumes.get(key)) {
                    Some(volume) => VolumeName::new(&volume.name),
                    None => anonymous(&mount.target),
                },
                source: PathBuf::new(),
                nocopy: *nocopy,
                subpath: subpath.clone(),
                anonymous: source.is_none(),
            },
            VolumeMountKind::Tmpfs { size, mode, options } => {
                MountKind::Tmpfs { size: size.map(Bytes::get), mode: mode.map(Mode::bits), options: options.clone() }
            }
            // A warning said so.
            VolumeMountKind::Image { .. } | VolumeMountKind::Npipe { .. } | VolumeMountKind::Cluster { .. } => {
                return None;
            }
        };
        Some(Mount { target: mount.target.clone(), read_only: mount.read_only, kind })
    });
    let mut mounts: Vec<Mount> = from_file.collect();
    let covered = |target: &str| mounts.iter().any(|m| m.target.trim_end_matches('/') == target.trim_end_matches('/'));
    let declared: Vec<&String> = image.volumes.iter().filter(|target| !covered(target)).collect();
    mounts.extend(declared.into_iter().map(|target| Mount {
        target: target.clone(),
        read_only: false,
        kind: MountKind::Volume {
            name: anonymous(target),
            source: PathBuf::new(),
            nocopy: false,
            subpath: None,
            anonymous: true,
        },
    }));
    mounts.sort_by_key(|mount| mount.target.split('/').filter(|part| !part.is_empty()).count());
    mounts
}

fn container_labels(
    project: &Project,
    name: &ServiceName,
    service: &Service,
    image: &ImageInfo,
    config_hash: &str,
    number: u32,
    replaces: Option<&ContainerId>,
) -> std::collections::BTreeMap<String, String> {
    let files: Vec<_> = project.files.iter().map(|file| file.display().to_string()).collect();
    let mut all = image.config.labels.clone();
    all.extend(service.labels.iter().map(|(key, value)| (key.clone(), value.clone())));
    let own = [
        (labels::PROJECT, project.name.as_str().to_owned()),
        (labels::SERVICE, name.as_str().to_owned()),
        (labels::NUMBER, number.to_string()),
        (labels::ONE_OFF, "False".to_owned()),
        (labels::CONFIG_HASH, config_hash.to_owned()),
        (labels::IMAGE, image.id.as_str().to_owned()),
        (labels::WORKING_DIR, project.working_dir.display().to_string()),
        (labels::CONFIG_FILES, files.join(",")),
        (labels::DEPENDS_ON, labels::depends_on(service)),
        (labels::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
    ];
    all.extend(own.map(|(key, value)| (key.to_owned(), value)));
    if let Some(id) = replaces {
        all.insert(labels::REPLACES.to_owned(), id.as_str().to_owned());
    }
    all
}

fn unlimited(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}

//! What a plan consists of.

use std::time::Duration;

use crate::compose::model::MAX_CONTAINERS;
use crate::ids::{ContainerId, ServiceName, VolumeName};
use crate::spec::{Batch, ContainerSpec, Goal, NetworkSpec, VolumeSpec};

/// Steps and their order, and what the user should hear about them.
///
/// A plan with `errors` has no steps. `Display` prints one line a step: the dry run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// In an order that respects `after` and `follows`; `steps[i].id` is `i + 1`.
    pub steps: Vec<Step>,
    /// Names of containers that already are as they should be and run.
    pub unchanged: Vec<String>,
    /// What the user should know that is no error.
    pub notes: Vec<Note>,
    /// Why there can be no plan.
    pub errors: Vec<PlanError>,
}

/// Number of a step in its plan, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u32);

/// One operation, when it may begin and why it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// What is done.
    pub op: Op,
    /// Steps that must have succeeded before; when one fails, this one is skipped.
    pub after: Vec<StepId>,
    /// Steps that must have ended before, well or not.
    pub follows: Vec<StepId>,
    /// Why.
    pub cause: Cause,
}

/// A container as steps refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub id: ContainerId,
    /// Its name, for progress lines.
    pub name: String,
    /// Its service.
    pub service: ServiceName,
    /// Its replica number.
    pub number: u32,
}

/// An operation with exactly its data.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Make or repair a network.
    EnsureNetwork(Box<NetworkSpec>),
    /// Remove a network.
    RemoveNetwork(Box<NetworkSpec>),
    /// Remove all links of a device group in one message: bridges and veth pairs of a project.
    RemoveLinks {
        /// The group.
        group: u32,
    },
    /// Make a named volume.
    EnsureVolume(Box<VolumeSpec>),
    /// Remove a volume and its data.
    RemoveVolume(VolumeName),
    /// Make a container and its anonymous volumes.
    CreateContainer {
        /// The container.
        spec: Box<ContainerSpec>,
        /// How steps and lines name it.
        target: Target,
        /// The container whose place it takes.
        replaces: Option<ContainerId>,
    },
    /// Change a container in place: it runs on, and is the same one.
    UpdateContainer {
        /// Which.
        target: Target,
        /// As it shall be. Only what can be changed in place differs.
        spec: Box<ContainerSpec>,
        /// What differs, as a Compose file names it.
        fields: Vec<String>,
    },
    /// Start a container.
    StartContainer(Target),
    /// Wait for containers of a service.
    AwaitCondition(Wait),
    /// Watch over replicas that an update made; fails when too many of them do.
    WatchReplicas(Batch),
    /// Let one container take the published ports and the names of another that is about to stop,
    /// and let the connections of that one end.
    HandOver {
        /// Who has them.
        from: Target,
        /// Who gets them.
        to: Target,
        /// How long its connections may take to end.
        grace: Duration,
    },
    /// Signal, grace, SIGKILL.
    StopContainer {
        /// Which.
        target: Target,
        /// Signal that asks it to stop.
        signal: i32,
        /// How long it may take.
        grace: Duration,
    },
    /// Send a signal.
    KillContainer {
        /// Which.
        target: Target,
        /// Signal.
        signal: i32,
    },
    /// Remove a container.
    RemoveContainer {
        /// Which.
        target: Target,
        /// Its anonymous volumes that go with it.
        volumes: Vec<VolumeName>,
    },
}

/// What to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The service.
    pub service: ServiceName,
    /// Its containers, all of them.
    pub containers: Vec<(ContainerId, String)>,
    /// What must be true of each.
    pub goal: Goal,
    /// When false, a failure is a warning and dependents go on.
    pub required: bool,
}

/// Why a step exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It does not exist yet.
    Missing,
    /// Its bridge is gone: the machine or the engine started anew.
    Lost,
    /// The service's configuration differs (config hash).
    ConfigChanged,
    /// The image's digest differs.
    ImageChanged,
    /// It is on other networks than it should be, or this network is made anew.
    NetworkChanged(String),
    /// It mounts another volume than it should.
    VolumeChanged(String),
    /// Its address is needed by a service that asks for it.
    AddressNeeded(ServiceName),
    /// `--force-recreate`.
    Forced,
    /// Its creation or removal was interrupted.
    Incomplete,
    /// It shares the network namespace of a container that is made anew.
    NamespaceOf(ServiceName),
    /// It exists and does not run.
    NotRunning,
    /// There are more replicas than asked for.
    ScaledDown,
    /// Its service is not in the file.
    Orphan,
    /// A dependency is made anew or restarted, and the file says to follow (`restart: true`).
    DependencyRestarted(ServiceName),
    /// Others need it to hold first.
    NeededBy(ServiceName),
    /// The user asked for exactly this: `down`, `stop`, ...
    Requested(&'static str),
    /// The command waits for it (`--wait`).
    Waited,
    /// It is part of an update that goes batch by batch.
    Updated,
}

/// Something the user should know that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Containers of services that the file does not have (`--remove-orphans` removes them).
    Orphans(Vec<String>),
    /// A volume's definition differs from the volume that exists, which is kept.
    VolumeDrift(VolumeName),
    /// A volume or network of this name was not made by this project.
    Foreign {
        /// `volume` or `network`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A network's definition differs but containers outside this command use it.
    NetworkKept {
        /// The network.
        network: String,
        /// One user.
        user: String,
    },
    /// A network stays because containers still use it.
    NetworkInUse {
        /// The network.
        network: String,
        /// One user.
        user: String,
    },
    /// A volume stays because containers still use it.
    VolumeInUse {
        /// The volume.
        volume: VolumeName,
        /// One user.
        user: String,
    },
    /// Ports published by a service without a network of its own.
    PortsIgnored(ServiceName),
    /// A driver that is treated as another.
    DriverIgnored {
        /// `volume` or `network`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The driver.
        driver: String,
    },
    /// The file says start-first, which cannot be.
    StopsFirst {
        /// The service.
        service: ServiceName,
        /// Why.
        why: &'static str,
    },
    /// There is nothing to act on.
    NothingToDo(&'static str),
}

/// Why there can be no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A service that was asked for does not exist.
    #[error("no such service: {0}")]
    NoSuchService(ServiceName),
    /// The graph of the project is broken; the message says how.
    #[error("{0}")]
    Dependencies(String),
    /// More containers than a project can have.
    #[error(
        "{count} containers are wanted, {of} of them for service {service}; a project has at most {MAX_CONTAINERS}"
    )]
    TooManyContainers {
        /// All of them.
        count: u64,
        /// The service that wants most.
        service: ServiceName,
        /// How many it wants.
        of: u32,
    },
    /// The image of a service is not there.
    #[error("service {service} has no image {image:?} to run")]
    ImageMissing {
        /// The service.
        service: ServiceName,
        /// The reference.
        image: String,
    },
    /// Neither file nor image says what to run.
    #[error("service {0} has no command: neither the file nor its image names one")]
    NoCommand(ServiceName),
    /// A container of that name belongs to somebody else.
    #[error("the container name {name:?} of service {service} is taken by {by}")]
    NameTaken {
        /// The service.
        service: ServiceName,
        /// The name.
        name: String,
        /// `container` and its short id, or who else wants it.
        by: String,
    },
    /// `container_name` with several replicas.
    #[error("service {0} has a container_name and so can have one replica only")]
    NameNotUnique(ServiceName),
    /// A static address is not in the network's subnet.
    #[error("address {address} of service {service} is not in subnet {subnet} of network {network}")]
    AddressOutside {
        /// The service.
        service: ServiceName,
        /// The address.
        address: std::net::IpAddr,
        /// The network.
        network: String,
        /// Its subnet.
        subnet: String,
    },
    /// A static address is used already.
    #[error("address {address} of service {service} on network {network} is taken by {by}")]
    AddressTaken {
        /// The service.
        service: ServiceName,
        /// The address.
        address: std::net::IpAddr,
        /// The network.
        network: String,
        /// Who has it.
        by: String,
    },
    /// All addresses are used.
    #[error("network {network} has no free address left in {range}")]
    AddressesExhausted {
        /// The network.
        network: String,
        /// Where was looked.
        range: String,
    },
    /// No subnet of the pool is free.
    #[error("network {0} gets no subnet: all of the pool are used by routes of the host or by other networks")]
    SubnetsExhausted(String),
    /// The file's subnet overlaps another one.
    #[error("subnet {subnet} of network {network} overlaps {other}")]
    SubnetTaken {
        /// The network.
        network: String,
        /// Its subnet.
        subnet: String,
        /// The other network, or the host's route.
        other: String,
    },
    /// The gateway or range is not in the subnet, the subnet has the wrong family or is too small.
    #[error("network {network}: {why}")]
    BadIpam {
        /// The network.
        network: String,
        /// What is wrong.
        why: String,
    },
    /// A Linux bridge has 1023 ports.
    #[error("network {network} would have {count} containers; a bridge has room for 1023")]
    TooManyPorts {
        /// The network.
        network: String,
        /// How many.
        count: usize,
    },
    /// An external network or volume does not exist.
    #[error("{kind} {name} is declared as external and does not exist")]
    ExternalMissing {
        /// `network` or `volume`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A service names a network or volume that the project does not have.
    #[error("service {service} refers to {kind} {name:?} which the file does not define")]
    Undefined {
        /// The service.
        service: ServiceName,
        /// `network` or `volume`.
        kind: &'static str,
        /// Its key.
        name: String,
    },
    /// The driver is not one of ours.
    #[error("network {network} asks for driver {driver:?}, which is not supported; use bridge")]
    UnsupportedDriver {
        /// The network.
        network: String,
        /// The driver.
        driver: String,
    },
    /// `network_mode: container:` names nobody.
    #[error("service {service} shares the network of container {container:?}, which does not exist")]
    NoSuchContainer {
        /// The service.
        service: ServiceName,
        /// The container.
        container: String,
    },
    /// `service_healthy` of a service that is not probed.
    #[error("service {service} waits for {dependency} to be healthy, but {dependency} has no healthcheck")]
    NoHealthcheck {
        /// Who waits.
        service: ServiceName,
        /// For whom.
        dependency: ServiceName,
    },
    /// Two containers want the same port of the host.
    #[error("port {port} of service {service} is published by container {by} already")]
    PortTaken {
        /// The service.
        service: ServiceName,
        /// `127.0.0.1:8080/tcp`.
        port: String,
        /// Name of the holder.
        by: String,
    },
}

impl PlanError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::ImageMissing { image, .. } => format!("stack image pull {image}"),
            Self::NameTaken { name, .. } => format!("remove that container, or rename {name}"),
            Self::TooManyContainers { service, .. } => format!("lower the scale of {service}"),
            Self::NameNotUnique(_) => "remove container_name, or scale to 1".to_owned(),
            Self::AddressOutside { network, .. } => {
                format!("give network {network} a subnet that holds the address (ipam.config.subnet)")
            }
            Self::SubnetsExhausted(_) => {
                "remove networks that are not used, or name a subnet (ipam.config.subnet)".into()
            }
            Self::TooManyPorts { .. } => "spread the services over several networks".to_owned(),
            Self::ExternalMissing { kind: "network", .. } => {
                "start the project that makes it first, or remove external: true".to_owned()
            }
            Self::ExternalMissing { kind, .. } => format!("create the {kind} first, or remove external: true"),
            Self::NoHealthcheck { dependency, .. } => {
                format!("give {dependency} a healthcheck, or wait for service_started")
            }
            Self::PortTaken { service, by, .. } => format!(
                "stop {by}, or publish another port; several replicas of {service} need a range of ports, or none"
            ),
            _ => return None,
        })
    }
}

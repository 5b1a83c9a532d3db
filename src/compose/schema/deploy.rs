//! Attributes of `deploy`.

use super::{Bare, Index, Object, Shape, Size, Twice, Whole, field};

const ONE_HOST: &str = "there is one machine, so nothing is placed";

/// `deploy`.
pub(super) static DEPLOY: Object = Object {
    index: Index::new(),
    name: "deploy",
    required: &[],
    fields: rows![
        /// `replicated`, or `global` for one container on each machine. Default: `replicated`.
        field("mode", Shape::Text).such_as(&["replicated", "global"]),
        /// How clients find the containers: `vip` or `dnsrr`. Names always answer with all containers.
        field("endpoint_mode", Shape::Text).such_as(&["dnsrr", "vip"]).elsewhere("names resolve to the containers themselves"),
        /// Number of containers. Must agree with `scale`. Default: 1.
        field("replicas", Shape::Int(Whole::Usual)).within(0, i64::MAX).given(),
        // Metadata of the service, not of its containers.
        /// Labels of the service; containers do not get them.
        field("labels", Shape::KeyValues(Bare::Empty)),
        /// Limits of each container, and what is kept for it.
        field("resources", Shape::Object(&RESOURCES)).always(),
        /// When a container that ended is started again. Wins over `restart`.
        field("restart_policy", Shape::Object(&RESTART_POLICY)),
        /// How containers are replaced when the service changes.
        field("update_config", Shape::Object(&UPDATE_CONFIG)),
        /// How containers are replaced when an update is taken back.
        field("rollback_config", Shape::Object(&UPDATE_CONFIG)),
        /// Which machines may run the service.
        field("placement", Shape::Object(&PLACEMENT)).always(),
    ],
};

/// `deploy.resources`.
pub(super) static RESOURCES: Object = Object {
    index: Index::new(),
    name: "resources",
    required: &[],
    fields: rows![
        /// What each container may use at most.
        field("limits", Shape::Object(&LIMITS)),
        /// What is kept for each container.
        field("reservations", Shape::Object(&RESERVATIONS)),
    ],
};

static LIMITS: Object = Object {
    index: Index::new(),
    name: "limits",
    required: &[],
    fields: rows![
        /// Number of CPUs, as `0.5`. The same as `cpus` of the service. Default: no limit.
        field("cpus", Shape::Number).late(),
        /// Memory, in bytes or as `512m`. The same as `mem_limit` of the service. Default: no limit.
        field("memory", Shape::Bytes(Size::Text)),
        /// Number of processes and threads. The same as `pids_limit` of the service. Default: no limit.
        field("pids", Shape::Int(Whole::Usual)),
    ],
};

static RESERVATIONS: Object = Object {
    index: Index::new(),
    name: "reservations",
    required: &[],
    fields: rows![
        /// Number of CPUs, as `0.5`.
        field("cpus", Shape::Number).late().unused("without a scheduler nothing is reserved"),
        /// Memory, in bytes or as `256m`. The same as `mem_reservation` of the service.
        field("memory", Shape::Bytes(Size::Text)),
        /// GPUs and other accelerators that a container may use.
        field("devices", Shape::List(&Shape::Object(&DEVICE_REQUEST), Twice::Keep))
            .unused("the engine does not act on it yet"),
        /// Resources that an administrator gave to machines of a cluster.
        field("generic_resources", Shape::List(&Shape::Object(&GENERIC_RESOURCE), Twice::Keep)).elsewhere(ONE_HOST),
    ],
};

/// One of `gpus` or `devices`.
pub(super) static DEVICE_REQUEST: Object = Object {
    index: Index::new(),
    name: "a device request",
    required: &[],
    fields: rows![
        /// What the device must be able to do, as `gpu`; all must hold.
        field("capabilities", Shape::Texts(Twice::Refuse)),
        /// Number of devices, or `all`. Excludes `device_ids`. Default: `all`.
        field("count", Shape::Short(super::Convert::DeviceCount, &Shape::Int(Whole::Usual))),
        /// Devices by number, UUID or CDI name. Excludes `count`.
        field("device_ids", Shape::Texts(Twice::Refuse)),
        /// Kind of device, as `nvidia`, `amd` or `cdi`. Default: found by the capabilities.
        field("driver", Shape::Text),
        /// Options of the driver, as mapping or as list of `KEY=VALUE`.
        field("options", Shape::KeyValues(Bare::Empty)),
    ],
};

static GENERIC_RESOURCE: Object = Object {
    index: Index::new(),
    name: "a generic resource",
    required: &[],
    fields: rows![
        /// A countable resource.
        field("discrete_resource_spec", Shape::Object(&DISCRETE_RESOURCE)),
    ],
};

static DISCRETE_RESOURCE: Object = Object {
    index: Index::new(),
    name: "a discrete resource",
    required: &[],
    fields: rows![
        /// Name of the resource.
        field("kind", Shape::Text).given(),
        /// Number that is needed.
        field("value", Shape::Int(Whole::Cut)).given(),
    ],
};

static RESTART_POLICY: Object = Object {
    index: Index::new(),
    name: "restart_policy",
    required: &[],
    fields: rows![
        /// `none`, `on-failure` or `any`. Default: `any`.
        field("condition", Shape::Text).such_as(&["none", "on-failure", "any"]),
        /// Time before each restart, as `5s`. Default: `0s`.
        field("delay", Shape::Duration).given().unused("restarts back off from 100 ms"),
        /// Restarts after which it is given up. Default: no limit.
        field("max_attempts", Shape::Int(Whole::Usual)).within(0, i64::MAX).given(),
        /// Time that a container must run for its restart to count as a success. Default: `0s`.
        field("window", Shape::Duration).given().unused("10 s of health count as success"),
    ],
};

static UPDATE_CONFIG: Object = Object {
    index: Index::new(),
    name: "update_config",
    required: &[],
    fields: rows![
        /// Containers that are replaced at the same time; 0 is all. Default: 1.
        field("parallelism", Shape::Int(Whole::Usual)).within(0, i64::MAX).given(),
        /// Time between two groups, as `10s`. Default: `0s`.
        field("delay", Shape::Duration),
        /// What happens when it fails: `pause`, `continue` or `rollback`. Default: `pause`.
        field("failure_action", Shape::Text).such_as(&["pause", "continue", "rollback"]),
        /// Time after the start of a container in which its end is a failure. Default: `0s`.
        field("monitor", Shape::Duration),
        /// Share of containers that may fail, from 0 to 1. Default: 0.
        field("max_failure_ratio", Shape::Number),
        /// Whether the old container stops first or the new one starts first. Default: `stop-first`.
        field("order", Shape::OneOf(&["start-first", "stop-first"])),
    ],
};

/// `deploy.placement`.
pub(super) static PLACEMENT: Object = Object {
    index: Index::new(),
    name: "placement",
    required: &[],
    fields: rows![
        /// Conditions that a machine must meet, as `node.labels.zone==a`.
        field("constraints", Shape::Texts(Twice::Keep)).elsewhere(ONE_HOST),
        /// How containers are spread over machines.
        field("preferences", Shape::List(&Shape::Object(&PREFERENCE), Twice::Keep)).elsewhere(ONE_HOST),
        /// Most containers on one machine. Default: no limit.
        field("max_replicas_per_node", Shape::Int(Whole::Usual)).within(0, i64::MAX).elsewhere(ONE_HOST),
    ],
};

static PREFERENCE: Object = Object {
    index: Index::new(),
    name: "a preference",
    required: &[],
    fields: rows![
        /// Label over whose values they are spread evenly.
        field("spread", Shape::Text),
    ],
};

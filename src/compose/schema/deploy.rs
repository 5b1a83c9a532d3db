//! Attributes of `deploy`.

use super::{Bare, Object, Shape, Twice, field};

const ONE_HOST: &str = "there is one host and nothing to place or roll";

/// `deploy`.
pub(super) static DEPLOY: Object = Object {
    name: "deploy",
    required: &[],
    fields: &[
        field("mode", Shape::Text).unused(ONE_HOST),
        field("endpoint_mode", Shape::Text).unused(ONE_HOST),
        field("replicas", Shape::Int).given(),
        // Metadata of the service, not of its containers.
        field("labels", Shape::KeyValues(Bare::Empty)),
        field("resources", Shape::Object(&RESOURCES)).always(),
        field("restart_policy", Shape::Object(&RESTART_POLICY)),
        field("update_config", Shape::Object(&UPDATE_CONFIG)).unused(ONE_HOST),
        field("rollback_config", Shape::Object(&UPDATE_CONFIG)).unused(ONE_HOST),
        field("placement", Shape::Object(&PLACEMENT)).always().unused(ONE_HOST),
    ],
};

/// `deploy.resources`.
pub(super) static RESOURCES: Object = Object {
    name: "resources",
    required: &[],
    fields: &[field("limits", Shape::Object(&LIMITS)), field("reservations", Shape::Object(&RESERVATIONS))],
};

static LIMITS: Object = Object {
    name: "limits",
    required: &[],
    fields: &[field("cpus", Shape::Number), field("memory", Shape::Bytes), field("pids", Shape::Int)],
};

static RESERVATIONS: Object = Object {
    name: "reservations",
    required: &[],
    fields: &[
        field("cpus", Shape::Number).unused("without a scheduler nothing is reserved"),
        field("memory", Shape::Bytes),
        field("devices", Shape::List(&Shape::Object(&DEVICE_REQUEST), Twice::Keep))
            .unused("the engine does not act on it yet"),
        field("generic_resources", Shape::List(&Shape::Object(&GENERIC_RESOURCE), Twice::Keep)).unused(ONE_HOST),
    ],
};

/// One of `gpus` or `devices`.
pub(super) static DEVICE_REQUEST: Object = Object {
    name: "a device request",
    required: &[],
    fields: &[
        field("capabilities", Shape::Texts(Twice::Refuse)),
        field("count", Shape::Short(super::Convert::DeviceCount, &Shape::Int)),
        field("device_ids", Shape::Texts(Twice::Refuse)),
        field("driver", Shape::Text),
        field("options", Shape::KeyValues(Bare::Empty)),
    ],
};

static GENERIC_RESOURCE: Object = Object {
    name: "a generic resource",
    required: &[],
    fields: &[field("discrete_resource_spec", Shape::Object(&DISCRETE_RESOURCE))],
};

static DISCRETE_RESOURCE: Object = Object {
    name: "a discrete resource",
    required: &[],
    fields: &[field("kind", Shape::Text).given(), field("value", Shape::Int).given()],
};

static RESTART_POLICY: Object = Object {
    name: "restart_policy",
    required: &[],
    fields: &[
        field("condition", Shape::Text),
        field("delay", Shape::Duration).given().unused("restarts back off from 100 ms"),
        field("max_attempts", Shape::Int).given(),
        field("window", Shape::Duration).given().unused("10 s of health count as success"),
    ],
};

static UPDATE_CONFIG: Object = Object {
    name: "update_config",
    required: &[],
    fields: &[
        field("parallelism", Shape::Int).given(),
        field("delay", Shape::Duration),
        field("failure_action", Shape::Text),
        field("monitor", Shape::Duration),
        field("max_failure_ratio", Shape::Number),
        field("order", Shape::OneOf(&["start-first", "stop-first"])),
    ],
};

/// `deploy.placement`.
pub(super) static PLACEMENT: Object = Object {
    name: "placement",
    required: &[],
    fields: &[
        field("constraints", Shape::Texts(Twice::Keep)),
        field("preferences", Shape::List(&Shape::Object(&PREFERENCE), Twice::Keep)),
        field("max_replicas_per_node", Shape::Int),
    ],
};

static PREFERENCE: Object = Object { name: "a preference", required: &[], fields: &[field("spread", Shape::Text)] };

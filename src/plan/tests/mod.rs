//! Plans as text, for situations that a project of a few lines describes.

mod change;
mod containers;
mod identity;
mod in_place;
mod networks;
mod properties;
mod review;
mod rolling;
mod services;
mod up;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    ContainerState, Down, Health, HostFacts, ImageInfo, Inputs, Observed, ObservedContainer, Op, Plan, Recreate, check,
    default_pool, fake, plan_down, plan_services, plan_up,
};
use crate::compose::model::Project;
use crate::ids::{Digest, ProjectName, ServiceName};
use crate::spec::{ContainerSpec, ImageConfig};

/// An engine made of data, and what the user asks of it.
pub(crate) struct World {
    pub(crate) observed: Observed,
    images: BTreeMap<String, ImageInfo>,
    host: HostFacts,
    seed: u64,
    wishes: Wishes,
}

/// Options of `up`.
#[derive(Clone, Default)]
struct Wishes {
    services: Vec<&'static str>,
    scale: Vec<(&'static str, u32)>,
    no_deps: bool,
    recreate: Recreate,
    remove_orphans: bool,
    ignore_orphans: bool,
    renew_anon_volumes: bool,
    no_start: bool,
    wait: bool,
    timeout: Option<Duration>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            observed: Observed::default(),
            images: BTreeMap::new(),
            host: HostFacts { pool: default_pool(), ..HostFacts::default() },
            seed: 0,
            wishes: Wishes::default(),
        };
        world.image("img", ImageConfig { cmd: vec!["run".into()], ..ImageConfig::default() });
        world
    }

    /// The command waits (`--wait`).
    pub(crate) fn waiting(mut self) -> Self {
        self.wishes.wait = true;
        self
    }

    fn image(&mut self, reference: &str, config: ImageConfig) {
        let id = Digest::of(format!("{reference}{config:?}").as_bytes());
        self.images.insert(reference.to_owned(), ImageInfo { id, layers: vec!["/layers/1".into()], config });
    }

    /// Returns the plan of `up`, checked.
    pub(crate) fn plan(&mut self, yaml: &str) -> Plan {
        self.plan_project(&project(yaml))
    }

    fn plan_project(&mut self, project: &Project) -> Plan {
        self.seed += 1;
        let wishes = self.wishes.clone();
        let scale = wishes.scale.iter().map(|(name, count)| (ServiceName::from(*name), *count)).collect();
        let services: Vec<_> = wishes.services.iter().map(|name| ServiceName::from(*name)).collect();
        let inputs = Inputs {
            project,
            images: &self.images,
            scale: &scale,
            services: &services,
            no_deps: wishes.no_deps,
            recreate: wishes.recreate,
            remove_orphans: wishes.remove_orphans,
            ignore_orphans: wishes.ignore_orphans,
            renew_anon_volumes: wishes.renew_anon_volumes,
            start: !wishes.no_start,
            wait: wishes.wait,
            timeout: wishes.timeout,
            seed: self.seed,
            host: &self.host,
        };
        let plan = plan_up(&inputs, &self.observed);
        self.checked(plan)
    }

    fn checked(&self, plan: Plan) -> Plan {
        let problems = check(&plan, &self.observed);
        assert!(problems.is_empty(), "{problems:#?}\n{plan}");
        plan
    }

    /// Plans `up` and applies it; returns the plan as text. A second `up` must do nothing.
    fn up(&mut self, yaml: &str) -> String {
        let plan = self.plan(yaml);
        let text = plan.to_string();
        fake::apply(&plan, &mut self.observed);
        if plan.errors.is_empty() && !self.wishes.no_start && self.wishes.recreate == Recreate::Diverged {
            let again = self.plan(yaml);
            assert!(again.steps.is_empty(), "planned again:\n{again}after:\n{text}");
        }
        text
    }

    /// Returns what `up` would do after a change, without applying it.
    fn would(&mut self, yaml: &str) -> String {
        self.plan(yaml).to_string()
    }

    pub(crate) fn with(mut self, yaml: &str) -> Self {
        let plan = self.plan(yaml);
        assert!(plan.errors.is_empty(), "{plan}");
        fake::apply(&plan, &mut self.observed);
        self
    }

    fn wish(mut self, wishes: Wishes) -> Self {
        self.wishes = wishes;
        self
    }

    pub(crate) fn down(&self, down: &Down<'_>) -> Plan {
        self.checked(plan_down(down, &self.observed))
    }

    fn act(&self, action: super::Action, request: &super::Services<'_>) -> Plan {
        self.checked(plan_services(action, request, &self.observed))
    }

    fn container(&mut self, name: &str) -> &mut ObservedContainer {
        self.observed.containers.iter_mut().find(|c| c.spec.name == name).expect("a container of that name")
    }

    fn spec(&mut self, name: &str) -> ContainerSpec {
        self.container(name).spec.clone()
    }

    fn exit(mut self, name: &str, code: i32) -> Self {
        let container = self.container(name);
        container.state = ContainerState::Exited(code);
        container.health = None;
        self
    }

    fn health(mut self, name: &str, health: Health) -> Self {
        self.container(name).health = Some(health);
        self
    }

    fn address(&mut self, name: &str) -> String {
        let spec = self.spec(name);
        spec.endpoints.iter().map(|e| e.address.to_string()).collect::<Vec<_>>().join(" ")
    }
}

/// Returns the specifications that a plan creates.
fn specs(plan: &Plan) -> Vec<&ContainerSpec> {
    plan.steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::CreateContainer { spec, .. } => Some(spec.as_ref()),
            _ => None,
        })
        .collect()
}

pub(crate) fn down(project: &ProjectName) -> Down<'_> {
    Down { project, services: &[], known: None, remove_orphans: false, volumes: false, timeout: None }
}

fn request(project: &ProjectName) -> super::Services<'_> {
    super::Services {
        project,
        services: &[],
        timeout: None,
        signal: None,
        stop: false,
        volumes: false,
        no_deps: false,
        wait: false,
    }
}

/// Returns the project `app` whose services, networks and volumes the text gives in the model's
/// own words. What a test does not care about is filled in: `image: img`, the default
/// network, engine-wide names, `service_started`.
pub(crate) fn project(yaml: &str) -> Project {
    let read: Option<Value> = serde_yaml::from_str(yaml).expect("YAML");
    let mut root = read.unwrap_or_else(|| json!({}));
    let mut uses_default = false;
    for service in entries(&mut root, "services") {
        let service = object(service);
        service.entry("image").or_insert(json!("img"));
        if !service.contains_key("network_mode") && !service.contains_key("networks") {
            service.insert("networks".into(), json!({"default": {}}));
            uses_default = true;
        }
        if let Some(networks) = service.get_mut("networks") {
            object(networks).values_mut().for_each(|network| defaults(network, json!({})));
        }
        if let Some(dependencies) = service.get_mut("depends_on") {
            for dependency in object(dependencies).values_mut() {
                defaults(dependency, json!({"condition": "service_started", "required": true, "restart": false}));
            }
        }
    }
    if uses_default {
        let networks = object(&mut root).entry("networks").or_insert(json!({}));
        object(networks).entry("default").or_insert(json!({}));
    }
    for kind in ["networks", "volumes"] {
        let keys: Vec<String> =
            root.get(kind).and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect();
        for key in keys {
            let entry = &mut root[kind][&key];
            defaults(entry, json!({"name": format!("app_{key}")}));
        }
    }
    defaults(
        &mut root,
        json!({"name": "app", "working_dir": "/app", "files": ["/app/stack.yml"], "services": {}, "disabled": [],
               "networks": {}, "volumes": {}}),
    );
    serde_json::from_value(root).expect("a project")
}

fn entries<'a>(root: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    root.get_mut(key).map(object).into_iter().flat_map(|map| map.values_mut())
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().expect("a mapping")
}

fn defaults(value: &mut Value, blank: Value) {
    let map = object(value);
    if let Value::Object(blank) = blank {
        for (key, default) in blank {
            map.entry(key).or_insert(default);
        }
    }
}

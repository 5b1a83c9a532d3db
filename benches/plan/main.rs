//! What planning costs: 500 services of which nothing differs, as `up` plans them a second time.
//! Tells whether that is below the 5 ms that are promised.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use stack::compose::model::Project;
use stack::ids::Digest;
use stack::plan::{
    ContainerState, HostFacts, ImageInfo, Inputs, Observed, ObservedContainer, ObservedNetwork, Op, Plan, default_pool,
    plan_up,
};
use stack::spec::{ContainerSpec, Health, ImageConfig, NetworkSpec, Recreate};

const SERVICES: usize = 500;
const PROMISED: Duration = Duration::from_millis(5);
const RUNS: usize = 50;

fn main() {
    let project = project();
    let images = BTreeMap::from([("img".to_owned(), image())]);
    let host = HostFacts { pool: default_pool(), ..HostFacts::default() };
    let scale = BTreeMap::new();
    let inputs = |seed| Inputs {
        project: &project,
        images: &images,
        scale: &scale,
        services: &[],
        no_deps: false,
        recreate: Recreate::Diverged,
        remove_orphans: false,
        ignore_orphans: false,
        renew_anon_volumes: false,
        start: true,
        wait: false,
        timeout: None,
        seed,
        host: &host,
    };
    let mut observed = Observed::default();
    let began = Instant::now();
    let plan = plan_up(&inputs(1), &observed);
    let first = began.elapsed();
    assert!(plan.errors.is_empty(), "{plan}");
    apply(&plan, &mut observed);
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            let plan = plan_up(&inputs(2), &observed);
            assert!(plan.steps.is_empty() && plan.errors.is_empty(), "{plan}");
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[RUNS / 2];
    println!("plan {SERVICES} services, all new: {first:.2?}");
    println!("plan {SERVICES} services, nothing to do: median {median:.2?}, worst {:.2?}", times[RUNS - 1]);
    println!("promised: {PROMISED:.2?} ({})", if median < PROMISED { "kept" } else { "not kept" });
}

fn image() -> ImageInfo {
    let config = ImageConfig { cmd: vec!["run".into()], ..ImageConfig::default() };
    ImageInfo { id: Digest::of(b"img"), layers: vec!["/layers/1".into()], config }
}

/// Returns chains of ten services, each probed, with variables, labels and limits.
fn project() -> Project {
    let mut services = serde_json::Map::new();
    for i in 0..SERVICES {
        let mut service = serde_json::json!({
            "image": "img", "networks": {"default": {}}, "environment": {"A": "b", "C": "d"}, "labels": {"l": "m"},
            "healthcheck": {"test": {"shell": "x"}}, "mem_limit": "64mb",
        });
        if i % 10 != 0 {
            let on = serde_json::json!({"condition": "service_healthy", "required": true, "restart": false});
            service["depends_on"] = serde_json::json!({format!("s{}", i - 1): on});
        }
        services.insert(format!("s{i}"), service);
    }
    serde_json::from_value(serde_json::json!({
        "name": "app", "working_dir": "/app", "files": ["/app/stack.yml"], "services": services, "disabled": [],
        "networks": {"default": {"name": "app_default"}}, "volumes": {},
    }))
    .expect("a project")
}

/// Makes the world what a first plan makes of it.
fn apply(plan: &Plan, observed: &mut Observed) {
    for step in &plan.steps {
        match &step.op {
            Op::EnsureNetwork(spec) => {
                observed.networks.push(ObservedNetwork { spec: NetworkSpec::clone(spec), alive: true });
            }
            Op::CreateContainer { spec, .. } => observed.containers.push(ObservedContainer {
                spec: ContainerSpec::clone(spec),
                state: ContainerState::Running,
                health: Some(Health::Healthy),
                ready: true,
            }),
            _ => {}
        }
    }
}

//! What holds for every project and every engine.

use proptest::prelude::*;

use super::*;

/// Dependencies with their kind, replicas, variant of network and volume, has a healthcheck, and
/// which of its other attributes: those that change in place, that need a new container, and how
/// replicas are replaced.
type Random = (Vec<(usize, u8)>, u32, u8, bool, (u8, u8, u8));

/// Services of a random project: each depends on earlier ones only.
fn services() -> impl Strategy<Value = Vec<Random>> {
    let service =
        (prop::collection::vec((0usize..8, 0u8..4), 0..3), 0u32..3, 0u8..6, any::<bool>(), (0u8..4, 0u8..3, 0u8..5));
    prop::collection::vec(service, 1..8)
}

fn yaml(services: &[Random]) -> String {
    let mut text = String::from("{services: {");
    for (i, (dependencies, replicas, variant, probed, (light, heavy, order))) in services.iter().enumerate() {
        let mut seen = Vec::new();
        let mut depends = String::new();
        for (to, kind) in dependencies {
            let to = to % services.len();
            if to >= i || seen.contains(&to) {
                continue;
            }
            seen.push(to);
            let condition = match kind {
                1 if services[to].3 => "service_healthy",
                2 => "service_completed_successfully",
                _ => "service_started",
            };
            depends +=
                &format!("s{to}: {{condition: {condition}, restart: {}, required: {}}}, ", kind % 2 == 0, *kind != 3);
        }
        let network = match variant {
            0 => "networks: {a: }".to_owned(),
            1 => "networks: {a: , b: }".to_owned(),
            2 if *replicas < 2 => format!("networks: {{a: {{ipv4_address: 10.77.0.{}}}}}", i + 2),
            3 if i > 0 => format!("network_mode: {{service: s{}}}", i - 1),
            4 => "networks: {b: }, volumes: [{target: /d, read_only: false, kind: {type: volume, source: v, nocopy: false, subpath: null}}]".to_owned(),
            5 => "networks: {a: }, volumes: [{target: /d, read_only: false, kind: {type: volume, source: null, nocopy: false, subpath: null}}]".to_owned(),
            _ => "networks: {b: }".to_owned(),
        };
        let probe = if *probed { "healthcheck: {test: {shell: x}}, " } else { "" };
        let replicas = match services.get(i + 1) {
            // Who lends its namespace has a container.
            Some((.., 3, _, _)) => 1.max(*replicas),
            _ => *replicas,
        };
        let light = ["", "restart: always, ", "mem_limit: 64mb, labels: {a: b}, ", "stop_signal: 2, "][*light as usize];
        let heavy = ["", "tty: true, ", "environment: {A: b}, "][*heavy as usize];
        let order = [
            "",
            "",
            "deploy: {update_config: {parallelism: 1, monitor: 1s}}, ",
            "deploy: {update_config: {order: start-first}}, ",
            "deploy: {update_config: {order: start-first, parallelism: 0, failure_action: continue}}, ",
        ][*order as usize];
        text +=
            &format!("s{i}: {{scale: {replicas}, {light}{heavy}{order}{probe}{network}, depends_on: {{{depends}}}}}, ");
    }
    text + "}, networks: {a: {ipam: {config: [{subnet: 10.77.0.0/24, gateway: null, ip_range: null}]}}, b: }, volumes: {v: }}"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_a_plan_and_planning_again_gives_nothing(first in services(), second in services(), stop in any::<u16>()) {
        let mut world = World::new();
        world.wishes.remove_orphans = true;
        world.up(&yaml(&first));
        for (i, container) in world.observed.containers.iter_mut().enumerate() {
            match stop >> (i % 16) & 3 {
                0 => container.state = ContainerState::Exited(1),
                1 if i % 3 == 0 => container.state = ContainerState::Incomplete,
                _ => {}
            }
        }
        world.up(&yaml(&second));
        let project: ProjectName = "app".into();
        for action in [super::super::Action::Stop, super::super::Action::Restart, super::super::Action::Kill] {
            world.act(action, &request(&project));
        }
        let plan = world.down(&Down { volumes: true, ..down(&project) });
        fake::apply(&plan, &mut world.observed);
        prop_assert_eq!(&world.observed, &Observed::default());
    }

    /// However far a plan got, the next one goes on from there.
    #[test]
    fn a_plan_that_was_cut_off_is_made_up_for(first in services(), second in services(), cut in 0usize..60) {
        let mut world = World::new();
        world.wishes.remove_orphans = true;
        world.up(&yaml(&first));
        let plan = world.plan(&yaml(&second));
        let steps = plan.steps.iter().take(cut).cloned().collect();
        fake::apply(&Plan { steps, ..Plan::default() }, &mut world.observed);
        world.up(&yaml(&second));
    }

    #[test]
    fn the_same_input_gives_the_same_plan(services in services()) {
        let yaml = yaml(&services);
        let (mut one, mut two) = (World::new(), World::new());
        prop_assert_eq!(one.plan(&yaml), two.plan(&yaml));
    }
}

/// Not a benchmark: a bound that quadratic work would break by far, also without optimisation.
#[test]
fn planning_500_services_is_quick() {
    let mut text = String::from("{services: {");
    for i in 0..500 {
        let before = i - i % 10;
        text += &format!("s{i}: {{environment: {{A: b, C: d}}, healthcheck: {{test: {{shell: x}}}}, depends_on: {{");
        if i % 10 != 0 {
            text += &format!("s{before}: {{condition: service_healthy}}");
        }
        text += "}}, ";
    }
    let project = project(&(text + "}}"));
    let mut world = World::new();
    let begin = std::time::Instant::now();
    let plan = world.plan_project(&project);
    let first = begin.elapsed();
    fake::apply(&plan, &mut world.observed);
    let begin = std::time::Instant::now();
    let again = world.plan_project(&project);
    let second = begin.elapsed();
    assert!(again.steps.is_empty());
    eprintln!("first {first:?} (with check), second {second:?}");
    assert!(second < Duration::from_millis(500), "{second:?}");
}

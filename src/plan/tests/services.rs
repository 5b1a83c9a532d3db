//! `down`, `start`, `stop`, `restart`, `kill`, `rm`.

use insta::assert_snapshot;

use super::super::{Action, Services};
use super::*;

const CHAIN: &str = "services: {web: {depends_on: {api: {restart: true}}}, api: {depends_on: {db: {condition: service_healthy}}}, \
    db: {healthcheck: {test: {shell: 'true'}}}}";
const DATA: &str = "{services: {db: {volumes: [{target: /data, read_only: false, kind: {type: volume, source: data, nocopy: false, subpath: null}}, \
    {target: /tmp, read_only: false, kind: {type: volume, source: null, nocopy: false, subpath: null}}]}}, volumes: {data: }}";

fn app() -> ProjectName {
    "app".into()
}

#[test]
fn down_goes_in_reverse_order_without_the_file() {
    let mut world = World::new().with(CHAIN);
    let plan = world.down(&down(&app()));
    assert_snapshot!(plan, @r"
    [] -> #1 web/1 stop-container (down)
    [~1] -> #2 api/1 stop-container (down)
    [~2] -> #3 db/1 stop-container (down)
    [~1,~2,~3] -> #4 project remove-links (down)
    [1,~4] -> #5 web/1 remove-container (down)
    [2,~4] -> #6 api/1 remove-container (down)
    [3,~4] -> #7 db/1 remove-container (down)
    [~4,5,6,7] -> #8 network app_default remove-network (down)
    ");
    fake::apply(&plan, &mut world.observed);
    assert_eq!(world.observed, Observed::default());
    assert_snapshot!(world.down(&down(&app())), @"note: No resource found to remove");
}

#[test]
fn down_keeps_volumes_unless_asked() {
    let mut world = World::new().with(DATA);
    let plan = world.down(&down(&app()));
    fake::apply(&plan, &mut world.observed);
    assert_eq!(world.observed.volumes.len(), 1);
    let mut world = World::new().with(DATA);
    let plan = world.down(&Down { volumes: true, ..down(&app()) });
    assert_snapshot!(plan, @r"
    [] -> #1 db/1 stop-container (down)
    [~1] -> #2 project remove-links (down)
    [1,~2] -> #3 db/1 remove-container with 1 volumes (down)
    [~2,3] -> #4 network app_default remove-network (down)
    [3] -> #5 volume app_data remove-volume (down)
    ");
    fake::apply(&plan, &mut world.observed);
    assert_eq!(world.observed, Observed::default());
}

#[test]
fn down_with_volumes_leaves_those_of_others() {
    let mut world = World::new();
    let mut other = project(&DATA.replace("{data: }", "{data: {name: shared}}"));
    other.name = "other".into();
    let plan = world.plan_project(&other);
    fake::apply(&plan, &mut world.observed);
    let world = world.with(&DATA.replace("{data: }", "{data: {external: true, name: shared}}"));
    let plan = world.down(&Down { volumes: true, ..down(&app()) });
    assert!(!plan.to_string().contains("remove-volume"), "{plan}");
}

#[test]
fn down_of_services_leaves_the_network() {
    let world = World::new().with(CHAIN);
    assert_snapshot!(world.down(&Down { services: &["web".into()], ..down(&app()) }), @r"
    [] -> #1 web/1 stop-container (down)
    [1] -> #2 web/1 remove-container (down)
    ");
}

#[test]
fn down_leaves_orphans_and_the_networks_they_use() {
    let world = World::new().with("services: {web: , old: }").exit("app-web-1", 0);
    let (known, project) = ([ServiceName::from("web")], app());
    let request = Down { known: Some(&known), ..down(&project) };
    assert_snapshot!(world.down(&request), @r"
    [] -> #1 web/1 remove-container (down)
    note: containers of services that are not in the file: app-old-1 (--remove-orphans removes them)
    note: network app_default stays: app-old-1 uses it
    ");
    assert_snapshot!(world.down(&Down { remove_orphans: true, ..request }), @r"
    [] -> #1 old/1 stop-container (down)
    [~1] -> #2 project remove-links (down)
    [1,~2] -> #3 old/1 remove-container (down)
    [~2] -> #4 web/1 remove-container (down)
    [~2,3,4] -> #5 network app_default remove-network (down)
    ");
}

#[test]
fn down_never_touches_what_is_external() {
    let mut world = World::new();
    let mut other = project("{services: {a: {networks: {x: }}}, networks: {x: {name: shared}}}");
    other.name = "other".into();
    let plan = world.plan_project(&other);
    fake::apply(&plan, &mut world.observed);
    let world = world.with("{services: {web: {networks: {x: }}}, networks: {x: {external: true, name: shared}}}");
    assert_snapshot!(world.down(&down(&app())), @r"
    [] -> #1 web/1 stop-container (down)
    [1] -> #2 web/1 remove-container (down)
    ");
    assert_snapshot!(world.down(&down(&"other".into())), @r"
    [] -> #1 a/1 stop-container (down)
    [1] -> #2 a/1 remove-container (down)
    note: network shared stays: app-web-1 uses it
    ");
}

#[test]
fn stop_and_start_respect_dependencies() {
    let mut world = World::new().with(CHAIN);
    let plan = world.act(Action::Stop, &request(&app()));
    assert_snapshot!(plan, @r"
    [] -> #1 web/1 stop-container (stop)
    [~1] -> #2 api/1 stop-container (stop)
    [~2] -> #3 db/1 stop-container (stop)
    ");
    fake::apply(&plan, &mut world.observed);
    assert_snapshot!(world.act(Action::Stop, &request(&app())), @"");
    assert_snapshot!(world.act(Action::Start, &request(&app())), @r"
    [] -> #1 db/1 start-container (start)
    [1] -> #2 db await service_healthy (needed by api)
    [2] -> #3 api/1 start-container (start)
    [3] -> #4 web/1 start-container (start)
    ");
    assert_snapshot!(world.act(Action::Start, &Services { wait: true, ..request(&app()) }), @r#"
    [] -> #1 db/1 start-container (start)
    [1] -> #2 db await service_healthy (needed by api)
    [2] -> #3 api/1 start-container (start)
    [3] -> #4 web/1 start-container (start)
    [3] -> #5 api await ready (--wait)
    [1] -> #6 db await ready (--wait)
    [4] -> #7 web await ready (--wait)
    "#);
}

#[test]
fn restart_takes_those_along_that_follow() {
    let world = World::new().with(CHAIN);
    let (project, services) = (app(), [ServiceName::from("api")]);
    let request = Services { services: &services, ..request(&project) };
    assert_snapshot!(world.act(Action::Restart, &request), @r"
    [] -> #1 web/1 stop-container (restart)
    [~1] -> #2 api/1 stop-container (restart)
    [2] -> #3 api/1 start-container (restart)
    [1,3] -> #4 web/1 start-container (api restarts)
    ");
    assert_snapshot!(world.act(Action::Restart, &Services { no_deps: true, ..request }), @r"
    [] -> #1 api/1 stop-container (restart)
    [1] -> #2 api/1 start-container (restart)
    ");
}

#[test]
fn restart_starts_what_does_not_run() {
    let world = World::new().with("services: {a: , b: {depends_on: {a: }}}").exit("app-a-1", 1);
    assert_snapshot!(world.act(Action::Restart, &request(&app())), @r"
    [] -> #1 b/1 stop-container (restart)
    [] -> #2 a/1 start-container (restart)
    [1,2] -> #3 b/1 start-container (restart)
    ");
}

#[test]
fn kill_signals_what_runs() {
    let world = World::new().with("services: {a: , b: }").exit("app-a-1", 1);
    assert_snapshot!(world.act(Action::Kill, &Services { signal: Some(1), ..request(&app()) }), @"[] -> #1 b/1 kill-container 1 (kill)");
}

#[test]
fn rm_takes_what_is_stopped() {
    let world = World::new().with(DATA);
    assert_snapshot!(world.act(Action::Remove, &request(&app())), @"note: No stopped containers");
    assert_snapshot!(world.act(Action::Remove, &Services { stop: true, volumes: true, ..request(&app()) }), @r"
    [] -> #1 db/1 stop-container (rm)
    [1] -> #2 db/1 remove-container with 1 volumes (rm)
    ");
}

#[test]
fn a_service_without_containers_is_reported() {
    let world = World::new().with("services: {a: }");
    assert_snapshot!(world.act(Action::Stop, &Services { services: &["b".into()], ..request(&app()) }), @"error: no such service: b");
}

#[test]
fn labels_of_other_tools_may_hold_a_circle() {
    let mut world = World::new().with("services: {a: , b: }");
    for (name, label) in [("app-a-1", "b:service_started:true"), ("app-b-1", "a:service_started:true,,x:y:z")] {
        world.container(name).spec.labels.insert(super::super::labels::DEPENDS_ON.into(), label.into());
    }
    for action in [Action::Start, Action::Remove, Action::Kill] {
        world.act(action, &request(&app()));
    }
}

//! First runs and second runs.

use insta::assert_snapshot;

use super::*;

#[test]
fn one_service() {
    assert_snapshot!(World::new().up("services: {web: {}}"), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 web/1 create-container (missing)
    [2] -> #3 web/1 start-container (missing)
    ");
}

#[test]
fn no_service() {
    assert_snapshot!(World::new().up(""), @"");
}

#[test]
fn dependencies_start_first_and_what_is_independent_is_free() {
    assert_snapshot!(World::new().up("services: {web: {depends_on: {api: , cache: }}, api: {depends_on: {db: }}, cache: , db: , log: }"), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 cache/1 create-container (missing)
    [1] -> #3 db/1 create-container (missing)
    [1] -> #4 api/1 create-container (missing)
    [1] -> #5 web/1 create-container (missing)
    [1] -> #6 log/1 create-container (missing)
    [2] -> #7 cache/1 start-container (missing)
    [3] -> #8 db/1 start-container (missing)
    [4,8] -> #9 api/1 start-container (missing)
    [5,7,9] -> #10 web/1 start-container (missing)
    [6] -> #11 log/1 start-container (missing)
    ");
}

#[test]
fn health_is_waited_for_once() {
    let yaml = "services: {
        db: {healthcheck: {test: {shell: 'true'}}},
        api: {depends_on: {db: {condition: service_healthy}}},
        web: {depends_on: {db: {condition: service_healthy}}}}";
    assert_snapshot!(World::new().up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 db/1 create-container (missing)
    [1] -> #3 api/1 create-container (missing)
    [1] -> #4 web/1 create-container (missing)
    [2] -> #5 db/1 start-container (missing)
    [5] -> #6 db await service_healthy (needed by api)
    [3,6] -> #7 api/1 start-container (missing)
    [4,6] -> #8 web/1 start-container (missing)
    ");
}

#[test]
fn a_job_is_waited_for_to_end() {
    let yaml = "services: {migrate: , web: {depends_on: {migrate: {condition: service_completed_successfully}}}}";
    assert_snapshot!(World::new().up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 migrate/1 create-container (missing)
    [1] -> #3 web/1 create-container (missing)
    [2] -> #4 migrate/1 start-container (missing)
    [4] -> #5 migrate await service_completed_successfully (needed by web)
    [3,5] -> #6 web/1 start-container (missing)
    ");
}

#[test]
fn an_optional_dependency_only_needs_to_have_ended() {
    let yaml = "services: {
        db: {healthcheck: {test: {shell: 'true'}}},
        web: {depends_on: {db: {condition: service_healthy, required: false}}}}";
    assert_snapshot!(World::new().up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 db/1 create-container (missing)
    [1] -> #3 web/1 create-container (missing)
    [2] -> #4 db/1 start-container (missing)
    [4] -> #5 db await service_healthy if-possible (needed by web)
    [3,~5] -> #6 web/1 start-container (missing)
    ");
}

#[test]
fn all_replicas_are_waited_for() {
    assert_snapshot!(World::new().up("services: {db: {scale: 2}, web: {scale: 2, depends_on: {db: }}}"), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 db/1 create-container (missing)
    [1] -> #3 db/2 create-container (missing)
    [1] -> #4 web/1 create-container (missing)
    [1] -> #5 web/2 create-container (missing)
    [2] -> #6 db/1 start-container (missing)
    [3] -> #7 db/2 start-container (missing)
    [6,7] -> #8 db await service_started (needed by web)
    [4,8] -> #9 web/1 start-container (missing)
    [5,8] -> #10 web/2 start-container (missing)
    ");
}

#[test]
fn nobody_waits_for_a_service_without_replicas() {
    assert_snapshot!(World::new().up("services: {db: {scale: 0}, web: {depends_on: {db: {condition: service_healthy}}}}"), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 web/1 create-container (missing)
    [2] -> #3 web/1 start-container (missing)
    ");
}

#[test]
fn a_health_condition_needs_a_healthcheck() {
    assert_snapshot!(World::new().up("services: {db: , web: {depends_on: {db: {condition: service_healthy}}}}"), @"error: service web waits for db to be healthy, but db has no healthcheck");
}

#[test]
fn the_images_healthcheck_counts() {
    let mut world = World::new();
    let healthcheck = crate::spec::ImageHealthcheck { test: vec!["CMD".into(), "ok".into()], ..Default::default() };
    world.image("probed", ImageConfig { cmd: vec!["db".into()], healthcheck: Some(healthcheck), ..Default::default() });
    let yaml = "services: {db: {image: probed}, web: {depends_on: {db: {condition: service_healthy}}}}";
    assert_snapshot!(world.up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 db/1 create-container (missing)
    [1] -> #3 web/1 create-container (missing)
    [2] -> #4 db/1 start-container (missing)
    [4] -> #5 db await service_healthy (needed by web)
    [3,5] -> #6 web/1 start-container (missing)
    ");
}

#[test]
fn volumes_come_before_their_users() {
    let yaml = "{services: {db: {volumes: [{target: /data, read_only: false, kind: {type: volume, source: data, nocopy: false, subpath: null}}]}}, volumes: {data: , unused: }}";
    assert_snapshot!(World::new().up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [] -> #2 volume app_data ensure-volume (missing)
    [1,2] -> #3 db/1 create-container (missing)
    [3] -> #4 db/1 start-container (missing)
    ");
}

#[test]
fn a_second_up_does_nothing_and_says_what_runs() {
    let mut world = World::new().with("services: {web: , db: }");
    let plan = world.plan("services: {web: , db: }");
    assert_eq!(plan.unchanged, ["app-web-1", "app-db-1"]);
    assert!(plan.steps.is_empty());
}

#[test]
fn what_stopped_is_started_and_waits_for_what_runs() {
    let yaml = "services: {
        db: {healthcheck: {test: {shell: 'true'}}},
        web: {depends_on: {db: {condition: service_healthy}}}}";
    let world = World::new().with(yaml);
    assert_snapshot!(world.exit("app-web-1", 1).health("app-db-1", Health::Starting).would(yaml), @r"
    [] -> #1 db await service_healthy (needed by web)
    [1] -> #2 web/1 start-container (not running)
    ");
    let world = World::new().with(yaml);
    assert_snapshot!(world.exit("app-web-1", 1).up(yaml), @"[] -> #1 web/1 start-container (not running)");
}

#[test]
fn create_does_not_start() {
    let wishes = Wishes { no_start: true, ..Wishes::default() };
    let mut world = World::new().wish(wishes);
    let yaml = "services: {db: , web: {depends_on: {db: }}}";
    assert_snapshot!(world.up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 db/1 create-container (missing)
    [1] -> #3 web/1 create-container (missing)
    ");
    world.wishes.no_start = false;
    assert_snapshot!(world.up(yaml), @r"
    [] -> #1 db/1 start-container (not running)
    [1] -> #2 web/1 start-container (not running)
    ");
}

#[test]
fn only_named_services_and_what_they_need() {
    let yaml = "services: {web: {depends_on: {db: }}, db: , other: }";
    let named = Wishes { services: vec!["web"], ..Wishes::default() };
    assert_snapshot!(World::new().wish(named.clone()).up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 db/1 create-container (missing)
    [1] -> #3 web/1 create-container (missing)
    [2] -> #4 db/1 start-container (missing)
    [3,4] -> #5 web/1 start-container (missing)
    ");
    assert_snapshot!(World::new().wish(Wishes { no_deps: true, ..named }).up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 web/1 create-container (missing)
    [2] -> #3 web/1 start-container (missing)
    ");
}

#[test]
fn unknown_services_and_images_are_all_reported() {
    let wishes = Wishes { services: vec!["web", "wbe", "x"], ..Wishes::default() };
    assert_snapshot!(World::new().wish(wishes).up("services: {web: {image: gone}}"), @r#"
    error: no such service: wbe
    error: no such service: x
    error: service web has no image "gone" to run
    "#);
}

#[test]
fn a_circle_is_an_error() {
    assert_snapshot!(World::new().up("services: {a: {depends_on: {b: }}, b: {depends_on: {a: }}}"), @"error: services depend on each other in a circle: a -> b -> a");
}

#[test]
fn the_command_can_wait_for_all() {
    let wishes = Wishes { wait: true, ..Wishes::default() };
    let yaml = "services: {
        job: ,
        db: {healthcheck: {test: {shell: 'true'}}},
        web: {depends_on: {job: {condition: service_completed_successfully}}}}";
    let mut world = World::new().wish(wishes);
    assert_snapshot!(world.would(yaml), @r#"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 job/1 create-container (missing)
    [1] -> #3 db/1 create-container (missing)
    [1] -> #4 web/1 create-container (missing)
    [2] -> #5 job/1 start-container (missing)
    [3] -> #6 db/1 start-container (missing)
    [5] -> #7 job await service_completed_successfully (needed by web)
    [4,7] -> #8 web/1 start-container (missing)
    [6] -> #9 db await ready (--wait)
    [8] -> #10 web await ready (--wait)
    "#);
}

#[test]
fn orphans_are_reported_removed_or_ignored() {
    let (both, one) = ("services: {web: , old: }", "services: {web: }");
    assert_snapshot!(World::new().with(both).would(one), @"note: containers of services that are not in the file: app-old-1 (--remove-orphans removes them)");
    let ignore = Wishes { ignore_orphans: true, ..Wishes::default() };
    assert_snapshot!(World::new().with(both).wish(ignore).would(one), @"");
    let remove = Wishes { remove_orphans: true, ..Wishes::default() };
    assert_snapshot!(World::new().with(both).wish(remove).up(one), @r"
    [] -> #1 old/1 stop-container (orphan)
    [1] -> #2 old/1 remove-container (orphan)
    ");
}

#[test]
fn services_of_other_profiles_are_no_orphans() {
    let mut world = World::new().with("services: {web: , debug: }");
    assert_snapshot!(world.would("{services: {web: }, disabled: [debug]}"), @"");
}

#[test]
fn a_shared_network_namespace_orders_creation() {
    let yaml = "services: {proxy: {network_mode: {service: app}}, app: }";
    let mut world = World::new();
    assert_snapshot!(world.up(yaml), @r"
    [] -> #1 network app_default ensure-network (missing)
    [1] -> #2 app/1 create-container (missing)
    [2] -> #3 proxy/1 create-container (missing)
    [2] -> #4 app/1 start-container (missing)
    [3,4] -> #5 proxy/1 start-container (missing)
    ");
    let (owner, proxy) = (world.spec("app-app-1"), world.spec("app-proxy-1"));
    assert_eq!(proxy.network_of, Some(owner.id));
    assert_eq!(proxy.hostname, owner.hostname);
    assert!(proxy.endpoints.is_empty());
}

#[test]
fn a_container_can_be_named_as_owner_of_the_network() {
    let mut world = World::new().with("services: {app: }");
    assert_snapshot!(world.would("services: {app: , side: {network_mode: {container: app-app-1}}}"), @r"
    [] -> #1 side/1 create-container (missing)
    [1] -> #2 side/1 start-container (missing)
    ");
    assert_snapshot!(world.would("services: {app: , side: {network_mode: {container: nobody}}}"), @r#"
    error: service side shares the network of container "nobody", which does not exist
    "#);
}

#[test]
fn more_containers_than_a_project_can_have() {
    let mut world = World::new();
    world.wishes.scale = vec![("web", u32::MAX), ("api", 5)];
    assert_snapshot!(world.plan("services: {web: {}, api: {}}").errors[0], @"4294967300 containers are wanted, 4294967295 of them for service web; a project has at most 10000");
    assert_snapshot!(World::new().plan("services: {web: {scale: 6000}, api: {scale: 6000}}").errors[0], @"12000 containers are wanted, 6000 of them for service api; a project has at most 10000");
}

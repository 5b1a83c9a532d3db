//! What differs is made anew, and nothing else.

use insta::assert_snapshot;

use super::*;

pub(super) const VOLUME: &str =
    "volumes: [{target: /data, read_only: false, kind: {type: volume, source: null, nocopy: false, subpath: null}}]";

#[test]
fn a_changed_service_is_made_anew_and_keeps_its_address() {
    let mut world = World::new().with("services: {db: , web: {depends_on: {db: }}}");
    let (before, id) = (world.address("app-db-1"), world.spec("app-db-1").id);
    assert_snapshot!(world.up("services: {db: {environment: {A: b}}, web: {depends_on: {db: }}}"), @r"
    [] -> #1 db/1 stop-container (configuration changed)
    [1] -> #2 db/1 remove-container (configuration changed)
    [2] -> #3 db/1 create-container (configuration changed)
    [3] -> #4 db/1 start-container (configuration changed)
    ");
    assert_eq!(world.address("app-db-1"), before);
    assert_ne!(world.spec("app-db-1").id, id);
}

#[test]
fn a_changed_image_is_seen_by_its_digest() {
    let mut world = World::new().with("services: {web: }");
    world.image("img", ImageConfig { cmd: vec!["other".into()], ..ImageConfig::default() });
    assert_snapshot!(world.up("services: {web: }"), @r"
    [] -> #1 web/1 stop-container (image changed)
    [1] -> #2 web/1 remove-container (image changed)
    [2] -> #3 web/1 create-container (image changed)
    [3] -> #4 web/1 start-container (image changed)
    ");
}

#[test]
fn dependents_stop_before_what_they_depend_on() {
    let mut world = World::new().with("services: {db: , web: {depends_on: {db: }}}");
    world.wishes.recreate = Recreate::Force;
    assert_snapshot!(world.up("services: {db: , web: {depends_on: {db: }}}"), @r"
    [] -> #1 web/1 stop-container (forced)
    [1] -> #2 web/1 remove-container (forced)
    [~1] -> #3 db/1 stop-container (forced)
    [3] -> #4 db/1 remove-container (forced)
    [4] -> #5 db/1 create-container (forced)
    [2] -> #6 web/1 create-container (forced)
    [5] -> #7 db/1 start-container (forced)
    [6,7] -> #8 web/1 start-container (forced)
    ");
}

#[test]
fn force_takes_only_the_named_services() {
    let mut world = World::new().with("services: {db: , web: {depends_on: {db: }}}");
    world.wishes = Wishes { recreate: Recreate::Force, services: vec!["web"], ..Wishes::default() };
    assert_snapshot!(world.up("services: {db: , web: {depends_on: {db: }}}"), @r"
    [] -> #1 web/1 stop-container (forced)
    [1] -> #2 web/1 remove-container (forced)
    [2] -> #3 web/1 create-container (forced)
    [3] -> #4 web/1 start-container (forced)
    ");
}

#[test]
fn dependents_follow_where_the_file_says_so() {
    let yaml = |value: &str| {
        format!(
            "services: {{db: {{environment: {{A: '{value}'}}, healthcheck: {{test: {{shell: x}}}}}},
             api: {{depends_on: {{db: {{restart: true, condition: service_healthy}}}}}},
             web: {{depends_on: {{api: {{restart: true}}}}}}, other: {{depends_on: {{db: }}}}}}"
        )
    };
    let mut world = World::new().with(&yaml("1"));
    assert_snapshot!(world.up(&yaml("2")), @r"
    [] -> #1 web/1 stop-container (api restarts)
    [~1] -> #2 api/1 stop-container (db restarts)
    [~2] -> #3 db/1 stop-container (configuration changed)
    [3] -> #4 db/1 remove-container (configuration changed)
    [4] -> #5 db/1 create-container (configuration changed)
    [5] -> #6 db/1 start-container (configuration changed)
    [6] -> #7 db await service_healthy (needed by api)
    [2,7] -> #8 api/1 start-container (db restarts)
    [1,8] -> #9 web/1 start-container (api restarts)
    ");
}

#[test]
fn no_recreate_keeps_what_differs() {
    let mut world = World::new().with("services: {web: }");
    world.wishes.recreate = Recreate::Never;
    assert_snapshot!(world.up("services: {web: {tty: true}, new: }"), @r"
    [] -> #1 new/1 create-container (missing)
    [1] -> #2 new/1 start-container (missing)
    ");
}

#[test]
fn anonymous_volumes_are_inherited() {
    let yaml = |tty| format!("services: {{db: {{tty: {tty}, {VOLUME}}}}}");
    let mut world = World::new().with(&yaml(false));
    let volume = |world: &mut World| world.spec("app-db-1").mounts[0].clone();
    let before = volume(&mut world);
    assert_snapshot!(world.up(&yaml(true)), @r"
    [] -> #1 db/1 stop-container (configuration changed)
    [1] -> #2 db/1 remove-container (configuration changed)
    [2] -> #3 db/1 create-container (configuration changed)
    [3] -> #4 db/1 start-container (configuration changed)
    ");
    assert_eq!(volume(&mut world), before);
    world.wishes.renew_anon_volumes = true;
    assert_snapshot!(world.up(&yaml(false)), @r"
    [] -> #1 db/1 stop-container (configuration changed)
    [1] -> #2 db/1 remove-container with 1 volumes (configuration changed)
    [2] -> #3 db/1 create-container (configuration changed)
    [3] -> #4 db/1 start-container (configuration changed)
    ");
    assert_ne!(volume(&mut world), before);
}

#[test]
fn scaling_up_takes_the_next_numbers() {
    let mut world = World::new().with("services: {web: }");
    world.wishes.scale = vec![("web", 3)];
    assert_snapshot!(world.up("services: {web: }"), @r"
    [] -> #1 web/2 create-container (missing)
    [] -> #2 web/3 create-container (missing)
    [1] -> #3 web/2 start-container (missing)
    [2] -> #4 web/3 start-container (missing)
    ");
}

#[test]
fn scaling_down_removes_the_highest_numbers() {
    let mut world = World::new().with("services: {web: {scale: 3}}");
    assert_snapshot!(world.up("services: {web: {scale: 1}}"), @r"
    [] -> #1 web/3 stop-container (scaled down)
    [1] -> #2 web/3 remove-container (scaled down)
    [] -> #3 web/2 stop-container (scaled down)
    [3] -> #4 web/2 remove-container (scaled down)
    ");
    assert_snapshot!(world.up("services: {web: {scale: 0}}"), @r"
    [] -> #1 web/1 stop-container (scaled down)
    [1] -> #2 web/1 remove-container (scaled down)
    ");
}

#[test]
fn scaling_down_removes_the_outdated_first() {
    let mut world = World::new().with("services: {web: {scale: 3}}");
    let web = &mut world.container("app-web-1").spec;
    web.labels.insert(super::super::labels::CONFIG_HASH.into(), "old".into());
    web.shape = "old".into();
    assert_snapshot!(world.up("services: {web: {scale: 2}}"), @r"
    [] -> #1 web/1 stop-container (scaled down)
    [1] -> #2 web/1 remove-container (scaled down)
    ");
}

#[test]
fn an_interrupted_creation_is_done_anew() {
    let mut world = World::new().with("services: {web: }");
    world.container("app-web-1").state = ContainerState::Incomplete;
    assert_snapshot!(world.up("services: {web: }"), @r"
    [] -> #1 web/1 remove-container (incomplete)
    [1] -> #2 web/1 create-container (incomplete)
    [2] -> #3 web/1 start-container (incomplete)
    ");
}

#[test]
fn who_shares_a_namespace_is_made_anew_with_its_owner() {
    let yaml = |tty| format!("services: {{app: {{tty: {tty}}}, side: {{network_mode: {{service: app}}}}}}");
    let mut world = World::new().with(&yaml(false));
    assert_snapshot!(world.up(&yaml(true)), @r"
    [] -> #1 side/1 stop-container (shares the network of app)
    [1] -> #2 side/1 remove-container (shares the network of app)
    [~1] -> #3 app/1 stop-container (configuration changed)
    [3] -> #4 app/1 remove-container (configuration changed)
    [4] -> #5 app/1 create-container (configuration changed)
    [2,5] -> #6 side/1 create-container (shares the network of app)
    [5] -> #7 app/1 start-container (configuration changed)
    [6,7] -> #8 side/1 start-container (shares the network of app)
    ");
}

#[test]
fn who_shares_a_namespace_is_started_again_with_its_owner() {
    let yaml = "services: {app: , side: {network_mode: {service: app}}}";
    let mut world = World::new().with(yaml);
    world.container("app-app-1").state = ContainerState::Exited(137);
    assert_snapshot!(world.up(yaml), @r"
    [] -> #1 side/1 stop-container (shares the network of app)
    [] -> #2 app/1 start-container (not running)
    [1,2] -> #3 side/1 start-container (shares the network of app)
    ");
}

#[test]
fn a_name_can_move_to_another_service() {
    let mut world = World::new().with("services: {a: {container_name: main}, b: }");
    assert_snapshot!(world.up("services: {a: , b: {container_name: main}}"), @r"
    [] -> #1 b/1 stop-container (configuration changed)
    [1] -> #2 b/1 remove-container (configuration changed)
    [] -> #3 a/1 stop-container (configuration changed)
    [3] -> #4 a/1 remove-container (configuration changed)
    [4] -> #5 a/1 create-container (configuration changed)
    [2,4] -> #6 b/1 create-container (configuration changed)
    [5] -> #7 a/1 start-container (configuration changed)
    [6] -> #8 b/1 start-container (configuration changed)
    ");
}

#[test]
fn another_network_is_joined() {
    let mut world = World::new().with("{services: {web: {networks: {a: }}}, networks: {a: , b: }}");
    assert_snapshot!(world.up("{services: {web: {networks: {a: , b: }}}, networks: {a: , b: }}"), @r"
    [] -> #1 network app_b ensure-network (missing)
    [1] -> #2 web/1 update-container networks.app_b (configuration changed)
    ");
}

#[test]
fn a_renamed_network_is_joined_and_the_old_one_left() {
    let mut world = World::new().with("{services: {web: {networks: {a: }}}, networks: {a: }}");
    assert_snapshot!(world.up("{services: {web: {networks: {a: }}}, networks: {a: {name: other}}}"), @r"
    [] -> #1 network other ensure-network (missing)
    [1] -> #2 web/1 update-container networks.other default_route networks.app_a (network other changed)
    ");
}

#[test]
fn a_renamed_volume_makes_containers_anew_and_keeps_the_old_one() {
    let yaml = |name: &str| {
        let kind = "kind: {type: volume, source: data, nocopy: false, subpath: null}";
        format!(
            "{{services: {{db: {{volumes: [{{target: /data, read_only: false, {kind}}}]}}}}, volumes: {{data: {{name: {name}}}}}}}"
        )
    };
    let mut world = World::new().with(&yaml("one"));
    assert_snapshot!(world.up(&yaml("two")), @r"
    [] -> #1 db/1 stop-container (volume at /data changed)
    [1] -> #2 db/1 remove-container (volume at /data changed)
    [] -> #3 volume two ensure-volume (missing)
    [2,3] -> #4 db/1 create-container (volume at /data changed)
    [4] -> #5 db/1 start-container (volume at /data changed)
    ");
    assert_eq!(world.observed.volumes.len(), 2);
}

#[test]
fn a_changed_volume_is_kept_and_reported() {
    let yaml = |labels: &str| {
        let kind = "kind: {type: volume, source: data, nocopy: false, subpath: null}";
        format!(
            "{{services: {{db: {{volumes: [{{target: /data, read_only: false, {kind}}}]}}}}, volumes: {{data: {{labels: {labels}}}}}}}"
        )
    };
    let mut world = World::new().with(&yaml("{}"));
    assert_snapshot!(world.up(&yaml("{a: b}")), @"note: volume app_data exists with another definition; it is used as it is, so that no data is lost");
}

#[test]
fn the_hash_ignores_what_needs_no_new_container() {
    let hash = |yaml: &str| super::super::service_hash(&project(yaml).services[0]);
    let plain = hash("services: {web: }");
    assert_eq!(
        hash(
            "services: {web: {scale: 5, pull_policy: always, profiles: [a], attach: false, depends_on: {db: }}, db: }"
        ),
        plain
    );
    assert_ne!(hash("services: {web: {command: [a]}}"), plain);
    assert_ne!(hash("services: {web: {command: []}}"), plain);
    assert_eq!(
        hash("services: {web: {environment: {A: '1', B: '2'}, networks: {x: , y: }}}"),
        hash("services: {web: {networks: {y: , x: }, environment: {B: '2', A: '1'}}}"),
    );
}

#[test]
fn the_hash_is_the_same_in_every_version() {
    let yaml = "services: {web: {command: [a, b], environment: {A: '1'}, restart: always}}";
    assert_snapshot!(super::super::service_hash(&project(yaml).services[0]), @"a23173fb12063e16b555206a7f62299ab08e747230f8dcd1adc413a08145747c");
}

//! What a plan means to a person.

use insta::assert_snapshot;

use super::super::review::{Effect, Review, review};
use super::*;

/// Returns the review of `up`, a line per resource and its changes below it.
fn told(world: &mut World, yaml: &str) -> String {
    let plan = world.plan(yaml);
    text(&review(&plan, &world.observed, &[]))
}

fn text(review: &Review) -> String {
    crate::schemas::check("plan", &serde_json::to_value(review).unwrap());
    let mut text = String::new();
    for resource in &review.resources {
        text += &format!("{:?} {} {:?} ({})\n", resource.kind, resource.name, resource.effect, resource.cause);
        for change in &resource.changes {
            text += &format!("  {}: {:?} -> {:?}\n", change.field, change.before, change.after);
        }
        for name in &resource.bounces {
            text += &format!("  stops {name}\n");
        }
        for lost in &resource.loses {
            text += &format!("  loses {lost}\n");
        }
    }
    text
}

#[test]
fn everything_is_new_at_first_and_nothing_changes_after() {
    let mut world = World::new();
    let yaml = "{services: {web: , db: {volumes: [{target: /d, read_only: false, kind: {type: volume, source: data, nocopy: false, subpath: null}}]}}, volumes: {data: }}";
    assert_snapshot!(told(&mut world, yaml), @r"
    Network app_default Create (missing)
    Volume app_data Create (missing)
    Container app-web-1 Create (missing)
    Container app-db-1 Create (missing)
    ");
    let mut world = world.with(yaml);
    let plan = world.plan(yaml);
    let again = review(&plan, &world.observed, &[]);
    assert_eq!(again.changes(), 0);
    assert_snapshot!(text(&again), @r"
    Container app-web-1 None ()
    Container app-db-1 None ()
    ");
}

#[test]
fn changes_are_told_in_the_words_of_the_file_and_secrets_are_not() {
    let mut world = World::new().with(
        "services: {web: {environment: {A: '1', B: '2', DB_PASSWORD: x}, command: [serve, a b], labels: {l: '1'}}}",
    );
    assert_snapshot!(told(&mut world,
        "services: {web: {environment: {A: '2', C: '3', DB_PASSWORD: y}, command: [serve, c], labels: {l: '2'}, read_only: true,
          ports: [{target: 80, published: {start: 8080, end: 8080}, host_ip: 127.0.0.1, protocol: tcp}],
          restart: always, healthcheck: {test: {shell: curl localhost}}}}"), @r#"
    Container app-web-1 Recreate (configuration changed)
      command: Some("serve \"a b\"") -> Some("serve c")
      environment.A: Some("1") -> Some("2")
      environment.C: None -> Some("3")
      environment.DB_PASSWORD: Some("***") -> Some("***")
      labels.l: Some("1") -> Some("2")
      ports.80/tcp: None -> Some("127.0.0.1:8080")
      read_only: None -> Some("true")
      restart: Some("no") -> Some("always")
      healthcheck.test: None -> Some("\"curl localhost\"")
      healthcheck.interval: None -> Some("30s")
      healthcheck.timeout: None -> Some("30s")
      healthcheck.start_period: None -> Some("0s")
      healthcheck.start_interval: None -> Some("5s")
      healthcheck.retries: None -> Some("3")
      environment.B: Some("2") -> None
    "#);
}

#[test]
fn a_new_image_is_told_by_its_digest() {
    let mut world = World::new().with("services: {web: }");
    world.image("img", ImageConfig { cmd: vec!["other".into()], ..ImageConfig::default() });
    assert_snapshot!(told(&mut world, "services: {web: }"), @r#"
    Container app-web-1 Recreate (image changed)
      image: Some("img (f449226f934b)") -> Some("img (ad2a9e3f5236)")
      command: Some("run") -> Some("other")
    "#);
}

#[test]
fn who_else_stops_is_named() {
    let yaml = |value: &str| {
        format!(
            "services: {{db: {{environment: {{A: '{value}'}}}}, web: {{depends_on: {{db: {{restart: true}}}}}},
             side: {{network_mode: {{service: db}}}}, other: {{depends_on: {{db: }}}}}}"
        )
    };
    let mut world = World::new().with(&yaml("1"));
    assert_snapshot!(told(&mut world, &yaml("2")), @r#"
    Container app-side-1 Recreate (shares the network of db)
    Container app-web-1 Restart (db restarts)
    Container app-db-1 Recreate (configuration changed)
      environment.A: Some("1") -> Some("2")
      stops app-side-1
      stops app-web-1
    Container app-other-1 None ()
    "#);
}

#[test]
fn data_that_goes_is_named() {
    let mut world = World::new().with(&format!("services: {{web: {{{}}}}}", super::change::VOLUME));
    world.wishes.renew_anon_volumes = true;
    world.wishes.recreate = Recreate::Force;
    assert_snapshot!(told(&mut world, &format!("services: {{web: {{{}}}}}", super::change::VOLUME)), @r"
    Container app-web-1 Recreate (forced)
      loses the anonymous volume at /data
    ");
}

#[test]
fn fewer_replicas_a_stopped_service_and_a_changed_network() {
    let mut world = World::new().with("services: {web: {scale: 2}, job: }").exit("app-job-1", 1);
    assert_snapshot!(told(&mut world, "{services: {web: {scale: 1}, job: }, networks: {default: {internal: true}}}"), @r#"
    Network app_default Recreate (network app_default changed)
      internal: None -> Some("true")
      stops app-web-1
    Container app-job-1 Recreate (network app_default changed)
      default_route: Some("app_default") -> None
    Container app-web-2 Remove (scaled down)
    Container app-web-1 Recreate (network app_default changed)
      default_route: Some("app_default") -> None
    "#);
}

#[test]
fn a_world_that_moved_is_noticed() {
    let yaml = "services: {web: {environment: {A: '1'}}, db: }";
    let mut world = World::new();
    let plan = world.plan(yaml);
    let then = review(&plan, &world.observed, &[]);
    // Ids are new with every plan; nothing else is.
    let plan = world.plan(yaml);
    assert_eq!(then.moved(&review(&plan, &world.observed, &[])), []);
    let mut world = world.with("services: {web: {environment: {A: '0'}}}");
    let plan = world.plan(yaml);
    let now = review(&plan, &world.observed, &[]);
    let moved: Vec<_> = then.moved(&now).into_iter().map(|(_, name)| name).collect();
    assert_eq!(moved, ["app_default", "app-web-1"]);
    // What was to be fetched is known only afterwards.
    let plan = world.plan(yaml);
    let pulls = review(&plan, &world.observed, &["img".to_owned()]);
    assert_eq!(pulls.resources[0].effect, Effect::Pull);
    assert_eq!(pulls.moved(&now), []);
}

#[test]
fn ports_must_be_free_unless_who_goes_has_them() {
    let port = |number: u16| {
        format!("{{target: 80, published: {{start: {number}, end: {number}}}, host_ip: null, protocol: tcp}}")
    };
    let yaml = |web: u16, other: u16| {
        format!("services: {{web: {{ports: [{}]}}, other: {{ports: [{}]}}}}", port(web), port(other))
    };
    let needed = |world: &mut World, yaml: &str| {
        let plan = world.plan(yaml);
        let ports = super::super::needs::ports(&plan, &world.observed);
        ports.into_iter().map(|(name, port)| format!("{name} {}", port.host_port.start)).collect::<Vec<_>>().join(", ")
    };
    let mut world = World::new();
    assert_eq!(needed(&mut world, &yaml(80, 81)), "app-web-1 80, app-other-1 81");
    let mut world = world.with(&yaml(80, 81));
    assert_eq!(needed(&mut world, &yaml(80, 81)), "");
    // Two that swap their ports wait for each other's; a third is new.
    assert_eq!(needed(&mut world, &yaml(81, 80)), "");
    assert_eq!(needed(&mut world, &yaml(80, 82)), "app-other-1 82");
    let mut world = world.exit("app-web-1", 1);
    assert_eq!(needed(&mut world, &yaml(80, 81)), "app-web-1 80");
}

//! Replacing replicas by and by.

use insta::assert_snapshot;

use super::*;

/// Returns a service with so many replicas and this `update_config`.
fn web(scale: u32, config: &str, rest: &str) -> String {
    format!("services: {{web: {{scale: {scale}, deploy: {{update_config: {{{config}}}}}{rest}}}}}")
}

/// Returns the plan that replaces its replicas.
fn update(scale: u32, config: &str, rest: &str) -> String {
    let mut world = World::new().with(&web(scale, config, rest));
    world.up(&web(scale, config, &format!("{rest}, tty: true")))
}

const PROBED: &str = ", healthcheck: {test: {shell: x}}";

#[test]
fn one_replica_is_watched() {
    assert_snapshot!(update(1, "monitor: 5s", ""), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    [~4] -> #5 web watch app-web-1 monitor 5s (update)
    ");
}

#[test]
fn one_after_the_other_is_the_default() {
    assert_snapshot!(update(2, "", ""), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    [~4] -> #5 web watch app-web-1 (update)
    [5] -> #6 web/2 stop-container (configuration changed)
    [6] -> #7 web/2 remove-container (configuration changed)
    [7] -> #8 web/2 create-container (configuration changed)
    [8] -> #9 web/2 start-container (configuration changed)
    [~5,~9] -> #10 web watch app-web-1 app-web-2 (update)
    ");
}

#[test]
fn batches_have_their_size_and_a_pause_between_them() {
    assert_snapshot!(update(3, "parallelism: 2, delay: 10s", ""), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [] -> #3 web/2 stop-container (configuration changed)
    [3] -> #4 web/2 remove-container (configuration changed)
    [2] -> #5 web/1 create-container (configuration changed)
    [4] -> #6 web/2 create-container (configuration changed)
    [5] -> #7 web/1 start-container (configuration changed)
    [6] -> #8 web/2 start-container (configuration changed)
    [~7,~8] -> #9 web watch app-web-1 app-web-2 delay 10s (update)
    [9] -> #10 web/3 stop-container (configuration changed)
    [10] -> #11 web/3 remove-container (configuration changed)
    [11] -> #12 web/3 create-container (configuration changed)
    [12] -> #13 web/3 start-container (configuration changed)
    [~9,~13] -> #14 web watch app-web-1 app-web-2 app-web-3 (update)
    ");
}

#[test]
fn all_at_once_is_one_batch() {
    assert_snapshot!(update(2, "parallelism: 0, delay: 10s", ""), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [] -> #3 web/2 stop-container (configuration changed)
    [3] -> #4 web/2 remove-container (configuration changed)
    [2] -> #5 web/1 create-container (configuration changed)
    [4] -> #6 web/2 create-container (configuration changed)
    [5] -> #7 web/1 start-container (configuration changed)
    [6] -> #8 web/2 start-container (configuration changed)
    [~7,~8] -> #9 web watch app-web-1 app-web-2 (update)
    ");
}

#[test]
fn so_many_may_fail_and_an_update_may_go_on() {
    assert_snapshot!(update(2, "max_failure_ratio: 0.5", ""), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    [~4] -> #5 web watch app-web-1 tolerates 1 (update)
    [5] -> #6 web/2 stop-container (configuration changed)
    [6] -> #7 web/2 remove-container (configuration changed)
    [7] -> #8 web/2 create-container (configuration changed)
    [8] -> #9 web/2 start-container (configuration changed)
    [~5,~9] -> #10 web watch app-web-1 app-web-2 tolerates 1 (update)
    ");
    assert_snapshot!(update(2, "failure_action: continue", ""), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    [~4] -> #5 web watch app-web-1 (update)
    [~5] -> #6 web/2 stop-container (configuration changed)
    [6] -> #7 web/2 remove-container (configuration changed)
    [7] -> #8 web/2 create-container (configuration changed)
    [8] -> #9 web/2 start-container (configuration changed)
    [~5,~9] -> #10 web watch app-web-1 app-web-2 (update)
    ");
}

#[test]
fn the_new_one_starts_first_and_takes_over() {
    assert_snapshot!(update(1, "order: start-first", PROBED), @r"
    [] -> #1 web/2 create-container (configuration changed)
    [1] -> #2 web/2 start-container (configuration changed)
    [~2] -> #3 web watch app-web-2 (update)
    [2,3] -> #4 web/1 hand-over to 2 (update)
    [4] -> #5 web/1 stop-container (configuration changed)
    [5] -> #6 web/1 remove-container (configuration changed)
    ");
    assert_snapshot!(update(2, "order: start-first", ""), @r"
    [] -> #1 web/3 create-container (configuration changed)
    [] -> #2 web/4 create-container (configuration changed)
    [1] -> #3 web/3 start-container (configuration changed)
    [~3] -> #4 web watch app-web-3 (update)
    [3,4] -> #5 web/1 hand-over to 3 (update)
    [5] -> #6 web/1 stop-container (configuration changed)
    [6] -> #7 web/1 remove-container (configuration changed)
    [2,4,~7] -> #8 web/4 start-container (configuration changed)
    [~4,~8] -> #9 web watch app-web-3 app-web-4 (update)
    [8,9] -> #10 web/2 hand-over to 4 (update)
    [10] -> #11 web/2 stop-container (configuration changed)
    [11] -> #12 web/2 remove-container (configuration changed)
    ");
}

#[test]
fn the_lowest_free_number_is_used_again() {
    let config = "order: start-first";
    let mut world = World::new().with(&web(1, config, ""));
    world.up(&web(1, config, ", tty: true"));
    assert_eq!(world.observed.containers[0].spec.name, "app-web-2");
    assert_snapshot!(world.up(&web(1, config, "")), @r"
    [] -> #1 web/1 create-container (configuration changed)
    [1] -> #2 web/1 start-container (configuration changed)
    [~2] -> #3 web watch app-web-1 (update)
    [2,3] -> #4 web/2 hand-over to 1 (update)
    [4] -> #5 web/2 stop-container (configuration changed)
    [5] -> #6 web/2 remove-container (configuration changed)
    ");
    assert_eq!(world.observed.containers[0].spec.name, "app-web-1");
    assert_snapshot!(world.up(&web(3, config, "")), @r"
    [] -> #1 web/2 create-container (missing)
    [] -> #2 web/3 create-container (missing)
    [1] -> #3 web/2 start-container (missing)
    [2] -> #4 web/3 start-container (missing)
    ");
}

#[test]
fn one_that_does_not_run_is_not_waited_for() {
    let mut world = World::new().with(&web(1, "order: start-first", "")).exit("app-web-1", 1);
    assert_snapshot!(world.up(&web(1, "order: start-first", ", tty: true")), @r"
    [] -> #1 web/1 remove-container (configuration changed)
    [1] -> #2 web/1 create-container (configuration changed)
    [2] -> #3 web/1 start-container (configuration changed)
    [~3] -> #4 web watch app-web-1 (update)
    ");
}

#[test]
fn start_first_cannot_be_with_more_ports_than_can_be_handed_over() {
    let ports = |count: u16| {
        let port = |n| format!("{{target: {n}, published: {{start: {n}, end: {n}}}, host_ip: null, protocol: tcp}}");
        let ports: Vec<_> = (1..=count).map(port).collect();
        format!(", ports: [{}]", ports.join(", "))
    };
    let note = "note: the old containers of web stop before the new ones start: its published ports are more than";
    assert!(!update(1, "order: start-first", &ports(125)).contains("note"));
    assert!(update(1, "order: start-first", &ports(126)).contains(note));
    // Also where only the old one has so many.
    let mut world = World::new().with(&web(1, "order: start-first", &ports(126)));
    assert!(world.up(&web(1, "order: start-first", &ports(1))).contains(note));
}

#[test]
fn start_first_cannot_be_with_a_name_or_an_address_of_its_own() {
    assert_snapshot!(update(1, "order: start-first", ", container_name: x"), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    [~4] -> #5 web watch x (update)
    note: the old containers of web stop before the new ones start: it has a container_name
    ");
    let yaml = |tty: bool| {
        format!(
            "{{services: {{web: {{tty: {tty}, deploy: {{update_config: {{order: start-first}}}}, networks: {{a: {{ipv4_address: 10.1.0.9}}}}}}}}, networks: {{a: {{ipam: {{config: [{{subnet: 10.1.0.0/24, gateway: null, ip_range: null}}]}}}}}}}}"
        )
    };
    let mut world = World::new().with(&yaml(false));
    assert_snapshot!(world.up(&yaml(true)), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    [~4] -> #5 web watch app-web-1 (update)
    note: the old containers of web stop before the new ones start: it has a static address
    ");
}

#[test]
fn a_network_that_is_made_anew_is_left_by_all_first() {
    let yaml = |internal: bool| {
        format!(
            "{{services: {{web: {{scale: 2, deploy: {{update_config: {{order: start-first}}}}, networks: {{a: }}}}}}, networks: {{a: {{internal: {internal}}}}}}}"
        )
    };
    let mut world = World::new().with(&yaml(false));
    assert_snapshot!(world.up(&yaml(true)), @r"
    [] -> #1 web/1 stop-container (network app_a changed)
    [1] -> #2 web/1 remove-container (network app_a changed)
    [] -> #3 web/2 stop-container (network app_a changed)
    [3] -> #4 web/2 remove-container (network app_a changed)
    [2,4] -> #5 network app_a remove-network (network app_a changed)
    [5] -> #6 network app_a ensure-network (network app_a changed)
    [2,6] -> #7 web/1 create-container (network app_a changed)
    [4,6] -> #8 web/2 create-container (network app_a changed)
    [7] -> #9 web/1 start-container (network app_a changed)
    [8] -> #10 web/2 start-container (network app_a changed)
    ");
}

#[test]
fn what_an_interrupted_update_left_goes_once_the_new_one_does_well() {
    let config = "order: start-first";
    let mut world = World::new().with(&web(1, config, PROBED));
    let after = web(1, config, &format!("{PROBED}, tty: true"));
    let plan = world.plan(&after);
    let half = Plan { steps: plan.steps[..2].to_vec(), ..Plan::default() };
    fake::apply(&half, &mut world.observed);
    assert_snapshot!(world.would(&after), @r"
    [] -> #1 web watch app-web-2 (update)
    [1] -> #2 web/1 hand-over to 2 (update)
    [2] -> #3 web/1 stop-container (update)
    [3] -> #4 web/1 remove-container (update)
    ");
    // Also when the new one has failed; nothing is taken away before it runs.
    world.container("app-web-2").state = ContainerState::Exited(1);
    assert_snapshot!(world.would(&after), @r"
    [] -> #1 web/2 start-container (not running)
    [~1] -> #2 web watch app-web-2 (update)
    [1,2] -> #3 web/1 hand-over to 2 (update)
    [3] -> #4 web/1 stop-container (update)
    [4] -> #5 web/1 remove-container (update)
    ");
    // Back to what it was: the new one goes.
    assert_snapshot!(world.up(&web(1, config, PROBED)), @"[] -> #1 web/2 remove-container (scaled down)");
}

#[test]
fn dependents_wait_for_the_new_ones() {
    let yaml = |tty: bool| {
        format!(
            "services: {{db: {{scale: 2, tty: {tty}, deploy: {{update_config: {{order: start-first}}}}{PROBED}}},
                  web: {{depends_on: {{db: {{condition: service_healthy, restart: true}}}}}}}}"
        )
    };
    let mut world = World::new().with(&yaml(false));
    assert_snapshot!(world.up(&yaml(true)), @r"
    [] -> #1 web/1 stop-container (db restarts)
    [] -> #2 db/3 create-container (configuration changed)
    [] -> #3 db/4 create-container (configuration changed)
    [2] -> #4 db/3 start-container (configuration changed)
    [~4] -> #5 db watch app-db-3 (update)
    [4,5] -> #6 db/1 hand-over to 3 (update)
    [6] -> #7 db/1 stop-container (configuration changed)
    [7] -> #8 db/1 remove-container (configuration changed)
    [3,5,~8] -> #9 db/4 start-container (configuration changed)
    [4,9] -> #10 db await service_healthy (needed by web)
    [1,10] -> #11 web/1 start-container (db restarts)
    [~5,~9] -> #12 db watch app-db-3 app-db-4 (update)
    [9,12] -> #13 db/2 hand-over to 4 (update)
    [13] -> #14 db/2 stop-container (configuration changed)
    [14] -> #15 db/2 remove-container (configuration changed)
    ");
}

#[test]
fn what_it_depends_on_does_not_wait_for_later_batches() {
    let yaml = |tty: bool| {
        format!(
            "services: {{db: {{tty: {tty}}}, web: {{scale: 2, tty: {tty}, deploy: {{update_config: {{parallelism: 1}}}}, depends_on: {{db: }}}}}}"
        )
    };
    let mut world = World::new().with(&yaml(false));
    assert_snapshot!(world.up(&yaml(true)), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [~1] -> #3 db/1 stop-container (configuration changed)
    [3] -> #4 db/1 remove-container (configuration changed)
    [4] -> #5 db/1 create-container (configuration changed)
    [2] -> #6 web/1 create-container (configuration changed)
    [5] -> #7 db/1 start-container (configuration changed)
    [6,7] -> #8 web/1 start-container (configuration changed)
    [~8] -> #9 web watch app-web-1 (update)
    [9] -> #10 web/2 stop-container (configuration changed)
    [10] -> #11 web/2 remove-container (configuration changed)
    [11] -> #12 web/2 create-container (configuration changed)
    [7,12] -> #13 web/2 start-container (configuration changed)
    [~9,~13] -> #14 web watch app-web-1 app-web-2 (update)
    ");
}

#[test]
fn anonymous_volumes_go_from_the_old_to_the_new() {
    let yaml = |tty: bool| {
        format!(
            "services: {{web: {{tty: {tty}, deploy: {{update_config: {{order: start-first}}}}, {}}}}}",
            super::change::VOLUME
        )
    };
    let mut world = World::new().with(&yaml(false));
    let volume = world.spec("app-web-1").mounts[0].clone();
    assert_snapshot!(world.up(&yaml(true)), @r"
    [] -> #1 web/2 create-container (configuration changed)
    [1] -> #2 web/2 start-container (configuration changed)
    [~2] -> #3 web watch app-web-2 (update)
    [2,3] -> #4 web/1 hand-over to 2 (update)
    [4] -> #5 web/1 stop-container (configuration changed)
    [5] -> #6 web/1 remove-container (configuration changed)
    ");
    assert_eq!(world.spec("app-web-2").mounts[0], volume);
}

#[test]
fn nothing_that_is_new_or_changed_in_place_is_watched() {
    let mut world = World::new().with(&web(1, "", ""));
    assert_snapshot!(world.up(&web(2, "monitor: 5s", ", restart: always")), @r"
    [] -> #1 web/2 create-container (missing)
    [] -> #2 web/1 update-container restart (configuration changed)
    [1] -> #3 web/2 start-container (missing)
    ");
}

#[test]
fn no_start_replaces_all_at_once() {
    let mut world = World::new().with(&web(2, "order: start-first", ""));
    world.wishes.no_start = true;
    assert_snapshot!(world.up(&web(2, "order: start-first", ", tty: true")), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [] -> #3 web/2 stop-container (configuration changed)
    [3] -> #4 web/2 remove-container (configuration changed)
    [2] -> #5 web/1 create-container (configuration changed)
    [4] -> #6 web/2 create-container (configuration changed)
    ");
}

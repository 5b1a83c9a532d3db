//! What is changed while a container lives, and what is not.

use insta::assert_snapshot;

use super::*;
use crate::spec::Endpoint;

/// Returns the plan after a change that must not touch the container's id.
fn changes(before: &str, after: &str) -> String {
    let mut world = World::new().with(before);
    let id = world.spec("app-web-1").id;
    let text = world.up(after);
    assert_eq!(world.spec("app-web-1").id, id, "{text}");
    text
}

/// Returns the plan after a change that needs a new container.
fn replaces(before: &str, after: &str) -> String {
    let mut world = World::new().with(before);
    let id = world.spec("app-web-1").id;
    let text = world.up(after);
    assert_ne!(world.spec("app-web-1").id, id, "{text}");
    text
}

fn places(spec: &ContainerSpec) -> Vec<String> {
    let place = |e: &Endpoint| {
        let route = if e.default_route { " default" } else { "" };
        format!("{} {} {}{route}", e.interface, e.network, e.address)
    };
    spec.endpoints.iter().map(place).collect()
}

#[test]
fn limits() {
    assert_snapshot!(changes("services: {web: }", "services: {web: {mem_limit: 64mb, cpus: '1.5', pids_limit: 100}}"), @"[] -> #1 web/1 update-container mem_limit cpus pids_limit (configuration changed)");
    assert_snapshot!(changes("services: {web: {mem_limit: 64mb, cpuset: '0', cpu_shares: 512}}", "services: {web: }"), @"[] -> #1 web/1 update-container mem_limit cpu_shares cpuset (configuration changed)");
}

#[test]
fn a_limit_that_running_processes_keep_needs_a_new_container() {
    assert_snapshot!(replaces("services: {web: }", "services: {web: {oom_score_adj: 100}}"), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    ");
}

#[test]
fn restart_policy_and_how_it_stops() {
    assert_snapshot!(changes("services: {web: }", "services: {web: {restart: always, stop_signal: 2, stop_grace_period: 1s}}"), @"[] -> #1 web/1 update-container stop_signal stop_grace_period restart (configuration changed)");
}

#[test]
fn labels() {
    assert_snapshot!(changes("services: {web: {labels: {a: '1', b: '2'}}}", "services: {web: {labels: {a: '2', c: ''}}}"), @"[] -> #1 web/1 update-container labels.a labels.c labels.b (configuration changed)");
}

#[test]
fn what_is_exposed() {
    assert_snapshot!(changes("services: {web: }", "services: {web: {expose: ['80']}}"), @"[] -> #1 web/1 update-container expose (configuration changed)");
}

#[test]
fn a_health_check_that_dependents_wait_for_is_waited_for_again() {
    let yaml = |test: &str, other: &str| {
        format!(
            "services: {{web: {{healthcheck: {{test: {{shell: {test}}}}}}}, next: {{depends_on: {{web: {{condition: service_healthy}}}}{other}}}}}"
        )
    };
    assert_snapshot!(changes(&yaml("one", ""), &yaml("two", "")), @"[] -> #1 web/1 update-container healthcheck.test (configuration changed)");
    assert_snapshot!(changes(&yaml("one", ""), &yaml("two", ", tty: true")), @r"
    [] -> #1 next/1 stop-container (configuration changed)
    [1] -> #2 next/1 remove-container (configuration changed)
    [2] -> #3 next/1 create-container (configuration changed)
    [] -> #4 web/1 update-container healthcheck.test (configuration changed)
    [4] -> #5 web await service_healthy (needed by next)
    [3,5] -> #6 next/1 start-container (configuration changed)
    ");
}

#[test]
fn a_health_check_comes_and_goes() {
    let with = "services: {web: {healthcheck: {test: {shell: x}}}}";
    assert_snapshot!(changes("services: {web: }", with), @"[] -> #1 web/1 update-container healthcheck.test healthcheck.interval healthcheck.timeout healthcheck.start_period healthcheck.start_interval healthcheck.retries (configuration changed)");
    assert_snapshot!(changes(with, "services: {web: }"), @"[] -> #1 web/1 update-container healthcheck.test healthcheck.interval healthcheck.timeout healthcheck.start_period healthcheck.start_interval healthcheck.retries (configuration changed)");
}

#[test]
fn what_it_depends_on() {
    assert_snapshot!(changes("services: {web: , db: }", "services: {web: {depends_on: {db: {restart: true}}}, db: }"), @"[] -> #1 web/1 update-container depends_on.db (configuration changed)");
}

#[test]
fn the_file_moves() {
    let mut world = World::new().with("services: {web: }");
    let mut moved = project("services: {web: }");
    moved.working_dir = "/elsewhere".into();
    assert_snapshot!(world.plan_project(&moved).to_string(), @"");
}

#[test]
fn what_no_container_has_changes_only_the_hash() {
    assert_snapshot!(changes("services: {web: }", "services: {web: {annotations: {a: b}}}"), @"[] -> #1 web/1 update-container (configuration changed)");
}

#[test]
fn a_container_that_is_down_is_changed_and_started() {
    let mut world = World::new().with("services: {web: }").exit("app-web-1", 1);
    assert_snapshot!(world.up("services: {web: {restart: always}}"), @r"
    [] -> #1 web/1 update-container restart (configuration changed)
    [1] -> #2 web/1 start-container (not running)
    ");
}

#[test]
fn create_changes_what_is_there_too() {
    let mut world = World::new().with("services: {web: }");
    world.wishes.no_start = true;
    assert_snapshot!(world.up("services: {web: {mem_limit: 64mb}}"), @"[] -> #1 web/1 update-container mem_limit (configuration changed)");
}

#[test]
fn one_that_follows_a_dependency_is_changed_while_it_is_down() {
    let yaml = |tty: bool, policy: &str| {
        format!("services: {{db: {{tty: {tty}}}, web: {{depends_on: {{db: {{restart: true}}}}, restart: {policy}}}}}")
    };
    assert_snapshot!(changes(&yaml(false, "'no'"), &yaml(true, "always")), @r"
    [] -> #1 web/1 stop-container (db restarts)
    [~1] -> #2 db/1 stop-container (configuration changed)
    [2] -> #3 db/1 remove-container (configuration changed)
    [3] -> #4 db/1 create-container (configuration changed)
    [1] -> #5 web/1 update-container restart (configuration changed)
    [4] -> #6 db/1 start-container (configuration changed)
    [1,5,6] -> #7 web/1 start-container (db restarts)
    ");
}

#[test]
fn all_replicas() {
    assert_snapshot!(changes("services: {web: {scale: 2}}", "services: {web: {scale: 3, restart: always}}"), @r"
    [] -> #1 web/3 create-container (missing)
    [] -> #2 web/1 update-container restart (configuration changed)
    [] -> #3 web/2 update-container restart (configuration changed)
    [1] -> #4 web/3 start-container (missing)
    ");
}

#[test]
fn fewer_replicas() {
    assert_snapshot!(changes("services: {web: {scale: 2}}", "services: {web: {scale: 1, restart: always}}"), @r"
    [] -> #1 web/2 stop-container (scaled down)
    [1] -> #2 web/2 remove-container (scaled down)
    [] -> #3 web/1 update-container restart (configuration changed)
    ");
}

#[test]
fn what_can_and_what_cannot_together_need_a_new_container() {
    assert_snapshot!(replaces("services: {web: }", "services: {web: {restart: always, tty: true}}"), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    ");
}

#[test]
fn force_recreate_and_no_recreate_change_nothing_in_place() {
    let mut world = World::new().with("services: {web: }");
    world.wishes.recreate = Recreate::Never;
    assert_snapshot!(world.up("services: {web: {restart: always}}"), @"");
    world.wishes.recreate = Recreate::Force;
    assert_snapshot!(world.up("services: {web: {restart: always}}"), @r"
    [] -> #1 web/1 stop-container (forced)
    [1] -> #2 web/1 remove-container (forced)
    [2] -> #3 web/1 create-container (forced)
    [3] -> #4 web/1 start-container (forced)
    ");
}

#[test]
fn a_container_of_an_earlier_version_is_made_anew_once() {
    let mut world = World::new().with("services: {web: }");
    world.container("app-web-1").spec.shape = String::new();
    assert_snapshot!(world.up("services: {web: }"), @"");
    assert_snapshot!(world.up("services: {web: {restart: always}}"), @r"
    [] -> #1 web/1 stop-container (configuration changed)
    [1] -> #2 web/1 remove-container (configuration changed)
    [2] -> #3 web/1 create-container (configuration changed)
    [3] -> #4 web/1 start-container (configuration changed)
    ");
}

#[test]
fn a_change_that_was_interrupted_is_done_again() {
    let mut world = World::new().with("services: {web: }");
    world.container("app-web-1").spec.labels.remove(super::super::labels::CONFIG_HASH);
    assert_snapshot!(world.up("services: {web: }"), @"[] -> #1 web/1 update-container (configuration changed)");
}

const TWO_NETWORKS: &str = "networks: {a: , b: }";

#[test]
fn a_network_is_joined_with_the_next_interface() {
    let yaml = |networks: &str| format!("{{services: {{web: {{networks: {{{networks}}}}}}}, {TWO_NETWORKS}}}");
    let mut world = World::new().with(&yaml("b: "));
    assert_eq!(places(&world.spec("app-web-1")), ["eth0 app_b 172.17.0.2 default"]);
    assert_snapshot!(world.up(&yaml("b: {gw_priority: 1}, a: ")), @r"
    [] -> #1 network app_a ensure-network (missing)
    [1] -> #2 web/1 update-container networks.app_a (configuration changed)
    ");
    assert_eq!(places(&world.spec("app-web-1")), ["eth0 app_b 172.17.0.2 default", "eth1 app_a 172.18.0.2"]);
    assert_snapshot!(world.up(&yaml("b: , a: {gw_priority: 1}")), @"[] -> #1 web/1 update-container default_route (configuration changed)");
    assert_eq!(places(&world.spec("app-web-1")), ["eth0 app_b 172.17.0.2", "eth1 app_a 172.18.0.2 default"]);
    assert_snapshot!(world.up(&yaml("a: ")), @"[] -> #1 web/1 update-container networks.app_b (configuration changed)");
    assert_eq!(places(&world.spec("app-web-1")), ["eth1 app_a 172.18.0.2 default"]);
    world.up(&yaml("a: , b: {interface_name: back0}"));
    assert_eq!(places(&world.spec("app-web-1")), ["eth1 app_a 172.18.0.2 default", "back0 app_b 172.17.0.2"]);
}

#[test]
fn aliases_change_in_place() {
    let yaml = |aliases: &str| {
        format!("{{services: {{web: {{networks: {{a: {{aliases: [{aliases}]}}}}}}}}, networks: {{a: }}}}")
    };
    assert_snapshot!(changes(&yaml("x"), &yaml("y, z")), @"[] -> #1 web/1 update-container networks.app_a (configuration changed)");
}

#[test]
fn a_place_that_must_be_another_needs_a_new_container() {
    let yaml = |place: &str| {
        format!(
            "{{services: {{web: {{networks: {{a: {place}}}}}}}, networks: {{a: {{ipam: {{config: [{{subnet: 10.1.0.0/24, gateway: null, ip_range: null}}]}}}}}}}}"
        )
    };
    assert_snapshot!(replaces(&yaml(""), &yaml("{ipv4_address: 10.1.0.9}")), @r"
    [] -> #1 web/1 stop-container (network app_a changed)
    [1] -> #2 web/1 remove-container (network app_a changed)
    [2] -> #3 web/1 create-container (network app_a changed)
    [3] -> #4 web/1 start-container (network app_a changed)
    ");
    // As it is already.
    assert_snapshot!(changes(&yaml(""), &yaml("{ipv4_address: 10.1.0.2}")), @"[] -> #1 web/1 update-container (configuration changed)");
    assert_snapshot!(replaces(&yaml(""), &yaml("{interface_name: front}")), @r"
    [] -> #1 web/1 stop-container (network app_a changed)
    [1] -> #2 web/1 remove-container (network app_a changed)
    [2] -> #3 web/1 create-container (network app_a changed)
    [3] -> #4 web/1 start-container (network app_a changed)
    ");
    assert_snapshot!(replaces(&yaml(""), &yaml("{mac_address: '02:00:00:00:00:09'}")), @r"
    [] -> #1 web/1 stop-container (network app_a changed)
    [1] -> #2 web/1 remove-container (network app_a changed)
    [2] -> #3 web/1 create-container (network app_a changed)
    [3] -> #4 web/1 start-container (network app_a changed)
    ");
}

#[test]
fn published_ports_lead_to_the_network_that_they_led_to() {
    let port = "ports: [{target: 80, published: {start: 80, end: 80}, host_ip: null, protocol: tcp}]";
    let yaml = |networks: &str| format!("{{services: {{web: {{{port}, networks: {{{networks}}}}}}}, {TWO_NETWORKS}}}");
    assert_snapshot!(changes(&yaml("a: "), &yaml("a: , b: ")), @r"
    [] -> #1 network app_b ensure-network (missing)
    [1] -> #2 web/1 update-container networks.app_b (configuration changed)
    ");
    assert_snapshot!(replaces(&yaml("a: "), &yaml("b: ")), @r"
    [] -> #1 web/1 stop-container (network app_b changed)
    [1] -> #2 web/1 remove-container (network app_b changed)
    [] -> #3 network app_b ensure-network (missing)
    [2,3] -> #4 web/1 create-container (network app_b changed)
    [4] -> #5 web/1 start-container (network app_b changed)
    ");
}

#[test]
fn the_first_and_the_last_network_need_a_new_container() {
    let yaml = |networks: &str| format!("{{services: {{web: {{networks: {{{networks}}}}}}}, networks: {{a: }}}}");
    assert_snapshot!(replaces(&yaml(""), &yaml("a: ")), @r"
    [] -> #1 web/1 stop-container (network app_a changed)
    [1] -> #2 web/1 remove-container (network app_a changed)
    [] -> #3 network app_a ensure-network (missing)
    [2,3] -> #4 web/1 create-container (network app_a changed)
    [4] -> #5 web/1 start-container (network app_a changed)
    ");
    assert_snapshot!(replaces(&yaml("a: "), &yaml("")), @r"
    [] -> #1 web/1 stop-container (network app_a changed)
    [1] -> #2 web/1 remove-container (network app_a changed)
    [2] -> #3 web/1 create-container (network app_a changed)
    [3] -> #4 web/1 start-container (network app_a changed)
    ");
}

#[test]
fn the_hosts_address_in_its_files_is_that_of_its_network() {
    let yaml = |networks: &str| {
        format!("{{services: {{web: {{extra_hosts: [[up, null]], networks: {{{networks}}}}}}}, {TWO_NETWORKS}}}")
    };
    assert_snapshot!(replaces(&yaml("b: "), &yaml("a: , b: ")), @r"
    [] -> #1 web/1 stop-container (network app_a changed)
    [1] -> #2 web/1 remove-container (network app_a changed)
    [] -> #3 network app_a ensure-network (missing)
    [2,3] -> #4 web/1 create-container (network app_a changed)
    [4] -> #5 web/1 start-container (network app_a changed)
    ");
    assert_snapshot!(changes(&yaml("a: "), &yaml("a: , b: ")), @r"
    [] -> #1 network app_b ensure-network (missing)
    [1] -> #2 web/1 update-container networks.app_b (configuration changed)
    ");
}

#[test]
fn a_network_that_is_made_anew_is_not_left_in_place() {
    let yaml = |web: &str, internal: bool| {
        format!(
            "{{services: {{web: {{networks: {{{web}}}}}, other: {{networks: {{a: }}}}}}, networks: {{a: {{internal: {internal}}}, b: }}}}"
        )
    };
    assert_snapshot!(replaces(&yaml("a: , b: ", false), &yaml("b: ", true)), @r"
    [] -> #1 other/1 stop-container (network app_a changed)
    [1] -> #2 other/1 remove-container (network app_a changed)
    [] -> #3 web/1 stop-container (network app_a changed)
    [3] -> #4 web/1 remove-container (network app_a changed)
    [2,4] -> #5 network app_a remove-network (network app_a changed)
    [5] -> #6 network app_a ensure-network (network app_a changed)
    [4] -> #7 web/1 create-container (network app_a changed)
    [2,6] -> #8 other/1 create-container (network app_a changed)
    [7] -> #9 web/1 start-container (network app_a changed)
    [8] -> #10 other/1 start-container (network app_a changed)
    ");
}

#[test]
fn guests_of_its_network_stay_with_it() {
    let yaml = |networks: &str| {
        format!(
            "{{services: {{web: {{networks: {{{networks}}}}}, side: {{network_mode: {{service: web}}}}}}, {TWO_NETWORKS}}}"
        )
    };
    assert_snapshot!(changes(&yaml("a: "), &yaml("a: , b: ")), @r"
    [] -> #1 network app_b ensure-network (missing)
    [1] -> #2 web/1 update-container networks.app_b (configuration changed)
    ");
}

#[test]
fn an_address_that_is_free_only_then_is_joined_after_its_holder_goes() {
    let yaml = |web: &str, other: &str| {
        format!(
            "{{services: {{web: {{networks: {{b: {web}}}}}, other: {{{other}}}}}, networks: {{a: {{ipam: {{config: [{{subnet: 10.1.0.0/24, gateway: null, ip_range: null}}]}}}}, b: }}}}"
        )
    };
    let mut world = World::new().with(&yaml("", "networks: {a: }"));
    assert_snapshot!(world.up(&yaml(", a: {ipv4_address: 10.1.0.2}", "networks: {a: }")), @r"
    [] -> #1 other/1 stop-container (its address is needed by web)
    [1] -> #2 other/1 remove-container (its address is needed by web)
    [2] -> #3 other/1 create-container (its address is needed by web)
    [2] -> #4 web/1 update-container networks.app_a default_route (configuration changed)
    [3] -> #5 other/1 start-container (its address is needed by web)
    ");
}

//! What is legal but surely a mistake, and what only looks like one.

use super::super::advise;

#[test]
fn unquoted_numbers_that_are_read_as_others() {
    let text = r#"services:
  a:
    image: x
    environment:
      UMASK: 022
      VERSION: 1.10
      SINCE: 2024-05-01
      DEBUG: True
      COLOR: 0xff
    labels: {release: 2.0}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:5:14 `022` warning: `services.a.environment.UMASK`: 022 without quotes is a number, so the value becomes "18"
        put it in quotes to keep it as it is written: "022"
    stack.yml:6:16 `1.10` warning: `services.a.environment.VERSION`: 1.10 without quotes is a number, so the value becomes "1.1"
        put it in quotes to keep it as it is written: "1.10"
    stack.yml:7:14 `2024-05-01` warning: `services.a.environment.SINCE`: 2024-05-01 without quotes is a date, so the value becomes "2024-05-01 00:00:00 +0000 UTC"
        put it in quotes to keep it as it is written: "2024-05-01"
    stack.yml:8:14 `True` warning: `services.a.environment.DEBUG`: True without quotes is a boolean, so the value becomes "true"
        put it in quotes to keep it as it is written: "True"
    stack.yml:9:14 `0xff` warning: `services.a.environment.COLOR`: 0xff without quotes is a number, so the value becomes "255"
        put it in quotes to keep it as it is written: "0xff"
    stack.yml:10:23 `2.0` warning: `services.a.labels.release`: 2.0 without quotes is a number, so the value becomes "2"
        put it in quotes to keep it as it is written: "2.0"
    "#);
}

#[test]
fn unquoted_numbers_that_stay() {
    let text = r#"services:
  a:
    image: x
    environment: {PORT: 8080, RATIO: 0.5, QUOTED: '022', LIST: '1.10', ON: true, NAME: 1.2.3}
    labels: ['a=022']
    ports: ['22:22', 8080:80, 80]
    user: 1000:1000
"#;
    insta::assert_snapshot!(advise(text), @"");
}

#[test]
fn ports_that_yaml_1_1_reads_in_base_60() {
    let text = r#"services:
  a:
    image: x
    ports: [22:22, 2222:22, '53:53']
    user: 33:33
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:4:13 `22:22` warning: `services.a.ports[0]`: 22:22 without quotes is the number 1342 for readers of YAML 1.1
        it is read as written here; put it in quotes for other programs: "22:22"
    stack.yml:4:20 `2222:22` warning: `services.a.ports[1]`: 2222:22 without quotes is the number 133342 for readers of YAML 1.1
        it is read as written here; put it in quotes for other programs: "2222:22"
    stack.yml:5:11 `33:33` warning: `services.a.user`: 33:33 without quotes is the number 2013 for readers of YAML 1.1
        it is read as written here; put it in quotes for other programs: "33:33"
    "#);
}

#[test]
fn one_port_of_the_host_for_two_services() {
    let text = r#"services:
  web: {image: x, ports: ['8080:80', '127.0.0.1:9000:9000']}
  api: {image: x, ports: ['8080:8080', '127.0.0.2:9000:9000', '8080:8080/udp']}
  off: {image: x, ports: ['8080:80'], scale: 0}
  any: {image: x, ports: ['8080-8090:80', '80']}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:3:27 `'8080:8080'` warning: `web` and `api` both publish port 8080 of the host (also published at stack.yml:2:27)
        only one container can have it: publish another port here
    "#);
}

#[test]
fn one_port_of_the_host_twice() {
    let text = r#"services:
  web:
    image: x
    ports:
      - '8080:80'
      - {target: 81, published: '8080'}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:6:9 `{target: 81, published: '8080'}` warning: `web` publishes port 8080 of the host twice (also published at stack.yml:5:9)
        only one container can have it: publish another port here
    "#);
}

#[test]
fn replicas_that_share_what_is_one() {
    let text = r#"services:
  web:
    image: x
    deploy: {replicas: 3}
    ports: ['8080:80', '9000-9002:90']
    networks: {n: {ipv4_address: 10.5.0.7}}
networks: {n: {ipam: {config: [{subnet: 10.5.0.0/16}]}}}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:5:13 `'8080:80'` warning: `web` has 3 replicas, but only one of them can publish port 8080
        publish a range with room for all of them, such as "8080-8089:80", or no port of the host
    stack.yml:6:34 `10.5.0.7` warning: `web` has 3 replicas, but only one of them can have this address on `n`
        remove `ipv4_address`; the name of the service finds all replicas
    "#);
}

#[test]
fn ports_without_a_network_of_its_own() {
    let text = r#"services:
  web: {image: x, ports: ['80:80'], network_mode: host}
  side: {image: x, ports: ['81:81'], network_mode: 'service:web'}
  lone: {image: x, ports: ['82:82'], network_mode: none}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:2:19 `ports` warning: `ports` of `web` has no effect: it uses the network of the host, where each port it opens can be reached
        remove `ports`
    stack.yml:3:20 `ports` warning: `ports` of `side` has no effect: it uses the network of another service
        move `ports` to the service `web`
    stack.yml:4:20 `ports` warning: `ports` of `lone` has no effect: it has no network
        remove `ports` or `network_mode`
    "#);
}

#[test]
fn waiting_for_what_cannot_come() {
    let text = r#"services:
  web:
    image: x
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
      queue: {condition: service_healthy}
  db: {image: x}
  cache: {image: x, healthcheck: {disable: true}}
  migrate: {image: x, restart: unless-stopped}
  queue: {image: x, healthcheck: {test: ping}}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:5:23 `service_healthy` warning: `web` waits for `db` to be healthy, but `db` has no healthcheck
        give `db` a healthcheck with a `test`; nothing is wrong if its image brings one
    stack.yml:6:26 `service_healthy` warning: `web` waits for `cache` to be healthy, but its healthcheck is turned off
        turn the healthcheck of `cache` on, or wait for `service_started`
    stack.yml:7:28 `service_completed_successfully` warning: `web` waits for `migrate` to end, but `migrate` is always restarted
        give `migrate` the restart policy `no` or `on-failure`
    "#);
}

#[test]
fn two_restart_policies() {
    let text = r#"services:
  a: {image: x, restart: always, deploy: {restart_policy: {condition: on-failure}}}
  b: {image: x, restart: always, deploy: {restart_policy: {condition: any}}}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:2:17 `restart` warning: `restart` of `a` has no effect, because it differs from `deploy.restart_policy`
        keep one of them; `deploy.restart_policy` wins
    "#);
}

#[test]
fn healthchecks_that_cannot_work() {
    let text = r#"services:
  a: {image: x, healthcheck: {test: [CMD, curl, -f, localhost, '||', exit, '1']}}
  b: {image: x, healthcheck: {test: [CMD, curl -f localhost]}}
  c: {image: x, healthcheck: {test: [CMD-SHELL, curl, -f, localhost]}}
  d: {image: x, healthcheck: {test: [CMD-SHELL, curl -f localhost || exit 1]}}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:2:37 `[CMD, curl, -f, localhost, '||', exit, '1']` warning: the healthcheck of `a` passes "||" to its program, as `CMD` runs no shell
        use the shell: [CMD-SHELL, "the whole command line"]
    stack.yml:3:37 `[CMD, curl -f localhost]` warning: the healthcheck of `b` runs a program that is called "curl -f localhost"
        write each argument as an item of its own, or use CMD-SHELL instead of CMD
    stack.yml:4:37 `[CMD-SHELL, curl, -f, localhost]` warning: the healthcheck of `c` runs "curl" alone: CMD-SHELL takes one string
        put the whole command line into one string, or use CMD instead of CMD-SHELL
    "#);
}

#[test]
fn a_list_with_operators_of_the_shell() {
    let text = r#"services:
  a: {image: x, command: [migrate, '&&', serve]}
  b: {image: x, command: [sh, -c, migrate && serve]}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:2:26 `[migrate, '&&', serve]` warning: `command` of `a` passes "&&" to its program, as no shell runs this
        for a shell, write: [sh, -c, "the whole command line"]
    "#);
}

#[test]
fn numbers_without_their_unit() {
    let text = r#"services:
  a:
    image: x
    mem_limit: 512
    shm_size: 64
  b:
    image: x
    mem_limit: 512m
    mem_reservation: 1g
    shm_size: 64m
    volumes: [{type: tmpfs, target: /t, tmpfs: {size: 100}}]
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:4:16 `512` warning: `services.a.mem_limit`: 512 means 512 bytes, which is too little to be of use
        write a unit: 512m
    stack.yml:5:15 `64` warning: `services.a.shm_size`: 64 means 64 bytes, which is too little to be of use
        write a unit: 64m
    stack.yml:9:22 `1g` warning: `b` reserves more memory (`mem_reservation`) than it may use (`mem_limit`)
        lower the one or raise the other
    stack.yml:11:55 `100` warning: `services.b.volumes[0].tmpfs.size`: 100 means 100 bytes, which is too little to be of use
        write a unit: 100m
    "#);
}

#[test]
fn permissions_in_decimal() {
    let text = r#"services:
  a:
    image: x
    secrets: [{source: s, mode: 444}, {source: s, target: t, mode: 0444}, {source: s, target: u, mode: '444'}]
    volumes: [{type: tmpfs, target: /t, tmpfs: {mode: 1777}}]
secrets: {s: {file: ./s}}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:4:33 `444` warning: `services.a.secrets[0].mode`: without a leading 0, 444 is a decimal number: the permissions are 0674
        write 0444
    stack.yml:5:55 `1777` warning: `services.a.volumes[0].tmpfs.mode`: without a leading 0, 1777 is a decimal number: the permissions are 3361
        write 01777
    "#);
}

#[test]
fn labels_that_are_reserved() {
    let text = r#"services:
  a: {image: x, labels: {com.docker.compose.project: mine, com.example.team: web}}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:2:26 `com.docker.compose.project` warning: the label `com.docker.compose.project` of `a` is one of those that Compose itself sets
        use a name of your own; `com.docker.compose.` is reserved
    "#);
}

#[test]
fn absolute_paths() {
    let text = r#"services:
  a: {image: x, build: /home/me/app}
"#;
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:2:24 `/home/me/app` warning: `services.a.build.context` is an absolute path, so the project runs on this machine only
        write a path relative to the file
    "#);
}

#[test]
fn silence() {
    let text = r#"services:
  a:
    image: x:latest
    links: [b]
    command: sh -c "a && b > c"
    restart: always
    depends_on: [b]
  b: {image: x}
volumes: {unused: }
networks: {spare: }
"#;
    insta::assert_snapshot!(advise(text), @"");
}

#[test]
fn ports_on_networks_that_are_cut_off() {
    let text = "services:
  a: {image: x, networks: [in], ports: ['80:80']}
  b: {image: x, networks: [in, out], ports: ['81:80']}
networks: {in: {internal: true}, out: }
";
    insta::assert_snapshot!(advise(text), @"
    stack.yml:2:33 `ports` warning: `ports` of `a` has no effect: its networks are internal, cut off from the outside
        let it join another network as well, or remove `ports`
    ");
}

//! Values that an attribute cannot have.

use super::super::diagnose;

#[test]
fn wrong_kinds() {
    let text = r#"services:
  a:
    image: [x]
    ports: '80:80'
    environment: 5
    tty: maybe
    deploy: {replicas: many}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:12 `[x]` error: `services.a.image` must be a string, not a list
    stack.yml:4:12 `'80:80'` error: `services.a.ports` must be a list, not a string
        write a list, also for one item: ['80:80']
    stack.yml:5:18 `5` error: `services.a.environment` must be a mapping or a list of KEY=VALUE, not a number
    stack.yml:6:10 `maybe` error: `services.a.tty`: "maybe" is not a boolean
        write true or false
    stack.yml:7:24 `many` error: `services.a.deploy.replicas`: "many" is not a whole number
    "#);
}

#[test]
fn units() {
    let text = r#"services:
  a:
    image: x
    mem_limit: 1 gig
    stop_grace_period: 10
    healthcheck: {test: x, interval: ten, timeout: '5'}
    cpus: fast
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:16 `1 gig` error: `services.a.mem_limit`: "1 gig" is not a size
        write a number of bytes, or one with a unit: 512k, 300m, 1.5g
    stack.yml:5:24 `10` error: `services.a.stop_grace_period`: a duration must be a string with a unit
        write a unit: "10s"
    stack.yml:6:38 `ten` error: `services.a.healthcheck.interval`: "ten" is not a duration
        write a number with its unit: 500ms, 10s, 1m30s, 2h
    stack.yml:6:52 `'5'` error: `services.a.healthcheck.timeout`: "5" is not a duration
        write a number with its unit: 500ms, 10s, 1m30s, 2h
    stack.yml:7:11 `fast` error: `services.a.cpus`: "fast" is not a number
    "#);
}

#[test]
fn values_that_are_missing() {
    let text = r#"services:
  a:
    image:
    ports:
  b:
volumes: {v: }
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:5 `image` error: `services.a.image` has no value, a string is expected
        give it one, or remove the line
    stack.yml:4:5 `ports` error: `services.a.ports` has no value, a list is expected
        give it one, or remove the line
    stack.yml:5:3 `b` error: `services.b` must be a mapping, it is empty
    "#);
}

#[test]
fn required_attributes() {
    let text = r#"services:
  a:
    image: x
    depends_on: {b: {restart: true}}
    volumes: [{target: /x}]
    ulimits: {nofile: {soft: 1}}
  b: {image: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:18 `b` error: `services.a.depends_on.b` lacks `condition`
        a dependency needs `condition`
    stack.yml:5:15 `{target: /x}` error: `services.a.volumes[0]` lacks `type`
        a mount needs `type`
    stack.yml:6:15 `nofile` error: `services.a.ulimits.nofile` lacks `hard`
        a limit needs `hard`
    "#);
}

#[test]
fn words_of_a_list() {
    let text = r#"services:
  a:
    image: x
    depends_on: {b: {condition: service_helthy}}
  b: {image: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:33 `service_helthy` error: `services.a.depends_on.b.condition`: "service_helthy" is not a value it can have
        did you mean `service_healthy`?
    "#);
}

#[test]
fn names() {
    let text = r#"services:
  'a b': {image: x}
  c${SET}: {image: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:3 `'a b'` error: `services`: "a b" cannot be a name
        letters, digits, `.`, `_` and `-` are allowed
    stack.yml:3:3 `c${SET}` error: `services`: "c${SET}" cannot be a name
        variables are replaced in values only, not in keys
    "#);
}

#[test]
fn no_image() {
    let text = r#"services:
  a: {command: x}
  b: {image: "${NOT_SET-}"}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:3 `a` error: the service `a` has neither an image nor a build
        give it an image: image: NAME[:TAG]
    stack.yml:3:7 `image` error: the `image` of the service `b` is empty
        name an image; a variable in it may not be set
    "#);
}

#[test]
fn exclusive_attributes() {
    let text = r#"services:
  a:
    image: x
    network_mode: host
    networks: [default]
    build: {dockerfile: D, dockerfile_inline: FROM x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:5 `network_mode` error: the service `a` has both `network_mode` and `networks` (`networks` is at stack.yml:5:5)
        keep one of them
    stack.yml:6:28 `dockerfile_inline` error: the build of `a` has both `dockerfile` and `dockerfile_inline` (`dockerfile` is at stack.yml:6:13)
        keep one of them
    "#);
}

#[test]
fn values_in_two_places() {
    let text = r#"services:
  a:
    image: x
    scale: 2
    cpus: 1
    mem_limit: 1g
    deploy: {replicas: 3, resources: {limits: {cpus: '2', memory: 1g}}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:5 `scale` error: the service `a` has different values for `scale` and `deploy.replicas`: 2 and 3 (`deploy.replicas` is at stack.yml:7:14)
        keep one of them
    stack.yml:5:5 `cpus` error: the service `a` has different values for `cpus` and `deploy.resources.limits.cpus`: 1 and 2 (`deploy.resources.limits.cpus` is at stack.yml:7:48)
        keep one of them
    "#);
}

#[test]
fn container_names() {
    let text = r#"services:
  a: {image: x, container_name: one, scale: 2}
  b: {image: x, container_name: two}
  c: {image: x, container_name: two}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:17 `container_name` error: the service `a` has a `container_name` and 2 replicas, but a name is unique
        remove `container_name`
    stack.yml:4:33 `two` error: the services `b` and `c` have the same `container_name` "two"
        a container's name is unique
    "#);
}

#[test]
fn healthchecks() {
    let text = r#"services:
  a:
    image: x
    healthcheck: {test: [curl, localhost], start_interval: 1s}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:26 `curl` error: a healthcheck's test list must begin with CMD, CMD-SHELL or NONE
        write [CMD, program, argument], or a plain string for the shell
    stack.yml:4:44 `start_interval` warning: `start_interval` has no effect without `start_period`
        give the healthcheck a start_period
    "#);
}

#[test]
fn commands() {
    let text = r#"services:
  a:
    image: x
    command: echo a && echo b
    entrypoint: sh -c 'x
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:14 `echo a && echo b` warning: `services.a.command`: everything from "&& echo b" on is ignored, as no shell runs this
        wrap it: [sh, -c, "..."]
    stack.yml:5:17 `sh -c 'x` error: `services.a.entrypoint`: a quote is not closed
        write it as a list: [program, argument]
    "#);
}

#[test]
fn booleans_of_yaml_1_1() {
    let text = r#"services:
  a: {image: x, tty: yes, init: 'off'}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:22 `yes` warning: `services.a.tty`: "yes" is a boolean in YAML 1.1 only
        write true
    stack.yml:2:33 `'off'` warning: `services.a.init`: "off" is a boolean in YAML 1.1 only
        write false
    "#);
}

#[test]
fn obsolete_version() {
    let text = r#"version: '3.8'
services: {a: {image: x}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:1 `version` warning: the attribute `version` is obsolete and ignored
        remove the line
    "#);
}

#[test]
fn old_external_names() {
    let text = r#"services: {a: {image: x, networks: [n]}}
networks: {n: {external: {name: real}}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:16 `external` warning: `networks.n.external.name` is deprecated
        write `external: true` and `name:` beside it
    "#);
}

#[test]
fn sources_of_secrets() {
    let text = r#"services: {a: {image: x}}
secrets:
  none: {labels: [a]}
  both: {file: ./x, environment: X}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:3 `none` error: `secrets.none` has no source
        give it one of file, environment, or `external: true`
    stack.yml:4:3 `both` error: `secrets.both` has more than one source: file, environment
        keep one of them
    "#);
}

#[test]
fn an_external_volume() {
    let text = r#"services: {a: {image: x}}
volumes:
  v: {external: true, driver: local}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:23 `driver` error: `volumes.v` is external, so it cannot have `driver`
    "#);
}

#[test]
fn project_name() {
    let text = r#"name: 'My Project'
services: {a: {image: x}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:7 `'My Project'` warning: "My Project" cannot be the name of a project, "myproject" is used
        lower-case letters, digits, - and _ are allowed; it begins with a letter or digit
    "#);
}

#[test]
fn shapes_of_whole_sections() {
    let text = r#"services: [a, b]
volumes: data
networks: 5
"#;
    insta::assert_snapshot!(diagnose(text), @r"
    stack.yml:1:11 `[a, b]` error: `services` must be a mapping, not a list
        write the names as keys, `NAME:`, without the `- ` before them
    stack.yml:2:10 `data` error: `volumes` must be a mapping, not a string
        a mapping is written as `key: value`, one on each line below its name
    stack.yml:3:11 `5` error: `networks` must be a mapping, not a number
        a mapping is written as `key: value`, one on each line below its name
    ");
}

#[test]
fn a_service_that_is_a_text() {
    let text = r#"services:
  a: nginx
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:6 `nginx` error: `services.a` must be a mapping, not a string
        a mapping is written as `key: value`, one on each line below its name
    "#);
}

#[test]
fn shapes_of_attributes() {
    let text = r#"services:
  a:
    image: x
    depends_on: b
    healthcheck: curl localhost
    networks: front
    volumes: {data: /data}
    command: 5
    labels: [5]
    deploy: 3
    build: [.]
    env_file: {a: b}
    profiles: dev
    logging: json-file
    ulimits: [nofile]
    extra_hosts: 5
"#;
    insta::assert_snapshot!(diagnose(text), @r"
    stack.yml:4:17 `b` error: `services.a.depends_on` must be a list or mapping, not a string
        write a list, also for one item: [b]
    stack.yml:5:18 `curl localhost` error: `services.a.healthcheck` must be a mapping, not a string
        write the command as its test: {test: curl localhost}
    stack.yml:6:15 `front` error: `services.a.networks` must be a list or mapping, not a string
        write a list, also for one item: [front]
    stack.yml:7:14 `{data: /data}` error: `services.a.volumes` must be a list, not a mapping
    stack.yml:8:14 `5` error: `services.a.command` must be a string or a list of strings, not a number
    stack.yml:9:14 `5` error: `services.a.labels[0]` must be a string KEY=VALUE, not a number
    stack.yml:10:13 `3` error: `services.a.deploy` must be a mapping, not a number
        a mapping is written as `key: value`, one on each line below its name
    stack.yml:11:12 `[.]` error: `services.a.build` must be a string or a mapping, not a list
    stack.yml:12:15 `{a: b}` error: `services.a.env_file` must be a string or list, not a mapping
    stack.yml:13:15 `dev` error: `services.a.profiles` must be a list, not a string
        write a list, also for one item: [dev]
    stack.yml:14:14 `json-file` error: `services.a.logging` must be a mapping, not a string
        a mapping is written as `key: value`, one on each line below its name
    stack.yml:15:14 `[nofile]` error: `services.a.ulimits` must be a mapping, not a list
        write the names as keys, `NAME:`, without the `- ` before them
    stack.yml:16:18 `5` error: `services.a.extra_hosts` must be a mapping or a list of HOST=ADDRESS, not a number
    ");
}

#[test]
fn items_of_the_wrong_kind() {
    let text = r#"services:
  a:
    image: x
    ports: [[80]]
    environment: [{A: b}]
    cap_add: [{NET: x}]
    dns: [5]
    volumes: [5]
    secrets: [5]
"#;
    insta::assert_snapshot!(diagnose(text), @r"
    stack.yml:4:13 `[80]` error: `services.a.ports[0]` must be a number, a string or a mapping, not a list
    stack.yml:5:19 `{A: b}` error: `services.a.environment[0]` must be a string KEY=VALUE, not a mapping
        items of a list are written with `=`: A=b; without the `- ` it may be a mapping
    stack.yml:6:15 `{NET: x}` error: `services.a.cap_add[0]` must be a string, not a mapping
    stack.yml:7:11 `5` error: `services.a.dns[0]` must be a string, not a number
    stack.yml:8:15 `5` error: `services.a.volumes[0]` must be a string or a mapping, not a number
    stack.yml:9:15 `5` error: `services.a.secrets[0]` must be a string or a mapping, not a number
    ");
}

#[test]
fn units_in_long_forms() {
    let text = r#"services:
  a:
    image: x
    shm_size: 64 megs
    stop_grace_period: 1 minute
    deploy:
      resources: {limits: {memory: lots, cpus: two, pids: 1.5}}
      restart_policy: {delay: 5}
    ulimits: {nofile: {soft: many, hard: 5}}
    blkio_config: {weight: heavy}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:15 `64 megs` error: `services.a.shm_size`: "64 megs" is not a size
        write a number of bytes, or one with a unit: 512k, 300m, 1.5g
    stack.yml:5:24 `1 minute` error: `services.a.stop_grace_period`: "1 minute" is not a duration
        write a number with its unit: 500ms, 10s, 1m30s, 2h
    stack.yml:7:36 `lots` error: `services.a.deploy.resources.limits.memory`: "lots" is not a size
        write a number of bytes, or one with a unit: 512k, 300m, 1.5g
    stack.yml:7:48 `two` error: `services.a.deploy.resources.limits.cpus`: "two" is not a number
    stack.yml:7:59 `1.5` error: `services.a.deploy.resources.limits.pids` must be a whole number, not a fraction
    stack.yml:8:31 `5` error: `services.a.deploy.restart_policy.delay`: a duration must be a string with a unit
        write a unit: "5s"
    stack.yml:9:30 `many` error: `services.a.ulimits.nofile.soft`: "many" is not a whole number
    stack.yml:10:28 `heavy` error: `services.a.blkio_config.weight` must be a number, not a string
    "#);
}

#[test]
fn numbers_out_of_range() {
    let text = r#"services:
  a:
    image: x
    ports: ['70000:80', '80:70000', '0']
    deploy: {replicas: -1}
    oom_score_adj: 5000
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:13 `'70000:80'` error: `services.a.ports[0]`: "70000" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:25 `'80:70000'` error: `services.a.ports[1]`: "70000" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:37 `'0'` error: `services.a.ports[2]`: "0" names no container port: 0 is none
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:5:24 `-1` error: `services.a.deploy.replicas` is a number from 0
    stack.yml:6:20 `5000` error: `services.a.oom_score_adj` is a number from -1000 to 1000
    "#);
}

#[test]
fn modes() {
    let text = r#"services:
  a:
    image: x
    secrets: [{source: s, mode: rw}]
secrets: {s: {file: ./s}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:33 `rw` error: `services.a.secrets[0].mode`: "rw" is no octal number
        write permission bits as 0440
    "#);
}

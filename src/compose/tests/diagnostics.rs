//! What a user's mistakes look like: one test a kind of mistake.

use super::{diagnose, diagnose_running};

#[test]
fn unknown_key_with_a_near_one() {
    let text = r#"services:
  web:
    image: x
    prots: ['80:80']
    healtcheck: {test: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:5 `prots` error: `services.web` has no attribute `prots` (unknown)
        did you mean `ports`?
    stack.yml:5:5 `healtcheck` error: `services.web` has no attribute `healtcheck` (unknown)
        did you mean `healthcheck`?
    "#);
}

#[test]
fn unknown_key_far_from_all() {
    let text = r#"services:
  web:
    image: x
    logging: {colour: red}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:15 `colour` error: `services.web.logging` has no attribute `colour` (unknown)
        logging takes `driver`, `options`
    "#);
}

#[test]
fn service_attribute_at_the_top() {
    let text = r#"image: x
services: {a: {image: x}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:1 `image` error: the file has no attribute `image` (unknown)
        `image` belongs into a service: services.NAME.image
    "#);
}

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
fn duplicate_keys() {
    let text = r#"services:
  a:
    image: x
    user: u
    image: y
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:5:5 `image` error: the key "image" is written twice (first written at stack.yml:3:5)
        remove or rename one of them
    "#);
}

#[test]
fn keys_that_are_no_strings() {
    let text = r#"services:
  a:
    image: x
    environment: {true: 1, 5: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:19 `true` error: a key must be a string, this is a boolean
        put it in quotes: "true"
    stack.yml:4:28 `5` error: a key must be a string, this is a number
        put it in quotes: "5"
    "#);
}

#[test]
fn broken_yaml() {
    let text = r#"services:
  a: [x
  b: y
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:4 `:` error: invalid YAML: illegal placement of ':' indicator (here)
        check the indentation, open brackets and quotes of this line and the one before
    "#);
}

#[test]
fn tabs() {
    let text = "services:\n\ta: {image: x}\n";
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:2 `a` error: invalid YAML: tabs disallowed within this context (block indentation) (here)
        indent with spaces
    "#);
}

#[test]
fn an_alias_without_anchor() {
    let text = r#"services:
  a: *nothing
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:6 `*` error: invalid YAML: while parsing node, found unknown anchor (here)
        an anchor `&name` has to stand before its alias `*name`, in the same document
    "#);
}

#[test]
fn an_alias_to_itself() {
    let text = r#"services: &s
  a: *s
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:6 `*s` error: this alias refers to a value that contains it
    "#);
}

#[test]
fn merge_key_of_a_list() {
    let text = r#"services:
  a:
    <<: [1]
    image: x
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:10 `1` error: the merge key `<<` takes a mapping or a list of mappings, not a number
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
fn unset_variables() {
    let text = r#"services:
  a:
    image: x:${TAG}
    user: $TAG
    hostname: ${OTHER}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:16 `TAG` warning: the variable TAG is not set and becomes an empty string
        set it in the environment or in .env, or give a default: ${TAG:-value}
    stack.yml:5:17 `OTHER` warning: the variable OTHER is not set and becomes an empty string
        set it in the environment or in .env, or give a default: ${OTHER:-value}
    "#);
}

#[test]
fn required_variables() {
    let text = r#"services:
  a:
    image: x:${TAG:?give a tag}
    user: ${EMPTY:?}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:16 `TAG` error: `services.a.image`: required variable TAG is missing a value: give a tag
        set TAG in the environment or in .env
    stack.yml:4:13 `EMPTY` error: `services.a.user`: required variable EMPTY is missing a value
        set EMPTY in the environment or in .env
    "#);
}

#[test]
fn templates() {
    let text = r#"services:
  a:
    image: x:${TAG/a/b}
    user: ${
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:14 `${TAG/a/b}` error: `services.a.image`: invalid interpolation format: "${TAG/a/b}"
        write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+value}; a literal $ is $$
    stack.yml:4:11 `${` error: `services.a.user`: invalid interpolation format: "${"
        write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+value}; a literal $ is $$
    "#);
}

#[test]
fn ports() {
    let text = r#"services:
  a:
    image: x
    ports: ['80-81:8000-8002', 'x:80', 'localhost:80:80', 80/icmp, true]
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:13 `'80-81:8000-8002'` error: `services.a.ports[0]`: the ranges 8000-8002 and 80-81 differ in length
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:32 `'x:80'` error: `services.a.ports[1]`: "x" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:40 `'localhost:80:80'` error: `services.a.ports[2]`: "localhost" is not an IP address
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:59 `80/icmp` error: `services.a.ports[3]`: "icmp" is not a protocol: tcp, udp or sctp
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:68 `true` error: `services.a.ports[4]` must be a number, a string or a mapping, not a boolean
    "#);
}

#[test]
fn volumes() {
    let text = r#"services:
  a:
    image: x
    volumes: ['vol:/b:/c:ro', ':/x', {type: bind, target: /y}, {type: floppy, target: /z}]
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:15 `'vol:/b:/c:ro'` error: `services.a.volumes[0]`: too many colons in "vol:/b:/c:ro"
        write [SOURCE:]TARGET[:OPTIONS], as in ./data:/data:ro
    stack.yml:4:31 `':/x'` error: `services.a.volumes[1]`: a part of ":/x" is empty
        write [SOURCE:]TARGET[:OPTIONS], as in ./data:/data:ro
    stack.yml:4:38 `{type: bind, target: /y}` error: a bind mount of the service `a` lacks `source`
    stack.yml:4:71 `floppy` error: `services.a.volumes[3].type`: "floppy" is not a value it can have
        one of `bind`, `volume`, `tmpfs`, `image`, `npipe`, `cluster`
    "#);
}

#[test]
fn undefined_references() {
    let text = r#"services:
  web:
    image: x
    networks: [frnt]
    volumes: ['data:/data', 'lgs:/logs']
    depends_on: [bd, other]
    secrets: [token]
    configs: [conf]
  db: {image: x}
networks: {front: }
volumes: {logs: }
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:16 `frnt` error: the service `web` uses the network `frnt`, which is not defined
        did you mean `front`?
    stack.yml:5:15 `'data:/data'` error: the service `web` uses the volume `data`, which is not defined
        define it at the top level: volumes: {data: }; a folder is written ./data
    stack.yml:5:29 `'lgs:/logs'` error: the service `web` uses the volume `lgs`, which is not defined
        did you mean `logs`?
    stack.yml:6:18 `bd` error: the service `web` depends on `bd`, which is not defined
        did you mean `db`?
    stack.yml:6:22 `other` error: the service `web` depends on `other`, which is not defined
    stack.yml:7:15 `token` error: the service `web` uses the secret `token`, which is not defined
        define it at the top level: secrets: {token: {file: ./token}}
    stack.yml:8:15 `conf` error: the service `web` uses the config `conf`, which is not defined
        define it at the top level: configs: {conf: {file: ./conf}}
    "#);
}

#[test]
fn a_dependency_that_is_off() {
    let text = r#"services:
  web:
    image: x
    depends_on:
      tools: {condition: service_started}
      extra: {condition: service_started, required: false}
  tools: {image: x, profiles: [debug]}
  extra: {image: x, profiles: [debug]}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:5:7 `tools` error: the service `web` depends on `tools`, which no active profile enables
        activate it with --profile debug, or set `required: false`
    "#);
}

#[test]
fn no_image() {
    let text = r#"services:
  a: {command: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:3 `a` error: the service `a` has neither an image nor a build
        give it an image: image: NAME[:TAG]
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
    stack.yml:4:5 `network_mode` error: the service `a` has both `network_mode` and `networks`
        keep one of them
    stack.yml:6:28 `dockerfile_inline` error: the build of `a` has both `dockerfile` and `dockerfile_inline`
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
    stack.yml:4:5 `scale` error: the service `a` has different values for `scale` and `deploy.replicas`
        keep one of them
    stack.yml:5:5 `cpus` error: the service `a` has different values for `cpus` and `deploy.resources.limits.cpus`
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
fn extends() {
    let text = r#"services:
  a: {extends: {service: bse}}
  base: {image: x}
  c: {extends: {file: nowhere.yml, service: x}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:26 `bse` error: the service `a` extends `bse`, which does not exist
        did you mean `base`?
    stack.yml:4:23 `nowhere.yml` error: cannot read nowhere.yml: no such file (named here)
    "#);
}

#[test]
fn extends_in_a_circle() {
    let text = r#"services:
  a: {image: x, extends: b}
  b: {image: x, extends: a}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:3 `a` error: services extend each other in a circle: a -> b -> a
    "#);
}

#[test]
fn include_of_nothing() {
    let text = r#"include: [nowhere.yml]
services: {a: {image: x}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:11 `nowhere.yml` error: cannot read nowhere.yml: no such file (named here)
    "#);
}

#[test]
fn not_a_mapping() {
    let text = r#"- a
- b
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:1 `- a` error: a stack file must be a mapping, this is a list
    "#);
}

#[test]
fn an_empty_file() {
    let text = r#"# nothing
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    error: stack.yml is empty
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
fn anchors_report_once() {
    let text = r#"x-base: &base
  image: x
  prots: []
services:
  a: *base
  b: *base
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:3 `prots` error: `services.a` has no attribute `prots` (unknown)
        did you mean `ports`?
    "#);
}

#[test]
fn what_is_not_in_force() {
    let text = r#"services:
  a:
    image: x
    build: .
    gpus: all
    devices: [/dev/a]
    platform: linux/arm64
    logging: {driver: syslog}
    security_opt: ['no-new-privileges:true', 'label:user:u']
    deploy: {placement: {constraints: [a]}, mode: replicated}
    secrets: [s]
    network_mode: bridge
  b: {image: x, platform: linux/arm64}
secrets: {s: {file: ./s}}
"#;
    insta::assert_snapshot!(diagnose_running(text), @r#"
    stack.yml:4:5 `build` warning: `services.a.build` is not in force yet: the image must exist
    stack.yml:5:5 `gpus` warning: `services.*.gpus` is ignored: the engine does not act on it yet
    stack.yml:6:5 `devices` warning: `services.*.devices` is ignored: the engine does not act on it yet
    stack.yml:7:5 `platform` warning: `services.*.platform` is ignored: the image's own platform is run (used 2 times)
    stack.yml:8:23 `syslog` warning: the log driver syslog is not in force yet
        logs are written as json-file; `stack logs` shows them
    stack.yml:9:46 `'label:user:u'` warning: `security_opt: label:user:u` is not in force yet
    stack.yml:10:14 `placement` warning: `services.*.deploy.placement` is ignored: there is one host and nothing to place or roll
    stack.yml:11:5 `secrets` warning: `services.*.secrets` is ignored: secrets are not mounted yet
    stack.yml:12:5 `network_mode` warning: there is no common bridge: the service `a` is put on the project's default network
        remove `network_mode`
    "#);
}

#[test]
fn names_that_no_image_or_container_can_have() {
    let text = "services:\n  a: {image: Redis, container_name: a b}\n  b: {image: 'x:y z'}\n  c: {image: 'oci:dir', container_name: c.1}\n";
    let said = diagnose_running(text);
    for expected in [
        "stack.yml:2:14 `Redis` error: \"Redis\" is not the name of an image: ",
        "stack.yml:2:37 `a b` error: \"a b\" is not a container name: ",
        "stack.yml:3:14 `'x:y z'` error: \"x:y z\" is not the name of an image: ",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(!said.contains("stack.yml:4"), "{said}");
}

#[test]
fn what_cannot_run() {
    let text = r#"services:
  a: {build: .}
  c: {image: x, restart: sometimes, stop_signal: SIGFOO, dns: [here]}
  e: {image: x, cap_add: [cap_sys_nice, NOPE], cap_drop: [all]}
  d: {image: x, networks: {n: {ipv4_address: 1.2.3}}, ports: ['53:53/sctp'], tmpfs: ['/x:size=big']}
networks: {n: {ipam: {config: [{subnet: 10.0.0.0/99}]}}}
"#;
    insta::assert_snapshot!(diagnose_running(text), @r#"
    stack.yml:2:7 `build` error: the service `a` has to be built, which is not possible yet
        build the image elsewhere and name it with `image`
    stack.yml:3:26 `sometimes` error: "sometimes" is not a restart policy: no, always, on-failure[:N] or unless-stopped
    stack.yml:3:50 `SIGFOO` error: "SIGFOO" is not a signal
    stack.yml:3:64 `here` error: "here" is not an IP address
    stack.yml:4:41 `NOPE` error: "NOPE" is not a capability
    stack.yml:5:46 `1.2.3` error: "1.2.3" is not an IPv4 address
    stack.yml:5:63 `'53:53/sctp'` error: ports of the protocol "sctp" cannot be published: only tcp and udp
    stack.yml:5:86 `'/x:size=big'` error: "big" is not a size
    stack.yml:6:41 `10.0.0.0/99` error: "10.0.0.0/99" is not a subnet such as 10.5.0.0/16
    "#);
}

//! Names that refer to other parts of the file.

use super::super::{diagnose, diagnose_files};

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
    insta::assert_snapshot!(diagnose(text), @r"
    stack.yml:4:16 `frnt` error: the service `web` uses the network `frnt`, which is not defined
        did you mean `front`?
    stack.yml:5:15 `'data:/data'` error: the service `web` uses the volume `data`, which is not defined
        define it at the top level: volumes: {data: }; a folder is written ./data
    stack.yml:5:29 `'lgs:/logs'` error: the service `web` uses the volume `lgs`, which is not defined
        did you mean `logs`?
    stack.yml:6:18 `bd` error: the service `web` depends on `bd`, which is not defined
        did you mean `db`?
    stack.yml:6:22 `other` error: the service `web` depends on `other`, which is not defined
        define it, or name one of db
    stack.yml:7:15 `token` error: the service `web` uses the secret `token`, which is not defined
        define it at the top level: secrets: {token: {file: ./token}}
    stack.yml:8:15 `conf` error: the service `web` uses the config `conf`, which is not defined
        define it at the top level: configs: {conf: {file: ./conf}}
    ");
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
fn a_folder_without_a_dot() {
    let text = r#"services:
  a:
    image: x
    volumes: ['data/files:/data', 'src:/src']
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:15 `'data/files:/data'` error: the service `a` uses the volume `data/files`, which is not defined
        a folder beside the file is written ./data/files
    stack.yml:4:35 `'src:/src'` error: the service `a` uses the volume `src`, which is not defined
        define it at the top level: volumes: {src: }; a folder is written ./src
    "#);
}

#[test]
fn a_service_that_depends_on_itself_or_nothing() {
    let text = r#"services:
  web:
    image: x
    depends_on: [web, dbb]
    network_mode: 'service:dbb'
    volumes_from: [dbb]
    links: [dbb]
  db: {image: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:23 `dbb` error: the service `web` depends on `dbb`, which is not defined
        did you mean `db`?
    "#);
}

#[test]
fn conditions() {
    let text = r#"services:
  web:
    image: x
    depends_on: {db: {condition: healthy}, cache: {condition: started}}
  db: {image: x}
  cache: {image: x}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:34 `healthy` error: `services.web.depends_on.db.condition`: "healthy" is not a value it can have
        one of `service_started`, `service_healthy`, `service_completed_successfully`
    stack.yml:4:63 `started` error: `services.web.depends_on.cache.condition`: "started" is not a value it can have
        one of `service_started`, `service_healthy`, `service_completed_successfully`
    "#);
}

#[test]
fn what_excludes_each_other_is_shown_at_both_places() {
    let files = [
        (
            "stack.yml",
            "services:\n  a: {image: x, network_mode: host, scale: 2, mem_limit: 1m}\n  b: {build: {dockerfile: D, context: .}}\n",
        ),
        (
            "stack.override.yml",
            "services:\n  a: {networks: [default], deploy: {replicas: 3, resources: {limits: {memory: 2m}}}}\n  b: {build: {dockerfile_inline: FROM x}}\n",
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:2:17 `network_mode` error: the service `a` has both `network_mode` and `networks` (`networks` is at stack.override.yml:2:7)
        keep one of them
    stack.yml:2:37 `scale` error: the service `a` has different values for `scale` and `deploy.replicas`: 2 and 3 (`deploy.replicas` is at stack.override.yml:2:37)
        keep one of them
    stack.yml:2:47 `mem_limit` error: the service `a` has different values for `mem_limit` and `deploy.resources.limits.memory`: 1048576 and 2097152 (`deploy.resources.limits.memory` is at stack.override.yml:2:71)
        keep one of them
    stack.override.yml:3:15 `dockerfile_inline` error: the build of `b` has both `dockerfile` and `dockerfile_inline` (`dockerfile` is at stack.yml:3:15)
        keep one of them
    "#);
}

#[test]
fn one_mount_at_a_place() {
    let text = r#"services:
  web:
    image: x
    volumes:
      - ./a:/w
      - {type: bind, source: ./b, target: /w/}
      - ./c:/t
    tmpfs: ['/t:size=1m']
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:6:9 `{type: bind, source: ./b, target: /w/}` error: the service `web` has two mounts at /w (also mounted at stack.yml:5:9)
        only one can be there: remove one, or mount it elsewhere
    stack.yml:7:9 `./c:/t` error: the service `web` has two mounts at /t (also mounted at stack.yml:8:13)
        only one can be there: remove one, or mount it elsewhere
    "#);
}

#[test]
fn a_folder_in_the_long_form() {
    let text = "services: {a: {image: x, volumes: [{type: volume, source: ./x, target: /y}]}}\n";
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:59 `./x` error: the service `a` uses the volume `./x`, which is not defined
        a folder is mounted with `type: bind`
    "#);
}

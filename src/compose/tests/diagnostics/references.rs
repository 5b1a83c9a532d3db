//! Names that refer to other parts of the file.

use super::super::diagnose;

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

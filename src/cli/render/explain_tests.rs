//! Where values come from, as `config explain` tells it.

use super::plain_text;
use crate::compose::explain::{NoSuchPath, explain};
use crate::compose::tests::{line, load_files};
use crate::compose::{LoadOptions, Loaded};

fn loaded(files: &[(&str, &str)], change: impl FnOnce(&mut LoadOptions)) -> Loaded {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    load_files(&files, |options| {
        options.provenance = true;
        change(options);
    })
}

fn told(loaded: &Loaded, path: &str, reveal: bool) -> String {
    let provenance = loaded.provenance.as_ref().unwrap_or_else(|| panic!("{:?}", loaded.diagnostics.iter().map(line)));
    match explain(provenance, path, reveal) {
        Ok(explanation) => plain_text(&explanation),
        Err(NoSuchPath { message, help }) => format!("error: {message}\nhint: {}", help.unwrap_or_default()),
    }
}

/// Returns what is told about a path.
fn ask(files: &[(&str, &str)], path: &str) -> String {
    told(&loaded(files, |_| {}), path, false)
}

#[test]
fn a_value_of_one_file() {
    let files = [("stack.yml", "services:\n  web:\n    image: nginx:1.27\n")];
    insta::assert_snapshot!(ask(&files, "services.web.image"), @r#"
    services.web.image: nginx:1.27
      stack.yml:3:12  file
      3 |     image: nginx:1.27
        |            ^^^^^^^^^^
    "#);
}

#[test]
fn an_override_file_over_the_base_file() {
    let files = [
        ("stack.yml", "services:\n  web:\n    image: nginx:1.25\n    environment: {A: 1, B: 2}\n"),
        ("stack.override.yml", "services:\n  web:\n    image: nginx:1.27\n    environment: [A=3]\n"),
    ];
    insta::assert_snapshot!(ask(&files, "web.image"), @r#"
    services.web.image: nginx:1.27
      stack.override.yml:3:12  override file
      3 |     image: nginx:1.27
        |            ^^^^^^^^^^
    overridden, by precedence:
      1. stack.yml:3:12  nginx:1.25  base file
    "#);
    insta::assert_snapshot!(ask(&files, "web.environment.A"), @r#"
    services.web.environment.A: "3"
      stack.override.yml:4:19  override file
      4 |     environment: [A=3]
        |                   ^^^
    overridden, by precedence:
      1. stack.yml:4:22  "1"  base file
    "#);
    insta::assert_snapshot!(ask(&files, "web.environment.B"), @r#"
    services.web.environment.B: "2"
      stack.yml:4:28  base file
      4 |     environment: {A: 1, B: 2}
        |                            ^
    "#);
}

#[test]
fn many_files_in_their_order() {
    let file = |image: &str| format!("services: {{web: {{image: '{image}'}}}}\n");
    let (a, b, c) = (file("one"), file("two"), file("three"));
    let files = [("a.yml", a.as_str()), ("b.yml", b.as_str()), ("c.yml", c.as_str())];
    let loaded = loaded(&files, |o| o.files = vec!["a.yml".into(), "b.yml".into(), "c.yml".into()]);
    insta::assert_snapshot!(told(&loaded, "web.image", false), @r#"
    services.web.image: three
      c.yml:1:25  override file 2
      1 | services: {web: {image: 'three'}}
        |                         ^^^^^^^
    overridden, by precedence:
      1. b.yml:1:25  two  override file 1
      2. a.yml:1:25  one  base file
    "#);
}

#[test]
fn variables_and_what_set_them() {
    let files = [
        (
            "stack.yml",
            "services:\n  web:\n    image: nginx:${TAG:-latest}\n    user: ${WHO:-nobody}\n    hostname: ${SET}\n    ports:\n      - \"${PORT}:80\"\n",
        ),
        (".env", "# versions\nTAG=1.27\nPORT=8080\nSET=file\n"),
    ];
    insta::assert_snapshot!(ask(&files, "web.image"), @r#"
    services.web.image: nginx:1.27
      stack.yml:3:12  file
      3 |     image: nginx:${TAG:-latest}
        |            ^^^^^^^^^^^^^^^^^^^^
      TAG=1.27 is set in .env:2
      the default of TAG would be "latest"
    "#);
    insta::assert_snapshot!(ask(&files, "services.web.ports[0].published"), @r#"
    services.web.ports[0].published: "8080"
      stack.yml:7:9  file
      7 |       - "${PORT}:80"
        |         ^^^^^^^^^^^^
      PORT=8080 is set in .env:3
    "#);
    insta::assert_snapshot!(ask(&files, "web.user"), @r#"
    services.web.user: nobody
      stack.yml:4:11  file
      4 |     user: ${WHO:-nobody}
        |           ^^^^^^^^^^^^^^
      WHO is not set, its default is used
    "#);
    insta::assert_snapshot!(ask(&files, "web.hostname"), @r"
    services.web.hostname: value
      stack.yml:5:15  file
      5 |     hostname: ${SET}
        |               ^^^^^^
      SET=value is set in the shell, over file in .env:4
    ");
    insta::assert_snapshot!(ask(&files, "web.ports[0].protocol"), @r#"
    services.web.ports[0].protocol: tcp
      default: a port is a TCP port unless it says otherwise (see stack.yml:7:9)
      7 |       - "${PORT}:80"
        |         ^^^^^^^^^^^^
    "#);
}

#[test]
fn env_files_under_the_environment() {
    let files = [
        (
            "stack.yml",
            "services:\n  web:\n    image: x\n    env_file: [a.env, b.env]\n    environment:\n      A: here\n      SET:\n      NOWHERE:\n",
        ),
        ("a.env", "A=1\nB=1\n"),
        ("b.env", "# second\nA=2\nB=2\n"),
        (".env", "SET=other\n"),
    ];
    insta::assert_snapshot!(ask(&files, "web.environment.A"), @r#"
    services.web.environment.A: here
      stack.yml:6:10  file
      6 |       A: here
        |          ^^^^
    overridden, by precedence:
      1. b.env:2:1  "2"  env_file
      2. a.env:1:1  "1"  env_file
    "#);
    insta::assert_snapshot!(ask(&files, "web.environment.B"), @r#"
    services.web.environment.B: "2"
      b.env:3:1  env_file
      3 | B=2
        | ^
    overridden, by precedence:
      1. a.env:2:1  "1"  env_file
    "#);
    insta::assert_snapshot!(ask(&files, "web.environment.SET"), @r#"
    services.web.environment.SET: value
      the variable SET, set in the shell
      asked for at stack.yml:7:10
    overridden, by precedence:
      1. .env:1:1  other  the variable SET, set in .env:1
    "#);
    insta::assert_snapshot!(ask(&files, "web.environment.NOWHERE"), @r#"
    services.web.environment.NOWHERE: null
      stack.yml:8:14  file
      8 |       NOWHERE:
      the variable is not set, so the container does not get it
    "#);
}

#[test]
fn extended_services() {
    let files = [
        (
            "stack.yml",
            "services:\n  web:\n    extends: {file: common/base.yml, service: base}\n    image: own\n  two: {extends: web, user: me}\n",
        ),
        (
            "common/base.yml",
            "services:\n  base:\n    extends: root\n    image: common\n  root: {image: root, user: them, hostname: h}\n",
        ),
    ];
    insta::assert_snapshot!(ask(&files, "web.image"), @r#"
    services.web.image: own
      stack.yml:4:12  file
      4 |     image: own
        |            ^^^
    overridden, by precedence:
      1. common/base.yml:4:12  common  extends `base` of common/base.yml
      2. common/base.yml:5:17  root    extends `root`, extends `base` of common/base.yml
    "#);
    insta::assert_snapshot!(ask(&files, "web.user"), @r#"
    services.web.user: them
      common/base.yml:5:29  extends `root`, extends `base` of common/base.yml
      5 |   root: {image: root, user: them, hostname: h}
        |                             ^^^^
    "#);
    insta::assert_snapshot!(ask(&files, "two.user"), @r#"
    services.two.user: me
      stack.yml:5:29  file
      5 |   two: {extends: web, user: me}
        |                             ^^
    overridden, by precedence:
      1. common/base.yml:5:29  them  extends `root`, extends `base` of common/base.yml, extends `web`
    "#);
    insta::assert_snapshot!(ask(&files, "two.image"), @r#"
    services.two.image: own
      stack.yml:4:12  extends `web`
      4 |     image: own
        |            ^^^
    overridden, by precedence:
      1. common/base.yml:4:12  common  extends `base` of common/base.yml, extends `web`
      2. common/base.yml:5:17  root    extends `root`, extends `base` of common/base.yml, extends `web`
    "#);
}

#[test]
fn included_files() {
    let files = [
        ("stack.yml", "include:\n  - path: [sub/api.yml, sub/more.yml]\nservices: {web: {image: x}}\n"),
        ("sub/api.yml", "services:\n  api:\n    image: api:${TAG}\n"),
        ("sub/more.yml", "services: {api: {image: 'more:${TAG}'}}\n"),
        ("sub/.env", "TAG=7\n"),
    ];
    insta::assert_snapshot!(ask(&files, "api.image"), @r#"
    services.api.image: more:7
      sub/more.yml:1:25  override file, included at stack.yml:2:5
      1 | services: {api: {image: 'more:${TAG}'}}
        |                         ^^^^^^^^^^^^^
      TAG=7 is set in sub/.env:1
    overridden, by precedence:
      1. sub/api.yml:3:12  api:7  base file, included at stack.yml:2:5
         TAG=7 is set in sub/.env:1
    "#);
}

#[test]
fn anchors_aliases_and_merge_keys() {
    let files = [(
        "stack.yml",
        "x-base: &base\n  image: base:${SET}\n  user: root\nservices:\n  a:\n    <<: *base\n    user: me\n  b:\n    <<: *base\n    environment: &env\n      K: v\n  c: {image: c, environment: *env}\n",
    )];
    insta::assert_snapshot!(ask(&files, "a.image"), @r#"
    services.a.image: base:value
      stack.yml:2:10  file, alias at stack.yml:6:9
      2 |   image: base:${SET}
        |          ^^^^^^^^^^^
      SET=value is set in the shell
    "#);
    insta::assert_snapshot!(ask(&files, "a.user"), @r#"
    services.a.user: me
      stack.yml:7:11  file
      7 |     user: me
        |           ^^
    overridden, by precedence:
      1. stack.yml:3:9  root  file, alias at stack.yml:6:9
    "#);
    insta::assert_snapshot!(ask(&files, "c.environment.K"), @r#"
    services.c.environment.K: v
      stack.yml:11:10  file, alias at stack.yml:12:30
      11 |       K: v
         |          ^
    "#);
}

#[test]
fn what_replaces_or_takes_away_a_whole_section() {
    let files = [
        (
            "stack.yml",
            "services:\n  web:\n    image: x\n    command: [a, b]\n    ports: ['80:80']\n    environment: {A: 1, B: 2}\n    dns: [1.1.1.1]\n",
        ),
        (
            "stack.override.yml",
            "services:\n  web:\n    command: [c]\n    ports: !reset []\n    environment: !override {A: 3}\n    dns: [8.8.8.8]\n",
        ),
    ];
    insta::assert_snapshot!(ask(&files, "web.command"), @r#"
    services.web.command[0]  c  stack.override.yml:3:15  override file
    overridden, by precedence:
      1. stack.yml:4:14  ["a","b"]  base file
    "#);
    insta::assert_snapshot!(ask(&files, "web.ports"), @r#"
    error: `services.web.ports` was taken away at stack.override.yml:4:5
    hint: it was set at stack.yml:5:5
    "#);
    insta::assert_snapshot!(ask(&files, "web.environment.A"), @r#"
    services.web.environment.A: "3"
      stack.override.yml:5:32  override file
      5 |     environment: !override {A: 3}
        |                                ^
    overridden, by precedence:
      1. stack.yml:6:22  "1"  base file
    "#);
    insta::assert_snapshot!(ask(&files, "web.environment.B"), @r#"
    error: `services.web.environment.B` was taken away at stack.override.yml:5:5
    hint: it was set at stack.yml:6:25
    "#);
    insta::assert_snapshot!(ask(&files, "web.dns"), @r#"
    services.web.dns[0]  1.1.1.1  stack.yml:7:11  base file
    services.web.dns[1]  8.8.8.8  stack.override.yml:6:11  override file
    "#);
}

#[test]
fn defaults_and_their_rules() {
    let files = [(
        "stack.yml",
        "services:\n  web: {image: x, depends_on: [db], volumes: ['data:/v']}\n  db: {build: {context: /src}, network_mode: 'service:cache'}\n  cache: {image: x}\nvolumes: {data: }\n",
    )];
    insta::assert_snapshot!(ask(&files, "networks.default.name"), @r#"
    networks.default.name: demo_default
      default: the project's name, `_` and the key; an external resource is called as its key
    "#);
    insta::assert_snapshot!(ask(&files, "web.depends_on.db.condition"), @r#"
    services.web.depends_on.db.condition: service_started
      default: a dependency that names no condition has only to be started (see stack.yml:2:32)
      2 |   web: {image: x, depends_on: [db], volumes: ['data:/v']}
        |                                ^^
    "#);
    insta::assert_snapshot!(ask(&files, ""), @r#"
    services.web.image                      x                stack.yml:2:16
    services.web.depends_on.db.condition    service_started  default: a dependency that names no condition has only to be started
    services.web.depends_on.db.required     true             default: a dependency must be there unless it says otherwise
    services.web.volumes[0].type            volume           stack.yml:2:47
    services.web.volumes[0].source          data             stack.yml:2:47
    services.web.volumes[0].target          /v               stack.yml:2:47
    services.web.volumes[0].volume          {}               stack.yml:2:47
    services.web.networks.default           null             default: a service that names no network joins `default`
    services.db.build.context               /src             stack.yml:3:25
    services.db.build.dockerfile            Dockerfile       default: the recipe of a build is called Dockerfile
    services.db.network_mode                service:cache    stack.yml:3:46
    services.db.depends_on.cache.condition  service_started  default: a dependency that names no condition has only to be started
    services.db.depends_on.cache.restart    true             default: a service is restarted with what it links to or shares a namespace with
    services.db.depends_on.cache.required   true             default: a dependency must be there unless it says otherwise
    services.cache.image                    x                stack.yml:4:18
    services.cache.networks.default         null             default: a service that names no network joins `default`
    volumes.data.name                       demo_data        default: the project's name, `_` and the key; an external resource is called as its key
    name                                    demo             the name of the folder
    networks.default.name                   demo_default     default: the project's name, `_` and the key; an external resource is called as its key
    "#);
}

#[test]
fn the_name_of_the_project() {
    let files = [
        ("stack.yml", "name: 'from-${SET}'\nservices: {web: {image: x}}\n"),
        (".env", "COMPOSE_PROJECT_NAME=from-env\n"),
    ];
    insta::assert_snapshot!(ask(&files, "name"), @r#"
    name: from-env
      .env:1:1  the variable COMPOSE_PROJECT_NAME, set in .env:1
      1 | COMPOSE_PROJECT_NAME=from-env
        | ^^^^^^^^^^^^^^^^^^^^
    overridden, by precedence:
      1. stack.yml:1:7  from-value  file
         SET=value is set in the shell
      2. -              demo        the name of the folder
    "#);
    let chosen = loaded(&files, |o| o.project_name = Some("chosen".into()));
    insta::assert_snapshot!(told(&chosen, "name", false), @r#"
    name: chosen
      the option -p
    overridden, by precedence:
      1. .env:1:1       from-env    the variable COMPOSE_PROJECT_NAME, set in .env:1
      2. stack.yml:1:7  from-value  file
         SET=value is set in the shell
      3. -              demo        the name of the folder
    "#);
    insta::assert_snapshot!(ask(&files[..1], "name"), @r#"
    name: from-value
      stack.yml:1:7  file
      1 | name: 'from-${SET}'
        |       ^^^^^^^^^^^^^
      SET=value is set in the shell
    overridden, by precedence:
      1. -  demo  the name of the folder
    "#);
    insta::assert_snapshot!(ask(&[("stack.yml", "services: {web: {image: x}}\n")], "name"), @r#"
    name: demo
      the name of the folder
    "#);
}

#[test]
fn secrets_are_hidden() {
    let files = [
        (
            "stack.yml",
            "services:\n  web:\n    image: x\n    environment: {A: 1, DB_PASSWORD: hunter2, URL: 'pg://u:${DB_PW}@db', DSN: 'pg://u:open@db'}\n    env_file: secret.env\nsecrets:\n  s: {environment: DB_PW}\n  t: {content: hunter3}\n",
        ),
        ("secret.env", "API_TOKEN=hunter4\n"),
        (".env", "DB_PW=hunter5\n"),
    ];
    let loaded = loaded(&files, |_| {});
    let mut all = String::new();
    for path in ["web.environment.A", "web.environment.DB_PASSWORD", "web.environment.URL", "web.environment.API_TOKEN"]
    {
        all += &told(&loaded, path, false);
    }
    all += &told(&loaded, "web", false);
    all += &told(&loaded, "secrets", false);
    all += &told(&loaded, "secrets.s.environment", false);
    assert!(!all.contains("hunter") && !all.contains("open"), "{all}");
    insta::assert_snapshot!(all, @r#"
    services.web.environment.A: "1"
      stack.yml:4:22  file
      4 |     environment: {A: 1, DB_PASSWORD: ***
        |                      ^
    services.web.environment.DB_PASSWORD: ***
      stack.yml:4:38  file
      4 |     environment: {A: 1, DB_PASSWORD: ***
    services.web.environment.URL: pg://u:***@db
      stack.yml:4:52  file
      4 |     environment: {A: 1, DB_PASSWORD: ***
      DB_PW=*** is set in .env:1
    services.web.environment.API_TOKEN: ***
      secret.env:1:1  env_file
      1 | API_TOKEN=***
        | ^^^^^^^^^
    services.web.image                    x              stack.yml:3:12
    services.web.environment.A            "1"            stack.yml:4:22
    services.web.environment.DB_PASSWORD  ***            stack.yml:4:38
    services.web.environment.URL          pg://u:***@db  stack.yml:4:52  ${DB_PW}
    services.web.environment.DSN          pg://u:***@db  stack.yml:4:79
    services.web.environment.API_TOKEN    ***            secret.env:1:1  env_file
    services.web.networks.default         null           default: a service that names no network joins `default`
    secrets.s.environment  DB_PW   stack.yml:7:20
    secrets.s.name         demo_s  default: the project's name, `_` and the key; an external resource is called as its key
    secrets.t.content      ***     stack.yml:8:16
    secrets.t.name         demo_t  default: the project's name, `_` and the key; an external resource is called as its key
    secrets.s.environment: DB_PW
      stack.yml:7:20  file
      7 |   s: {environment: DB_PW}
        |                    ^^^^^
      its content is DB_PW=***, set in .env:1
    "#);
    insta::assert_snapshot!(told(&loaded, "web.environment.URL", true), @r#"
    services.web.environment.URL: pg://u:hunter5@db
      stack.yml:4:52  file
      4 |     environment: {A: 1, DB_PASSWORD: hunter2, URL: 'pg://u:${DB_PW}@db', DSN: 'pg://u:open@db'}
        |                                                    ^^^^^^^^^^^^^^^^^^^^
      DB_PW=hunter5 is set in .env:1
    "#);
}

#[test]
fn paths_as_people_type_them() {
    let files = [(
        "stack.yml",
        "services:\n  web: {image: x, labels: {com.example.a: '1', 'it''s': '2'}}\n  my.app: {image: y}\n  networks: {image: z}\n",
    )];
    for (path, expected) in [
        ("web.labels[\"com.example.a\"]", "services.web.labels[\"com.example.a\"]: \"1\""),
        ("web.labels.com.example.a", "services.web.labels[\"com.example.a\"]: \"1\""),
        ("services.web.labels[\"it's\"]", "services.web.labels[\"it's\"]: \"2\""),
        ("my.app.image", "services[\"my.app\"].image: y"),
        ("networks.image", "services.networks.image: z"),
        ("networks.default.name", "networks.default.name: demo_default"),
    ] {
        assert_eq!(ask(&files, path).lines().next().unwrap_or_default(), expected, "{path}");
    }
}

#[test]
fn a_default_wins_over_no_other() {
    let text = "services: {web: {image: x, ports: ['80:80']}}\n";
    let told = ask(&[("stack.yml", text), ("stack.override.yml", text)], "web.ports[0].protocol");
    assert!(told.contains("default: a port is a TCP port") && !told.contains("overridden"), "{told}");
}

#[test]
fn paths_that_lead_nowhere() {
    let files = [("stack.yml", "services:\n  web: {image: x, ports: ['80:80']}\n")];
    for path in
        ["web.imgae", "wbe.image", "web.ports[3]", "web.image.tag", "service.web", "a..b", "networks.web", "web.user"]
    {
        let told = ask(&files, path);
        assert!(told.starts_with("error: "), "{told}");
    }
    insta::assert_snapshot!(ask(&files, "wbe.image"), @r"
    error: there is no `wbe` in the project
    hint: did you mean the service `web`?
    ");
    insta::assert_snapshot!(ask(&files, "web.image.tag"), @r#"
    error: `services.web.image` is a string, there is no `tag` in it
    hint:
    "#);
    insta::assert_snapshot!(ask(&files, "web.ports[3]"), @r#"
    error: `services.web.ports` has no item [3]
    hint: it has one item, [0]
    "#);
    insta::assert_snapshot!(ask(&files, "web.ports[0].taget"), @r"
    error: there is no `taget` in `services.web.ports[0]`
    hint: did you mean `services.web.ports[0].target`?
    ");
    insta::assert_snapshot!(ask(&files, "web.ports[0].name"), @r#"
    error: `services.web.ports[0].name` is not set: no file says it, and it has no default here
    hint: `services.web.ports[0]` has mode, target, published, protocol
    "#);
    // What holds then, where the attribute has a default.
    let message = |path: &str| ask(&files, path).lines().next().unwrap_or_default().to_owned();
    for (path, default) in [
        ("stop_grace_period", "10s"),
        ("scale", "1"),
        ("pull_policy", "missing"),
        ("healthcheck.interval", "30s"),
        ("deploy.replicas", "1"),
    ] {
        let expected =
            format!("error: `services.web.{path}` is not set: no file says it, so its default holds: {default}");
        assert_eq!(message(&format!("web.{path}")), expected);
    }
    insta::assert_snapshot!(ask(&files, "web.env_file"), @r#"
    error: `services.web.env_file` is not in the resolved project: its lines are in `environment`
    hint: `services.web` has image, ports, networks
    "#);
    insta::assert_snapshot!(ask(&files, "netwroks"), @r"
    error: there is no `netwroks` in the project
    hint: did you mean `networks`?
    ");
}

#[test]
fn a_service_that_is_off() {
    let files = [("stack.yml", "services:\n  web: {image: x}\n  tool: {image: y, profiles: [debug]}\n")];
    insta::assert_snapshot!(ask(&files, "tool.image"), @r#"
    services.tool.image: y
      stack.yml:3:17  file
      3 |   tool: {image: y, profiles: [debug]}
        |                 ^
    the service is off: none of its profiles is active
    "#);
}

#[test]
fn a_value_that_is_wrong() {
    let files = [("stack.yml", "services:\n  web: {image: x, mem_limit: '${SET}'}\n")];
    insta::assert_snapshot!(ask(&files, "web.mem_limit"), @r#"
    services.web.mem_limit: value
      stack.yml:2:30  file
      2 |   web: {image: x, mem_limit: '${SET}'}
        |                              ^^^^^^^^
      SET=value is set in the shell
    "#);
}

#[test]
fn nothing_is_kept_that_nobody_asked_for() {
    let files: [(&str, &[u8]); 2] = [
        ("stack.yml", b"x-a: &a {A: 1}\nservices: {web: {image: x, environment: {<<: *a, B: }}}"),
        ("stack.override.yml", b"services: {web: {image: y, environment: {A: 2}}}"),
    ];
    let loaded = load_files(&files, |_| {});
    fn bare(node: &crate::compose::tree::Node) -> bool {
        use crate::compose::tree::Value;
        node.trail.is_none()
            && match &node.value {
                Value::Map(map) => map.values().all(bare),
                Value::List(items) => items.iter().all(bare),
                _ => true,
            }
    }
    assert!(loaded.provenance.is_none() && bare(&loaded.tree.unwrap()));
}

#[test]
fn no_default_is_without_a_rule() {
    let files = [(
        "stack.yml",
        "services:\n  web:\n    image: x\n    build: .\n    depends_on: [db]\n    links: [db]\n    ports: [80]\n    volumes: ['./d:/d', 'v:/v']\n    secrets: [s]\n    configs: [c]\n    gpus: all\n    devices: [/dev/null]\n    env_file: {path: a.env, required: false}\n    deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}\n  db: {image: x, develop: {watch: [{path: ., action: rebuild}]}}\nvolumes: {v: }\nsecrets: {s: {file: f}}\nconfigs: {c: {content: x}}\n",
    )];
    let all = ask(&files, "");
    assert!(!all.contains("error: ") && !all.contains("no file says it"), "{all}");
}

#[test]
fn variables_that_are_made_of_others() {
    let files = [
        ("stack.yml", "services:\n  web:\n    image: x\n    environment:\n      DSN: ${URL}\n"),
        (".env", "HOST=db\nAUTH_TOKEN=hunter2\nURL=tcp://${HOST}/?t=${AUTH_TOKEN}\n"),
    ];
    insta::assert_snapshot!(ask(&files, "web.environment.DSN"), @"
    services.web.environment.DSN: tcp://db/?t=***
      stack.yml:5:12  file
      5 |       DSN: ${URL}
        |            ^^^^^^
      URL=*** is set in .env:3
      HOST=*** is set in .env:1
      AUTH_TOKEN=*** is set in .env:2
    ");
}

#[test]
fn secrets_in_command_lines_and_contents() {
    let files = [
        (
            "stack.yml",
            "services:\n  web:\n    image: x\n    command: [redis-server, --requirepass, hunter2, --port, '1']\n    \
             entrypoint: sh -c 'run --token hunter2'\n    environment: {GITHUB_PAT: hunter2}\n\
             configs: {c: {content: \"user: a\\npassword: hunter2\\n\"}}\n",
        ),
        ("stack.override.yml", "services: {web: {command: [new, --password, hunter2]}}\n"),
    ];
    for path in ["web.command", "web.command[2]", "web.entrypoint", "web.environment", "configs.c.content", ""] {
        let told = ask(&files, path);
        assert!(!told.contains("hunter2"), "{path}: {told}");
    }
    insta::assert_snapshot!(ask(&files, "web.command[2]"), @r"
    services.web.command[2]: ***
      stack.override.yml:1:45  override file
      1 | services: {web: {command: [new, --password, ***
    overridden, by precedence:
      1. stack.yml:4:44  ***  base file
    ");
}

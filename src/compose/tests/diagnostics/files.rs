//! Files that are named in other files: `extends`, `include`, `env_file`, `-f`.

use super::super::{diagnose, diagnose_files, load_files};

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
        paths start from the folder of the file that names them
    "#);
}

#[test]
fn extends_in_a_circle() {
    let text = r#"services:
  a: {image: x, extends: b}
  b: {image: x, extends: a}
"#;
    insta::assert_snapshot!(diagnose(text), @r"
    stack.yml:2:3 `a` error: services extend each other in a circle: a -> b -> a
        take `extends` out of one of them
    ");
}

#[test]
fn include_of_nothing() {
    let text = r#"include: [nowhere.yml]
services: {a: {image: x}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:11 `nowhere.yml` error: cannot read nowhere.yml: no such file (named here)
        paths start from the folder of the file that names them
    "#);
}

#[test]
fn extends_with_a_mistake_in_the_other_file() {
    let files = [
        (
            "stack.yml",
            r#"services:
  web:
    extends: {file: base.yml, service: app}
    prots: ['80']
"#,
        ),
        (
            "base.yml",
            r#"services:
  app:
    image: x
    healtcheck: {test: x}
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:4:5 `prots` error: `services.web` has no attribute `prots` (unknown)
        did you mean `ports`?
    base.yml:4:5 `healtcheck` error: `services.app` has no attribute `healtcheck` (unknown)
        did you mean `healthcheck`?
    "#);
}

#[test]
fn extends_of_a_service_that_the_other_file_lacks() {
    let files = [
        (
            "stack.yml",
            r#"services:
  web:
    extends: {file: base.yml, service: ap}
"#,
        ),
        (
            "base.yml",
            r#"services:
  app: {image: x}
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:3:40 `ap` error: the service `web` extends `ap`, which does not exist in base.yml
        did you mean `app`?
    "#);
}

#[test]
fn extends_in_a_circle_through_files() {
    let files = [
        (
            "stack.yml",
            r#"services:
  web:
    extends: {file: base.yml, service: app}
"#,
        ),
        (
            "base.yml",
            r#"services:
  app:
    extends: {file: stack.yml, service: web}
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r"
    stack.yml:2:3 `web` error: services extend each other in a circle: web (stack.yml) -> app (base.yml) -> web (stack.yml)
        take `extends` out of one of them
    ");
}

#[test]
fn a_file_with_a_near_name() {
    let files = [
        (
            "stack.yml",
            r#"include: [data-base.yml]
services:
  web:
    image: x
    env_file: wbe.env
    extends: {file: bsae.yml, service: app}
"#,
        ),
        (
            "database.yml",
            r#"services: {}
"#,
        ),
        ("web.env", r#""#),
        ("base.yml", r#""#),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:1:11 `data-base.yml` error: cannot read data-base.yml: no such file (named here)
        did you mean `database.yml`?
    stack.yml:5:15 `wbe.env` error: cannot read the env file wbe.env: no such file (named here)
        did you mean `web.env`?
    stack.yml:6:21 `bsae.yml` error: cannot read bsae.yml: no such file (named here)
        did you mean `base.yml`?
    "#);
}

#[test]
fn an_included_file_with_mistakes() {
    let files = [
        (
            "stack.yml",
            r#"include: [db.yml]
services:
  web: {image: x}
"#,
        ),
        (
            "db.yml",
            r#"services:
  db:
    image: x
    volums: []
    networks: [back]
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    db.yml:4:5 `volums` error: `services.db` has no attribute `volums` (unknown)
        did you mean `volumes`?
    db.yml:5:16 `back` error: the service `db` uses the network `back`, which is not defined
        define it at the top level: networks: {back: }
    "#);
}

#[test]
fn an_included_file_that_is_no_yaml() {
    let files = [
        (
            "stack.yml",
            r#"include: [db.yml]
services:
  web: {image: x}
"#,
        ),
        (
            "db.yml",
            r#"services:
  db: [
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    db.yml:2:7 `[` error: invalid YAML: this `[` is never closed (opened here)
        write a `]` where the value ends; it was missed at db.yml:3:1
    "#);
}

#[test]
fn files_that_include_each_other() {
    let files = [
        (
            "stack.yml",
            r#"include: [a.yml]
"#,
        ),
        (
            "a.yml",
            r#"include: [b.yml]
"#,
        ),
        (
            "b.yml",
            r#"include: [a.yml]
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r"
    b.yml:1:11 `a.yml` error: files include each other in a circle: stack.yml -> a.yml -> b.yml -> a.yml
        take `include` out of one of them
    ");
}

#[test]
fn the_same_name_here_and_in_an_included_file() {
    let files = [
        (
            "stack.yml",
            r#"include: [db.yml]
services:
  db: {image: mine}
"#,
        ),
        (
            "db.yml",
            r#"services:
  db: {image: other}
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:3:3 `db` error: `services.db` is defined here and in a file that is included at stack.yml:1:11
        rename one of them, or change the included one in a file of its own: include: [{path: [base, override]}]
    "#);
}

#[test]
fn env_files_that_are_missing_or_wrong() {
    let files = [
        (
            "stack.yml",
            r#"services:
  web:
    image: x
    env_file: [missing.env, wrong.env, {path: optional.env, required: false}]
"#,
        ),
        (
            "wrong.env",
            r#"# comment
GOOD=1
TWO WORDS=1
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:4:16 `missing.env` error: cannot read the env file missing.env: no such file (named here)
        create it, or say that it may be missing: {path: ..., required: false}
    wrong.env:3:1 `TWO WORDS=1` error: a variable name cannot contain a space: "TWO WORDS"
        a line is NAME=value, or a # comment
    "#);
}

#[test]
fn a_quote_in_an_env_file_that_is_not_closed() {
    let files = [
        (
            "stack.yml",
            r#"services:
  web:
    image: x
    env_file: web.env
"#,
        ),
        (
            "web.env",
            r#"A=1
KEY="begins here
B=2
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    web.env:2:1 `KEY="begins here` error: unterminated quoted value of KEY
        close the quote; a value in quotes may go on over several lines
    "#);
}

#[test]
fn a_wrong_line_in_dot_env() {
    let files = [
        (
            "stack.yml",
            r#"services:
  web: {image: x}
"#,
        ),
        (
            ".env",
            r#"A=1
!=2
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    .env:2:1 `!=2` error: unexpected character "!" in variable name "!"
        a line is NAME=value, or a # comment
    "#);
}

#[test]
fn several_files_in_one_report() {
    let files = [
        (
            "compose.yaml",
            r#"services:
  web:
    imag: x
  db: {image: x}
"#,
        ),
        (
            "compose.override.yaml",
            r#"services:
  web:
    ports: ['x:80']
  db:
    image: 5
"#,
        ),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    compose.yaml:3:5 `imag` error: `services.web` has no attribute `imag` (unknown)
        did you mean `image`?
    compose.override.yaml:3:13 `'x:80'` error: `services.web.ports[0]`: "x" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    compose.override.yaml:5:12 `5` error: `services.db.image` must be a string, not a number
    "#);
}

#[test]
fn a_file_that_is_named_and_not_there() {
    let check = |name: &str| {
        let loaded = load_files(&[("stack.yml", b"services: {}"), ("prod.yml", b"")], |o| o.files = vec![name.into()]);
        loaded.diagnostics.iter().map(super::super::line).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(check("stakc.yml"), @r#"
    error: cannot read stakc.yml: no such file
        did you mean `stack.yml`?
    "#);
    insta::assert_snapshot!(check("elsewhere/compose.yaml"), @r#"
    error: cannot read elsewhere/compose.yaml: no such file
    "#);
    insta::assert_snapshot!(check("."), @r#"
    error: cannot read .: it is a folder
    "#);
}

#[test]
fn no_file_at_all() {
    let loaded = load_files(&[("compose.yml.bak", b"")], |_| {});
    let message = &loaded.diagnostics[0].message;
    assert!(message.starts_with("no stack file found in /") && message.contains("folder above"), "{message}");
    insta::assert_snapshot!(loaded.diagnostics[0].help.as_deref().unwrap(), @r#"
    create one of stack.yml, stack.yaml, compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml, or name a file with -f
    "#);
}

//! Variables and env files.

use super::super::diagnose;

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
fn variables_without_a_name() {
    let text = r#"services:
  a:
    image: x
    user: ${}
    hostname: ${A B}
    command: echo ${1} $5
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:11 `${}` error: `services.a.user`: invalid interpolation format: "${}"
        write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+value}; a literal $ is $$
    stack.yml:5:15 `${A B}` error: `services.a.hostname`: invalid interpolation format: "${A B}"
        write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+value}; a literal $ is $$
    stack.yml:6:19 `${1} $5` error: `services.a.command`: invalid interpolation format: "${1} $5"
        write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+value}; a literal $ is $$
    "#);
}

#[test]
fn a_required_variable_in_a_default() {
    let text = r#"services:
  a:
    image: ${IMAGE:-x:${TAG:?set TAG}}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:12 `${IMAGE:-x:${TAG:?set TAG}}` error: `services.a.image`: required variable TAG is missing a value: set TAG
        set TAG in the environment or in .env
    "#);
}

#[test]
fn a_variable_that_makes_a_bad_value() {
    let text = r#"services:
  a:
    image: x
    mem_limit: ${SET}
    deploy: {replicas: "${SET}"}
    ports: ["${SET}:80"]
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:16 `${SET}` error: `services.a.mem_limit`: "value" is not a size
        write a number of bytes, or one with a unit: 512k, 300m, 1.5g
        note: SET=value is set in the shell
    stack.yml:5:24 `"${SET}"` error: `services.a.deploy.replicas`: "value" is not a whole number
        note: SET=value is set in the shell
    stack.yml:6:13 `"${SET}:80"` error: `services.a.ports[0]`: "value" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
        note: SET=value is set in the shell
    "#);
}

#[test]
fn a_dollar_that_is_meant_as_text() {
    let text = r#"services:
  a:
    image: x
    environment: {PASSWORD: "pa$$word", OTHER: "pa$word"}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:52 `word` warning: the variable word is not set and becomes an empty string
        set it in the environment or in .env, or give a default: ${word:-value}
    "#);
}

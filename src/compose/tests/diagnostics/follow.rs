//! What only follows from a mistake is not told as another one.

use super::super::{diagnose, diagnose_files};

#[test]
fn a_section_that_is_none() {
    insta::assert_snapshot!(diagnose("services: {a: {image: x}}\nnetworks:\n"), @r#"
    stack.yml:2:1 `networks` error: `networks` has no value, a mapping is expected
        give it one, or remove the line
    "#);
    insta::assert_snapshot!(diagnose("services: {a: {image: x, networks: [n]}}\nnetworks:\n  - n\n"), @r#"
    stack.yml:3:3 `- n` error: `networks` must be a mapping, not a list
        write the names as keys, `NAME:`, without the `- ` before them
    "#);
}

#[test]
fn a_circle_of_services() {
    insta::assert_snapshot!(diagnose("services:\n  a: {extends: b}\n  b: {extends: a}\n  c: {extends: b}\n"), @r#"
    stack.yml:2:3 `a` error: services extend each other in a circle: a -> b -> a
        take `extends` out of one of them
    "#);
}

#[test]
fn a_circle_over_files_names_them() {
    let files = [
        ("stack.yml", "services: {a: {extends: {file: b.yml, service: a}}}\n"),
        ("b.yml", "services: {a: {extends: b}, b: {extends: {file: stack.yml, service: a}}}\n"),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:1:12 `a` error: services extend each other in a circle: a (stack.yml) -> a (b.yml) -> b -> a (stack.yml)
        take `extends` out of one of them
    "#);
}

#[test]
fn a_long_chain_is_told_once() {
    let links: Vec<String> = (0..300).map(|i| format!("  s{i}: {{extends: s{}}}\n", i + 1)).collect();
    let told = diagnose(&format!("services:\n{}  s300: {{image: x}}\n", links.concat()));
    insta::assert_snapshot!(told, @r#"
    stack.yml:202:3 `s200` error: more than 200 services extend one another: s0 -> s1 -> s2 -> ... -> s199 -> s200
        let some of them extend the last one directly
    "#);
}

#[test]
fn extends_without_a_service() {
    insta::assert_snapshot!(diagnose("services:\n  a: {extends: {file: b.yml}}\n"), @r#"
    stack.yml:2:7 `extends` error: `services.a.extends` lacks `service`
    "#);
}

#[test]
fn a_broken_file_that_is_extended() {
    let files = [
        ("stack.yml", "services: {a: {extends: {file: b.yml, service: b}}}\n"),
        ("b.yml", "services: {b: {image: x}\n"),
    ];
    let told = diagnose_files(&files);
    assert!(told.starts_with("b.yml:") && told.matches("error:").count() == 1, "{told}");
}

#[test]
fn a_service_that_two_files_define() {
    let files =
        [("stack.yml", "include: [b.yml]\nservices: {a: {tty: true}}\n"), ("b.yml", "services: {a: {image: x}}\n")];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:2:12 `a` error: `services.a` is defined here and in a file that is included at stack.yml:1:11
        rename one of them, or change the included one in a file of its own: include: [{path: [base, override]}]
    "#);
}

#[test]
fn an_env_file_of_an_include() {
    let files = [
        ("stack.yml", "include: [{path: sub/c.yml, env_file: nope.env}]\n"),
        ("sub/c.yml", "services: {a: {image: x, labels: {l: '${V}'}}}\n"),
    ];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    stack.yml:1:39 `nope.env` error: cannot read the env file nope.env: no such file (named here)
    "#);
}

#[test]
fn variables_of_an_env_file_that_is_wrong() {
    let files = [("stack.yml", "services: {a: {image: \"x$Q\"}}\n"), (".env", "A=${Z:?must}\nQ=1\n")];
    insta::assert_snapshot!(diagnose_files(&files), @r#"
    .env:1:1 `A=${Z:?must}` error: required variable Z is missing a value: must
        set Z in the environment, or above this line
    "#);
}

//! Mistakes of the first day with Compose files: another form than the one that is wanted.

use super::super::diagnose;

#[test]
fn another_form() {
    insta::assert_snapshot!(diagnose("services:\n  - web:\n      image: x\n"), @r"
    stack.yml:2:3 `- web:` error: `services` must be a mapping, not a list
        write the names as keys, `NAME:`, without the `- ` before them
    ");
    insta::assert_snapshot!(diagnose("services:\n  a:\n    image: x\n    environment:\n      - A: b\n"), @r"
    stack.yml:5:9 `A: b` error: `services.a.environment[0]` must be a string KEY=VALUE, not a mapping
        items of a list are written with `=`: A=b; without the `- ` it may be a mapping
    ");
}

#[test]
fn a_lone_star() {
    insta::assert_snapshot!(diagnose("services:\n  a:\n    image: x\n    command: *\n"), @r"
    stack.yml:4:14 `*` error: invalid YAML: `*` and `&` begin the name of an alias or an anchor, and there is none (here)
        put the value in quotes if the sign belongs to it
    ");
}

#[test]
fn a_label_file_that_is_not_there() {
    insta::assert_snapshot!(diagnose("services:\n  a: {image: x, label_file: l.env}\n"), @r"
    stack.yml:2:29 `l.env` error: cannot read the label file l.env: no such file (named here)
        create it, or correct the path
    ");
}

#[test]
fn a_service_that_is_called_otherwise() {
    insta::assert_snapshot!(diagnose("services:\n  web: {image: x, depends_on: [db]}\n  database: {image: y}\n"), @r"
    stack.yml:2:32 `db` error: the service `web` depends on `db`, which is not defined
        define it, or name one of database
    ");
}

#[test]
fn networks_as_a_list() {
    insta::assert_snapshot!(diagnose("services: {a: {image: x}}\nnetworks:\n  - front\n"), @r"
    stack.yml:3:3 `- front` error: `networks` must be a mapping, not a list
        write the names as keys, `NAME:`, without the `- ` before them
    ");
}

//! Mistakes as they are drawn.

use crate::env::TestEnv;

fn drawn(files: &[(&str, &str)]) -> String {
    let env = TestEnv::new();
    for (name, text) in files {
        env.write(name, text);
    }
    env.run(&["config"]).failure(1)
}

#[test]
fn an_excerpt_with_wide_characters() {
    insta::assert_snapshot!(drawn(&[("stack.yml", "services:\n  web:\n    labels: {名前: \"日本語 🐳\", imge: é, x: [日本]}\n    image: x\n")]), @r#"
     × `services.web.labels.x` must be a string, number, boolean or nothing, not
     │ a list
      ╭─[stack.yml:3:39]
    2 │   web:
    3 │     labels: {名前: "日本語 🐳", imge: é, x: [日本]}
      ·                                             ──────
    4 │     image: x
      ╰────
    "#);
}

#[test]
fn an_excerpt_of_a_long_line() {
    let line = format!(
        "services: {{web: {{image: x, environment: {{A: '{}'}}, prots: [80], labels: {{b: '{}'}}}}}}\n",
        "a ".repeat(80),
        "b ".repeat(80)
    );
    insta::assert_snapshot!(drawn(&[("stack.yml", &line)]), @r#"
     × `services.web` has no attribute `prots`
      ╭─[stack.yml:1:210]
    1 │ …a a a a a a a a a '}, prots: [80], labels: {b: 'b b b b b b b b b …
      ·                        ──┬──
      ·                          ╰── unknown
      ╰────
     help: did you mean `ports`?
    "#);
}

#[test]
fn an_excerpt_of_several_lines() {
    let text = "services:\n  web:\n    image:\n      - one\n      - two\n    command: x\n";
    insta::assert_snapshot!(drawn(&[("stack.yml", text)]), @r#"
     × `services.web.image` must be a string, not a list
      ╭─[stack.yml:4:7]
    3 │     image:
    4 │       - one
      ·       ─────
    5 │       - two
      ╰────
    "#);
}

#[test]
fn an_excerpt_with_tabs_and_windows_line_ends() {
    insta::assert_snapshot!(drawn(&[("stack.yml", "services:\r\n  web:\r\n    image: x\r\n    user:\tu\r\n    prots:\t[80]\r\n    tty: true\r\n")]), @r#"
     × `services.web` has no attribute `prots`
      ╭─[stack.yml:5:5]
    4 │     user:   u
    5 │     prots:  [80]
      ·     ──┬──
      ·       ╰── unknown
    6 │     tty: true
      ╰────
     help: did you mean `ports`?
    "#);
}

#[test]
fn a_mistake_at_the_very_end() {
    insta::assert_snapshot!(drawn(&[("stack.yml", "services:\n  web:\n    image: x\n    ports: [\"80\"")]), @r#"
     × invalid YAML: this `[` is never closed
      ╭─[stack.yml:4:12]
    3 │     image: x
    4 │     ports: ["80"
      ·            ┬
      ·            ╰── opened here
      ╰────
     help: write a `]` where the value ends; it was missed at stack.yml:4:17
    "#);
}

#[test]
fn mistakes_in_several_files() {
    let files = [
        ("compose.yaml", "include: [db.yml]\nservices:\n  web:\n    imag: x\n"),
        ("compose.override.yaml", "services:\n  web:\n    ports: ['x:80']\n"),
        ("db.yml", "services:\n  db:\n    image: x\n    mem_limit: lots\n"),
    ];
    insta::assert_snapshot!(drawn(&files), @r#"
     × `services.web` has no attribute `imag`
      ╭─[compose.yaml:4:5]
    3 │   web:
    4 │     imag: x
      ·     ──┬─
      ·       ╰── unknown
      ╰────
     help: did you mean `image`?
     × `services.web.ports[0]`: "x" is not a port
      ╭─[compose.override.yaml:3:13]
    2 │   web:
    3 │     ports: ['x:80']
      ·             ──────
      ╰────
     help: write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
     × `services.db.mem_limit`: "lots" is not a size
      ╭─[db.yml:4:16]
    3 │     image: x
    4 │     mem_limit: lots
      ·                ────
      ╰────
     help: write a number of bytes, or one with a unit: 512k, 300m, 1.5g
    "#);
}

#[test]
fn services_that_wait_for_each_other() {
    let text = "services:\n  web:\n    image: x\n    depends_on: [api]\n  api:\n    image: x\n    depends_on:\n      - db\n  db:\n    image: x\n    links: [web]\n";
    insta::assert_snapshot!(drawn(&[("stack.yml", text)]), @r#"
     × services depend on each other in a circle: web -> api -> db -> web
      ╭─[stack.yml:4:18]
    3 │     image: x
    4 │     depends_on: [api]
      ·                  ─┬─
      ·                   ╰── web depends on api
    5 │   api:
      ╰────
     help: api depends on db at stack.yml:8:9; db depends on web at
           stack.yml:11:13
    "#);
}

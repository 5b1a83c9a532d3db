//! Text that is no YAML, or no Compose file.

use super::super::diagnose;

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
    stack.yml:2:6 `[` error: invalid YAML: this `[` is never closed (opened here)
        write a `]` where the value ends; it was missed at stack.yml:3:4
    "#);
}

#[test]
fn tabs() {
    let text = "services:\n\ta: {image: x}\n";
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:1 `` error: invalid YAML: a tab is used where YAML wants spaces (here)
        indent with spaces
    "#);
}

#[test]
fn a_tab_below_a_value() {
    let text = "services:\n  a:\n    image: x\n\tcommand: y\n";
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:1 `` error: invalid YAML: a tab is used where YAML wants spaces (here)
        indent with spaces
    "#);
}

#[test]
fn an_alias_without_anchor() {
    let text = r#"services:
  a: *nothing
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:6 `*nothing` error: invalid YAML: there is no anchor `&nothing` for the alias `*nothing` (here)
        write `&nothing` before the value that is meant, above this line and in the same file
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
fn a_line_that_is_indented_too_little() {
    let text = r#"services:
  a:
    image: x
   user: u
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:4 `u` error: invalid YAML: this line does not line up with the lines above it (here)
        indent it as far as the keys beside it
    "#);
}

#[test]
fn a_line_that_is_indented_too_far() {
    let text = r#"services:
  a:
    image: x
      user: u
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:7 `user:` error: invalid YAML: this line is indented further than the one above, which has a value already (here)
        indent it as far as the line above, or give that one no value
    "#);
}

#[test]
fn a_list_item_that_is_out_of_line() {
    let text = r#"services:
  a:
    ports:
      - 80:80
     - 81:81
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:5:6 `-` error: invalid YAML: this line does not line up with the lines above it (here)
        indent it as far as the keys beside it
    "#);
}

#[test]
fn a_quote_that_is_not_closed() {
    let text = r#"services:
  a:
    image: "x
    user: u
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:12 `"` error: invalid YAML: this quote is never closed (here)
        close it with the same kind of quote; inside double quotes, write \" for a quote
    "#);
}

#[test]
fn text_after_a_closing_quote() {
    let text = r#"services:
  a:
    command: "echo" hello
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:21 `h` error: invalid YAML: there is more text after the closing quote (here)
        put the whole value in quotes; inside double quotes, write \" for a quote
    "#);
}

#[test]
fn a_backslash_in_double_quotes() {
    let text = r#"services:
  a:
    command: "C:\path"
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:17 `\p` error: invalid YAML: `\p` means nothing in double quotes (here)
        write \\ for a backslash, or use single quotes, where it has no meaning
    "#);
}

#[test]
fn a_key_without_a_colon() {
    let text = r#"services:
  a:
    image x
    user: u
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:5 `image x` error: invalid YAML: there is no `: ` in this line (a key, or a value?)
        write a colon and a space after the key: `key: value`
    "#);
}

#[test]
fn a_colon_without_a_space() {
    let text = r#"services:
  a:
    image:x
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:5 `image:x` error: `services.a` must be a mapping, not a string
        write a space after the `:`, as in `image: x`
    "#);
}

#[test]
fn a_text_with_a_colon() {
    let text = r#"services:
  a:
    image: x
    command: echo this: that
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:23 `:` error: invalid YAML: there is a second `: ` in this line (here)
        put the value in quotes: it contains `: `
    "#);
}

#[test]
fn a_list_beside_its_key() {
    let text = r#"services:
  a: - x
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:2:6 `-` error: invalid YAML: a list item (`- `) cannot stand here (here)
        begin the list on the line below its key
    "#);
}

#[test]
fn a_bracket_that_closes_nothing() {
    let text = r#"services:
  a:
    image: x
    ports: ["80"]]
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:18 `]` error: invalid YAML: this bracket closes nothing (here)
        remove it, or open it before
    "#);
}

#[test]
fn a_brace_that_is_never_closed() {
    let text = r#"services:
  a:
    labels: {a: b
    image: x
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:13 `{` error: invalid YAML: this `{` is never closed (opened here)
        write a `}` where the value ends; it was missed at stack.yml:4:10
    "#);
}

#[test]
fn a_value_that_begins_with_a_reserved_character() {
    let text = r#"services:
  a:
    image: @app
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:12 `@` error: invalid YAML: a value cannot begin like this (here)
        put it in quotes
    "#);
}

#[test]
fn a_star_that_is_meant_as_text() {
    let text = r#"services:
  a:
    image: x
    command: [ls, *.txt]
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:19 `*.txt` error: invalid YAML: there is no anchor `&.txt` for the alias `*.txt` (here)
        a value that begins with `*` needs quotes
    "#);
}

#[test]
fn a_merge_key_of_a_text() {
    let text = r#"services:
  a:
    <<: base
    image: x
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:9 `base` error: the merge key `<<` takes a mapping or a list of mappings, not a string
    "#);
}

#[test]
fn an_alias_merged_without_its_anchor() {
    let text = r#"services:
  a:
    <<: *base
    image: x
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:9 `*base` error: invalid YAML: there is no anchor `&base` for the alias `*base` (here)
        write `&base` before the value that is meant, above this line and in the same file
    "#);
}

#[test]
fn a_text_alone() {
    let text = r#"hello
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:1:1 `hello` error: a stack file must be a mapping, this is a string
    "#);
}

#[test]
fn lines_that_end_as_in_windows() {
    insta::assert_snapshot!(diagnose("services:\r\n  a:\r\n    imge: x\r\n"), @r#"
    stack.yml:3:5 `imge` error: `services.a` has no attribute `imge` (unknown)
        did you mean `image`?
    "#);
}

#[test]
fn no_line_end_at_the_end() {
    let text = r#"services:
  a:
    imge: x"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:3:5 `imge` error: `services.a` has no attribute `imge` (unknown)
        did you mean `image`?
    "#);
}

//! What diagnostics tell about the variables that a wrong value came from.

use super::{advise, diagnose_files, line, load_files};
use crate::compose::LoadOptions;

fn diagnose(files: &[(&str, &str)], change: fn(&mut LoadOptions)) -> String {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let loaded = load_files(&files, change);
    loaded.diagnostics.iter().chain(&loaded.unsupported).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn of_the_env_file() {
    let stack = "services:\n  web:\n    image: x\n    ports:\n      - \"${PORT}:80\"\n";
    insta::assert_snapshot!(diagnose(&[("stack.yml", stack), (".env", "# ports\n\nPORT=abc\n")], |_| {}), @r#"
    stack.yml:5:9 `"${PORT}:80"` error: `services.web.ports[0]`: "abc" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
        note: PORT=abc is set in .env:3
    "#);
}

#[test]
fn of_the_shell_over_the_env_file() {
    let stack = "services:\n  web: {image: x, mem_limit: '${SET}'}\n";
    insta::assert_snapshot!(diagnose(&[("stack.yml", stack), (".env", "SET=1g\n")], |_| {}), @r#"
    stack.yml:2:30 `'${SET}'` error: `services.web.mem_limit`: "value" is not a size
        write a number of bytes, or one with a unit: 512k, 300m, 1.5g
        note: SET=value is set in the shell, over 1g in .env:1
    "#);
}

#[test]
fn of_a_named_env_file() {
    let stack = "services:\n  web: {image: x, init: '${INIT}', stop_grace_period: '${T}'}\n";
    let files = [("stack.yml", stack), ("a.env", "INIT=maybe\nT=5s\n"), ("b.env", "\nT=5\n")];
    insta::assert_snapshot!(diagnose(&files, |o| o.env_files = vec!["a.env".into(), "b.env".into()]), @r#"
    stack.yml:2:25 `'${INIT}'` error: `services.web.init`: "maybe" is not a boolean
        write true or false
        note: INIT=maybe is set in a.env:1
    stack.yml:2:55 `'${T}'` error: `services.web.stop_grace_period`: "5" is not a duration
        write a number with its unit: 500ms, 10s, 1m30s, 2h
        note: T=5 is set in b.env:2, over 5s in a.env:2
    "#);
}

#[test]
fn that_are_not_set() {
    let stack =
        "services:\n  web: {image: x, cpus: '${CPUS}', shm_size: '${SHM:-lots}', pids_limit: '${EMPTY:-many}'}\n";
    insta::assert_snapshot!(diagnose(&[("stack.yml", stack)], |_| {}), @r#"
    stack.yml:2:25 `'${CPUS}'` error: `services.web.cpus`: "" is not a number
        note: CPUS is not set and becomes an empty string
    stack.yml:2:28 `CPUS` warning: the variable CPUS is not set and becomes an empty string
        set it in the environment or in .env, or give a default: ${CPUS:-value}
    stack.yml:2:46 `'${SHM:-lots}'` error: `services.web.shm_size`: "lots" is not a size
        write a number of bytes, or one with a unit: 512k, 300m, 1.5g
        note: SHM is not set, its default is used
    stack.yml:2:74 `'${EMPTY:-many}'` error: `services.web.pids_limit`: "many" is not a whole number
        note: EMPTY is empty (in the shell), its default is used
    "#);
}

#[test]
fn of_an_included_file() {
    let files = [
        ("stack.yml", "include: [sub/stack.yml]\nservices: {web: {image: x}}\n"),
        ("sub/stack.yml", "services:\n  api: {image: x, ports: ['${PORT}']}\n"),
        ("sub/.env", "PORT=http\n"),
    ];
    insta::assert_snapshot!(diagnose(&files, |_| {}), @r#"
    sub/stack.yml:2:27 `'${PORT}'` error: `services.api.ports[0]`: "http" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
        note: PORT=http is set in sub/.env:1
    "#);
}

#[test]
fn of_an_extended_service() {
    let files = [
        ("stack.yml", "services: {web: {extends: {file: base.yml, service: web}}}\n"),
        ("base.yml", "services:\n  web: {image: x, privileged: '${PRIVILEGED}'}\n"),
        (".env", "PRIVILEGED=perhaps\n"),
    ];
    insta::assert_snapshot!(diagnose(&files, |_| {}), @r#"
    base.yml:2:31 `'${PRIVILEGED}'` error: `services.web.privileged`: "perhaps" is not a boolean
        write true or false
        note: PRIVILEGED=perhaps is set in .env:1
    "#);
}

#[test]
fn several_in_one_text_and_a_secret_one() {
    let stack = "services:\n  web:\n    image: x\n    depends_on: [\"${A}${B:+-b}-${DB_PASSWORD}\"]\n";
    insta::assert_snapshot!(diagnose(&[("stack.yml", stack), (".env", "A=a\nDB_PASSWORD=s3cret\n")], |_| {}), @r#"
    stack.yml:4:18 `"${A}${B:+-b}-${DB_PASSWORD}"` error: the service `web` depends on `a-s3cret`, which is not defined
        note: A=a is set in .env:1
        note: B is not set, nothing is put in its place
        note: DB_PASSWORD=*** is set in .env:2
    "#);
}

#[test]
fn of_a_reference_that_leads_nowhere() {
    let stack = "services:\n  web: {image: x, network_mode: 'service:${OTHER}', volumes: ['${VOLUME}:/data']}\n";
    insta::assert_snapshot!(diagnose(&[("stack.yml", stack), (".env", "OTHER=db\nVOLUME=data\n")], |_| {}), @r#"
    stack.yml:2:33 `'service:${OTHER}'` error: the service `web` depends on `db`, which is not defined
        note: OTHER=db is set in .env:1
    stack.yml:2:63 `'${VOLUME}:/data'` error: the service `web` uses the volume `data`, which is not defined
        define it at the top level: volumes: {data: }; a folder is written ./data
        note: VOLUME=data is set in .env:2
    "#);
}

#[test]
fn once_for_a_text_that_aliases_repeat() {
    let stack = "x-ports: &p ['${SET}']\nservices:\n  a: {image: x, ports: *p}\n  b: {image: x, ports: *p}\n";
    insta::assert_snapshot!(diagnose(&[("stack.yml", stack)], |_| {}), @r#"
    stack.yml:1:14 `'${SET}'` error: `services.a.ports[0]`: "value" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
        note: SET=value is set in the shell
    "#);
}

#[test]
fn none_where_the_place_is_another() {
    let stack = "services:\n  web: {image: '${SET}', prots: [80], user: \"$SET\"}\n";
    insta::assert_snapshot!(diagnose(&[("stack.yml", stack)], |_| {}), @r#"
    stack.yml:2:26 `prots` error: `services.web` has no attribute `prots` (unknown)
        did you mean `ports`?
    "#);
}

#[test]
fn secret_ones_are_in_no_message() {
    let text = "services:
  web:
    image: ${IMAGE_TOKEN}
    mem_limit: ${MEM_SECRET}
    environment:
      DB_PASSWORD: pw${nobody
      PIN_CODE: 0123
      ADMIN_PASSWORD: 0123
      OTHER: ${FINE:?no}
";
    let env = "IMAGE_TOKEN=hun\\ter2\nMEM_SECRET=hunter2\n";
    insta::assert_snapshot!(diagnose_files(&[("stack.yml", text), (".env", env)]), @r#"
    stack.yml:4:16 `${MEM_SECRET}` error: `services.web.mem_limit`: "***" is not a size
        write a number of bytes, or one with a unit: 512k, 300m, 1.5g
        note: MEM_SECRET=*** is set in .env:2
    stack.yml:6:22 `${nobody` error: `services.web.environment.DB_PASSWORD`: invalid interpolation format: "***"
        write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+value}; a literal $ is $$
    stack.yml:9:16 `FINE` error: `services.web.environment.OTHER`: required variable FINE is missing a value: no
        set FINE in the environment or in .env
    "#);
    let env = "OTHER=1\nA_PASSWORD=\"hunter2\n";
    insta::assert_snapshot!(diagnose_files(&[("stack.yml", "services: {a: {image: x}}"), (".env", env)]), @r#"
    .env:2:1 `A_PASSWORD="hunter2` error: unterminated quoted value of A_PASSWORD
        close the quote; a value in quotes may go on over several lines
    "#);
    let text = "services:\n  a:\n    image: x\n    environment:\n      A_PASSWORD: 0123\n      B_TOKEN: 11:22\n      C: 0123\n";
    insta::assert_snapshot!(advise(text), @r#"
    stack.yml:5:19 `0123` warning: `services.a.environment.A_PASSWORD`: *** without quotes is a number, so the value becomes "***"
        put it in quotes to keep it as it is written: "***"
    stack.yml:6:16 `11:22` warning: `services.a.environment.B_TOKEN`: without quotes this is a number for readers of YAML 1.1
        it is read as written here; put it in quotes for other programs: "***"
    stack.yml:7:10 `0123` warning: `services.a.environment.C`: 0123 without quotes is a number, so the value becomes "83"
        put it in quotes to keep it as it is written: "0123"
    "#);
}

#[test]
fn doubts_about_env_files() {
    let text = "services: {a: {image: 'x:${A}', command: 'echo $B', healthcheck: {test: ['CMD-SHELL', 'x ${C}']}, env_file: b.env}}";
    let env = "A=1\nX=${NOPE}y\nA=2\nA=2\n";
    let files = [("stack.yml", text), (".env", env), ("b.env", "B=$NOWHERE\n")];
    insta::assert_snapshot!(diagnose_files(&files), @"
    .env:2:1 `X` warning: the variable NOPE is not set and becomes an empty string
        set it, or give a default: ${NOPE:-value}; in single quotes a $ is a $
    .env:3:1 `A` warning: A is set to something else in line 1, which has no effect
        remove one of the lines
    stack.yml:1:49 `B` warning: the variable B is not set and becomes an empty string
        set it in the environment or in .env; if the container is to replace it, write $$B
    stack.yml:1:92 `C` warning: the variable C is not set and becomes an empty string
        set it in the environment or in .env; if the container is to replace it, write $$C
    b.env:1:1 `B` warning: the variable NOWHERE is not set and becomes an empty string
        set it, or give a default: ${NOWHERE:-value}; in single quotes a $ is a $
    ");
}

//! What `config` says of a file besides its mistakes: what means nothing here, and what a run would refuse.

use super::super::{line, load_files};
use crate::compose::in_order;

/// Returns all that who prints a file is told.
fn told(text: &str) -> String {
    let loaded = load_files(&[("stack.yml", text.as_bytes())], |options| options.to_run = false);
    let all = in_order(&[&loaded.diagnostics, &loaded.advice, &loaded.unsupported]);
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn misspelled_words() {
    let text = r#"services:
  a:
    image: x
    restart: on-falure:3
    cap_add: [NET_ADMN, cap_sys_nise, FLY]
    network_mode: hots
    stop_signal: SIGTREM
    security_opt: ['no-new-privilges:true']
    ulimits: {nofle: 3}
    ipc: shareble
  b:
    image: x
    restart: never
    deploy: {restart_policy: {condition: on-falure}, update_config: {failure_action: rolback}}
    ports: [{target: 80, protocol: tpc}]
    volumes: [{type: bind, source: ., target: /x, bind: {propagation: rshred}}]
    x-stack: {ready: atuo}
"#;
    insta::assert_snapshot!(told(text), @r#"
    stack.yml:4:14 `on-falure:3` warning: "on-falure:3" is not a restart policy: no, always, on-failure[:N] or unless-stopped (`up` refuses this)
        did you mean `on-failure:3`?
    stack.yml:5:15 `NET_ADMN` warning: "NET_ADMN" is not a capability (`up` refuses this)
        did you mean `NET_ADMIN`?
    stack.yml:5:25 `cap_sys_nise` warning: "cap_sys_nise" is not a capability (`up` refuses this)
        did you mean `SYS_NICE`?
    stack.yml:5:39 `FLY` warning: "FLY" is not a capability (`up` refuses this)
        write a name of capabilities(7), as NET_ADMIN or SYS_PTRACE, or ALL
    stack.yml:6:19 `hots` warning: "hots" is not a network mode: none, host, bridge, service:NAME or container:NAME (`up` refuses this)
        did you mean `host`?
    stack.yml:7:18 `SIGTREM` warning: "SIGTREM" is not a signal (`up` refuses this)
        did you mean `SIGTERM`?
    stack.yml:8:20 `'no-new-privilges:true'` warning: "no-new-privilges:true" is not a security option (`up` refuses this)
        did you mean `no-new-privileges:true`?
    stack.yml:9:15 `nofle` warning: "nofle" is not a limit: as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack (`up` refuses this)
        did you mean `nofile`?
    stack.yml:10:10 `shareble` warning: "shareble" is not an IPC mode: none, private, host, shareable, service:NAME or container:NAME (`up` refuses this)
        did you mean `shareable`?
    stack.yml:13:5 `restart` warning: `restart` of `b` has no effect, because it differs from `deploy.restart_policy`
        keep one of them; `deploy.restart_policy` wins
    stack.yml:13:14 `never` warning: "never" is not a restart policy: no, always, on-failure[:N] or unless-stopped (`up` refuses this)
        did you mean `no`?
    stack.yml:14:42 `on-falure` warning: "on-falure" is not a condition: none, on-failure or any (`up` refuses this)
        did you mean `on-failure`?
    stack.yml:14:86 `rolback` warning: "rolback" is not a value it can have
        did you mean `rollback`?
    stack.yml:15:36 `tpc` warning: ports of the protocol "tpc" cannot be published: only tcp and udp (`up` refuses this)
        did you mean `tcp`?
    stack.yml:16:71 `rshred` warning: "rshred" is not a propagation: private, rprivate, shared, rshared, slave, rslave (`up` refuses this)
        did you mean `rshared`?
    stack.yml:17:22 `atuo` warning: "atuo" is not a rule of readiness: auto, tcp:PORT, http:PORT/PATH, log:REGEX or none (`up` refuses this)
        did you mean `auto`?
    "#);
}

#[test]
fn beside_mistakes() {
    let text = r#"services:
  a:
    image: x
    restart: on-falure
    isolation: hyperv
    comand: [x]
    healthcheck: {test: [CMD, a, '&&', b], intervl: 1s}
    command: [a, '&&', b]
  b: {image: x, depends_on: {c: {condition: service_healthy}}}
  c: {image: x, helthcheck: {test: a}}
"#;
    insta::assert_snapshot!(told(text), @r#"
    stack.yml:4:14 `on-falure` warning: "on-falure" is not a restart policy: no, always, on-failure[:N] or unless-stopped (`up` refuses this)
        did you mean `on-failure`?
    stack.yml:5:5 `isolation` warning: `services.*.isolation` is ignored: it only has a meaning on Windows
    stack.yml:8:14 `[a, '&&', b]` warning: `command` of `a` passes "&&" to its program, as no shell runs this
        for a shell, write: [sh, -c, "the whole command line"]
    stack.yml:6:5 `comand` error: `services.a` has no attribute `comand` (unknown)
        did you mean `command`?
    stack.yml:7:44 `intervl` error: `services.a.healthcheck` has no attribute `intervl` (unknown)
        did you mean `interval`?
    stack.yml:10:17 `helthcheck` error: `services.c` has no attribute `helthcheck` (unknown)
        did you mean `healthcheck`?
    "#);
}

#[test]
fn what_means_nothing_here_is_told_once() {
    let text = r#"services:
  a: {image: x, isolation: hyperv, secrets: [s], annotations: {a: b}}
  b: {image: x, isolation: hyperv, deploy: {placement: {constraints: [a]}}}
  off: {image: x, use_api_socket: true, profiles: [p]}
secrets: {s: {file: ./s, driver: vault}}
"#;
    insta::assert_snapshot!(told(text), @r"
    stack.yml:2:17 `isolation` warning: `services.*.isolation` is ignored: it only has a meaning on Windows (used 2 times)
    stack.yml:3:57 `constraints` warning: `services.*.deploy.placement.constraints` is ignored: there is one machine, so nothing is placed
    stack.yml:5:26 `driver` warning: `secrets.*.driver` is ignored: there are no drivers for secrets
    ");
}

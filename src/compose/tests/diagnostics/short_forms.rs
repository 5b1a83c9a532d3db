//! Short forms: ports, mounts and the like.

use super::super::diagnose;

#[test]
fn ports() {
    let text = r#"services:
  a:
    image: x
    ports: ['80-81:8000-8002', 'x:80', 'localhost:80:80', 80/icmp, true]
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:13 `'80-81:8000-8002'` error: `services.a.ports[0]`: the ranges 8000-8002 and 80-81 differ in length
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:32 `'x:80'` error: `services.a.ports[1]`: "x" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:40 `'localhost:80:80'` error: `services.a.ports[2]`: "localhost" is not an IP address
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:59 `80/icmp` error: `services.a.ports[3]`: "icmp" is not a protocol: tcp, udp or sctp
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:68 `true` error: `services.a.ports[4]` must be a number, a string or a mapping, not a boolean
    "#);
}

#[test]
fn volumes() {
    let text = r#"services:
  a:
    image: x
    volumes: ['vol:/b:/c:ro', ':/x', {type: bind, target: /y}, {type: floppy, target: /z}]
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:15 `'vol:/b:/c:ro'` error: `services.a.volumes[0]`: too many colons in "vol:/b:/c:ro"
        write [SOURCE:]TARGET[:OPTIONS], as in ./data:/data:ro
    stack.yml:4:31 `':/x'` error: `services.a.volumes[1]`: a part of ":/x" is empty
        write [SOURCE:]TARGET[:OPTIONS], as in ./data:/data:ro
    stack.yml:4:38 `{type: bind, target: /y}` error: a bind mount of the service `a` lacks `source`
    stack.yml:4:71 `floppy` error: `services.a.volumes[3].type`: "floppy" is not a value it can have
        one of `bind`, `volume`, `tmpfs`, `image`, `npipe`, `cluster`
    "#);
}

#[test]
fn ports_that_are_incomplete() {
    let text = r#"services:
  a:
    image: x
    ports: ['8080:', ':', '1.2.3:80:80', '80:http', '90-80', '80 : 80', '8080:80/tpc']
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:13 `'8080:'` error: `services.a.ports[0]`: "8080:" names no container port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:22 `':'` error: `services.a.ports[1]`: ":" names no container port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:27 `'1.2.3:80:80'` error: `services.a.ports[2]`: "1.2.3" is not an IP address
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:42 `'80:http'` error: `services.a.ports[3]`: "http" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:53 `'90-80'` error: `services.a.ports[4]`: the range 90-80 ends before it begins
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:62 `'80 : 80'` error: `services.a.ports[5]`: " 80" is not a port
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    stack.yml:4:73 `'8080:80/tpc'` error: `services.a.ports[6]`: "tpc" is not a protocol: tcp, udp or sctp
        write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in "8080:80"
    "#);
}

#[test]
fn devices_and_hosts() {
    let text = r#"services:
  a:
    image: x
    devices: ['/dev/a:/dev/b:rw:x']
    extra_hosts: [nohost, '=1.2.3.4']
    tmpfs: 5
    ulimits: {nofile: lots}
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:15 `'/dev/a:/dev/b:rw:x'` error: `services.a.devices[0]`: too many colons in a device
        use the long form: {source: ..., target: ..., permissions: ...}
    stack.yml:5:19 `nohost` error: `services.a.extra_hosts[0]`: an extra host needs a name and an address
        write HOST=ADDRESS
    stack.yml:5:27 `'=1.2.3.4'` error: `services.a.extra_hosts[1]`: an extra host needs a name and an address
        write HOST=ADDRESS
    stack.yml:6:12 `5` error: `services.a.tmpfs` must be a string or list, not a number
    stack.yml:7:23 `lots` error: `services.a.ulimits.nofile` must be a whole number or {soft, hard}, not a string
    "#);
}

#[test]
fn mounts_without_a_target() {
    let text = r#"services:
  a:
    image: x
    volumes: ['', {type: volume, source: v}]
volumes: {v: }
"#;
    insta::assert_snapshot!(diagnose(text), @r#"
    stack.yml:4:15 `''` error: `services.a.volumes[0]`: a part of "" is empty
        write [SOURCE:]TARGET[:OPTIONS], as in ./data:/data:ro
    stack.yml:4:19 `{type: volume, source: v}` error: a mount of the service `a` lacks `target`
    "#);
}

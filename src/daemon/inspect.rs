//! `inspect` in the shape of Docker's container inspect; pure.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::container::View;
use super::summary::protocol_word;
use crate::ids::{NetworkName, signal};
use crate::spec::{MountKind, NetworkSpec, RestartPolicy, Seccomp};

/// Returns Docker's inspect object of a container. `bundle` is its folder on disk, `log` its
/// log file, `networks` the networks its endpoints are on.
pub(super) fn inspect(
    view: &View<'_>,
    bundle: &Path,
    log: &Path,
    networks: &BTreeMap<NetworkName, NetworkSpec>,
) -> Value {
    let spec = view.spec;
    let (entrypoint, command) = spec.argv.split_at(spec.entrypoint_len.min(spec.argv.len()));
    let exposed: Map<String, Value> = spec
        .exposed
        .iter()
        .cloned()
        .chain(spec.ports.iter().map(|p| format!("{}/{}", p.container_port, protocol_word(p.protocol))))
        .map(|port| (port, json!({})))
        .collect();
    let healthcheck = spec.healthcheck.as_ref().map(|check| {
        let test: Vec<&str> = if check.shell {
            ["CMD-SHELL"].into_iter().chain(check.argv.last().map(String::as_str)).collect()
        } else {
            ["CMD"].into_iter().chain(check.argv.iter().map(String::as_str)).collect()
        };
        json!({
            "Test": test,
            "Interval": check.interval.as_nanos() as u64,
            "Timeout": check.timeout.as_nanos() as u64,
            "StartPeriod": check.start_period.as_nanos() as u64,
            "StartInterval": check.start_interval.as_nanos() as u64,
            "Retries": check.retries,
        })
    });
    let mut config = json!({
        "Hostname": spec.hostname,
        "Domainname": spec.domainname,
        "User": spec.user,
        "AttachStdin": false,
        "AttachStdout": true,
        "AttachStderr": true,
        "ExposedPorts": exposed,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "StdinOnce": false,
        "Env": spec.env,
        "Cmd": command,
        "Image": spec.image.reference,
        "Volumes": null,
        "WorkingDir": spec.cwd,
        "Entrypoint": if entrypoint.is_empty() { Value::Null } else { json!(entrypoint) },
        "Labels": spec.labels,
        "StopSignal": signal::name(spec.stop_signal),
        "StopTimeout": spec.stop_grace.as_secs(),
    });
    if let Some(check) = healthcheck {
        config["Healthcheck"] = check;
    }
    json!({
        "Id": spec.id.as_str(),
        "Created": rfc3339(view.created_ns),
        "Path": spec.argv.first(),
        "Args": spec.argv.get(1..).unwrap_or_default(),
        "State": state(view),
        "Image": spec.image.id.as_str(),
        "ResolvConfPath": bundle.join("resolv.conf"),
        "HostnamePath": bundle.join("hostname"),
        "HostsPath": bundle.join("hosts"),
        "LogPath": log,
        "Name": format!("/{}", spec.name),
        "RestartCount": view.restarts,
        "Driver": "overlayfs",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": host_config(view),
        "GraphDriver": { "Name": "overlayfs", "Data": {
            "LowerDir": spec.image.layers.iter().rev().map(|l| l.display().to_string()).collect::<Vec<_>>().join(":"),
            "UpperDir": bundle.join("upper"),
            "WorkDir": bundle.join("work"),
        }},
        "Mounts": mounts(view),
        "Config": config,
        "NetworkSettings": network_settings(view, networks),
    })
}

/// Returns the `State` object.
fn state(view: &View<'_>) -> Value {
    let running = view.state == "running";
    let mut state = json!({
        "Status": view.state,
        "Running": running || view.state == "restarting",
        "Paused": false,
        "Restarting": view.state == "restarting",
        "OOMKilled": view.oom_killed,
        "Dead": false,
        "Pid": view.pid.unwrap_or(0),
        "ExitCode": if running { 0 } else { view.exit_code },
        "Error": view.error,
        "StartedAt": rfc3339(view.started_ns.unwrap_or(NEVER)),
        "FinishedAt": rfc3339(view.finished_ns.unwrap_or(NEVER)),
    });
    if let Some(health) = &view.health {
        let log: Vec<_> = health
            .log
            .iter()
            .map(|probe| {
                json!({
                    "Start": rfc3339(probe.start_ns),
                    "End": rfc3339(probe.end_ns),
                    "ExitCode": probe.exit_code,
                    "Output": probe.output,
                })
            })
            .collect();
        state["Health"] = json!({ "Status": health.status.word(), "FailingStreak": health.failing_streak, "Log": log });
    }
    state
}

/// Returns the `HostConfig` object.
fn host_config(view: &View<'_>) -> Value {
    let spec = view.spec;
    let (policy, maximum) = match spec.restart {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::OnFailure(max) => ("on-failure", max.unwrap_or(0)),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
    };
    let binds: Vec<String> = spec
        .mounts
        .iter()
        .filter_map(|m| {
            let source = match &m.kind {
                MountKind::Bind { source, .. } => source.display().to_string(),
                MountKind::Volume { name, .. } => name.to_string(),
                MountKind::Tmpfs { .. } => return None,
            };
            Some(format!("{source}:{}:{}", m.target, if m.read_only { "ro" } else { "rw" }))
        })
        .collect();
    let tmpfs: Map<String, Value> = spec
        .mounts
        .iter()
        .filter_map(|m| match &m.kind {
            MountKind::Tmpfs { options, .. } => Some((m.target.clone(), json!(options.join(",")))),
            _ => None,
        })
        .collect();
    let mut bindings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in &spec.ports {
        let host_port = match (port.host_port.start, port.host_port.end) {
            (0, 0) => String::new(),
            (start, end) if start == end => start.to_string(),
            (start, end) => format!("{start}-{end}"),
        };
        bindings
            .entry(format!("{}/{}", port.container_port, protocol_word(port.protocol)))
            .or_default()
            .push(json!({ "HostIp": port.host_ip.map_or(String::new(), |ip| ip.to_string()), "HostPort": host_port }));
    }
    let network_mode = if spec.host_network {
        "host".to_owned()
    } else if let Some(other) = &spec.network_of {
        format!("container:{other}")
    } else {
        spec.endpoints.first().map_or("none".to_owned(), |e| e.network.to_string())
    };
    let mut security: Vec<&str> = Vec::new();
    if spec.no_new_privileges {
        security.push("no-new-privileges");
    }
    if spec.seccomp == Seccomp::Unconfined {
        security.push("seccomp=unconfined");
    }
    let resources = &spec.resources;
    json!({
        "Binds": binds,
        "ContainerIDFile": "",
        "LogConfig": { "Type": "json-file", "Config": { "max-size": "10m", "max-file": "5" } },
        "NetworkMode": network_mode,
        "PortBindings": bindings,
        "RestartPolicy": { "Name": policy, "MaximumRetryCount": maximum },
        "AutoRemove": false,
        "VolumeDriver": "",
        "VolumesFrom": null,
        "CapAdd": spec.capabilities.add,
        "CapDrop": spec.capabilities.drop,
        "CgroupnsMode": "private",
        "Dns": spec.dns,
        "DnsOptions": spec.dns_options,
        "DnsSearch": spec.dns_search,
        "ExtraHosts": spec.extra_hosts.iter().map(|(name, ip)| format!("{name}:{ip}")).collect::<Vec<_>>(),
        "GroupAdd": spec.group_add,
        "IpcMode": "private",
        "Links": null,
        "OomScoreAdj": resources.oom_score_adj.unwrap_or(0),
        "PidMode": "",
        "Privileged": spec.privileged,
        "PublishAllPorts": false,
        "ReadonlyRootfs": spec.read_only,
        "SecurityOpt": security,
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": spec.shm_size,
        "Sysctls": spec.sysctls,
        "Runtime": "stack",
        "Init": spec.init,
        "Tmpfs": tmpfs,
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "Memory": resources.memory.unwrap_or(0),
        "NanoCpus": resources.nano_cpus.unwrap_or(0),
        "CgroupParent": spec.cgroup_parent,
        "CpusetCpus": resources.cpuset.clone().unwrap_or_default(),
        "MemoryReservation": resources.memory_reservation.unwrap_or(0),
        "MemorySwap": resources.memory_swap.unwrap_or(0),
        "PidsLimit": resources.pids,
        "Ulimits": spec.rlimits.iter().map(|limit| json!({
            "Name": limit.name, "Soft": unlimited(limit.soft), "Hard": unlimited(limit.hard),
        })).collect::<Vec<_>>(),
        "MaskedPaths": crate::engine::MASKED_PATHS,
        "ReadonlyPaths": crate::engine::READ_ONLY_PATHS,
    })
}

/// Returns the `Mounts` array.
fn mounts(view: &View<'_>) -> Vec<Value> {
    view.spec
        .mounts
        .iter()
        .map(|mount| {
            let rw = !mount.read_only;
            match &mount.kind {
                MountKind::Bind { source, propagation, .. } => json!({
                    "Type": "bind", "Source": source, "Destination": mount.target, "Mode": "", "RW": rw,
                    "Propagation": if propagation.is_empty() { "rprivate" } else { propagation },
                }),
                MountKind::Volume { name, source, .. } => json!({
                    "Type": "volume", "Name": name, "Source": source, "Destination": mount.target,
                    "Driver": "local", "Mode": "", "RW": rw, "Propagation": "",
                }),
                MountKind::Tmpfs { .. } => json!({
                    "Type": "tmpfs", "Source": "", "Destination": mount.target, "Mode": "", "RW": rw, "Propagation": "",
                }),
            }
        })
        .collect()
}

/// Returns the `NetworkSettings` object.
fn network_settings(view: &View<'_>, networks: &BTreeMap<NetworkName, NetworkSpec>) -> Value {
    let spec = view.spec;
    let mut ports: Map<String, Value> = spec.exposed.iter().map(|port| (port.clone(), Value::Null)).collect();
    for bound in view.bound {
        let key = format!("{}/{}", bound.container_port, protocol_word(bound.protocol));
        let binding = json!({ "HostIp": bound.host_ip.to_string(), "HostPort": bound.host_port.to_string() });
        match ports.get_mut(&key) {
            Some(Value::Array(list)) => list.push(binding),
            _ => {
                ports.insert(key, json!([binding]));
            }
        }
    }
    let attached: Map<String, Value> = spec
        .endpoints
        .iter()
        .map(|endpoint| {
            let network = networks.get(&endpoint.network);
            let mut names: Vec<&str> = vec![&spec.name, spec.id.short()];
            names.extend(endpoint.aliases.iter().map(String::as_str));
            let mut seen = std::collections::BTreeSet::new();
            names.retain(|name| seen.insert(*name));
            let value = json!({
                "IPAMConfig": null,
                "Links": null,
                "Aliases": endpoint.aliases,
                "MacAddress": mac(endpoint.mac),
                "DriverOpts": null,
                "NetworkID": network.map_or("", |n| n.id.as_str()),
                "EndpointID": endpoint.veth,
                "Gateway": network.map_or(String::new(), |n| n.gateway.to_string()),
                "IPAddress": endpoint.address.to_string(),
                "IPPrefixLen": network.map_or(0, |n| n.subnet.prefix()),
                "IPv6Gateway": network.and_then(|n| n.ipv6).map_or(String::new(), |(_, gateway)| gateway.to_string()),
                "GlobalIPv6Address": endpoint.address6.map_or(String::new(), |a| a.to_string()),
                "GlobalIPv6PrefixLen": network.and_then(|n| n.ipv6).map_or(0, |(subnet, _)| subnet.prefix()),
                "DNSNames": names,
            });
            (endpoint.network.to_string(), value)
        })
        .collect();
    json!({
        "Bridge": "",
        "SandboxID": spec.id.as_str(),
        "SandboxKey": view.pid.map_or(String::new(), |pid| format!("/proc/{pid}/ns/net")),
        "Ports": ports,
        "Networks": attached,
    })
}

/// Docker's time for what never happened, 0001-01-01T00:00:00Z, as a mark of our own.
const NEVER: i64 = i64::MIN;

/// Returns the time as Docker writes it, RFC 3339 with nanoseconds.
pub(super) fn rfc3339(ns: i64) -> String {
    if ns == NEVER {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| String::new(), |t| format!("{t:.9}"))
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

/// Docker writes -1 for a limit that is none.
fn unlimited(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::daemon::container::{Entry, HealthView, ProbeRecord};
    use crate::daemon::fixture;
    use crate::engine::Bound;
    use crate::spec::{Health, Protocol};

    /// Returns the container of the fixture while it runs.
    fn shown() -> Value {
        let mut entry = Entry::new(Arc::new(fixture::container()), 1_000_000_000);
        entry.pid = Some(42);
        entry.started_ns = Some(2_500_000_000);
        let bound =
            [Bound { host_ip: [0, 0, 0, 0].into(), host_port: 8080, container_port: 80, protocol: Protocol::Tcp }];
        let probe = ProbeRecord { start_ns: 3, end_ns: 4, exit_code: 1, output: "no\n".to_owned() };
        let health = HealthView { status: Health::Starting, failing_streak: 1, log: vec![probe] };
        let view = View { state: "running", health: Some(health), bound: &bound, ..entry.view(0) };
        let networks = BTreeMap::from([(NetworkName::new("app_default"), fixture::network())]);
        inspect(&view, Path::new("/c"), Path::new("/l/log"), &networks)
    }

    /// Keys of Docker's answer to GET /containers/{id}/json (Engine API v1.47) that programs read.
    #[test]
    fn the_shape_is_dockers() {
        let shown = shown();
        crate::schemas::check("inspect", &json!([shown]));
        for (object, keys) in [
            (
                "",
                "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver Platform MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver Mounts Config NetworkSettings",
            ),
            (
                "/State",
                "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt Health",
            ),
            ("/State/Health", "Status FailingStreak Log"),
            ("/State/Health/Log/0", "Start End ExitCode Output"),
            (
                "/Config",
                "Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env Cmd Healthcheck Image Volumes WorkingDir Entrypoint Labels StopSignal",
            ),
            (
                "/HostConfig",
                "Binds NetworkMode PortBindings RestartPolicy AutoRemove CapAdd CapDrop Dns ExtraHosts GroupAdd IpcMode OomScoreAdj PidMode Privileged ReadonlyRootfs SecurityOpt ShmSize Memory NanoCpus CpuShares PidsLimit Ulimits MaskedPaths ReadonlyPaths Init",
            ),
            ("/HostConfig/RestartPolicy", "Name MaximumRetryCount"),
            ("/Mounts/0", "Type Name Source Destination Driver Mode RW Propagation"),
            ("/NetworkSettings", "Ports Networks SandboxID SandboxKey"),
            (
                "/NetworkSettings/Networks/app_default",
                "IPAMConfig Links Aliases MacAddress DriverOpts NetworkID EndpointID Gateway IPAddress IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames",
            ),
        ] {
            let found = shown.pointer(object).and_then(Value::as_object);
            let found = found.unwrap_or_else(|| panic!("no object {object:?}"));
            let missing: Vec<_> = keys.split(' ').filter(|key| !found.contains_key(*key)).collect();
            assert!(missing.is_empty(), "{object:?} lacks {missing:?}");
        }
    }

    #[test]
    fn a_small_container() {
        let shown = shown();
        let parts = ["/State", "/NetworkSettings", "/Config/Healthcheck", "/HostConfig/PortBindings", "/Mounts"];
        let text = parts.map(|part| format!("{part} {}", shown.pointer(part).unwrap())).join("\n");
        insta::assert_snapshot!(text, @r#"
        /State {"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":42,"ExitCode":0,"Error":"","StartedAt":"1970-01-01T00:00:02.500000000Z","FinishedAt":"0001-01-01T00:00:00Z","Health":{"Status":"starting","FailingStreak":1,"Log":[{"Start":"1970-01-01T00:00:00.000000003Z","End":"1970-01-01T00:00:00.000000004Z","ExitCode":1,"Output":"no\n"}]}}
        /NetworkSettings {"Bridge":"","SandboxID":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","SandboxKey":"/proc/42/ns/net","Ports":{"9000/tcp":null,"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]},"Networks":{"app_default":{"IPAMConfig":null,"Links":null,"Aliases":["web"],"MacAddress":"02:00:0a:01:00:02","DriverOpts":null,"NetworkID":"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn","EndpointID":"v1","Gateway":"10.1.0.1","IPAddress":"10.1.0.2","IPPrefixLen":24,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":["app-web-1","aaaaaaaaaaaa","web"]}}}
        /Config/Healthcheck {"Test":["CMD-SHELL","test -e /ready"],"Interval":30000000000,"Timeout":5000000000,"StartPeriod":0,"StartInterval":5000000000,"Retries":3}
        /HostConfig/PortBindings {"80/tcp":[{"HostIp":"","HostPort":"8080"}]}
        /Mounts [{"Type":"volume","Name":"app_data","Source":"/volumes/app_data/_data","Destination":"/data","Driver":"local","Mode":"","RW":true,"Propagation":""}]
        "#);
        assert_eq!((&shown["Path"], &shown["Args"]), (&json!("sh"), &json!(["-c", "serve"])));
        assert_eq!(
            (&shown["Config"]["Entrypoint"], &shown["Config"]["Cmd"]),
            (&json!(["sh"]), &json!(["-c", "serve"]))
        );
    }
}

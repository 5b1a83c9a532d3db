//! A small container for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    Capabilities, ContainerSpec, Endpoint, HealthcheckSpec, ImageIdentity, Mount, MountKind, PortRange, Protocol,
    PublishedPort, Resources, RestartPolicy, Seccomp,
};
use crate::ids::{ContainerId, Digest, NetworkName, VolumeName};

/// Returns an id of 64 times this digit.
pub(crate) fn id(digit: char) -> ContainerId {
    digit.to_string().repeat(64).parse().expect("64 digits")
}

/// Returns `app-web-1`: one network, one port, one volume, a health check.
pub(crate) fn container() -> ContainerSpec {
    ContainerSpec {
        id: id('a'),
        name: "app-web-1".to_owned(),
        image: ImageIdentity {
            reference: "busybox".to_owned(),
            id: Digest::of(b"image"),
            layers: vec!["/layers/1".into(), "/layers/2".into()],
        },
        labels: BTreeMap::new(),
        argv: ["sh", "-c", "serve"].map(str::to_owned).to_vec(),
        shape: String::new(),
        entrypoint_len: 1,
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        user: String::new(),
        group_add: Vec::new(),
        hostname: "aaaaaaaaaaaa".to_owned(),
        domainname: String::new(),
        tty: false,
        stdin_open: false,
        init: false,
        read_only: false,
        mounts: vec![Mount {
            target: "/data".to_owned(),
            read_only: false,
            kind: MountKind::Volume {
                name: VolumeName::new("app_data"),
                source: "/volumes/app_data/_data".into(),
                nocopy: false,
                subpath: None,
                anonymous: false,
            },
        }],
        capabilities: Capabilities::default(),
        privileged: false,
        no_new_privileges: false,
        seccomp: Seccomp::Default,
        resources: Resources { memory: Some(64 << 20), ..Resources::default() },
        rlimits: Vec::new(),
        sysctls: BTreeMap::new(),
        shm_size: 64 << 20,
        extra_hosts: Vec::new(),
        dns: Vec::new(),
        dns_search: Vec::new(),
        dns_options: Vec::new(),
        stop_signal: 15,
        stop_grace: Duration::from_secs(10),
        restart: RestartPolicy::OnFailure(Some(3)),
        healthcheck: Some(HealthcheckSpec {
            argv: ["/bin/sh", "-c", "test -e /ready"].map(str::to_owned).to_vec(),
            shell: true,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            start_period: Duration::ZERO,
            start_interval: Duration::from_secs(5),
            retries: 3,
        }),
        ready: None,
        exposed: vec!["9000/tcp".to_owned()],
        links: Vec::new(),
        network_of: None,
        endpoints: vec![Endpoint {
            network: NetworkName::new("app_default"),
            interface: "eth0".to_owned(),
            veth: "v1".to_owned(),
            address: [10, 1, 0, 2].into(),
            address6: None,
            mac: [2, 0, 10, 1, 0, 2],
            aliases: vec!["web".to_owned()],
            default_route: true,
        }],
        host_network: false,
        ports: vec![PublishedPort {
            host_ip: None,
            host_port: PortRange { start: 8080, end: 8080 },
            container_port: 80,
            protocol: Protocol::Tcp,
        }],
        cgroup_parent: "/stack/app".to_owned(),
    }
}

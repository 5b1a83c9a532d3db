//! Networks for real: every test has a host of its own, a namespace of its own in the host's part,
//! and is checked with `ip`, `nft` and busybox.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::net::namespace::current;

mod dns;
mod kernel;
mod publish;

/// One engine's network on a host of its own that has an "outside" beyond `eth0`.
pub(super) struct World {
    pub(super) net: Net,
    pub(super) config: NetConfig,
    pub(super) host: OwnedFd,
    pub(super) outside: OwnedFd,
    _run: tempfile::TempDir,
}

pub(super) const HOST: &str = "192.0.2.1";
pub(super) const OUTSIDE: &str = "192.0.2.9";

/// A container's namespace with its place on a network.
pub(super) struct Guest {
    pub(super) id: ContainerId,
    pub(super) netns: OwnedFd,
    pub(super) endpoint: Endpoint,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl World {
    pub(super) async fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Also the name of a link: at most 15 bytes.
        let instance = format!("t{:x}-{number}", std::process::id());
        let run = tempfile::tempdir().unwrap();
        let config = NetConfig { instance, run: run.path().to_owned(), root: run.path().to_owned() };
        let bare = || run_in(Place::New, current).unwrap();
        let (host, outside) = (bare(), bare());
        let pid = std::process::id();
        sh(
            &host,
            &format!(
                "ip link set lo up; ip link add eth0 type veth peer name eth0 netns /proc/{pid}/fd/{0}; \
                 ip addr add {HOST}/24 dev eth0; ip link set eth0 up; ip route add default via {OUTSIDE}; \
                 ip addr add 2001:db8::1/64 dev eth0 nodad; echo 0 > /proc/sys/net/ipv4/ip_forward",
                std::os::fd::AsRawFd::as_raw_fd(&outside)
            ),
        );
        sh(&outside, &format!("ip link set lo up; ip addr add {OUTSIDE}/24 dev eth0; ip link set eth0 up"));
        let net = Net::open_on(config.clone(), Some(host.try_clone().unwrap())).await.unwrap();
        Self { net, config, host, outside, _run: run }
    }

    /// Makes a container on a network.
    pub(super) async fn guest(&self, network: &NetworkSpec, number: u8, name: &str) -> Guest {
        let netns = self.net.create_namespace().await.unwrap();
        let endpoint = endpoint(network, number, 0);
        self.net.attach(netns.as_fd(), &endpoint, network).await.unwrap();
        let id = ContainerId::from_bytes([number; 32]);
        let record = Record {
            network: network.name.clone(),
            names: vec![name.to_owned(), id.short().to_owned()],
            address: endpoint.address,
            address6: endpoint.address6,
        };
        self.net.set_records(&id, Some(vec![record]));
        self.net
            .serve_dns(&id, netns.as_fd(), vec![network.name.clone()], vec![OUTSIDE.parse().unwrap()])
            .await
            .unwrap();
        Guest { id, netns, endpoint }
    }

    pub(super) fn router(&self) -> OwnedFd {
        self.net.router_fd().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _best_effort = namespace::forget(&self.config.instance);
    }
}

pub(super) fn network(number: u8) -> NetworkSpec {
    NetworkSpec {
        name: NetworkName::new(format!("app_net{number}")),
        id: "0".repeat(64),
        bridge: format!("br{number}"),
        group: 1000 + u32::from(number),
        subnet: format!("10.77.{number}.0/24").parse().unwrap(),
        gateway: format!("10.77.{number}.1").parse().unwrap(),
        ipv6: None,
        internal: false,
        external: false,
        mtu: None,
        labels: Default::default(),
    }
}

pub(super) fn endpoint(network: &NetworkSpec, number: u8, interface: u8) -> Endpoint {
    let [a, b, c, _] = network.subnet.ip().octets();
    let address = Ipv4Addr::new(a, b, c, number);
    Endpoint {
        network: network.name.clone(),
        interface: format!("eth{interface}"),
        veth: format!("v{c}-{number}"),
        address,
        address6: network.ipv6.map(|(subnet, _)| Ipv6Addr::from_bits(subnet.ip().to_bits() + u128::from(number))),
        mac: messages::hardware(address),
        aliases: Vec::new(),
        default_route: !network.internal,
    }
}

/// Runs a shell line in a namespace and returns what it printed; panics when it fails.
pub(super) fn sh(namespace: impl AsFd, line: &str) -> String {
    let (ok, text) = try_sh(namespace, line);
    assert!(ok, "`{line}` failed: {text}");
    text
}

/// Runs a shell line in a namespace; returns whether it succeeded and what it printed.
pub(super) fn try_sh(namespace: impl AsFd, line: &str) -> (bool, String) {
    let output = within(namespace.as_fd(), || Command::new("sh").args(["-c", line]).output());
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn within<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> io::Result<T> + Send) -> T {
    run_in(Place::In(namespace), work).unwrap()
}

/// Polls until the condition holds, at most 5 s.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < deadline, "waited 5 s in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

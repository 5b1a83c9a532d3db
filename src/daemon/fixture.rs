//! A small container for tests.

use std::collections::BTreeMap;

use crate::ids::NetworkName;
use crate::plan::labels;
use crate::spec::{ContainerSpec, NetworkSpec};

/// Returns `app-web-1`: one network, one port, one volume, a health check.
pub(super) fn container() -> ContainerSpec {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    ContainerSpec {
        labels: BTreeMap::from([
            label(labels::PROJECT, "app"),
            label(labels::SERVICE, "web"),
            label(labels::NUMBER, "1"),
            label(labels::ONE_OFF, "False"),
        ]),
        ..crate::spec::fixture::container()
    }
}

/// Returns the container's network.
pub(super) fn network() -> NetworkSpec {
    NetworkSpec {
        name: NetworkName::new("app_default"),
        id: "n".repeat(64),
        bridge: "b1".to_owned(),
        group: 7,
        subnet: "10.1.0.0/24".parse().expect("a subnet"),
        gateway: [10, 1, 0, 1].into(),
        ipv6: None,
        internal: false,
        external: false,
        mtu: None,
        labels: BTreeMap::from([(labels::PROJECT.to_owned(), "app".to_owned())]),
    }
}

//! Published ports: where the shim meets `net::publish`.

use std::os::fd::OwnedFd;

use crate::engine::protocol::{Bound, PublishFailure, Upstream};
use crate::spec::PublishedPort;

/// What holds the host's sockets; they close with it.
pub(super) trait PortPublisher {
    /// Binds the ports and serves them from now on, in tasks of the shim's own thread.
    fn publish(
        &mut self,
        ports: &[PublishedPort],
        upstream: Upstream,
        router: Option<&OwnedFd>,
    ) -> Result<Vec<Bound>, PublishFailure>;
}

/// Publishes nothing. INTEGRATION: replaced by `net::publish` once it is on `main`.
#[derive(Debug, Default)]
pub(super) struct NoPublisher;

impl PortPublisher for NoPublisher {
    fn publish(
        &mut self,
        ports: &[PublishedPort],
        _upstream: Upstream,
        _router: Option<&OwnedFd>,
    ) -> Result<Vec<Bound>, PublishFailure> {
        match ports.first() {
            None => Ok(Vec::new()),
            Some(port) => Err(PublishFailure {
                address: format!("port {}", port.host_port.start),
                why: "this build cannot publish ports".to_owned(),
                errno: 0,
            }),
        }
    }
}

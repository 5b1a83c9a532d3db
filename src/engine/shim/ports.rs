//! Published ports of the container: the shim holds `net::publish`'s sockets.

use std::error::Error as _;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::engine::protocol::{Bound, PublishFailure, Upstream};
use crate::net::publish::{self, Lent, PublishError, Publisher};
use crate::spec::PublishedPort;

/// The host's sockets, served by a task of the shim until it ends.
#[derive(Debug, Default)]
pub(super) struct Ports {
    publisher: Option<Rc<Publisher>>,
    /// Where they lead, until the first start: serving begins only then, because it raises
    /// a limit that the container's first process must not inherit.
    upstream: Option<publish::Upstream>,
}

impl Ports {
    /// Binds all ports or none; those that another shim lends are gone on with.
    pub(super) fn publish(
        &mut self,
        ports: &[PublishedPort],
        upstream: Upstream,
        transparent: bool,
        router: Option<&OwnedFd>,
        lent: Vec<Lent>,
    ) -> Result<Vec<Bound>, PublishFailure> {
        let other = |why: &str| PublishFailure { address: "ports".to_owned(), why: why.to_owned(), errno: 0 };
        let router = router.ok_or_else(|| other("the container is on no network"))?;
        let address = upstream.v4.ok_or_else(|| other("the container has no address"))?;
        let router_ns = router.try_clone().map_err(|err| other(&err.to_string()))?;
        let publisher = Publisher::bind_on(ports, lent).map_err(|err| failure(&err))?;
        publisher.set_running(false);
        let bound = publisher.bound().into_iter().map(|bound| Bound {
            host_ip: bound.address.ip(),
            host_port: bound.address.port(),
            container_port: bound.port.container_port,
            protocol: bound.port.protocol,
        });
        let bound = bound.collect();
        self.publisher = Some(Rc::new(publisher));
        self.upstream = Some(publish::Upstream { router_ns, address, address6: upstream.v6, transparent });
        Ok(bound)
    }

    /// Returns the sockets for another shim.
    pub(super) fn lend(&self) -> std::io::Result<Vec<Lent>> {
        self.publisher.as_ref().map_or_else(|| Ok(Vec::new()), |publisher| publisher.lend())
    }

    /// Accepts nothing more; returns what to wait with for the connections that are open.
    pub(super) fn retire(&mut self) -> Option<Rc<Publisher>> {
        // One that never served has no connections.
        let publisher = self.publisher.take().filter(|_| self.upstream.take().is_none())?;
        publisher.retire();
        Some(publisher)
    }

    /// Tells whether the container's process runs: while it does not, clients wait.
    pub(super) fn set_running(&mut self, running: bool) {
        let Some(publisher) = &self.publisher else { return };
        publisher.set_running(running);
        if let (true, Some(upstream)) = (running, self.upstream.take()) {
            let publisher = Rc::clone(publisher);
            tokio::task::spawn_local(async move {
                // It serves until the shim ends; what could fail was tried when it was bound.
                let _ = publisher.serve(upstream).await;
            });
        }
    }
}

fn failure(err: &PublishError) -> PublishFailure {
    use nix::libc::{EACCES, EADDRINUSE, EADDRNOTAVAIL};
    let (address, errno) = match err {
        PublishError::InUse { address, .. } => (address.to_string(), EADDRINUSE),
        PublishError::RangeInUse { ip, start, .. } => (format!("{ip}:{start}"), EADDRINUSE),
        PublishError::NotLocal { address } => (address.to_string(), EADDRNOTAVAIL),
        PublishError::Denied { address, .. } => (address.to_string(), EACCES),
        PublishError::Open { address, source, .. } => (address.to_string(), source.raw_os_error().unwrap_or(0)),
    };
    let why = err.source().map_or_else(|| err.to_string(), |cause| format!("{err}: {cause}"));
    PublishFailure { address, why, errno }
}

//! Everything that can be known to fail is found before the first container is stopped.

use super::machine::no_source;
use super::operations::{failed, failure};
use crate::engine;
use crate::event::Failure;
use crate::host::HostError;
use crate::net::publish::{Holder, PublishError, Publisher};
use crate::plan::{Observed, Plan, needs};
use crate::spec::MountKind;

/// Returns what would make steps of the plan fail: all of it. Images among `pulls` are not here
/// yet: of their containers nothing is known.
pub(super) fn preflight(plan: &Plan, observed: &Observed, pulls: &[String]) -> Vec<Failure> {
    let mut failures = Vec::new();
    for spec in needs::made(plan).filter(|spec| !pulls.contains(&spec.image.reference)) {
        let doing = format!("create container {:?}", spec.name);
        failures.extend(engine::foresee(spec).into_iter().map(|why| failure(&doing, why)));
        for mount in &spec.mounts {
            if let MountKind::Bind { source, create: false, .. } = &mount.kind
                && source.symlink_metadata().is_err()
            {
                failures.push(failed(&doing, no_source(source, &mount.target)));
            }
        }
    }
    for (name, port) in needs::ports(plan, observed) {
        match Publisher::check(port) {
            Ok(()) => {}
            // One of our own that is about to close it, else the plan would have refused.
            Err(PublishError::InUse { holder: Some(Holder { container: true, .. }), .. }) => {}
            Err(error) => {
                let hint = advice(&error);
                let failure = failed(&format!("start container {name:?}"), HostError::new(error));
                failures.push(Failure { hint, ..failure });
            }
        }
    }
    failures
}

fn advice(error: &PublishError) -> Option<String> {
    match error {
        PublishError::InUse { holder: Some(Holder { pid, .. }), address, .. } => {
            Some(format!("end process {pid}, or publish another port than {}", address.port()))
        }
        PublishError::InUse { address, .. } => Some(format!("publish another port than {}", address.port())),
        _ => None,
    }
}

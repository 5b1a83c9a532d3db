//! Everything that can be known to fail is found before the first container is stopped.

use std::collections::BTreeSet;
use std::fs::File;

use super::machine::no_source;
use super::operations::{failed, failure};
use crate::compose::model::{ContentSource, Project};
use crate::engine;
use crate::event::Failure;
use crate::host::HostError;
use crate::net::publish::{Holder, PublishError, Publisher};
use crate::plan::{Observed, Op, Plan, Step, needs};
use crate::spec::MountKind;

/// Returns what would make steps of the plan fail: all of it. Images among `pulls` are not here
/// yet: of their containers nothing is known.
pub(super) fn preflight(project: &Project, plan: &Plan, observed: &Observed, pulls: &[String]) -> Vec<Failure> {
    let mut failures = unreadable(project, plan);
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

/// Returns the files behind secrets and configs that cannot be read, of services that get a container or start one.
fn unreadable(project: &Project, plan: &Plan) -> Vec<Failure> {
    let begins = |step: &Step| match &step.op {
        Op::CreateContainer { target, .. } | Op::StartContainer(target) => Some(target.service.clone()),
        _ => None,
    };
    let services: BTreeSet<_> = plan.steps.iter().filter_map(begins).collect();
    let mut failures = Vec::new();
    for name in services {
        let Some(service) = project.services.get(&name) else { continue };
        let secrets = service.secrets.iter().filter_map(|grant| match &project.secrets.get(&grant.source)?.source {
            ContentSource::File(path) => Some(("secret", &grant.source, path)),
            _ => None,
        });
        let configs = service.configs.iter().filter_map(|grant| match &project.configs.get(&grant.source)?.source {
            ContentSource::File(path) => Some(("config", &grant.source, path)),
            _ => None,
        });
        for (kind, key, path) in secrets.chain(configs) {
            // A folder can be opened, too.
            if let Err(error) = File::open(path) {
                let why = format!("{kind} {key:?}: cannot read {}: {error}", path.display());
                let hint = format!(
                    "create the file, or correct {kind}s.{key}.file; relative paths start at the file's folder"
                );
                failures
                    .push(Failure { hint: Some(hint), ..failure(&format!("start service {:?}", name.as_str()), why) });
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

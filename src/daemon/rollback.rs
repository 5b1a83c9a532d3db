//! Going back to the last definition that was good: `stack rollback`, and updates that fail with
//! `failure_action: rollback`.
//!
//! A definition is good once an `up` with it has succeeded. Two are kept: the last good one, and
//! the good one before it. Going back leads to the last good one, or, where that is what is there,
//! to the one before.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::http::Sink;
use super::operations::failure;
use super::{Daemon, project_record};
use crate::api::{RollbackRequest, UpRequest};
use crate::compose::model::{FailureAction, Project, PullPolicy, UpdateConfig};
use crate::event::{Event, Failure};
use crate::ids::{ProjectName, ServiceName};
use crate::paths::Paths;
use crate::plan::{Op, Plan};
use crate::spec::Recreate;
use crate::store::{self, Durability, StoreError};

/// What a project can go back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Good {
    last: Project,
    before: Option<Project>,
}

fn path(paths: &Paths, name: &ProjectName) -> PathBuf {
    paths.root.join("projects/good").join(format!("{}.json", store::file_name(name.as_str())))
}

fn read(paths: &Paths, name: &ProjectName) -> Option<Good> {
    match store::read(&path(paths, name)) {
        Ok(good) => good,
        Err(error) => {
            tracing::warn!(%error, "the project's last good definition is damaged");
            None
        }
    }
}

/// Notes that an `up` of these services (all when there are none named) has succeeded with this
/// definition. It is good when the rest of it is known to be.
pub(super) fn succeeded(paths: &Paths, project: &Project, services: &[ServiceName]) -> Result<(), StoreError> {
    let known = read(paths, &project.name);
    let rest = |project: &Project| {
        let mut rest = project.clone();
        rest.services.retain(|name, _| !services.contains(name));
        rest
    };
    let whole = services.is_empty() || project.services.keys().all(|name| services.contains(name));
    if !whole && !known.as_ref().is_some_and(|good| rest(&good.last) == rest(project)) {
        return Ok(());
    }
    let before = match known {
        Some(good) if good.last == *project => return Ok(()),
        Some(good) => Some(good.last),
        None => None,
    };
    store::write(&path(paths, &project.name), &Good { last: project.clone(), before }, Durability::Fast)
}

/// Forgets what a project could go back to.
pub(super) fn forget(paths: &Paths, name: &ProjectName) -> Result<(), StoreError> {
    store::remove(&path(paths, name))
}

/// Returns the definition to go back to; `None` when there is none.
fn target(good: Good, current: &Project) -> Option<Project> {
    if good.last == *current { good.before } else { Some(good.last) }
}

/// Returns the project with these services as they were (all when there are none named), and the
/// same as it is to be carried out: each service by its `rollback_config`.
///
/// # Errors
///
/// A service that did not exist.
fn taken_back(current: &Project, old: &Project, services: &[ServiceName]) -> Result<(Project, Project), String> {
    let mut back = if services.is_empty() { old.clone() } else { current.clone() };
    for name in services {
        let service = old.services.get(name);
        let service = service.ok_or_else(|| format!("service {name} was not in the last good definition"))?;
        back.services.insert(name.clone(), service.clone());
    }
    // What the older services need of the rest.
    for (key, network) in &old.networks {
        back.networks.entry(key.clone()).or_insert_with(|| network.clone());
    }
    for (key, volume) in &old.volumes {
        back.volumes.entry(key.clone()).or_insert_with(|| volume.clone());
    }
    let mut carried_out = back.clone();
    for (name, service) in &mut carried_out.services {
        let of = |project: &Project| Some(project.services.get(name)?.deploy.as_ref()?.clone());
        let asked = |project: &Project| of(project).and_then(|d| d.rollback_config.or(d.update_config));
        let Some(config) = asked(current).or_else(|| asked(old)) else { continue };
        let config = UpdateConfig {
            // There is nothing further back.
            failure_action: config.failure_action.filter(|action| *action != FailureAction::Rollback),
            ..config
        };
        service.deploy.get_or_insert_default().update_config = Some(config);
    }
    Ok((back, carried_out))
}

/// Returns the services whose update shall be taken back when one of its steps fails.
pub(super) fn revocable(plan: &Plan, project: &Project) -> BTreeSet<ServiceName> {
    let rolls = |name: &ServiceName| {
        let config = project.services.get(name)?.deploy.as_ref()?.update_config.as_ref()?;
        (config.failure_action == Some(FailureAction::Rollback)).then(|| name.clone())
    };
    plan.steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::WatchReplicas(batch) => rolls(&batch.service),
            _ => None,
        })
        .collect()
}

impl Daemon {
    /// Brings a project, or some of its services, back to the last good definition.
    pub(super) async fn rollback(
        self: Arc<Self>,
        name: ProjectName,
        request: RollbackRequest,
        sink: Sink,
    ) -> Vec<Failure> {
        let Some(_turn) = self.turn(&name, &sink).await else { return Vec::new() };
        self.go_back(&name, &request, &sink).await
    }

    /// As [`Daemon::rollback`], for who has the turn.
    pub(super) async fn go_back(
        self: &Arc<Self>,
        name: &ProjectName,
        request: &RollbackRequest,
        sink: &Sink,
    ) -> Vec<Failure> {
        let paths = &self.parts.paths;
        let doing = format!("roll back project {name}");
        let nothing = || failure(&doing, "there is no other definition that `up` succeeded with".to_owned());
        let current = project_record::read(paths, name);
        let Some((current, good)) = current.and_then(|current| Some((current, read(paths, name)?))) else {
            return vec![nothing()];
        };
        let Some(old) = target(good, &current) else { return vec![nothing()] };
        let (back, carried_out) = match taken_back(&current, &old, &request.services) {
            Ok(both) => both,
            Err(why) => return vec![failure(&doing, why)],
        };
        let message = "the files say otherwise still: the next `up` goes by them again".to_owned();
        let _ = sink.send(Event::Note { message });
        let up = UpRequest {
            project: carried_out,
            services: request.services.clone(),
            scale: Default::default(),
            no_deps: !request.services.is_empty(),
            recreate: Recreate::Diverged,
            remove_orphans: false,
            ignore_orphans: false,
            renew_anon_volumes: false,
            start: true,
            wait: false,
            wait_timeout: None,
            timeout: request.timeout,
            pull: Some(PullPolicy::Missing),
            expected: None,
            edited: false,
        };
        if request.dry_run {
            return self.tell_up(&up, sink).await;
        }
        // It calls this when it fails, which it does not where nothing rolls back.
        Box::pin(self.converge("rollback", &up, &back, sink)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::project;

    fn with(value: &str, rest: &str) -> Project {
        project(&format!(
            "services: {{web: {{environment: {{A: '{value}'}}{rest}}}, db: {{environment: {{A: '{value}'}}}}}}"
        ))
    }

    #[test]
    fn the_last_good_definition_is_gone_back_to_and_then_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths { root: folder.path().into(), run: folder.path().into() };
        let (one, two, three) = (with("1", ""), with("2", ""), with("3", ""));
        let check = |current: &Project, expected: Option<&Project>| {
            assert_eq!(read(&paths, &one.name).and_then(|good| target(good, current)).as_ref(), expected);
        };
        check(&one, None);
        succeeded(&paths, &one, &[]).unwrap();
        check(&one, None);
        check(&two, Some(&one)); // which failed
        succeeded(&paths, &two, &[]).unwrap();
        succeeded(&paths, &two, &[]).unwrap();
        check(&two, Some(&one));
        check(&three, Some(&two));
        succeeded(&paths, &one, &[]).unwrap();
        check(&one, Some(&two));
        forget(&paths, &one.name).unwrap();
        check(&two, None);
    }

    #[test]
    fn what_was_not_brought_up_does_not_become_good() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths { root: folder.path().into(), run: folder.path().into() };
        let (one, two) = (with("1", ""), with("2", ""));
        let web = ["web".into()];
        let last = || read(&paths, &one.name).map(|good| good.last);
        succeeded(&paths, &one, &web).unwrap();
        assert_eq!(last(), None);
        succeeded(&paths, &one, &["db".into(), "web".into()]).unwrap();
        assert_eq!(last().as_ref(), Some(&one));
        succeeded(&paths, &two, &web).unwrap();
        assert_eq!(last().as_ref(), Some(&one));
        let mut mixed = one.clone();
        mixed.services.insert("web".into(), two.services["web"].clone());
        succeeded(&paths, &mixed, &web).unwrap();
        assert_eq!(last(), Some(mixed));
    }

    #[test]
    fn one_service_goes_back_by_its_rollback_config() {
        let config = ", deploy: {update_config: {failure_action: rollback}, rollback_config: {order: start-first, failure_action: rollback}}";
        let (old, new) = (with("1", ""), with("2", config));
        let (back, carried_out) = taken_back(&new, &old, &["web".into()]).unwrap();
        assert_eq!((&back.services["web"], &back.services["db"]), (&old.services["web"], &new.services["db"]));
        let update = carried_out.services["web"].deploy.as_ref().unwrap().update_config.as_ref().unwrap();
        assert_eq!(serde_json::to_value(update).unwrap(), serde_json::json!({"order": "start-first"}));
        assert_eq!(taken_back(&new, &old, &[]).unwrap().0, old);
        let error = taken_back(&new, &old, &["api".into()]).unwrap_err();
        assert_eq!(error, "service api was not in the last good definition");
    }
}

//! The [`Host`] that plans are applied to: this machine. Networks, volumes and bundles are
//! made right here; what concerns a container's life goes through the owner of the state.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Daemon;
use super::state::Input;
use crate::crash::By;
use crate::host::{Host, HostError};
use crate::ids::{ContainerId, VolumeName};
use crate::plan::Wait;
use crate::spec::{Batch, ContainerSpec, Mount, MountKind, NetworkSpec, VolumeSpec};

/// This machine, as plans see it; and whose plan it is.
#[derive(Clone)]
pub(super) struct Machine(pub Arc<Daemon>, pub By);

impl Machine {
    /// Returns whose wish it is that a container ends.
    fn by(&self) -> By {
        self.1.clone()
    }
}

impl Host for Machine {
    #[cfg(debug_assertions)]
    fn boundary(&self) {
        super::faults::boundary(&self.0.parts.paths.run);
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<(), HostError> {
        let parts = &self.0.parts;
        if !spec.external {
            super::network_record::write(&parts.paths, spec).map_err(HostError::new)?;
            self.0.send(Input::Network(spec.clone()));
        }
        parts.net.ensure_network(spec).await.map_err(HostError::new)
    }

    async fn remove_network(&self, spec: &NetworkSpec) -> Result<(), HostError> {
        let parts = &self.0.parts;
        parts.net.remove_network(&spec.name).await.map_err(HostError::new)?;
        super::network_record::remove(&parts.paths, &spec.name).map_err(HostError::new)?;
        self.0.send(Input::NetworkGone(spec.name.clone()));
        Ok(())
    }

    async fn remove_links(&self, group: u32) -> Result<(), HostError> {
        self.0.parts.net.remove_group(group).await.map_err(HostError::new)
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<(), HostError> {
        let volumes = self.0.parts.volumes.clone();
        let spec = spec.clone();
        blocking(move || volumes.ensure(&spec).map(drop).map_err(HostError::new)).await
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), HostError> {
        let volumes = self.0.parts.volumes.clone();
        let name = name.clone();
        blocking(move || volumes.remove(&name).map(drop).map_err(HostError::new)).await
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<(), HostError> {
        let parts = self.0.parts.clone();
        let mut spec = spec.clone();
        let spec = blocking(move || {
            let mut made = Vec::new();
            let done = spec
                .mounts
                .iter_mut()
                .try_for_each(|mount| provide_source(&parts, mount, &spec.image.layers, &mut made))
                .and_then(|()| parts.engine.create(&spec).map_err(HostError::new));
            if let Err(error) = done {
                // Nobody knows of it yet: nobody else would take it away.
                undo_creation(&parts, &spec.id, &made);
                return Err(error);
            }
            Ok(spec)
        })
        .await?;
        self.0.send(Input::Created { spec: Arc::new(spec), created_ns: super::now_ns() });
        Ok(())
    }

    async fn update_container(&self, spec: &ContainerSpec) -> Result<(), HostError> {
        self.0.amend(spec).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), HostError> {
        let id = id.clone();
        self.0.request(|reply| Input::Start { id, reply }).await
    }

    async fn stop_container(&self, id: &ContainerId, signal: i32, grace: Duration) -> Result<(), HostError> {
        let id = id.clone();
        self.0.request(|reply| Input::Stop { id, signal, grace, by: self.by(), reply }).await
    }

    async fn kill_container(&self, id: &ContainerId, signal: i32) -> Result<(), HostError> {
        let id = id.clone();
        self.0.request(|reply| Input::Kill { id, signal, by: self.by(), reply }).await
    }

    async fn remove_container(&self, id: &ContainerId, volumes: &[VolumeName]) -> Result<(), HostError> {
        self.0.request(|reply| Input::Remove { id: id.clone(), reply }).await?;
        let parts = &self.0.parts;
        parts.engine.remove(id).await.map_err(HostError::new)?;
        for name in volumes {
            parts.volumes.remove(name).map_err(HostError::new)?;
        }
        Ok(())
    }

    async fn watch_replicas(&self, batch: &Batch) -> Result<(), HostError> {
        self.0.watch_replicas(batch).await
    }

    async fn hand_over(&self, from: &ContainerId, to: &ContainerId, grace: Duration) -> Result<(), HostError> {
        self.0.hand_over(from, to, grace).await
    }

    async fn await_condition(&self, wait: &Wait) -> Result<(), HostError> {
        self.0.await_condition(wait).await
    }
}

/// Takes away what a creation that failed has left, unless it was the creation of a container that is there.
fn undo_creation(parts: &super::Parts, id: &ContainerId, made: &[VolumeName]) {
    if parts.engine.record(id).is_ok() {
        return;
    }
    let removed = parts.engine.discard(id).map_err(HostError::new);
    let volumes = made.iter().map(|name| parts.volumes.remove(name).map(drop).map_err(HostError::new));
    for error in std::iter::once(removed).chain(volumes).filter_map(Result::err) {
        tracing::warn!(%error, "cannot remove what a failed creation left");
    }
}

/// Makes sure that what is mounted exists, and fills in where a volume's data is; `made` is told
/// of volumes that did not exist.
fn provide_source(
    parts: &super::Parts,
    mount: &mut Mount,
    layers: &[std::path::PathBuf],
    made: &mut Vec<VolumeName>,
) -> Result<(), HostError> {
    match &mut mount.kind {
        MountKind::Bind { source, create, .. } => bind_source(source, *create, &mount.target),
        MountKind::Volume { name, source, nocopy, anonymous, .. } => {
            let spec = VolumeSpec { name: name.clone(), labels: Default::default(), external: false, device: None };
            let info = if *anonymous {
                let info = parts.volumes.ensure(&spec).map_err(HostError::new)?;
                if info.created {
                    made.push(name.clone());
                }
                info
            } else {
                parts
                    .volumes
                    .inspect(name)
                    .map_err(HostError::new)?
                    .ok_or_else(|| HostError::new(format!("volume {name} has gone since it was made")))?
            };
            source.clone_from(&info.path);
            if !*nocopy {
                parts.volumes.seed(name, layers, &mount.target).map_err(HostError::new)?;
            }
            Ok(())
        }
        MountKind::Tmpfs { .. } => Ok(()),
    }
}

/// Makes a missing folder where the short syntax asks for it; names what is missing otherwise.
fn bind_source(source: &Path, create: bool, target: &str) -> Result<(), HostError> {
    if source.symlink_metadata().is_ok() {
        return Ok(());
    }
    if create {
        return std::fs::create_dir_all(source).map_err(|error| {
            HostError::new(format!("cannot make {} to mount it at {target}: {error}", source.display()))
        });
    }
    Err(no_source(source, target))
}

/// Returns the error of a bind mount of something that is not there.
pub(super) fn no_source(source: &Path, target: &str) -> HostError {
    HostError::new(format!("bind source path does not exist: {} (to be mounted at {target})", source.display()))
        .hint("create it, or correct the path in the stack file; relative paths start at the file's folder")
}

/// Runs file work off the event loop.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    tokio::task::spawn_blocking(work).await.map_err(HostError::new)?
}

//! The newest model of each project, kept so that `start`, `down` and a new daemon know the
//! order of its services without its files.

use std::path::PathBuf;

use crate::compose::model::Project;
use crate::ids::ProjectName;
use crate::paths::Paths;
use crate::store::{self, Durability, StoreError};

fn path(paths: &Paths, name: &ProjectName) -> PathBuf {
    paths.root.join("projects").join(format!("{}.json", store::file_name(name.as_str())))
}

/// Keeps the model.
pub(super) fn write(paths: &Paths, project: &Project) -> Result<(), StoreError> {
    // What a power cut loses here the next `up` brings back from the file.
    store::write(&path(paths, &project.name), project, Durability::Fast)
}

/// Returns the model; a damaged one counts as none, since the next `up` replaces it.
pub(super) fn read(paths: &Paths, name: &ProjectName) -> Option<Project> {
    match store::read(&path(paths, name)) {
        Ok(project) => project,
        Err(error) => {
            tracing::warn!(%error, "the project's definition is damaged");
            None
        }
    }
}

/// Forgets the model.
pub(super) fn remove(paths: &Paths, name: &ProjectName) -> Result<(), StoreError> {
    store::remove(&path(paths, name))
}

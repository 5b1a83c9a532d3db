//! The networks that exist, kept so that their subnets stay and stopped containers can start.

use std::path::PathBuf;

use crate::ids::NetworkName;
use crate::paths::Paths;
use crate::spec::NetworkSpec;
use crate::store::{self, Durability, StoreError};

fn folder(paths: &Paths) -> PathBuf {
    paths.root.join("networks")
}

fn path(paths: &Paths, name: &NetworkName) -> PathBuf {
    folder(paths).join(format!("{}.json", store::file_name(name.as_str())))
}

/// Keeps a network.
pub(super) fn write(paths: &Paths, spec: &NetworkSpec) -> Result<(), StoreError> {
    store::write(&path(paths, &spec.name), spec, Durability::Fast)
}

/// Forgets a network.
pub(super) fn remove(paths: &Paths, name: &NetworkName) -> Result<(), StoreError> {
    store::remove(&path(paths, name))
}

/// Returns all networks; damaged records are logged and left out.
pub(super) fn read_all(paths: &Paths) -> Vec<NetworkSpec> {
    let (records, errors) = store::read_dir(&folder(paths));
    for error in errors {
        tracing::warn!(%error, "a network's record is damaged");
    }
    records.into_iter().map(|(_, spec)| spec).collect()
}

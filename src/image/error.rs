//! What can go wrong with images, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::reference::InvalidReference;
use super::unpack::UnpackError;
use crate::ids::Digest;
use crate::store::StoreError;

/// An operation on images failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum ImageError {
    #[error("{reference:?} is no image reference")]
    Reference { reference: String, source: InvalidReference },
    #[error("there is no image {reference:?} here")]
    Missing { reference: String },
    #[error("{prefix:?} is the beginning of more than one image id")]
    Ambiguous { prefix: String },
    #[error("registry {registry} cannot be reached: {reason}")]
    Unreachable { registry: String, reason: String },
    #[error("{reference} was not found on {registry}")]
    NotFound { reference: String, registry: String },
    #[error("registry {registry} does not let us read {reference}: {reason}")]
    Unauthorized { reference: String, registry: String, reason: String },
    #[error("registry {registry} is blocked by {}", by.display())]
    Blocked { registry: String, by: PathBuf },
    #[error("registry {registry} failed to answer for {reference}: {reason}")]
    Registry { reference: String, registry: String, reason: String },
    #[error("{reference} is not there for {wanted}, only for {available}")]
    Platform { reference: String, wanted: String, available: String },
    #[error("{what} is damaged: its digest is {actual}, expected {expected}")]
    Digest { what: String, expected: Digest, actual: Digest },
    #[error("layer {layer} cannot be unpacked")]
    Layer { layer: String, source: UnpackError },
    #[error("{what} is not what it should be: {reason}")]
    Invalid { what: String, reason: String },
    #[error("{reference} is used by {user}")]
    InUse { reference: String, user: String },
    #[error("{reference} has more than one name: {names}")]
    ManyNames { reference: String, names: String },
    #[error("the change {change:?} is not understood: {reason}")]
    Change { change: String, reason: String },
    #[error("failed to read {}: {reason}", path.display())]
    Config { path: PathBuf, reason: String },
    #[error("failed to {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImageError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { registry, .. } => format!(
                "check the network and proxy settings, name a mirror of {registry} in /etc/containers/registries.conf, \
                 or bring the image with `stack image load` or `stack image import`"
            ),
            Self::NotFound { .. } => "check the spelling and the tag".to_owned(),
            Self::Unauthorized { registry, .. } => format!(
                "log in with `docker login {registry}`, `podman login --authfile ~/.docker/config.json {registry}` or \
                 `skopeo login --authfile ~/.docker/config.json {registry}`; a repository that does not exist is \
                 answered this way, too"
            ),
            Self::Platform { .. } => "name an image that is built for this machine".to_owned(),
            Self::Digest { .. } => "try again; if it happens again, the copy in the registry is damaged".to_owned(),
            Self::InUse { .. } => "remove the container first".to_owned(),
            Self::ManyNames { .. } => "remove the names one by one, or use --force".to_owned(),
            Self::Missing { reference } => format!("fetch it with `stack image pull {reference}`"),
            _ => return None,
        })
    }

    pub(super) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: source.into() }
    }

    pub(super) fn invalid(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Invalid { what: what.into(), reason: reason.to_string() }
    }
}

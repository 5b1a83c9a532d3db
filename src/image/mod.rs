//! Images: references, registries, archives, the on-disk layout, unpacked layers.
//!
//! ```text
//! ROOT/images/            OCI image layout: index.json (names), blobs/sha256/ (as they came)
//! ROOT/layers/CHAIN-ID/   one folder a layer, as overlayfs takes it as lower directory
//! ROOT/layers/CHAIN-ID.json
//! ```
//!
//! A layer's bytes go through one pass ([`ingest`]): from the network or a file they are
//! hashed, kept, decompressed, hashed again and unpacked beside their place; only a layer
//! whose two digests are right is renamed into it ([`install`]). [`ImageStore`] is the entry
//! point; its answers come from memory.

mod archive;
mod config;
mod directory;
mod error;
mod images;
mod ingest;
mod install;
mod layout;
mod registry;
mod unpack;

#[cfg(test)]
mod tests;

use crate::ids::reference;
pub use error::ImageError;
pub use images::{Image, ImageStore, Removed};

pub use reference::{FileSource, InvalidReference, Reference, Source, Transport, familiar};
pub use registry::{Artifact, ArtifactLayer, Settings, artifact};
pub use unpack::UnpackError;

/// How far an image is; one for each layer, in no particular order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    /// First 12 digits of the layer's digest; empty for the image as a whole.
    pub layer: String,
    /// Bytes that came so far.
    pub downloaded: u64,
    /// Bytes in all, where they are known.
    pub total: Option<u64>,
    /// What is being done.
    pub phase: PullPhase,
}

/// What is being done with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPhase {
    /// Asking the registry what the image is made of.
    Resolving,
    /// Bytes are coming, and are unpacked as they come.
    Downloading,
    /// All bytes are here, some are still being unpacked.
    Unpacking,
    /// It was here already.
    Exists,
    /// It is here now.
    Done,
}

//! Artifacts: what registries keep besides images. They are small, and nothing of them is installed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::images::parse_source;
use super::super::layout::{Descriptor, Manifest};
use super::super::reference::{Reference, Source};
use super::conf::Endpoint;
use super::{Asked, Session, Settings};
use crate::ids::Digest;
use crate::image::ImageError;

/// Most layers that are fetched.
const LAYERS: usize = 100;

/// An artifact, whole.
#[derive(Debug)]
pub struct Artifact {
    /// Of its manifest.
    pub digest: Digest,
    /// Its type: that of its configuration where the manifest has none.
    pub kind: String,
    /// In order.
    pub layers: Vec<ArtifactLayer>,
}

/// A layer of an artifact.
#[derive(Debug)]
pub struct ArtifactLayer {
    /// What it is.
    pub media_type: String,
    /// What is said of it.
    pub annotations: BTreeMap<String, String>,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Returns the artifact that a reference (`host/name:tag`) stands for now.
///
/// # Errors
///
/// Where it is no reference, where no registry gives it, and where it is large.
pub async fn artifact(settings: &Settings, text: &str) -> Result<Artifact, ImageError> {
    let reference = match parse_source(text)? {
        Source::Registry(reference) => reference,
        Source::File(_) => return Err(ImageError::invalid(text, "it is the name of a file")),
    };
    let mut asked = Asked::new(settings, &reference)?;
    while let Some(endpoint) = asked.next() {
        match artifact_at(settings, &reference, &endpoint).await {
            Ok(artifact) => return Ok(artifact),
            Err(error) => asked.failed(&endpoint, error),
        }
    }
    Err(asked.error(&reference))
}

async fn artifact_at(settings: &Settings, reference: &Reference, endpoint: &Endpoint) -> Result<Artifact, ImageError> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(default, rename = "artifactType")]
        artifact_type: String,
    }
    let session = Session::open(settings, reference, endpoint).await?;
    let (bytes, digest) = session.manifest(&session.image).await?;
    let manifest = Manifest::parse(&bytes)?;
    let kind = serde_json::from_slice::<Kind>(&bytes).map(|kind| kind.artifact_type).unwrap_or_default();
    let kind = match (kind.is_empty(), &manifest.config) {
        (true, Some(config)) => config.media_type.clone(),
        _ => kind,
    };
    let found: Vec<Descriptor> = manifest.layers.unwrap_or_default();
    if found.len() > LAYERS {
        return Err(ImageError::invalid(reference.familiar(), format!("it has more than {LAYERS} layers")));
    }
    let mut layers = Vec::new();
    // What is something else is refused by its type: it is not fetched for that.
    for layer in found.into_iter().filter(|_| kind.contains("compose")) {
        let bytes = session.document(&layer).await?;
        layers.push(ArtifactLayer { media_type: layer.media_type, annotations: layer.annotations, bytes });
    }
    Ok(Artifact { digest, kind, layers })
}

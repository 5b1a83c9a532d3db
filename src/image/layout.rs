//! The OCI image layout on disk (OCI image spec, image-layout.md): `oci-layout`, `index.json`
//! and `blobs/sha256/`. Other tools read it: `skopeo inspect oci:ROOT/images:NAME`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ImageError;
use crate::ids::Digest;
use crate::store::{self, Durability};

/// Annotation of a descriptor in `index.json`: the image's name.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation of ours: the digest by which the registry knows the name (of an index, maybe).
pub(super) const REPO_DIGEST: &str = "stack.repo-digest";

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest, configuration or index is never this big in earnest.
pub(super) const DOCUMENT_LIMIT: u64 = 8 << 20;

/// Names a blob (OCI image spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) variant: Option<String>,
}

impl Platform {
    /// Returns what this machine runs.
    pub(super) fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8")),
            "x86" => ("386", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: variant.map(str::to_owned) }
    }

    /// Tells whether this machine runs what is built for `image`.
    pub(super) fn runs(&self, image: &Self) -> bool {
        (image.os.is_empty() || image.os == self.os)
            && (image.architecture.is_empty() || image.architecture == self.architecture)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// An index or a manifest, as far as it is read; Docker's kinds have the same keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layers: Option<Vec<Descriptor>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) manifests: Option<Vec<Descriptor>>,
}

impl Manifest {
    /// Returns the document in the bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| ImageError::invalid("the image's manifest", e))?;
        match manifest.schema_version {
            2 => Ok(manifest),
            other => Err(ImageError::invalid("the image's manifest", format!("its schema version is {other}, not 2"))),
        }
    }

    /// Returns a manifest of our own.
    pub(super) fn image(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        let media_type = Some(OCI_MANIFEST.to_owned());
        Self { schema_version: 2, media_type, config: Some(config), layers: Some(layers), manifests: None }
    }

    /// Returns the manifest for this machine among those of an index.
    pub(super) fn choose(&self, reference: &str) -> Result<&Descriptor, ImageError> {
        let host = Platform::host();
        let manifests = self.manifests.as_deref().unwrap_or_default();
        let platform = |descriptor: &Descriptor| descriptor.platform.clone().unwrap_or_default();
        // Attestations are for no platform, which is written `unknown/unknown`.
        let real = || manifests.iter().filter(|d| platform(d).os != "unknown");
        let fits: Vec<&Descriptor> = real().filter(|descriptor| host.runs(&platform(descriptor))).collect();
        let same = fits.iter().find(|d| platform(d).variant.is_none() || platform(d).variant == host.variant);
        same.or(fits.first()).copied().ok_or_else(|| ImageError::Platform {
            reference: reference.to_owned(),
            wanted: host.to_string(),
            available: match real().map(|d| platform(d).to_string()).collect::<Vec<_>>() {
                none if none.is_empty() => "nothing".to_owned(),
                some => some.join(", "),
            },
        })
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
}

impl Layout {
    /// Opens the layout in a folder, makes it where there is none.
    pub(super) fn open(dir: PathBuf) -> Result<Self, ImageError> {
        let layout = Self { dir };
        let blobs = layout.blobs();
        fs::create_dir_all(&blobs).map_err(ImageError::io("make the folder", &blobs))?;
        let marker = layout.dir.join("oci-layout");
        if !marker.exists() {
            store::replace(&marker, b"{\"imageLayoutVersion\":\"1.0.0\"}", Durability::Fast)?;
        }
        store::remove_leftovers(&layout.dir);
        store::remove_leftovers(&blobs);
        Ok(layout)
    }

    fn blobs(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }

    /// Returns where a blob is, or would be.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Returns a small blob after checking its digest.
    pub(super) fn document(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        read_document(&self.blob(digest), digest)
    }

    /// Keeps a small blob; returns its digest.
    pub(super) fn keep(&self, bytes: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        let path = self.blob(&digest);
        if !path.exists() {
            store::replace(&path, bytes, Durability::Fast)?;
        }
        Ok(digest)
    }

    /// Returns the descriptors in `index.json`.
    pub(super) fn index(&self) -> Result<Vec<Descriptor>, ImageError> {
        let path = self.dir.join("index.json");
        match fs::read(&path) {
            Ok(bytes) => Ok(Manifest::parse(&bytes)?.manifests.unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(ImageError::io("read", &path)(error)),
        }
    }

    /// Writes `index.json`, durably: it says which images the user has.
    pub(super) fn write_index(&self, manifests: Vec<Descriptor>) -> Result<(), ImageError> {
        let media_type = Some(OCI_INDEX.to_owned());
        let index = Manifest { schema_version: 2, media_type, manifests: Some(manifests), ..Manifest::default() };
        let text = serde_json::to_vec_pretty(&index).map_err(|error| ImageError::invalid("the index", error))?;
        Ok(store::replace(&self.dir.join("index.json"), &text, Durability::Durable)?)
    }

    /// Returns the digests of all blobs.
    pub(super) fn all(&self) -> Vec<Digest> {
        let entries = fs::read_dir(self.blobs()).into_iter().flatten().flatten();
        entries.filter_map(|entry| format!("sha256:{}", entry.file_name().to_str()?).parse().ok()).collect()
    }
}

/// Returns a small file's content after checking its digest.
pub(super) fn read_document(path: &Path, digest: &Digest) -> Result<Vec<u8>, ImageError> {
    let size = fs::metadata(path).map_err(ImageError::io("read", path))?.len();
    if size > DOCUMENT_LIMIT {
        return Err(ImageError::invalid(path.display().to_string(), format!("it has {size} bytes")));
    }
    let bytes = fs::read(path).map_err(ImageError::io("read", path))?;
    check_digest(&bytes, digest, || path.display().to_string())?;
    Ok(bytes)
}

/// Checks that the bytes have the digest.
pub(super) fn check_digest(bytes: &[u8], expected: &Digest, what: impl Fn() -> String) -> Result<(), ImageError> {
    let actual = Digest::of(bytes);
    if actual == *expected {
        return Ok(());
    }
    Err(ImageError::Digest { what: what(), expected: expected.clone(), actual })
}

/// Returns the configuration blob's `config` object, whatever is in it.
pub(super) fn config_section(blob: &[u8]) -> Value {
    serde_json::from_slice::<Value>(blob).map_or(Value::Null, |mut value| value["config"].take())
}

//! Images in files: OCI layouts, what `docker save` writes, plain root file systems.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::config::{ConfigFile, apply_change};
use super::images::{Inner, parse};
use super::ingest::{Compression, Expected, Temporary, decompressed, ingest};
use super::install::{Fetch, Plan, blocking, config_descriptor};
use super::layout::{DOCUMENT_LIMIT, Descriptor, Manifest, OCI_MANIFEST, Platform, REF_NAME, check_digest};
use super::reference::{FileSource, Transport};
use super::unpack::Limits;
use super::{Image, ImageError, ImageStore, PullProgress, directory};
use crate::ids::Digest;
use crate::spec::ImageConfig;

/// Annotation by which containerd and Docker name an image in full.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

impl ImageStore {
    /// Installs all images of an archive (`docker save`, `oci-archive:`; gzip and zstd too) or
    /// of a folder with an OCI layout, under the names they have in it.
    pub async fn load(&self, archive: &Path) -> Result<Vec<Image>, ImageError> {
        let files = self.open_files(archive).await?;
        let mut images = Vec::new();
        let lock = self.inner().pull_lock(&archive.display().to_string());
        let _held = lock.lock().await;
        let found = {
            let files = files.clone();
            blocking(move || files.images()).await?
        };
        for (plan, names) in found {
            let fetch = |at: usize| -> Fetch<'static> { files.fetch(&plan, at) };
            images.push(self.inner().install(plan.plan.clone(), names, None, &fetch, &|_| {}).await?);
        }
        Ok(images)
    }

    /// Makes an image of a root file system: a tar file (gzip and zstd too), a folder, or `-`
    /// for a tar stream on standard input.
    ///
    /// `changes` are lines of a Dockerfile, as `docker import --change` has them. Importing the
    /// same content again leaves the image as it is.
    pub async fn import(&self, source: &Path, reference: &str, changes: &[String]) -> Result<Image, ImageError> {
        let name = parse(reference)?;
        if name.digest.is_some() {
            return Err(ImageError::invalid(format!("the name {reference}"), "an image is imported under a tag"));
        }
        let mut config = ImageConfig::default();
        changes.iter().try_for_each(|change| apply_change(&mut config, change))?;
        self.import_as(source.to_owned(), name.to_string(), config).await
    }

    /// Installs the image that a `TRANSPORT:PATH` names, under that very name.
    pub(super) async fn pull_file(
        &self,
        source: &FileSource,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> Result<Image, ImageError> {
        let name = source.to_string();
        if source.transport == Transport::Rootfs {
            if !source.path.is_dir() {
                return Err(ImageError::io("read the folder", &source.path)(io::Error::from(
                    io::ErrorKind::NotADirectory,
                )));
            }
            return self.import_as(source.path.clone(), name, ImageConfig::default()).await;
        }
        let files = self.open_files(&source.path).await?;
        let lock = self.inner().pull_lock(&name);
        let _held = lock.lock().await;
        let mut found = {
            let files = files.clone();
            blocking(move || files.images()).await?
        };
        let names: Vec<String> = found.iter().flat_map(|(plan, _)| plan.names.clone()).collect();
        let wanted = |found: &Found| {
            source.name.is_empty()
                || found.names.contains(&source.name)
                || parse(&source.name)
                    .is_ok_and(|wanted| found.names.iter().any(|name| parse(name).is_ok_and(|name| name == wanted)))
        };
        found.retain(|(plan, _)| wanted(plan));
        match (found.len(), found.pop()) {
            (1, Some((plan, _))) => {
                let fetch = |at: usize| -> Fetch<'static> { files.fetch(&plan, at) };
                self.inner().install(plan.plan.clone(), vec![name], None, &fetch, progress).await
            }
            (0, _) => Err(ImageError::invalid(
                source.path.display().to_string(),
                format!("it has no image {:?}; it has: {}", source.name, names.join(", ")),
            )),
            _ => Err(ImageError::invalid(
                source.path.display().to_string(),
                format!("it has more than one image; name one after a colon: {}", names.join(", ")),
            )),
        }
    }

    async fn import_as(&self, source: PathBuf, name: String, config: ImageConfig) -> Result<Image, ImageError> {
        let lock = self.inner().pull_lock(&name);
        let _held = lock.lock().await;
        let store = self.clone();
        blocking(move || {
            let old = store.get(&name).ok().flatten();
            import(store.inner(), &source, name, &config, old.as_ref())
        })
        .await
    }

    async fn open_files(&self, path: &Path) -> Result<Arc<Files>, ImageError> {
        let (path, aside) = (path.to_owned(), self.inner().layout.dir.join("archive"));
        blocking(move || Files::open(&path, &aside).map(Arc::new)).await
    }
}

fn import(
    inner: &Arc<Inner>,
    source: &Path,
    name: String,
    config: &ImageConfig,
    old: Option<&Image>,
) -> Result<Image, ImageError> {
    let failed = || ImageError::io("read", source);
    let stream: Box<dyn Read> = if source == Path::new("-") {
        Box::new(io::stdin().lock())
    } else if source.is_dir() {
        Box::new(directory::stream(source.to_owned()).map_err(failed())?)
    } else {
        Box::new(File::open(source).map_err(failed())?)
    };
    let keep = |digest: &Digest| inner.layout.blob(digest);
    let layer = ingest(stream, Some(&keep), &inner.layers.dir.join("import"), &Expected::default())?;
    let descriptor = Descriptor {
        media_type: layer.compression.layer_media_type().to_owned(),
        digest: layer.digest.clone(),
        size: layer.blob_size,
        platform: None,
        annotations: BTreeMap::new(),
    };
    let diff_id = layer.diff_id.clone();
    if inner.layers.record(&diff_id).is_none() {
        inner.layers.place(&diff_id, layer, &[])?;
        inner.layers.sync_later(vec![diff_id.clone()]);
    }
    let document = |created: &str| {
        let host = Platform::host();
        let mut document = json!({
            "created": created,
            "architecture": host.architecture,
            "os": host.os,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": created, "created_by": "stack image import"}],
        });
        if let Some(variant) = host.variant {
            document["variant"] = json!(variant);
        }
        document.to_string().into_bytes()
    };
    // The same content is the same image, or each import would have its containers made anew.
    let created = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string();
    let as_before = old.and_then(|old| Some((old, document(&created(old.created?)))));
    let config = match as_before.filter(|(old, document)| Digest::of(document) == old.id) {
        Some((_, document)) => document,
        None => document(&created(jiff::Timestamp::now().as_second())),
    };
    let manifest = Manifest::image(config_descriptor(&config), vec![descriptor]);
    let manifest = serde_json::to_vec(&manifest).map_err(|error| ImageError::invalid("the manifest", error))?;
    inner.layout.keep(&config)?;
    inner.name(&inner.layout.keep(&manifest)?, &[name], None)
}

/// An image in an archive.
#[derive(Clone)]
struct Found {
    plan: Plan,
    /// Names as the archive has them.
    names: Vec<String>,
    /// The archive's file of each layer.
    layer_files: Vec<String>,
}

/// The files of an archive or folder, by name.
struct Files {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Folder,
    Tar {
        /// The tar file itself, or the decompressed copy of it.
        file: PathBuf,
        /// Keeps the copy until the end.
        _copy: Option<Temporary>,
        /// Offset and size.
        entries: HashMap<String, (u64, u64)>,
        /// Symbolic links, which old archives have for layers that occur twice.
        links: HashMap<String, String>,
    },
}

/// One line of `manifest.json` (Docker image specification v1.2).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Returns the error of reading a header: the reader of tar files quotes what it found, which may
/// be anything.
fn no_archive(path: &Path, err: io::Error) -> ImageError {
    if err.raw_os_error().is_some() || err.kind() == io::ErrorKind::UnexpectedEof {
        return ImageError::io("read", path)(err);
    }
    ImageError::invalid(path.display().to_string(), "it is no tar archive, or a damaged one")
}

impl Files {
    fn open(path: &Path, aside: &Path) -> Result<Self, ImageError> {
        if path.is_dir() {
            return Ok(Self { path: path.to_owned(), kind: Kind::Folder });
        }
        let failed = || ImageError::io("read", path);
        let (compression, mut content) = decompressed(File::open(path).map_err(failed())?).map_err(failed())?;
        let (file, copy) = if compression == Compression::None {
            (path.to_owned(), None)
        } else {
            let (copy, mut file) = Temporary::file(aside)?;
            let limit = Limits::for_dir(copy.path().parent().unwrap_or(aside)).bytes;
            let written = io::copy(&mut content.by_ref().take(limit), &mut file).map_err(failed())?;
            if written == limit {
                return Err(ImageError::invalid(path.display().to_string(), "it decompresses to more than fits here"));
            }
            (copy.path().to_owned(), Some(copy))
        };
        let (mut entries, mut links) = (HashMap::new(), HashMap::new());
        let mut archive = tar::Archive::new(File::open(&file).map_err(failed())?);
        for entry in archive.entries_with_seek().map_err(failed())? {
            let entry = entry.map_err(|err| no_archive(path, err))?;
            let name = clean(&entry.path().map_err(failed())?);
            match entry.header().entry_type() {
                kind if kind.is_symlink() || kind.is_hard_link() => {
                    let Some(target) = entry.link_name().map_err(failed())? else { continue };
                    let folder = if kind.is_symlink() { Path::new(&name).parent() } else { None };
                    links.insert(name.clone(), clean(&folder.unwrap_or(Path::new("")).join(target)));
                }
                kind if kind.is_file() => _ = entries.insert(name, (entry.raw_file_position(), entry.size())),
                _ => {}
            }
        }
        Ok(Self { path: path.to_owned(), kind: Kind::Tar { file, _copy: copy, entries, links } })
    }

    fn has(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Folder => self.path.join(name).is_file(),
            Kind::Tar { entries, links, .. } => entries.contains_key(name) || links.contains_key(name),
        }
    }

    /// Opens a file; returns its size, too.
    fn file(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), ImageError> {
        let missing = || ImageError::invalid(self.path.display().to_string(), format!("it has no file {name:?}"));
        match &self.kind {
            Kind::Folder => {
                let path = self.path.join(clean(Path::new(name)));
                let file = File::open(&path).map_err(ImageError::io("read", &path))?;
                let size = file.metadata().map_err(ImageError::io("read", &path))?.len();
                Ok((Box::new(file), size))
            }
            Kind::Tar { file, entries, links, .. } => {
                let name = clean(Path::new(name));
                let at = entries.get(&name).or_else(|| entries.get(links.get(&name)?)).ok_or_else(missing)?;
                let mut content = File::open(file).map_err(ImageError::io("read", file))?;
                content.seek(SeekFrom::Start(at.0)).map_err(ImageError::io("read", file))?;
                Ok((Box::new(content.take(at.1)), at.1))
            }
        }
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let (content, size) = self.file(name)?;
        let what = || format!("{name} in {}", self.path.display());
        if size > DOCUMENT_LIMIT {
            return Err(ImageError::invalid(what(), format!("it has {size} bytes")));
        }
        let mut bytes = Vec::new();
        content.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).map_err(ImageError::io("read", &self.path))?;
        Ok(bytes)
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let name = blob_name(digest);
        let bytes = self.document(&name)?;
        check_digest(&bytes, digest, || format!("{name} in {}", self.path.display()))?;
        Ok(bytes)
    }

    /// Returns all images, with the names under which they are to be installed.
    fn images(&self) -> Result<Vec<(Found, Vec<String>)>, ImageError> {
        let found = if self.has("manifest.json") {
            self.docker_images()?
        } else if self.has("index.json") {
            self.oci_images()?
        } else {
            return Err(ImageError::invalid(
                self.path.display().to_string(),
                "it is no image archive: it has neither manifest.json nor index.json (a root file system is brought in \
                 with `stack image import`)",
            ));
        };
        // A lone tag says nothing about whose tag it is.
        let names = |found: &Found| {
            let full = found.names.iter().filter(|name| name.contains([':', '/']));
            full.filter_map(|name| parse(name).ok()).map(|name| name.to_string()).collect()
        };
        Ok(found.into_iter().map(|found| (found.clone(), names(&found))).collect())
    }

    fn oci_images(&self) -> Result<Vec<Found>, ImageError> {
        let index = Manifest::parse(&self.document("index.json")?)?;
        let mut found = Vec::new();
        for descriptor in index.manifests.unwrap_or_default() {
            let annotation = |key: &str| descriptor.annotations.get(key).cloned();
            let names = annotation(CONTAINERD_NAME).or_else(|| annotation(REF_NAME)).into_iter().collect();
            let mut digest = descriptor.digest.clone();
            let mut bytes = self.blob(&digest)?;
            let mut manifest = Manifest::parse(&bytes)?;
            if manifest.manifests.is_some() {
                digest = manifest.choose(&self.path.display().to_string())?.digest.clone();
                bytes = self.blob(&digest)?;
                manifest = Manifest::parse(&bytes)?;
            }
            let (Some(config), Some(layers)) = (manifest.config, manifest.layers) else {
                return Err(ImageError::invalid(digest.to_string(), "it is no manifest of an image"));
            };
            let config = self.blob(&config.digest)?;
            let layer_files = layers.iter().map(|layer| blob_name(&layer.digest)).collect();
            let media_type = manifest.media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned());
            found.push(Found { plan: Plan { manifest: (bytes, media_type), config, layers }, names, layer_files });
        }
        Ok(found)
    }

    /// Docker's form has no manifest of the kind registries know: one is made.
    fn docker_images(&self) -> Result<Vec<Found>, ImageError> {
        let entries: Vec<DockerEntry> = serde_json::from_slice(&self.document("manifest.json")?)
            .map_err(|error| ImageError::invalid(format!("manifest.json in {}", self.path.display()), error))?;
        let mut found = Vec::new();
        for entry in entries {
            let config = self.document(&entry.config)?;
            let diff_ids = ConfigFile::parse(&config)?.rootfs.diff_ids;
            let layer_files = entry.layers.unwrap_or_default();
            let mut layers = Vec::new();
            for (file, diff_id) in layer_files.iter().zip(&diff_ids) {
                let (mut content, size) = self.file(file)?;
                let mut magic = Vec::with_capacity(4);
                content.by_ref().take(4).read_to_end(&mut magic).map_err(ImageError::io("read", &self.path))?;
                let (compression, _) = decompressed(&magic[..]).map_err(ImageError::io("read", &self.path))?;
                let digest = if compression == Compression::None {
                    diff_id.clone()
                } else {
                    let mut hasher = Sha256::new_with_prefix(&magic);
                    io::copy(&mut content, &mut hasher).map_err(ImageError::io("read", &self.path))?;
                    Digest::from_bytes(hasher.finalize().into())
                };
                let media_type = compression.layer_media_type().to_owned();
                layers.push(Descriptor { media_type, digest, size, platform: None, annotations: BTreeMap::new() });
            }
            let manifest = Manifest::image(config_descriptor(&config), layers.clone());
            let manifest = serde_json::to_vec(&manifest).map_err(|error| ImageError::invalid("the manifest", error))?;
            found.push(Found {
                plan: Plan { manifest: (manifest, OCI_MANIFEST.to_owned()), config, layers },
                names: entry.repo_tags.unwrap_or_default(),
                layer_files,
            });
        }
        Ok(found)
    }

    fn fetch(&self, found: &Found, at: usize) -> Fetch<'static> {
        match self.file(&found.layer_files[at]) {
            Ok((content, _)) => (content, Box::pin(async { Ok(()) })),
            Err(error) => (Box::new(io::empty()), Box::pin(async { Err(error) })),
        }
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Returns the path as archives compare them: without `./` and with `..` followed.
fn clean(path: &Path) -> String {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => _ = clean.pop(),
            _ => {}
        }
    }
    clean.display().to_string()
}

//! The images of this engine: what is here, under which names, and how it goes away.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Value, json};

use super::config::ConfigFile;
use super::install::{self, Fetch, Layers, Plan, blocking, chain_ids};
use super::layout::{Descriptor, Layout, Manifest, Platform, REF_NAME, REPO_DIGEST, config_section};
use super::reference::{Reference, Source, familiar};
use super::registry::Settings;
use super::{ImageError, PullProgress};
use crate::ids::Digest;
use crate::spec::ImageConfig;
use crate::store::Trash;

/// The images of one engine. Clones are the same store.
#[derive(Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) layout: Layout,
    pub(super) layers: Arc<Layers>,
    pub(super) settings: Settings,
    trash: Trash,
    state: RwLock<State>,
    /// Held while names change, so that two changes do not lose one another.
    changing: Mutex<()>,
    /// Held by an installation of the key's image: who comes second finds it done.
    pub(super) pulls: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct State {
    index: Vec<Descriptor>,
    /// By manifest digest.
    images: HashMap<Digest, Arc<Entry>>,
    /// Manifest digest by canonical name.
    names: HashMap<String, Digest>,
}

/// What is kept in memory about an image.
struct Entry {
    image: Image,
    config_file: ConfigFile,
    layers: Vec<Descriptor>,
    repo_digests: Vec<String>,
}

/// An image that is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Digest of its configuration: what Docker calls the image id.
    pub id: Digest,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Its names in canonical spelling; none for an image whose name went to another.
    pub references: Vec<String>,
    /// What it asks for.
    pub config: ImageConfig,
    /// Unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// Bytes of file content in its layers.
    pub size: u64,
    /// When it was built, seconds since 1970.
    pub created: Option<i64>,
    /// Operating system it is built for, `linux`.
    pub os: String,
    /// Processor it is built for, in Go's words: `amd64`.
    pub architecture: String,
}

/// What [`ImageStore::remove`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names that are gone, as users see them.
    pub untagged: Vec<String>,
    /// Ids of images that are gone.
    pub deleted: Vec<Digest>,
}

impl ImageStore {
    /// Opens the images below an engine's durable folder; makes the folders where missing.
    ///
    /// A damaged image is logged and left out; the others are there.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        Self::open_with(root, Settings::from_env())
    }

    /// The same with given registry settings.
    pub fn open_with(root: &Path, settings: Settings) -> Result<Self, ImageError> {
        let trash = Trash::new(root);
        let layout = Layout::open(root.join("images"))?;
        let layers = Arc::new(Layers::open(root.join("layers"), &trash)?);
        let inner = Inner {
            layout,
            layers,
            settings,
            trash,
            state: RwLock::default(),
            changing: Mutex::default(),
            pulls: Mutex::default(),
        };
        let mut state = State::default();
        for descriptor in inner.layout.index()? {
            match inner.load(&descriptor) {
                Ok(_) => state.index.push(descriptor),
                Err(error) => {
                    let name = descriptor.annotations.get(REF_NAME).map_or(descriptor.digest.as_str(), String::as_str);
                    tracing::warn!(image = name, %error, "an image is damaged and left out");
                }
            }
        }
        inner.set(state);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Removes blobs and layers that belong to no image, such as a broken-off pull leaves; for
    /// the daemon's start.
    pub fn sweep(&self) -> Result<(), ImageError> {
        self.inner.collect_garbage()
    }

    /// Returns an image by a name in any spelling, by its id, or by the beginning of its id.
    ///
    /// Layers whose folders are gone are unpacked again from their blobs, which blocks; an image
    /// whose blobs are damaged, too, counts as absent, so that it is pulled again.
    pub fn get(&self, reference: &str) -> Result<Option<Image>, ImageError> {
        let Some(entry) = self.inner.find(reference)? else { return Ok(None) };
        if entry.image.layers.iter().any(|layer| !layer.is_dir()) {
            tracing::info!(image = reference, "unpacking layers that are gone");
            let diff_ids = &entry.config_file.rootfs.diff_ids;
            match install::restore(&self.inner.layout, &self.inner.layers, &entry.layers, diff_ids) {
                Err(error @ ImageError::Digest { .. }) => {
                    tracing::warn!(image = reference, %error, "the image is damaged and must be pulled again");
                    return Ok(None);
                }
                Err(ImageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                other => other?,
            }
        }
        Ok(Some(entry.image.clone()))
    }

    /// Returns all images, by their names.
    pub fn list(&self) -> Vec<Image> {
        let state = self.inner.read();
        let mut images: Vec<Image> = state.images.values().map(|entry| entry.image.clone()).collect();
        images.sort_by(|a, b| (&a.references, &a.id).cmp(&(&b.references, &b.id)));
        images
    }

    /// Returns the object that `docker image inspect` shows.
    pub fn inspect_json(&self, reference: &str) -> Result<Value, ImageError> {
        let entry = self.inner.find(reference)?;
        let entry = entry.ok_or_else(|| ImageError::Missing { reference: reference.to_owned() })?;
        let image = &entry.image;
        let blob = self.inner.layout.document(&image.id)?;
        let file: Value = serde_json::from_slice(&blob).unwrap_or_default();
        let text = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
        let tags: Vec<String> = image.references.iter().filter(|r| !r.contains('@')).map(|r| familiar(r)).collect();
        let paths = |layers: &[PathBuf]| {
            layers.iter().rev().map(|layer| layer.display().to_string()).collect::<Vec<_>>().join(":")
        };
        let mut data = json!({});
        if let Some((top, lower)) = image.layers.split_last() {
            data["UpperDir"] = json!(top);
            if !lower.is_empty() {
                data["LowerDir"] = json!(paths(lower));
            }
        }
        let mut object = json!({
            "Id": image.id,
            "RepoTags": tags,
            "RepoDigests": entry.repo_digests,
            "Parent": "",
            "Comment": text("comment"),
            "Created": file["created"],
            "DockerVersion": text("docker_version"),
            "Author": text("author"),
            "Config": config_section(&blob),
            "Architecture": image.architecture,
            "Os": image.os,
            "Size": image.size,
            "GraphDriver": {"Data": data, "Name": "overlay2"},
            "RootFS": {"Type": "layers", "Layers": entry.config_file.rootfs.diff_ids},
            "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        });
        if let Some(variant) = &entry.config_file.variant {
            object["Variant"] = json!(variant);
        }
        Ok(object)
    }

    /// Removes a name, and with an image's last name the image; or by id the image with all
    /// its names.
    ///
    /// `in_use` returns what uses an image (`container "web-1"`). A used image stays: that is
    /// an error, but for a removal by name with `force`, which leaves the image without a name.
    pub fn remove(
        &self,
        reference: &str,
        force: bool,
        in_use: &dyn Fn(&Image) -> Option<String>,
    ) -> Result<Removed, ImageError> {
        let inner = &self.inner;
        let _changing = inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.find(reference)?;
        let entry = entry.ok_or_else(|| ImageError::Missing { reference: reference.to_owned() })?;
        let image = &entry.image;
        let by_name = inner.canonical(reference).filter(|name| image.references.contains(name));
        let names: Vec<String> = by_name.clone().map_or_else(|| image.references.clone(), |name| vec![name]);
        let all_names = names.len() == image.references.len();
        if by_name.is_none() && names.len() > 1 && !force {
            let names = names.iter().map(|name| familiar(name)).collect::<Vec<_>>().join(", ");
            return Err(ImageError::ManyNames { reference: reference.to_owned(), names });
        }
        let user = if all_names { in_use(image) } else { None };
        if let Some(user) = user.clone().filter(|_| by_name.is_none() || !force) {
            return Err(ImageError::InUse { reference: reference.to_owned(), user });
        }
        let mut index = inner.read().index.clone();
        let unnamed = index.iter().find(|descriptor| descriptor.digest == image.manifest).cloned();
        index.retain(|descriptor| {
            descriptor.digest != image.manifest
                || !(all_names || descriptor.annotations.get(REF_NAME).is_some_and(|name| names.contains(name)))
        });
        if user.is_some()
            && let Some(mut descriptor) = unnamed
        {
            descriptor.annotations.clear();
            index.push(descriptor);
        }
        inner.replace_index(index)?;
        let gone = !inner.read().images.contains_key(&image.manifest);
        inner.collect_garbage()?;
        Ok(Removed {
            untagged: names.iter().map(|name| familiar(name)).collect(),
            deleted: if gone { vec![image.id.clone()] } else { Vec::new() },
        })
    }

    /// Gives an image a further name; the name leaves the image that had it.
    pub fn tag(&self, reference: &str, name: &str) -> Result<Image, ImageError> {
        let entry = self.inner.find(reference)?;
        let entry = entry.ok_or_else(|| ImageError::Missing { reference: reference.to_owned() })?;
        let name = parse(name)?.to_string();
        self.inner.name(&entry.image.manifest, &[name], None)
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

/// Returns the reference to a registry's image, or the error that shows the text.
pub(super) fn parse(text: &str) -> Result<Reference, ImageError> {
    Reference::parse(text).map_err(|source| ImageError::Reference { reference: text.to_owned(), source })
}

/// Returns the source that a text names, relative to the current folder.
pub(super) fn parse_source(text: &str) -> Result<Source, ImageError> {
    let base = std::env::current_dir().unwrap_or_default();
    Source::parse(text, &base).map_err(|source| ImageError::Reference { reference: text.to_owned(), source })
}

impl Inner {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the name under which a reference is stored.
    pub(super) fn canonical(&self, reference: &str) -> Option<String> {
        match parse_source(reference).ok()? {
            Source::Registry(reference) => Some(reference.to_string()),
            Source::File(file) => Some(file.to_string()),
        }
    }

    fn find(&self, reference: &str) -> Result<Option<Arc<Entry>>, ImageError> {
        let state = self.read();
        if let Ok(digest) = reference.parse::<Digest>() {
            return Ok(state.images.get(&digest).or_else(|| state.by_id(&digest)).cloned());
        }
        let by_manifest = |digest: &Digest| state.images.get(digest).cloned();
        match parse_source(reference) {
            Ok(Source::File(file)) => return Ok(state.names.get(&file.to_string()).and_then(by_manifest)),
            Ok(Source::Registry(reference)) => {
                if let Some(entry) = state.names.get(&reference.to_string()).and_then(by_manifest) {
                    return Ok(Some(entry));
                }
                if let Some(digest) = &reference.digest {
                    let wanted = format!("{}@{digest}", familiar(&reference.name()));
                    let has = |entry: &&Arc<Entry>| entry.repo_digests.contains(&wanted);
                    return Ok(state.images.values().find(has).cloned());
                }
            }
            Err(_) if reference.len() == 64 => {}
            Err(error) => return Err(error),
        }
        if reference.bytes().any(|b| !b.is_ascii_digit() && !(b'a'..=b'f').contains(&b)) {
            return Ok(None);
        }
        let mut matches: Vec<_> =
            state.images.values().filter(|entry| entry.image.id.hex().starts_with(reference)).collect();
        matches.dedup_by(|a, b| a.image.id == b.image.id);
        match matches.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            _ => Err(ImageError::Ambiguous { prefix: reference.to_owned() }),
        }
    }

    /// Reads what is kept in memory about the image of an index entry.
    fn load(&self, descriptor: &Descriptor) -> Result<Entry, ImageError> {
        let manifest = Manifest::parse(&self.layout.document(&descriptor.digest)?)?;
        let (Some(config), Some(layers)) = (manifest.config, manifest.layers) else {
            return Err(ImageError::invalid("the image's manifest", "it has no configuration or no layers"));
        };
        let mut config_file = ConfigFile::parse(&self.layout.document(&config.digest)?)?;
        let chains = chain_ids(&config_file.rootfs.diff_ids);
        if chains.len() != layers.len() {
            return Err(ImageError::invalid("the image", "its manifest and configuration differ in layers"));
        }
        if let Some(missing) = layers.iter().find(|layer| !self.layout.blob(&layer.digest).exists()) {
            return Err(ImageError::invalid("the image", format!("its layer {} is missing", missing.digest)));
        }
        let size = chains.iter().filter_map(|chain| self.layers.record(chain)).map(|record| record.size).sum();
        let image = Image {
            id: config.digest,
            manifest: descriptor.digest.clone(),
            references: Vec::new(),
            layers: chains.iter().map(|chain| self.layers.path(chain)).collect(),
            size,
            created: config_file.created(),
            config: std::mem::take(&mut config_file.config),
            os: config_file.os.clone(),
            architecture: config_file.architecture.clone(),
        };
        Ok(Entry { image, config_file, layers, repo_digests: Vec::new() })
    }

    /// Puts an index in force: names and digests of the images follow from it.
    fn set(&self, mut state: State) {
        let mut entries: HashMap<Digest, Entry> = HashMap::new();
        for descriptor in &state.index {
            if !entries.contains_key(&descriptor.digest) {
                match self.load(descriptor) {
                    Ok(entry) => _ = entries.insert(descriptor.digest.clone(), entry),
                    Err(error) => {
                        tracing::warn!(digest = %descriptor.digest, %error, "an image is damaged and left out");
                        continue;
                    }
                }
            }
            let (Some(entry), Some(name)) = (entries.get_mut(&descriptor.digest), descriptor.annotations.get(REF_NAME))
            else {
                continue;
            };
            entry.image.references.push(name.clone());
            state.names.insert(name.clone(), descriptor.digest.clone());
            if let Ok(reference) = Reference::parse(name) {
                let name = familiar(&reference.name());
                let known = descriptor.annotations.get(REPO_DIGEST).cloned();
                for digest in known.into_iter().chain(reference.digest.as_ref().map(Digest::to_string)) {
                    let digest = format!("{name}@{digest}");
                    if !entry.repo_digests.contains(&digest) {
                        entry.repo_digests.push(digest);
                    }
                }
            }
        }
        for entry in entries.values_mut() {
            entry.image.references.sort();
        }
        state.images = entries.into_iter().map(|(digest, entry)| (digest, Arc::new(entry))).collect();
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn replace_index(&self, index: Vec<Descriptor>) -> Result<(), ImageError> {
        self.layout.write_index(index.clone())?;
        self.set(State { index, ..State::default() });
        Ok(())
    }

    /// Names an image whose manifest is kept; each name leaves the image that had it.
    pub(super) fn name(
        &self,
        manifest: &Digest,
        names: &[String],
        repo_digest: Option<&Digest>,
    ) -> Result<Image, ImageError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.add_names(manifest, names, repo_digest)?;
        self.by_manifest(manifest)
    }

    fn add_names(&self, manifest: &Digest, names: &[String], repo_digest: Option<&Digest>) -> Result<(), ImageError> {
        let mut index = self.read().index.clone();
        let bytes = self.layout.document(manifest)?;
        let document = Manifest::parse(&bytes)?;
        let mut descriptor = Descriptor {
            media_type: document.media_type.unwrap_or_else(|| super::layout::OCI_MANIFEST.to_owned()),
            digest: manifest.clone(),
            size: bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        };
        if let Some(config) = document.config {
            let file = ConfigFile::parse(&self.layout.document(&config.digest)?)?;
            let (architecture, os, variant) = (file.architecture, file.os, file.variant);
            descriptor.platform = (!os.is_empty()).then_some(Platform { architecture, os, variant });
        }
        // An image that loses its last name stays without one: a container may run it.
        for old in &mut index {
            if old.digest != *manifest && old.annotations.get(REF_NAME).is_some_and(|name| names.contains(name)) {
                old.annotations.remove(REF_NAME);
            }
        }
        index.retain(|old| {
            old.digest != *manifest || old.annotations.get(REF_NAME).is_some_and(|name| !names.contains(name))
        });
        let mut seen = HashSet::new();
        let named: HashSet<Digest> =
            index.iter().filter(|d| d.annotations.contains_key(REF_NAME)).map(|d| d.digest.clone()).collect();
        index.retain(|d| {
            d.annotations.contains_key(REF_NAME) || (!named.contains(&d.digest) && seen.insert(d.digest.clone()))
        });
        for name in names {
            let mut named = descriptor.clone();
            named.annotations.insert(REF_NAME.to_owned(), name.clone());
            if let Some(digest) = repo_digest {
                named.annotations.insert(REPO_DIGEST.to_owned(), digest.to_string());
            }
            index.push(named);
        }
        if names.is_empty() && !index.iter().any(|old| old.digest == *manifest) {
            index.push(descriptor);
        }
        if index == self.read().index {
            return Ok(());
        }
        self.replace_index(index)
    }

    fn by_manifest(&self, manifest: &Digest) -> Result<Image, ImageError> {
        let state = self.read();
        let entry = state.images.get(manifest);
        entry.map(|entry| entry.image.clone()).ok_or_else(|| ImageError::Missing { reference: manifest.to_string() })
    }

    /// Installs an image and names it.
    pub(super) async fn install<'a>(
        self: &Arc<Self>,
        plan: Plan,
        names: Vec<String>,
        repo_digest: Option<Digest>,
        fetch: &(dyn Fn(usize) -> Fetch<'a> + Send + Sync),
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> Result<Image, ImageError> {
        install::install(&self.layout, &self.layers, &plan, fetch, progress).await?;
        let inner = self.clone();
        let manifest = Digest::of(&plan.manifest.0);
        blocking(move || inner.name(&manifest, &names, repo_digest.as_ref())).await
    }

    /// Removes blobs and layers that no image has and nobody is installing.
    fn collect_garbage(&self) -> Result<(), ImageError> {
        // While anything is being installed its blobs belong to no image yet.
        let busy = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.values().any(|lock| Arc::strong_count(lock) > 1) {
            return Ok(());
        }
        let state = self.read();
        let (mut blobs, mut layers) = (HashSet::new(), HashSet::new());
        for (manifest, entry) in &state.images {
            blobs.extend([manifest, &entry.image.id].into_iter().chain(entry.layers.iter().map(|layer| &layer.digest)));
            layers.extend(chain_ids(&entry.config_file.rootfs.diff_ids));
        }
        for hex in self.layers.all() {
            let Ok(chain) = format!("sha256:{hex}").parse::<Digest>() else { continue };
            if !layers.contains(&chain) && !self.layers.is_busy(&chain) {
                self.layers.discard(&hex, &self.trash)?;
            }
        }
        for digest in self.layout.all().iter().filter(|digest| !blobs.contains(digest)) {
            self.trash.discard(&self.layout.blob(digest))?;
        }
        Ok(())
    }

    /// Returns the lock under which an image of this name is installed.
    pub(super) fn pull_lock(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.retain(|_, lock| Arc::strong_count(lock) > 1);
        pulls.entry(name.to_owned()).or_default().clone()
    }
}

impl State {
    fn by_id(&self, id: &Digest) -> Option<&Arc<Entry>> {
        self.images.values().find(|entry| entry.image.id == *id)
    }
}

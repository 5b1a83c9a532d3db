//! Puts an image into the store: layers in parallel as their bytes come, then names.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rustix::fs::{Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use serde::{Deserialize, Serialize};

use super::config::ConfigFile;
use super::ingest::{Expected, Ingested, ingest};
use super::layout::{Descriptor, Layout, OCI_CONFIG};
use super::unpack::{OPAQUE, Unpacked};
use super::{ImageError, PullPhase, PullProgress};
use crate::ids::Digest;
use crate::store::{self, Durability, Trash};

/// Layers fetched and unpacked at the same time.
const PARALLEL: usize = 4;

/// An image about to be installed.
#[derive(Clone)]
pub(super) struct Plan {
    /// The manifest's bytes and media type.
    pub(super) manifest: (Vec<u8>, String),
    /// The configuration's bytes.
    pub(super) config: Vec<u8>,
    /// Blobs of the layers, lowest first.
    pub(super) layers: Vec<Descriptor>,
}

/// Bytes of a layer, and the work that brings them (polled while they are read).
pub(super) type Fetch<'a> = (Box<dyn Read + Send>, BoxFuture<'a, Result<(), ImageError>>);

/// What is kept about an unpacked layer, beside its folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    /// Digest of its tar stream.
    pub(super) diff_id: Digest,
    /// Bytes of file content.
    pub(super) size: u64,
    /// Boot of the kernel that may still have its files in memory only; none once they are on
    /// the disk. After another boot such a layer is not to be trusted.
    pub(super) unsynced: Option<String>,
}

/// The unpacked layers, `ROOT/layers/CHAIN-ID`.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) dir: PathBuf,
    boot: String,
    locks: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

impl Layers {
    pub(super) fn open(dir: PathBuf, trash: &Trash) -> Result<Self, ImageError> {
        fs::create_dir_all(&dir).map_err(ImageError::io("make the folder", &dir))?;
        // Layers hold set-uid programs of strangers: for root alone.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&dir, private).map_err(ImageError::io("set the mode of", &dir))?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let layers = Self { dir, boot, locks: Mutex::default() };
        store::remove_leftovers(&layers.dir);
        let (records, errors) = store::read_dir::<LayerRecord>(&layers.dir);
        for error in errors {
            tracing::warn!(%error, "an unpacked layer is not used");
        }
        let lost =
            records.iter().filter(|(_, record)| record.unsynced.as_ref().is_some_and(|boot| *boot != layers.boot));
        for (hex, _) in lost {
            tracing::info!(layer = hex, "unpacking again what a power cut may have damaged");
            layers.discard(hex, trash)?;
        }
        Ok(layers)
    }

    /// Returns where a layer is, or would be.
    pub(super) fn path(&self, chain: &Digest) -> PathBuf {
        self.dir.join(chain.hex())
    }

    fn record_path(&self, hex: &str) -> PathBuf {
        self.dir.join(format!("{hex}.json"))
    }

    /// Returns what is known about an unpacked layer; `None` where it is not unpacked.
    pub(super) fn record(&self, chain: &Digest) -> Option<LayerRecord> {
        if !self.path(chain).is_dir() {
            return None;
        }
        store::read(&self.record_path(chain.hex())).ok().flatten()
    }

    /// Removes a layer.
    pub(super) fn discard(&self, hex: &str, trash: &Trash) -> Result<(), ImageError> {
        store::remove(&self.record_path(hex))?;
        Ok(trash.discard(&self.dir.join(hex))?)
    }

    /// Returns the hexadecimal names of all layers, with and without a record.
    pub(super) fn all(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.trim_end_matches(".json").to_owned()))
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Tells whether somebody is installing this layer.
    pub(super) fn is_busy(&self, chain: &Digest) -> bool {
        let locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.get(chain).is_some_and(|lock| lock.strong_count() > 0)
    }

    async fn lock(&self, chain: &Digest) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            match locks.get(chain).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::<tokio::sync::Mutex<()>>::default();
                    locks.insert(chain.clone(), Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }

    /// Puts an unpacked layer in its place, above layers that are in theirs.
    pub(super) fn place(&self, chain: &Digest, layer: Ingested, below: &[PathBuf]) -> Result<(), ImageError> {
        adopt_from_below(layer.folder.path(), &layer.unpacked, below)?;
        let unsynced = Some(self.boot.clone());
        let record = LayerRecord { diff_id: layer.diff_id, size: layer.unpacked.size, unsynced };
        // The record first: a folder without one counts as absent, and is in the way.
        let place = self.path(chain);
        if place.exists() && self.record(chain).is_none() {
            fs::remove_dir_all(&place).map_err(ImageError::io("remove", &place))?;
        }
        store::write(&self.record_path(chain.hex()), &record, Durability::Fast)?;
        layer.folder.place(&place)
    }

    /// Writes layers to the disk, behind the caller's back: it takes as long as the disk takes.
    pub(super) fn sync_later(self: &Arc<Self>, chains: Vec<Digest>) {
        if chains.is_empty() {
            return;
        }
        let layers = self.clone();
        let spawned = std::thread::Builder::new().name("layer-sync".to_owned()).spawn(move || {
            let synced = File::open(&layers.dir).and_then(|dir| Ok(rustix::fs::syncfs(&dir)?));
            if let Err(error) = synced {
                tracing::warn!(%error, "layers may not be on the disk");
                return;
            }
            for chain in chains {
                let Some(record) = layers.record(&chain) else { continue };
                let record = LayerRecord { unsynced: None, ..record };
                if let Err(error) = store::write(&layers.record_path(chain.hex()), &record, Durability::Fast) {
                    tracing::debug!(%error, "a layer stays marked as not on the disk");
                }
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "layers may not be on the disk");
        }
    }
}

/// Returns the chain ids of layers, lowest first (OCI image spec, config.md, "Layer ChainID").
pub(super) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chains.push(match chains.last() {
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
            None => diff_id.clone(),
        });
    }
    chains
}

/// Installs what is missing of the layers and keeps manifest and configuration as blobs.
///
/// While it runs nobody else installs these layers; a second caller finds them done.
pub(super) async fn install<'a>(
    layout: &Layout,
    layers: &Arc<Layers>,
    plan: &Plan,
    fetch: &(dyn Fn(usize) -> Fetch<'a> + Send + Sync),
    progress: &(dyn Fn(PullProgress) + Send + Sync),
) -> Result<(), ImageError> {
    let config = ConfigFile::parse(&plan.config)?;
    if config.rootfs.diff_ids.len() != plan.layers.len() {
        return Err(ImageError::invalid(
            "the image",
            format!(
                "its manifest has {} layers, its configuration {}",
                plan.layers.len(),
                config.rootfs.diff_ids.len()
            ),
        ));
    }
    let chains = chain_ids(&config.rootfs.diff_ids);
    // Always from the lowest layer up, so that two installations cannot wait for each other.
    let mut held = Vec::with_capacity(chains.len());
    for chain in &chains {
        held.push(layers.lock(chain).await);
    }
    let indices: Vec<usize> = (0..chains.len()).collect();
    let jobs = indices.into_iter().map(|at| {
        let (descriptor, chain, diff_id) = (&plan.layers[at], &chains[at], &config.rootfs.diff_ids[at]);
        one_layer(layout, layers, descriptor, chain, diff_id, move || fetch(at), progress, at)
    });
    let jobs: Vec<_> = jobs.collect();
    let mut done: Vec<(usize, Ingested)> =
        stream::iter(jobs).buffer_unordered(PARALLEL).try_filter_map(async |done| Ok(done)).try_collect().await?;
    done.sort_by_key(|(at, _)| *at);
    let (layout, layers_, manifest, config) =
        (layout.clone(), layers.clone(), plan.manifest.0.clone(), plan.config.clone());
    blocking(move || {
        let new: Vec<Digest> = done.iter().map(|(at, _)| chains[*at].clone()).collect();
        for (at, layer) in done {
            let below: Vec<PathBuf> = chains[..at].iter().map(|chain| layers_.path(chain)).collect();
            layers_.place(&chains[at], layer, &below)?;
        }
        layout.keep(&config)?;
        layout.keep(&manifest)?;
        layers_.sync_later(new);
        Ok(())
    })
    .await?;
    drop(held);
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "called from one place")]
async fn one_layer<'a>(
    layout: &Layout,
    layers: &Arc<Layers>,
    descriptor: &Descriptor,
    chain: &Digest,
    diff_id: &Digest,
    fetch: impl FnOnce() -> Fetch<'a>,
    progress: &(dyn Fn(PullProgress) + Send + Sync),
    at: usize,
) -> Result<Option<(usize, Ingested)>, ImageError> {
    let report = |phase, downloaded| {
        let layer = descriptor.digest.hex()[..12].to_owned();
        progress(PullProgress { layer, downloaded, total: Some(descriptor.size), phase });
    };
    let blob = layout.blob(&descriptor.digest);
    let (has_layer, has_blob) = (layers.record(chain).is_some(), blob.exists());
    if has_layer && has_blob {
        report(PullPhase::Exists, descriptor.size);
        return Ok(None);
    }
    let (source, pump): Fetch<'a> = if has_blob {
        report(PullPhase::Unpacking, descriptor.size);
        let file = File::open(&blob).map_err(ImageError::io("read", &blob))?;
        (Box::new(file), Box::pin(async { Ok(()) }))
    } else {
        report(PullPhase::Downloading, 0);
        fetch()
    };
    let (digest, size, diff_id) = (Some(descriptor.digest.clone()), Some(descriptor.size), Some(diff_id.clone()));
    let expected = Expected { digest, size, diff_id };
    let (place, layout) = (layers.path(chain), layout.clone());
    let unpack = blocking(move || {
        let keep = |digest: &Digest| layout.blob(digest);
        let result = ingest(source, if has_blob { None } else { Some(&keep) }, &place, &expected);
        if has_blob && matches!(result, Err(ImageError::Digest { .. })) {
            // The next attempt fetches it anew.
            _ = fs::remove_file(&blob);
        }
        result
    });
    let pump = async {
        let pumped = pump.await;
        report(PullPhase::Unpacking, descriptor.size);
        pumped
    };
    // What stopped the bytes from coming explains more than that they stopped.
    let (pumped, unpacked) = tokio::join!(pump, unpack);
    pumped?;
    let layer = unpacked?;
    report(PullPhase::Done, descriptor.size);
    Ok((!has_layer).then_some((at, layer)))
}

/// Unpacks again layers whose folders are gone, from their blobs.
pub(super) fn restore(
    layout: &Layout,
    layers: &Arc<Layers>,
    descriptors: &[Descriptor],
    diff_ids: &[Digest],
) -> Result<(), ImageError> {
    let chains = chain_ids(diff_ids);
    let mut restored = Vec::new();
    for (at, chain) in chains.iter().enumerate() {
        if layers.record(chain).is_some() {
            continue;
        }
        let descriptor = &descriptors[at];
        let blob = layout.blob(&descriptor.digest);
        let source = File::open(&blob).map_err(ImageError::io("read", &blob))?;
        let (digest, size, diff_id) =
            (Some(descriptor.digest.clone()), Some(descriptor.size), Some(diff_ids[at].clone()));
        let layer = ingest(source, None, &layers.path(chain), &Expected { digest, size, diff_id })?;
        let below: Vec<PathBuf> = chains[..at].iter().map(|chain| layers.path(chain)).collect();
        layers.place(chain, layer, &below)?;
        restored.push(chain.clone());
    }
    layers.sync_later(restored);
    Ok(())
}

/// Returns a descriptor of a configuration of ours.
pub(super) fn config_descriptor(config: &[u8]) -> Descriptor {
    Descriptor {
        media_type: OCI_CONFIG.to_owned(),
        digest: Digest::of(config),
        size: config.len() as u64,
        platform: None,
        annotations: Default::default(),
    }
}

/// Runs work that blocks on a thread for such work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(ImageError::invalid("the operation", error)),
        },
    }
}

/// Gives folders that the layer does not describe the attributes they have below: in an
/// overlay the upper layer's count.
fn adopt_from_below(layer: &Path, unpacked: &Unpacked, below: &[PathBuf]) -> Result<(), ImageError> {
    if unpacked.opaque_root {
        hide_everything_below(layer, below)?;
    }
    for path in &unpacked.implicit {
        let folder = layer.join(path);
        let found = below.iter().rev().find_map(|lower| open_plain(lower, path).ok());
        let (Some(found), Ok(own)) = (found, open_plain(layer, path)) else { continue };
        let metadata = File::from(found).metadata().map_err(ImageError::io("look at", &folder))?;
        let (uid, gid) = (rustix::fs::Uid::from_raw(metadata.uid()), rustix::fs::Gid::from_raw(metadata.gid()));
        if rustix::process::geteuid().is_root() {
            rustix::fs::fchown(&own, Some(uid), Some(gid)).map_err(ImageError::io("set the owner of", &folder))?;
        }
        let mode = Mode::from_raw_mode(metadata.mode() & 0o7777);
        rustix::fs::fchmod(&own, mode).map_err(ImageError::io("set the mode of", &folder))?;
        let time = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(&own, &times).map_err(ImageError::io("set the times of", &folder))?;
    }
    Ok(())
}

/// Opens a folder of a layer without following any symbolic link.
fn open_plain(layer: &Path, path: &Path) -> rustix::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(layer, flags, Mode::empty())?;
    if path.as_os_str().is_empty() {
        return Ok(root);
    }
    rustix::fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

/// overlayfs does not look for the opaque mark at a layer's root: hide each name by itself.
fn hide_everything_below(layer: &Path, below: &[PathBuf]) -> Result<(), ImageError> {
    for lower in below {
        let entries = fs::read_dir(lower).map_err(ImageError::io("read", lower))?;
        for entry in entries.flatten() {
            let own = layer.join(entry.file_name());
            match fs::symlink_metadata(&own) {
                Ok(metadata) if metadata.is_dir() => {
                    rustix::fs::lsetxattr(&own, OPAQUE, b"y", rustix::fs::XattrFlags::empty())
                        .map_err(ImageError::io("hide what is below", &own))?;
                }
                Ok(_) => {}
                Err(_) => {
                    let kind = rustix::fs::FileType::CharacterDevice;
                    rustix::fs::mknodat(rustix::fs::CWD, &own, kind, Mode::empty(), 0)
                        .map_err(ImageError::io("hide", &own))?;
                }
            }
        }
    }
    Ok(())
}

//! Named and anonymous volumes: `ROOT/volumes/NAME/{_data,record.json}`.
//!
//! ```text
//! ensure -> _data empty -> seed: the image's content is copied to _seed, which is renamed to
//! _data -> record says seeded -> remove: the whole folder goes to the trash
//! ```
//!
//! A crash while seeding leaves `_seed`, which the next attempt throws away. A volume whose
//! record is lost or damaged keeps its data: the record is made anew.

mod merged;
mod seed;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::ids::VolumeName;
use crate::spec::VolumeSpec;
use crate::store::{self, Durability, StoreError, Trash};

/// The volumes of one engine. Clones are the same volumes.
#[derive(Debug, Clone)]
pub struct Volumes {
    dir: PathBuf,
    trash: Trash,
    /// Held while a volume is seeded: a second container waits for the data.
    seeding: Arc<Mutex<HashMap<VolumeName, Arc<Mutex<()>>>>>,
}

/// A volume that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Its name.
    pub name: VolumeName,
    /// The folder with its data.
    pub path: PathBuf,
    /// [`Volumes::ensure`] has made it just now.
    pub created: bool,
    /// When it was made, seconds since 1970.
    pub created_at: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The folder of the host that is the volume.
    pub device: Option<PathBuf>,
    /// It has no name in any file: its name is 64 hexadecimal digits.
    pub anonymous: bool,
}

/// An operation on a volume failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum VolumeError {
    #[error("the volume \"{0}\" is external and does not exist")]
    ExternalMissing(VolumeName),
    #[error("there is no volume \"{0}\"")]
    Missing(VolumeName),
    #[error("\"{0}\" is no volume name (letters, digits and _ . - after the first)")]
    Name(VolumeName),
    #[error("the folder {} of the volume \"{name}\" does not exist", device.display())]
    Device { name: VolumeName, device: PathBuf },
    #[error("failed to {action} {} for the volume \"{name}\"", path.display())]
    Io { action: &'static str, path: PathBuf, name: VolumeName, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VolumeError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ExternalMissing(name) => {
                Some(format!("bring up the project that owns {name}, or drop `external: true` to have it made"))
            }
            Self::Device { device, .. } => Some(format!("make the folder first: mkdir -p {}", device.display())),
            _ => None,
        }
    }
}

/// What is kept about a volume.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Record {
    labels: BTreeMap<String, String>,
    created_at: i64,
    device: Option<PathBuf>,
    /// It has had its chance to be filled from an image: never again, even when empty.
    seeded: bool,
}

impl Volumes {
    /// Opens the volumes below an engine's durable folder.
    pub fn open(root: &Path) -> Result<Self, VolumeError> {
        let dir = root.join("volumes");
        let failed = |action, path: &Path| {
            let (path, name) = (path.to_owned(), VolumeName::from(""));
            move |source| VolumeError::Io { action, path, name, source }
        };
        fs::create_dir_all(&dir).map_err(failed("make the folder", &dir))?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&dir, private).map_err(failed("set the mode of", &dir))?;
        Ok(Self { dir, trash: Trash::new(root), seeding: Arc::default() })
    }

    /// Returns the volume, made where it does not exist; an external one must exist.
    pub fn ensure(&self, spec: &VolumeSpec) -> Result<VolumeInfo, VolumeError> {
        let name = &spec.name;
        check_name(name)?;
        if let Some(record) = self.record(name)? {
            let info = self.info(name, &record);
            self.check_device(&info)?;
            if record.device.is_none() && !record.seeded {
                // Nobody has used it: whoever made it may have been killed in the middle.
                fs::create_dir_all(&info.path).map_err(io_error("make the folder", &info.path, name))?;
            }
            return Ok(info);
        }
        if spec.external {
            return Err(VolumeError::ExternalMissing(name.clone()));
        }
        let data = self.data(name);
        let record = Record {
            labels: spec.labels.clone(),
            created_at: jiff::Timestamp::now().as_second(),
            device: spec.device.clone(),
            seeded: false,
        };
        let info = VolumeInfo { created: true, ..self.info(name, &record) };
        self.check_device(&info)?;
        // First: a folder without it would be nobody's, and stay for ever. Lost in a power cut, it is
        // made anew: the data is what counts, and it has just begun to exist.
        store::write(&self.record_path(name), &record, Durability::Fast)?;
        fs::create_dir_all(&data).map_err(io_error("make the folder", &data, name))?;
        Ok(info)
    }

    /// Returns all volumes by name.
    pub fn list(&self) -> Vec<VolumeInfo> {
        let names = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| Some(VolumeName::from(entry.file_name().to_str()?)));
        let mut volumes: Vec<VolumeInfo> = names.filter_map(|name| self.inspect(&name).ok().flatten()).collect();
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        volumes
    }

    /// Returns a volume; `None` where there is none.
    pub fn inspect(&self, name: &VolumeName) -> Result<Option<VolumeInfo>, VolumeError> {
        check_name(name)?;
        Ok(self.record(name)?.map(|record| self.info(name, &record)))
    }

    /// Removes a volume and its data (not the data of a folder of the host); tells whether
    /// there was one. It takes no longer for much data: the trash is emptied later.
    pub fn remove(&self, name: &VolumeName) -> Result<bool, VolumeError> {
        check_name(name)?;
        let folder = self.dir.join(name.as_str());
        let existed = folder.exists();
        self.trash.discard(&folder)?;
        Ok(existed)
    }

    /// Fills a volume that is empty and was never used from what the image has at `target`,
    /// and gives it the owner and mode of that folder; tells whether it did.
    ///
    /// `layers` are the image's unpacked layers, lowest first. It blocks while it copies.
    pub fn seed(&self, name: &VolumeName, layers: &[PathBuf], target: &str) -> Result<bool, VolumeError> {
        check_name(name)?;
        let lock = {
            let mut seeding = self.seeding.lock().unwrap_or_else(PoisonError::into_inner);
            seeding.retain(|_, lock| Arc::strong_count(lock) > 1);
            seeding.entry(name.clone()).or_default().clone()
        };
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let record = self.record(name)?.ok_or_else(|| VolumeError::Missing(name.clone()))?;
        if record.seeded {
            return Ok(false);
        }
        let info = self.info(name, &record);
        let empty = fs::read_dir(&info.path).map_err(io_error("read", &info.path, name))?.next().is_none();
        if empty {
            let failed = |(path, source): (PathBuf, io::Error)| VolumeError::Io {
                action: "copy the image's content to",
                path,
                name: name.clone(),
                source,
            };
            match &record.device {
                Some(device) => seed::fill(layers, target, device).map_err(failed)?,
                None => {
                    let aside = self.dir.join(name.as_str()).join("_seed");
                    if aside.exists() {
                        fs::remove_dir_all(&aside).map_err(io_error("remove", &aside, name))?;
                    }
                    fs::create_dir(&aside).map_err(io_error("make the folder", &aside, name))?;
                    seed::fill(layers, target, &aside).map_err(failed)?;
                    fs::rename(&aside, &info.path).map_err(io_error("put in place", &info.path, name))?;
                }
            }
        }
        store::write(&self.record_path(name), &Record { seeded: true, ..record }, Durability::Fast)?;
        Ok(empty)
    }

    fn data(&self, name: &VolumeName) -> PathBuf {
        self.dir.join(name.as_str()).join("_data")
    }

    fn record_path(&self, name: &VolumeName) -> PathBuf {
        self.dir.join(name.as_str()).join("record.json")
    }

    fn record(&self, name: &VolumeName) -> Result<Option<Record>, VolumeError> {
        let path = self.record_path(name);
        let lost = match store::read(&path) {
            Ok(Some(record)) => return Ok(Some(record)),
            Ok(None) => None,
            // A newer program's record is not ours to overwrite.
            Err(error @ (StoreError::Version { .. } | StoreError::Io { .. })) => return Err(error.into()),
            Err(error) => Some(error),
        };
        let data = self.data(name);
        if !data.is_dir() {
            return lost.map_or(Ok(None), |error| Err(error.into()));
        }
        tracing::warn!(volume = %name, "the record is lost, the data is there: making a new record");
        let created_at = jiff::Timestamp::now().as_second();
        let seeded = fs::read_dir(&data).is_ok_and(|mut entries| entries.next().is_some());
        let record = Record { created_at, seeded, ..Record::default() };
        store::write(&path, &record, Durability::Fast)?;
        Ok(Some(record))
    }

    fn info(&self, name: &VolumeName, record: &Record) -> VolumeInfo {
        VolumeInfo {
            name: name.clone(),
            path: record.device.clone().unwrap_or_else(|| self.data(name)),
            created: false,
            created_at: record.created_at,
            labels: record.labels.clone(),
            device: record.device.clone(),
            anonymous: name.as_str().len() == 64 && name.as_str().bytes().all(|b| b.is_ascii_hexdigit()),
        }
    }

    fn check_device(&self, info: &VolumeInfo) -> Result<(), VolumeError> {
        match &info.device {
            Some(device) if !device.is_dir() => {
                Err(VolumeError::Device { name: info.name.clone(), device: device.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// Names are folder names, so this also keeps them inside the folder.
fn check_name(name: &VolumeName) -> Result<(), VolumeError> {
    let text = name.as_str();
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && rest && text.len() <= 255 { Ok(()) } else { Err(VolumeError::Name(name.clone())) }
}

fn io_error(action: &'static str, path: &Path, name: &VolumeName) -> impl FnOnce(io::Error) -> VolumeError {
    let (path, name) = (path.to_owned(), name.clone());
    move |source| VolumeError::Io { action, path, name, source }
}

#[cfg(test)]
mod tests;

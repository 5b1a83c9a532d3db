//! The durable record of a container.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::protocol::ExitStatus;
use super::{Engine, EngineError};
use crate::ids::ContainerId;
use crate::spec::ContainerSpec;

/// Version of the record's format.
const VERSION: u32 = 1;
const FILE: &str = "record.json";

/// What is known of a container across daemons and reboots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Format of this record.
    pub version: u32,
    /// What it is.
    pub spec: ContainerSpec,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: i64,
    /// When its last run began.
    pub started_ns: Option<i64>,
    /// How its last run ended; `None` before the first end.
    pub exit: Option<ExitStatus>,
    /// Times the engine started it again.
    pub restarts: u32,
    /// The user stopped it: `unless-stopped` leaves it alone.
    pub stopped_by_user: bool,
    /// Limits that this host cannot enforce.
    pub warnings: Vec<String>,
    /// Why the newest start that the user asked for failed; empty when it did not.
    #[serde(default)]
    pub error: String,
}

impl ContainerRecord {
    pub(super) fn new(spec: ContainerSpec, created_ns: i64) -> Self {
        Self {
            version: VERSION,
            spec,
            created_ns,
            started_ns: None,
            exit: None,
            restarts: 0,
            stopped_by_user: false,
            warnings: Vec::new(),
            error: String::new(),
        }
    }
}

impl Engine {
    /// Returns the records of all containers, and what is wrong with those that are damaged. A
    /// container without one was never wholly made (it is written last), and is removed.
    pub fn records(&self) -> (Vec<ContainerRecord>, Vec<EngineError>) {
        let (mut records, mut damaged) = (Vec::new(), Vec::new());
        let Ok(entries) = fs::read_dir(self.containers_dir()) else { return (records, damaged) };
        for entry in entries.flatten() {
            match load(&entry.path()) {
                Ok(record) => records.push(record),
                Err(EngineError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    let id = entry.file_name().to_str().and_then(|name| name.parse::<ContainerId>().ok());
                    damaged.extend(id.and_then(|id| self.discard(&id).err()));
                }
                Err(err) => damaged.push(err),
            }
        }
        records.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        (records, damaged)
    }

    /// Returns the record of one container.
    pub fn record(&self, id: &ContainerId) -> Result<ContainerRecord, EngineError> {
        load(&self.container_dir(id))
    }

    /// Changes the record of a container and returns it.
    pub fn update_record(
        &self,
        id: &ContainerId,
        change: impl FnOnce(&mut ContainerRecord),
    ) -> Result<ContainerRecord, EngineError> {
        let folder = self.container_dir(id);
        let mut record = load(&folder)?;
        change(&mut record);
        save(&folder, &record)?;
        Ok(record)
    }
}

pub(super) fn load(folder: &Path) -> Result<ContainerRecord, EngineError> {
    let path = folder.join(FILE);
    let doing = "read the record";
    let text = fs::read(&path).map_err(|source| EngineError::File { doing, path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| EngineError::Json { doing, path, source })
}

/// Writes the record aside and renames it: a reader sees the old one or the new one.
///
/// Not synced: ext4, xfs and btrfs write a file that is renamed over another before the
/// rename; a power failure can at most take a container that was just made.
pub(super) fn save(folder: &Path, record: &ContainerRecord) -> Result<(), EngineError> {
    let path = folder.join(FILE);
    let doing = "write the record";
    let text = serde_json::to_vec(record).map_err(|source| EngineError::Json { doing, path: path.clone(), source })?;
    let aside = folder.join(".record.json.new");
    fs::write(&aside, text).and_then(|()| fs::rename(&aside, &path)).map_err(|source| EngineError::File {
        doing,
        path,
        source,
    })
}

//! The durable record of a container.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::protocol::ExitStatus;
use super::{Engine, EngineError};
use crate::ids::ContainerId;
use crate::spec::ContainerSpec;

/// Version of the record's format.
const VERSION: u32 = 1;
const FILE: &str = "record.json";
/// How the file begins; then come the [`Runs`].
const BEGIN: &[u8] = b"{\"runs\":";
/// Length of all [`Runs`] in the file, filled up with blanks: more than any need (an
/// error is cut), and the whole still lies in the first sector.
const RUNS_LENGTH: usize = 480;

/// What is known of a container across daemons and reboots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Format of this record.
    pub version: u32,
    /// What it is.
    pub spec: ContainerSpec,
    /// When it was made, nanoseconds since 1970.
    pub created_ns: i64,
    /// What became of it.
    #[serde(skip_serializing)]
    pub runs: Runs,
}

/// What changes in the life of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// When its last run began.
    pub started_ns: Option<i64>,
    /// How its last run ended; `None` before the first end.
    pub exit: Option<ExitStatus>,
    /// Times the engine started it again.
    pub restarts: u32,
    /// The user stopped it: `unless-stopped` leaves it alone.
    pub stopped_by_user: bool,
    /// Why the newest start that the user asked for failed; empty when it did not.
    #[serde(default)]
    pub error: String,
    /// When the run began whose log had the line that means ready: that line may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_ready_ns: Option<i64>,
}

impl ContainerRecord {
    pub(super) fn new(spec: ContainerSpec, created_ns: i64) -> Self {
        Self { version: VERSION, spec, created_ns, runs: Runs::default() }
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

    /// Changes what is recorded of a container's runs.
    ///
    /// They are written in place, in the same length as before. The one write(2) is done or not
    /// done whenever this process is killed, and a disk writes a sector whole. A rename over the
    /// old file (or a truncation) would have ext4 start writing to the disk at once, which takes
    /// 8 to 20 ms on a busy one, three times in the life of each container.
    pub fn update_runs(&self, id: &ContainerId, change: impl FnOnce(&mut Runs)) -> Result<(), EngineError> {
        let path = self.container_dir(id).join(FILE);
        let _writing = self.inner.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change_runs(&path, change).map_err(|source| EngineError::File { doing: "update the record", path, source })
    }
}

fn change_runs(path: &Path, change: impl FnOnce(&mut Runs)) -> io::Result<()> {
    let file = fs::File::options().read(true).write(true).open(path)?;
    let mut head = [0; BEGIN.len() + RUNS_LENGTH];
    file.read_exact_at(&mut head, 0)?;
    let mut runs = serde_json::from_slice(head.strip_prefix(BEGIN).ok_or(io::ErrorKind::InvalidData)?)?;
    change(&mut runs);
    file.write_all_at(&padded(&runs), BEGIN.len() as u64)
}

/// Returns the runs as they stand in the file.
fn padded(runs: &Runs) -> Vec<u8> {
    let mut text = serde_json::to_vec(runs).expect("plain data");
    let mut cut = runs.clone();
    while text.len() > RUNS_LENGTH && cut.error.pop().is_some() {
        text = serde_json::to_vec(&cut).expect("plain data");
    }
    text.resize(RUNS_LENGTH, b' ');
    text
}

/// Puts the runs at the head of an object.
fn with_runs(object: &[u8], runs: &Runs) -> Vec<u8> {
    [BEGIN, &padded(runs), b",", object.strip_prefix(b"{").unwrap_or(object)].concat()
}

pub(super) fn load(folder: &Path) -> Result<ContainerRecord, EngineError> {
    let path = folder.join(FILE);
    let doing = "read the record";
    let text = fs::read(&path).map_err(|source| EngineError::File { doing, path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| EngineError::Json { doing, path, source })
}

/// Writes the record aside and renames it: a reader sees the old one or the new one.
///
/// Not synced: a power failure can at most take a container that was just made.
pub(super) fn save(folder: &Path, record: &ContainerRecord) -> Result<(), EngineError> {
    let path = folder.join(FILE);
    let doing = "write the record";
    let text = serde_json::to_vec(record).map_err(|source| EngineError::Json { doing, path: path.clone(), source })?;
    let text = with_runs(&text, &record.runs);
    let aside = folder.join(".record.json.new");
    fs::write(&aside, text).and_then(|()| fs::rename(&aside, &path)).map_err(|source| EngineError::File {
        doing,
        path,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_change_in_place_and_the_record_stays_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let read = || serde_json::from_slice::<serde_json::Value>(&fs::read(&path).unwrap()).unwrap();
        fs::write(&path, with_runs(br#"{"version":1,"spec":{}}"#, &Runs::default())).unwrap();
        let (whole, length) = (read(), fs::metadata(&path).unwrap().len());
        assert_eq!((&whole["version"], &whole["runs"]["restarts"]), (&1.into(), &0.into()));
        let exit = ExitStatus { code: i32::MIN, oom_killed: false, finished_ns: i64::MIN, ..ExitStatus::default() };
        let longest = Runs {
            started_ns: Some(i64::MIN),
            exit: Some(exit),
            restarts: u32::MAX,
            stopped_by_user: false,
            error: "\"".repeat(80),
            said_ready_ns: Some(i64::MIN),
        };
        for runs in [longest, Runs { started_ns: Some(1), ..Runs::default() }] {
            change_runs(&path, |old| *old = runs.clone()).unwrap();
            assert_eq!(serde_json::from_value::<Runs>(read()["runs"].clone()).unwrap(), runs);
            assert_eq!(read()["spec"], whole["spec"]);
            assert_eq!(fs::metadata(&path).unwrap().len(), length);
        }
        change_runs(&path, |runs| runs.error = "\u{e4}\"\n".repeat(1000)).unwrap();
        assert!(read()["runs"]["error"].as_str().unwrap().starts_with("\u{e4}\"\n\u{e4}"));
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        fs::write(&path, "{}").unwrap();
        assert!(change_runs(&path, |_| ()).is_err());
    }
}

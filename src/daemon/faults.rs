//! Dying on request, for tests: a debug build whose runtime folder has a file `die-at-step` with a
//! number ends as by `kill -9` after so many boundaries of steps, once. A release build has none of it.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// One boundary at a time counts.
static COUNTING: Mutex<()> = Mutex::new(());

/// A step begins or has ended.
pub(super) fn boundary(run: &Path) {
    let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = run.join("die-at-step");
    let Some(left) = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok()) else { return };
    if left > 0 {
        let _ = fs::write(&path, (left - 1).to_string());
        return;
    }
    let _ = fs::remove_file(&path);
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

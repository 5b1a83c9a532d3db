//! Compose files that are elsewhere, brought into the user's cache (spec row `file-remote`).

mod artifact;
mod git;

use std::fs;
use std::path::{Path, PathBuf};

use crate::compose::remote::{Fetch, Git};
use git::Checkouts;

/// The user's cache: a folder for each commit of a repository and for each artifact of a registry.
#[derive(Debug)]
pub struct Cache {
    /// `None` where the user has no such place.
    folder: Option<PathBuf>,
}

impl Cache {
    /// Returns the cache in a folder, which need not be there.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// A folder that others can write to would not do: what is found there is trusted.
    fn folder(&self, kind: &str) -> Result<PathBuf, String> {
        let folder = self.folder.as_ref().ok_or("neither HOME nor XDG_CACHE_HOME says where to keep it")?;
        Ok(folder.join(kind))
    }
}

impl Fetch for Cache {
    fn git(&self, git: &Git) -> Result<PathBuf, String> {
        Checkouts::new(self.folder("git")?).fetch(git)
    }

    fn artifact(&self, reference: &str) -> Result<PathBuf, String> {
        artifact::fetch(&self.folder("oci")?, reference)
    }
}

/// Returns `folder/name`, made by `fill` where it is not there. It is made aside and moved, so that what is there is
/// always whole.
fn kept(folder: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let kept = folder.join(name);
    if kept.is_dir() {
        return Ok(kept);
    }
    let failed = |error: std::io::Error| format!("cannot keep it in {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let made = Aside(folder.join(format!(".new-{name}-{}", std::process::id())));
    fs::create_dir(&made.0).map_err(failed)?;
    fill(&made.0)?;
    match fs::rename(&made.0, &kept) {
        // Another command was faster.
        Err(error) if !kept.is_dir() => Err(failed(error)),
        _ => Ok(kept),
    }
}

/// A folder that is removed unless it was moved.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

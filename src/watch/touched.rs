//! Paths that changed since watching began: what a new container lacks. Without I/O.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// So many paths that are gone are remembered, the last ones: a build that makes files with ever new
/// names would fill the memory.
const GONE: usize = 10_000;

/// The paths: all that are there, and the last of those that are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Each with its number where it is gone.
    paths: BTreeMap<PathBuf, Option<u64>>,
    gone: BTreeMap<u64, PathBuf>,
}

impl Touched {
    /// A path changed; it is there now, or gone.
    pub fn note(&mut self, path: &Path, is_there: bool) {
        let number = (!is_there).then(|| self.gone.last_key_value().map_or(0, |(last, _)| last + 1));
        let before = self.paths.insert(path.to_owned(), number);
        if let Some(Some(before)) = before {
            self.gone.remove(&before);
        }
        if let Some(number) = number {
            self.gone.insert(number, path.to_owned());
        }
        if self.gone.len() > GONE
            && let Some((_, oldest)) = self.gone.pop_first()
        {
            self.paths.remove(&oldest);
        }
    }

    /// Returns all, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.paths.keys().map(PathBuf::as_path)
    }

    /// Returns all, those that are gone last and as they went: noted again so, the same are remembered.
    pub fn iter_by_age(&self) -> impl Iterator<Item = &Path> {
        let there = self.paths.iter().filter(|(_, number)| number.is_none()).map(|(path, _)| path);
        there.chain(self.gone.values()).map(PathBuf::as_path)
    }

    /// Tells whether a path changed.
    pub fn contains(&self, path: &Path) -> bool {
        self.paths.contains_key(path)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Tells whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_come_and_go_are_not_remembered_for_ever() {
        let mut touched = Touched::default();
        let path = |n: usize| PathBuf::from(format!("/s/{n}"));
        touched.note(Path::new("/s/stays"), true);
        touched.note(Path::new("/s/back"), false);
        touched.note(Path::new("/s/back"), true);
        for n in 0..GONE + 100 {
            touched.note(&path(n), true);
            touched.note(&path(n), false);
        }
        assert_eq!(touched.len(), GONE + 2);
        assert!(touched.contains(Path::new("/s/stays")) && touched.contains(Path::new("/s/back")));
        assert!(!touched.contains(&path(99)) && touched.contains(&path(100)));
        // One that goes again is among the last.
        touched.note(&path(100), false);
        touched.note(&path(GONE + 100), false);
        assert!(touched.contains(&path(100)) && !touched.contains(&path(101)));
        assert_eq!((touched.gone.len(), touched.iter().count()), (GONE, GONE + 2));
    }
}

//! What is known of the watched files, and how what is found differs from it. Without I/O.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// All that tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// Inode; 0 for a folder.
    pub inode: u64,
    /// When its content last changed, nanoseconds since 1970; 0 for a folder.
    pub modified_ns: i64,
    /// When anything of it last changed, nanoseconds since 1970; 0 for a folder.
    pub changed_ns: i64,
    /// It was looked at in the very moment that it changed: it may have changed again within the
    /// tick of the file system's clock, so it equals nothing.
    pub fresh: bool,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

/// The state of all paths that are watched, as it was last acted on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    known: BTreeMap<PathBuf, Stamp>,
}

impl Tree {
    /// Takes what is now at a path and below it for what is known of it; returns the paths that
    /// differ: new, changed or gone.
    pub fn update(&mut self, at: &Path, found: Vec<(PathBuf, Stamp)>) -> Vec<PathBuf> {
        let mut found: BTreeMap<PathBuf, Stamp> = found.into_iter().collect();
        // Paths are in the order of their components: all that is below one follows it.
        let known = self.known.range_mut(at.to_owned()..).take_while(|(path, _)| path.starts_with(at));
        let mut changed = Vec::new();
        let mut gone = Vec::new();
        for (path, known) in known {
            match found.remove(path) {
                Some(stamp) => {
                    if *known != stamp || stamp.fresh {
                        changed.push(path.clone());
                    }
                    *known = stamp;
                }
                None => gone.push(path.clone()),
            }
        }
        for path in &gone {
            self.known.remove(path);
        }
        changed.append(&mut gone);
        changed.extend(found.keys().cloned());
        if found.len() > self.known.len() {
            // One pass over both, rather than a search for each.
            self.known.append(&mut found);
        } else {
            self.known.extend(found);
        }
        changed.sort();
        changed
    }

    /// Returns all paths and their states.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Stamp)> {
        self.known.iter().map(|(path, stamp)| (path.as_path(), stamp))
    }

    /// Returns the state of a path.
    pub fn get(&self, path: &Path) -> Option<&Stamp> {
        self.known.get(path)
    }

    /// Forgets paths; they are not gone.
    pub fn retain(&mut self, keep: impl Fn(&Path) -> bool) {
        self.known.retain(|path, _| keep(path));
    }

    /// Returns how many paths are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Tells whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl FromIterator<(PathBuf, Stamp)> for Tree {
    fn from_iter<T: IntoIterator<Item = (PathBuf, Stamp)>>(paths: T) -> Self {
        Self { known: paths.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp(inode: u64) -> Stamp {
        Stamp { kind: Kind::File, mode: 0o644, size: 1, inode, modified_ns: 1, changed_ns: 1, fresh: false }
    }

    fn files(text: &str) -> Vec<(PathBuf, Stamp)> {
        let file = |word: &str| {
            let (path, inode) = word.split_once('=').unwrap_or((word, "1"));
            (PathBuf::from(path), stamp(inode.parse().unwrap()))
        };
        text.split_whitespace().map(file).collect()
    }

    #[track_caller]
    fn check(known: &str, at: &str, found: &str, changed: &str) {
        let mut tree: Tree = files(known).into_iter().collect();
        let paths: Vec<String> =
            tree.update(Path::new(at), files(found)).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(paths.join(" "), changed);
        assert!(tree.update(Path::new(at), files(found)).is_empty(), "told once");
    }

    #[test]
    fn what_is_new_changed_or_gone_is_told_once() {
        check("", "/s", "/s /s/a", "/s /s/a");
        check("/s /s/a", "/s", "/s /s/a", "");
        check("/s /s/a /s/b", "/s/a", "/s/a=2", "/s/a");
        check("/s /s/a /s/b", "/s/a", "", "/s/a");
        check("/s/d /s/d/a /s/d/b /s/d2 /s/d-x", "/s/d", "", "/s/d /s/d/a /s/d/b");
        check("/s/d /s/d/a", "/s", "/s/e /s/e/a", "/s/d /s/d/a /s/e /s/e/a");
    }

    #[test]
    fn a_file_that_changes_while_it_is_looked_at_differs_from_itself() {
        let mut tree = Tree::default();
        let now = vec![(PathBuf::from("/a"), Stamp { fresh: true, ..stamp(1) })];
        tree.update(Path::new("/a"), now.clone());
        assert_eq!(tree.update(Path::new("/a"), now).len(), 1);
        assert_eq!(tree.update(Path::new("/a"), files("/a")).len(), 1);
        assert_eq!(tree.update(Path::new("/a"), files("/a")).len(), 0);
    }

    proptest! {
        #[test]
        fn after_an_update_the_tree_is_what_was_found(
            known in proptest::collection::btree_map("/s(/[ab]){1,3}", 1..4u64, 0..12),
            found in proptest::collection::btree_map("/s(/[ab]){1,3}", 1..4u64, 0..12),
        ) {
            let paths = |map: &BTreeMap<String, u64>| -> Vec<(PathBuf, Stamp)> {
                map.iter().map(|(path, inode)| (path.into(), stamp(*inode))).collect()
            };
            let mut tree: Tree = paths(&known).into_iter().collect();
            let changed = tree.update(Path::new("/s"), paths(&found));
            prop_assert_eq!(&tree, &paths(&found).into_iter().collect::<Tree>());
            for (path, inode) in &known {
                prop_assert_eq!(changed.contains(&PathBuf::from(path)), found.get(path) != Some(inode));
            }
        }
    }
}

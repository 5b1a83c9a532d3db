//! Relative paths (spec row `paths-relative`): which attributes hold them is said in the
//! tables, what they are relative to by the caller.

use std::path::{Component, Path, PathBuf};

use super::schema::{Object, PathRule, Shape};
use super::tree::{Node, Value};

/// Where relative paths of a file start.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    /// The folder, absolute: other files are looked for here.
    pub(crate) folder: PathBuf,
    /// What is put before relative paths: the folder, or a relative path to it where paths
    /// are to stay relative. `None` leaves them as they are.
    pub(crate) prefix: Option<PathBuf>,
    /// The user's home, for `~`.
    pub(crate) home: Option<PathBuf>,
}

impl Base {
    /// Returns the place of a file that is named relative to this base.
    pub(crate) fn locate(&self, path: &str) -> PathBuf {
        PathBuf::from(clean(&self.folder.join(self.expand_home(path)).to_string_lossy()))
    }

    /// Returns the base of another folder (absolute).
    #[must_use]
    pub(crate) fn at(&self, folder: &Path) -> Self {
        let relative = || relative(folder, &self.folder);
        let prefix = match &self.prefix {
            Some(prefix) if prefix.is_absolute() => Some(folder.to_owned()),
            Some(prefix) => Some(prefix.join(relative())),
            None => Some(relative()),
        };
        Self { folder: folder.to_owned(), prefix, home: self.home.clone() }
    }

    fn expand_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix('~'), &self.home) {
            // Also of `~user/x`, which the reference takes for a path below one's own home.
            (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
            _ => PathBuf::from(path),
        }
    }

    /// Returns the path from the base on; `None` where it stays as it is.
    fn resolve(&self, path: &str) -> Option<String> {
        if path.is_empty() { None } else { self.resolve_file(path) }
    }

    /// As `resolve`, but a path of Windows stays and the empty path is the base itself.
    fn resolve_host(&self, path: &str) -> Option<String> {
        let windows = is_windows_drive(path) && path[2..].starts_with(['/', '\\']) || path.starts_with("\\\\");
        if windows { None } else { self.resolve_file(path) }
    }

    fn resolve_file(&self, path: &str) -> Option<String> {
        let prefix = self.prefix.as_ref()?;
        let expanded = self.expand_home(path);
        if expanded.is_absolute() {
            return path.starts_with('~').then(|| clean(&expanded.to_string_lossy()));
        }
        Some(clean(&prefix.join(expanded).to_string_lossy()))
    }
}

/// Makes the relative paths of a value start at the base.
pub(crate) fn resolve(node: &mut Node, shape: &Shape, base: &Base) {
    match (shape, &mut node.value) {
        (Shape::Object(table), Value::Map(map)) => {
            for (key, value) in map {
                resolve_field(value, table, key, base);
            }
        }
        (Shape::Map(values), Value::Map(map)) => {
            map.values_mut().for_each(|value| resolve(value, &values.shape, base));
        }
        (Shape::List(item, _), Value::List(items)) => {
            items.iter_mut().for_each(|node| resolve(node, item, base));
        }
        (Shape::Short(_, long), _) => resolve(node, long, base),
        _ => {}
    }
}

fn resolve_field(node: &mut Node, table: &Object, key: &str, base: &Base) {
    let Some(field) = table.field(key) else { return };
    match field.path {
        PathRule::No => resolve(node, &field.shape, base),
        PathRule::Path => each_text(node, &|text| base.resolve(text)),
        PathRule::HostPath => each_text(node, &|text| base.resolve_host(text)),
        PathRule::Context => each_text(node, &|text| if is_remote(text) { None } else { base.resolve(text) }),
        PathRule::Mount => {
            let Value::List(mounts) = &mut node.value else { return };
            for mount in mounts.iter_mut().filter(|m| m.get("type").and_then(Node::as_text) == Some("bind")) {
                if let Some(source) = mount.get_mut("source") {
                    each_text(source, &|text| base.resolve_host(text));
                }
            }
        }
        PathRule::VolumeOptions => {
            let Value::Map(volumes) = &mut node.value else { return };
            for volume in volumes.values_mut().filter(|v| v.get("driver").and_then(Node::as_text) == Some("local")) {
                let Some(options) = volume.get_mut("driver_opts") else { continue };
                if options.get("o").and_then(Node::as_text) == Some("bind")
                    && let Some(device) = options.get_mut("device")
                {
                    each_text(device, &|text| base.resolve_host(text));
                }
            }
        }
    }
}

fn each_text(node: &mut Node, change: &dyn Fn(&str) -> Option<String>) {
    match &mut node.value {
        Value::Text(text) => {
            if let Some(changed) = change(text) {
                *text = changed;
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Map(map) => map.values_mut().for_each(|value| each_text(value, change)),
        _ => {}
    }
}

fn is_remote(context: &str) -> bool {
    context.contains("://") || ["service:", "github.com/", "git@"].iter().any(|prefix| context.starts_with(prefix))
}

/// Returns true for `C:...`.
pub(crate) fn is_windows_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Returns the path without `.`, `..` and double slashes, by text alone.
pub(crate) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Returns the way from one absolute folder to another.
pub(crate) fn relative(to: &Path, from: &Path) -> PathBuf {
    let to: Vec<Component<'_>> = to.components().collect();
    let from: Vec<Component<'_>> = from.components().collect();
    let common = to.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let mut path: PathBuf = from[common..].iter().map(|_| "..").collect();
    path.extend(&to[common..]);
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        let check = |path: &str, expected: &str| assert_eq!(clean(path), expected, "{path}");
        check("/a/./b//../c/", "/a/c");
        check("/..", "/");
        check("../x/..", "..");
        check("./x", "x");
        check("", ".");
        assert_eq!(relative(Path::new("/a/b"), Path::new("/a/c/d")), Path::new("../../b"));
    }
}

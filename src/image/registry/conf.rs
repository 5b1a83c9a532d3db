//! `registries.conf` (containers-registries.conf(5), version 2): mirrors, insecure and blocked
//! registries.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::ImageError;
use super::super::reference::{Reference, is_loopback};

/// Where to ask for an image, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `host` or `host:port`.
    pub(super) host: String,
    /// Path of the repository there.
    pub(super) repository: String,
    /// Plain HTTP and unknown certificates are good enough.
    pub(super) insecure: bool,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<Registry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<Mirror>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: Option<String>,
}

/// Returns the files below `/etc/containers`, the later ones overriding the earlier.
pub(super) fn system_files(dir: &Path) -> Vec<PathBuf> {
    let mut more: Vec<PathBuf> = std::fs::read_dir(dir.join("registries.conf.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    more.sort();
    std::iter::once(dir.join("registries.conf")).chain(more).collect()
}

/// Returns where to ask for an image: mirrors first, the registry itself last.
pub(super) fn endpoints(files: &[PathBuf], reference: &Reference) -> Result<Vec<Endpoint>, ImageError> {
    let name = reference.name();
    let mut best: Option<(usize, Registry, &PathBuf)> = None;
    for path in files {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ImageError::Config { path: path.clone(), reason: error.to_string() }),
        };
        let file: File = toml::from_str(&text)
            .map_err(|error| ImageError::Config { path: path.clone(), reason: error.message().to_owned() })?;
        for registry in file.registry {
            let prefix = registry.prefix.as_deref().or(registry.location.as_deref()).unwrap_or_default();
            let Some(length) = matches(prefix, &name) else { continue };
            if best.as_ref().is_none_or(|(longest, _, _)| length >= *longest) {
                best = Some((length, registry, path));
            }
        }
    }
    let itself = |location: &str, insecure: bool, rest: &str| -> Option<Endpoint> {
        let whole = format!("{}{rest}", location.trim_end_matches('/'));
        let (host, repository) = whole.split_once('/')?;
        let (host, repository) = (host.to_owned(), repository.to_owned());
        Some(Endpoint { insecure: insecure || is_loopback(&host), host, repository })
    };
    let Some((length, registry, path)) = best else {
        return Ok(itself(&name, false, "").into_iter().collect());
    };
    if registry.blocked {
        return Err(ImageError::Blocked { registry: reference.registry.clone(), by: path.clone() });
    }
    let rest = &name[length..];
    let by_digest = reference.digest.is_some();
    let mirrors = registry.mirror.iter().filter(|mirror| match mirror.pull_from_mirror.as_deref() {
        Some("digest-only") => by_digest,
        Some("tag-only") => !by_digest,
        _ => by_digest || !registry.mirror_by_digest_only,
    });
    let mut endpoints: Vec<Endpoint> =
        mirrors.filter_map(|mirror| itself(&mirror.location, mirror.insecure, rest)).collect();
    // A prefix with a wildcard covers the host, which then stays as it is.
    let location = registry.location.clone().unwrap_or_else(|| name[..length].to_owned());
    endpoints.extend(itself(&location, registry.insecure, rest));
    Ok(endpoints)
}

/// Returns how much of the name a prefix covers: whole path components only.
fn matches(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split(['/', ':']).next()?;
        return (domain.starts_with('.') && host.ends_with(domain)).then_some(name.find('/')?);
    }
    let rest = name.strip_prefix(prefix)?;
    (!prefix.is_empty() && (rest.is_empty() || rest.starts_with('/'))).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(conf: &str, reference: &str, expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("registries.conf");
        std::fs::write(&file, conf).unwrap();
        let reference = Reference::parse(reference).unwrap();
        let found = match endpoints(&[dir.path().join("missing.conf"), file], &reference) {
            Ok(found) => found
                .into_iter()
                .map(|e| format!("{}/{}{}", e.host, e.repository, if e.insecure { " insecure" } else { "" }))
                .collect(),
            Err(error) => vec![error.to_string().replace(&dir.path().display().to_string(), "")],
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn mirrors_come_first_and_the_longest_prefix_counts() {
        let conf = r#"
            unqualified-search-registries = ["example.com"]
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "mirror.local:5000/hub"
            insecure = true
            [[registry.mirror]]
            location = "second.local"
            pull-from-mirror = "digest-only"
            [[registry]]
            prefix = "docker.io/bad"
            blocked = true
            [[registry]]
            prefix = "*.corp.example"
            insecure = true
            [[registry]]
            prefix = "old.example/team"
            location = "new.example/moved"
        "#;
        check(conf, "redis:7", &["mirror.local:5000/hub/library/redis insecure", "docker.io/library/redis"]);
        check(conf, "bad/x", &["registry docker.io is blocked by /registries.conf"]);
        check(conf, "badly/x", &["mirror.local:5000/hub/badly/x insecure", "docker.io/badly/x"]);
        check(conf, "r.corp.example:5000/x", &["r.corp.example:5000/x insecure"]);
        check(conf, "old.example/team/x", &["new.example/moved/x"]);
        check(conf, "old.example/teams/x", &["old.example/teams/x"]);
        check(conf, "127.0.0.1:5000/x", &["127.0.0.1:5000/x insecure"]);
        check(
            "registry = 1",
            "redis",
            &["failed to read /registries.conf: invalid type: integer `1`, expected a sequence"],
        );
    }
}

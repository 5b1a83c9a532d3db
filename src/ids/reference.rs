//! Image references: what a user writes, and the one spelling under which an image is stored.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Digest;

/// Registry of references that name none.
pub(crate) const DEFAULT_REGISTRY: &str = "docker.io";

/// Where an image comes from, as named by a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A registry.
    Registry(Reference),
    /// A file or folder, `TRANSPORT:PATH` (containers-transports(5)).
    File(FileSource),
}

/// Image on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    /// Kind of file.
    pub transport: Transport,
    /// Absolute path.
    pub path: PathBuf,
    /// Which image of several; empty for the only one.
    pub name: String,
}

/// How an image lies in a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Folder with an OCI image layout, `oci:DIR[:NAME]`.
    OciDir,
    /// The same as a tar file, `oci-archive:FILE[:NAME]`.
    OciArchive,
    /// What `docker save` writes, `docker-archive:FILE[:NAME]`.
    DockerArchive,
    /// Folder with a root file system, `rootfs:DIR`.
    Rootfs,
}

impl Transport {
    const ALL: [Self; 4] = [Self::OciDir, Self::OciArchive, Self::DockerArchive, Self::Rootfs];

    fn prefix(self) -> &'static str {
        match self {
            Self::OciDir => "oci",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::Rootfs => "rootfs",
        }
    }
}

/// An image in a registry, `registry/repository:tag@digest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host and, where it is not the usual one, port.
    pub registry: String,
    /// Path of the repository, `library/redis`.
    pub repository: String,
    /// Tag; `None` only where there is a digest.
    pub tag: Option<String>,
    /// Digest of the manifest.
    pub digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum InvalidReference {
    #[error("it is empty")]
    Empty,
    #[error("repository names are lower-case, {0:?} is not")]
    Uppercase(String),
    #[error("{0:?} is no repository name (lower-case letters, digits, and . _ - between them)")]
    Repository(String),
    #[error("{0:?} is no registry host")]
    Registry(String),
    #[error("{0:?} is no tag (letters, digits, . _ -, at most 128)")]
    Tag(String),
    #[error("{0:?} is no sha256 digest")]
    Digest(String),
    #[error("it is longer than 255 characters")]
    TooLong,
    #[error("64 hexadecimal digits are an image id, not a name")]
    Id,
    #[error("no path follows {0:?}")]
    Path(String),
}

impl Source {
    /// Returns the source that a user names; relative paths are taken from `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, InvalidReference> {
        let transport = text.split_once(':').and_then(|(prefix, rest)| {
            Transport::ALL.into_iter().find(|t| t.prefix() == prefix).map(|transport| (transport, rest))
        });
        let Some((transport, rest)) = transport else { return Reference::parse(text).map(Self::Registry) };
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) if transport != Transport::Rootfs => (path, name),
            _ => (rest, ""),
        };
        if path.is_empty() {
            return Err(InvalidReference::Path(format!("{}:", transport.prefix())));
        }
        Ok(Self::File(FileSource { transport, path: base.join(path), name: name.to_owned() }))
    }
}

impl fmt::Display for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.prefix(), self.path.display())?;
        if self.name.is_empty() { Ok(()) } else { write!(f, ":{}", self.name) }
    }
}

impl Reference {
    /// Returns the reference a text names, by Docker's rules: what stands before the first slash
    /// is a registry when it holds a dot or a colon or is `localhost`; else the registry is
    /// `docker.io`, and there a lone name is in `library/`. The tag is `latest` when there is
    /// neither tag nor digest.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        if text.is_empty() {
            return Err(InvalidReference::Empty);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| InvalidReference::Digest(digest.to_owned()))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let last_slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[last_slash..].split_once(':') {
            Some((_, tag)) => (&rest[..rest.len() - tag.len() - 1], Some(tag)),
            None => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(InvalidReference::Tag(tag.to_owned()));
        }
        if name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(InvalidReference::Id);
        }
        let (registry, repository) = match name.split_once('/') {
            Some((host, path))
                if host.contains(['.', ':']) || host == "localhost" || host.bytes().any(|b| b.is_ascii_uppercase()) =>
            {
                (if host == "index.docker.io" { DEFAULT_REGISTRY } else { host }, path.to_owned())
            }
            _ => (DEFAULT_REGISTRY, name.to_owned()),
        };
        if !is_host(registry) {
            return Err(InvalidReference::Registry(registry.to_owned()));
        }
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidReference::Uppercase(repository));
        }
        if !repository.split('/').all(is_path_component) {
            return Err(InvalidReference::Repository(repository));
        }
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository
        };
        if registry.len() + repository.len() > 254 {
            return Err(InvalidReference::TooLong);
        }
        let tag = tag.or(if digest.is_none() { Some("latest") } else { None }).map(str::to_owned);
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// Returns the name without tag and digest, `docker.io/library/redis`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns the spelling that users see: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        familiar(&self.to_string())
    }

    /// Tells whether the registry is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.registry)
    }
}

impl fmt::Display for Reference {
    /// The canonical spelling: registry and repository in full.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Returns a canonical spelling the way users see it, `redis:7`.
pub fn familiar(canonical: &str) -> String {
    let Some(rest) = canonical.strip_prefix("docker.io/") else { return canonical.to_owned() };
    match rest.strip_prefix("library/") {
        Some(name) if !name.contains('/') => name.to_owned(),
        _ => rest.to_owned(),
    }
}

/// Tells whether a registry (`host` or `host:port`) is this machine.
pub(crate) fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => registry.split_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_host(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port.strip_prefix(':'))
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Letters and digits, separated by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (component.bytes().next(), component.bytes().last()) else { return false };
    alphanumeric(first)
        && alphanumeric(last)
        && component
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[track_caller]
    fn check(text: &str, canonical: &str, familiar: &str) {
        let reference = Reference::parse(text).unwrap();
        assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (canonical, familiar));
        assert_eq!(Reference::parse(canonical).unwrap(), reference, "the canonical spelling names the same");
        assert_eq!(Reference::parse(familiar).unwrap(), reference, "the familiar spelling names the same");
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        check("redis", "docker.io/library/redis:latest", "redis:latest");
        check("redis:7", "docker.io/library/redis:7", "redis:7");
        check("index.docker.io/redis:7", "docker.io/library/redis:7", "redis:7");
        check("bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest");
        check("localhost/x", "localhost/x:latest", "localhost/x:latest");
        check("localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1");
        check("127.0.0.1:80/x", "127.0.0.1:80/x:latest", "127.0.0.1:80/x:latest");
        check("[::1]:80/x", "[::1]:80/x:latest", "[::1]:80/x:latest");
        check("ghcr.io/a/b__c/d--e.f:V1.0-rc_2", "ghcr.io/a/b__c/d--e.f:V1.0-rc_2", "ghcr.io/a/b__c/d--e.f:V1.0-rc_2");
        let digest = format!("redis@sha256:{HEX}");
        check(&digest, &format!("docker.io/library/{digest}"), &digest);
        let both = format!("redis:7@sha256:{HEX}");
        check(&both, &format!("docker.io/library/{both}"), &both);
    }

    #[test]
    fn what_is_no_reference_is_explained() {
        let error = |text: &str| Reference::parse(text).unwrap_err().to_string();
        assert_eq!(error(""), "it is empty");
        assert_eq!(error("Redis"), "repository names are lower-case, \"Redis\" is not");
        assert_eq!(error("redis:"), "\"\" is no tag (letters, digits, . _ -, at most 128)");
        assert_eq!(error("redis@md5:1"), "\"md5:1\" is no sha256 digest");
        assert_eq!(error(HEX), "64 hexadecimal digits are an image id, not a name");
        for text in ["a//b", "../etc", "a/../b", "/a", "a b", "a_-b", "a/", "-a", "localhost:x/y", "a.b-/c", "a@b"] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn transports_name_files() {
        let parse = |text: &str| Source::parse(text, Path::new("/work"));
        let file = |text: &str| match parse(text).unwrap() {
            Source::File(file) => (file.transport, file.to_string()),
            Source::Registry(reference) => panic!("{reference}"),
        };
        assert_eq!(file("oci:img"), (Transport::OciDir, "oci:/work/img".to_owned()));
        assert_eq!(file("oci-archive:/x.tar:v1"), (Transport::OciArchive, "oci-archive:/x.tar:v1".to_owned()));
        assert_eq!(
            file("docker-archive:./x.tar"),
            (Transport::DockerArchive, "docker-archive:/work/./x.tar".to_owned())
        );
        assert_eq!(file("rootfs:/srv/a:b"), (Transport::Rootfs, "rootfs:/srv/a:b".to_owned()));
        assert!(matches!(parse("redis:7").unwrap(), Source::Registry(_)));
        assert_eq!(parse("oci:").unwrap_err().to_string(), "no path follows \"oci:\"");
    }

    #[test]
    fn loopback_registries_are_recognised() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.3.2.1", "[::1]:5000", "r.localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["docker.io", "10.0.0.1:5000", "localhost.example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}

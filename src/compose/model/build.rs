//! `build` (spec rows `svc-build-*`): how a service's image is made. No part of a container.

use std::collections::BTreeMap;
use std::net::IpAddr;

use indexmap::IndexMap;

use super::lifecycle::Ulimit;
use super::mount::FileGrant;
use super::units::{Bytes, Platform};

attributes! {
    /// `build`: how a service's image is made.
    pub struct Build {
        /// Folder of the host, absolute, or the address of a repository or archive; `.` when absent.
        pub context: String,
        /// Path of the Dockerfile, relative to the context; `Dockerfile` when absent.
        pub dockerfile: Option<String>,
        /// Text of the Dockerfile, in place of a file.
        pub dockerfile_inline: Option<String>,
        /// What `RUN` may ask for: `network.host`, `security.insecure`.
        pub entitlements: Vec<String>,
        /// Values of `ARG`.
        pub args: IndexMap<String, String>,
        /// Keys and agents for `RUN --mount=type=ssh`: path by id; `None` for the agent.
        pub ssh: IndexMap<String, Option<String>>,
        /// Labels of the image.
        pub labels: BTreeMap<String, String>,
        /// Where layers may come from: an image, or `type=T,key=value`.
        pub cache_from: Vec<String>,
        /// Where layers are kept for others, written alike.
        pub cache_to: Vec<String>,
        /// Every step runs.
        pub no_cache: bool,
        /// Stages whose steps run in any case.
        pub no_cache_filter: Vec<String>,
        /// Further contexts by name: a path, an address, `docker-image://REF` or `service:NAME`.
        pub additional_contexts: IndexMap<String, String>,
        /// Network of `RUN`: `none`, `host`, `default` or the name of one; `default` when absent.
        pub network: Option<String>,
        /// `FROM` images are looked up in their registry again.
        pub pull: bool,
        /// Stage to stop at; the last one when absent.
        pub target: Option<String>,
        /// Size of `/dev/shm` during `RUN`; 64 MiB when absent.
        pub shm_size: Option<Bytes>,
        /// Lines of `/etc/hosts` during `RUN`; `host-gateway` is `None`.
        pub extra_hosts: Vec<(String, Option<IpAddr>)>,
        /// A choice of Windows.
        pub isolation: Option<String>,
        /// `RUN` has all capabilities.
        pub privileged: bool,
        /// Secrets for `RUN --mount=type=secret`; `target` is the id that the Dockerfile names.
        pub secrets: Vec<FileGrant>,
        /// Names of the image besides the service's `image`.
        pub tags: Vec<String>,
        /// Limits of the processes of `RUN`.
        pub ulimits: BTreeMap<String, Ulimit>,
        /// What it is built for; the service's `platform` or the host's when empty.
        pub platforms: Vec<Platform>,
        /// Statement about how it was built: `true`, `false` or `key=value,...`.
        pub provenance: Option<String>,
        /// List of what is in it: `true`, `false` or `key=value,...`.
        pub sbom: Option<String>,
    }
}

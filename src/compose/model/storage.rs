//! Top-level volumes, configs and secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

attributes! {
    /// A top-level volume: data that outlives containers.
    pub struct Volume {
        /// Engine-wide name, `project_key` or `name:`.
        pub name: String,
        /// Must exist already and is never removed.
        pub external: bool,
        /// `local` unless named.
        pub driver: Option<String>,
        /// `driver_opts`; the local driver takes `type`, `o` and `device`, as mount(8) does.
        pub driver_opts: BTreeMap<String, String>,
        /// User labels.
        pub labels: BTreeMap<String, String>,
    }
}

/// A top-level config or secret: content that services may have as a file. That of a secret is never shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Name, `project_key` or `name:`; an external one is looked up by it.
    pub name: String,
    /// Where the content is.
    pub source: ContentSource,
    /// User labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `driver` of a secret: a plugin of a Swarm cluster that would give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// `driver_opts` of a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// `template_driver`: a Swarm cluster would expand templates in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_driver: Option<String>,
}

/// Where content is: exactly one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentSource {
    /// `file`: a file of the host, absolute.
    File(PathBuf),
    /// `environment`: the value of this variable.
    Environment(String),
    /// `content` of a config: this text.
    Content(String),
    /// `external: true`: kept by the host under its name.
    External,
}

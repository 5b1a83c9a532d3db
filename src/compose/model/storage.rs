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

/// A top-level config: a file's content that services may mount.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Name, `project_key` or `name:`; an external one is looked up by it.
    pub name: String,
    /// Where the content is.
    pub source: ConfigSource,
    /// User labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `template_driver`: a Swarm cluster would expand templates in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_driver: Option<String>,
}

/// Where the content of a config is: exactly one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// `file`: a file of the host, absolute.
    File(PathBuf),
    /// `environment`: the value of this variable.
    Environment(String),
    /// `content`: this text.
    Content(String),
    /// `external: true`: kept by the host under its name.
    External,
}

/// A top-level secret: as a config, but its content is never shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// Name, `project_key` or `name:`; an external one is looked up by it.
    pub name: String,
    /// Where the content is.
    pub source: SecretSource,
    /// User labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `template_driver`: a Swarm cluster would expand templates in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_driver: Option<String>,
}

/// Where the content of a secret is: exactly one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// `file`: a file of the host, absolute.
    File(PathBuf),
    /// `environment`: the value of this variable.
    Environment(String),
    /// `external: true`: kept by the host under its name.
    External,
    /// `driver`: a plugin of a Swarm cluster gives it.
    Driver {
        /// Name of the plugin.
        driver: String,
        /// `driver_opts`.
        driver_opts: BTreeMap<String, String>,
    },
}

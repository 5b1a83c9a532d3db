//! What an image says about the containers made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an image says about the containers made from it: the `config` key of its configuration,
/// read and written with that document's names (OCI image spec, config.md; `Healthcheck` and
/// `Shell` are Docker's additions). Empty is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `user[:group]`; empty is root.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `6379/tcp`.
    #[serde(with = "key_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// `KEY=value`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Words put before the command.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The command, or the entrypoint's arguments.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Paths that get an anonymous volume each.
    #[serde(with = "key_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Working directory; empty is `/`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Name or number of the signal that asks it to stop, `SIGQUIT`; empty is SIGTERM.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// How its health is probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<ImageHealthcheck>,
    /// Shell of `CMD-SHELL` checks; empty is `/bin/sh -c`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// `HEALTHCHECK` of an image; durations are nanoseconds, 0 stands for absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageHealthcheck {
    /// `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", line]`; empty takes what is there already.
    #[serde(deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    /// Nanoseconds between probes.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: u64,
    /// Nanoseconds a probe may take.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
    /// Nanoseconds in which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: u64,
    /// Nanoseconds between probes during the start period.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: u64,
    /// Consecutive failures that make it unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// A container's health probe, every default filled in (spec rows `service-healthcheck*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthcheckSpec {
    /// What is run in the container: `CMD` words, or `/bin/sh -c line` for `CMD-SHELL`.
    pub argv: Vec<String>,
    /// Written as a shell line (`inspect` shows `CMD-SHELL`).
    pub shell: bool,
    /// Time between the end of a probe and the next one.
    pub interval: Duration,
    /// A probe that takes longer is killed and has failed.
    pub timeout: Duration,
    /// Failures within this time of the start do not count.
    pub start_period: Duration,
    /// Time between probes during the start period.
    pub start_interval: Duration,
    /// Consecutive failures that make it unhealthy; at least 1.
    pub retries: u32,
}

/// Health of a container that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not known yet.
    Starting,
    /// The last probe succeeded.
    Healthy,
    /// Too many probes in a row failed.
    Unhealthy,
}

impl Health {
    /// Returns the word that `ps` and `inspect` show.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Reads a value where `null` means the default: images in the wild write `"Env": null`.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Sets that the image configuration writes as an object of empty objects.
mod key_set {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Empty {}

    pub(super) fn serialize<S: Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        set.iter().map(|key| (key, Empty {})).collect::<BTreeMap<_, _>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, serde::de::IgnoredAny>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_registries_serve() {
        let text = r#"{"Env": null, "Cmd": ["redis-server"], "Entrypoint": ["docker-entrypoint.sh"],
            "ExposedPorts": {"6379/tcp": {}}, "Volumes": {"/data": {}}, "WorkingDir": "/data", "OnBuild": null,
            "Healthcheck": {"Test": ["CMD-SHELL", "redis-cli ping"], "Interval": 1000000000}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.cmd, ["redis-server"]);
        assert!(config.env.is_empty());
        assert!(config.exposed_ports.contains("6379/tcp") && config.volumes.contains("/data"));
        assert_eq!(config.healthcheck.as_ref().unwrap().interval, 1_000_000_000);
        let again: ImageConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
}

//! An image's configuration: what the image says about how it wants to be run.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::ImageError;
use crate::ids::Digest;

/// What an image asks for (OCI image spec, config.md, and what Docker adds to it).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Program and first arguments.
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments, or the program where there is no entrypoint.
    pub cmd: Option<Vec<String>>,
    /// `KEY=value`.
    pub env: Vec<String>,
    /// Folder in which the program starts.
    pub working_dir: Option<String>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// `6379/tcp`.
    pub exposed_ports: Vec<String>,
    /// Paths that want a volume.
    pub volumes: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM` or a number.
    pub stop_signal: Option<String>,
    /// How its health is checked.
    pub healthcheck: Option<ImageHealthcheck>,
    /// Shell of `CMD-SHELL` checks and builds.
    pub shell: Option<Vec<String>>,
}

/// An image's own healthcheck; durations are nanoseconds, 0 means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageHealthcheck {
    /// `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", line]`.
    #[serde(deserialize_with = "or_default")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// What one check may take.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time to start, in which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between two checks in that time.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row until it counts as unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The configuration blob, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigFile {
    #[serde(deserialize_with = "or_default")]
    pub(super) architecture: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) os: String,
    pub(super) variant: Option<String>,
    pub(super) created: Option<String>,
    pub(super) rootfs: RootFs,
    #[serde(deserialize_with = "or_default")]
    config: Section,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RootFs {
    pub(super) diff_ids: Vec<Digest>,
}

/// The part of the file that is about running; every key may be missing or null.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Section {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    working_dir: Option<String>,
    user: Option<String>,
    #[serde(deserialize_with = "or_default")]
    exposed_ports: BTreeMap<String, Value>,
    #[serde(deserialize_with = "or_default")]
    volumes: BTreeMap<String, Value>,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    stop_signal: Option<String>,
    healthcheck: Option<ImageHealthcheck>,
    shell: Option<Vec<String>>,
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl ConfigFile {
    /// Returns the file's content.
    pub(super) fn parse(blob: &[u8]) -> Result<Self, ImageError> {
        serde_json::from_slice(blob).map_err(|error| ImageError::invalid("the image's configuration", error))
    }

    /// Returns seconds since 1970.
    pub(super) fn created(&self) -> Option<i64> {
        self.created.as_deref()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
    }

    /// Returns what the planner reads.
    pub(super) fn image_config(&self) -> ImageConfig {
        let section = self.config.clone();
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let list = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
        ImageConfig {
            entrypoint: list(section.entrypoint),
            cmd: list(section.cmd),
            env: section.env,
            working_dir: text(section.working_dir),
            user: text(section.user),
            exposed_ports: section.exposed_ports.into_keys().collect(),
            volumes: section.volumes.into_keys().collect(),
            labels: section.labels,
            stop_signal: text(section.stop_signal),
            healthcheck: section.healthcheck,
            shell: list(section.shell),
        }
    }
}

impl ImageConfig {
    /// Returns the configuration as the `config` key of the blob has it.
    pub(super) fn to_section(&self) -> Value {
        let keys = |list: &[String]| -> Value { list.iter().map(|key| (key.clone(), json!({}))).collect() };
        let mut section = serde_json::Map::new();
        let mut put = |key: &str, value: Value| {
            let empty = match &value {
                Value::Null => true,
                Value::Object(map) => map.is_empty(),
                Value::Array(list) => list.is_empty(),
                _ => false,
            };
            if !empty {
                section.insert(key.to_owned(), value);
            }
        };
        put("User", json!(self.user));
        put("ExposedPorts", keys(&self.exposed_ports));
        put("Env", json!(self.env));
        put("Entrypoint", json!(self.entrypoint));
        put("Cmd", json!(self.cmd));
        put("Volumes", keys(&self.volumes));
        put("WorkingDir", json!(self.working_dir));
        put("Labels", json!(self.labels));
        put("StopSignal", json!(self.stop_signal));
        put("Healthcheck", json!(self.healthcheck));
        put("Shell", json!(self.shell));
        Value::Object(section)
    }

    /// Makes a change written as a line of a Dockerfile, as `docker import --change` has it.
    pub fn apply_change(&mut self, change: &str) -> Result<(), ImageError> {
        let failed = |reason: String| ImageError::Change { change: change.to_owned(), reason };
        let (keyword, rest) = change.trim().split_once(char::is_whitespace).unwrap_or((change.trim(), ""));
        let rest = rest.trim();
        let keyword = keyword.to_ascii_uppercase();
        if rest.is_empty() && !matches!(keyword.as_str(), "CMD" | "ENTRYPOINT") {
            return Err(failed(format!("nothing follows {keyword}")));
        }
        match keyword.as_str() {
            "CMD" => self.cmd = Some(self.command(rest)),
            "ENTRYPOINT" => self.entrypoint = Some(self.command(rest)),
            "ENV" => {
                for (key, value) in pairs(rest).map_err(failed)? {
                    let entry = format!("{key}={value}");
                    match self.env.iter_mut().find(|old| old.split('=').next() == Some(&key)) {
                        Some(old) => *old = entry,
                        None => self.env.push(entry),
                    }
                }
            }
            "LABEL" => self.labels.extend(pairs(rest).map_err(failed)?),
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                    if number.parse::<u16>().is_err() || !matches!(protocol, "tcp" | "udp" | "sctp") {
                        return Err(failed(format!("{port:?} is no port")));
                    }
                    push_new(&mut self.exposed_ports, format!("{number}/{protocol}"));
                }
            }
            "VOLUME" => {
                let paths = match serde_json::from_str::<Vec<String>>(rest) {
                    Ok(paths) => paths,
                    Err(_) => shell_words::split(rest).map_err(|error| failed(error.to_string()))?,
                };
                paths.into_iter().for_each(|path| push_new(&mut self.volumes, path));
            }
            "WORKDIR" => {
                let at = std::path::Path::new(self.working_dir.as_deref().unwrap_or("/")).join(rest);
                self.working_dir = Some(std::path::Path::new("/").join(at).display().to_string());
            }
            "USER" => self.user = Some(rest.to_owned()),
            "STOPSIGNAL" => self.stop_signal = Some(rest.to_owned()),
            "SHELL" => {
                let words = serde_json::from_str(rest).map_err(|_| failed("SHELL takes a JSON list".to_owned()))?;
                self.shell = Some(words);
            }
            "HEALTHCHECK" => self.healthcheck = Some(self.healthcheck(rest).map_err(failed)?),
            _ => {
                return Err(failed(
                    "it begins with none of CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, SHELL, STOPSIGNAL, USER, \
                     VOLUME, WORKDIR"
                        .to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// A JSON list is the command itself; anything else is a line for the shell.
    fn command(&self, text: &str) -> Vec<String> {
        match serde_json::from_str::<Vec<String>>(text) {
            Ok(words) => words,
            Err(_) if text.is_empty() => Vec::new(),
            Err(_) => {
                let shell = self.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
                shell.into_iter().chain([text.to_owned()]).collect()
            }
        }
    }

    fn healthcheck(&self, text: &str) -> Result<ImageHealthcheck, String> {
        let mut check = ImageHealthcheck::default();
        let mut rest = text;
        while let Some(option) = rest.strip_prefix("--") {
            let (option, after) = option.split_once(char::is_whitespace).ok_or("no CMD or NONE follows")?;
            let (key, value) = option.split_once('=').ok_or_else(|| format!("--{option} has no value"))?;
            let nanoseconds = || {
                let span: jiff::SignedDuration = value.parse().map_err(|_| format!("{value:?} is no duration"))?;
                i64::try_from(span.as_nanos()).map_err(|_| format!("{value:?} is too long"))
            };
            match key {
                "interval" => check.interval = nanoseconds()?,
                "timeout" => check.timeout = nanoseconds()?,
                "start-period" => check.start_period = nanoseconds()?,
                "start-interval" => check.start_interval = nanoseconds()?,
                "retries" => check.retries = value.parse().map_err(|_| format!("{value:?} is no number"))?,
                _ => return Err(format!("there is no option --{key}")),
            }
            rest = after.trim_start();
        }
        let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        check.test = match kind.to_ascii_uppercase().as_str() {
            "NONE" => vec!["NONE".to_owned()],
            "CMD" => match serde_json::from_str::<Vec<String>>(rest.trim()) {
                Ok(words) => ["CMD".to_owned()].into_iter().chain(words).collect(),
                Err(_) => vec!["CMD-SHELL".to_owned(), rest.trim().to_owned()],
            },
            _ => return Err("no CMD or NONE follows".to_owned()),
        };
        Ok(check)
    }
}

/// `K=V K2="V 2"`, or `K the rest`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let first = text.split_whitespace().next().unwrap_or("");
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).ok_or_else(|| format!("{text:?} has no value"))?;
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let words = shell_words::split(text).map_err(|error| error.to_string())?;
    let pair = |word: String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{word:?} is not KEY=VALUE")),
    };
    words.into_iter().map(pair).collect()
}

fn push_new(list: &mut Vec<String>, item: String) {
    // Sorted, as they are read back.
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(changes: &[&str], expected: &str) {
        let mut config = ImageConfig::default();
        for change in changes {
            config.apply_change(change).unwrap();
        }
        assert_eq!(config.to_section().to_string(), expected);
        let file = ConfigFile::parse(format!("{{\"config\":{expected}}}").as_bytes()).unwrap();
        assert_eq!(file.image_config(), config, "it is read as it was written");
    }

    #[test]
    fn changes_are_lines_of_a_dockerfile() {
        check(&["CMD redis-server --save ''"], r#"{"Cmd":["/bin/sh","-c","redis-server --save ''"]}"#);
        check(&[r#"entrypoint ["a", "b c"]"#], r#"{"Entrypoint":["a","b c"]}"#);
        check(&["ENV A=1 B='x y'", "ENV A two words"], r#"{"Env":["A=two words","B=x y"]}"#);
        check(&["EXPOSE 80 53/udp", "EXPOSE 80/tcp"], r#"{"ExposedPorts":{"53/udp":{},"80/tcp":{}}}"#);
        check(&["VOLUME /data", r#"VOLUME ["/logs"]"#], r#"{"Volumes":{"/data":{},"/logs":{}}}"#);
        check(&["WORKDIR /srv", "WORKDIR app", "USER 7:8"], r#"{"User":"7:8","WorkingDir":"/srv/app"}"#);
        check(
            &[r#"LABEL a="b c" d=e"#, "STOPSIGNAL SIGQUIT"],
            r#"{"Labels":{"a":"b c","d":"e"},"StopSignal":"SIGQUIT"}"#,
        );
        check(
            &["HEALTHCHECK --interval=1m30s --retries=2 CMD redis-cli ping"],
            r#"{"Healthcheck":{"Test":["CMD-SHELL","redis-cli ping"],"Interval":90000000000,"Retries":2}}"#,
        );
        check(&["HEALTHCHECK NONE"], r#"{"Healthcheck":{"Test":["NONE"]}}"#);
    }

    #[test]
    fn wrong_changes_are_explained() {
        let error = |change: &str| ImageConfig::default().apply_change(change).unwrap_err().to_string();
        assert_eq!(error("EXPOSE x"), "the change \"EXPOSE x\" is not understood: \"x\" is no port");
        assert_eq!(error("USER"), "the change \"USER\" is not understood: nothing follows USER");
        assert!(error("RUN make").contains("it begins with none of CMD"));
        assert!(error("HEALTHCHECK --interval=1m").contains("no CMD or NONE follows"));
    }

    #[test]
    fn nulls_and_unknown_keys_of_old_images_are_read() {
        let text = r#"{"architecture":"amd64","os":"linux","created":"2024-05-06T07:08:09.123456789Z","rootfs":
            {"type":"layers","diff_ids":[]},"config":{"Env":null,"Cmd":null,"ExposedPorts":null,"OnBuild":[],"Labels":null,
            "WorkingDir":"","Image":"x"}}"#;
        let file = ConfigFile::parse(text.as_bytes()).unwrap();
        assert_eq!(file.image_config(), ImageConfig::default());
        assert_eq!(file.created(), Some(1714979289));
        assert!(ConfigFile::parse(br#"{"config":null}"#).is_ok());
        assert!(ConfigFile::parse(br#"{"config":7}"#).is_err());
    }
}

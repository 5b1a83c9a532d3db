//! An image's configuration: what the image says about how it wants to be run.

use std::path::Path;

use serde::Deserialize;

use super::ImageError;
use crate::ids::Digest;
use crate::spec::{ImageConfig, ImageHealthcheck, null_is_default};

/// The configuration blob, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigFile {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) architecture: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) os: String,
    pub(super) variant: Option<String>,
    pub(super) created: Option<String>,
    pub(super) rootfs: RootFs,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) config: ImageConfig,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RootFs {
    pub(super) diff_ids: Vec<Digest>,
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
}

/// Makes a change written as a line of a Dockerfile, as `docker import --change` has it.
pub(super) fn apply_change(config: &mut ImageConfig, change: &str) -> Result<(), ImageError> {
    let failed = |reason: String| ImageError::Change { change: change.to_owned(), reason };
    let (keyword, rest) = change.trim().split_once(char::is_whitespace).unwrap_or((change.trim(), ""));
    let rest = rest.trim();
    let keyword = keyword.to_ascii_uppercase();
    if rest.is_empty() && !matches!(keyword.as_str(), "CMD" | "ENTRYPOINT") {
        return Err(failed(format!("nothing follows {keyword}")));
    }
    match keyword.as_str() {
        "CMD" => config.cmd = command(config, rest),
        "ENTRYPOINT" => config.entrypoint = command(config, rest),
        "ENV" => {
            for (key, value) in pairs(rest).map_err(failed)? {
                let entry = format!("{key}={value}");
                match config.env.iter_mut().find(|old| old.split('=').next() == Some(&key)) {
                    Some(old) => *old = entry,
                    None => config.env.push(entry),
                }
            }
        }
        "LABEL" => config.labels.extend(pairs(rest).map_err(failed)?),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                if number.parse::<u16>().is_err() || !matches!(protocol, "tcp" | "udp" | "sctp") {
                    return Err(failed(format!("{port:?} is no port")));
                }
                config.exposed_ports.insert(format!("{number}/{protocol}"));
            }
        }
        "VOLUME" => {
            let paths = match serde_json::from_str::<Vec<String>>(rest) {
                Ok(paths) => paths,
                Err(_) => shell_words::split(rest).map_err(|error| failed(error.to_string()))?,
            };
            config.volumes.extend(paths);
        }
        "WORKDIR" => {
            let at = Path::new("/").join(&config.working_dir).join(rest);
            config.working_dir = at.display().to_string();
        }
        "USER" => config.user = rest.to_owned(),
        "STOPSIGNAL" => config.stop_signal = rest.to_owned(),
        "SHELL" => {
            config.shell = serde_json::from_str(rest).map_err(|_| failed("SHELL takes a JSON list".to_owned()))?;
        }
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest).map_err(failed)?),
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
fn command(config: &ImageConfig, text: &str) -> Vec<String> {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => words,
        Err(_) if text.is_empty() => Vec::new(),
        Err(_) => {
            let usual = ["/bin/sh".to_owned(), "-c".to_owned()];
            let shell = if config.shell.is_empty() { usual.as_slice() } else { &config.shell };
            shell.iter().cloned().chain([text.to_owned()]).collect()
        }
    }
}

fn healthcheck(text: &str) -> Result<ImageHealthcheck, String> {
    let mut check = ImageHealthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).ok_or("no CMD or NONE follows")?;
        let (key, value) = option.split_once('=').ok_or_else(|| format!("--{option} has no value"))?;
        let nanoseconds = || {
            let span: jiff::SignedDuration = value.parse().map_err(|_| format!("{value:?} is no duration"))?;
            u64::try_from(span.as_nanos()).map_err(|_| format!("{value:?} is negative or too long"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(changes: &[&str], expected: &str) {
        let mut config = ImageConfig::default();
        for change in changes {
            apply_change(&mut config, change).unwrap();
        }
        assert_eq!(serde_json::to_string(&config).unwrap(), expected);
        let file = ConfigFile::parse(format!("{{\"config\":{expected}}}").as_bytes()).unwrap();
        assert_eq!(file.config, config, "it is read as it was written");
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
        let error = |change: &str| apply_change(&mut ImageConfig::default(), change).unwrap_err().to_string();
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
        assert_eq!(file.config, ImageConfig::default());
        assert_eq!(file.created(), Some(1714979289));
        assert!(ConfigFile::parse(br#"{"config":null}"#).is_ok());
        assert!(ConfigFile::parse(br#"{"config":7}"#).is_err());
    }
}

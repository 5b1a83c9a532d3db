//! How a service starts, is probed, logs and gets its image.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::units::{UnitError, duration};
use crate::compose::units;

attributes! {
    /// One `depends_on` entry.
    pub struct Dependency {
        /// What must be true of it.
        pub condition: Condition,
        /// Without it the service cannot start; false only warns.
        pub required: bool,
        /// The service follows when the dependency is restarted by a command.
        pub restart: bool,
    }

    /// `healthcheck`: a program that tells from time to time whether the container is well. What
    /// is absent is the image's, and where the image says nothing either, the default.
    pub struct Healthcheck {
        /// What is run; `None` takes the image's. `disable: true` is [`HealthTest::None`].
        pub test: Option<HealthTest>,
        /// Time from the end of one probe to the next; 30 s when absent.
        #[serde(with = "duration")]
        pub interval: Option<Duration>,
        /// A probe that takes longer has failed; 30 s when absent.
        #[serde(with = "duration")]
        pub timeout: Option<Duration>,
        /// Failures in a row that make it unhealthy; 3 when absent.
        pub retries: Option<u32>,
        /// Time after the start in which failures do not count; 0 when absent.
        #[serde(with = "duration")]
        pub start_period: Option<Duration>,
        /// Time between probes within the start period; 5 s when absent.
        #[serde(with = "duration")]
        pub start_interval: Option<Duration>,
    }

    /// One `env_file` entry. Its variables are in [`Service::environment`](super::Service::environment) already.
    pub struct EnvFile {
        /// The file, absolute.
        pub path: PathBuf,
        /// It must be there.
        pub required: bool,
        /// How it is read; the rules of `.env` files when absent.
        pub format: Option<EnvFileFormat>,
    }

    /// `logging`: where output goes (spec row `svc-logging`).
    pub struct Logging {
        /// `json-file`, `local`, `none`, `journald`, ...; `json-file` when absent.
        pub driver: Option<String>,
        /// Settings of the driver: `max-size`, `max-file`, `tag`, ...
        pub options: IndexMap<String, String>,
    }

    /// `provider`: a program that runs the service in place of containers (spec row `svc-provider`).
    pub struct Provider {
        /// `type`: name of the program, searched for in `PATH`.
        pub kind: String,
        /// Each is passed as `--KEY=VALUE`, once a value.
        pub options: IndexMap<String, Vec<String>>,
    }

    /// `credential_spec`: a managed service account of Windows; one of the three. Nothing here
    /// can act on it.
    pub struct CredentialSpec {
        /// Key of a config that holds it.
        pub config: Option<String>,
        /// File that holds it, as written.
        pub file: Option<String>,
        /// Name in the registry of the Windows host.
        pub registry: Option<String>,
    }
}

/// What a dependent waits for (spec rows `service-depends_on-*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its process runs.
    #[default]
    ServiceStarted,
    /// Its healthcheck succeeded.
    ServiceHealthy,
    /// It ended with exit status 0.
    ServiceCompletedSuccessfully,
}

/// What a healthcheck runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthTest {
    /// `NONE` or `disable: true`: the image's check is off too.
    None,
    /// `CMD`: an argument list.
    Exec(Vec<String>),
    /// `CMD-SHELL`: a line for the container's `/bin/sh -c`.
    Shell(String),
}

/// How the lines of an `env_file` are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvFileFormat {
    /// What stands behind the `=` is the value, quotes and `$` too.
    Raw,
}

/// One entry of `ulimits`; -1 is unlimited. One number in the file is both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The limit in force; a process may raise it up to the hard one.
    pub soft: i64,
    /// The most that the soft limit may be raised to.
    pub hard: i64,
}

/// `pull_policy`: when an image is fetched (spec row `svc-pull-policy`). Shown as in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// Each time.
    Always,
    /// Never.
    Never,
    /// It is built, not fetched.
    Build,
    /// When it was fetched longer ago than `pull_refresh_after`.
    Refresh,
    /// `daily`, `weekly`, `every_12h`: when it was fetched longer ago than that.
    Every(Duration),
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl fmt::Display for PullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Always => "always",
            Self::Never => "never",
            Self::Build => "build",
            Self::Refresh => "refresh",
            Self::Every(age) if *age == DAY => "daily",
            Self::Every(age) if *age == DAY * 7 => "weekly",
            Self::Every(age) => return write!(f, "every_{}", units::duration_text(*age)),
        })
    }
}

impl FromStr for PullPolicy {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        Ok(match text {
            "missing" | "if_not_present" => Self::Missing,
            "always" => Self::Always,
            "never" => Self::Never,
            "build" => Self::Build,
            "refresh" => Self::Refresh,
            "daily" => Self::Every(DAY),
            "weekly" => Self::Every(DAY * 7),
            _ => {
                let age = text.strip_prefix("every_").and_then(units::age);
                let what = "a pull policy: always, missing, never, build, daily, weekly or every_DURATION";
                Self::Every(age.ok_or_else(|| UnitError::new(text, what))?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policies() {
        let check = |text: &str, expected: &str| {
            let shown = text.parse::<PullPolicy>().map_or_else(|error| error.to_string(), |policy| policy.to_string());
            assert_eq!(shown, expected);
        };
        check("if_not_present", "missing");
        check("build", "build");
        check("daily", "daily");
        check("every_24h", "daily");
        check("weekly", "weekly");
        check("every_1d12h", "every_36h0m0s");
        check(
            "every_day",
            "\"every_day\" is not a pull policy: always, missing, never, build, daily, weekly or every_DURATION",
        );
    }
}

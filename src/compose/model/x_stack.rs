//! `x-stack`: this program's own attributes, one map on a service and one at the top of the file.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::units::UnitError;

attributes! {
    /// `x-stack` of a service. What the `x-stack` at the top of the file says is filled in already.
    pub struct XStack {
        /// How it is known that the service is ready. Where it is given and not [`Ready::None`], services
        /// that wait for this one to be started wait until it is ready.
        pub ready: Option<Ready>,
        /// What is done when files that its containers are made with change; nothing when absent.
        pub watch: Option<WatchMode>,
    }
}

/// How it is known that a container is ready: `auto`, `tcp:PORT`, `http:PORT/PATH`, `log:REGEX` or `none`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ready {
    /// Its healthcheck tells; without one, the protocol of a known server, else the first port that
    /// listens, else that it has run for a moment.
    Auto,
    /// A connection to this port is accepted.
    Tcp(u16),
    /// A GET request is answered with a status below 400.
    Http {
        /// The port.
        port: u16,
        /// What is asked for; begins with `/`.
        path: String,
    },
    /// A line of its output matches; a regular expression that compiles.
    Log(String),
    /// It is ready when its process runs.
    None,
}

impl Ready {
    /// What may be written, for messages.
    pub const FORMS: &'static str = "auto, tcp:PORT, http:PORT/PATH, log:REGEX or none";

    /// Returns the regular expression of a `log:` rule as it is to be searched for in a line.
    ///
    /// # Errors
    /// When it is none, or would take more than a megabyte.
    pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
        RegexBuilder::new(text).size_limit(1 << 20).build()
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Tcp(port) => write!(f, "tcp:{port}"),
            Self::Http { port, path } => write!(f, "http:{port}{path}"),
            Self::Log(pattern) => write!(f, "log:{pattern}"),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Ready {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let port = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|port| plain && *port > 0)
        };
        let wrong = |what| UnitError::new(text, what);
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "none" => Ok(Self::None),
            Some(("tcp", digits)) => {
                port(digits).map(Self::Tcp).ok_or_else(|| wrong("tcp:PORT with a port from 1 to 65535"))
            }
            Some(("http", rest)) => {
                let (digits, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
                let plain = path.bytes().all(|b| b.is_ascii_graphic());
                let port = port(digits).filter(|_| plain);
                port.map(|port| Self::Http { port, path: path.to_owned() })
                    .ok_or_else(|| wrong("http:PORT/PATH, as in http:8080/health, with a port from 1 to 65535"))
            }
            Some(("log", pattern)) if !pattern.is_empty() && Self::pattern(pattern).is_ok() => {
                Ok(Self::Log(pattern.to_owned()))
            }
            Some(("log", _)) => Err(wrong("log:REGEX with a regular expression")),
            _ => Err(wrong("a rule of readiness: auto, tcp:PORT, http:PORT/PATH, log:REGEX or none")),
        }
    }
}

/// What is done when the sources of a service's bind mounts or its env files change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchMode {
    /// Its containers are restarted.
    Restart,
}

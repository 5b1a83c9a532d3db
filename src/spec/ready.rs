//! When a container counts as ready, and what others wait for.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How it is known that a container is ready: `auto`, `tcp:PORT`, `http:PORT/PATH`, `log:REGEX` or `none`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Ready {
    /// Its healthcheck tells; without one, the protocol of a known server, else the first port that
    /// listens, else that it has run for a moment.
    #[default]
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
    type Err = NotReady;

    fn from_str(text: &str) -> Result<Self, NotReady> {
        let port = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|port| plain && *port > 0)
        };
        let wrong = |what| NotReady { text: text.to_owned(), what };
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

impl Serialize for Ready {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ready {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is no rule of readiness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct NotReady {
    /// What was written.
    pub text: String,
    /// What it should have been.
    pub what: &'static str,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// Its process runs, or ended well.
    Started,
    /// Its healthcheck succeeds.
    Healthy,
    /// It ended with status 0.
    Completed,
    /// It is ready by its rule ([`Ready`]), or ended with status 0.
    Ready,
}

impl Goal {
    /// Returns the goal as Compose files spell it; `ready` is not one of theirs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::Completed => "service_completed_successfully",
            Self::Ready => "ready",
        }
    }
}

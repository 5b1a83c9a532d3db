//! The one vocabulary of what happens: progress lines, JSON, the log and `events` all draw these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::crash::Card;
use crate::ids::{ContainerId, ProjectName};

/// Something that happened, as it crosses the socket (one JSON object a line).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A step of a running operation changed state; drawn as ` ✔ Container web-1  Started  0.1s`.
    Progress {
        /// What the step is about.
        resource: Resource,
        /// Its new state.
        status: Status,
        /// Details: bytes pulled, why it failed, who it waits for; empty for none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// Something the user should know that is no failure.
    Note {
        /// The sentence.
        message: String,
    },
    /// A container changed state (also outside any operation).
    Container {
        /// When, nanoseconds since 1970.
        time_ns: i64,
        /// Its project.
        project: ProjectName,
        /// Its service.
        service: String,
        /// Its name.
        name: String,
        /// Its id.
        id: ContainerId,
        /// What happened.
        action: Action,
        /// Its image and labels, without Compose's own.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        attributes: BTreeMap<String, String>,
    },
    /// Watching saw files change and acted on it, or could not.
    Watch {
        /// When, nanoseconds since 1970.
        time_ns: i64,
        /// The project.
        project: ProjectName,
        /// The service; empty for the project as a whole.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        service: String,
        /// What was done.
        done: Watched,
        /// Files that it was done for, the first few.
        paths: Vec<String>,
        /// How many there are.
        count: u64,
        /// Why it is not as it should be, a line each; empty for success.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failures: Vec<String>,
    },
    /// The operation ended; the last object of its stream.
    Done {
        /// Failures, in the order they happened; empty for success.
        errors: Vec<Failure>,
    },
}

impl Event {
    /// Returns when a container's event happened, nanoseconds since 1970; `None` for other events.
    pub fn time_ns(&self) -> Option<i64> {
        match self {
            Self::Container { time_ns, .. } => Some(*time_ns),
            _ => None,
        }
    }
}

/// What watching did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Watched {
    /// It begins; the files are those that are watched.
    Ready {
        /// Services that have rules.
        services: Vec<String>,
    },
    /// Files were written into the containers, or removed from them.
    Sync,
    /// The containers were restarted.
    Restart,
    /// A command was run in the containers.
    Exec {
        /// What was run.
        command: Vec<String>,
    },
    /// The project's own files changed, and the difference was applied.
    Reload,
    /// The files are not listened to any more: they change because of what is done about it.
    Loop,
    /// Files cannot be watched.
    Lost,
}

/// One thing that went wrong in an operation, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was being done to what, `start container "web-1"`; empty when nothing was begun.
    pub doing: String,
    /// Why it failed, the chain of causes joined by `: `.
    pub why: String,
    /// What to do; `None` when there is no advice.
    pub hint: Option<String>,
    /// What scripts tell failures of a command that waits (`--wait`) apart by.
    #[serde(default, skip_serializing_if = "FailureKind::is_other")]
    pub kind: FailureKind,
}

/// Which failure of a command that waits it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Another one, or the command does not wait.
    #[default]
    Other,
    /// A service failed.
    Service,
    /// The time was up (`--wait-timeout`).
    TimeOut,
}

impl FailureKind {
    fn is_other(&self) -> bool {
        *self == Self::Other
    }
}

impl std::fmt::Display for Failure {
    /// `start container "web-1": no such file`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.doing.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.doing, self.why) }
    }
}

/// What a progress line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Resource {
    /// An image being pulled.
    Image(String),
    /// A network.
    Network(String),
    /// A volume.
    Volume(String),
    /// A container.
    Container(String),
}

/// State of a step, in Compose's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the word that is shown")]
pub enum Status {
    Pulling,
    Pulled,
    Creating,
    Created,
    Recreating,
    Recreated,
    Updating,
    Updated,
    Starting,
    Started,
    Restarting,
    Running,
    Waiting,
    Healthy,
    Ready,
    Exited,
    Stopping,
    Stopped,
    Killing,
    Killed,
    Removing,
    Removed,
    Skipped,
    Error,
}

impl Status {
    /// Returns the word as Compose prints it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pulling => "Pulling",
            Self::Pulled => "Pulled",
            Self::Creating => "Creating",
            Self::Created => "Created",
            Self::Recreating => "Recreate",
            Self::Recreated => "Recreated",
            Self::Updating => "Updating",
            Self::Updated => "Updated",
            Self::Starting => "Starting",
            Self::Started => "Started",
            Self::Restarting => "Restarting",
            Self::Running => "Running",
            Self::Waiting => "Waiting",
            Self::Healthy => "Healthy",
            Self::Ready => "Ready",
            Self::Exited => "Exited",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Killing => "Killing",
            Self::Killed => "Killed",
            Self::Removing => "Removing",
            Self::Removed => "Removed",
            Self::Skipped => "Skipped",
            Self::Error => "Error",
        }
    }

    /// Tells whether the step goes on (a spinner) rather than having ended.
    pub fn ongoing(self) -> bool {
        matches!(
            self,
            Self::Pulling
                | Self::Creating
                | Self::Recreating
                | Self::Updating
                | Self::Starting
                | Self::Restarting
                | Self::Waiting
                | Self::Stopping
                | Self::Killing
                | Self::Removing
        )
    }
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Made, not started.
    Create,
    /// Its process runs.
    Start,
    /// The engine sent its first process a signal, for a user or a plan; SIGKILL goes to all of its processes.
    Kill {
        /// The signal's number.
        signal: i32,
    },
    /// The kernel ended one of its processes for want of memory.
    Oom,
    /// Its process ended.
    Die {
        /// Exit status; 128 and the signal's number when a signal ended it.
        exit_code: i32,
        /// The kernel ended it for want of memory.
        oom: bool,
        /// The engine starts it again after so many milliseconds.
        restart_in_ms: Option<u64>,
        /// How and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        card: Option<Box<Card>>,
    },
    /// The engine found a fault of it, or around it, and mends it.
    Heal {
        /// What is wrong.
        cause: String,
        /// What is done about it.
        remedy: String,
    },
    /// The user or a plan stopped it.
    Stop,
    /// Its health changed: `healthy`, `unhealthy`, `starting`.
    Health {
        /// The new state.
        status: String,
    },
    /// It is ready: told of containers whose healthcheck does not tell.
    Ready {
        /// What decided: `redis PING on 6379`, `port 80 listens`, `running`.
        rule: String,
    },
    /// Removed.
    Destroy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crosses_the_socket_is_as_its_schema_says() {
        let check = |event: Event| crate::schemas::check("event", &serde_json::to_value(event).unwrap());
        let resource = Resource::Container("web-1".to_owned());
        check(Event::Progress { resource, status: Status::Recreating, detail: "why".to_owned() });
        let resource = Resource::Image("redis".to_owned());
        check(Event::Progress { resource, status: Status::Pulled, detail: String::new() });
        check(Event::Note { message: "so it is".to_owned() });
        let failure = Failure { doing: String::new(), why: "no".to_owned(), hint: None, kind: FailureKind::Other };
        let timed_out = Failure { kind: FailureKind::TimeOut, ..failure.clone() };
        check(Event::Done { errors: vec![timed_out, Failure { kind: FailureKind::Service, ..failure.clone() }] });
        check(Event::Done { errors: vec![failure.clone(), Failure { hint: Some("try".to_owned()), ..failure }] });
        check(Event::Done { errors: Vec::new() });
        let death = crate::crash::Death { exit_code: 1, lines: vec!["so".to_owned()], ..Default::default() };
        let card = Box::new(crate::crash::card(&death));
        for done in [
            Watched::Ready { services: vec!["web".to_owned()] },
            Watched::Exec { command: vec!["make".to_owned()] },
            Watched::Loop,
        ] {
            check(Event::Watch {
                time_ns: 1,
                project: ProjectName::new("demo"),
                service: "web".to_owned(),
                done,
                paths: vec!["src/a".to_owned()],
                count: 1,
                failures: vec!["no".to_owned()],
            });
        }
        for action in [
            Action::Create,
            Action::Start,
            Action::Kill { signal: 15 },
            Action::Oom,
            Action::Heal { cause: "its check fails".to_owned(), remedy: "restart".to_owned() },
            Action::Die { exit_code: 137, oom: true, restart_in_ms: None, card: None },
            Action::Die { exit_code: 1, oom: false, restart_in_ms: Some(100), card: Some(card) },
            Action::Stop,
            Action::Health { status: "healthy".to_owned() },
            Action::Ready { rule: "HTTP on 80".to_owned() },
            Action::Destroy,
        ] {
            check(Event::Container {
                time_ns: 1,
                project: ProjectName::new("demo"),
                service: "web".to_owned(),
                name: "demo-web-1".to_owned(),
                id: ContainerId::from_bytes([7; 32]),
                action,
                attributes: BTreeMap::from([("image".to_owned(), "redis".to_owned())]),
            });
        }
    }
}

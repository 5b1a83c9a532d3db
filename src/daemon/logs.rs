//! `logs`: lines of several containers, by time; followed as they grow and as containers come.

use std::collections::HashSet;

use tokio::sync::mpsc;

use super::Daemon;
use crate::api::{ContainerSummary, LogLine, LogsRequest};
use crate::engine::logs::{self, Entry, Filter, Follower};
use crate::event::{Action, Event};
use crate::ids::ProjectName;

type Sink = mpsc::UnboundedSender<LogLine>;

/// Who wrote a line.
#[derive(Debug, Clone)]
struct Writer {
    container: String,
    service: String,
    number: u32,
}

impl Daemon {
    /// Sends the lines that the request asks for; returns when all are sent or the client has gone.
    pub(super) async fn logs(&self, request: LogsRequest, sink: Sink) {
        let project = ProjectName::new(request.project.as_str());
        // Subscribed before the list is read: no container falls between the two.
        let mut events = request.follow.then(|| self.subscribe(Some(project.clone())));
        let mut follower = match request.follow.then(Follower::new).transpose() {
            Ok(follower) => follower,
            Err(error) => {
                tracing::warn!(%error, "cannot follow logs");
                return;
            }
        };
        let filter = Filter { tail: request.tail, since_ns: request.since_ns, until_ns: request.until_ns };
        let mut known = HashSet::new();
        let mut lines = Vec::new();
        for container in self.summaries(Some(project)).await {
            let writer = Writer::of(container);
            if writer.is_wanted(&request) && known.insert(writer.container.clone()) {
                let path = self.parts.engine.log_path(&writer.container);
                let mut entries = logs::read(&path, filter);
                lines.extend(entries.by_ref().map(|entry| writer.line(entry)));
                if let Some(follower) = &mut follower
                    && let Err(error) = follower.add(writer, path, entries.position())
                {
                    tracing::warn!(%error, "cannot follow a log");
                }
            }
        }
        lines.sort_by_key(|line| line.time_ns);
        for line in lines {
            if sink.send(line).is_err() {
                return;
            }
        }
        let (Some(events), Some(follower)) = (&mut events, &mut follower) else { return };
        loop {
            tokio::select! {
                // All arms are cancel-safe: a level-triggered wait, a receive, a close.
                grown = follower.next() => match grown {
                    Ok((writer, entries)) => {
                        for entry in entries {
                            if request.until_ns.is_some_and(|until| entry.time_ns > until) {
                                return;
                            }
                            if sink.send(writer.line(entry)).is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot follow logs");
                        return;
                    }
                },
                Some(event) = events.recv() => {
                    let Some((writer, since_ns)) = self.appeared(event).await else { continue };
                    if writer.is_wanted(&request) && known.insert(writer.container.clone()) {
                        let path = self.parts.engine.log_path(&writer.container);
                        // The log may begin with the lines of an earlier container of this name.
                        let filter = Filter { since_ns: Some(since_ns), ..filter };
                        let mut entries = logs::read(&path, Filter { tail: None, ..filter });
                        for entry in entries.by_ref() {
                            if sink.send(writer.line(entry)).is_err() {
                                return;
                            }
                        }
                        let position = entries.position();
                        if let Err(error) = follower.add(writer, path, position) {
                            tracing::warn!(%error, "cannot follow a log");
                        }
                    }
                },
                () = sink.closed() => return,
            }
        }
    }

    /// Returns the writer that an event tells of, when it may be a new container, and since when.
    async fn appeared(&self, event: Event) -> Option<(Writer, i64)> {
        let Event::Container { action: Action::Create | Action::Start, project, name, time_ns, .. } = event else {
            return None;
        };
        let containers = self.summaries(Some(project)).await;
        containers.into_iter().find(|c| c.name == name).map(|c| (Writer::of(c), time_ns))
    }
}

impl Writer {
    fn of(container: ContainerSummary) -> Self {
        Self { container: container.name, service: container.service, number: container.number }
    }

    fn is_wanted(&self, request: &LogsRequest) -> bool {
        let service = request.services.is_empty() || request.services.iter().any(|s| s.as_str() == self.service);
        service && request.index.is_none_or(|index| index == self.number)
    }

    fn line(&self, entry: Entry) -> LogLine {
        LogLine {
            container: self.container.clone(),
            service: self.service.clone(),
            number: self.number,
            stream: entry.stream.name().to_owned(),
            time_ns: entry.time_ns,
            text: entry.text,
        }
    }
}

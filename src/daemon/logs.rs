//! `logs`: lines of several containers, by time; followed as they grow and as containers come.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use tokio::sync::mpsc;

use super::Daemon;
use crate::api::{ContainerSummary, LogLine, LogsRequest};
use crate::engine::logs::{self, Entry, Filter, Follower};
use crate::event::{Action, Event};
use crate::ids::ProjectName;

type Sink = mpsc::Sender<LogLine>;

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
        let mut logs = Vec::new();
        let mut last_ns = super::now_ns();
        for container in self.summaries(Some(project.clone())).await {
            let writer = Writer::of(container);
            if writer.is_wanted(&request) && known.insert(writer.container.clone()) {
                let path = self.parts.engine.log_path(&writer.container);
                logs.push((writer, logs::read(&path, filter)));
            }
        }
        let mut merged = Merged::new(logs);
        while let Some(line) = merged.next() {
            // A reader that does not keep up holds the reading up, not the daemon's memory.
            if sink.send(line).await.is_err() {
                return;
            }
        }
        let (Some(events), Some(follower)) = (&mut events, &mut follower) else { return };
        for (writer, entries) in merged.logs {
            let path = self.parts.engine.log_path(&writer.container);
            if let Err(error) = follower.add(writer, path, entries.position()) {
                tracing::warn!(%error, "cannot follow a log");
            }
        }
        let mut ended = request.until_all_ended && self.all_ended(&request).await;
        loop {
            if ended {
                // A container's end is told when its last line is in the file.
                let rest: Vec<_> = follower.rest().collect();
                for (writer, entries) in rest {
                    for entry in entries {
                        if sink.send(writer.line(entry)).await.is_err() {
                            return;
                        }
                    }
                }
                // So is a death that was told since this reader came.
                while let Ok(event) = events.try_recv() {
                    if let Some(card) = crash_of(&event, &request)
                        && sink.send(card).await.is_err()
                    {
                        return;
                    }
                }
                return;
            }
            tokio::select! {
                // All arms are cancel-safe: a level-triggered wait, a receive, a close.
                grown = follower.next() => match grown {
                    Ok((writer, entries)) => {
                        for entry in entries {
                            if request.until_ns.is_some_and(|until| entry.time_ns > until) {
                                return;
                            }
                            if sink.send(writer.line(entry)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot follow logs");
                        return;
                    }
                },
                event = events.recv() => {
                    let appeared = match event {
                        Some(event) => {
                            if let Some(card) = crash_of(&event, &request) {
                                // Its last line is in the file before its end is told.
                                let rest: Vec<_> = follower.rest().collect();
                                let lines = rest.into_iter().flat_map(|(writer, entries)| {
                                    entries.into_iter().map(move |entry| writer.line(entry)).collect::<Vec<_>>()
                                });
                                for line in lines.chain([card]) {
                                    if sink.send(line).await.is_err() {
                                        return;
                                    }
                                }
                            }
                            last_ns = event.time_ns().unwrap_or(last_ns);
                            ended = request.until_all_ended && is_an_end(&event) && self.all_ended(&request).await;
                            self.appeared(event).await.into_iter().collect()
                        }
                        None => {
                            // Let go while the client did not read: whatever appeared meanwhile is there now.
                            *events = self.subscribe(Some(project.clone()));
                            let all = self.summaries(Some(project.clone())).await.into_iter().map(Writer::of);
                            ended = request.until_all_ended && self.all_ended(&request).await;
                            all.map(|writer| (writer, last_ns)).collect::<Vec<_>>()
                        }
                    };
                    for (writer, since_ns) in appeared {
                        if !writer.is_wanted(&request) || !known.insert(writer.container.clone()) {
                            continue;
                        }
                        let path = self.parts.engine.log_path(&writer.container);
                        // The log may begin with the lines of an earlier container of this name.
                        let filter = Filter { since_ns: Some(since_ns), ..filter };
                        let mut entries = logs::read(&path, Filter { tail: None, ..filter });
                        for entry in entries.by_ref() {
                            if sink.send(writer.line(entry)).await.is_err() {
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

    /// Tells whether nothing writes to these logs any more.
    async fn all_ended(&self, request: &LogsRequest) -> bool {
        let containers = self.summaries(Some(ProjectName::new(request.project.as_str()))).await;
        // One whose death is not told yet may have something to say. Asked last: what was told by
        // then has been received.
        let untold = self.read(|state| state.untold()).await;
        let mut wanted = containers.into_iter().filter(|c| Writer::of(c.clone()).is_wanted(request));
        wanted.all(|container| matches!(container.state.as_str(), "exited" | "dead") && !untold.contains(&container.id))
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

/// Returns the card of a container that died unexpectedly, in the place of a line.
fn crash_of(event: &Event, request: &LogsRequest) -> Option<LogLine> {
    let Event::Container { action: Action::Die { card: Some(card), .. }, time_ns, service, name, .. } = event else {
        return None;
    };
    let wanted = request.services.is_empty() || request.services.iter().any(|s| s.as_str() == service);
    (card.is_crash() && wanted && request.index.is_none()).then(|| LogLine {
        container: name.clone(),
        service: service.clone(),
        number: 1,
        stream: "stderr".to_owned(),
        time_ns: *time_ns,
        text: String::new(),
        card: Some(card.clone()),
    })
}

/// Tells whether a container has ended or is gone.
fn is_an_end(event: &Event) -> bool {
    matches!(
        event,
        Event::Container { action: Action::Die { restart_in_ms: None, .. } | Action::Stop | Action::Destroy, .. }
    )
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
            card: None,
        }
    }
}

/// Lines of several logs by time, read as they are wanted.
struct Merged<I> {
    logs: Vec<(Writer, I)>,
    /// The next line of each log, by time and place in `logs`.
    heads: Vec<Option<Entry>>,
    order: BinaryHeap<Reverse<(i64, usize)>>,
}

impl<I: Iterator<Item = Entry>> Merged<I> {
    fn new(logs: Vec<(Writer, I)>) -> Self {
        let heads = logs.iter().map(|_| None).collect();
        let mut merged = Self { logs, heads, order: BinaryHeap::new() };
        (0..merged.logs.len()).for_each(|log| merged.advance(log));
        merged
    }

    fn advance(&mut self, log: usize) {
        self.heads[log] = self.logs[log].1.next();
        if let Some(entry) = &self.heads[log] {
            self.order.push(Reverse((entry.time_ns, log)));
        }
    }

    fn next(&mut self) -> Option<LogLine> {
        let Reverse((_, log)) = self.order.pop()?;
        let line = self.heads[log].take().map(|entry| self.logs[log].0.line(entry));
        self.advance(log);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::logs::Stream;

    #[test]
    fn lines_of_several_containers_come_by_time() {
        let log = |name: &str, times: &[i64]| {
            let writer = Writer { container: name.to_owned(), service: name.to_owned(), number: 1 };
            let entry = |&time_ns: &i64| Entry { stream: Stream::Stdout, time_ns, text: time_ns.to_string() };
            (writer, times.iter().map(entry).collect::<Vec<_>>().into_iter())
        };
        let mut merged = Merged::new(vec![log("a", &[1, 4, 4]), log("b", &[]), log("c", &[2, 3, 4, 9])]);
        let lines: Vec<_> =
            std::iter::from_fn(|| merged.next()).map(|l| format!("{}{}", l.container, l.text)).collect();
        assert_eq!(lines, ["a1", "c2", "c3", "a4", "a4", "c4", "c9"]);
    }
}

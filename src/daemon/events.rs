//! The stream of a project's events: what is kept, then what happens. A reader that stands still
//! for a while is told what it missed from the history, not cut off.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Daemon, history};
use crate::event::Event;
use crate::ids::ProjectName;

/// Events that wait for a reader at most.
const WAITING: usize = 4096;

impl Daemon {
    /// Returns container events of a project after `since_ns`, the kept ones first, up to `until_ns`
    /// or without end.
    pub(super) fn events(
        self: &Arc<Self>,
        project: ProjectName,
        since_ns: Option<i64>,
        until_ns: Option<i64>,
    ) -> mpsc::Receiver<Event> {
        let (sink, receiver) = mpsc::channel(WAITING);
        let live = self.subscribe(Some(project.clone()));
        let told =
            Told { last_ns: since_ns.unwrap_or_else(super::now_ns), until_ns: until_ns.unwrap_or(i64::MAX), sink };
        let origin = ProjectEvents { daemon: Arc::clone(self), project };
        let kept = since_ns.is_some() || until_ns.is_some();
        tokio::spawn(async move {
            origin.in_force().await;
            told.run(live, kept, &origin).await;
        });
        receiver
    }

    /// Returns container events from now on.
    pub(super) fn subscribe(&self, project: Option<ProjectName>) -> mpsc::Receiver<Event> {
        let (sink, receiver) = mpsc::channel(WAITING);
        self.send(super::state::Input::Subscribe { project, sink });
        receiver
    }
}

/// Where events come from.
trait Origin {
    /// Returns what happens from now on; ends when it is not read for long.
    async fn subscribe(&self) -> mpsc::Receiver<Event>;
    /// Returns what is kept of a time, oldest first.
    async fn kept(&self, since_ns: i64, until_ns: i64) -> Vec<Event>;
}

struct ProjectEvents {
    daemon: Arc<Daemon>,
    project: ProjectName,
}

impl ProjectEvents {
    /// Waits until a subscription is in force: what happened before is in the history by then.
    async fn in_force(&self) {
        self.daemon.read(|_| {}).await;
    }
}

impl Origin for ProjectEvents {
    async fn subscribe(&self) -> mpsc::Receiver<Event> {
        let live = self.daemon.subscribe(Some(self.project.clone()));
        self.in_force().await;
        live
    }

    async fn kept(&self, since_ns: i64, until_ns: i64) -> Vec<Event> {
        let (root, project) = (self.daemon.parts.paths.root.clone(), self.project.clone());
        let read = move || history::read(&root, &project, since_ns, until_ns);
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }
}

/// What a reader was told.
struct Told {
    /// Time of the last event.
    last_ns: i64,
    /// Later ones are not wanted.
    until_ns: i64,
    sink: mpsc::Sender<Event>,
}

impl Told {
    /// Tells what happens, and before it what is kept where that is wanted or was missed.
    async fn run(mut self, mut live: mpsc::Receiver<Event>, mut kept: bool, origin: &impl Origin) {
        let left = u64::try_from(self.until_ns.saturating_sub(super::now_ns())).unwrap_or(0);
        let end = tokio::time::sleep(Duration::from_nanos(left));
        tokio::pin!(end);
        loop {
            if kept {
                for event in origin.kept(self.last_ns, self.until_ns).await {
                    if !self.tell(event).await {
                        return;
                    }
                }
            }
            loop {
                let event = tokio::select! {
                    // All arms are cancel-safe: a close, a receive, a deadline. What came before
                    // the deadline goes before it.
                    biased;
                    () = self.sink.closed() => return,
                    event = live.recv() => event,
                    () = &mut end => return,
                };
                let Some(event) = event else { break };
                if !self.tell(event).await {
                    return;
                }
            }
            live = origin.subscribe().await;
            kept = true;
        }
    }

    /// Tells an event unless it was told; returns whether more are wanted.
    async fn tell(&mut self, event: Event) -> bool {
        let Some(time_ns) = event.time_ns().filter(|time| *time > self.last_ns) else { return true };
        self.last_ns = time_ns;
        time_ns <= self.until_ns && self.sink.send(event).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::announce::Announcer;
    use super::super::fixture;
    use super::super::history::History;
    use super::*;
    use crate::event::Action;

    /// An announcer that keeps what happens below a folder.
    struct Happening {
        announcer: RefCell<Announcer>,
        folder: tempfile::TempDir,
    }

    impl Happening {
        fn begin() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { announcer: RefCell::new(Announcer::new(History::open(folder.path()))), folder }
        }

        fn happens(&self, times: usize) {
            for _ in 0..times {
                self.announcer.borrow_mut().announce(&Arc::new(fixture::container()), Action::Start);
            }
        }
    }

    impl Origin for Happening {
        async fn subscribe(&self) -> mpsc::Receiver<Event> {
            let (sink, live) = mpsc::channel(4);
            self.announcer.borrow_mut().subscribe(Some("app".into()), sink);
            live
        }

        async fn kept(&self, since_ns: i64, until_ns: i64) -> Vec<Event> {
            history::read(self.folder.path(), &"app".into(), since_ns, until_ns)
        }
    }

    #[tokio::test]
    async fn a_reader_that_stood_still_is_told_what_it_missed() {
        let happening = Happening::begin();
        happening.happens(2);
        let (sink, mut reader) = mpsc::channel(1);
        let live = happening.subscribe().await;
        let before = happening.kept(0, i64::MAX).await;
        let told = Told { last_ns: before[1].time_ns().unwrap(), until_ns: i64::MAX, sink };
        let telling = told.run(live, false, &happening);
        let reading = async {
            // Many more than anybody waits for.
            happening.happens(50);
            let mut times = Vec::new();
            for n in 0..60 {
                times.extend(reader.recv().await.unwrap().time_ns());
                if n == 30 {
                    happening.happens(10);
                }
            }
            assert!(times.is_sorted_by(|a, b| a < b), "each once, in order");
            drop(reader);
        };
        tokio::join!(telling, reading);
    }
}

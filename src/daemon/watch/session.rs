//! One watched project: what the kernel tells becomes batches, batches become reactions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Order;
use super::act::{Done, Hands};
use super::record::{self, Journal, Record};
use crate::compose::model::Project;
use crate::daemon::Daemon;
use crate::daemon::http::Sink;
use crate::daemon::operations::failure;
use crate::daemon::presence::Reason;
use crate::event::{Action, Event, Failure, Watched};
use crate::ids::ServiceName;
use crate::watch::debounce::{Debounce, Dirty};
use crate::watch::disk::{self, Disk, News, Told, Watches};
use crate::watch::guard::{Guard, ROUNDS};
use crate::watch::lanes::{Containers, Lanes};
use crate::watch::rules::{Host as _, Rules};
use crate::watch::touched::Touched;
use crate::watch::tree::{Kind, Stamp, Tree};

/// In the place of a rule's number: the project's own files.
pub(super) const SOURCES: usize = usize::MAX;

/// With more paths than these, the memory that looking at them took is given back.
const MANY: usize = 10_000;

/// A project that is watched.
pub(super) struct Session {
    pub(super) hands: Hands,
    pub(super) record: Record,
    pub(super) rules: Rules,
    /// How often the rules were others: what is done by rules of another number of it is not theirs.
    pub(super) generation: u64,
    /// The files as they were last acted on.
    pub(super) tree: Tree,
    /// Paths that changed since watching began: what a new container lacks.
    pub(super) touched: Touched,
    pub(super) guard: Guard,
    /// What is done, and what is done next.
    pub(super) lanes: Lanes,
    pub(super) work: JoinSet<Done>,
    /// Held by whoever changes the files of a service's containers, or the containers.
    pub(super) files: HashMap<ServiceName, Arc<tokio::sync::Mutex<()>>>,
    /// The project is read anew now; what changed meanwhile has that done once more.
    pub(super) reloads: bool,
    pub(super) reread: BTreeSet<PathBuf>,
    /// The project's own files as they were when they were last read.
    sources: BTreeMap<PathBuf, Option<Stamp>>,
    journal: Journal,
    watches: Watches,
    news: News,
    events: mpsc::Receiver<Event>,
    debounce: Debounce,
    began: Instant,
    /// Keeps the daemon while there is somebody to act on.
    reason: Option<Reason>,
    /// What differs since before this session began.
    missed: Vec<PathBuf>,
    /// When everything is compared again because looking failed, and after which pause.
    again: Option<(Instant, Duration)>,
    /// Services whose files changed while no container of theirs ran.
    pub(super) behind: HashSet<ServiceName>,
}

/// What looking found: what differs, and what could not be looked at.
type Looked = (Vec<PathBuf>, Vec<io::Error>);

/// Looks at each, whatever fails.
fn each<T>(of: impl IntoIterator<Item = T>, mut look: impl FnMut(T) -> io::Result<Vec<PathBuf>>) -> Looked {
    let mut changed = BTreeSet::new();
    let mut errors = Vec::new();
    for one in of {
        match look(one) {
            Ok(found) => changed.extend(found),
            Err(error) => errors.push(error),
        }
    }
    (changed.into_iter().collect(), errors)
}

/// Returns what was found, or the first error.
fn all((changed, errors): Looked) -> io::Result<Vec<PathBuf>> {
    errors.into_iter().next().map_or(Ok(changed), Err)
}

impl Session {
    /// Begins to watch; what changes from now on is not missed. With `resume` it goes on from what
    /// an earlier daemon left.
    pub(super) fn begin(
        daemon: Arc<Daemon>,
        record: Record,
        project: &Project,
        resume: bool,
        sink: Option<Sink>,
        ends: watch::Receiver<bool>,
    ) -> Result<Self, Vec<Failure>> {
        let rules = rules(project, &record.services)?;
        let failed = |error: io::Error| vec![failure("watch files", error.to_string())];
        let (watches, news) = Watches::new().map_err(failed)?;
        let paths = daemon.parts.paths.clone();
        let (tree, touched) = resume.then(|| record::read(&paths, &record.project)).flatten().unwrap_or_default();
        let known = !tree.is_empty();
        let mut session = Self {
            journal: Journal::begin(&paths, &record.project, &tree, &touched).map_err(failed)?,
            events: daemon.subscribe(Some(record.project.clone())),
            reason: Some(daemon.presence.hold()),
            hands: Hands { daemon, project: record.project.clone(), sink, ends },
            sources: BTreeMap::new(),
            record,
            rules,
            generation: 0,
            tree,
            touched,
            guard: Guard::default(),
            lanes: Lanes::default(),
            work: JoinSet::new(),
            files: HashMap::new(),
            reloads: false,
            reread: BTreeSet::new(),
            watches,
            news,
            debounce: Debounce::default(),
            began: Instant::now(),
            missed: Vec::new(),
            again: None,
            behind: HashSet::new(),
        };
        let changed = all(session.look_at_all()).map_err(failed)?;
        if known {
            session.missed = changed;
        }
        session.watch_sources().map_err(failed)?;
        session.journal =
            Journal::begin(&paths, &session.record.project, &session.tree, &session.touched).map_err(failed)?;
        session.record.write(&paths).map_err(failed)?;
        session.say_ready();
        Ok(session)
    }

    /// Has done what is due when watching begins: first copies, and what changed while nobody looked.
    fn catch_up(&mut self) {
        let missed = std::mem::take(&mut self.missed);
        self.act(missed);
        for service in self.services() {
            self.lanes.complete(service, Containers::All);
        }
        self.proceed();
    }

    /// Runs until it is told to end; returns whom to tell that it has. `copied` is told when the first
    /// copies are there.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        copied: &mut Option<oneshot::Sender<Result<(), Vec<Failure>>>>,
    ) -> Option<oneshot::Sender<()>> {
        self.catch_up();
        loop {
            if self.lanes.all_copied()
                && let Some(copied) = copied.take()
            {
                let _ = copied.send(Ok(())); // nobody waits any more
            }
            let due = self.debounce.due().map(|due| self.began + due);
            let again = self.again.map(|(at, _)| at);
            let news = self.news.clone();
            tokio::select! {
                // All arms are cancel-safe: receives, and deadlines that are computed anew.
                order = orders.recv() => match order {
                    Some(Order::Project(project)) => self.follow(&project, None),
                    Some(Order::Rewatch(request)) => self.follow(&request.project, Some((request.sources, request.read_ns))),
                    Some(Order::End(ended)) => {
                        self.end().await;
                        return Some(ended);
                    }
                    None => return None,
                },
                told = news.next() => self.take(told),
                event = self.events.recv() => self.container(event).await,
                Some(done) = self.work.join_next() => self.done(done),
                () = at(again) => self.batch(&Dirty { everything: true, ..Dirty::default() }),
                () = at(due) => {
                    // What the kernel has told by now belongs to the batch.
                    self.take(news.take());
                    if let Some(dirty) = self.debounce.take(self.now()) {
                        self.batch(&dirty);
                    }
                }
            }
        }
    }

    /// Lets what is being done come to an end: copies stop after a file, commands are not waited for, a restart is not
    /// left half-way.
    async fn end(&mut self) {
        while self.work.join_next().await.is_some() {}
    }

    /// Time since watching began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn say_ready(&self) {
        for note in &self.rules.notes {
            self.hands.note(note.clone());
        }
        let services = self.services().iter().map(ToString::to_string).collect();
        let files = self.tree.iter().filter(|(_, stamp)| stamp.kind != Kind::Folder).count();
        self.hands.tell("", Watched::Ready { services }, Vec::new(), files, Vec::new());
    }

    /// Services that have rules.
    fn services(&self) -> BTreeSet<ServiceName> {
        self.rules.rules.iter().map(|rule| rule.service.clone()).collect()
    }

    /// Takes what the kernel told.
    fn take(&mut self, told: Told) {
        let now = self.now();
        if told.lost {
            self.debounce.lost(now);
        }
        for path in told.changed {
            if self.concerns(&path) {
                self.debounce.changed(path, now);
            }
        }
        if let Some(why) = told.failed {
            self.hands.say("", Watched::Lost, &[], vec![why]);
        }
    }

    /// Tells whether a path is one that anything depends on: watched, or above what is.
    fn concerns(&self, path: &Path) -> bool {
        self.rules.wants(path)
            || self.rules.enters(path)
            || self.rules.rules.iter().any(|rule| rule.root.starts_with(path))
            || self.sources.keys().any(|source| source.starts_with(path))
    }

    /// Looks where something happened, and has done what follows from what differs.
    fn batch(&mut self, dirty: &Dirty) {
        let (changed, errors) = tokio::task::block_in_place(|| {
            if dirty.everything { self.look_at_all() } else { each(&dirty.paths, |path| self.look_at(path)) }
        });
        self.act(changed);
        self.again_later(dirty.everything, &errors);
        let reread: Vec<PathBuf> =
            self.sources.iter().filter(|(path, stamp)| disk::stamp(path) != **stamp).map(|(p, _)| p.clone()).collect();
        if !reread.is_empty() {
            for path in &reread {
                self.sources.insert(path.clone(), disk::stamp(path));
            }
            if let Err(error) = self.watch_parents(&reread) {
                self.hands.say("", Watched::Lost, &[], vec![error.to_string()]);
            }
            self.guard.heard(&reread, self.now());
            self.reread.extend(reread);
        }
        self.proceed();
    }

    /// Takes the project's own files that changed, without those that a service changes itself.
    pub(super) fn take_reread(&mut self) -> BTreeSet<PathBuf> {
        let mut reread = std::mem::take(&mut self.reread);
        let own = self.guard.suspects(SOURCES, &reread, self.now());
        if !own.is_empty() {
            let why = format!("changed {ROUNDS} times right after it was applied: a service writes it itself");
            self.hands.say("", Watched::Loop, &own, vec![why]);
        }
        reread.retain(|path| !self.guard.muted().contains(&(SOURCES, path.clone())));
        reread
    }

    /// Looks at everything that is watched.
    fn look_at_all(&mut self) -> Looked {
        let roots: BTreeSet<PathBuf> = self.rules.rules.iter().map(|rule| rule.root.clone()).collect();
        let (changed, errors) = each(&roots, |root| {
            self.watch_parents(std::slice::from_ref(root))?;
            self.look_below(root)
        });
        if changed.len() > MANY {
            crate::engine::give_memory_back();
        }
        // What no rule looks at any more is not gone.
        self.tree.retain(|path| roots.iter().any(|root| path.starts_with(root)));
        (changed, errors)
    }

    /// Looks at what a path that something happened to means for what is watched.
    fn look_at(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let roots: BTreeSet<PathBuf> =
            self.rules.rules.iter().map(|rule| rule.root.clone()).filter(|root| root.starts_with(path)).collect();
        if roots.is_empty() {
            return if self.rules.wants(path) || self.rules.enters(path) {
                self.look_below(path)
            } else {
                Ok(Vec::new())
            };
        }
        let mut changed = Vec::new();
        for root in roots {
            // It, or a folder above it, may have been made anew.
            self.watch_parents(std::slice::from_ref(&root))?;
            changed.extend(self.look_below(&root)?);
        }
        Ok(changed)
    }

    fn look_below(&mut self, at: &Path) -> io::Result<Vec<PathBuf>> {
        let (rules, watches) = (&self.rules, &mut self.watches);
        let mut found = disk::look(at, &|folder| rules.enters(folder), &mut |folder| watches.add(folder))?;
        found.retain(|(path, stamp)| stamp.kind == Kind::Folder || rules.wants(path));
        Ok(self.tree.update(at, found))
    }

    /// Watches the folders that paths are in, so that it is seen when they are replaced or made.
    fn watch_parents(&mut self, paths: &[PathBuf]) -> io::Result<()> {
        for path in paths {
            if let Some(folder) = path.ancestors().skip(1).find(|folder| folder.is_dir()) {
                self.watches.add(folder)?;
            }
        }
        Ok(())
    }

    /// Watches the project's own files; those that changed since they were read are read again.
    fn watch_sources(&mut self) -> io::Result<()> {
        /// A file system's clock is behind by a tick.
        const TICK_NS: i64 = 20_000_000;
        let Some(caller) = self.record.caller.clone() else { return Ok(()) };
        // A link and what it leads to: either may change.
        let both = caller.sources.into_iter().flat_map(|path| [Disk.real(&path), path]).collect::<BTreeSet<_>>();
        self.watch_parents(&both.iter().cloned().collect::<Vec<_>>())?;
        self.sources = both.into_iter().map(|path| (path.clone(), disk::stamp(&path))).collect();
        let now = self.now();
        for (path, stamp) in &mut self.sources {
            if stamp.is_some_and(|stamp| stamp.changed_ns > caller.read_ns - TICK_NS) {
                *stamp = None;
                self.debounce.changed(path.clone(), now);
            }
        }
        Ok(())
    }

    /// Follows another definition of the project.
    fn follow(&mut self, project: &Project, sources: Option<(Vec<PathBuf>, i64)>) {
        let rules = match rules(project, &self.record.services) {
            Ok(rules) => rules,
            Err(failures) => {
                // The rules that can be carried out go on.
                let failures = failures.iter().map(ToString::to_string).collect();
                return self.hands.say("", Watched::Reload, &[], failures);
            }
        };
        let before = std::mem::replace(&mut self.rules, rules);
        let texts = |rules: &Rules| rules.rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (now, old) = (texts(&self.rules), texts(&before));
        let differs = now != old;
        if differs {
            self.generation += 1;
            self.lanes.renumber(|rule| now.iter().position(|text| *text == old[rule]));
        }
        let (changed, errors) = tokio::task::block_in_place(|| self.look_at_all());
        if let Err(error) = self.remember(sources) {
            self.hands.say("", Watched::Lost, &[], vec![error.to_string()]);
        }
        // What only came into view has not changed.
        self.act(changed.into_iter().filter(|path| before.wants(path)).collect());
        self.again_later(true, &errors);
        if differs {
            // Containers are new to these rules.
            self.guard = Guard::default();
            self.say_ready();
            for service in self.services() {
                self.lanes.complete(service, Containers::All);
            }
        }
        self.proceed();
    }

    /// Writes down what is watched now, for a later daemon, and which files the project is made of.
    fn remember(&mut self, sources: Option<(Vec<PathBuf>, i64)>) -> io::Result<()> {
        let paths = &self.hands.daemon.parts.paths;
        self.journal = Journal::begin(paths, &self.record.project, &self.tree, &self.touched)?;
        if let (Some((sources, read_ns)), Some(caller)) = (sources, &mut self.record.caller) {
            (caller.sources, caller.read_ns) = (sources, read_ns);
            self.record.write(paths)?;
            self.watch_sources()?;
        }
        Ok(())
    }

    /// Tells what could not be looked at; everything is looked at again after a pause. `everything` was looked at now.
    fn again_later(&mut self, everything: bool, errors: &[io::Error]) {
        /// It is looked again after so long, and then after twice the pause each time.
        const AGAIN: Duration = Duration::from_secs(5);
        const SELDOM: Duration = Duration::from_secs(300);
        if !errors.is_empty() {
            let pause = self.again.map_or(AGAIN, |(_, pause)| (pause * 2).min(SELDOM));
            if everything || self.again.is_none() {
                self.again = Some((Instant::now() + pause, pause));
            }
            self.hands.say("", Watched::Lost, &[], errors.iter().map(ToString::to_string).collect());
        } else if everything {
            self.again = None;
        }
    }

    /// Remembers what was acted on.
    pub(super) fn keep(&mut self, changed: &[PathBuf]) {
        for path in changed {
            self.touched.note(path, self.tree.get(path).is_some());
        }
        let kept = self.journal.add(&self.tree, changed).and_then(|()| {
            if self.journal.is_long() {
                let paths = &self.hands.daemon.parts.paths;
                self.journal = Journal::begin(paths, &self.record.project, &self.tree, &self.touched)?;
            }
            Ok(())
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "what was copied is not known to a later daemon");
        }
    }

    /// A container changed its state.
    async fn container(&mut self, event: Option<Event>) {
        let Some(event) = event else {
            // It was let go for not reading: whatever started meanwhile may lack something.
            self.events = self.hands.daemon.subscribe(Some(self.record.project.clone()));
            for service in self.services() {
                self.lanes.complete(service, Containers::All);
            }
            return self.proceed();
        };
        let Event::Container { service, id, action, .. } = event else { return };
        if matches!(action, Action::Destroy) {
            self.guard.forget(&id);
        }
        match action {
            Action::Start => {
                self.reason.get_or_insert_with(|| self.hands.daemon.presence.hold());
                let service = ServiceName::new(service);
                if self.services().contains(&service) {
                    self.lanes.complete(service, Containers::Some(BTreeSet::from([id])));
                    self.proceed();
                }
            }
            Action::Stop | Action::Destroy | Action::Die { .. }
                if !self.hands.daemon.is_wanted(&self.record.project, None).await =>
            {
                // Stopped by the user: the daemon may leave, the next one goes on.
                self.reason = None;
            }
            _ => {}
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn rules(project: &Project, services: &[ServiceName]) -> Result<Rules, Vec<Failure>> {
    let failed = |why: String| Failure { hint: None, ..failure("watch", why) };
    Rules::of(project, services, &Disk).map_err(|errors| errors.into_iter().map(failed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_kept_when_looking_fails_elsewhere() {
        let (changed, errors) = each(["a", "-", "b"], |name| match name {
            "-" => Err(io::ErrorKind::PermissionDenied.into()),
            name => Ok(vec![PathBuf::from(name)]),
        });
        assert_eq!((changed, errors.len()), (vec![PathBuf::from("a"), PathBuf::from("b")], 1));
    }
}

//! What is to be done for each service and what is being done: one thing of a kind at a time, and
//! all that came meanwhile as one thing after it. Without I/O.
//!
//! ```text
//! changes --copies--> Copying --done--> Turn: commands, then a restart
//!         `--none----------------------^
//! ```
//!
//! Files are copied while commands run, and services do not wait for each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::rules::{self, Reaction};
use crate::ids::{ContainerId, ServiceName};

/// The work of all services.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: BTreeMap<ServiceName, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    copying: Slot<Copying>,
    /// What follows what is being copied.
    then: Turn,
    turn: Slot<Turn>,
}

/// One thing that is done, and what is to be done after it.
#[derive(Debug)]
struct Slot<T> {
    runs: bool,
    waits: Option<T>,
}

/// Files that are brought into containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copying {
    /// What changed.
    pub copies: BTreeSet<rules::Copy>,
    /// What follows once that is copied; empty in a job.
    then: Turn,
    /// Whose files are completed.
    pub complete: Containers,
}

/// What is done once files were copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// Rules whose command is run, and the containers that lacked files it is about. It is run in
    /// all where a change is the cause.
    pub exec: BTreeMap<usize, Containers>,
    /// Rules that want a restart; there is one for all of them.
    pub restart: BTreeSet<usize>,
    /// A container lacked files that it reads when it starts.
    pub lacked: bool,
    /// Changed paths, for whom it is told.
    pub causes: BTreeSet<PathBuf>,
}

/// Some containers of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Containers {
    /// None.
    #[default]
    None,
    /// These.
    Some(BTreeSet<ContainerId>),
    /// All that run.
    All,
}

/// Something that can be begun now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Copy.
    Copy(ServiceName, Copying),
    /// Run commands, restart.
    Turn(ServiceName, Turn),
}

impl Lanes {
    /// Has changes acted on.
    pub fn react(&mut self, reaction: Reaction) {
        let lane = self.lanes.entry(reaction.service).or_default();
        let turn = Turn {
            exec: reaction.exec.into_iter().map(|rule| (rule, Containers::All)).collect(),
            restart: reaction.restart.into_iter().collect(),
            lacked: false,
            causes: reaction.causes,
        };
        if reaction.copies.is_empty() {
            lane.turn.add(turn);
        } else {
            lane.copying.add(Copying {
                copies: reaction.copies.into_iter().collect(),
                then: turn,
                ..Copying::default()
            });
        }
    }

    /// Has containers completed.
    pub fn complete(&mut self, service: ServiceName, containers: Containers) {
        self.lanes.entry(service).or_default().copying.add(Copying { complete: containers, ..Copying::default() });
    }

    /// Takes what can be begun now: it runs until it is told that it has ended.
    pub fn begin(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (service, lane) in &mut self.lanes {
            if let Some(mut copying) = lane.copying.begin() {
                lane.then = std::mem::take(&mut copying.then);
                jobs.push(Job::Copy(service.clone(), copying));
            }
            jobs.extend(lane.turn.begin().map(|turn| Job::Turn(service.clone(), turn)));
        }
        jobs
    }

    /// A copying has ended; `more` follows, besides what was to follow it.
    pub fn copied(&mut self, service: &ServiceName, more: Turn) {
        if let Some(lane) = self.lanes.get_mut(service) {
            lane.copying.runs = false;
            let mut then = std::mem::take(&mut lane.then);
            then.merge(more);
            if !then.is_nothing() {
                lane.turn.add(then);
            }
        }
    }

    /// Commands and the restart after them have ended.
    pub fn turned(&mut self, service: &ServiceName) {
        if let Some(lane) = self.lanes.get_mut(service) {
            lane.turn.runs = false;
        }
        self.lanes.retain(|_, lane| !(lane.copying.is_idle() && lane.turn.is_idle()));
    }

    /// Tells whether nothing is to be copied.
    pub fn all_copied(&self) -> bool {
        self.lanes.values().all(|lane| lane.copying.is_idle())
    }

    /// The rules have other numbers; those without one are no more.
    pub fn renumber(&mut self, number: impl Fn(usize) -> Option<usize>) {
        for lane in self.lanes.values_mut() {
            let copying = lane.copying.waits.as_mut().map(|copying| &mut copying.then);
            let waiting = lane.turn.waits.iter_mut().chain(copying).chain([&mut lane.then]);
            waiting.for_each(|turn| turn.renumber(&number));
        }
    }
}

impl Turn {
    /// Tells whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        self.exec.is_empty() && self.restart.is_empty() && !self.lacked
    }

    fn renumber(&mut self, number: impl Fn(usize) -> Option<usize>) {
        let exec = std::mem::take(&mut self.exec).into_iter();
        self.exec = exec.filter_map(|(rule, containers)| Some((number(rule)?, containers))).collect();
        self.restart = self.restart.iter().filter_map(|rule| number(*rule)).collect();
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { runs: false, waits: None }
    }
}

impl<T: Merge> Slot<T> {
    fn add(&mut self, more: T) {
        match &mut self.waits {
            Some(waits) => waits.merge(more),
            None => self.waits = Some(more),
        }
    }

    fn begin(&mut self) -> Option<T> {
        let begun = if self.runs { None } else { self.waits.take() };
        self.runs |= begun.is_some();
        begun
    }
}

impl<T> Slot<T> {
    fn is_idle(&self) -> bool {
        !self.runs && self.waits.is_none()
    }
}

/// Two things of a kind that are done as one.
trait Merge {
    fn merge(&mut self, more: Self);
}

impl Merge for Copying {
    fn merge(&mut self, more: Self) {
        self.copies.extend(more.copies);
        self.then.merge(more.then);
        self.complete.merge(more.complete);
    }
}

impl Merge for Turn {
    fn merge(&mut self, more: Self) {
        for (rule, containers) in more.exec {
            self.exec.entry(rule).or_default().merge(containers);
        }
        self.restart.extend(more.restart);
        self.lacked |= more.lacked;
        self.causes.extend(more.causes);
    }
}

impl Merge for Containers {
    fn merge(&mut self, more: Self) {
        *self = match (std::mem::take(self), more) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, some) | (some, Self::None) => some,
            (Self::Some(mut some), Self::Some(more)) => {
                some.extend(more);
                Self::Some(some)
            }
        }
    }
}

impl Containers {
    /// Tells whether a container is one of them.
    pub fn has(&self, id: &ContainerId) -> bool {
        match self {
            Self::None => false,
            Self::Some(some) => some.contains(id),
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `web: a b, exec 1, restart 2`: a reaction to changes of these paths, copied where marked `>`.
    fn reaction(text: &str) -> Reaction {
        let (service, rest) = text.split_once(": ").unwrap();
        let mut parts = rest.split(", ");
        let paths: Vec<&str> = parts.next().unwrap().split(' ').collect();
        let path = |name: &str| PathBuf::from("/").join(name.trim_start_matches('>'));
        let copy = |name: &&str| rules::Copy { from: path(name), to: format!("/app/{}", &name[1..]) };
        let mut reaction = Reaction {
            service: service.into(),
            copies: paths.iter().filter(|name| name.starts_with('>')).map(copy).collect(),
            exec: Vec::new(),
            restart: Vec::new(),
            causes: paths.iter().map(|name| path(name)).collect(),
        };
        for part in parts {
            let (what, rule) = part.split_once(' ').unwrap();
            let rules = if what == "exec" { &mut reaction.exec } else { &mut reaction.restart };
            rules.push(rule.parse().unwrap());
        }
        reaction
    }

    fn show(job: &Job) -> String {
        let turn = |turn: &Turn| {
            let causes = turn.causes.iter().map(|path| path.display().to_string()).collect::<String>();
            format!("exec {:?} restart {:?} for {causes}", turn.exec.keys(), turn.restart)
        };
        match job {
            Job::Copy(service, copying) => {
                let copies = copying.copies.iter().map(|copy| copy.from.display().to_string()).collect::<String>();
                format!("{service} copy {copies} complete {:?}", copying.complete)
            }
            Job::Turn(service, due) => format!("{service} {}", turn(due)),
        }
    }

    /// Has a script carried out: reactions; `done web` and `turned web` end what runs.
    fn run(script: &[&str]) -> String {
        let mut lanes = Lanes::default();
        let mut text = String::new();
        for line in script {
            text += &format!("{line}\n");
            match line.split_once(' ') {
                Some(("done", service)) => lanes.copied(&service.into(), Turn::default()),
                Some(("turned", service)) => lanes.turned(&service.into()),
                Some(("start", service)) => lanes.complete(service.into(), Containers::All),
                _ => lanes.react(reaction(line)),
            }
            for job in lanes.begin() {
                text += &format!("    {}\n", show(&job));
            }
        }
        text
    }

    #[test]
    fn a_slow_command_holds_no_copy_back() {
        insta::assert_snapshot!(run(&[
            "web: >a, exec 0", "done web", "web: >b, exec 0", "web: >c, exec 0", "db: >x", "done web", "done web", "turned web",
            "turned web",
        ]), @r"
        web: >a, exec 0
            web copy /a complete None
        done web
            web exec [0] restart {} for /a
        web: >b, exec 0
            web copy /b complete None
        web: >c, exec 0
        db: >x
            db copy /x complete None
        done web
            web copy /c complete None
        done web
        turned web
            web exec [0] restart {} for /b/c
        turned web
        ");
    }

    #[test]
    fn what_comes_meanwhile_is_done_once_afterwards() {
        insta::assert_snapshot!(run(&[
            "web: >a, restart 0", "web: >a >b, restart 0", "start web", "done web", "done web", "web: c, restart 1", "turned web",
            "turned web",
        ]), @r"
        web: >a, restart 0
            web copy /a complete None
        web: >a >b, restart 0
        start web
        done web
            web copy /a/b complete All
            web exec [] restart {0} for /a
        done web
        web: c, restart 1
        turned web
            web exec [] restart {0, 1} for /a/b/c
        turned web
        ");
    }

    #[test]
    fn waiting_turns_follow_their_rules_to_other_numbers() {
        let mut lanes = Lanes::default();
        lanes.react(reaction("web: a, restart 0, exec 2"));
        lanes.react(reaction("db: >a, restart 1"));
        lanes.renumber(|rule| rule.checked_sub(1));
        let jobs: Vec<String> = lanes.begin().iter().map(show).collect();
        insta::assert_snapshot!(jobs.join("\n"), @r"
        db copy /a complete None
        web exec [1] restart {} for /a
        ");
        lanes.copied(&"db".into(), Turn { restart: BTreeSet::from([0]), ..Turn::default() });
        assert!(lanes.all_copied());
    }
}

//! What is done about files that changed: the session decides, and each thing is done on a task of its own.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use super::session::{SOURCES, Session};
use crate::api::{Caller, ServicesRequest};
use crate::compose::model::Hook;
use crate::daemon::container::label_of;
use crate::daemon::http::Sink;
use crate::daemon::{Daemon, now_ns};
use crate::engine::{ExecOutput, Probe, Shim};
use crate::event::{Event, Failure, Watched};
use crate::ids::{ContainerId, ProjectName, ServiceName};
use crate::plan::{Action, labels};
use crate::watch::copy::{self, Copied};
use crate::watch::guard::ROUNDS;
use crate::watch::lanes::{Containers, Copying, Job, Turn};
use crate::watch::rules::Copy;

/// Bytes of a command's output that are shown when it fails.
const OUTPUT: usize = 4096;

/// A command that runs for longer is ended: one that hangs would hold back the next for ever.
const LONGEST: Duration = Duration::from_secs(600);

/// A container that runs.
#[derive(Debug, Clone)]
struct Running {
    id: ContainerId,
    name: String,
    pid: u32,
    shim: Shim,
}

/// Something that a session began has ended.
pub(super) enum Done {
    /// Files were copied.
    Copied { service: ServiceName, generation: u64, completed: Containers, found: Found },
    /// Commands were run, containers restarted.
    Turned { service: ServiceName, generation: u64, rules: BTreeSet<usize>, causes: BTreeSet<PathBuf> },
    /// The project was read anew.
    Reloaded(BTreeSet<PathBuf>),
}

/// What copying found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// No container ran.
    none_ran: bool,
    /// Containers that were completed.
    seen: Vec<ContainerId>,
    /// Rules whose command is due since one of them lacked something.
    exec: Vec<usize>,
    /// A restart is.
    restart: bool,
}

/// What a rule wants a container to have.
struct Lacking {
    rule: usize,
    copies: Vec<Copy>,
    executes: bool,
    restarts: bool,
}

impl Session {
    /// Has paths acted on that differ from what was last acted on.
    pub(super) fn act(&mut self, changed: Vec<PathBuf>) {
        if changed.is_empty() {
            return;
        }
        self.keep(&changed);
        self.guard.heard(&changed, self.now());
        for reaction in self.rules.react(&changed, self.guard.muted()) {
            self.lanes.react(reaction);
        }
        if changed.len() > 10_000 {
            drop(changed);
            crate::engine::give_memory_back();
        }
    }

    /// Begins what can be begun.
    pub(super) fn proceed(&mut self) {
        loop {
            let jobs = self.lanes.begin();
            if jobs.is_empty() {
                break;
            }
            for job in jobs {
                match job {
                    Job::Copy(service, copying) => self.copy(service, copying),
                    Job::Turn(service, turn) => self.turn(service, &turn),
                }
            }
        }
        if !self.reloads && !self.reread.is_empty() {
            let reread = self.take_reread();
            if let Some(caller) = self.record.caller.clone().filter(|_| !reread.is_empty()) {
                self.reloads = true;
                let hands = self.hands.clone();
                self.work.spawn(async move {
                    hands.reload(&caller, &reread.iter().cloned().collect::<Vec<_>>()).await;
                    Done::Reloaded(reread)
                });
            }
        }
    }

    /// Begins to copy what changed, and what containers lack: what changed since watching began, and all
    /// where the rule says so.
    fn copy(&mut self, service: ServiceName, copying: Copying) {
        let lacking = if copying.complete == Containers::None { Vec::new() } else { self.lacking(&service) };
        let (hands, generation) = (self.hands.clone(), self.generation);
        let files = Arc::clone(self.files.entry(service.clone()).or_default());
        self.work.spawn(async move {
            let _files = files.lock().await;
            let Copying { copies, complete, .. } = copying;
            let mut found = Found::default();
            if !copies.is_empty() {
                let containers = hands.running(&service, &Containers::All).await;
                found.none_ran = containers.is_empty();
                hands.sync(&service, containers, copies.into_iter().collect(), false).await;
            }
            let containers = match complete {
                Containers::None => Vec::new(),
                _ => hands.running(&service, &complete).await,
            };
            found.seen = containers.iter().map(|container| container.id.clone()).collect();
            for Lacking { rule, copies, executes, restarts } in lacking {
                if hands.sync(&service, containers.clone(), copies, true).await {
                    found.exec.extend(executes.then_some(rule));
                    found.restart |= restarts;
                }
            }
            Done::Copied { service, generation, completed: complete, found }
        });
    }

    fn lacking(&self, service: &ServiceName) -> Vec<Lacking> {
        let own =
            self.rules.rules.iter().enumerate().filter(|(_, rule)| rule.service == *service && rule.target.is_some());
        let lacking = own.map(|(number, rule)| {
            let copies = if rule.initial_sync {
                copy::all(rule, self.tree.iter().map(|(path, _)| path).chain(self.touched.iter()))
            } else {
                copy::all(rule, self.touched.iter())
            };
            Lacking { rule: number, copies, executes: rule.exec.is_some(), restarts: rule.restart }
        });
        lacking.filter(|lacking| !lacking.copies.is_empty()).collect()
    }

    /// Begins to run commands and to restart, but for what is found to be a loop.
    fn turn(&mut self, service: ServiceName, turn: &Turn) {
        let now = self.now();
        for rule in turn.exec.keys().chain(&turn.restart) {
            let own = self.guard.suspects(*rule, &turn.causes, now);
            if !own.is_empty() {
                let why = format!(
                    "changed {ROUNDS} times right after what was done about it: the service itself writes it; \
                     name it in `ignore` of {}",
                    self.rules.rules[*rule]
                );
                self.hands.say(service.as_str(), Watched::Loop, &own, vec![why]);
            }
        }
        let heard = |rule: usize, path: &PathBuf| {
            self.rules.rules[rule].wants(path) && !self.guard.muted().contains(&(rule, path.clone()))
        };
        let hears = |rule: &usize| turn.causes.iter().any(|path| heard(*rule, path));
        let is_due = |(rule, containers): &(&usize, &Containers)| **containers != Containers::All || hears(rule);
        let due = turn.exec.iter().filter(is_due);
        let hook = |(rule, containers): (&usize, &Containers)| {
            Some((self.rules.rules[*rule].exec.clone()?, containers.clone()))
        };
        let hooks: Vec<(Hook, Containers)> = due.clone().filter_map(hook).collect();
        let restart: Vec<usize> = turn.restart.iter().copied().filter(|rule| hears(rule)).collect();
        let rules: BTreeSet<usize> = due.map(|(rule, _)| *rule).chain(restart.iter().copied()).collect();
        let causes: BTreeSet<PathBuf> =
            turn.causes.iter().filter(|path| rules.iter().any(|rule| heard(*rule, path))).cloned().collect();
        let restarts = turn.lacked || !restart.is_empty();
        if hooks.is_empty() && !restarts {
            return self.lanes.turned(&service);
        }
        let (hands, generation) = (self.hands.clone(), self.generation);
        let files = Arc::clone(self.files.entry(service.clone()).or_default());
        self.work.spawn(async move {
            let commands = hooks.into_iter().map(|(hook, containers)| hands.exec(&service, hook, containers));
            futures_util::future::join_all(commands).await;
            if restarts {
                let _files = files.lock().await;
                hands.restart(&service, &causes.iter().cloned().collect::<Vec<_>>()).await;
            }
            Done::Turned { service, generation, rules, causes }
        });
    }

    /// Something has ended: what follows is begun.
    pub(super) fn done(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok(Done::Copied { service, generation, completed, found }) => {
                self.copied(&service, generation, &completed, found);
            }
            Ok(Done::Turned { service, generation, rules, causes }) => {
                let now = self.now();
                // Numbers of earlier rules are others.
                if generation == self.generation {
                    rules.iter().for_each(|rule| self.guard.acted(*rule, &causes, now));
                }
                self.lanes.turned(&service);
            }
            Ok(Done::Reloaded(reread)) => {
                self.guard.acted(SOURCES, &reread, self.now());
                self.reloads = false;
            }
            Err(error) => tracing::error!(%error, "a reaction to changed files broke off"),
        }
        self.proceed();
    }

    /// A container that was seen before is no reason to restart, but for changes while none ran: it would go on for
    /// ever where its start changes a copied file.
    fn copied(&mut self, service: &ServiceName, generation: u64, completed: &Containers, found: Found) {
        let mut more = Turn::default();
        let mut behind = found.none_ran;
        if *completed != Containers::None {
            let mut new = self.behind.remove(service);
            for id in &found.seen {
                new |= self.guard.is_new(id);
            }
            if !found.seen.is_empty() {
                new |= std::mem::take(&mut behind);
            }
            more.lacked = found.restart && new;
            if generation == self.generation {
                more.exec = found.exec.into_iter().map(|rule| (rule, completed.clone())).collect();
            }
        }
        if behind {
            self.behind.insert(service.clone());
        }
        self.lanes.copied(service, more);
    }
}

/// What acts on a project, for each task of its own.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) daemon: Arc<Daemon>,
    pub(super) project: ProjectName,
    /// Who is told.
    pub(super) sink: Option<Sink>,
    /// True when watching is to end.
    pub(super) ends: watch::Receiver<bool>,
}

impl Hands {
    /// Tells what was done.
    pub(super) fn say(&self, service: &str, done: Watched, paths: &[PathBuf], failures: Vec<String>) {
        /// A line names so many files.
        const NAMED: usize = 5;
        let names = paths.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        self.tell(service, done, names, paths.len(), failures);
    }

    pub(super) fn tell(&self, service: &str, done: Watched, names: Vec<String>, count: usize, failures: Vec<String>) {
        let project = &self.project;
        if failures.is_empty() {
            tracing::info!(%project, service, ?done, count, ?names, "watch");
        } else {
            tracing::warn!(%project, service, ?done, count, ?names, ?failures, "watch");
        }
        if let Some(sink) = &self.sink {
            let _ = sink.send(Event::Watch {
                time_ns: now_ns(),
                project: project.clone(),
                service: service.to_owned(),
                done,
                paths: names,
                count: count as u64,
                failures,
            });
        }
    }

    /// Passes a sentence on.
    pub(super) fn note(&self, message: String) {
        tracing::info!(project = %self.project, message, "watch");
        if let Some(sink) = &self.sink {
            let _ = sink.send(Event::Note { message });
        }
    }

    fn is_over(&self) -> bool {
        *self.ends.borrow()
    }

    async fn running(&self, service: &ServiceName, only: &Containers) -> Vec<Running> {
        self.daemon.running(&self.project, service, only).await
    }

    /// Brings files into containers, side by side; returns whether anything was written or removed.
    async fn sync(&self, service: &ServiceName, containers: Vec<Running>, copies: Vec<Copy>, lacking: bool) -> bool {
        let copies = Arc::new(copies);
        let work = containers.into_iter().map(|container| {
            let (copies, ends) = (Arc::clone(&copies), self.ends.clone());
            async move {
                let root = match container.root().await {
                    Ok(root) => root,
                    // It ended: the next start completes it.
                    Err(error) => {
                        tracing::debug!(container.name, %error, "its files are out of reach");
                        return Copied::default();
                    }
                };
                let goes_on = move || !*ends.borrow();
                let copying = move || copy::copy(root.as_fd(), &copies, lacking, &goes_on);
                let mut copied = tokio::task::spawn_blocking(copying).await.unwrap_or_default();
                for (path, _) in &mut copied.failed {
                    *path = format!("{}:{path}", container.name);
                }
                copied
            }
        });
        let all = futures_util::future::join_all(work).await;
        let mut paths = BTreeSet::new();
        let mut failures = Vec::new();
        let mut same = BTreeSet::new();
        for copied in all {
            paths.extend(copied.written);
            paths.extend(copied.removed);
            failures.extend(copied.failed.into_iter().map(|(path, why)| format!("{path}: {why}")));
            same.extend(copied.same);
        }
        if !same.is_empty() && !lacking {
            let why = "it is in the container already, by a mount: name it in `ignore`, or remove the rule".to_owned();
            self.say(service.as_str(), Watched::Loop, &same.into_iter().collect::<Vec<_>>(), vec![why]);
        }
        let any = !paths.is_empty();
        if any || !failures.is_empty() {
            self.say(service.as_str(), Watched::Sync, &paths.into_iter().collect::<Vec<_>>(), failures);
        }
        any
    }

    /// Runs a rule's command in containers of its service.
    async fn exec(&self, service: &ServiceName, hook: Hook, containers: Containers) {
        let containers = self.running(service, &containers).await;
        let work = containers.into_iter().map(|container| {
            let probe = probe(&hook);
            let mut ends = self.ends.clone();
            async move {
                let output = tokio::select! {
                    output = container.shim.exec_wait(probe) => output,
                    // It goes on in the container until its time is over, but nobody waits for it.
                    _ = ends.wait_for(|ends| *ends) => return None,
                };
                let why = match output {
                    Ok(output) => said(&output)?,
                    Err(error) => crate::host::HostError::new(error).to_string(),
                };
                Some(format!("{}: {why}", container.name))
            }
        });
        let failures = futures_util::future::join_all(work).await.into_iter().flatten().collect();
        self.say(service.as_str(), Watched::Exec { command: hook.command }, &[], failures);
    }

    /// Restarts a service; dependents that ask for it follow.
    async fn restart(&self, service: &ServiceName, causes: &[PathBuf]) {
        if self.is_over() || !self.daemon.is_wanted(&self.project, Some(service)).await {
            // The user stopped it: what changed is there when it is started.
            return;
        }
        let (sink, mut events) = mpsc::unbounded_channel();
        let request = ServicesRequest { services: vec![service.clone()], ..ServicesRequest::default() };
        let failures = Arc::clone(&self.daemon).services(self.project.clone(), Action::Restart, request, sink).await;
        while let Ok(event) = events.try_recv() {
            if let Event::Note { message } = event {
                self.note(message);
            }
        }
        self.say(service.as_str(), Watched::Restart, causes, failures.iter().map(lines).collect());
    }

    /// Reads the project's own files anew and applies the difference: see the module above for why
    /// by a process.
    async fn reload(&self, caller: &Caller, changed: &[PathBuf]) {
        let paths = self.daemon.parts.paths.clone();
        let output = match std::env::current_exe() {
            Ok(program) => {
                let output = tokio::process::Command::new(program)
                    .args(["--ansi", "never", "--progress", "plain"])
                    .args(&caller.arguments)
                    .env_clear()
                    .envs(&caller.environment)
                    .env("STACK_ROOT", &paths.root)
                    .env("STACK_RUN", &paths.run)
                    .current_dir(&caller.folder)
                    .stdin(Stdio::null())
                    .kill_on_drop(true)
                    .output();
                let mut ends = self.ends.clone();
                tokio::select! {
                    output = output => output,
                    // Who ends the session waits for it; the process is ended with it.
                    _ = ends.wait_for(|ends| *ends) => return,
                }
            }
            Err(error) => Err(error),
        };
        let failures = match output {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
                if output.status.success() {
                    said.lines().for_each(|line| self.note(line.to_owned()));
                    Vec::new()
                } else {
                    vec![said]
                }
            }
            Err(error) => vec![format!("cannot read the project anew: {error}")],
        };
        self.say("", Watched::Reload, changed, failures);
    }
}

impl Running {
    /// Returns the root of the container's file system.
    async fn root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = rustix::fs::open(Path::new("/proc").join(self.pid.to_string()), flags, Mode::empty())?;
        let root = rustix::fs::openat(&process, "root", flags, Mode::empty())?;
        // The number is the container's as long as its parent, the shim, has not seen it end.
        match self.shim.status().await {
            Ok(status) if status.pid == Some(self.pid) => Ok(root),
            Ok(_) => Err(io::Error::from(io::ErrorKind::NotFound)),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Daemon {
    /// Returns those containers of a service that run.
    async fn running(&self, project: &ProjectName, service: &ServiceName, only: &Containers) -> Vec<Running> {
        let (project, service, only) = (project.clone(), service.clone(), only.clone());
        self.read(move |state| {
            let entries = state.containers.values().filter(|entry| {
                let label = |key| label_of(&entry.spec, key);
                label(labels::PROJECT) == project.as_str()
                    && label(labels::SERVICE) == service.as_str()
                    && label(labels::ONE_OFF) != "True"
                    && only.has(&entry.spec.id)
            });
            entries
                .filter_map(|entry| {
                    let shim = entry.sandbox.as_ref()?.shim.clone();
                    Some(Running { id: entry.spec.id.clone(), name: entry.spec.name.clone(), pid: entry.pid?, shim })
                })
                .collect()
        })
        .await
    }

    /// Tells whether a project, or a service of it, has a container that the user did not stop.
    pub(super) async fn is_wanted(&self, project: &ProjectName, service: Option<&ServiceName>) -> bool {
        let (project, service) = (project.clone(), service.cloned());
        self.read(move |state| {
            let mut own = state.containers.values().filter(|entry| {
                label_of(&entry.spec, labels::PROJECT) == project.as_str()
                    && service.as_ref().is_none_or(|name| label_of(&entry.spec, labels::SERVICE) == name.as_str())
            });
            own.any(|entry| !entry.replica.is_stopped_by_user())
        })
        .await
    }
}

/// Returns a rule's command as the shim runs it.
fn probe(hook: &Hook) -> Probe {
    Probe {
        argv: hook.command.clone(),
        env: hook.environment.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?))).collect(),
        user: hook.user.clone(),
        cwd: hook.working_dir.clone(),
        privileged: hook.privileged,
        timeout_ms: u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX),
        max_output: OUTPUT,
    }
}

/// Returns why a command failed, and what it printed; `None` when it did not.
fn said(output: &ExecOutput) -> Option<String> {
    let why = match output {
        ExecOutput { timed_out: true, .. } => {
            format!("did not end within {} minutes and was killed", LONGEST.as_secs() / 60)
        }
        ExecOutput { exit_code: 0, .. } => return None,
        ExecOutput { exit_code, .. } => format!("ended with status {exit_code}"),
    };
    let said = output.output.trim_end();
    Some(if said.is_empty() { why } else { format!("{why}:\n{said}") })
}

fn lines(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}\n{hint}"),
        None => failure.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_killed_and_told_of() {
        let hook = Hook { command: vec!["make".to_owned()], ..Hook::default() };
        assert_eq!(probe(&hook).timeout_ms, 600_000);
        let check = |exit_code, timed_out, output: &str, expected: Option<&str>| {
            let output = ExecOutput { exit_code, output: output.to_owned(), timed_out };
            assert_eq!(said(&output).as_deref(), expected);
        };
        check(0, false, "made\n", None);
        check(2, false, "", Some("ended with status 2"));
        check(2, false, "no rule\n", Some("ended with status 2:\nno rule"));
        check(137, true, "making\n", Some("did not end within 10 minutes and was killed:\nmaking"));
    }
}

//! What is done about files that changed.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use tokio::sync::mpsc;

use super::session::Session;
use crate::api::ServicesRequest;
use crate::compose::model::Hook;
use crate::daemon::Daemon;
use crate::daemon::container::label_of;
use crate::engine::{Probe, Shim};
use crate::event::{Event, Failure, Watched};
use crate::ids::{ContainerId, ProjectName, ServiceName};
use crate::plan::{Action, labels};
use crate::watch::copy::{self, Copied};
use crate::watch::rules::{Copy, Reaction};

/// Bytes of a command's output that are shown when it fails.
const OUTPUT: usize = 4096;

/// A container that runs.
#[derive(Debug, Clone)]
struct Running {
    id: ContainerId,
    name: String,
    pid: u32,
    shim: Shim,
}

impl Session {
    /// Acts on paths that differ from what was last acted on.
    pub(super) async fn act(&mut self, changed: Vec<PathBuf>) {
        if changed.is_empty() {
            return;
        }
        self.keep(&changed);
        let now = self.now();
        self.guard.heard(&changed, now);
        for reaction in self.rules.react(&changed, self.guard.muted()) {
            for rule in reaction.exec.iter().chain(&reaction.restart) {
                let own = self.guard.suspects(*rule, &reaction.causes, now);
                if !own.is_empty() {
                    let rounds = crate::watch::guard::ROUNDS;
                    let why = format!(
                        "changed {rounds} times right after what was done about it: the service itself writes it; \
                         name it in `ignore` of {}",
                        self.rules.rules[*rule]
                    );
                    self.say(reaction.service.as_str(), Watched::Loop, &own, vec![why]);
                }
            }
        }
        // Without what was just found to be a loop.
        let many = changed.len() > 10_000;
        for reaction in self.rules.react(&changed, self.guard.muted()) {
            self.carry_out(reaction).await;
        }
        if many {
            drop(changed);
            crate::engine::give_memory_back();
        }
    }

    async fn carry_out(&mut self, reaction: Reaction) {
        let service = reaction.service.clone();
        let causes: Vec<PathBuf> = reaction.causes.iter().cloned().collect();
        if !reaction.copies.is_empty() {
            let containers = self.daemon.running(&self.record.project, &service, None).await;
            if containers.is_empty() {
                self.behind.insert(service.clone());
            }
            self.sync(&service, containers, reaction.copies, false).await;
        }
        for rule in &reaction.exec {
            self.exec(&service, *rule, None).await;
        }
        if !reaction.restart.is_empty() {
            self.restart(&service, &causes).await;
        }
        let now = self.now();
        for rule in reaction.exec.iter().chain(&reaction.restart) {
            self.guard.acted(*rule, &reaction.causes, now);
        }
    }

    /// Copies what the containers of a service lack, or the one with this id: what changed since
    /// watching began, and all where the rule says so; then does what the rules say. A container
    /// that was seen before is no reason to restart, but for changes while none ran: it would go on for
    /// ever where its start changes a copied file.
    pub(super) async fn complete(&mut self, service: &ServiceName, only: Option<&ContainerId>) {
        let mut restart = false;
        let mut new = self.behind.remove(service);
        for container in self.daemon.running(&self.record.project, service, only).await {
            new |= self.guard.is_new(&container.id);
        }
        for index in 0..self.rules.rules.len() {
            let rule = &self.rules.rules[index];
            if rule.service != *service || rule.target.is_none() {
                continue;
            }
            let copies = if rule.initial_sync {
                copy::all(rule, self.tree.iter().map(|(path, _)| path).chain(self.touched.iter().map(PathBuf::as_path)))
            } else {
                copy::all(rule, self.touched.iter().map(PathBuf::as_path))
            };
            if copies.is_empty() {
                continue;
            }
            let containers = self.daemon.running(&self.record.project, service, only).await;
            let (restarts, executes) = (rule.restart, rule.exec.is_some());
            if self.sync(service, containers, copies, true).await {
                if executes {
                    self.exec(service, index, only).await;
                }
                restart |= restarts && new;
            }
        }
        if restart {
            self.restart(service, &[]).await;
        }
    }

    /// Brings files into containers, side by side; returns whether anything was written or removed.
    async fn sync(&self, service: &ServiceName, containers: Vec<Running>, copies: Vec<Copy>, lacking: bool) -> bool {
        let copies = Arc::new(copies);
        let work = containers.into_iter().map(|container| {
            let copies = Arc::clone(&copies);
            async move {
                let root = match container.root().await {
                    Ok(root) => root,
                    // It ended: the next start completes it.
                    Err(error) => {
                        tracing::debug!(container.name, %error, "its files are out of reach");
                        return Copied::default();
                    }
                };
                let copied = tokio::task::spawn_blocking(move || copy::copy(root.as_fd(), &copies, lacking)).await;
                let mut copied = copied.unwrap_or_default();
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

    /// Runs a rule's command in the containers of its service.
    async fn exec(&self, service: &ServiceName, rule: usize, only: Option<&ContainerId>) {
        let Some(hook) = self.rules.rules[rule].exec.clone() else { return };
        let containers = self.daemon.running(&self.record.project, service, only).await;
        let work = containers.into_iter().map(|container| {
            let probe = probe(&hook);
            let mut ends = self.ends.clone();
            async move {
                let output = tokio::select! {
                    output = container.shim.exec_wait(probe) => output,
                    // It goes on in the container, but nobody waits for a server that never ends.
                    _ = ends.wait_for(|ends| *ends) => return None,
                };
                let why = match output {
                    Ok(output) if output.exit_code == 0 => return None,
                    Ok(output) => {
                        let said = output.output.trim_end();
                        let said = if said.is_empty() { String::new() } else { format!(":\n{said}") };
                        format!("ended with status {}{said}", output.exit_code)
                    }
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
        if !self.daemon.is_wanted(&self.record.project, Some(service)).await {
            // The user stopped it: what changed is there when it is started.
            return;
        }
        let (sink, mut events) = mpsc::unbounded_channel();
        let request = ServicesRequest { services: vec![service.clone()], ..ServicesRequest::default() };
        let project = self.record.project.clone();
        let failures = Arc::clone(&self.daemon).services(project, Action::Restart, request, sink).await;
        while let Ok(event) = events.try_recv() {
            if let Event::Note { message } = event {
                self.note(message);
            }
        }
        self.say(service.as_str(), Watched::Restart, causes, failures.iter().map(lines).collect());
    }

    /// Reads the project's own files anew and applies the difference: see the module above for why
    /// by a process.
    pub(super) async fn reload(&mut self, changed: &[PathBuf]) {
        let Some(caller) = self.record.caller.clone() else { return };
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
    /// Returns the containers of a service that run, or the one with this id.
    async fn running(&self, project: &ProjectName, service: &ServiceName, only: Option<&ContainerId>) -> Vec<Running> {
        let (project, service, only) = (project.clone(), service.clone(), only.cloned());
        self.read(move |state| {
            let entries = state.containers.values().filter(|entry| {
                let label = |key| label_of(&entry.spec, key);
                label(labels::PROJECT) == project.as_str()
                    && label(labels::SERVICE) == service.as_str()
                    && label(labels::ONE_OFF) != "True"
                    && only.as_ref().is_none_or(|id| *id == entry.spec.id)
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
        timeout_ms: 0,
        max_output: OUTPUT,
    }
}

fn lines(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}\n{hint}"),
        None => failure.to_string(),
    }
}

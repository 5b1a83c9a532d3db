//! What begins a container's run and looks at it while it runs: each start, health check and search for readiness is a task
//! of its own that reports back as an input.

use std::sync::Arc;
use std::time::Duration;

use super::{Input, State};
use crate::daemon::autopsy::Trail;
use crate::daemon::launch::{Launch, Launched, Namespace};
use crate::daemon::ready::{self, Place};
use crate::engine::{ExitStatus, Probe, ShimNotice};
use crate::host::HostError;
use crate::ids::ContainerId;
use crate::lifecycle::{self, ready::Rule};
use crate::spec::Ready;

/// Bytes of a probe's output that are kept, as Docker keeps them.
const PROBE_OUTPUT: usize = 4096;

impl State {
    /// Begins a start on a task of its own.
    pub(super) fn launch(&mut self, id: &ContainerId) {
        let namespace = self.namespace_of(id);
        let standby = self.containers.get(id).is_some_and(|entry| self.stands_by(&entry.spec));
        let Some(entry) = self.containers.get_mut(id) else { return };
        entry.run += 1;
        entry.trail = Trail::default();
        entry.launching = true;
        entry.early_exit = None;
        let (run, launch) = (
            entry.run,
            Launch {
                parts: self.parts.clone(),
                spec: Arc::clone(&entry.spec),
                sandbox: entry.sandbox.clone(),
                closing: entry.closing.take(),
                namespace,
                standby,
                notices: self.notices.clone(),
            },
        );
        let (inputs, id) = (self.inputs.clone(), id.clone());
        tokio::spawn(async move {
            let result = launch.run().await;
            let _ = inputs.send(Input::Launched { id, run, result });
        });
    }

    /// Returns where the container's network namespace comes from.
    fn namespace_of(&self, id: &ContainerId) -> Result<Namespace, HostError> {
        let Some(entry) = self.containers.get(id) else { return Ok(Namespace::Host) };
        if entry.spec.host_network {
            return Ok(Namespace::Host);
        }
        if let Some(other) = &entry.spec.network_of {
            let netns = self.containers.get(other).and_then(|e| e.sandbox.as_ref()).and_then(|s| s.netns.clone());
            return netns.map(Namespace::Shared).ok_or_else(|| {
                HostError::new(format!("the container whose network it shares ({}) does not run", other.short()))
            });
        }
        let networks = entry.spec.endpoints.iter().map(|endpoint| {
            self.networks.get(&endpoint.network).cloned().ok_or_else(|| {
                HostError::new(format!("its network {} has gone", endpoint.network))
                    .hint("run `stack up` to make it again")
            })
        });
        networks.collect::<Result<_, _>>().map(Namespace::Own)
    }

    pub(super) fn launched(&mut self, id: &ContainerId, run: u64, result: Result<Launched, (i32, HostError)>) {
        let Some(entry) = self.containers.get_mut(id).filter(|e| e.run == run) else {
            // Nobody waits for this start any more: what it made must not run unseen.
            if let Ok(launched) = result {
                tokio::spawn(async move { launched.sandbox.shim.shutdown().await });
            }
            return;
        };
        entry.launching = false;
        match result {
            Ok(launched) => {
                entry.pid = Some(launched.pid);
                entry.connecting = launched.connecting;
                entry.started_ns = Some(launched.started_ns);
                entry.sandbox = Some(launched.sandbox);
                let (started_ns, restarts) = (launched.started_ns, entry.replica.restarts());
                for warning in launched.warnings {
                    tracing::warn!(container = entry.spec.name, "{warning}");
                }
                self.record(id, |runs| {
                    runs.started_ns = Some(started_ns);
                    runs.restarts = restarts;
                    runs.error = String::new();
                });
                let Some(entry) = self.containers.get_mut(id) else { return };
                for reply in entry.starting.drain(..) {
                    let _ = reply.send(Ok(()));
                }
                self.step(id, lifecycle::Input::Started);
                let early = self.containers.get_mut(id).and_then(|entry| entry.early_exit.take());
                if let Some(status) = early {
                    self.notice(ShimNotice::Exited { id: id.clone(), status });
                }
            }
            Err((code, error)) => {
                let (why, hint) = error.into_parts();
                tracing::warn!(container = entry.spec.name, why, "start failed");
                entry.error.clone_from(&why);
                let finished_ns = entry.finished_ns.unwrap_or_else(crate::daemon::now_ns);
                let status = ExitStatus { code, oom_killed: false, finished_ns, ..ExitStatus::default() };
                entry.last_exit = Some(status);
                for reply in entry.starting.drain(..) {
                    let error = HostError::new(why.clone());
                    let _ = reply.send(Err(match &hint {
                        Some(hint) => error.hint(hint.clone()),
                        None => error,
                    }));
                }
                self.step(id, lifecycle::Input::StartFailed { code });
                if self.containers.get(id).is_some_and(|e| e.replica.is_at_rest()) {
                    self.record(id, |runs| {
                        runs.exit = Some(status);
                        runs.error = why;
                    });
                }
            }
        }
    }

    /// Runs the health check once, on a task of its own.
    pub(super) fn probe(&mut self, id: &ContainerId, probe: u64, timeout: Duration) {
        let Some(entry) = self.containers.get(id) else { return };
        let (Some(sandbox), Some(check)) = (&entry.sandbox, entry.spec.healthcheck.clone()) else { return };
        let (shim, inputs, id, run) = (sandbox.shim.clone(), self.inputs.clone(), id.clone(), entry.run);
        let began = self.now();
        let request = Probe {
            argv: check.argv,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            max_output: PROBE_OUTPUT,
            ..Probe::default()
        };
        tokio::spawn(async move {
            let (code, output) = match shim.exec_wait(request).await {
                Ok(output) if output.timed_out => {
                    let why = format!("the check took longer than its timeout of {timeout:?}");
                    (-1, if output.output.is_empty() { why } else { format!("{why}: {}", output.output) })
                }
                Ok(output) => (output.exit_code, output.output),
                Err(error) => (-1, HostError::new(error).to_string()),
            };
            let _ = inputs.send(Input::Probed { id, run, probe, began, code, output });
        });
    }

    /// Begins to look for when a run is ready.
    pub(super) fn look_for_readiness(&mut self, id: &ContainerId) {
        let Some(entry) = self.containers.get_mut(id) else { return };
        let (Some(pid), Some(sandbox)) = (entry.pid, &entry.sandbox) else { return };
        let place = Place {
            netns: sandbox.netns.clone(),
            pid,
            log: self.parts.engine.log_path(&entry.spec.name),
            started_ns: entry.started_ns.unwrap_or_default(),
        };
        let (inputs, key, run) = (self.inputs.clone(), id.clone(), entry.run);
        if let Some(Ready::Log(pattern)) = &entry.spec.ready
            && entry.said_ready_ns.is_some()
            && entry.said_ready_ns == entry.started_ns
        {
            // An earlier daemon read the line, which may be gone by now.
            let rule = Rule::Given(Ready::Log(pattern.clone()));
            let _ = inputs.send(Input::Ready { id: key, run, rule });
            return;
        }
        let found = move |rule| drop(inputs.send(Input::Ready { id: key, run, rule }));
        match ready::look(&entry.spec, place, found) {
            Ok(prober) => entry.prober = Some(prober),
            Err(error) => tracing::warn!(container = entry.spec.name, %error, "cannot find out when it is ready"),
        }
    }
}

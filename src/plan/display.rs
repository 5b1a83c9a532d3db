//! A plan as text: the dry run, the debug log and the oracle of the tests.

use std::fmt;

use super::{Cause, Note, Op, Plan, Step, StepId, Target};

impl fmt::Display for Plan {
    /// One line a step, `[1,3] -> #4 web/1 create-container (image changed)`; predecessors that
    /// only need to have ended are marked `~3`. Errors and notes come after.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        for error in &self.errors {
            writeln!(f, "error: {error}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Vec<(StepId, &str)> = self.after.iter().map(|id| (*id, "")).collect();
        before.extend(self.follows.iter().map(|id| (*id, "~")));
        before.sort_unstable();
        let before: Vec<_> = before.iter().map(|(id, mark)| format!("{mark}{}", id.0)).collect();
        write!(f, "[{}] -> #{} {} ({})", before.join(","), self.id.0, self.op, self.cause)
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.number)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnsureNetwork(spec) => write!(f, "network {} ensure-network", spec.name),
            Self::RemoveNetwork(spec) => write!(f, "network {} remove-network", spec.name),
            Self::RemoveLinks { .. } => write!(f, "project remove-links"),
            Self::EnsureVolume(spec) => write!(f, "volume {} ensure-volume", spec.name),
            Self::RemoveVolume(name) => write!(f, "volume {name} remove-volume"),
            Self::CreateContainer { target, .. } => write!(f, "{target} create-container"),
            Self::UpdateContainer { target, fields, .. } => {
                write!(f, "{target} update-container")?;
                fields.iter().try_for_each(|field| write!(f, " {field}"))
            }
            Self::StartContainer(target) => write!(f, "{target} start-container"),
            Self::AwaitCondition(wait) => {
                let optional = if wait.required { "" } else { " if-possible" };
                write!(f, "{} await {}{optional}", wait.service, wait.goal.word())
            }
            Self::WatchReplicas(batch) => {
                let names: Vec<_> = batch.containers.iter().map(|(_, name)| name.as_str()).collect();
                write!(f, "{} watch {}", batch.service, names.join(" "))?;
                let times = [("monitor", batch.monitor), ("delay", batch.delay)];
                for (word, time) in times.into_iter().filter(|(_, time)| !time.is_zero()) {
                    write!(f, " {word} {time:?}")?;
                }
                if batch.tolerated > 0 { write!(f, " tolerates {}", batch.tolerated) } else { Ok(()) }
            }
            Self::HandOver { from, to, .. } => write!(f, "{from} hand-over to {}", to.number),
            Self::StopContainer { target, .. } => write!(f, "{target} stop-container"),
            Self::KillContainer { target, signal } => write!(f, "{target} kill-container {signal}"),
            Self::RemoveContainer { target, volumes } if volumes.is_empty() => write!(f, "{target} remove-container"),
            Self::RemoveContainer { target, volumes } => {
                write!(f, "{target} remove-container with {} volumes", volumes.len())
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "missing"),
            Self::Lost => write!(f, "bridge is gone"),
            Self::ConfigChanged => write!(f, "configuration changed"),
            Self::ImageChanged => write!(f, "image changed"),
            Self::NetworkChanged(name) => write!(f, "network {name} changed"),
            Self::VolumeChanged(target) => write!(f, "volume at {target} changed"),
            Self::AddressNeeded(service) => write!(f, "its address is needed by {service}"),
            Self::Forced => write!(f, "forced"),
            Self::Incomplete => write!(f, "incomplete"),
            Self::NamespaceOf(service) => write!(f, "shares the network of {service}"),
            Self::NotRunning => write!(f, "not running"),
            Self::ScaledDown => write!(f, "scaled down"),
            Self::Orphan => write!(f, "orphan"),
            Self::DependencyRestarted(service) => write!(f, "{service} restarts"),
            Self::NeededBy(service) => write!(f, "needed by {service}"),
            Self::Requested(word) => write!(f, "{word}"),
            Self::Waited => write!(f, "--wait"),
            Self::Updated => write!(f, "update"),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orphans(names) => write!(
                f,
                "containers of services that are not in the file: {} (--remove-orphans removes them)",
                names.join(", ")
            ),
            Self::VolumeDrift(name) => {
                write!(f, "volume {name} exists with another definition; it is used as it is, so that no data is lost")
            }
            Self::Foreign { kind, name } => {
                write!(f, "{kind} {name} was not made by this project; it is used as it is (external: true says so)")
            }
            Self::NetworkKept { network, user } => {
                write!(f, "network {network} has changed in the file but {user} still uses it; it is kept as it is")
            }
            Self::NetworkInUse { network, user } => write!(f, "network {network} stays: {user} uses it"),
            Self::VolumeInUse { volume, user } => write!(f, "volume {volume} stays: {user} uses it"),
            Self::PortsIgnored(service) => {
                write!(f, "service {service} has no network of its own: its ports are not published")
            }
            Self::DriverIgnored { kind, name, driver } => {
                write!(f, "{kind} {name} asks for driver {driver}; the local one is used")
            }
            Self::StopsFirst { service, why } => {
                write!(f, "the old containers of {service} stop before the new ones start: {why}")
            }
            Self::NothingToDo(what) => write!(f, "{what}"),
        }
    }
}

//! Mends what breaks around containers that run. Level-triggered: news from the kernel only makes
//! it look; what is missing is planned by [`repair`] and put back.
//!
//! Nothing polls: without news nothing runs.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Daemon;
use crate::event::Action;
use crate::host::HostError;
use crate::ids::{ContainerId, NetworkName};
use crate::lifecycle::{Budget, Time};
use crate::plan::repair::{Links, Repair, repairs};
use crate::spec::{ContainerSpec, NetworkSpec};

/// What is left to settle after news before it looks: one removal comes with several messages.
const SETTLE: Duration = Duration::from_millis(50);
/// Longest pause between two repairs of links that somebody removes again and again.
const LONGEST: Duration = Duration::from_secs(30);

/// A container that runs, its network namespace, and the networks it may hang on.
struct Running {
    spec: Arc<ContainerSpec>,
    netns: Arc<OwnedFd>,
}

/// Mends the links of running containers for as long as the process lives.
pub(super) async fn links(daemon: Arc<Daemon>) {
    let epoch = Instant::now();
    let mut budget = Budget::new(SETTLE, LONGEST);
    loop {
        // At first without news: links may have gone while no daemon ran.
        loop {
            match mend(&daemon, &mut budget, epoch).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, "links of containers could not be mended yet");
                    tokio::time::sleep(budget.take(Time(epoch.elapsed()))).await;
                }
            }
        }
        daemon.parts.net.links_lost().await;
        tokio::time::sleep(SETTLE).await;
    }
}

/// Looks what is missing and puts it back; an error when something is still missing.
async fn mend(daemon: &Daemon, budget: &mut Budget, epoch: Instant) -> Result<(), HostError> {
    if plan(daemon).await?.1.is_empty() {
        return Ok(());
    }
    tokio::time::sleep(budget.take(Time(epoch.elapsed())).saturating_sub(SETTLE)).await;
    // What was missing may be back, or the containers may be gone.
    let (networks, plan) = plan(daemon).await?;
    let mut failed = None;
    for repair in plan {
        if let Err(error) = carry_out(daemon, &networks, &repair).await {
            tracing::warn!(?repair, %error, "not mended");
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Returns the networks, and what must be mended.
async fn plan(daemon: &Daemon) -> Result<(BTreeMap<NetworkName, NetworkSpec>, Vec<Repair>), HostError> {
    let observed = daemon.parts.net.observe().await.map_err(HostError::new)?;
    let links = Links {
        bridges: observed.bridges.into_iter().filter(|link| link.up).map(|link| link.name).collect(),
        veths: observed.veths.into_iter().filter(|link| link.up).map(|link| (link.name, link.bridge)).collect(),
        uplink: observed.uplink,
    };
    let (networks, running) = daemon.read(|state| (state.networks.clone(), running(state))).await;
    let plan = repairs(&networks, running.values().map(|container| &*container.spec), &links);
    Ok((networks, plan))
}

/// Returns the containers that run and that nobody is about to end.
fn running(state: &super::state::State) -> BTreeMap<ContainerId, Running> {
    let entries = state
        .containers
        .iter()
        .filter(|(_, entry)| entry.pid.is_some() && !entry.launching && !entry.replica.is_stopped_by_user());
    let one = |(id, entry): (&ContainerId, &super::container::Entry)| {
        let netns = entry.sandbox.as_ref()?.netns.clone()?;
        Some((id.clone(), Running { spec: Arc::clone(&entry.spec), netns }))
    };
    entries.filter_map(one).collect()
}

async fn carry_out(
    daemon: &Daemon,
    networks: &BTreeMap<NetworkName, NetworkSpec>,
    repair: &Repair,
) -> Result<(), HostError> {
    let net = &daemon.parts.net;
    match repair {
        Repair::Uplink => {
            tracing::info!("the uplink was removed; making it again");
            net.mend_way_out().await.map_err(HostError::new)
        }
        Repair::Bridge(name) => {
            let Some(network) = networks.get(name) else { return Ok(()) };
            tracing::info!(network = %name, "its bridge was removed; making it again");
            net.ensure_network(network).await.map_err(HostError::new)
        }
        Repair::Endpoint { container, network, cause } => {
            let id = container.clone();
            // It may have been stopped since.
            let Some(container) = daemon.read(move |state| running(state).remove(&id)).await else { return Ok(()) };
            let Some(network) = networks.get(network) else { return Ok(()) };
            let endpoints = container.spec.endpoints.iter().filter(|endpoint| endpoint.network == network.name);
            for endpoint in endpoints {
                net.attach(container.netns.as_fd(), endpoint, network).await.map_err(HostError::new)?;
            }
            let action = Action::Heal { cause: cause.clone(), remedy: format!("connected to {} again", network.name) };
            let id = container.spec.id.clone();
            daemon.read(move |state| state.emit(&id, action)).await;
            Ok(())
        }
    }
}

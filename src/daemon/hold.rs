//! Restarts that wait for a dependency that failed: see [`held_by`].

use super::container::label_of;
use super::state::State;
use crate::event::Action;
use crate::ids::ContainerId;
use crate::lifecycle::hold::held_by;
use crate::plan::labels;

/// Returns why a container is not started again now: `db is unhealthy`.
fn reason(state: &State, id: &ContainerId) -> Option<String> {
    let entry = state.containers.get(id)?;
    let project = label_of(&entry.spec, labels::PROJECT);
    labels::parse_depends_on(label_of(&entry.spec, labels::DEPENDS_ON)).into_iter().find_map(|edge| {
        state
            .containers
            .values()
            .filter(|other| {
                label_of(&other.spec, labels::PROJECT) == project
                    && label_of(&other.spec, labels::SERVICE) == edge.service.as_str()
            })
            .find_map(|other| {
                let replica = &other.replica;
                let why = held_by(edge.condition, replica.phase(), replica.is_stopped_by_user())?;
                Some(format!("{} {why}", edge.service))
            })
    })
}

/// Holds a restart back while a dependency has failed; tells whether it does.
pub(super) fn hold(state: &mut State, id: &ContainerId) -> bool {
    let again = state.containers.get(id).is_some_and(|entry| entry.replica.word() == "restarting");
    let Some(cause) = (if again { reason(state, id) } else { None }) else { return false };
    state.held.push(id.clone());
    state.emit(id, Action::Heal { cause, remedy: "its restart waits for that".to_owned() });
    true
}

/// Takes the containers out that need not be held any more.
pub(super) fn released(state: &mut State) -> Vec<ContainerId> {
    let held = std::mem::take(&mut state.held);
    let (kept, free) = held.into_iter().partition(|id| reason(state, id).is_some());
    state.held = kept;
    free
}

//! What an action would change, before it is done.

use axum::extract::State;
use slipway_records::deploying::ObjectChange;
use slipway_types::ApplicationName;
use slipway_types::name::EnvironmentName;

use super::actions::Action;
use super::evidence::plain;
use crate::auth::Caller;
use crate::extract::Body;
use crate::pages::parts::{Status, Tone};
use crate::pages::texts::Texts;
use crate::problem::ApiError;
use crate::rest::deployment_choices::{DeployBody, OfRunning};
use crate::rest::deployment_plans;
use crate::state::ServerState;

/// Most objects that are listed.
const OBJECTS_MAX: usize = 200;

/// What would change.
#[derive(Default)]
pub(super) struct Preview {
    pub(super) changes: Vec<ChangeRow>,
    /// How many objects are not listed, if some are not.
    pub(super) more: Option<String>,
    pub(super) violations: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// What would become of an object.
pub(super) struct ChangeRow {
    pub(super) object: String,
    pub(super) status: Status,
    /// Fields that differ, `path: old → new`.
    pub(super) fields: Vec<String>,
}

/// What an action does to what an environment runs; `None`: it makes no deployment.
pub(super) fn meaning(action: Action, generation: u64) -> Option<OfRunning> {
    match action {
        Action::RollBack => Some(OfRunning::RollBack(None)),
        Action::Return => Some(OfRunning::RollBack(Some(generation))),
        Action::Restart => Some(OfRunning::Restart),
        Action::Remove => Some(OfRunning::Remove),
        Action::Approve
        | Action::Decline
        | Action::Withdraw
        | Action::BreakGlass
        | Action::Abort
        | Action::Suspend
        | Action::Resume
        | Action::Retry
        | Action::Terminate => None,
    }
}

/// Whether it can be said what an action would change: where everything goes there is nothing to plan.
pub(super) fn has_preview(action: Action) -> bool {
    matches!(action, Action::RollBack | Action::Return | Action::Restart)
}

/// What would change in the cluster, as the API plans it.
pub(super) async fn preview(
    state: &ServerState,
    (t, caller): (&'static Texts, &Caller),
    names: (ApplicationName, EnvironmentName),
    what: OfRunning,
) -> Result<Preview, ApiError> {
    let body = DeployBody::of_running(names, what, "a plan".to_owned());
    let planned = match deployment_plans::plan(State(state.clone()), caller.clone(), Body(body)).await {
        Ok(planned) => planned.0,
        // What cannot be planned cannot be done either: that is worth knowing before.
        Err(error) if error.status().is_client_error() => {
            return Ok(Preview { violations: vec![error.in_words()], ..Preview::default() });
        }
        Err(error) => return Err(error),
    };
    let mut differing: Vec<ObjectChange> =
        planned.differences.into_iter().filter(|one| one.change != "same").collect();
    let more = differing.len().checked_sub(OBJECTS_MAX + 1).map(|more| (t.deployment.more)(more + 1));
    differing.truncate(OBJECTS_MAX);
    Ok(Preview {
        changes: differing.iter().map(|change| row(t, change)).collect(),
        more,
        violations: planned.violations.iter().map(ToString::to_string).collect(),
        notes: planned.notes,
    })
}

fn row(t: &'static Texts, change: &ObjectChange) -> ChangeRow {
    let d = t.deployment;
    let (tone, word) = match change.change {
        "create" => (Tone::Good, d.change_create),
        "update" => (Tone::Changes, d.change_update),
        "remove" => (Tone::Bad, d.change_remove),
        "keep" => (Tone::Off, d.change_keep),
        _ => (Tone::Waiting, d.change_unknown),
    };
    let fields = change.fields.iter().map(String::as_str).map(plain).collect();
    ChangeRow { object: plain(&change.object), status: Status::told(tone, word), fields }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::texts::ENGLISH;

    #[test]
    fn what_makes_a_deployment_is_known_and_removal_has_no_plan() {
        for action in Action::ALL {
            assert!(!has_preview(action) || meaning(action, 3).is_some(), "{action:?}");
        }
        assert_eq!(meaning(Action::Return, 3), Some(OfRunning::RollBack(Some(3))));
        assert!(!has_preview(Action::Remove) && meaning(Action::Approve, 3).is_none());
    }

    #[test]
    fn a_change_is_told_by_a_word_and_its_fields() {
        let change = ObjectChange {
            object: "Deployment web".to_owned(),
            change: "update",
            fields: vec!["spec.replicas: 1 → 2\u{1b}".to_owned()],
        };
        let row = row(&ENGLISH, &change);
        assert_eq!((row.status.word(), row.status.tone()), (ENGLISH.deployment.change_update, "change"));
        assert_eq!(row.fields, ["spec.replicas: 1 → 2"]);
    }
}

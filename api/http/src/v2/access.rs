//! Who may do what in which repository: `team/app/…` belongs to the application.

use slipway_types::id::ApplicationId;
use slipway_types::image::is_repository;
use slipway_types::{ApplicationName, Principal, Role};

use super::answer::{Refusal, Result};
use crate::auth::Caller;
use crate::state::ServerState;

/// What is to be done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Pull,
    Push,
    Delete,
}

/// Whether the caller holds the right in the repository.
pub(super) async fn may(
    state: &ServerState,
    caller: &Caller,
    repository: &str,
    right: Right,
) -> Result<bool> {
    if let Principal::Build { grants, .. } = &caller.0 {
        let granted = |push: bool| match right {
            Right::Pull => true,
            Right::Push => push,
            Right::Delete => false,
        };
        return Ok(grants.iter().any(|grant| grant.repository == repository && granted(grant.push)));
    }
    if let Principal::Puller { application, .. } = &caller.0 {
        return Ok(right == Right::Pull && may_run(state, *application, repository).await?);
    }
    let role = match right {
        Right::Pull => Role::Reader,
        Right::Push => Role::Developer,
        Right::Delete => Role::Admin,
    };
    // A right on the whole server needs no look at the application.
    if caller.may(role, None) {
        return Ok(true);
    }
    let Some(name) = ApplicationName::owning(repository) else { return Ok(false) };
    let application = state.records.read().await?.application_by_name(&name).await?;
    Ok(application.is_some_and(|application| caller.may(role, Some(application.id))))
}

/// Whether what an application may run lies in the repository: its bundles, packages and images, and what people pushed
/// beside them. What is frozen of its deployments (`team/app/d/…`) is read by people.
async fn may_run(state: &ServerState, application: ApplicationId, repository: &str) -> Result<bool> {
    let Some(name) = ApplicationName::owning(repository) else { return Ok(false) };
    if repository.split('/').nth(2) == Some("d") {
        return Ok(false);
    }
    let found = state.records.read().await?.application_by_name(&name).await?;
    Ok(found.is_some_and(|found| found.id == application))
}

/// Refuses callers without the right. What may not be pulled is not found.
pub(super) async fn allow(
    state: &ServerState,
    caller: &Caller,
    repository: &str,
    right: Right,
) -> Result<()> {
    if !is_repository(repository) {
        let message = "use lower-case path components of letters and digits";
        return Err(Refusal::new(axum::http::StatusCode::BAD_REQUEST, "NAME_INVALID", message));
    }
    if may(state, caller, repository, right).await? {
        return Ok(());
    }
    match right {
        Right::Pull => Err(Refusal::name_unknown(repository)),
        Right::Push => {
            Err(Refusal::denied(format!("pushing to `{repository}` needs the role developer there")))
        }
        Right::Delete => {
            Err(Refusal::denied(format!("deleting in `{repository}` needs the role admin there")))
        }
    }
}

//! Who uses a secret, and rotating one with all who do.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::Read;
use slipway_records::deploying::{SecretName, SecretUser, SecretUserKind};
use slipway_types::name::EnvironmentName;
use slipway_types::secret::SecretProvider;
use slipway_types::state::DeploymentState;
use slipway_types::{ApplicationName, Role, SecretReference};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::deployment_choices::DeployBody;
use super::deployment_views::DeploymentView;
use super::deployments;
use super::environments;
use super::labels::checked_reason;
use super::secrets::{ScopeQuery, SecretView, checked_name, entry, unknown};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// How long a rotation looks for who uses the secret.
const USERS_WITHIN: Duration = Duration::from_secs(15);

/// A secret's next value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    pub(crate) value: String,
    /// Whether everything that runs with it is restarted: the same revisions, with nothing moved but
    /// versions of secrets, through their gates.
    #[serde(default)]
    pub(crate) restart: bool,
    /// Why; kept with the restarts.
    pub(crate) reason: Option<String>,
}

/// Who uses a secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    /// What each is, with the version that it has.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<SecretUser>,
}

/// What became of one user of a rotated secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestartView {
    pub(crate) application: String,
    pub(crate) environment: String,
    /// The new deployment; watch it.
    pub(crate) deployment: Option<String>,
    pub(crate) generation: Option<u64>,
    /// Why there is none.
    pub(crate) problem: Option<String>,
    /// What to do then.
    pub(crate) hint: Option<String>,
}

/// A rotated secret with all who use it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RotationView {
    pub(crate) secret: SecretView,
    /// Who uses it, with the version that each has.
    #[schema(value_type = Vec<Object>)]
    pub(crate) users: Vec<SecretUser>,
    /// What was restarted, if that was asked.
    pub(crate) restarts: Vec<RestartView>,
    /// Why it is not known who uses it; then nothing was restarted.
    pub(crate) problem: Option<String>,
}

/// The secret that a path names: a name with its scope, or a reference into a cluster.
async fn named(
    caller: &Caller,
    read: &mut dyn Read,
    name: &str,
    query: &ScopeQuery,
) -> Result<SecretName, ApiError> {
    if !name.starts_with("secret://") {
        checked_name(name)?;
        let scope = Some(query.scope(caller, read).await?);
        return Ok(SecretName { reference: SecretReference::builtin(name), scope });
    }
    caller.on_server(Role::Operator)?;
    let reference: SecretReference =
        name.parse().map_err(|error| ApiError::bad_request("bad_secret", format!("{error}")))?;
    if reference.provider != SecretProvider::Kubernetes {
        let detail = "a built-in secret goes by its name and scope, others are the server's own";
        return Err(ApiError::bad_request("bad_secret", detail));
    }
    Ok(SecretName { reference, scope: None })
}

/// Who uses a secret.
#[utoipa::path(get, path = "/api/v1/secrets/{secret}/users", tag = "secrets",
    params(("secret" = String, Path, description = "a name, or a reference secret://kubernetes/…"), ScopeQuery),
    responses((status = 200, body = UserList)))]
pub(crate) async fn users(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ScopeQuery>,
) -> Result<Json<UserList>, ApiError> {
    let mut read = state.records.read().await?;
    let secret = named(&caller, read.as_mut(), &name, &query).await?;
    if let Some(scope) = &secret.scope
        && read.secret_get(&scope.key(&name)).await?.is_none()
    {
        return Err(unknown(&name));
    }
    drop(read);
    let users = state.deploying.secret_users(&secret).await.map_err(ApiError::of_fault)?;
    Ok(Json(UserList { items: users }))
}

/// Gives a secret its next value, tells who uses it, and restarts those if that is asked: each by itself,
/// so that one that cannot be restarted keeps no other from it.
#[utoipa::path(post, path = "/api/v1/secrets/{secret}/rotate", tag = "secrets",
    params(("secret" = String, Path), ScopeQuery), request_body = RotateBody,
    responses((status = 200, body = RotationView)))]
pub(crate) async fn rotate(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ScopeQuery>,
    Body(body): Body<RotateBody>,
) -> Result<Json<RotationView>, ApiError> {
    let value = SecretString::from(body.value);
    let reason = checked_reason(body.reason)?;
    let mut read = state.records.read().await?;
    let scope = query.scope(&caller, read.as_mut()).await?;
    checked_name(&name)?;
    if read.secret_get(&scope.key(&name)).await?.is_none() {
        return Err(unknown(&name));
    }
    drop(read);
    // Before anything is stored: restarts follow at once. But a secret that leaked is rotated, whatever else
    // cannot be read.
    let secret = SecretName { reference: SecretReference::builtin(&name), scope: Some(scope.clone()) };
    let (users, problem) = match timeout(USERS_WITHIN, state.deploying.secret_users(&secret)).await {
        Ok(Ok(users)) => (users, None),
        Ok(Err(fault)) => (Vec::new(), Some(format!("who uses it cannot be told: {}", fault.message))),
        Err(_) => (Vec::new(), Some(format!("who uses it could not be told within {USERS_WITHIN:?}"))),
    };
    let mut tx = state.records.begin().await?;
    if tx.secret_get(&scope.key(&name)).await?.is_none() {
        return Err(unknown(&name));
    }
    let row = state.secrets.set_within(tx.as_mut(), &scope, &name, &value, caller.name()).await?;
    let detail = json!({"scope": scope, "version": row.version, "restart": body.restart, "reason": reason});
    tx.audit(entry(&caller, "secret.rotate", &scope, &name, detail)).await?;
    tx.commit().await?;
    state.webhook_secrets.forget_all();
    let mut restarts = Vec::new();
    if body.restart {
        let why = reason.unwrap_or_else(|| format!("the secret `{name}` was rotated"));
        for user in users.iter().filter(|user| user.kind == SecretUserKind::Running) {
            restarts.extend(restart(&state, &caller, user, &why).await);
        }
    }
    Ok(Json(RotationView { secret: row.into(), users, restarts, problem }))
}

/// Restarts what runs in one place, if it runs as it should and nothing is on its way there.
async fn restart(state: &ServerState, caller: &Caller, user: &SecretUser, why: &str) -> Option<RestartView> {
    let (application, environment) = (user.application.clone()?, user.environment.clone()?);
    let mut shown = RestartView {
        application: application.to_string(),
        environment: environment.to_string(),
        deployment: None,
        generation: None,
        problem: None,
        hint: None,
    };
    let made = match &user.problem {
        None => made_again(state, caller, &application, &environment, why).await,
        Some(problem) => {
            let detail = format!("whether it uses the secret is not known: {problem}");
            Err(ApiError::conflict("revision_unreadable", detail)
                .hint(format!("if it does: {}", by_hand(&application, &environment))))
        }
    };
    match made {
        Ok(made) => {
            shown.deployment = Some(made.id);
            shown.generation = Some(made.generation);
        }
        Err(error) => {
            shown.problem = Some(error.detail().to_owned());
            shown.hint = error.way_out().map(str::to_owned);
        }
    }
    Some(shown)
}

/// The command that restarts one place.
fn by_hand(application: &ApplicationName, environment: &EnvironmentName) -> String {
    format!("slipway deploy restart {application} --env {environment} --secrets-only --reason …")
}

async fn made_again(
    state: &ServerState,
    caller: &Caller,
    application: &ApplicationName,
    environment: &EnvironmentName,
    why: &str,
) -> Result<DeploymentView, ApiError> {
    let mut tx = state.records.begin().await?;
    let row = tx.application_by_name(application).await?;
    let row = row.ok_or_else(|| ApiError::not_found("application", application))?;
    let place = environments::found(tx.as_mut(), environment).await?;
    let open = tx.deployments_open(place.id, row.id).await?;
    let again = by_hand(application, environment);
    if let Some(ahead) = open.iter().find(|deployment| deployment.state.is_pending()) {
        let (generation, version) = (ahead.generation, &ahead.bundle_version);
        let detail =
            format!("generation {generation} ({version}) is on its way there and would be superseded");
        return Err(ApiError::conflict("deployment_ahead", detail)
            .hint(format!("let it arrive or withdraw it, then: {again}")));
    }
    let out = tx.deployments_out().await?;
    let runs = out.iter().find(|out| out.environment_id == place.id && out.application_id == row.id);
    if let Some(runs) = runs
        && let Some((why_not, what)) = unfit(&runs.state)
    {
        let detail = format!("generation {} {why_not}", runs.generation);
        let hint = what.replace("PLACE", &format!("{application}@{environment}"));
        return Err(ApiError::conflict("not_running", detail).hint(format!("{hint}, then: {again}")));
    }
    let body = DeployBody::rotation(application.clone(), environment.clone(), Some(why.to_owned()));
    let made = deployments::make_within(tx.as_mut(), caller, &body).await?;
    tx.commit().await?;
    Ok(made)
}

/// Why what is in a state is not restarted by itself, and what to do first; `None`: it is. A restart would
/// start what somebody stopped, and supersede what is under way.
fn unfit(state: &DeploymentState) -> Option<(String, &'static str)> {
    let word = state.word();
    let stopped = "if it shall run";
    let (why, what) = match state {
        DeploymentState::Live
        | DeploymentState::Degraded { .. }
        | DeploymentState::Unreachable { .. }
        | DeploymentState::Delivered { .. } => return None,
        DeploymentState::Suspended { by } => {
            (format!("is suspended ({by})"), "let it go on (slipway deploy resume PLACE) and arrive")
        }
        DeploymentState::Failed { .. } | DeploymentState::TimedOut { .. } => {
            (format!("is {word}"), "see why (slipway deploy show PLACE)")
        }
        DeploymentState::Terminating { by } | DeploymentState::Terminated { by } => {
            (format!("was stopped by {by}"), stopped)
        }
        DeploymentState::Deleting { by } => (format!("is being taken away by {by}"), stopped),
        _ => (format!("is under way ({word}) and would be superseded"), "let it arrive"),
    };
    Some((why, what))
}

#[cfg(test)]
mod tests {
    use slipway_types::Fault;

    use super::*;

    #[test]
    fn only_what_runs_as_it_should_is_restarted() {
        let fit = [
            DeploymentState::Live,
            DeploymentState::Degraded { why: "x".into() },
            DeploymentState::Unreachable { since: chrono::Utc::now() },
            DeploymentState::Delivered { artifact: "x".into() },
        ];
        for state in fit {
            assert!(unfit(&state).is_none(), "{state:?}");
        }
        let fault = Fault::permanent("x", "y");
        let left_alone = [
            DeploymentState::Suspended { by: "ann".into() },
            DeploymentState::Failed { node: None, fault },
            DeploymentState::TimedOut { node: None, which: "x".into() },
            DeploymentState::Terminating { by: "ann".into() },
            DeploymentState::Terminated { by: "ann".into() },
            DeploymentState::Deleting { by: "ann".into() },
            DeploymentState::HandedOff { run: "x".into() },
            DeploymentState::Progressing { blocker: None },
        ];
        for state in left_alone {
            assert!(
                unfit(&state).is_some_and(|(why, what)| !why.is_empty() && !what.is_empty()),
                "{state:?}"
            );
        }
    }
}

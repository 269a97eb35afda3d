//! Who uses a secret, and rotating one with all who do.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::deploying::{SecretName, SecretUser};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Read, Rotation, SecretRow, Write};
use slipway_types::secret::SecretProvider;
use slipway_types::{Role, SecretReference};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::labels::checked_reason;
use super::secrets::{ScopeQuery, SecretView, checked_name, entry, unknown};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// How long a rotation looks for who uses the secret.
const USERS_WITHIN: Duration = Duration::from_secs(15);
/// How often restarts are tried while the database or the object store fails: for about four minutes.
const RESTART_ATTEMPTS_MAX: u32 = 10;

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

/// A rotated secret with all who use it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RotationView {
    pub(crate) secret: SecretView,
    /// Who uses it, with the version that each has.
    #[schema(value_type = Vec<Object>)]
    pub(crate) users: Vec<SecretUser>,
    /// Whether what runs with it is being restarted now: `GET /api/v1/secrets/{secret}/restarts/{version}` tells what
    /// becomes of it.
    pub(crate) restarting: bool,
    /// Why it is not known who uses it. The restarts look for themselves.
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

/// Gives a secret its next value, and tells who uses it. Those are restarted if that is asked: by a job, which is
/// stored with the value, each by itself, so that one that cannot be restarted keeps no other from it.
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
    // Before anything is stored: who is not answered has changed nothing. But a secret that leaked is rotated,
    // whatever else cannot be read.
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
    if body.restart {
        let reason = reason.unwrap_or_else(|| format!("the secret `{name}` was rotated"));
        ask_for_restarts(tx.as_mut(), &caller, &row, reason).await?;
    }
    tx.commit().await?;
    state.webhook_secrets.forget_all();
    Ok(Json(RotationView { secret: row.into(), users, restarting: body.restart, problem }))
}

/// Whoever may rotate a secret may restart all that sees it: one of an application is its operators', wider ones are
/// the administrators'.
async fn ask_for_restarts(
    tx: &mut dyn Write,
    caller: &Caller,
    row: &SecretRow,
    reason: String,
) -> Result<(), ApiError> {
    let rotation = Rotation {
        secret: row.name.clone(),
        version: row.version,
        reason,
        person: caller.0.person().to_owned(),
        actor: caller.name().to_owned(),
        started_at: row.set_at,
        ended_at: None,
        problem: None,
    };
    tx.rotation_insert(&rotation).await?;
    let job = JobPayload::Rotate { secret: rotation.secret, version: rotation.version };
    tx.job_enqueue(NewJob { attempts_max: RESTART_ATTEMPTS_MAX, ..NewJob::new(job, None) }).await?;
    Ok(())
}

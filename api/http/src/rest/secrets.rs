//! Built-in secrets: names and versions, never values.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use slipway_records::SecretRow;
use slipway_types::Role;
use utoipa::ToSchema;

use super::list::List;
use crate::auth::Caller;
use crate::extract::{Body, Path};
use crate::problem::ApiError;
use crate::state::ServerState;

/// As much of an unknown name as an answer repeats, in characters.
const NAME_CHARS_MAX: usize = 120;

/// A secret without its value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretView {
    name: String,
    /// How `slipway.yaml` and sources name it.
    reference: String,
    /// Counts from 1 with every new value.
    version: u64,
    set_by: String,
    set_at: DateTime<Utc>,
}

/// A secret's new value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {
    value: String,
}

impl From<SecretRow> for SecretView {
    fn from(row: SecretRow) -> Self {
        Self {
            reference: format!("secret://builtin/{}", row.name),
            name: row.name,
            version: row.version,
            set_by: row.set_by,
            set_at: row.set_at,
        }
    }
}

/// All secrets, without their values.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", responses((status = 200, body = List<SecretView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<List<SecretView>>, ApiError> {
    caller.on_server(Role::Admin)?;
    let rows = state.secrets.list().await?;
    Ok(Json(List::whole(rows.into_iter().map(SecretView::from).collect())))
}

/// Sets a secret.
#[utoipa::path(put, path = "/api/v1/secrets/{secret}", tag = "secrets", params(("secret" = String, Path)),
    request_body = NewSecret, responses((status = 200, body = SecretView)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
    Body(secret): Body<NewSecret>,
) -> Result<Json<SecretView>, ApiError> {
    caller.on_server(Role::Admin)?;
    let value = SecretString::from(secret.value);
    let row = state.secrets.set(&name, &value, caller.name()).await?;
    state.webhook_secrets.forget_all();
    Ok(Json(row.into()))
}

/// Removes a secret.
#[utoipa::path(delete, path = "/api/v1/secrets/{secret}", tag = "secrets", params(("secret" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.on_server(Role::Admin)?;
    if !state.secrets.remove(&name).await? {
        return Err(ApiError::not_found("secret", name.chars().take(NAME_CHARS_MAX).collect::<String>()));
    }
    state.webhook_secrets.forget_all();
    Ok(StatusCode::NO_CONTENT)
}

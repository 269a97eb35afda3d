//! Component types, traits, policies and workflow steps.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use slipway_types::Role;

use super::list::List;
use crate::auth::Caller;
use crate::extract::Path;
use crate::problem::ApiError;
use crate::state::ServerState;

/// All definitions.
#[utoipa::path(get, path = "/api/v1/definitions", tag = "definitions",
    responses((status = 200, body = List<Object>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<List<Value>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let items = match state.deploying.definitions() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    Ok(Json(List::whole(items)))
}

/// One definition, with the schema of its properties.
#[utoipa::path(get, path = "/api/v1/definitions/{kind}/{name}", tag = "definitions",
    params(("kind" = String, Path, description = "`component`, `trait`, `policy` or `step`"), ("name" = String, Path)),
    responses((status = 200, body = Object)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let found = state.deploying.definition(&kind, &name).ok_or_else(|| {
        let name: String = name.chars().take(80).collect();
        ApiError::not_found("definition", name).hint("`slipway definition list` shows those there are")
    })?;
    Ok(Json(found))
}

//! The major version of each definition that an application holds.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::{DefinitionHold, NewAuditEntry};
use slipway_types::name::DefinitionName;
use slipway_types::{ApplicationName, DefinitionKind, Role};
use utoipa::ToSchema;

use super::list::{List, NamePageQuery};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// A major version that an application keeps to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldView {
    /// `component`, `trait`, `policy` or `step`.
    #[schema(value_type = String)]
    kind: DefinitionKind,
    name: String,
    major: u64,
    set_at: DateTime<Utc>,
    set_by: String,
}

/// Which major version is to be held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldWish {
    pub(crate) major: u64,
}

/// The major versions that an application holds, by kind and name.
#[utoipa::path(get, path = "/api/v1/applications/{application}/definitions", tag = "definitions",
    params(("application" = String, Path), NamePageQuery), responses((status = 200, body = List<HoldView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<HoldView>>, ApiError> {
    let page = query.page::<String>()?;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    let view = |hold: DefinitionHold| HoldView {
        kind: hold.kind,
        name: hold.name.to_string(),
        major: hold.major,
        set_at: hold.set_at,
        set_by: hold.set_by,
    };
    let holds = read.definition_holds(Some(application.id)).await?;
    let keyed = |hold: DefinitionHold| (format!("{}/{}", hold.kind, hold.name), view(hold));
    Ok(Json(page.cut(holds.into_iter().map(keyed).collect())))
}

fn entry(
    caller: &Caller,
    action: &'static str,
    application: &ApplicationName,
    detail: serde_json::Value,
) -> NewAuditEntry {
    let subject = format!("application/{application}");
    NewAuditEntry { actor: caller.name().to_owned(), action, subject, detail }
}

/// Holds another major version, from the next plan on.
#[utoipa::path(put, path = "/api/v1/applications/{application}/definitions/{kind}/{name}", tag = "definitions",
    params(("application" = String, Path), ("kind" = String, Path), ("name" = String, Path)),
    request_body = HoldWish, responses((status = 204)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, kind, name)): Path<(ApplicationName, DefinitionKind, DefinitionName)>,
    Body(wish): Body<HoldWish>,
) -> Result<StatusCode, ApiError> {
    let known = state.defining.known().await.map_err(ApiError::of_fault)?.usable;
    let same = || known.iter().filter(|known| known.kind == kind && known.name == name);
    if same().all(|known| known.version.core().0 != wish.major) {
        let there: Vec<String> = same().map(|known| known.version.to_string()).collect();
        let hint = match there.as_slice() {
            [] => "`slipway definition list` shows those there are".to_owned(),
            there => format!("there is {}", there.join(", ")),
        };
        let detail = format!("there is no version {} of the {} `{name}`", wish.major, kind.noun());
        return Err(ApiError::conflict("no_such_major", detail).hint(hint));
    }
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &application, Role::Operator).await?;
    let hold = DefinitionHold {
        application_id: application.id,
        kind,
        name,
        major: wish.major,
        set_at: Utc::now(),
        set_by: caller.name().to_owned(),
    };
    tx.definition_hold_put(&hold).await?;
    let detail = json!({"definition": format!("{kind}/{}", hold.name), "major": hold.major});
    tx.audit(entry(&caller, "definition.hold", &application.name, detail)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets go: the next deployment takes the newest and holds that.
#[utoipa::path(delete, path = "/api/v1/applications/{application}/definitions/{kind}/{name}", tag = "definitions",
    params(("application" = String, Path), ("kind" = String, Path), ("name" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn release(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, kind, name)): Path<(ApplicationName, DefinitionKind, DefinitionName)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.records.begin().await?;
    let application = caller.application(tx.as_mut(), &application, Role::Operator).await?;
    if !tx.definition_hold_remove(application.id, kind, &name).await? {
        let detail = format!("`{}` holds no version of the {} `{name}`", application.name, kind.noun());
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", detail));
    }
    let detail = json!({"definition": format!("{kind}/{name}")});
    tx.audit(entry(&caller, "definition.release", &application.name, detail)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

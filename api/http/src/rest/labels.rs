//! Labels that people set on published versions.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use slipway_records::{LabelChange, NewAuditEntry, PackageVersion};
use slipway_types::label::{LabelKey, LabelOrigin, LabelValue};
use slipway_types::{ApplicationName, ComponentName, Role, Version};
use utoipa::{IntoParams, ToSchema};

use super::following;
use super::precondition::Precondition;
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// A label's new value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLabel {
    #[schema(value_type = String)]
    value: LabelValue,
    /// Why; kept in the history.
    reason: Option<String>,
    /// The value it must have now; `null`: it must not exist. Unchecked if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    if_current: Precondition<LabelValue>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removal {
    /// Why; kept in the history.
    reason: Option<String>,
}

/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 500;

/// A reason that can be kept.
pub(crate) fn checked_reason(reason: Option<String>) -> Result<Option<String>, ApiError> {
    match &reason {
        Some(text) if text.chars().count() > REASON_CHARS_MAX => Err(ApiError::bad_request(
            "bad_body",
            format!("reason: longer than {REASON_CHARS_MAX} characters"),
        )),
        _ => Ok(reason),
    }
}

/// Which label of which version.
pub(crate) struct Place {
    pub(crate) application: ApplicationName,
    /// `None`: of the bundle.
    pub(crate) component: Option<ComponentName>,
    pub(crate) version: Version,
    pub(crate) key: LabelKey,
}

/// What shall stand there.
pub(crate) struct Wish {
    /// `None`: nothing.
    pub(crate) value: Option<LabelValue>,
    pub(crate) reason: Option<String>,
    pub(crate) if_current: Precondition<LabelValue>,
}

/// What the audit record calls a version.
pub(crate) fn subject_of(application: &ApplicationName, version: &PackageVersion) -> String {
    match &version.component {
        Some(component) => format!("package/{application}/{component}/{}", version.version),
        None => format!("bundle/{application}/{}", version.version),
    }
}

/// What the audit record keeps of a change.
fn entry(
    caller: &Caller,
    application: &ApplicationName,
    version: &PackageVersion,
    change: &LabelChange,
    role: Role,
) -> NewAuditEntry {
    NewAuditEntry {
        actor: caller.name().to_owned(),
        action: if change.new.is_some() { "label.set" } else { "label.remove" },
        subject: subject_of(application, version),
        detail: json!({
            "label": change.key, "from": version.labels.get(&change.key), "to": change.new,
            "reason": change.reason, "protected": role == Role::Operator,
        }),
    }
}

/// Sets or removes a label, if the caller may.
pub(crate) async fn change(
    state: &ServerState,
    caller: &Caller,
    place: Place,
    wish: Wish,
) -> Result<StatusCode, ApiError> {
    let reason = checked_reason(wish.reason)?;
    if place.key.origin() != LabelOrigin::People {
        let detail = format!("label `{}` is not people's to set: it came with the version", place.key);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "label_reserved", detail)
            .hint("choose a key without `source/` or `slipway/`"));
    }
    let mut tx = state.records.begin().await?;
    let role = following::role_for_label(tx.as_mut(), &place.key).await?;
    let application = caller.application(tx.as_mut(), &place.application, role).await?;
    let version = tx.version_find(application.id, place.component.as_ref(), &place.version).await?;
    let version = version.ok_or_else(|| ApiError::not_found("version", &place.version))?;
    if version.labels.get(&place.key) == wish.value.as_ref() && wish.if_current == Precondition::Unchecked {
        return Ok(StatusCode::NO_CONTENT);
    }
    let (check, old) = match wish.if_current {
        Precondition::Unchecked => (false, None),
        Precondition::Current(current) => (true, current),
    };
    let change = LabelChange {
        version_id: version.id,
        key: place.key.clone(),
        check,
        old,
        new: wish.value,
        by: caller.name().to_owned(),
        reason,
    };
    if !tx.label_change(&change).await? {
        let current = version.labels.get(&place.key);
        let current = current.map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
        return Err(ApiError::conflict("label_moved", format!("label `{}` is {current} now", place.key)));
    }
    tx.audit(entry(caller, &application.name, &version, &change, role)).await?;
    if version.component.is_none() {
        following::bundle_changed(tx.as_mut(), application.id, version.id).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a label on a bundle.
#[utoipa::path(put, path = "/api/v1/bundles/{application}/{version}/labels/{key}", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("key" = String, Path)),
    request_body = NewLabel, responses((status = 204)))]
pub(crate) async fn put_on_bundle(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, key)): Path<(ApplicationName, Version, LabelKey)>,
    Body(label): Body<NewLabel>,
) -> Result<StatusCode, ApiError> {
    let place = Place { application, component: None, version, key };
    let wish = Wish { value: Some(label.value), reason: label.reason, if_current: label.if_current };
    change(&state, &caller, place, wish).await
}

/// Removes a label from a bundle.
#[utoipa::path(delete, path = "/api/v1/bundles/{application}/{version}/labels/{key}", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path), ("key" = String, Path), Removal),
    responses((status = 204)))]
pub(crate) async fn remove_from_bundle(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version, key)): Path<(ApplicationName, Version, LabelKey)>,
    Query(removal): Query<Removal>,
) -> Result<StatusCode, ApiError> {
    let place = Place { application, component: None, version, key };
    change(
        &state,
        &caller,
        place,
        Wish { value: None, reason: removal.reason, if_current: Precondition::Unchecked },
    )
    .await
}

/// Sets a label on a component package.
#[utoipa::path(put, path = "/api/v1/packages/{application}/{component}/{version}/labels/{key}", tag = "packages",
    params(("application" = String, Path), ("component" = String, Path), ("version" = String, Path), ("key" = String, Path)),
    request_body = NewLabel, responses((status = 204)))]
pub(crate) async fn put_on_package(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, component, version, key)): Path<(ApplicationName, ComponentName, Version, LabelKey)>,
    Body(label): Body<NewLabel>,
) -> Result<StatusCode, ApiError> {
    let place = Place { application, component: Some(component), version, key };
    let wish = Wish { value: Some(label.value), reason: label.reason, if_current: label.if_current };
    change(&state, &caller, place, wish).await
}

/// Removes a label from a component package.
#[utoipa::path(delete, path = "/api/v1/packages/{application}/{component}/{version}/labels/{key}", tag = "packages",
    params(("application" = String, Path), ("component" = String, Path), ("version" = String, Path), ("key" = String, Path), Removal),
    responses((status = 204)))]
pub(crate) async fn remove_from_package(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, component, version, key)): Path<(ApplicationName, ComponentName, Version, LabelKey)>,
    Query(removal): Query<Removal>,
) -> Result<StatusCode, ApiError> {
    let place = Place { application, component: Some(component), version, key };
    change(
        &state,
        &caller,
        place,
        Wish { value: None, reason: removal.reason, if_current: Precondition::Unchecked },
    )
    .await
}

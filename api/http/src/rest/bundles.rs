//! Bundles.

use axum::Json;
use axum::extract::State;
use slipway_types::{ApplicationName, Role, Version};

use super::list::List;
use super::run_views::names_of;
use super::version_views::{BundleView, VersionQuery, bundle_view};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Bundles, newest first.
#[utoipa::path(get, path = "/api/v1/bundles", tag = "bundles", params(VersionQuery),
    responses((status = 200, body = List<BundleView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<VersionQuery>,
) -> Result<Json<List<BundleView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let page = query.page()?;
    if query.component.is_some() {
        return Err(ApiError::bad_request("bad_query", "component: only /packages can be filtered by it"));
    }
    let mut read = state.records.read().await?;
    let mut filter = query.filter(&caller, read.as_mut()).await?;
    filter.component = Some(None);
    let versions = read.version_list(&filter, page.clone()).await?;
    let names = names_of(read.as_mut(), versions.iter().map(|version| version.application_id)).await?;
    let mut rows = Vec::with_capacity(versions.len());
    for version in &versions {
        rows.push((version.id.as_uuid(), bundle_view(&state, version, &names[&version.application_id])?));
    }
    Ok(Json(List::page(&page, rows)))
}

/// One bundle.
#[utoipa::path(get, path = "/api/v1/bundles/{application}/{version}", tag = "bundles",
    params(("application" = String, Path), ("version" = String, Path)), responses((status = 200, body = BundleView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, version)): Path<(ApplicationName, Version)>,
) -> Result<Json<BundleView>, ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &application, Role::Reader).await?;
    let found = read.version_find(application.id, None, &version).await?;
    let found = found.ok_or_else(|| ApiError::not_found("bundle version", &version))?;
    Ok(Json(bundle_view(&state, &found, &application.name.to_string())?))
}

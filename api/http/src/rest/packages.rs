//! Component packages.

use axum::Json;
use axum::extract::State;
use slipway_records::PackageVersion;
use slipway_types::{ApplicationName, ComponentName, Role, Version};

use super::list::List;
use super::run_views::names_of;
use super::version_views::{PackageView, VersionQuery, find_version, package_view};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Component packages, newest first.
#[utoipa::path(get, path = "/api/v1/packages", tag = "packages", params(VersionQuery),
    responses((status = 200, body = List<PackageView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<VersionQuery>,
) -> Result<Json<List<PackageView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let page = query.page()?;
    let mut read = state.records.read().await?;
    let mut filter = query.filter(&caller, read.as_mut()).await?;
    filter.component = query.component.clone().map(Some);
    let versions = read.version_list(&filter, page.clone()).await?;
    let names = names_of(read.as_mut(), versions.iter().map(|version| version.application_id)).await?;
    // The cursor counts bundles too where no component was asked for; they are left out of the items.
    let next =
        versions.last().filter(|_| versions.len() >= page.limit as usize).map(|last| last.id.to_string());
    let is_package = |version: &&PackageVersion| version.component.is_some();
    let views = versions.iter().filter(is_package);
    let views = views.map(|version| package_view(&state, version, &names[&version.application_id]));
    Ok(Json(List { items: views.collect::<Result<_, _>>()?, next }))
}

/// One version of a component package.
#[utoipa::path(get, path = "/api/v1/packages/{application}/{component}/{version}", tag = "packages",
    params(("application" = String, Path), ("component" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = PackageView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, component, version)): Path<(ApplicationName, ComponentName, Version)>,
) -> Result<Json<PackageView>, ApiError> {
    let mut read = state.records.read().await?;
    let (application, found) =
        find_version(&caller, read.as_mut(), &application, Some(&component), &version).await?;
    Ok(Json(package_view(&state, &found, &application.name.to_string())?))
}

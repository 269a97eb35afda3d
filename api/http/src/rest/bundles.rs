//! Bundles.

use axum::Json;
use axum::extract::State;
use slipway_records::{PackageVersion, Read};
use slipway_types::id::ApplicationId;
use slipway_types::selection::Selection;
use slipway_types::{ApplicationName, Role, Version};

use super::bundle_query::{BundleList, BundleQuery, PickView};
use super::list::List;
use super::run_views::names_of;
use super::signatures;
use super::version_views::{BundleView, bundle_view, find_version};
use super::{channels, environments};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Bundles, listed or selected.
#[utoipa::path(get, path = "/api/v1/bundles", tag = "bundles", params(BundleQuery),
    responses((status = 200, body = BundleList)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<BundleQuery>,
) -> Result<Json<BundleList>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let mut read = state.records.read().await?;
    if query.selects() {
        return select(&state, &caller, read.as_mut(), &query).await.map(Json);
    }
    let query = query.listed()?;
    let page = query.page()?;
    let mut filter = query.filter(&caller, read.as_mut()).await?;
    filter.component = Some(None);
    let versions = read.version_list(&filter, page.clone()).await?;
    let rows = versions.iter().map(|version| (version.id.as_uuid(), ())).collect();
    let next = List::<()>::page(&page, rows).next;
    let items = views(&state, read.as_mut(), &versions).await?;
    Ok(Json(BundleList { items, next, explanation: None }))
}

async fn views(
    state: &ServerState,
    read: &mut dyn Read,
    versions: &[PackageVersion],
) -> Result<Vec<BundleView>, ApiError> {
    let names = names_of(read, versions.iter().map(|version| version.application_id)).await?;
    let ids: Vec<_> = versions.iter().map(|version| version.id).collect();
    let holding = read.declared_checks_holding(&ids).await?;
    let view = |version: &PackageVersion| {
        let holding = holding.iter().filter(|check| check.version_id == version.id);
        bundle_view(state, version, &names[&version.application_id], holding)
    };
    versions.iter().map(view).collect()
}

fn selected_application(query: &BundleQuery) -> Result<&ApplicationName, ApiError> {
    query.application.as_ref().ok_or_else(|| {
        ApiError::bad_request(
            "bad_query",
            "application: bundles are selected within one application; name it",
        )
    })
}

/// Refuses a selection by a channel or an environment that is not there: nothing is ever found by it, which
/// looks as if nothing were published.
pub(crate) async fn check_named(
    read: &mut dyn Read,
    application: ApplicationId,
    selection: &Selection,
) -> Result<(), ApiError> {
    if let Some(channel) = &selection.channel {
        channels::found(read, application, channel).await?;
    }
    if let Some(environment) = &selection.deployed_in {
        environments::found(read, environment).await?;
    }
    Ok(())
}

async fn select(
    state: &ServerState,
    caller: &Caller,
    read: &mut dyn Read,
    query: &BundleQuery,
) -> Result<BundleList, ApiError> {
    let application = selected_application(query)?;
    let (selection, page) = (query.selection(true)?, query.selection_page()?);
    let application = caller.application(read, application, Role::Reader).await?;
    check_named(read, application.id, &selection).await?;
    let selected = read.select(application.id, &selection, &page, query.explains()).await?;
    let items = views(state, read, &selected.versions).await?;
    let next = selected.next.map(|next| next.to_string());
    Ok(BundleList { items, next, explanation: selected.explanation })
}

/// The bundle that a selection leads to, and why: what a deployment by that selection would take.
#[utoipa::path(get, path = "/api/v1/bundles/pick", tag = "bundles", params(BundleQuery),
    responses((status = 200, body = PickView)))]
pub(crate) async fn pick(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<BundleQuery>,
) -> Result<Json<PickView>, ApiError> {
    if query.limit.is_some() || query.after.is_some() {
        return Err(ApiError::bad_request("bad_query", "limit, after: a pick is one bundle, not a list"));
    }
    let application = selected_application(&query)?;
    let selection = query.selection(false)?;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), application, Role::Reader).await?;
    check_named(read.as_mut(), application.id, &selection).await?;
    let picked = read.pick(application.id, &selection, query.order()).await?;
    let found = picked.version.as_slice();
    let bundle = views(&state, read.as_mut(), found).await?.pop();
    Ok(Json(PickView { bundle, explanation: picked.explanation }))
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
    let (application, found) = find_version(&caller, read.as_mut(), &application, None, &version).await?;
    let holding = read.declared_checks_holding(&[found.id]).await?;
    drop(read);
    let mut shown = bundle_view(&state, &found, &application.name.to_string(), holding.iter())?;
    shown.signatures = Some(signatures::of_bundle(&state, &application.name, &found).await?);
    Ok(Json(shown))
}

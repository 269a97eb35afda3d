//! Lists: repositories, tags, referrers.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, LINK};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use slipway_oci::builtin::RegistryError;
use slipway_types::Role;
use url::form_urlencoded;

use super::access::{Right, allow};
use super::answer::{Refusal, Result, header_value};
use super::manifests::INDEX;
use crate::auth::Caller;
use crate::state::ServerState;

/// The largest page, and the one if nobody says otherwise.
const ROWS_MAX: u32 = 900;
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// The value of a query parameter.
pub(super) fn parameter(request: &Parts, name: &str) -> Option<String> {
    let query = request.uri.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// How many rows, and after which.
fn page(request: &Parts) -> Result<(u32, Option<String>)> {
    let rows = match parameter(request, "n") {
        None => ROWS_MAX,
        Some(text) => text
            .parse::<u32>()
            .map_err(|_| {
                Refusal::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "n is not a number")
            })?
            .min(ROWS_MAX),
    };
    Ok((rows, parameter(request, "last").filter(|last| !last.is_empty())))
}

/// A page of names, of which one more than `rows` was asked for.
fn names(
    path: &str,
    rows: u32,
    mut names: Vec<String>,
    body: impl Fn(&[String]) -> serde_json::Value,
) -> Result<Response> {
    let more = names.len() > rows as usize;
    names.truncate(rows as usize);
    let mut response = Json(body(&names)).into_response();
    if let Some(last) = names.last().filter(|_| more) {
        let last: String = form_urlencoded::byte_serialize(last.as_bytes()).collect();
        let link = format!("<{path}?n={rows}&last={last}>; rel=\"next\"");
        response.headers_mut().insert(LINK, header_value(&link)?);
    }
    Ok(response)
}

/// The repositories that the caller may pull from.
pub(super) async fn catalog(state: &ServerState, caller: &Caller, request: &Parts) -> Result<Response> {
    let (rows, last) = page(request)?;
    let mut read = state.records.read().await?;
    let found = if caller.may(Role::Reader, None) {
        read.repository_list(last.as_deref(), rows + 1).await?
    } else {
        let application = match caller.limited_to() {
            Some(id) => read.application_get(id).await?,
            None => None,
        };
        let Some(application) = application else { return Err(Refusal::denied("this token lists nothing")) };
        let own = application.name.path();
        let below = format!("{own}/");
        let mut found = Vec::new();
        if last.as_ref().is_none_or(|last| *last < own) && read.repository_exists(&own).await? {
            found.push(own);
        }
        let after = last.filter(|last| *last > below).unwrap_or_else(|| below.clone());
        let listed = read.repository_list(Some(&after), rows + 1).await?;
        found.extend(listed.into_iter().take_while(|name| name.starts_with(&below)));
        found
    };
    names("/v2/_catalog", rows, found, |names| json!({"repositories": names}))
}

/// The tags of a repository.
pub(super) async fn tags(
    state: &ServerState,
    caller: &Caller,
    repository: &str,
    request: &Parts,
) -> Result<Response> {
    allow(state, caller, repository, Right::Pull).await?;
    let (rows, last) = page(request)?;
    let found = state.registry.tags(repository, last.as_deref(), rows + 1).await?;
    let path = format!("/v2/{repository}/tags/list");
    names(&path, rows, found, |names| json!({"name": repository, "tags": names}))
}

/// The manifests that say something about a digest.
pub(super) async fn referrers(
    state: &ServerState,
    caller: &Caller,
    repository: &str,
    digest: &str,
    request: &Parts,
) -> Result<Response> {
    allow(state, caller, repository, Right::Pull).await?;
    let digest = digest.parse().map_err(RegistryError::from)?;
    let artifact_type = parameter(request, "artifactType");
    let index = state.registry.referrers(repository, &digest, artifact_type.as_deref()).await?;
    let mut response = Json(index).into_response();
    response.headers_mut().insert(CONTENT_TYPE, header_value(INDEX)?);
    if artifact_type.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, header_value("artifactType")?);
    }
    Ok(response)
}

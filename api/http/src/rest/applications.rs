//! Applications.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_git::GitOptions;
use slipway_records::{
    Application, NewAuditEntry, NewSource, Read, RecordsError, Source, SourceKind, Write, pull_token,
};
use slipway_types::id::{ApplicationId, SourceId};
use slipway_types::name::{ADDON_TEAM, DEFAULT_TEAM, SourceName};
use slipway_types::{ApplicationName, Role, SecretReference, SecretScope};
use utoipa::ToSchema;

use super::list::{List, NamePage, NamePageQuery};
use super::secrets::{LeftView, left};
use super::sources::new_webhook_secret;
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// How often heads are compared if nobody says otherwise, in seconds.
const POLL_INTERVAL_DEFAULT_S: u32 = 300;
/// The shortest and longest interval, in seconds.
const POLL_INTERVAL_S: std::ops::RangeInclusive<u32> = 30..=86_400;
/// The longest directory of a `slipway.yaml`, in bytes.
const PATH_BYTES_MAX: usize = 500;

/// Where forges send their webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookUrls {
    pub(crate) github: String,
    pub(crate) gitlab: String,
    /// For Forgejo too.
    pub(crate) gitea: String,
    pub(crate) generic: String,
}

impl WebhookUrls {
    pub(crate) fn of(state: &ServerState, source: &SourceName) -> Self {
        let address = |forge| state.public_address(&format!("/hooks/{source}/{forge}"));
        Self {
            github: address("github"),
            gitlab: address("gitlab"),
            gitea: address("gitea"),
            generic: address("generic"),
        }
    }
}

/// An application.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApplicationView {
    /// Full name; bare for the team `default`.
    pub(crate) name: String,
    /// Its source.
    pub(crate) source: String,
    /// Where to push, or where the source is mirrored from.
    pub(crate) git_url: String,
    /// Directory of `slipway.yaml`, empty for the root.
    pub(crate) path: String,
    pub(crate) webhook_urls: WebhookUrls,
    pub(crate) created_at: DateTime<Utc>,
    /// Whether it is Slipway's own remote that is pushed to.
    #[serde(skip)]
    pub(crate) is_builtin: bool,
}

/// An application just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedApplication {
    #[serde(flatten)]
    pub(crate) application: ApplicationView,
    /// For the forge's webhook settings. Shown this once; absent where the source existed before.
    pub(crate) webhook_secret: Option<String>,
}

/// An application to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApplication {
    /// `name`, or `team/name`.
    #[schema(value_type = String)]
    pub(crate) name: ApplicationName,
    /// An existing source that feeds it.
    #[schema(value_type = Option<String>)]
    pub(crate) source: Option<SourceName>,
    /// HTTPS clone address of a new source; without it and `source`, Slipway's own git remote.
    pub(crate) source_url: Option<String>,
    /// Directory of `slipway.yaml`; the root if absent.
    #[serde(default)]
    pub(crate) path: String,
    /// `secret://…` holding the credential for fetching and commit status.
    #[schema(value_type = Option<String>)]
    pub(crate) credential: Option<SecretReference>,
    /// How often the heads are compared, in seconds; 300 if absent.
    pub(crate) poll_interval_s: Option<u32>,
}

fn view(state: &ServerState, application: &Application, source: &Source) -> ApplicationView {
    let git_url = match &source.kind {
        SourceKind::Builtin => state.public_address(&format!("/git/{}.git", application.name)),
        SourceKind::Https { url } => url.clone(),
    };
    ApplicationView {
        name: application.name.to_string(),
        source: source.name.to_string(),
        git_url,
        path: application.path.clone(),
        webhook_urls: WebhookUrls::of(state, &source.name),
        created_at: application.created_at,
        is_builtin: matches!(source.kind, SourceKind::Builtin),
    }
}

/// What the audit record keeps of a change.
fn entry(by: &str, action: &'static str, subject: String, detail: Value) -> NewAuditEntry {
    NewAuditEntry { actor: by.to_owned(), action, subject, detail }
}

async fn source_of(read: &mut dyn Read, application: &Application) -> Result<Source, ApiError> {
    let source = read.source_get(application.source_id).await?;
    source.ok_or_else(|| no_source(application))
}

fn no_source(application: &Application) -> ApiError {
    ApiError::not_found("source of application", &application.name)
}

/// The applications of a page that the caller may see: all of them, or the one they are limited to.
async fn seen(
    read: &mut dyn Read,
    caller: &Caller,
    page: &NamePage<ApplicationName>,
) -> Result<Vec<Application>, ApiError> {
    let Some(limited) = caller.limited_to() else {
        return Ok(read.application_page(page.after.as_ref(), page.limit).await?);
    };
    let Some(known) = read.application_get(limited).await? else { return Ok(Vec::new()) };
    // One that was deleted is found by its identity alone.
    let own = read.application_by_name(&known.name).await?;
    let is_behind =
        |own: &Application| page.after.as_ref().is_none_or(|after| own.name.path() > after.path());
    Ok(own.into_iter().filter(is_behind).collect())
}

/// The applications this token may see, by team and name.
#[utoipa::path(get, path = "/api/v1/applications", tag = "applications", params(NamePageQuery),
    responses((status = 200, body = List<ApplicationView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<ApplicationView>>, ApiError> {
    caller.somewhere(Role::Reader)?;
    let page = query.page::<ApplicationName>()?;
    let mut read = state.records.read().await?;
    let applications = seen(read.as_mut(), &caller, &page).await?;
    let ids: Vec<SourceId> = applications.iter().map(|application| application.source_id).collect();
    let sources = read.sources_get(&ids).await?;
    let mut rows = Vec::with_capacity(applications.len());
    for application in applications {
        let source = sources.iter().find(|source| source.id == application.source_id);
        let source = source.ok_or_else(|| no_source(&application))?;
        rows.push((application.name.path(), view(&state, &application, source)));
    }
    Ok(Json(List::keyed(page.limit, rows)))
}

/// One application.
#[utoipa::path(get, path = "/api/v1/applications/{application}", tag = "applications",
    params(("application" = String, Path)), responses((status = 200, body = ApplicationView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
) -> Result<Json<ApplicationView>, ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &name, Role::Reader).await?;
    let source = source_of(read.as_mut(), &application).await?;
    Ok(Json(view(&state, &application, &source)))
}

/// Removes an application from sight. Its published versions stay pullable, and making it again
/// continues its numbers. Tells which secrets are left of it.
#[utoipa::path(delete, path = "/api/v1/applications/{application}", tag = "applications",
    params(("application" = String, Path)), responses((status = 200, body = LeftView)))]
pub(crate) async fn delete(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<ApplicationName>,
) -> Result<Json<LeftView>, ApiError> {
    let mut tx = state.records.begin().await?;
    let found = tx.application_by_name(&name).await?;
    let found = found.filter(|application| caller.may(Role::Reader, Some(application.id)));
    let application = found.ok_or_else(|| ApiError::not_found("application", &name))?;
    caller.on_server(Role::Admin)?;
    let places = deployed_in(tx.as_mut(), application.id).await?;
    if !places.is_empty() {
        let detail = format!("`{name}` is deployed, or on its way, in {}", places.join(", "));
        return Err(ApiError::conflict("application_in_use", detail)
            .hint("take it away there first: slipway deploy remove APP --env ENV; withdraw what waits"));
    }
    let bindings = tx.addon_bindings_live().await?;
    let bound: Vec<String> = bindings
        .iter()
        .filter(|binding| binding.application_id == application.id)
        .map(|binding| format!("`{}` in `{}`", binding.addon, binding.environment))
        .collect();
    if !bound.is_empty() {
        let detail = format!("`{name}` is bound to the add-ons {}", bound.join(", "));
        return Err(ApiError::conflict("application_in_use", detail)
            .hint("end that first: slipway addon unbind ADDON APP --env ENV"));
    }
    tx.application_delete(application.id).await?;
    let is_gone = |scope: &SecretScope| scope.application() == Some(&application.name);
    let left = left(tx.as_mut(), is_gone).await?;
    let subject = format!("application/{name}");
    tx.audit(entry(caller.name(), "application.remove", subject, json!({}))).await?;
    pull_token::end_of_application(tx.as_mut(), application.id, caller.name()).await?;
    tx.commit().await?;
    Ok(Json(left))
}

/// Names of the environments where something of an application is, or may come yet.
async fn deployed_in(tx: &mut dyn Write, application: ApplicationId) -> Result<Vec<String>, ApiError> {
    let out = tx.deployments_out_of(application).await?;
    let mut places = Vec::new();
    for environment in tx.environment_list().await? {
        let is_out = out.iter().any(|one| one.environment_id == environment.id);
        if is_out || !tx.deployments_open(environment.id, application).await?.is_empty() {
            places.push(format!("`{}`", environment.name));
        }
    }
    Ok(places)
}

/// Makes an application and, unless it names an existing one, its source.
#[utoipa::path(post, path = "/api/v1/applications", tag = "applications", request_body = NewApplication,
    responses((status = 201, body = CreatedApplication)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Body(wanted): Body<NewApplication>,
) -> Result<(StatusCode, Json<CreatedApplication>), ApiError> {
    caller.on_server(Role::Admin)?;
    if wanted.name.addon().is_some() {
        let detail = format!("name: the team `{ADDON_TEAM}` is Slipway's own, for add-ons");
        return Err(ApiError::bad_request("bad_body", detail).hint("choose another team"));
    }
    let path = directory(&wanted.path)?;
    let mut tx = state.records.begin().await?;
    if tx.application_by_name(&wanted.name).await?.is_some() {
        return Err(exists(&wanted.name));
    }
    let own_source = wanted.source.is_none();
    let source = match &wanted.source {
        Some(name) => {
            let source = tx.source_by_name(name).await?;
            source.ok_or_else(|| ApiError::not_found("source", name))?
        }
        None => make_source(&state, tx.as_mut(), &wanted, caller.name()).await?,
    };
    let application = match tx.application_insert(&wanted.name, source.id, &path).await {
        Err(RecordsError::Conflict { .. }) => return Err(exists(&wanted.name)),
        application => application?,
    };
    let detail = json!({"source": source.name.to_string(), "path": path});
    let subject = format!("application/{}", wanted.name);
    tx.audit(entry(caller.name(), "application.create", subject, detail)).await?;
    // One effect: an application without its secret could neither be made again nor be told it.
    let webhook_secret = if own_source {
        Some(new_webhook_secret(&state, tx.as_mut(), &source.name, caller.name()).await?)
    } else {
        None
    };
    tx.commit().await?;
    if own_source {
        state.webhook_secrets.forget(&source.name);
    }
    let application = view(&state, &application, &source);
    Ok((StatusCode::CREATED, Json(CreatedApplication { application, webhook_secret })))
}

fn exists(name: &ApplicationName) -> ApiError {
    ApiError::conflict("exists_already", format!("application `{name}` exists already"))
        .hint(format!("`slipway app show {name}` shows it"))
}

/// The application's own source.
async fn make_source(
    state: &ServerState,
    tx: &mut dyn Write,
    wanted: &NewApplication,
    by: &str,
) -> Result<Source, ApiError> {
    let new = new_source(wanted, state.git.options())?;
    if let Some(source) = tx.source_by_name(&new.name).await? {
        return adopt(tx, source, &new).await;
    }
    let source = tx.source_insert(new).await?;
    let url = match &source.kind {
        SourceKind::Builtin => None,
        SourceKind::Https { url } => Some(url),
    };
    let credential = source.credential.as_ref().map(ToString::to_string);
    let detail = json!({"url": url, "credential": credential, "poll_interval_s": source.poll_interval_s});
    tx.audit(entry(by, "source.create", format!("source/{}", source.name), detail)).await?;
    Ok(source)
}

/// A source left behind by a deleted application, if it is of the wanted kind.
async fn adopt(read: &mut dyn Read, source: Source, new: &NewSource) -> Result<Source, ApiError> {
    let used = !read.applications_of_source(source.id).await?.is_empty();
    if used || source.kind != new.kind || source.credential != new.credential {
        let detail = format!("source `{}` exists already and is set up otherwise or in use", source.name);
        return Err(ApiError::conflict("source_exists", detail)
            .hint("give `source` to build from it, or choose another application name"));
    }
    Ok(source)
}

fn new_source(wanted: &NewApplication, options: &GitOptions) -> Result<NewSource, ApiError> {
    let team = wanted.name.team().as_str();
    let bare = wanted.name.bare().as_str();
    let name = if team == DEFAULT_TEAM { bare.to_owned() } else { format!("{team}-{bare}") };
    let name = name.parse().map_err(|_| {
        ApiError::bad_request("bad_body", format!("name: `{name}` is too long to name its source"))
            .hint("shorten the team's or the application's name, or give `source`")
    })?;
    let kind = match &wanted.source_url {
        Some(url) => SourceKind::Https { url: clone_address(url, options)? },
        None => SourceKind::Builtin,
    };
    let poll_interval_s = wanted.poll_interval_s.unwrap_or(POLL_INTERVAL_DEFAULT_S);
    if !POLL_INTERVAL_S.contains(&poll_interval_s) {
        let detail = format!("poll_interval_s: {poll_interval_s} is not between 30 and 86400");
        return Err(ApiError::bad_request("bad_body", detail));
    }
    Ok(NewSource { name, kind, credential: wanted.credential.clone(), poll_interval_s })
}

/// A clone address that can be mirrored.
fn clone_address(text: &str, options: &GitOptions) -> Result<String, ApiError> {
    let checked = slipway_git::fetch::check_url(text, options);
    checked.map(|url| url.to_string()).map_err(|fault| {
        let problem = ApiError::bad_request("bad_source_url", format!("source_url: {}", fault.message));
        match fault.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    })
}

/// A directory inside the repository, without slashes at its ends.
fn directory(text: &str) -> Result<String, ApiError> {
    let path = text.trim_matches('/');
    let sound = path.is_empty()
        || path
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control));
    if sound && path.len() <= PATH_BYTES_MAX && !path.contains('\\') {
        return Ok(path.to_owned());
    }
    Err(ApiError::bad_request(
        "bad_body",
        format!("path: expected a directory inside the repository of at most {PATH_BYTES_MAX} bytes"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_stay_inside_the_repository() {
        assert_eq!(directory("/deploy/shop/").unwrap(), "deploy/shop");
        for bad in ["../x", "a//b", "a/./b", "a\\b"] {
            assert!(directory(bad).is_err(), "{bad}");
        }
    }
}

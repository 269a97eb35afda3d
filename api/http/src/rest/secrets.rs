//! Built-in secrets: names, scopes and versions, never values.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_records::{NewAuditEntry, Read, SecretRow};
use slipway_types::name::EnvironmentName;
use slipway_types::{ApplicationName, Role, SecretScope, TeamName};
use utoipa::{IntoParams, ToSchema};

use super::environments;
use super::list::{List, NamePage, NamePageQuery};
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// As much of an unknown name as an answer repeats, in characters.
const NAME_CHARS_MAX: usize = 120;

/// A secret without its value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretView {
    pub(crate) name: String,
    /// For whom: `global`, `team/TEAM`, `application/TEAM/NAME` or `environment/TEAM/NAME/ENVIRONMENT`.
    #[schema(value_type = String)]
    pub(crate) scope: SecretScope,
    /// How components and settings name it; the narrowest scope that has the name gives it.
    pub(crate) reference: String,
    /// Counts from 1 with every new value.
    pub(crate) version: u64,
    pub(crate) set_by: String,
    pub(crate) set_at: DateTime<Utc>,
}

/// A secret's new value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {
    pub(crate) value: String,
}

/// For whom a secret is; nothing at all: global.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopeQuery {
    /// For the applications of this team.
    #[param(value_type = Option<String>)]
    pub(crate) team: Option<TeamName>,
    /// For this application.
    #[param(value_type = Option<String>)]
    pub(crate) application: Option<ApplicationName>,
    /// For the application in this environment alone.
    #[param(value_type = Option<String>)]
    pub(crate) environment: Option<EnvironmentName>,
}

/// Which secrets to list; nothing at all: every one.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretQuery {
    /// Of this team and its applications.
    #[param(value_type = Option<String>)]
    team: Option<TeamName>,
    /// Of this application.
    #[param(value_type = Option<String>)]
    application: Option<ApplicationName>,
    /// Of the application in this environment alone.
    #[param(value_type = Option<String>)]
    environment: Option<EnvironmentName>,
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

impl From<SecretRow> for SecretView {
    fn from(row: SecretRow) -> Self {
        let (scope, name) = SecretScope::split(&row.name);
        Self {
            reference: format!("secret://builtin/{name}"),
            name: name.to_owned(),
            scope,
            version: row.version,
            set_by: row.set_by,
            set_at: row.set_at,
        }
    }
}

/// What stays of something that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeftView {
    /// Its secrets: values cannot be brought back, so they stay until somebody removes them, and whatever
    /// gets its name gets them.
    secrets_left: Vec<SecretView>,
}

/// The secrets of the scopes that are gone.
pub(super) async fn left(
    read: &mut dyn Read,
    is_gone: impl Fn(&SecretScope) -> bool + Send,
) -> Result<LeftView, ApiError> {
    let rows = read.secret_list().await?.into_iter().map(SecretView::from);
    Ok(LeftView { secrets_left: rows.filter(|row| is_gone(&row.scope)).collect() })
}

/// Refuses what can be the name of no secret: a `:` would make another scope of it, and databases take no
/// NUL.
pub(super) fn checked_name(name: &str) -> Result<(), ApiError> {
    if name.chars().any(|c| c == ':' || c.is_control()) { Err(unknown(name)) } else { Ok(()) }
}

impl ScopeQuery {
    /// The scope as it is named, whether its application and environment are there or not.
    fn as_named(&self) -> Option<SecretScope> {
        let application = self.application.clone()?;
        Some(match self.environment.clone() {
            None => SecretScope::Application(application),
            Some(environment) => SecretScope::Environment(application, environment),
        })
    }

    /// The same as [`Self::scope`], but administrators may name an application or environment that is gone,
    /// whose secrets may be left: then with what to answer if none are.
    async fn scope_or_left(
        &self,
        caller: &Caller,
        read: &mut dyn Read,
    ) -> Result<(SecretScope, Option<ApiError>), ApiError> {
        let gone = match self.scope(caller, read).await {
            Ok(scope) => return Ok((scope, None)),
            Err(error) => error,
        };
        match self.as_named() {
            Some(scope)
                if gone.status() == StatusCode::NOT_FOUND && caller.on_server(Role::Admin).is_ok() =>
            {
                Ok((scope, Some(gone)))
            }
            _ => Err(gone),
        }
    }

    /// The scope, if the caller may change its secrets: those of an application are its operators', wider
    /// ones the administrators'.
    pub(crate) async fn scope(&self, caller: &Caller, read: &mut dyn Read) -> Result<SecretScope, ApiError> {
        if self.team.is_some() && self.application.is_some() {
            let detail = "team: an application has its team already; give one of the two";
            return Err(ApiError::bad_request("bad_query", detail));
        }
        match (&self.team, &self.application, &self.environment) {
            (_, None, Some(_)) => Err(ApiError::bad_request(
                "bad_query",
                "environment: a secret of an environment is for one application: give `application` too",
            )),
            (Some(team), ..) => caller.on_server(Role::Admin).map(|()| SecretScope::Team(team.clone())),
            (None, None, None) => caller.on_server(Role::Admin).map(|()| SecretScope::Global),
            (None, Some(name), environment) => {
                let application = caller.application(read, name, Role::Operator).await?;
                Ok(match environment {
                    None => SecretScope::Application(application.name),
                    Some(environment) => {
                        let environment = environments::found(read, environment).await?;
                        SecretScope::Environment(application.name, environment.name)
                    }
                })
            }
        }
    }
}

/// What the audit record keeps of a secret: never its value.
pub(super) fn entry(
    caller: &Caller,
    action: &'static str,
    scope: &SecretScope,
    name: &str,
    detail: Value,
) -> NewAuditEntry {
    let subject = format!("secret/{}", scope.key(name));
    NewAuditEntry { actor: caller.name().to_owned(), action, subject, detail }
}

/// The stored secrets of a page that are of a scope or a narrower one.
async fn stored_within(
    read: &mut dyn Read,
    wanted: &SecretScope,
    page: &NamePage<String>,
) -> Result<Vec<SecretRow>, ApiError> {
    let mut found: Vec<SecretRow> = Vec::new();
    let limit = page.limit as usize;
    for prefix in wanted.key_prefixes() {
        let mut after = page.after.clone();
        while found.len() < limit {
            let missing = u32::try_from(limit - found.len()).unwrap_or(u32::MAX);
            let rows = read.secret_page(&prefix, after.as_deref(), missing).await?;
            let is_last = rows.len() < missing as usize;
            after = rows.last().map(|row| row.name.clone());
            found.extend(rows.into_iter().filter(|row| wanted.holds(&SecretScope::split(&row.name).0)));
            if is_last {
                break;
            }
        }
    }
    Ok(found)
}

/// All secrets of a scope and of narrower ones without their values, for pages that show every one.
pub(crate) async fn all(
    state: &ServerState,
    caller: &Caller,
    query: &ScopeQuery,
) -> Result<Vec<SecretView>, ApiError> {
    let mut read = state.records.read().await?;
    let (wanted, gone) = query.scope_or_left(caller, read.as_mut()).await?;
    let rows = read.secret_list().await?.into_iter().map(SecretView::from);
    let rows: Vec<SecretView> = rows.filter(|row| wanted.holds(&row.scope)).collect();
    match gone.filter(|_| rows.is_empty()) {
        Some(gone) => Err(gone),
        None => Ok(rows),
    }
}

/// Secrets without their values, by scope and name: all, or those of an application or team and of what is narrower.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", params(SecretQuery),
    responses((status = 200, body = List<SecretView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<SecretQuery>,
) -> Result<Json<List<SecretView>>, ApiError> {
    let SecretQuery { team, application, environment, limit, after } = query;
    let is_first = after.is_none();
    let page = NamePageQuery::new(limit, after).page::<String>()?;
    let mut read = state.records.read().await?;
    let query = ScopeQuery { team, application, environment };
    let (wanted, gone) = query.scope_or_left(&caller, read.as_mut()).await?;
    let rows = stored_within(read.as_mut(), &wanted, &page).await?;
    match gone.filter(|_| is_first && rows.is_empty()) {
        Some(gone) => Err(gone),
        None => {
            let rows = rows.into_iter().map(|row| (row.name.clone(), SecretView::from(row)));
            Ok(Json(List::keyed(page.limit, rows.collect())))
        }
    }
}

/// Sets a secret.
#[utoipa::path(put, path = "/api/v1/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path), ScopeQuery), request_body = NewSecret,
    responses((status = 200, body = SecretView)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ScopeQuery>,
    Body(secret): Body<NewSecret>,
) -> Result<Json<SecretView>, ApiError> {
    let value = SecretString::from(secret.value);
    let mut tx = state.records.begin().await?;
    let scope = query.scope(&caller, tx.as_mut()).await?;
    let row = state.secrets.set_within(tx.as_mut(), &scope, &name, &value, caller.name()).await?;
    let detail = json!({"scope": scope, "version": row.version});
    tx.audit(entry(&caller, "secret.set", &scope, &name, detail)).await?;
    tx.commit().await?;
    state.webhook_secrets.forget_all();
    Ok(Json(row.into()))
}

/// Removes a secret.
#[utoipa::path(delete, path = "/api/v1/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path), ScopeQuery), responses((status = 204)))]
pub(crate) async fn remove(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ScopeQuery>,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.records.begin().await?;
    let (scope, gone) = query.scope_or_left(&caller, tx.as_mut()).await?;
    checked_name(&name)?;
    if !tx.secret_remove(&scope.key(&name)).await? {
        return Err(gone.unwrap_or_else(|| unknown(&name)));
    }
    tx.audit(entry(&caller, "secret.remove", &scope, &name, json!({"scope": scope}))).await?;
    tx.commit().await?;
    state.webhook_secrets.forget_all();
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn unknown(name: &str) -> ApiError {
    ApiError::not_found("secret", name.chars().take(NAME_CHARS_MAX).collect::<String>())
        .hint("`slipway secret list` shows those there are, each with its scope")
}

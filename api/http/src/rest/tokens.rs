//! Access tokens.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::{NewAuditEntry, NewToken, Read, TokenPage, TokenRow};
use slipway_types::id::{EnvironmentId, TokenId};
use slipway_types::{ApplicationName, Role};
use utoipa::ToSchema;

use super::list::{List, NamePageQuery};
use super::run_views::names_of;
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 60;
/// The longest life, in seconds: ten years.
const EXPIRES_IN_MAX_S: u32 = 10 * 366 * 86_400;

/// A token without its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    pub(crate) id: String,
    /// Shown as the actor of what it does.
    pub(crate) name: String,
    /// Whose it is: approvals count people, not tokens.
    pub(crate) person: Option<String>,
    /// `reader`, `developer`, `operator` or `admin`; none where `pulls_for` says what it is for.
    #[schema(value_type = Option<String>)]
    pub(crate) role: Option<Role>,
    /// Whether it may go past closed gates.
    pub(crate) break_glass: bool,
    /// The one application it is limited to.
    pub(crate) application: Option<String>,
    /// The environment whose nodes pull images and packages of the application by it; it may do nothing else.
    pub(crate) pulls_for: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

/// A token just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedToken {
    #[serde(flatten)]
    pub(crate) row: TokenView,
    /// The token itself. Shown this once.
    pub(crate) token: String,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenBody {
    pub(crate) name: String,
    /// Whose it is; the token's name if absent. Approvals count people, not tokens.
    pub(crate) person: Option<String>,
    /// `reader`, `developer`, `operator` or `admin`.
    #[schema(value_type = String)]
    pub(crate) role: Role,
    /// Whether it may go past closed gates, with a reason; no role may by itself.
    #[serde(default)]
    pub(crate) break_glass: bool,
    /// The one application to limit it to.
    #[schema(value_type = Option<String>)]
    pub(crate) application: Option<ApplicationName>,
    /// Seconds until it ends; never if absent.
    pub(crate) expires_in_s: Option<u32>,
}

fn view(row: TokenRow, application: Option<String>, pulls_for: Option<String>) -> TokenView {
    TokenView {
        id: row.id.to_string(),
        name: row.name,
        person: row.person,
        role: row.role,
        break_glass: row.break_glass,
        application,
        pulls_for,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    }
}

/// What the audit record keeps of a token: never the token, nor its hash.
fn entry(caller: &Caller, action: &'static str, row: &TokenRow, application: Option<&str>) -> NewAuditEntry {
    NewAuditEntry {
        actor: caller.name().to_owned(),
        action,
        subject: format!("token/{}", row.name),
        detail: json!({
            "id": row.id,
            "role": row.role,
            "person": row.person,
            "application": application,
            "break_glass": row.break_glass,
            "expires_at": row.expires_at,
        }),
    }
}

/// Where a token stands in the list: its name, and its identity, for ended ones may share a name. Written `NAME/ID`.
pub(crate) struct TokenPlace(pub(crate) String, pub(crate) TokenId);

impl TokenPlace {
    /// Where this token stands.
    pub(crate) fn of(view: &TokenView) -> String {
        format!("{}/{}", view.name, view.id)
    }
}

impl FromStr for TokenPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, id) = text.rsplit_once('/').ok_or(())?;
        Ok(Self(name.to_owned(), id.parse().map_err(|_| ())?))
    }
}

/// The tokens that people made, and those by which environments pull, by name.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(NamePageQuery),
    responses((status = 200, body = List<TokenView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<TokenView>>, ApiError> {
    caller.on_server(Role::Admin)?;
    let wanted = query.page::<TokenPlace>()?;
    let after = wanted.after.map(|TokenPlace(name, id)| (name, id));
    let page = TokenPage { holding_at: None, after, limit: wanted.limit };
    let mut read = state.records.read().await?;
    let rows = read.token_page(&page).await?;
    let views = views(read.as_mut(), rows).await?;
    Ok(Json(List::keyed(wanted.limit, views.into_iter().map(|view| (TokenPlace::of(&view), view)).collect())))
}

/// Tokens without their texts, with the names of the applications they are limited to and of the environments that
/// pull by them.
async fn views(read: &mut dyn Read, rows: Vec<TokenRow>) -> Result<Vec<TokenView>, ApiError> {
    let names = names_of(read, rows.iter().filter_map(|row| row.application_id)).await?;
    let places = environments_of(read, rows.iter().filter_map(|row| row.pulls_for)).await?;
    let named = |row: TokenRow| {
        let application = row.application_id.and_then(|id| names.get(&id).cloned());
        let pulls_for = row.pulls_for.and_then(|id| places.get(&id).cloned());
        view(row, application, pulls_for)
    };
    Ok(rows.into_iter().map(named).collect())
}

/// The names of the environments with those ids, removed ones too.
async fn environments_of(
    read: &mut dyn Read,
    ids: impl Iterator<Item = EnvironmentId>,
) -> Result<HashMap<EnvironmentId, String>, ApiError> {
    let mut names = HashMap::new();
    for id in ids {
        if let Entry::Vacant(place) = names.entry(id) {
            let environment = read.environment_get(id).await?;
            place.insert(environment.map_or_else(|| id.to_string(), |found| found.name.to_string()));
        }
    }
    Ok(names)
}

/// A page of the tokens, by name and id, and whether some of all of them let nobody in any more.
pub(crate) async fn page(
    state: &ServerState,
    caller: &Caller,
    page: &TokenPage,
    now: DateTime<Utc>,
) -> Result<(Vec<TokenView>, bool), ApiError> {
    caller.on_server(Role::Admin)?;
    let mut read = state.records.read().await?;
    let rows = read.token_page(page).await?;
    let any_ended = read.token_any_ended(now).await?;
    Ok((views(read.as_mut(), rows).await?, any_ended))
}

/// Makes a token.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewTokenBody,
    responses((status = 201, body = CreatedToken)))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    caller: Caller,
    Body(wanted): Body<NewTokenBody>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    caller.on_server(Role::Admin)?;
    let sound = |name: &str| {
        !name.trim().is_empty()
            && name.chars().count() <= NAME_CHARS_MAX
            && !name.chars().any(|c| c.is_control() || c == '/')
    };
    for (field, text) in [("name", Some(&wanted.name)), ("person", wanted.person.as_ref())] {
        if text.is_some_and(|text| !sound(text)) {
            let detail = format!("{field}: expected 1 to {NAME_CHARS_MAX} printable characters without `/`");
            return Err(ApiError::bad_request("bad_body", detail));
        }
    }
    if wanted.expires_in_s.is_some_and(|seconds| !(1..=EXPIRES_IN_MAX_S).contains(&seconds)) {
        let days = EXPIRES_IN_MAX_S / 86_400;
        let detail = format!("expires_in_s: expected 1 to {EXPIRES_IN_MAX_S} seconds, that is {days} days");
        return Err(ApiError::bad_request("bad_body", detail));
    }
    let mut read = state.records.read().await?;
    let application = match &wanted.application {
        Some(name) => Some(caller.application(read.as_mut(), name, Role::Admin).await?),
        None => None,
    };
    drop(read);
    let expires_at = wanted.expires_in_s.map(|seconds| Utc::now() + TimeDelta::seconds(i64::from(seconds)));
    let id = application.as_ref().map(|application| application.id);
    let (plain, hash) = slipway_secrets::new_token();
    let role = Some(wanted.role);
    let new = NewToken {
        name: wanted.name,
        hash,
        person: wanted.person,
        role,
        break_glass: wanted.break_glass,
        application_id: id,
        pulls_for: None,
        grants: Vec::new(),
        expires_at,
    };
    let mut tx = state.records.begin().await?;
    let row = tx.token_insert(new).await?;
    let name = application.map(|application| application.name.to_string());
    let entry = entry(&caller, "token.create", &row, name.as_deref());
    tx.audit(entry).await?;
    tx.commit().await?;
    let token = plain.expose_secret().to_owned();
    Ok((StatusCode::CREATED, Json(CreatedToken { row: view(row, name, None), token })))
}

/// The token of the list that has this id, else the live one of this name.
async fn meant(read: &mut (dyn Read + '_), text: &str) -> Result<Option<TokenRow>, ApiError> {
    if let Ok(id) = text.parse::<TokenId>()
        // A build's token is in no list: it has grants, and ends with its build.
        && let Some(row) = read.token_get(id).await?.filter(|row| row.grants.is_empty())
    {
        return Ok(Some(row));
    }
    if text.contains('\0') {
        return Ok(None);
    }
    Ok(read.token_live_by_name(text).await?.filter(|row| row.grants.is_empty()))
}

/// Revokes a token, by its id or its name.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}", tag = "tokens", params(("token" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.on_server(Role::Admin)?;
    let mut tx = state.records.begin().await?;
    let row = meant(tx.as_mut(), &name).await?;
    let not_found = || ApiError::not_found("token", name.chars().take(NAME_CHARS_MAX).collect::<String>());
    let row = &row.ok_or_else(not_found)?;
    if tx.token_revoke(row.id, Utc::now()).await? {
        let names = names_of(tx.as_mut(), row.application_id.into_iter()).await?;
        let application = row.application_id.and_then(|id| names.get(&id).cloned());
        tx.audit(entry(&caller, "token.revoke", row, application.as_deref())).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

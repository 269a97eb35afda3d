//! Sources, what they received and what was refused.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::json;
use slipway_records::{Delivery, NewAuditEntry, Read, Source, SourceKind, Write};
use slipway_types::name::SourceName;
use slipway_types::state::DeliveryState;
use slipway_types::{Role, SecretScope};
use utoipa::ToSchema;

use super::applications::WebhookUrls;
use super::list::{List, NamePageQuery, PageQuery};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::hooks::webhook_secret_name;
use crate::problem::ApiError;
use crate::state::ServerState;

/// A source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceView {
    pub(crate) name: String,
    /// `builtin` or `https`.
    pub(crate) kind: &'static str,
    /// Clone address of a mirrored source.
    pub(crate) url: Option<String>,
    /// Reference of its credential.
    pub(crate) credential: Option<String>,
    pub(crate) poll_interval_s: u32,
    /// When its heads were last compared.
    pub(crate) swept_at: Option<DateTime<Utc>>,
    pub(crate) last_error: Option<String>,
    /// The applications it feeds.
    pub(crate) applications: Vec<String>,
    pub(crate) webhook_urls: WebhookUrls,
    pub(crate) created_at: DateTime<Utc>,
}

/// What a source received.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    pub(crate) id: String,
    /// `push`, `github`, `gitlab`, `gitea`, `forgejo`, `generic`, `sweep` or `manual`.
    pub(crate) origin: &'static str,
    /// The sender's own id.
    pub(crate) external_id: Option<String>,
    pub(crate) event: String,
    pub(crate) r#ref: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) actor: String,
    /// `received`, `planned`, `ignored` or `failed`.
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
    /// The runs that serve it.
    pub(crate) runs: Vec<String>,
    pub(crate) received_at: DateTime<Utc>,
}

impl From<&Delivery> for DeliveryView {
    fn from(delivery: &Delivery) -> Self {
        let (reason, runs) = match &delivery.state {
            DeliveryState::Received => (None, Vec::new()),
            DeliveryState::Planned { runs } => (None, runs.iter().map(ToString::to_string).collect()),
            DeliveryState::Ignored { reason } => (Some(reason.clone()), Vec::new()),
            DeliveryState::Failed { fault } => (Some(fault.message.clone()), Vec::new()),
        };
        Self {
            id: delivery.id.to_string(),
            origin: delivery.origin.word(),
            external_id: delivery.external_id.clone(),
            event: delivery.event.clone(),
            r#ref: delivery.git_ref.as_ref().map(ToString::to_string),
            commit: delivery.commit.as_ref().map(ToString::to_string),
            actor: delivery.actor.clone(),
            state: delivery.state.word(),
            reason,
            runs,
            received_at: delivery.received_at,
        }
    }
}

/// Webhook requests that proved nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refusals {
    /// How many there ever were.
    pub(crate) total: u64,
    /// The last 100, newest first.
    pub(crate) items: Vec<RefusalView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusalView {
    pub(crate) at: DateTime<Utc>,
    pub(crate) address: String,
    pub(crate) reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingView {
    /// What was looked at.
    pub(crate) check: &'static str,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookSecret {
    /// Shown this once.
    pub(crate) webhook_secret: String,
    pub(crate) webhook_urls: WebhookUrls,
}

async fn view(state: &ServerState, read: &mut dyn Read, source: &Source) -> Result<SourceView, ApiError> {
    let applications = read.applications_of_source(source.id).await?;
    let (kind, url) = match &source.kind {
        SourceKind::Builtin => ("builtin", None),
        SourceKind::Https { url } => ("https", Some(url.clone())),
    };
    Ok(SourceView {
        name: source.name.to_string(),
        kind,
        url,
        credential: source.credential.as_ref().map(ToString::to_string),
        poll_interval_s: source.poll_interval_s,
        swept_at: source.swept_at,
        last_error: source.last_error.clone(),
        applications: applications.iter().map(|application| application.name.to_string()).collect(),
        webhook_urls: WebhookUrls::of(state, &source.name),
        created_at: source.created_at,
    })
}

/// The source, if the caller holds `role` on the server or on every application it feeds.
pub(crate) async fn reach(
    caller: &Caller,
    read: &mut dyn Read,
    name: &SourceName,
    role: Role,
) -> Result<Source, ApiError> {
    let not_found = || ApiError::not_found("source", name);
    let source = read.source_by_name(name).await?.ok_or_else(not_found)?;
    if caller.may(role, None) {
        return Ok(source);
    }
    let applications = read.applications_of_source(source.id).await?;
    let on_all = |role| applications.iter().all(|application| caller.may(role, Some(application.id)));
    if applications.is_empty() || !on_all(Role::Reader) {
        return Err(if caller.may(Role::Reader, None) {
            ApiError::forbidden(role, "the whole server")
        } else {
            not_found()
        });
    }
    if on_all(role) { Ok(source) } else { Err(ApiError::forbidden(role, &format!("source `{name}`"))) }
}

/// A new random webhook secret in the place of the one before, as part of a transaction. Whoever commits
/// that then tells `webhook_secrets` to forget the one before.
pub(crate) async fn new_webhook_secret(
    state: &ServerState,
    tx: &mut dyn Write,
    source: &SourceName,
    by: &str,
) -> Result<String, ApiError> {
    let secret = SecretString::from(hex::encode(rand::random::<[u8; 32]>()));
    let name = webhook_secret_name(source);
    let row = state.secrets.set_within(tx, &SecretScope::Global, &name, &secret, by).await?;
    tx.audit(NewAuditEntry {
        actor: by.to_owned(),
        action: "source.webhook_secret",
        subject: format!("source/{source}"),
        detail: json!({"version": row.version}),
    })
    .await?;
    Ok(secret.expose_secret().to_owned())
}

/// The sources, by name.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", params(NamePageQuery),
    responses((status = 200, body = List<SourceView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<SourceView>>, ApiError> {
    let wanted = query.page::<SourceName>()?;
    let views = page(&state, &caller, wanted.after.as_ref(), wanted.limit).await?;
    let rows = views.into_iter().map(|view| (view.name.clone(), view)).collect();
    Ok(Json(List::keyed(wanted.limit, rows)))
}

/// The sources by name that come after that one, at most `limit`.
pub(crate) async fn page(
    state: &ServerState,
    caller: &Caller,
    after: Option<&SourceName>,
    limit: u32,
) -> Result<Vec<SourceView>, ApiError> {
    caller.on_server(Role::Reader)?;
    let mut read = state.records.read().await?;
    let mut items = Vec::new();
    for source in read.source_page(after, limit).await? {
        items.push(view(state, read.as_mut(), &source).await?);
    }
    Ok(items)
}

/// One source.
#[utoipa::path(get, path = "/api/v1/sources/{source}", tag = "sources",
    params(("source" = String, Path)), responses((status = 200, body = SourceView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<SourceName>,
) -> Result<Json<SourceView>, ApiError> {
    let mut read = state.records.read().await?;
    let source = reach(&caller, read.as_mut(), &name, Role::Reader).await?;
    Ok(Json(view(&state, read.as_mut(), &source).await?))
}

/// Looks at address, credential, refs and `slipway.yaml`, and says what fails.
#[utoipa::path(post, path = "/api/v1/sources/{source}/check", tag = "sources",
    params(("source" = String, Path)), responses((status = 200, body = List<FindingView>)))]
pub(crate) async fn check(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<SourceName>,
) -> Result<Json<List<FindingView>>, ApiError> {
    let mut read = state.records.read().await?;
    let source = reach(&caller, read.as_mut(), &name, Role::Developer).await?;
    let applications = read.applications_of_source(source.id).await?;
    drop(read);
    let findings = state.source_check.check(&source, &applications).await;
    let view = |finding: slipway_records::port::SourceFinding| FindingView {
        check: finding.check,
        ok: finding.ok,
        detail: finding.detail,
    };
    Ok(Json(List::whole(findings.into_iter().map(view).collect())))
}

/// What the source received, newest first.
#[utoipa::path(get, path = "/api/v1/sources/{source}/deliveries", tag = "sources",
    params(("source" = String, Path), PageQuery), responses((status = 200, body = List<DeliveryView>)))]
pub(crate) async fn deliveries(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<SourceName>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<DeliveryView>>, ApiError> {
    let page = query.page()?;
    let mut read = state.records.read().await?;
    let source = reach(&caller, read.as_mut(), &name, Role::Reader).await?;
    let rows = read.delivery_list(source.id, page.clone()).await?;
    let rows = rows.iter().map(|row| (row.id.as_uuid(), DeliveryView::from(row))).collect();
    Ok(Json(List::page(&page, rows)))
}

/// Webhook requests to the source that proved nothing.
#[utoipa::path(get, path = "/api/v1/sources/{source}/refusals", tag = "sources",
    params(("source" = String, Path)), responses((status = 200, body = Refusals)))]
pub(crate) async fn refusals(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<SourceName>,
) -> Result<Json<Refusals>, ApiError> {
    let mut read = state.records.read().await?;
    let source = reach(&caller, read.as_mut(), &name, Role::Developer).await?;
    let (rows, total) = read.refusals(source.id).await?;
    let items = rows
        .into_iter()
        .map(|row| RefusalView { at: row.at, address: row.address, reason: row.reason })
        .collect();
    Ok(Json(Refusals { total, items }))
}

/// Makes a new webhook secret; the one before ends at once.
#[utoipa::path(post, path = "/api/v1/sources/{source}/webhook-secret", tag = "sources",
    params(("source" = String, Path)), responses((status = 200, body = WebhookSecret)))]
pub(crate) async fn rotate_webhook_secret(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<SourceName>,
) -> Result<Json<WebhookSecret>, ApiError> {
    let mut read = state.records.read().await?;
    let source = reach(&caller, read.as_mut(), &name, Role::Admin).await?;
    drop(read);
    let mut tx = state.records.begin().await?;
    let webhook_secret = new_webhook_secret(&state, tx.as_mut(), &source.name, caller.name()).await?;
    tx.commit().await?;
    state.webhook_secrets.forget(&source.name);
    Ok(Json(WebhookSecret { webhook_secret, webhook_urls: WebhookUrls::of(&state, &source.name) }))
}

//! Channels of notices: which there are, how they do, whether one works, and what was given up.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::noticing::NoticeChannel;
use slipway_records::{NewAuditEntry, NoticeCounts, NoticeDelivery, Read, Write};
use slipway_types::Role;
use slipway_types::id::NoticeId;
use slipway_types::name::NoticeChannelName;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::list::{List, NamePageQuery, PageQuery};
use crate::auth::Caller;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// What came last of a channel's notices.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastNotice {
    /// `sent` or `failed`.
    pub(crate) state: &'static str,
    pub(crate) answer: Option<String>,
    pub(crate) at: Option<DateTime<Utc>>,
}

/// A channel of the server's settings. Its address and its secrets are not shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoticeChannelView {
    pub(crate) name: String,
    /// `webhook`, `mail`, `slack`, `dingtalk`, `feishu` or `wecom`.
    pub(crate) kind: &'static str,
    /// Teams it is for; empty: all.
    pub(crate) teams: Vec<String>,
    /// Environments it is for; empty: all.
    pub(crate) environments: Vec<String>,
    /// What labels of environments must be.
    pub(crate) selector: String,
    pub(crate) events: Vec<&'static str>,
    /// How many notices wait.
    pub(crate) pending: u64,
    /// How many were given up.
    pub(crate) failed: u64,
    pub(crate) last: Option<LastNotice>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailedQuery {
    /// To this channel.
    #[param(value_type = Option<String>)]
    channel: Option<NoticeChannelName>,
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Uuid>,
}

/// A notice that was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedNotice {
    id: String,
    channel: String,
    incident: String,
    /// What it tells: the event, e.g. `failed`.
    event: Option<String>,
    application: Option<String>,
    environment: Option<String>,
    attempts: u32,
    /// Why it was given up.
    reason: Option<String>,
    failed_at: Option<DateTime<Utc>>,
}

/// What is sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SentAgain {
    channel: String,
    /// How many notices.
    notices: u64,
}

/// What a channel answered to a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelTested {
    pub(crate) channel: String,
    /// Whether it has taken it.
    pub(crate) ok: bool,
    pub(crate) answer: String,
    /// What to do if it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// Channels with how they do.
async fn views(
    read: &mut dyn Read,
    channels: Vec<NoticeChannel>,
) -> Result<Vec<NoticeChannelView>, ApiError> {
    let mut items = Vec::with_capacity(channels.len());
    for NoticeChannel { name, kind, teams, environments, selector, events } in channels {
        let NoticeCounts { pending, failed } = read.notices_counted(&name).await?;
        let last = read.notice_last(&name).await?;
        let last =
            last.map(|last| LastNotice { state: last.state.word(), answer: last.answer, at: last.ended_at });
        let name = name.to_string();
        items.push(NoticeChannelView {
            name,
            kind,
            teams,
            environments,
            selector,
            events,
            pending,
            failed,
            last,
        });
    }
    Ok(items)
}

/// All channels, in the order of the settings, for the page that shows every one.
pub(crate) async fn all(state: &ServerState, caller: &Caller) -> Result<Vec<NoticeChannelView>, ApiError> {
    caller.on_server(Role::Operator)?;
    views(state.records.read().await?.as_mut(), state.noticing.channels()).await
}

/// The channels, by name.
#[utoipa::path(get, path = "/api/v1/notices/channels", tag = "notices", params(NamePageQuery),
    responses((status = 200, body = List<NoticeChannelView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<NamePageQuery>,
) -> Result<Json<List<NoticeChannelView>>, ApiError> {
    caller.on_server(Role::Operator)?;
    let page = query.page::<NoticeChannelName>()?;
    let channels = state.noticing.channels().into_iter();
    let List { items, next } = page.cut(channels.map(|channel| (channel.name.clone(), channel)).collect());
    let items = views(state.records.read().await?.as_mut(), items).await?;
    Ok(Json(List { items, next }))
}

/// Sends a test to a channel at once.
#[utoipa::path(post, path = "/api/v1/notices/channels/{channel}/test", tag = "notices",
    params(("channel" = String, Path)), responses((status = 200, body = ChannelTested)))]
pub(crate) async fn test(
    State(state): State<ServerState>,
    caller: Caller,
    Path(name): Path<NoticeChannelName>,
) -> Result<Json<ChannelTested>, ApiError> {
    caller.on_server(Role::Operator)?;
    let tested = state.noticing.test(&name, caller.0.person()).await.ok_or_else(|| {
        ApiError::not_found("notice channel", &name).hint("`slipway notice list` shows the channels")
    })?;
    let channel = name.to_string();
    Ok(Json(match tested {
        Ok(answer) => ChannelTested { channel, ok: true, answer, hint: None },
        Err(fault) => ChannelTested { channel, ok: false, answer: fault.message, hint: fault.hint },
    }))
}

impl From<NoticeDelivery> for FailedNotice {
    fn from(notice: NoticeDelivery) -> Self {
        let said = |field: &str| notice.body[field].as_str().map(str::to_owned);
        Self {
            id: notice.id.to_string(),
            channel: notice.channel.to_string(),
            incident: notice.incident_id.to_string(),
            event: said("event"),
            application: said("application"),
            environment: said("environment"),
            attempts: notice.attempts,
            reason: notice.answer,
            failed_at: notice.ended_at,
        }
    }
}

/// Notices that were given up, newest first.
#[utoipa::path(get, path = "/api/v1/notices/failed", tag = "notices", params(FailedQuery),
    responses((status = 200, body = List<FailedNotice>)))]
pub(crate) async fn failed(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<FailedQuery>,
) -> Result<Json<List<FailedNotice>>, ApiError> {
    caller.on_server(Role::Operator)?;
    let page = PageQuery::new(query.limit, query.after).page()?;
    let mut read = state.records.read().await?;
    let rows = read.notices_failed(query.channel.as_ref(), page.clone()).await?;
    let items = rows.into_iter().map(|row| (row.id.as_uuid(), FailedNotice::from(row))).collect();
    Ok(Json(List::page(&page, items)))
}

/// Sends a notice again that was given up.
#[utoipa::path(post, path = "/api/v1/notices/failed/{notice}/resend", tag = "notices",
    params(("notice" = String, Path)), responses((status = 200, body = SentAgain)))]
pub(crate) async fn resend(
    State(state): State<ServerState>,
    caller: Caller,
    Path(id): Path<NoticeId>,
) -> Result<Json<SentAgain>, ApiError> {
    caller.on_server(Role::Operator)?;
    let mut tx = state.records.begin().await?;
    let notice = tx.notice_get(id).await?.ok_or_else(|| {
        ApiError::not_found("notice", id).hint("`slipway notice failed` shows those that were given up")
    })?;
    let sent = again(tx.as_mut(), &caller, &notice.channel, Some(id)).await?;
    if sent.notices == 0 {
        let detail = format!("the notice {id} was not given up: it is {}", notice.state.word());
        return Err(ApiError::conflict("not_failed", detail));
    }
    tx.commit().await?;
    Ok(Json(sent))
}

/// Sends everything again that was given up for a channel.
#[utoipa::path(post, path = "/api/v1/notices/channels/{channel}/resend", tag = "notices",
    params(("channel" = String, Path)), responses((status = 200, body = SentAgain)))]
pub(crate) async fn resend_all(
    State(state): State<ServerState>,
    caller: Caller,
    Path(channel): Path<NoticeChannelName>,
) -> Result<Json<SentAgain>, ApiError> {
    caller.on_server(Role::Operator)?;
    if !state.noticing.channels().iter().any(|known| known.name == channel) {
        return Err(
            ApiError::not_found("notice channel", &channel).hint("`slipway notice list` shows the channels")
        );
    }
    let mut tx = state.records.begin().await?;
    let sent = again(tx.as_mut(), &caller, &channel, None).await?;
    tx.commit().await?;
    Ok(Json(sent))
}

/// Lets what was given up be sent, `only` this one if given, and wakes the sender.
async fn again(
    tx: &mut dyn Write,
    caller: &Caller,
    channel: &NoticeChannelName,
    only: Option<NoticeId>,
) -> Result<SentAgain, ApiError> {
    let notices = tx.notices_again(channel, only).await?;
    if notices > 0 {
        tx.audit(NewAuditEntry {
            actor: caller.name().to_owned(),
            action: "notice.resend",
            subject: format!("notice-channel/{channel}"),
            detail: json!({"notice": only, "notices": notices}),
        })
        .await?;
        let job = JobPayload::Notice { channel: channel.clone() };
        tx.job_enqueue(NewJob::new(job, None)).await?;
    }
    Ok(SentAgain { channel: channel.to_string(), notices })
}

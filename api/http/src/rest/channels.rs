//! Channels: named movable pointers to bundle versions.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_records::{Channel, ChannelMove, ChannelMoved, NewAuditEntry, Read};
use slipway_types::id::ApplicationId;
use slipway_types::name::ChannelName;
use slipway_types::{ApplicationName, Role, Version};
use utoipa::{IntoParams, ToSchema};

use super::following;
use super::labels::checked_reason;
use super::list::{List, NamePageQuery, checked_limit};
use super::precondition::Precondition;
use crate::auth::Caller;
use crate::extract::{Body, Path, Query};
use crate::problem::ApiError;
use crate::state::ServerState;

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelView {
    application: String,
    name: String,
    /// The bundle version it names.
    version: String,
    moved_at: DateTime<Utc>,
    moved_by: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelQuery {
    /// Of this application.
    #[param(value_type = String)]
    application: ApplicationName,
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// One move of a channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelMoveView {
    /// Give it as `before` to get the moves before this one.
    seq: i64,
    /// The version it named before; absent: it was made.
    from: Option<String>,
    /// The version it has named since.
    to: String,
    at: DateTime<Utc>,
    by: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    /// Moves before this one, by its `seq`.
    before: Option<i64>,
    /// Rows in the answer, 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<i64>,
}

/// Where a channel shall point.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelTarget {
    /// A published bundle version.
    #[schema(value_type = String)]
    pub(crate) version: Version,
    /// The version it must name now; `null`: it must not exist. Unchecked if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) if_current: Precondition<Version>,
    /// Why; kept in the history.
    pub(crate) reason: Option<String>,
}

fn view(channel: Channel, application: &ApplicationName) -> ChannelView {
    ChannelView {
        application: application.to_string(),
        name: channel.name.to_string(),
        version: channel.version.to_string(),
        moved_at: channel.moved_at,
        moved_by: channel.moved_by,
    }
}

fn move_view(moved: ChannelMoved) -> ChannelMoveView {
    ChannelMoveView {
        seq: moved.seq,
        from: moved.from.map(|version| version.to_string()),
        to: moved.to.to_string(),
        at: moved.at,
        by: moved.by,
        reason: moved.reason,
    }
}

/// The channel of that name.
pub(crate) async fn found(
    read: &mut dyn Read,
    application: ApplicationId,
    name: &ChannelName,
) -> Result<Channel, ApiError> {
    read.channel_get(application, name).await?.ok_or_else(|| {
        ApiError::not_found("channel", name)
            .hint("`slipway channel list APP` shows those there are, `slipway channel set` makes one")
    })
}

/// An application's channels, by name.
#[utoipa::path(get, path = "/api/v1/channels", tag = "channels", params(ChannelQuery),
    responses((status = 200, body = List<ChannelView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<ChannelQuery>,
) -> Result<Json<List<ChannelView>>, ApiError> {
    let page = NamePageQuery::new(query.limit, query.after).page::<ChannelName>()?;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &query.application, Role::Reader).await?;
    let channels = read.channel_page(application.id, page.after.as_ref(), page.limit).await?;
    let row = |channel: Channel| (channel.name.clone(), view(channel, &application.name));
    Ok(Json(List::keyed(page.limit, channels.into_iter().map(row).collect())))
}

/// One channel.
#[utoipa::path(get, path = "/api/v1/channels/{application}/{channel}", tag = "channels",
    params(("application" = String, Path), ("channel" = String, Path)), responses((status = 200, body = ChannelView)))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, name)): Path<(ApplicationName, ChannelName)>,
) -> Result<Json<ChannelView>, ApiError> {
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &application, Role::Reader).await?;
    Ok(Json(view(found(read.as_mut(), application.id, &name).await?, &application.name)))
}

/// A channel's moves, newest first.
#[utoipa::path(get, path = "/api/v1/channels/{application}/{channel}/history", tag = "channels",
    params(("application" = String, Path), ("channel" = String, Path), HistoryQuery),
    responses((status = 200, body = List<ChannelMoveView>)))]
pub(crate) async fn history(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, name)): Path<(ApplicationName, ChannelName)>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<List<ChannelMoveView>>, ApiError> {
    let limit = checked_limit(query.limit)?;
    let mut read = state.records.read().await?;
    let application = caller.application(read.as_mut(), &application, Role::Reader).await?;
    found(read.as_mut(), application.id, &name).await?;
    let before = query.before.into_iter().chain(query.after).min();
    let moves = read.channel_history(application.id, &name, before, limit).await?;
    Ok(Json(List::keyed(limit, moves.into_iter().map(|moved| (moved.seq, move_view(moved))).collect())))
}

/// Makes or moves a channel.
#[utoipa::path(put, path = "/api/v1/channels/{application}/{channel}", tag = "channels",
    params(("application" = String, Path), ("channel" = String, Path)), request_body = ChannelTarget,
    responses((status = 200, body = ChannelView)))]
pub(crate) async fn put(
    State(state): State<ServerState>,
    caller: Caller,
    Path((application, name)): Path<(ApplicationName, ChannelName)>,
    Body(target): Body<ChannelTarget>,
) -> Result<Json<ChannelView>, ApiError> {
    let reason = checked_reason(target.reason)?;
    let mut tx = state.records.begin().await?;
    let role = following::role_for_channel(tx.as_mut(), &name).await?;
    let application = caller.application(tx.as_mut(), &application, role).await?;
    let to = tx.version_find(application.id, None, &target.version).await?;
    let to = to.ok_or_else(|| ApiError::not_found("bundle version", &target.version))?;
    let current = tx.channel_get(application.id, &name).await?;
    let names = current.as_ref().map(|channel| &channel.version);
    if let Precondition::Current(wanted) = &target.if_current
        && wanted.as_ref() != names
    {
        return Err(moved(&name, names));
    }
    if let Some(channel) = current.as_ref().filter(|channel| channel.version_id == to.id) {
        return Ok(Json(view(channel.clone(), &application.name)));
    }
    let change = ChannelMove {
        application_id: application.id,
        name: name.clone(),
        from: current.as_ref().map(|channel| channel.version_id),
        to: to.id,
        by: caller.name().to_owned(),
        reason,
    };
    if !tx.channel_move(&change).await? {
        return Err(moved(&name, names));
    }
    let channel = found(tx.as_mut(), application.id, &name).await?;
    tx.audit(NewAuditEntry {
        actor: caller.name().to_owned(),
        action: "channel.set",
        subject: format!("channel/{}/{name}", application.name),
        detail: json!({
            "from": names, "to": to.version, "reason": change.reason, "protected": role == Role::Operator,
        }),
    })
    .await?;
    following::bundle_changed(tx.as_mut(), application.id, to.id).await?;
    tx.commit().await?;
    Ok(Json(view(channel, &application.name)))
}

fn moved(name: &ChannelName, current: Option<&Version>) -> ApiError {
    let current = current.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    ApiError::conflict("channel_moved", format!("channel `{name}` names {current} now"))
        .hint("look at it again and decide anew")
}

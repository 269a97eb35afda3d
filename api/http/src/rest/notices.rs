//! Channels of notices: which there are, how they do, and whether one works.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use slipway_records::PAGE_ROWS_MAX;
use slipway_records::noticing::NoticeChannel;
use slipway_types::Role;
use slipway_types::name::NoticeChannelName;
use utoipa::ToSchema;

use super::list::List;
use crate::auth::Caller;
use crate::extract::Path;
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
    /// How many notices wait; at most 1000 are counted.
    pub(crate) pending: usize,
    pub(crate) last: Option<LastNotice>,
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

/// All channels.
#[utoipa::path(get, path = "/api/v1/notices/channels", tag = "notices",
    responses((status = 200, body = List<NoticeChannelView>)))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    caller: Caller,
) -> Result<Json<List<NoticeChannelView>>, ApiError> {
    caller.on_server(Role::Operator)?;
    let mut read = state.records.read().await?;
    let mut items = Vec::new();
    for NoticeChannel { name, kind, teams, environments, selector, events } in state.noticing.channels() {
        let pending = read.notices_pending(&name, PAGE_ROWS_MAX).await?.len();
        let last = read.notice_last(&name).await?;
        let last =
            last.map(|last| LastNotice { state: last.state.word(), answer: last.answer, at: last.ended_at });
        let name = name.to_string();
        items.push(NoticeChannelView { name, kind, teams, environments, selector, events, pending, last });
    }
    Ok(Json(List::whole(items)))
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

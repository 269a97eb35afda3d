//! A log as it grows, line by line, for the page that shows it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use serde::{Deserialize, Serialize};
use slipway_types::ApplicationName;
use slipway_types::fault::chain;
use tokio::sync::mpsc;

use super::ansi::{Line, Terminal};
use super::log::owner;
use super::log_of::LogOf;
use super::visitor::Member;
use crate::extract::{Path, Query};
use crate::problem::ApiError;
use crate::rest::logs::{Owner, concerns, end, read_piece, sse, wait_for};
use crate::rest::run_views::RunName;
use crate::state::ServerState;

/// Bytes in one event.
const EVENT_BYTES_MAX: u64 = 32 << 10;

/// Where the stream begins; `Last-Event-ID` goes before it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamQuery {
    #[serde(default)]
    from: u64,
}

/// Lines that were added.
#[derive(Debug, Serialize)]
struct Added {
    lines: Vec<Line>,
}

/// Events `lines`, each with the place after it as its id, then `end`.
pub(super) async fn stream(
    State(state): State<ServerState>,
    member: Member,
    Path((application, number, what)): Path<(ApplicationName, i64, LogOf)>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let mut read = state.records.read().await?;
    let run = RunName::Number(application, number);
    let owner = owner(&member.session.caller, read.as_mut(), &run, &what).await?;
    drop(read);
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let offset = last.unwrap_or(query.from);
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        if let Err(error) = follow(&state, owner, offset, &sender).await {
            tracing::warn!(error = %chain(&error), "a log stream was cut");
        }
    });
    Ok(sse(receiver))
}

async fn follow(
    state: &ServerState,
    owner: Owner,
    mut offset: u64,
    events: &mpsc::Sender<Result<Event, Infallible>>,
) -> Result<(), ApiError> {
    let mut changes = state.records.changes().subscribe();
    let mut terminal = Terminal::default();
    loop {
        let mut read = state.records.read().await?;
        let ended = owner.ended(read.as_mut()).await?;
        let rest = read.log_size(owner.log()).await?.saturating_sub(offset);
        drop(read);
        let bytes = read_piece(state, owner.log(), offset, EVENT_BYTES_MAX).await?;
        let length = whole_lines(&bytes, ended && bytes.len() as u64 >= rest);
        if length > 0 {
            let lines = terminal.lines(&bytes[..length], offset);
            offset += length as u64;
            let event = Event::default().event("lines").id(offset.to_string()).json_data(Added { lines });
            let event = event.expect("invariant: lines serialise");
            if events.send(Ok(event)).await.is_err() {
                return Ok(());
            }
        } else if ended {
            // Whoever left early needs no end.
            drop(events.send(Ok(end())).await);
            return Ok(());
        } else {
            let poll = Duration::from_millis(state.options.stream_poll_ms);
            tokio::select! {
                () = state.stopping.cancelled() => return Ok(()),
                () = events.closed() => return Ok(()),
                () = wait_for(&mut changes, |change| concerns(change, owner)) => {}
                () = tokio::time::sleep(poll) => {}
            }
        }
    }
}

/// How many leading bytes are whole lines: all, if nothing follows or a line is longer than an event.
fn whole_lines(bytes: &[u8], is_last: bool) -> usize {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
    match whole {
        _ if is_last => bytes.len(),
        Some(length) => length,
        None if bytes.len() as u64 >= EVENT_BYTES_MAX => bytes.len(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_unless_they_never_end() {
        assert_eq!(whole_lines(b"a\nbc", false), 2);
        assert_eq!(whole_lines(b"a\nbc", true), 4);
        assert_eq!(whole_lines(b"abc", false), 0);
        let long = vec![b'x'; usize::try_from(EVENT_BYTES_MAX).unwrap()];
        assert_eq!(whole_lines(&long, false), long.len());
    }
}

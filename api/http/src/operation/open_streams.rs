//! Streams, which last as long as what they show: a sign-in, or a token, has a bounded number open, and they end with
//! it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use futures::StreamExt as _;
use slipway_records::RecordsError;
use slipway_types::Digest;
use slipway_types::id::TokenId;

use crate::auth;
use crate::pages;
use crate::problem::ApiError;
use crate::state::ServerState;

/// Streams that one sign-in, or one token, has open at once; a page has one.
const STREAMS_MAX: usize = 50;
/// So many times `stream_poll_ms` lie between two looks at what let somebody in.
const POLLS_BETWEEN: u32 = 10;

/// What lets in whoever follows a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// A browser, by which the records know it.
    SignIn(Digest),
    /// A script.
    Token(TokenId),
}

/// How many streams each holder has open.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenStreams(Arc<Mutex<HashMap<Holder, usize>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
struct OpenStream {
    all: OpenStreams,
    holder: Holder,
}

impl OpenStreams {
    /// One more of that holder; `None` if it has as many as it may.
    fn open(&self, holder: Holder) -> Option<OpenStream> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(holder).or_insert(0);
        if *count >= STREAMS_MAX {
            return None;
        }
        *count += 1;
        Some(OpenStream { all: self.clone(), holder })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.holder) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Around a stream: it ends when `holder` lets nobody in any more. Whoever is not let in at all has no holder: what is
/// to be said to them the handler says.
pub(crate) async fn bounded(
    state: ServerState,
    holder: Option<Holder>,
    request: Request,
    next: Next,
) -> Response {
    let Some(holder) = holder else { return next.run(request).await };
    let Some(kept) = state.open_streams.open(holder) else { return too_many(holder) };
    let response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    let ended = async move { until_over(&state, holder).await };
    let (parts, body) = response.into_parts();
    let pieces = body.into_data_stream().take_until(Box::pin(ended)).map(move |piece| {
        // It is open for as long as this is kept.
        let _ = &kept;
        piece
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Returns once the holder no longer lets anybody in.
async fn until_over(state: &ServerState, holder: Holder) {
    let pause = Duration::from_millis(state.options.stream_poll_ms) * POLLS_BETWEEN;
    loop {
        tokio::time::sleep(pause).await;
        match still_holds(state, holder).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "it could not be looked whether a stream may go on"),
        }
    }
}

/// Whether the holder still lets somebody in. To ask is no use of it.
async fn still_holds(state: &ServerState, holder: Holder) -> Result<bool, RecordsError> {
    match holder {
        Holder::SignIn(hash) => pages::still_signed_in(state, &hash).await,
        Holder::Token(id) => {
            let token = state.records.read().await?.token_get(id).await?;
            Ok(token.is_some_and(|token| auth::holds(&token, Utc::now())))
        }
    }
}

fn too_many(holder: Holder) -> Response {
    let (what, hint) = match holder {
        Holder::SignIn(_) => (
            "pages that follow what they show",
            "close some; this page shows the newest when it is loaded again",
        ),
        Holder::Token(_) => (
            "streams of this token",
            "close some, or ask from time to time at their addresses without `/stream` or `/events`",
        ),
    };
    let detail = format!("more than {STREAMS_MAX} {what} are open");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        .hint(hint)
        .header(RETRY_AFTER, HeaderValue::from_static("60"))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_has_a_bound_of_its_own_and_what_ended_counts_no_more() {
        let open = OpenStreams::default();
        let one = Holder::SignIn(Digest::of("one"));
        let mut kept: Vec<_> = (0..STREAMS_MAX).map(|_| open.open(one).unwrap()).collect();
        assert!(open.open(one).is_none());
        for other in [Holder::SignIn(Digest::of("other")), Holder::Token(TokenId::new())] {
            assert!(open.open(other).is_some(), "{other:?}");
        }
        kept.pop();
        kept.push(open.open(one).unwrap());
        assert!(open.open(one).is_none());
        drop(kept);
        assert!(open.0.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }
}

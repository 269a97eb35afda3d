//! What lasts on a page: a sign-in has a bounded number of streams open, and they end with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use slipway_types::Digest;

use super::visitor::{Visitor, still_holds};
use crate::problem::ApiError;
use crate::state::ServerState;

/// Streams that one sign-in has open at once; a page has one.
const STREAMS_MAX: usize = 50;
/// So many times `stream_poll_ms` lie between two looks at the sign-in.
const POLLS_BETWEEN: u32 = 10;

/// How many streams each sign-in has open.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenStreams(Arc<Mutex<HashMap<Digest, usize>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
struct OpenStream {
    all: OpenStreams,
    sign_in: Digest,
}

impl OpenStreams {
    /// One more of that sign-in; `None` if it has as many as it may.
    fn open(&self, sign_in: Digest) -> Option<OpenStream> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(sign_in).or_insert(0);
        if *count >= STREAMS_MAX {
            return None;
        }
        *count += 1;
        Some(OpenStream { all: self.clone(), sign_in })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.sign_in) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Around what lasts: it ends when its sign-in does.
pub(super) async fn bounded(
    State((state, open)): State<(ServerState, OpenStreams)>,
    request: Request,
    next: Next,
) -> Response {
    let visitor = request.extensions().get::<Visitor>();
    let sign_in = visitor.and_then(Visitor::signed_in).map(|session| session.hash);
    // The handler says what is to be said to others.
    let Some(sign_in) = sign_in else { return next.run(request).await };
    let Some(kept) = open.open(sign_in) else { return too_many() };
    let response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    let ended = async move { until_over(&state, &sign_in).await };
    let (parts, body) = response.into_parts();
    let pieces = body.into_data_stream().take_until(Box::pin(ended)).map(move |piece| {
        // It is open for as long as this is kept.
        let _ = &kept;
        piece
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Returns once the sign-in no longer lets in.
async fn until_over(state: &ServerState, sign_in: &Digest) {
    let pause = Duration::from_millis(state.options.stream_poll_ms) * POLLS_BETWEEN;
    loop {
        tokio::time::sleep(pause).await;
        match still_holds(state, sign_in).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "it could not be looked whether a sign-in still holds"),
        }
    }
}

fn too_many() -> Response {
    let detail = format!("more than {STREAMS_MAX} pages that follow what they show are open");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        .hint("close some; this page shows the newest when it is loaded again")
        .header(RETRY_AFTER, HeaderValue::from_static("60"))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_in_has_a_bound_of_its_own_and_what_ended_counts_no_more() {
        let open = OpenStreams::default();
        let (one, other) = (Digest::of("one"), Digest::of("other"));
        let mut kept: Vec<_> = (0..STREAMS_MAX).map(|_| open.open(one).unwrap()).collect();
        assert!(open.open(one).is_none() && open.open(other).is_some());
        kept.pop();
        kept.push(open.open(one).unwrap());
        assert!(open.open(one).is_none());
        drop(kept);
        assert!(open.0.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }
}

//! What stands around the server, as it was seen a moment ago: to look starts programs and asks other servers, which
//! takes a page far longer than all else on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use crate::auth::Caller;
use crate::problem::ApiError;
use crate::rest::server::{self, BuildPlaceView, ImageTargetView, MachineFindingView};
use crate::state::ServerState;

/// So long what was seen is shown again. Who asks by the API, as `slipway doctor` does, is told what is there now.
const SHOWN_FOR: Duration = Duration::from_secs(30);

/// What was seen last.
#[derive(Default)]
pub(crate) struct Surroundings(Mutex<Option<(Instant, Arc<Seen>)>>);

/// What was seen at one time.
pub(super) struct Seen {
    /// When.
    pub(super) at: DateTime<Utc>,
    pub(super) machine: Vec<MachineFindingView>,
    /// The registry that images are kept in, if not the built-in one.
    pub(super) images: Option<ImageTargetView>,
    pub(super) places: Vec<BuildPlaceView>,
}

impl Surroundings {
    /// What was seen at most [`SHOWN_FOR`] ago; of several who ask at once, one looks and the others wait for it.
    ///
    /// # Errors
    ///
    /// The right to look was taken from `caller` meanwhile.
    pub(super) async fn seen(&self, state: &ServerState, caller: &Caller) -> Result<Arc<Seen>, ApiError> {
        let mut last = self.0.lock().await;
        if let Some((_, seen)) = last.as_ref().filter(|(at, _)| at.elapsed() < SHOWN_FOR) {
            return Ok(Arc::clone(seen));
        }
        let seen = Arc::new(Seen::now(state, caller).await?);
        *last = Some((Instant::now(), Arc::clone(&seen)));
        Ok(seen)
    }
}

impl Seen {
    async fn now(state: &ServerState, caller: &Caller) -> Result<Self, ApiError> {
        let state = || State(state.clone());
        let (machine, images, places) = tokio::join!(
            server::machine(state(), caller.clone()),
            server::image_target(state(), caller.clone()),
            server::backends(state(), caller.clone()),
        );
        let images = match images {
            Ok(found) => Some(found.0),
            Err(error) if error.status() == StatusCode::NOT_FOUND => None,
            Err(error) => return Err(error),
        };
        Ok(Self { at: Utc::now(), machine: machine?.0.items, images, places: places?.0.items })
    }
}

//! Which generation a rollback returns to.

use axum::http::StatusCode;
use serde_json::{Value, json};
use slipway_records::rollback::{LIVE_MAX, target};
use slipway_records::{Application, Deployment, DeploymentCause, Environment, Read};

use crate::problem::ApiError;

/// The generation returned to: the one that is named, else the newest that was live and ran something else.
pub(crate) async fn earlier(
    read: &mut dyn Read,
    application: &Application,
    environment: &Environment,
    to: Option<u64>,
) -> Result<Deployment, ApiError> {
    let Some(to) = to else { return last_live(read, application, environment).await };
    let earlier = match i64::try_from(to) {
        Ok(_) => read.deployment_by_generation(environment.id, application.id, to).await?,
        // The records keep no such number.
        Err(_) => None,
    };
    let ran = |earlier: &Deployment| {
        earlier.handed_off_at.is_some() && !matches!(earlier.cause, DeploymentCause::Remove { .. })
    };
    earlier.filter(ran).ok_or_else(|| {
        let detail = format!("generation {to} never ran in `{}`", environment.name);
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "never_ran", detail)
            .hint("`slipway deploy list` shows what did")
    })
}

async fn last_live(
    read: &mut dyn Read,
    application: &Application,
    environment: &Environment,
) -> Result<Deployment, ApiError> {
    let live = read.deployments_once_live(environment.id, application.id, LIVE_MAX).await?;
    let current = read.deployment_out(environment.id, application.id).await?;
    target(current.as_ref(), &live).cloned().ok_or_else(|| {
        let detail = format!("nothing else of `{}` was live in `{}`", application.name, environment.name);
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "never_live", detail)
            .hint("`slipway deploy list` shows what ran: name one with --to")
    })
}

/// Why that generation is deployed, and what is said of it.
pub(super) fn cause(earlier: &Deployment, reason: String) -> (DeploymentCause, Value) {
    let (to, was_live) = (earlier.generation, earlier.live_at.is_some());
    let asked = if was_live {
        format!("generation {to} again, which was live: at once, with the secrets of now")
    } else {
        format!("generation {to} again, which was never live: through the gates of today")
    };
    (DeploymentCause::Rollback { to, reason, was_live, aborts: None }, json!({"asked": asked}))
}

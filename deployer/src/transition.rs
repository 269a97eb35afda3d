//! Moving deployments: the one place that stores a transition together with what must follow it.

use chrono::Utc;
use serde_json::json;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::pipeline::Moved;
use slipway_records::{Deployment, NewAuditEntry, Result, Write, incident, pull_token};
use slipway_types::state::DeploymentEvent;

use crate::waves;

/// Applies `event` to `deployment`, as `actor`'s doing, and stores it with an audit entry. What may go
/// on because of it is woken.
pub async fn advance(
    tx: &mut dyn Write,
    deployment: &mut Deployment,
    event: DeploymentEvent,
    actor: &str,
) -> Result<Moved> {
    let was = deployment.state.clone();
    let Ok(state) = was.clone().apply(event) else {
        return Ok(Moved::Refused);
    };
    if state == was {
        return Ok(Moved::Stored);
    }
    if state.is_terminal() {
        deployment.finished_at.get_or_insert(Utc::now());
    }
    if state.is_out() {
        deployment.handed_off_at.get_or_insert(Utc::now());
    }
    if state.has_arrived() {
        deployment.live_at.get_or_insert(Utc::now());
    }
    let (before, after) = (was.word(), state.word());
    deployment.state = state;
    if !tx.deployment_save(deployment).await? {
        return Ok(Moved::Outrun);
    }
    if before != after {
        tx.audit(NewAuditEntry {
            actor: actor.to_owned(),
            action: "deployment.move",
            subject: format!("deployment/{}", deployment.id),
            detail: json!({
                "from": before,
                "to": after,
                "reason": deployment.state.reason(),
                "revision": deployment.revision,
            }),
        })
        .await?;
        // Environments that follow this one may have something to do.
        let follow = JobPayload::Follow { application: deployment.application_id };
        tx.job_enqueue(NewJob::new(follow, Some(deployment.application_id))).await?;
        if deployment.state.has_arrived() || waves::has_nothing_to_do(deployment) {
            for waiting in waves::waiting(tx, deployment).await? {
                let job = JobPayload::Deploy { deployment: waiting.id };
                tx.job_enqueue(NewJob::new(job, Some(waiting.application_id))).await?;
            }
        }
    }
    pull_token::follow(tx, deployment).await?;
    incident::follow(tx, &was, deployment).await?;
    Ok(Moved::Stored)
}

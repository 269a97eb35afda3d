//! What a deployment's transition means for the incidents of its place.

use chrono::{DateTime, Utc};
use slipway_types::id::IncidentId;
use slipway_types::state::DeploymentState;

use super::{About, Incident, Topic};
use crate::deployment::Deployment;
use crate::job::{JobPayload, NewJob};
use crate::{RecordsError, Result, Write};

/// So often an incident is stored again, if others change the same row.
const TRIES_MAX: usize = 5;

/// Opens, changes or ends the incidents of a deployment that was in the state `was` and has moved. To be
/// called once it is saved, in the same transaction.
pub async fn follow(tx: &mut dyn Write, was: &DeploymentState, deployment: &Deployment) -> Result<()> {
    use DeploymentState as S;
    let waited = matches!(was, S::Awaiting { .. }) && !matches!(deployment.state, S::Awaiting { .. });
    if waited {
        end(tx, deployment, Topic::Approval).await?;
    }
    match &deployment.state {
        S::Failed { .. } | S::TimedOut { .. } | S::Degraded { .. } => {
            open(tx, deployment, Topic::Trouble, about(deployment, Utc::now())).await
        }
        S::Unreachable { since } => open(tx, deployment, Topic::Trouble, about(deployment, *since)).await,
        S::Live | S::Delivered { .. } | S::Deleted => end(tx, deployment, Topic::Trouble).await,
        S::Rejected { .. } | S::Broken { .. } | S::Expired { .. } => {
            tell(tx, deployment, Topic::NotDeployed, why_not(deployment)).await
        }
        _ => Ok(()),
    }
}

/// Notes that part of a deployment failed while the rest goes on: `state` is the word that it will end with, unless
/// what failed is tried again.
pub async fn fails_under_way(
    tx: &mut dyn Write,
    deployment: &Deployment,
    state: &str,
    blocker: Option<String>,
) -> Result<()> {
    let about = About { state: state.to_owned(), blocker, ..about(deployment, Utc::now()) };
    open(tx, deployment, Topic::Trouble, about).await
}

/// Notes that a deployment waits for approvals (`missing` says which), or no longer.
pub async fn awaits_approval(
    tx: &mut dyn Write,
    deployment: &Deployment,
    missing: Option<&str>,
) -> Result<()> {
    let Some(missing) = missing else { return end(tx, deployment, Topic::Approval).await };
    let about = About { blocker: Some(missing.to_owned()), ..about(deployment, Utc::now()) };
    open(tx, deployment, Topic::Approval, about).await
}

/// Notes that somebody went past the gates of a deployment, and why.
pub async fn gates_broken(tx: &mut dyn Write, deployment: &Deployment, why: &str) -> Result<()> {
    tell(tx, deployment, Topic::GatesBroken, Some(why.to_owned())).await
}

/// Notes what happened once and is over with that.
async fn tell(
    tx: &mut dyn Write,
    deployment: &Deployment,
    topic: Topic,
    blocker: Option<String>,
) -> Result<()> {
    let now = Utc::now();
    let about = About { blocker, ..about(deployment, now) };
    let incident = Incident { closed_at: Some(now), ..new(deployment, topic, about) };
    tx.incident_insert(&incident).await?;
    wake(tx, incident.id, deployment).await
}

/// Why a deployment never left: of what was rejected the first violation, since a number tells nobody what
/// to do.
fn why_not(deployment: &Deployment) -> Option<String> {
    let rejected = matches!(deployment.state, DeploymentState::Rejected { .. });
    let Some(first) = deployment.violations.first().filter(|_| rejected) else {
        return deployment.state.reason();
    };
    let more = match deployment.violations.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!("{}: {}{more}", first.path, first.message))
}

fn about(deployment: &Deployment, since: DateTime<Utc>) -> About {
    About {
        deployment: deployment.id,
        generation: deployment.generation,
        version: deployment.bundle_version.clone(),
        state: deployment.state.word().to_owned(),
        blocker: deployment.state.reason(),
        deployed_by: deployment.created_by.clone(),
        since,
    }
}

fn new(deployment: &Deployment, topic: Topic, about: About) -> Incident {
    Incident {
        id: IncidentId::new(),
        application_id: deployment.application_id,
        environment_id: deployment.environment_id,
        topic,
        opened_at: about.since,
        about,
        ended: None,
        closed_at: None,
        row_version: 1,
    }
}

async fn open(tx: &mut dyn Write, deployment: &Deployment, topic: Topic, about: About) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let (id, stored) = match open_one(tx, deployment, topic).await? {
            None => {
                let incident = new(deployment, topic, about.clone());
                (incident.id, tx.incident_insert(&incident).await?)
            }
            Some(mut incident) => {
                let mut about = about.clone();
                let known = &incident.about;
                if incident.ended.is_none()
                    && (known.deployment, &known.state) == (about.deployment, &about.state)
                {
                    about.since = known.since;
                }
                if incident.ended.is_none() && *known == about {
                    return Ok(());
                }
                (incident.about, incident.ended) = (about, None);
                (incident.id, tx.incident_save(&mut incident).await?)
            }
        };
        if stored {
            return wake(tx, id, deployment).await;
        }
    }
    Err(outrun())
}

/// Notes that it is as wanted. Trouble is closed later, if it stays so; what else there is is over at once.
async fn end(tx: &mut dyn Write, deployment: &Deployment, topic: Topic) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let Some(mut incident) = open_one(tx, deployment, topic).await? else { return Ok(()) };
        if incident.ended.is_some() {
            return Ok(());
        }
        let now = Utc::now();
        incident.ended = Some(about(deployment, now));
        incident.closed_at = (topic != Topic::Trouble).then_some(now);
        if tx.incident_save(&mut incident).await? {
            return wake(tx, incident.id, deployment).await;
        }
    }
    Err(outrun())
}

async fn open_one(tx: &mut dyn Write, deployment: &Deployment, topic: Topic) -> Result<Option<Incident>> {
    let key = topic.key(deployment.id);
    tx.incident_open(deployment.environment_id, deployment.application_id, &key).await
}

async fn wake(tx: &mut dyn Write, incident: IncidentId, deployment: &Deployment) -> Result<()> {
    let job = JobPayload::Incident { incident };
    tx.job_enqueue(NewJob::new(job, Some(deployment.application_id))).await?;
    Ok(())
}

fn outrun() -> RecordsError {
    RecordsError::Unavailable("an incident changes faster than it can be stored".into())
}

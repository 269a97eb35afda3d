//! The `observe` job: what a receiver says of the deployment that it has.
//!
//! One job a deployment, from its hand-off until a newer generation takes its place. It asks for events;
//! a receiver that reports by itself is heard at once ([`report`]) and asked all the same, for a report
//! may be lost. Events come at least once and in any order: their number decides, for each node alone.
//!
//! The built-in core is asked only when it has news: it makes the job itself, and a sweep makes those that it
//! could not make ([`slipway_records::ReadObservations::observations_behind`]).
//!
//! Before it listens it tells what people ordered and the receiver has not answered (`order/telling.rs`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use slipway_handoff::Event;
use slipway_handoff::receiver::EVENTS_MAX;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{Handler, Job, JobContext, JobError, Trouble};
use slipway_types::Fault;
use slipway_types::environment::ReceiverSettings;
use slipway_types::id::DeploymentId;
use slipway_types::state::DeploymentState;

use crate::receivers::key;
use crate::stage::Stage;
use crate::subject::Subject;

mod fold;
pub mod report;
mod store;
mod verdict;

pub(crate) use store::{Look, Stored};

/// How often a receiver is asked while it works.
const PAUSE_BUSY: Duration = Duration::from_secs(2);
/// How often once it works for longer than [`BUSY_FOR`].
const PAUSE_SLOW: Duration = Duration::from_secs(10);
/// How long a receiver that works is asked often.
const BUSY_FOR: TimeDelta = TimeDelta::minutes(5);
/// How often what has arrived, or failed, is looked at.
const PAUSE_SETTLED: Duration = Duration::from_secs(15);
/// How often an order that its receiver has not answered is told again.
const PAUSE_UNTOLD: Duration = Duration::from_secs(10);
/// How soon a job that could not go on is tried anew.
const PAUSE_BURIED: Duration = Duration::from_secs(60);
/// Questions of one look: a receiver gives at most [`EVENTS_MAX`] events an answer.
const PAGES_MAX: usize = 20;

/// Does `observe` jobs.
pub struct ObserveHandler {
    /// The deploy stage.
    pub stage: Arc<Stage>,
}

/// Whether there is anything to be heard of a deployment.
pub(crate) fn is_watched(state: &DeploymentState) -> bool {
    state.is_out() && !matches!(state, DeploymentState::Delivered { .. })
}

#[async_trait]
impl Handler for ObserveHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Observe { deployment } = job.payload else { return Ok(()) };
        let untold = tokio::select! {
            untold = self.stage.tell_again(deployment) => untold?,
            () = context.cancelled.cancelled() => return Err(JobError::Stopped),
        };
        let watched = self.watch(deployment, context).await;
        let Some(why) = untold else { return watched };
        match watched {
            Ok(()) => Err(JobError::Wait { why, delay: PAUSE_UNTOLD }),
            Err(JobError::Wait { delay, .. }) => Err(JobError::Wait { why, delay: delay.min(PAUSE_UNTOLD) }),
            Err(error) => Err(error),
        }
    }

    /// Nobody else watches: it goes on after a while.
    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let JobPayload::Observe { deployment } = job.payload else { return Ok(()) };
        tracing::warn!(%deployment, fault = fault.message, "a receiver could not be asked; trying again");
        let mut tx = self.stage.records.begin().await?;
        tx.job_enqueue(NewJob::new(job.payload.clone(), job.application_id).after(PAUSE_BURIED)).await?;
        Ok(tx.commit().await?)
    }
}

impl ObserveHandler {
    /// Hears the receiver of a deployment once; waits as long as there is anything to be heard.
    async fn watch(&self, deployment: DeploymentId, context: &JobContext) -> Result<(), JobError> {
        let Some(subject) = self.stage.subject(deployment).await? else { return Ok(()) };
        if !is_watched(&subject.deployment.state) {
            return Ok(());
        }
        let look = tokio::select! {
            look = self.look(&subject) => look?,
            () = context.cancelled.cancelled() => return Err(JobError::Stopped),
        };
        let stored = self.stage.store(&subject, &look).await?;
        if !is_watched(&stored.state) || tells_by_itself(&subject.environment.settings.receiver, &stored) {
            return Ok(());
        }
        let delay = pause(&stored.state, subject.deployment.handed_off_at, Utc::now());
        Err(JobError::Wait { why: waits_for(&stored.state, stored.trouble.as_ref()), delay })
    }

    /// Asks the receiver. That it gives no answer is an answer too: it is told and has an end.
    async fn look(&self, subject: &Subject) -> Result<Look, JobError> {
        let mut read = self.stage.records.read().await?;
        let known = read.observation_get(subject.deployment.id).await?.unwrap_or_default();
        drop(read);
        match self.ask(subject, known.sequence).await {
            Ok(events) => Ok(Look::Answered(events)),
            Err(fault) => Ok(Look::Silent(fault.message)),
        }
    }

    async fn ask(&self, subject: &Subject, mut since: u64) -> Result<Vec<Event>, Fault> {
        let key = key(&subject.application.name, &subject.environment);
        let receiver = self.stage.receiver(&subject.environment).await?;
        let mut events = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = receiver.observe(&key, since).await?;
            let is_last = page.len() < EVENTS_MAX;
            since = page.iter().map(|event| event.sequence).max().unwrap_or(since);
            events.extend(page);
            if is_last {
                break;
            }
        }
        Ok(events)
    }
}

/// Whether the next job is made by whoever has news. Without an answer it is asked until there is one.
fn tells_by_itself(receiver: &ReceiverSettings, stored: &Stored) -> bool {
    matches!(receiver, ReceiverSettings::Core {}) && stored.trouble.is_none()
}

fn pause(state: &DeploymentState, handed_off_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Duration {
    if !state.is_under_way() {
        return PAUSE_SETTLED;
    }
    let is_young = handed_off_at.is_some_and(|at| now - at < BUSY_FOR);
    if is_young { PAUSE_BUSY } else { PAUSE_SLOW }
}

fn waits_for(state: &DeploymentState, trouble: Option<&Trouble>) -> String {
    if let Some(trouble) = trouble {
        return format!("the receiver gives no answer since {}: {}", trouble.since.to_rfc3339(), trouble.why);
    }
    match state.reason() {
        Some(reason) => format!("the receiver says {}: {reason}", state.word()),
        None => format!("the receiver has it; it is {}", state.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_not_asked_again_unless_it_gave_no_answer() {
        let stored = |trouble: Option<Trouble>| Stored { state: DeploymentState::Live, trouble, taken: 0 };
        let silent = || Some(Trouble { why: "no database".into(), since: Utc::now() });
        let kubevela = ReceiverSettings::Kubevela { namespace: None, secrets: Default::default() };
        for (receiver, trouble, expected) in [
            (&ReceiverSettings::Core {}, None, true),
            (&ReceiverSettings::Core {}, silent(), false),
            (&kubevela, None, false),
            (&kubevela, silent(), false),
        ] {
            assert_eq!(tells_by_itself(receiver, &stored(trouble)), expected, "{receiver:?}");
        }
    }
}

//! The `deploy` job: from a draft to the receiver.
//!
//! Every step observes, acts and records, and may be killed before and after its effect: a revision is
//! kept under its digest, a receiver answers a resubmission with the same run.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use slipway_records::job::JobPayload;
use slipway_records::pipeline::Moved;
use slipway_records::{
    Change, Deployment, DeploymentCause, Handler, Job, JobContext, JobError, NewAuditEntry, incident,
};
use slipway_types::id::DeploymentId;
use slipway_types::state::{DeploymentEvent, DeploymentState};
use slipway_types::{Class, Fault};

use crate::gates::{Gate, next_look};
use crate::stage::Stage;
use crate::standing;
use crate::subject::Subject;
use crate::transition::advance;

mod aborted;
mod away;
mod cordoned;
mod handed_off;
mod planned;
mod removed;
mod taken_up;

/// Whose doing it is that a deployment moves by itself.
pub const SLIPWAY: &str = "slipway";
/// How long closed gates are left alone if nothing wakes them.
const GATES_PAUSE: Duration = Duration::from_secs(60);
/// How long what cannot be reached, or done, now is left alone.
pub(crate) const AWAY_PAUSE: Duration = Duration::from_secs(5);
/// How long a cordoned cluster is left alone.
pub(crate) const CORDON_PAUSE: Duration = Duration::from_secs(30);

/// Does `deploy` jobs.
pub struct DeployHandler {
    /// The deploy stage.
    pub stage: Arc<Stage>,
}

#[async_trait]
impl Handler for DeployHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Deploy { deployment } = job.payload else { return Ok(()) };
        loop {
            let Some(subject) = self.load(deployment).await? else { return Ok(()) };
            let before = subject.deployment.row_version;
            tokio::select! {
                done = self.step(subject) => done?,
                () = context.cancelled.cancelled() => return Err(JobError::Stopped),
            }
            let after = self.load(deployment).await?;
            if after.is_none_or(|after| after.deployment.row_version == before) {
                return Ok(());
            }
        }
    }

    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        let JobPayload::Deploy { deployment } = job.payload else { return Ok(()) };
        let Some(subject) = self.load(deployment).await? else { return Ok(()) };
        if subject.deployment.state.is_pending() {
            self.record(subject.deployment, DeploymentEvent::Fail(None, fault)).await?;
        }
        Ok(())
    }
}

impl DeployHandler {
    async fn load(&self, id: DeploymentId) -> Result<Option<Subject>, JobError> {
        Ok(self.stage.subject(id).await?)
    }

    async fn step(&self, subject: Subject) -> Result<(), JobError> {
        if subject.environment.removed_at.is_some() {
            return self.without_place(subject).await;
        }
        match &subject.deployment.state {
            DeploymentState::Draft { .. } => self.draft(subject).await,
            DeploymentState::Frozen { .. } | DeploymentState::Awaiting { .. } => self.ask(subject).await,
            DeploymentState::Approved { .. } => self.hand_off(subject).await,
            _ => Ok(()),
        }
    }

    /// Stores an event; a row that somebody else changed meanwhile is looked at again.
    async fn record(&self, mut deployment: Deployment, event: DeploymentEvent) -> Result<(), JobError> {
        let mut tx = self.stage.records.begin().await?;
        let moved = advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await?;
        if moved == Moved::Stored {
            tx.commit().await?;
            self.stage.records.changes().send(Change::Deployment(deployment.id));
        }
        Ok(())
    }

    /// What cannot be done now is waited for, by name and until its deadline; what cannot be done at all
    /// ends the deployment.
    async fn wait_or_fail(&self, deployment: Deployment, fault: Fault) -> Result<(), JobError> {
        let deadline = self.stage.deadline(&deployment);
        if fault.class != Class::Transient {
            return self.record(deployment, DeploymentEvent::Fail(None, fault)).await;
        }
        let minutes = self.stage.options.deadline_minutes;
        if Utc::now() >= deadline {
            let message = format!("deadline_minutes = {minutes} passed; last: {}", fault.message);
            let late = Fault { message, ..fault };
            return self.record(deployment, DeploymentEvent::Fail(None, late)).await;
        }
        let why = fault.message;
        self.record(deployment, DeploymentEvent::Wait(why.clone())).await?;
        Err(JobError::Wait { why, delay: AWAY_PAUSE })
    }

    /// Asks the gates.
    async fn ask(&self, subject: Subject) -> Result<(), JobError> {
        let Subject { deployment, environment, bundle, .. } = subject;
        let hours = environment.settings.expire_after_hours();
        if has_waited_for(&deployment, hours, Utc::now()) {
            let which = format!("its gates stayed closed for longer than expireAfterHours = {hours}");
            return self.record(deployment, DeploymentEvent::Expire(which)).await;
        }
        let gates = standing::gates(&self.stage, &deployment, &environment, &bundle).await?;
        let Some(why) = closed(&gates) else {
            return self.record(deployment, DeploymentEvent::Approve(None, Utc::now())).await;
        };
        let delay = next_look(&gates).unwrap_or(GATES_PAUSE).min(GATES_PAUSE);
        if is_told_anew(&deployment.state, &gates) {
            self.await_gates(deployment, &gates).await?;
        }
        Err(JobError::Wait { why, delay })
    }

    /// Stores which gates are closed, and that people are to be told if theirs is among them.
    async fn await_gates(&self, mut deployment: Deployment, gates: &[Gate]) -> Result<(), JobError> {
        let approvals = gates.iter().find(|gate| gate.gate == "approvals" && !gate.open);
        let approvals = approvals.map(|gate| gate.detail.as_str());
        let mut tx = self.stage.records.begin().await?;
        let event = DeploymentEvent::Await(missing(gates));
        if advance(tx.as_mut(), &mut deployment, event, SLIPWAY).await? == Moved::Stored {
            incident::awaits_approval(tx.as_mut(), &deployment, approvals).await?;
            tx.commit().await?;
            self.stage.records.changes().send(Change::Deployment(deployment.id));
        }
        Ok(())
    }
}

/// What is missing at closed gates, one line each.
fn missing(gates: &[Gate]) -> Vec<String> {
    gates.iter().filter(|gate| !gate.open).map(|gate| gate.detail.clone()).collect()
}

/// The closed gates in one line; `None` if all are open.
fn closed(gates: &[Gate]) -> Option<String> {
    let missing = missing(gates);
    (!missing.is_empty()).then(|| format!("gates are closed: {}", missing.join("; ")))
}

/// Whether a deployment was made so long ago that it waits for people no more.
fn has_waited_for(deployment: &Deployment, hours: u32, now: DateTime<Utc>) -> bool {
    now - deployment.created_at > TimeDelta::hours(i64::from(hours))
}

/// Whether other gates are closed than a deployment says, or they say something else. What counts down by the
/// minute is told when somebody asks, and not stored each time.
fn is_told_anew(state: &DeploymentState, gates: &[Gate]) -> bool {
    let DeploymentState::Awaiting { missing, .. } = state else { return true };
    let closed: Vec<&Gate> = gates.iter().filter(|gate| !gate.open).collect();
    let words = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let says_else = |(line, gate): (&String, &&Gate)| match gate.opens_in_s {
        Some(_) => words(line) != words(&gate.detail),
        None => *line != gate.detail,
    };
    missing.len() != closed.len() || missing.iter().zip(&closed).any(says_else)
}

/// Whether a deployment takes an application away.
pub(crate) fn is_removal(deployment: &Deployment) -> bool {
    matches!(deployment.cause, DeploymentCause::Remove { .. })
}

/// An audit entry about a deployment.
pub(crate) fn entry(
    actor: &str,
    action: &'static str,
    deployment: &Deployment,
    detail: serde_json::Value,
) -> NewAuditEntry {
    NewAuditEntry {
        actor: actor.to_owned(),
        action,
        subject: format!("deployment/{}", deployment.id),
        detail: json!({"revision": deployment.revision, "generation": deployment.generation, "said": detail}),
    }
}

#[cfg(test)]
mod tests {
    use slipway_types::Digest;

    use super::*;

    fn shut(gate: &'static str, detail: &str, opens_in_s: Option<u64>) -> Gate {
        Gate { gate, open: false, detail: detail.to_owned(), opens_in_s }
    }

    #[test]
    fn what_closed_gates_say_is_told_anew_unless_it_only_counts_down() {
        let missing = vec!["0 of 2 approvals".to_owned(), "opens in 9 min".to_owned()];
        let waits = DeploymentState::Awaiting { revision: Digest::of("a"), missing };
        let approvals = |detail| shut("approvals", detail, None);
        let window = |detail| shut("window", detail, Some(60));
        let open = Gate { open: true, ..approvals("2 of 2 approvals") };
        for (gates, expected) in [
            (vec![approvals("0 of 2 approvals"), window("opens in 9 min")], false),
            (vec![approvals("0 of 2 approvals"), window("opens in 8 min")], false),
            (vec![approvals("1 of 2 approvals (ann)"), window("opens in 9 min")], true),
            (vec![approvals("0 of 2 approvals"), window("ran for 9 min")], true),
            (vec![open.clone(), window("opens in 9 min")], true),
            (vec![open, shut("labels", "they do not match", None), window("opens in 9 min")], true),
        ] {
            assert_eq!(is_told_anew(&waits, &gates), expected, "{gates:?}");
        }
        assert!(is_told_anew(&DeploymentState::Frozen { revision: Digest::of("a") }, &[window("x")]));
    }
}

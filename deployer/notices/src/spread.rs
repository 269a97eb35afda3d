//! The `incident` job: which channels are told of an incident, and when.
//!
//! What comes and goes within the time of grace is not told. A channel is told of the beginning once, in
//! the first state that it wants to hear of, and of the end if it was told of the beginning: the
//! uniqueness of what a channel is told is the database's.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{
    Application, Environment, Handler, Incident, Job, JobContext, JobError, NewNotice, Topic, Write,
    fault_point,
};
use slipway_types::Fault;
use slipway_types::id::IncidentId;
use slipway_types::name::NoticeChannelName;

use crate::Notices;
use crate::message::{Notice, NoticeEvent};

/// How soon a job that could not go on is tried anew.
const PAUSE_BURIED: Duration = Duration::from_secs(60);

/// Does `incident` jobs.
pub struct IncidentHandler {
    /// The channels.
    pub notices: Notices,
}

#[async_trait]
impl Handler for IncidentHandler {
    async fn run(&self, job: &Job, _context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Incident { incident } = job.payload else { return Ok(()) };
        self.notices.spread(incident, Utc::now()).await
    }

    /// Nobody else tells of it: it goes on after a while.
    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        tracing::warn!(fault = fault.message, "an incident could not be told; trying again");
        let mut tx = self.notices.records.begin().await?;
        tx.job_enqueue(NewJob::new(job.payload.clone(), job.application_id).after(PAUSE_BURIED)).await?;
        Ok(tx.commit().await?)
    }
}

/// What is due of an incident.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// It is to be told.
    Beginning,
    /// It may yet pass by itself, or come back.
    Nothing(DateTime<Utc>),
    /// It is over.
    End,
}

fn due(incident: &Incident, grace: TimeDelta, now: DateTime<Utc>) -> Due {
    let wait_until = |at: DateTime<Utc>| (now < at).then_some(Due::Nothing(at));
    if matches!(incident.topic, Topic::GatesBroken | Topic::NotDeployed) {
        return Due::Beginning;
    }
    if incident.closed_at.is_some() {
        return Due::End;
    }
    if let Some(ended) = &incident.ended {
        return wait_until(ended.since + grace).unwrap_or(Due::End);
    }
    let may_pass = matches!(incident.about.state.as_str(), "degraded" | "unreachable");
    if may_pass {
        return wait_until(incident.opened_at + grace).unwrap_or(Due::Beginning);
    }
    Due::Beginning
}

impl Notices {
    /// Decides what is told of an incident, and keeps it to be sent.
    pub(crate) async fn spread(&self, id: IncidentId, now: DateTime<Utc>) -> Result<(), JobError> {
        let mut tx = self.records.begin().await?;
        let Some(mut incident) = tx.incident_get(id).await? else { return Ok(()) };
        let application = tx.application_get(incident.application_id).await?;
        let environment = tx.environment_get(incident.environment_id).await?;
        let place = application.zip(environment);
        let grace = TimeDelta::seconds(i64::from(self.options.grace_s));
        let due = if place.is_some() { due(&incident, grace, now) } else { Due::End };
        if let Due::Nothing(until) = due {
            let why = format!("whether it lasts, or is over, shows at {}", until.to_rfc3339());
            return Err(JobError::Wait { why, delay: (until - now).to_std().unwrap_or_default() });
        }
        if due == Due::End && incident.closed_at.is_none() {
            incident.closed_at = Some(now);
            if !tx.incident_save(&mut incident).await? {
                // Whoever was faster has queued this job anew.
                return Ok(());
            }
        }
        if let Some((application, environment)) = &place {
            match due {
                Due::Beginning => {
                    let event = NoticeEvent::of_opening(&incident);
                    self.keep(tx.as_mut(), event, &incident, application, environment, None).await?;
                }
                Due::End if incident.topic == Topic::Trouble => {
                    let told = told(tx.as_mut(), &incident).await?;
                    let event = NoticeEvent::Recovered;
                    self.keep(tx.as_mut(), event, &incident, application, environment, Some(told)).await?;
                }
                Due::End | Due::Nothing(_) => {}
            }
        }
        tx.commit().await?;
        fault_point::reach("notice.spread");
        Ok(())
    }

    /// Keeps a notice for every channel that hears of such an event, `only` those if given.
    async fn keep(
        &self,
        tx: &mut dyn Write,
        event: NoticeEvent,
        incident: &Incident,
        application: &Application,
        environment: &Environment,
        only: Option<BTreeSet<NoticeChannelName>>,
    ) -> Result<(), JobError> {
        let notice = Notice::new(event, incident, application, environment, &self.options.public_url);
        let body = serde_json::to_value(&notice).map_err(|error| {
            Fault::bug("notice_unwritable", format!("no JSON can be made of it: {error}"))
        })?;
        let (team, labels) = (application.name.team(), &environment.settings.labels);
        for channel in self.channels.iter() {
            let is_wanted = only.as_ref().is_none_or(|only| only.contains(&channel.name));
            if !is_wanted || !channel.audience.hears(event, team, &environment.name, labels) {
                continue;
            }
            let new = NewNotice {
                channel: channel.name.clone(),
                once: once(incident, event == NoticeEvent::Recovered),
                incident_id: incident.id,
                body: body.clone(),
            };
            if tx.notice_insert(new).await?.is_some() {
                let job = JobPayload::Notice { channel: channel.name.clone() };
                tx.job_enqueue(NewJob::new(job, None)).await?;
            }
        }
        Ok(())
    }
}

/// What a channel is told once.
fn once(incident: &Incident, is_end: bool) -> String {
    format!("{}/{}", incident.id, if is_end { "recovered" } else { "opened" })
}

/// Who was told that it began, or is to be.
async fn told(tx: &mut dyn Write, incident: &Incident) -> Result<BTreeSet<NoticeChannelName>, JobError> {
    let opened = once(incident, false);
    let notices = tx.notices_of(incident.id).await?;
    Ok(notices.into_iter().filter(|notice| notice.once == opened).map(|notice| notice.channel).collect())
}

#[cfg(test)]
mod tests {
    use slipway_records::incident::About;
    use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId};

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn incident(topic: Topic, state: &str, ended: Option<i64>) -> Incident {
        let about = |state: &str, since| About {
            deployment: DeploymentId::new(),
            generation: 7,
            version: "1.4.2".parse().unwrap(),
            state: state.to_owned(),
            blocker: None,
            deployed_by: "ann".into(),
            since: at(since),
        };
        Incident {
            id: IncidentId::new(),
            application_id: ApplicationId::new(),
            environment_id: EnvironmentId::new(),
            topic,
            about: about(state, 0),
            ended: ended.map(|since| about("live", since)),
            opened_at: at(0),
            closed_at: None,
            row_version: 1,
        }
    }

    #[test]
    fn what_may_pass_by_itself_is_told_once_it_has_lasted() {
        use Topic::{Approval, GatesBroken, NotDeployed, Trouble};
        let grace = TimeDelta::seconds(60);
        for (topic, state, ended, now, expected) in [
            (Trouble, "failed", None, 0, Due::Beginning),
            (Trouble, "timed_out", None, 0, Due::Beginning),
            (Trouble, "degraded", None, 59, Due::Nothing(at(60))),
            (Trouble, "degraded", None, 60, Due::Beginning),
            (Trouble, "unreachable", None, 10, Due::Nothing(at(60))),
            (Trouble, "failed", Some(100), 159, Due::Nothing(at(160))),
            (Trouble, "failed", Some(100), 160, Due::End),
            (Approval, "awaiting", None, 0, Due::Beginning),
            (GatesBroken, "approved", None, 0, Due::Beginning),
            (NotDeployed, "rejected", None, 0, Due::Beginning),
        ] {
            let found = due(&incident(topic, state, ended), grace, at(now));
            assert_eq!(found, expected, "{topic:?} {state} {ended:?} {now}");
        }
        let over = Incident { closed_at: Some(at(5)), ..incident(Approval, "awaiting", Some(5)) };
        assert_eq!(due(&over, grace, at(5)), Due::End);
    }
}

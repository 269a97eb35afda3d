//! The `notice` job: sends what is kept for a channel, the oldest first.
//!
//! One job a channel, so that its limit holds and a channel that is away keeps up no other. What is more
//! than the limit lets through goes in one message; which notices that tells of is kept before it is
//! sent, so that a repetition is the same. A message that was sent and not yet noted is sent again.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{
    Handler, Job, JobContext, JobError, NoticeDelivery, PAGE_ROWS_MAX, Tried, fault_point,
};
use slipway_types::id::NoticeId;
use slipway_types::name::NoticeChannelName;
use slipway_types::{Class, Fault};

use crate::Notices;
use crate::answer::Refusal;
use crate::channel::Channel;
use crate::message::{Content, Message, Notice};

/// The time that the limit of messages is of.
const LIMIT_OF: TimeDelta = TimeDelta::minutes(1);
/// How long a channel that has had its share is left alone.
const PAUSE_FULL: Duration = Duration::from_secs(5);
/// How soon a job that could not go on is tried anew.
const PAUSE_BURIED: Duration = Duration::from_secs(60);

/// Does `notice` jobs.
pub struct NoticeHandler {
    /// The channels.
    pub notices: Notices,
}

#[async_trait]
impl Handler for NoticeHandler {
    async fn run(&self, job: &Job, context: &JobContext) -> Result<(), JobError> {
        let JobPayload::Notice { channel } = &job.payload else { return Ok(()) };
        tokio::select! {
            done = self.notices.work_off(channel) => done,
            () = context.cancelled.cancelled() => Err(JobError::Stopped),
        }
    }

    /// What is kept stays kept: it goes on after a while.
    async fn bury(&self, job: &Job, fault: Fault) -> Result<(), JobError> {
        tracing::warn!(fault = fault.message, "notices could not be sent; trying again");
        let mut tx = self.notices.records.begin().await?;
        tx.job_enqueue(NewJob::new(job.payload.clone(), job.application_id).after(PAUSE_BURIED)).await?;
        Ok(tx.commit().await?)
    }
}

/// Notices that go in one message.
#[derive(Debug, Clone, PartialEq)]
struct Parcel {
    id: NoticeId,
    notices: Vec<NoticeDelivery>,
    /// Whether it is still to be kept that these go together.
    is_new: bool,
}

impl Parcel {
    fn ids(&self) -> Vec<NoticeId> {
        self.notices.iter().map(|notice| notice.id).collect()
    }
}

/// What is sent next, in at most `room` messages: first what was put together before, then one by one, and
/// in the last one all that is left.
fn parcels(pending: Vec<NoticeDelivery>, room: usize) -> Vec<Parcel> {
    let mut together: BTreeMap<NoticeId, Vec<NoticeDelivery>> = BTreeMap::new();
    let mut alone = Vec::new();
    for notice in pending {
        match notice.folded_into {
            Some(into) => together.entry(into).or_default().push(notice),
            None => alone.push(notice),
        }
    }
    let mut parcels: Vec<Parcel> =
        together.into_iter().map(|(id, notices)| Parcel { id, notices, is_new: false }).collect();
    parcels.truncate(room);
    let room = room - parcels.len();
    if room == 0 {
        return parcels;
    }
    let rest = if alone.len() > room { alone.split_off(room - 1) } else { Vec::new() };
    parcels.extend(alone.into_iter().map(|notice| Parcel {
        id: notice.id,
        notices: vec![notice],
        is_new: false,
    }));
    if !rest.is_empty() {
        parcels.push(Parcel { id: NoticeId::new(), notices: rest, is_new: true });
    }
    parcels
}

impl Notices {
    /// Sends until nothing waits for the channel.
    pub(crate) async fn work_off(&self, name: &NoticeChannelName) -> Result<(), JobError> {
        loop {
            let now = Utc::now();
            let mut read = self.records.read().await?;
            let pending = read.notices_pending(name, PAGE_ROWS_MAX).await?;
            let sent = read.notices_sent_since(name, now - LIMIT_OF).await?;
            drop(read);
            if pending.is_empty() {
                return Ok(());
            }
            let Some(channel) = self.channel(name) else {
                let ids: Vec<NoticeId> = pending.iter().map(|notice| notice.id).collect();
                let why = "the server's settings have no such channel".to_owned();
                self.note(None, &ids, Tried::Failed(why)).await?;
                continue;
            };
            if self.give_up(channel, &pending, now).await? {
                continue;
            }
            if let Some(next) =
                pending.iter().filter_map(|notice| notice.next_at).max().filter(|at| now < *at)
            {
                let delay = (next - now).to_std().unwrap_or_default();
                return Err(JobError::Wait { why: "the channel could not be told".to_owned(), delay });
            }
            let limit = self.limit_of(channel);
            let room = u64::from(limit).saturating_sub(sent);
            if room == 0 {
                let why = format!("max_per_minute = {limit} is reached");
                return Err(JobError::Wait { why, delay: PAUSE_FULL });
            }
            for parcel in parcels(pending, usize::try_from(room).unwrap_or(usize::MAX)) {
                self.send_parcel(channel, &parcel).await?;
            }
        }
    }

    /// The most messages to a channel in a minute: as set, or less where its kind takes less.
    fn limit_of(&self, channel: &Channel) -> u32 {
        let set = self.options.max_per_minute;
        channel.way.kind().max_per_minute().map_or(set, |most| most.min(set))
    }

    /// Gives up what was tried for too long; whether there was any.
    async fn give_up(
        &self,
        channel: &Channel,
        pending: &[NoticeDelivery],
        now: DateTime<Utc>,
    ) -> Result<bool, JobError> {
        let limit = i64::try_from(self.options.give_up_after_ms).unwrap_or(i64::MAX);
        let is_late = |notice: &&NoticeDelivery| {
            (now - notice.created_at).num_milliseconds() >= limit && notice.attempts > 0
        };
        let late: Vec<&NoticeDelivery> = pending.iter().filter(is_late).collect();
        for notice in &late {
            let last = notice.answer.clone().unwrap_or_default();
            let why = format!("given up after {} s; last: {last}", limit / 1000);
            tracing::warn!(channel = %notice.channel, notice = %notice.id, why, "a notice was given up");
            self.note(Some(channel), &[notice.id], Tried::Failed(why)).await?;
        }
        Ok(!late.is_empty())
    }

    async fn send_parcel(&self, channel: &Channel, parcel: &Parcel) -> Result<(), JobError> {
        let ids = parcel.ids();
        if parcel.is_new {
            let mut tx = self.records.begin().await?;
            tx.notices_fold(&ids, parcel.id).await?;
            tx.commit().await?;
        }
        let bodies =
            parcel.notices.iter().map(|notice| serde_json::from_value::<Notice>(notice.body.clone()));
        let Ok(mut notices) = bodies.collect::<Result<Vec<_>, _>>() else {
            let why = "it cannot be read by this release".to_owned();
            return self.note(Some(channel), &ids, Tried::Failed(why)).await;
        };
        let content = match notices.pop() {
            Some(only) if notices.is_empty() => Content::One(only),
            last => {
                notices.extend(last);
                Content::Several(notices)
            }
        };
        fault_point::reach("notice.before_send");
        let outcome = self.send(channel, &Message { id: parcel.id, content }).await;
        fault_point::reach("notice.sent");
        match outcome {
            Ok(answer) => self.note(Some(channel), &ids, Tried::Sent(answer)).await,
            Err(Refusal { fault, after }) if fault.class == Class::Transient => {
                let attempts = parcel.notices.iter().map(|notice| notice.attempts).max().unwrap_or(0);
                let delay = after.unwrap_or_else(|| self.pause(attempts));
                let next = Utc::now() + TimeDelta::from_std(delay).unwrap_or_default();
                self.note(Some(channel), &ids, Tried::Again(fault.message.clone(), next)).await?;
                Err(JobError::Wait { why: fault.message, delay })
            }
            Err(Refusal { fault, .. }) => {
                tracing::warn!(channel = %channel.name, %fault, "a channel refuses notices");
                self.note(Some(channel), &ids, Tried::Failed(fault.message)).await
            }
        }
    }

    /// How long to wait after so many tries before.
    fn pause(&self, attempts: u32) -> Duration {
        let factor = 2u64.saturating_pow(attempts);
        let pause_ms = self.options.retry_pause_ms.saturating_mul(factor);
        Duration::from_millis(pause_ms.min(self.options.max_retry_pause_ms))
    }

    /// Stores what came of a try, and counts it. Without a channel: there is none of that name.
    async fn note(&self, channel: Option<&Channel>, ids: &[NoticeId], tried: Tried) -> Result<(), JobError> {
        let mut tx = self.records.begin().await?;
        tx.notices_tried(ids, &tried).await?;
        tx.commit().await?;
        let kind = channel.map_or("none", |channel| channel.way.kind().word());
        let outcome = match tried {
            Tried::Sent(_) => "sent",
            Tried::Again(..) => "again",
            Tried::Failed(_) => "failed",
        };
        self.counts.count(kind, outcome, ids.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests;

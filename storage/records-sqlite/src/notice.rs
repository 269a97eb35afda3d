//! Notices on their way to channels.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    NewNotice, NoticeCounts, NoticeDelivery, NoticeState, Page, ReadNotices, Result, Tried, WriteNotices,
};
use slipway_types::id::{IncidentId, NoticeId};
use slipway_types::name::NoticeChannelName;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Json, Millis, Text, below, json, millis, now, rows};

struct NoticeRow {
    id: Text<NoticeId>,
    channel: Text<NoticeChannelName>,
    once: String,
    incident_id: Text<IncidentId>,
    body: Json<serde_json::Value>,
    state: Text<NoticeState>,
    folded_into: Option<Text<NoticeId>>,
    attempts: Int<u32>,
    next_at: Option<Millis>,
    answer: Option<String>,
    created_at: Millis,
    ended_at: Option<Millis>,
}

impl From<NoticeRow> for NoticeDelivery {
    fn from(row: NoticeRow) -> Self {
        Self {
            id: row.id.0,
            channel: row.channel.0,
            once: row.once,
            incident_id: row.incident_id.0,
            body: row.body.0,
            state: row.state.0,
            folded_into: row.folded_into.map(|id| id.0),
            attempts: row.attempts.0,
            next_at: row.next_at.map(|at| at.0),
            answer: row.answer,
            created_at: row.created_at.0,
            ended_at: row.ended_at.map(|at| at.0),
        }
    }
}

macro_rules! notices {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            NoticeRow,
            r#"select id as "id!: _", channel as "channel!: _", once as "once!",
            incident_id as "incident_id!: _", body as "body!: _", state as "state!: _",
            folded_into as "folded_into?: _", attempts as "attempts!: _", next_at as "next_at?: _",
            answer as "answer?", created_at as "created_at!: _", ended_at as "ended_at?: _"
            from notice_delivery "# + $tail
            $(, $arg)*
        )
    };
}

fn texts(ids: &[NoticeId]) -> String {
    json(&ids.iter().map(ToString::to_string).collect::<Vec<_>>())
}

#[async_trait]
impl<H: Handle> ReadNotices for Session<H> {
    async fn notice_get(&mut self, id: NoticeId) -> Result<Option<NoticeDelivery>> {
        let found = notices!("where id = ?1", id.to_string()).fetch_optional(self.db()).await;
        Ok(found.map_err(failed)?.map(NoticeDelivery::from))
    }

    async fn notices_failed(
        &mut self,
        channel: Option<&NoticeChannelName>,
        page: Page,
    ) -> Result<Vec<NoticeDelivery>> {
        let (after, limit) = (below(page.after), rows(page.limit));
        let found = match channel {
            Some(channel) => {
                let of_channel = notices!(
                    "where channel = ?1 and state = 'failed' and id < ?2 order by id desc limit ?3",
                    channel.as_str(),
                    after,
                    limit
                );
                of_channel.fetch_all(self.db()).await
            }
            // The plus keeps it from the primary key, by which all that was ever sent would be walked.
            None => {
                let of_all =
                    notices!("where state = 'failed' and +id < ?1 order by +id desc limit ?2", after, limit);
                of_all.fetch_all(self.db()).await
            }
        };
        Ok(found.map_err(failed)?.into_iter().map(NoticeDelivery::from).collect())
    }

    async fn notices_of(&mut self, incident: IncidentId) -> Result<Vec<NoticeDelivery>> {
        let found = notices!("where incident_id = ?1 order by id", incident.to_string());
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(NoticeDelivery::from).collect())
    }

    async fn notices_pending(
        &mut self,
        channel: &NoticeChannelName,
        limit: u32,
    ) -> Result<Vec<NoticeDelivery>> {
        let found = notices!(
            "where channel = ?1 and state = 'pending' order by id limit ?2",
            channel.as_str(),
            rows(limit)
        );
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(NoticeDelivery::from).collect())
    }

    async fn notices_counted(&mut self, channel: &NoticeChannelName) -> Result<NoticeCounts> {
        let counted = sqlx::query!(
            r#"select
            (select count(*) from notice_delivery where channel = ?1 and state = 'pending') as "pending!: Int<u64>",
            (select count(*) from notice_delivery where channel = ?1 and state = 'failed') as "failed!: Int<u64>""#,
            channel.as_str(),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)?;
        Ok(NoticeCounts { pending: counted.pending.0, failed: counted.failed.0 })
    }

    async fn notices_sent_since(&mut self, channel: &NoticeChannelName, since: DateTime<Utc>) -> Result<u64> {
        let count = sqlx::query_scalar!(
            r#"select count(distinct coalesce(folded_into, id)) as "count!: Int<u64>" from notice_delivery
            where channel = ?1 and ended_at >= ?2 and state = 'sent'"#,
            channel.as_str(),
            millis(since),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)?;
        Ok(count.0)
    }

    async fn notice_last(&mut self, channel: &NoticeChannelName) -> Result<Option<NoticeDelivery>> {
        let found = notices!(
            "where channel = ?1 and ended_at is not null order by ended_at desc, id desc limit 1",
            channel.as_str()
        );
        Ok(found.fetch_optional(self.db()).await.map_err(failed)?.map(NoticeDelivery::from))
    }
}

#[async_trait]
impl WriteNotices for Writer {
    async fn notice_insert(&mut self, new: NewNotice) -> Result<Option<NoticeId>> {
        let id = NoticeId::new();
        let made = sqlx::query!(
            "insert into notice_delivery (id, channel, once, incident_id, body, state, attempts, created_at)
            values (?1, ?2, ?3, ?4, ?5, 'pending', 0, ?6) on conflict (channel, once) do nothing",
            id.to_string(),
            new.channel.as_str(),
            new.once,
            new.incident_id.to_string(),
            json(&new.body),
            millis(now()),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok((made.rows_affected() == 1).then_some(id))
    }

    async fn notices_fold(&mut self, ids: &[NoticeId], into: NoticeId) -> Result<()> {
        sqlx::query!(
            "update notice_delivery set folded_into = ?2
            where state = 'pending' and id in (select value from json_each(?1))",
            texts(ids),
            into.to_string(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn notices_tried(&mut self, ids: &[NoticeId], tried: &Tried) -> Result<()> {
        let (state, answer, next_at) = match tried {
            Tried::Sent(answer) => (NoticeState::Sent, answer, None),
            Tried::Failed(why) => (NoticeState::Failed, why, None),
            Tried::Again(why, at) => (NoticeState::Pending, why, Some(millis(*at))),
        };
        let ended_at = (state != NoticeState::Pending).then(|| millis(now()));
        sqlx::query!(
            "update notice_delivery set state = ?2, answer = ?3, next_at = ?4, ended_at = ?5,
            attempts = attempts + 1 where state = 'pending' and id in (select value from json_each(?1))",
            texts(ids),
            state.word(),
            answer,
            next_at,
            ended_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn notices_again(&mut self, channel: &NoticeChannelName, only: Option<NoticeId>) -> Result<u64> {
        let updated = sqlx::query!(
            "update notice_delivery set state = 'pending', folded_into = null, attempts = 0, next_at = null,
            ended_at = null, created_at = ?3
            where state = 'failed' and channel = ?1 and (?2 is null or id = ?2)",
            channel.as_str(),
            only.map(|id| id.to_string()),
            millis(now()),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(updated.rows_affected())
    }
}

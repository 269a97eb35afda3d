//! Channels and the history of their moves.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{Channel, ChannelMove, ChannelMoved, ReadChannels, Result, WriteChannels};
use slipway_types::Version;
use slipway_types::id::{ApplicationId, VersionId};
use slipway_types::name::ChannelName;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Text, now, rows, text};

struct ChannelRow {
    application_id: Id<ApplicationId>,
    name: Text<ChannelName>,
    version_id: Id<VersionId>,
    version: Text<Version>,
    moved_at: DateTime<Utc>,
    moved_by: String,
}

impl From<ChannelRow> for Channel {
    fn from(row: ChannelRow) -> Self {
        Self {
            application_id: row.application_id.0,
            name: row.name.0,
            version_id: row.version_id.0,
            version: row.version.0,
            moved_at: row.moved_at,
            moved_by: row.moved_by,
        }
    }
}

struct MoveRow {
    seq: i64,
    from: Option<Text<Version>>,
    to: Text<Version>,
    at: DateTime<Utc>,
    by: String,
    reason: Option<String>,
}

impl From<MoveRow> for ChannelMoved {
    fn from(row: MoveRow) -> Self {
        Self {
            seq: row.seq,
            from: row.from.map(|version| version.0),
            to: row.to.0,
            at: row.at,
            by: row.by,
            reason: row.reason,
        }
    }
}

macro_rules! channels {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            ChannelRow,
            r#"select c.application_id as "application_id!: _", c.name as "name!: _",
            c.version_id as "version_id!: _", v.version as "version!: _", c.moved_at as "moved_at!",
            c.moved_by as "moved_by!" from channel c join version v on v.id = c.version_id "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadChannels for Session<H> {
    async fn channel_get(
        &mut self,
        application: ApplicationId,
        name: &ChannelName,
    ) -> Result<Option<Channel>> {
        let row =
            channels!("where c.application_id = $1 and c.name = $2", application.as_uuid(), name.as_str())
                .fetch_optional(self.db())
                .await;
        Ok(row.map_err(failed)?.map(Channel::from))
    }

    async fn channel_list(&mut self, application: ApplicationId) -> Result<Vec<Channel>> {
        let rows = channels!("where c.application_id = $1 order by c.name", application.as_uuid())
            .fetch_all(self.db())
            .await;
        Ok(rows.map_err(failed)?.into_iter().map(Channel::from).collect())
    }

    async fn channel_page(
        &mut self,
        application: ApplicationId,
        after: Option<&ChannelName>,
        limit: u32,
    ) -> Result<Vec<Channel>> {
        let found = channels!(
            "where c.application_id = $1 and c.name > $2 order by c.name limit $3",
            application.as_uuid(),
            after.map_or("", ChannelName::as_str),
            rows(limit)
        );
        let found = found.fetch_all(self.db()).await.map_err(failed)?;
        Ok(found.into_iter().map(Channel::from).collect())
    }

    async fn channel_history(
        &mut self,
        application: ApplicationId,
        name: &ChannelName,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<ChannelMoved>> {
        let moves = sqlx::query_as!(
            MoveRow,
            r#"select h.id as "seq!", f.version as "from?: _", t.version as "to!: _", h.moved_at as "at!",
            h.moved_by as "by!", h.reason from channel_history h join version t on t.id = h.to_version_id
            left join version f on f.id = h.from_version_id
            where h.application_id = $1 and h.name = $2 and h.id < $3 order by h.id desc limit $4"#,
            application.as_uuid(),
            name.as_str(),
            before.unwrap_or(i64::MAX),
            rows(limit),
        )
        .fetch_all(self.db())
        .await;
        Ok(moves.map_err(failed)?.into_iter().map(ChannelMoved::from).collect())
    }
}

impl Writer {
    async fn channel_point(&mut self, change: &ChannelMove) -> Result<bool> {
        let (application, name) = (change.application_id.as_uuid(), change.name.as_str());
        let moved = match change.from {
            None => {
                sqlx::query!(
                    "insert into channel (application_id, name, version_id, moved_at, moved_by)
                    values ($1, $2, $3, $4, $5) on conflict (application_id, name) do nothing",
                    application,
                    name,
                    change.to.as_uuid(),
                    now(),
                    text(&change.by),
                )
                .execute(self.db())
                .await
            }
            Some(from) => {
                sqlx::query!(
                    "update channel set version_id = $4, moved_at = $5, moved_by = $6
                    where application_id = $1 and name = $2 and version_id = $3",
                    application,
                    name,
                    from.as_uuid(),
                    change.to.as_uuid(),
                    now(),
                    text(&change.by),
                )
                .execute(self.db())
                .await
            }
        };
        Ok(moved.map_err(failed)?.rows_affected() == 1)
    }
}

#[async_trait]
impl WriteChannels for Writer {
    async fn channel_move(&mut self, change: &ChannelMove) -> Result<bool> {
        self.lock_application(change.application_id).await?;
        if !self.channel_point(change).await? {
            return Ok(false);
        }
        sqlx::query!(
            "insert into channel_history (application_id, name, from_version_id, to_version_id, moved_at,
            moved_by, reason) values ($1, $2, $3, $4, $5, $6, $7)",
            change.application_id.as_uuid(),
            change.name.as_str(),
            change.from.map(|id| id.as_uuid()),
            change.to.as_uuid(),
            now(),
            text(&change.by),
            change.reason.as_deref().map(text),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(true)
    }
}

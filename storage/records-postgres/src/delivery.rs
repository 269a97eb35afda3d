//! The inbox.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    Delivery, Inserted, NewDelivery, Origin, Page, ReadDeliveries, RecordsError, Refusal, Result,
    WriteDeliveries,
};
use slipway_types::id::{DeliveryId, SourceId};
use slipway_types::state::DeliveryState;
use slipway_types::{CommitId, GitRef};

use crate::error::{UnknownWord, failed};
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Json, Text, below, json, now, rows, text};

/// Refusals kept of each source, in rows.
const REFUSALS_MAX: i64 = 100;

struct DeliveryRow {
    id: Id<DeliveryId>,
    source_id: Id<SourceId>,
    origin: String,
    external_id: Option<String>,
    event: String,
    git_ref: Option<Text<GitRef>>,
    commit_id: Option<Text<CommitId>>,
    actor: String,
    fresh: bool,
    state: Json<DeliveryState>,
    received_at: DateTime<Utc>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = RecordsError;

    fn try_from(row: DeliveryRow) -> Result<Self> {
        let origin = Origin::from_word(&row.origin).ok_or_else(|| RecordsError::Unreadable {
            what: format!("delivery {}", row.id.0),
            source: UnknownWord(row.origin).into(),
        })?;
        Ok(Self {
            id: row.id.0,
            source_id: row.source_id.0,
            origin,
            external_id: row.external_id,
            event: row.event,
            git_ref: row.git_ref.map(|name| name.0),
            commit: row.commit_id.map(|id| id.0),
            actor: row.actor,
            fresh: row.fresh,
            state: row.state.0,
            received_at: row.received_at,
        })
    }
}

macro_rules! deliveries {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            DeliveryRow,
            r#"select id as "id!: _", source_id as "source_id!: _", origin as "origin!", external_id as "external_id?",
            event as "event!", git_ref as "git_ref?: _", commit_id as "commit_id?: _", actor as "actor!",
            fresh as "fresh!", state_json as "state!: _", received_at as "received_at!"
            from delivery "# + $tail
            $(, $arg)*
        )
    };
}

struct RefusalRow {
    at: DateTime<Utc>,
    address: String,
    reason: String,
}

#[async_trait]
impl<H: Handle> ReadDeliveries for Session<H> {
    async fn delivery_get(&mut self, id: DeliveryId) -> Result<Option<Delivery>> {
        let row = deliveries!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        row.map_err(failed)?.map(Delivery::try_from).transpose()
    }

    async fn delivery_list(&mut self, source: SourceId, page: Page) -> Result<Vec<Delivery>> {
        let rows = deliveries!(
            "where source_id = $1 and id < $2 order by id desc limit $3",
            source.as_uuid(),
            below(page.after),
            rows(page.limit)
        )
        .fetch_all(self.db())
        .await;
        rows.map_err(failed)?.into_iter().map(Delivery::try_from).collect()
    }

    async fn delivery_names(&mut self, source: SourceId, name: &GitRef, commit: &CommitId) -> Result<bool> {
        self.lock_source(source).await?;
        sqlx::query_scalar!(
            r#"select exists (select 1 from delivery where source_id = $1 and git_ref = $2 and commit_id = $3)
            as "named!""#,
            source.as_uuid(),
            name.to_string(),
            commit.as_str(),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)
    }

    async fn refusals(&mut self, source: SourceId) -> Result<(Vec<Refusal>, u64)> {
        let rows = sqlx::query_as!(
            RefusalRow,
            r#"select at as "at!", address as "address!", reason as "reason!" from refusal
            where source_id = $1 order by id desc"#,
            source.as_uuid(),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        let count = sqlx::query_scalar!(
            r#"select refusals as "refusals!" from source where id = $1"#,
            source.as_uuid()
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        let kept = rows
            .into_iter()
            .map(|row| Refusal { at: row.at, address: row.address, reason: row.reason })
            .collect();
        Ok((kept, count.unwrap_or(0).unsigned_abs()))
    }
}

#[async_trait]
impl WriteDeliveries for Writer {
    async fn delivery_insert(&mut self, delivery: NewDelivery) -> Result<Inserted<Delivery>> {
        self.lock_source(delivery.source_id).await?;
        let delivery = Delivery {
            id: DeliveryId::new(),
            source_id: delivery.source_id,
            origin: delivery.origin,
            external_id: delivery.external_id.as_deref().map(text),
            event: text(&delivery.event),
            git_ref: delivery.git_ref,
            commit: delivery.commit,
            actor: text(&delivery.actor),
            fresh: delivery.fresh,
            state: delivery.state,
            received_at: now(),
        };
        let made = sqlx::query!(
            "insert into delivery (id, source_id, origin, external_id, event, git_ref, commit_id, actor, fresh,
            state, state_json, received_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            on conflict (source_id, origin, external_id) where external_id is not null do nothing",
            delivery.id.as_uuid(),
            delivery.source_id.as_uuid(),
            delivery.origin.word(),
            delivery.external_id,
            delivery.event,
            delivery.git_ref.as_ref().map(ToString::to_string),
            delivery.commit.as_ref().map(CommitId::as_str),
            delivery.actor,
            delivery.fresh,
            delivery.state.word(),
            json(&delivery.state),
            delivery.received_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if made {
            return Ok(Inserted::New(delivery));
        }
        let found = deliveries!(
            "where source_id = $1 and origin = $2 and external_id = $3",
            delivery.source_id.as_uuid(),
            delivery.origin.word(),
            delivery.external_id
        )
        .fetch_one(self.db())
        .await;
        Ok(Inserted::Existing(found.map_err(failed)?.try_into()?))
    }

    async fn delivery_settle(&mut self, id: DeliveryId, state: &DeliveryState) -> Result<bool> {
        let settled = sqlx::query!(
            "update delivery set state = $2, state_json = $3 where id = $1 and state = 'received'",
            id.as_uuid(),
            state.word(),
            json(state),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(settled.rows_affected() == 1)
    }

    async fn refusal_add(&mut self, source: SourceId, refusal: &Refusal) -> Result<()> {
        // The row's lock keeps the kept ones in order.
        sqlx::query!("update source set refusals = refusals + 1 where id = $1", source.as_uuid())
            .execute(self.db())
            .await
            .map_err(failed)?;
        sqlx::query!(
            "insert into refusal (source_id, at, address, reason) values ($1, $2, $3, $4)",
            source.as_uuid(),
            refusal.at,
            text(&refusal.address),
            text(&refusal.reason),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        sqlx::query!(
            "delete from refusal where source_id = $1 and id <=
            (select id from refusal where source_id = $1 order by id desc limit 1 offset $2)",
            source.as_uuid(),
            REFUSALS_MAX,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}

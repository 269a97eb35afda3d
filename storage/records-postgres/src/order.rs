//! Orders to receivers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::deploying::{DeploymentOrder, DeploymentWord};
use slipway_records::order::{OrderRow, OrderState, ReadOrders, WriteOrders};
use slipway_records::{Change, Result};
use slipway_types::id::{DeploymentId, OrderId};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Text, int, now, rows, text};

struct Row {
    id: Id<OrderId>,
    deployment_id: Id<DeploymentId>,
    word: Text<DeploymentWord>,
    node: Option<String>,
    person: String,
    actor: String,
    reason: Option<String>,
    heard: Option<Int<u64>>,
    state: Text<OrderState>,
    why: Option<String>,
    given_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

impl From<Row> for OrderRow {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.0,
            order: DeploymentOrder {
                deployment: row.deployment_id.0,
                word: row.word.0,
                node: row.node,
                person: row.person,
                actor: row.actor,
                reason: row.reason,
            },
            heard: row.heard.map(|heard| heard.0),
            state: row.state.0,
            why: row.why,
            given_at: row.given_at,
            settled_at: row.settled_at,
        }
    }
}

macro_rules! orders {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select id as "id!: _", deployment_id as "deployment_id!: _", word as "word!: _", node,
            person as "person!", actor as "actor!", reason, heard as "heard?: _", state as "state!: _", why,
            given_at as "given_at!", settled_at as "settled_at?" from deployment_order "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadOrders for Session<H> {
    async fn order_get(&mut self, id: OrderId) -> Result<Option<OrderRow>> {
        let row = orders!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(OrderRow::from))
    }

    async fn orders_pending(&mut self, deployment: DeploymentId) -> Result<Vec<OrderRow>> {
        let found =
            orders!("where deployment_id = $1 and state = 'pending' order by id", deployment.as_uuid())
                .fetch_all(self.db())
                .await;
        Ok(found.map_err(failed)?.into_iter().map(OrderRow::from).collect())
    }

    async fn orders_of(&mut self, deployment: DeploymentId, limit: u32) -> Result<Vec<OrderRow>> {
        let found =
            orders!("where deployment_id = $1 order by id desc limit $2", deployment.as_uuid(), rows(limit))
                .fetch_all(self.db())
                .await;
        Ok(found.map_err(failed)?.into_iter().map(OrderRow::from).collect())
    }
}

#[async_trait]
impl WriteOrders for Writer {
    async fn order_insert(&mut self, row: &OrderRow) -> Result<()> {
        let order = &row.order;
        sqlx::query!(
            "insert into deployment_order (id, deployment_id, word, node, person, actor, reason, heard, state,
            why, given_at, settled_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            row.id.as_uuid(),
            order.deployment.as_uuid(),
            order.word.word(),
            order.node.as_deref().map(text),
            text(&order.person),
            text(&order.actor),
            order.reason.as_deref().map(text),
            row.heard.map(int),
            row.state.word(),
            row.why.as_deref().map(text),
            row.given_at,
            row.settled_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.tell(Change::Deployment(order.deployment));
        Ok(())
    }

    async fn order_note(&mut self, row: &OrderRow, why: &str) -> Result<()> {
        sqlx::query!(
            "update deployment_order set why = $2 where id = $1 and state = 'pending'",
            row.id.as_uuid(),
            text(why),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.tell(Change::Deployment(row.order.deployment));
        Ok(())
    }

    async fn order_settle(&mut self, row: &OrderRow, state: OrderState, why: Option<&str>) -> Result<bool> {
        let settled = sqlx::query!(
            "update deployment_order set state = $2, why = $3, settled_at = $4
            where id = $1 and state = 'pending'",
            row.id.as_uuid(),
            state.word(),
            why.map(text),
            now(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.tell(Change::Deployment(row.order.deployment));
        Ok(settled.rows_affected() == 1)
    }
}

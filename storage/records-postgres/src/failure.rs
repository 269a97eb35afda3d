//! What was found when nodes of deployments failed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::failure::Found;
use slipway_records::{Change, Failure, ReadFailures, Result, WriteFailures};
use slipway_types::id::DeploymentId;
use uuid::Uuid;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Json, json};

struct FailureRow {
    id: Uuid,
    deployment_id: Id<DeploymentId>,
    node: String,
    attempt: Int<u32>,
    at: DateTime<Utc>,
    found: Json<Found>,
}

impl From<FailureRow> for Failure {
    fn from(row: FailureRow) -> Self {
        Self {
            id: row.id,
            deployment_id: row.deployment_id.0,
            node: row.node,
            attempt: row.attempt.0,
            at: row.at,
            found: row.found.0,
        }
    }
}

#[async_trait]
impl<H: Handle> ReadFailures for Session<H> {
    async fn failures_of(&mut self, deployment: DeploymentId) -> Result<Vec<Failure>> {
        let found = sqlx::query_as!(
            FailureRow,
            r#"select id as "id!", deployment_id as "deployment_id!: _", node as "node!",
            attempt as "attempt!: _", at as "at!", found as "found!: _"
            from deployment_failure where deployment_id = $1 order by id"#,
            deployment.as_uuid(),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(Failure::from).collect())
    }

    async fn failure_is_kept(&mut self, deployment: DeploymentId, node: &str, attempt: u32) -> Result<bool> {
        let found = sqlx::query_scalar!(
            r#"select 1::bigint as "kept!" from deployment_failure
            where deployment_id = $1 and node = $2 and attempt = $3"#,
            deployment.as_uuid(),
            node,
            i64::from(attempt),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(found.is_some())
    }
}

#[async_trait]
impl WriteFailures for Writer {
    async fn failure_insert(&mut self, failure: &Failure) -> Result<bool> {
        let made = sqlx::query!(
            "insert into deployment_failure (id, deployment_id, node, attempt, at, found)
            values ($1, $2, $3, $4, $5, $6) on conflict (deployment_id, node, attempt) do nothing",
            failure.id,
            failure.deployment_id.as_uuid(),
            failure.node,
            i64::from(failure.attempt),
            failure.at,
            json(&failure.found),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        self.tell(Change::Deployment(failure.deployment_id));
        Ok(true)
    }

    async fn failures_trim(&mut self, deployment: DeploymentId, keep: u32) -> Result<u64> {
        // Identifiers are UUIDv7: what was gathered later has the greater one.
        let old = sqlx::query_scalar!(
            r#"select f.id as "id!" from deployment own
            join deployment d on d.environment_id = own.environment_id and d.application_id = own.application_id
            join deployment_failure f on f.deployment_id = d.id
            where own.id = $1 order by f.id desc offset $2"#,
            deployment.as_uuid(),
            i64::from(keep),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        for id in &old {
            sqlx::query!("delete from log_chunk where log = $1", id)
                .execute(self.db())
                .await
                .map_err(failed)?;
            sqlx::query!("delete from deployment_failure where id = $1", id)
                .execute(self.db())
                .await
                .map_err(failed)?;
        }
        Ok(old.len() as u64)
    }
}

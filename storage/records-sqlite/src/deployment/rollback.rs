//! What was live, and what is kept to return to.

use async_trait::async_trait;
use slipway_records::{Deployment, ReadRollbacks, Result, Returnable};
use slipway_types::Digest;
use slipway_types::id::{ApplicationId, EnvironmentId};
use slipway_types::name::EnvironmentName;

use super::DeploymentRow;
use crate::error::failed;
use crate::session::{Handle, Session};
use crate::value::{Int, Text, rows};

struct ReturnableRow {
    environment: Text<EnvironmentName>,
    generation: Int<u64>,
}

impl From<ReturnableRow> for Returnable {
    fn from(row: ReturnableRow) -> Self {
        Self { environment: row.environment.0, generation: row.generation.0 }
    }
}

#[async_trait]
impl<H: Handle> ReadRollbacks for Session<H> {
    async fn deployments_once_live(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        limit: u32,
    ) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where environment_id = ?1 and application_id = ?2 and live_at is not null
            order by generation desc limit ?3",
            environment.to_string(),
            application.to_string(),
            rows(limit)
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_returnable(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        depth: u32,
    ) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where environment_id = ?1 and application_id = ?2 and live_at is not null
            and (select count(distinct n.revision) from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.live_at is not null
                and n.generation > d.generation and n.revision <> d.revision) < ?3
            order by generation desc",
            environment.to_string(),
            application.to_string(),
            i64::from(depth)
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn returnable_with(
        &mut self,
        application: ApplicationId,
        content: &Digest,
        depth: u32,
    ) -> Result<Option<Returnable>> {
        let found = sqlx::query_as!(
            ReturnableRow,
            r#"with recursive whole (digest) as (
                select cast(?2 as text)
                union select c.parent from manifest_child c join whole w on w.digest = c.child)
            select e.name as "environment!: _", d.generation as "generation!: _" from deployment d
            join environment e on e.id = d.environment_id and e.removed_at is null
            where d.application_id = ?1 and d.live_at is not null
            and exists (select 1 from version_content v join whole w on w.digest = v.digest
                where v.version_id = d.bundle_id)
            and (select count(distinct n.revision) from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.live_at is not null
                and n.generation > d.generation and n.revision <> d.revision) < ?3
            order by d.id desc limit 1"#,
            application.to_string(),
            content.to_string(),
            i64::from(depth),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(found.map(Returnable::from))
    }
}

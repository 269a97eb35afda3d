//! What receivers say of deployments.

use async_trait::async_trait;
use slipway_records::{Change, Observation, ReadObservations, Result, WriteObservations};
use slipway_types::id::{ApplicationId, DeploymentId};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Json, json, rows};

struct ObservationRow {
    detail: Json<Observation>,
    row_version: i64,
}

struct HeardRow {
    id: Id<DeploymentId>,
    detail: Json<Observation>,
    row_version: i64,
}

struct BehindRow {
    id: Id<DeploymentId>,
    application_id: Id<ApplicationId>,
}

#[async_trait]
impl<H: Handle> ReadObservations for Session<H> {
    async fn observation_get(&mut self, deployment: DeploymentId) -> Result<Option<Observation>> {
        let row = sqlx::query_as!(
            ObservationRow,
            r#"select detail as "detail!: _", row_version as "row_version!" from observation where deployment_id = $1"#,
            deployment.as_uuid(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(row.map(|row| Observation { row_version: row.row_version, ..row.detail.0 }))
    }

    async fn observations_of(
        &mut self,
        deployments: &[DeploymentId],
    ) -> Result<Vec<(DeploymentId, Observation)>> {
        let deployments: Vec<uuid::Uuid> = deployments.iter().map(DeploymentId::as_uuid).collect();
        let found = sqlx::query_as!(
            HeardRow,
            r#"select deployment_id as "id!: _", detail as "detail!: _", row_version as "row_version!" from observation
            where deployment_id = any($1)"#,
            &deployments,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        let heard = |row: HeardRow| (row.id.0, Observation { row_version: row.row_version, ..row.detail.0 });
        Ok(found.into_iter().map(heard).collect())
    }

    async fn observations_behind(&mut self, limit: u32) -> Result<Vec<(DeploymentId, ApplicationId)>> {
        let found = sqlx::query_as!(
            BehindRow,
            r#"select d.id as "id!: _", d.application_id as "application_id!: _" from reconcile_state r
            join environment e on e.address = r.environment and e.removed_at is null
            join application a on a.name = r.application
            join deployment d on d.environment_id = e.id and d.application_id = a.id
                and d.generation = r.generation
            left join observation o on o.deployment_id = d.id
            where r.sequence > coalesce(o.sequence, 0)
            and d.state in ('handed_off', 'progressing', 'suspended', 'live', 'degraded', 'unreachable', 'failed',
                'timed_out', 'terminating', 'deleting')
            order by d.id limit $1"#,
            rows(limit),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(|row| (row.id.0, row.application_id.0)).collect())
    }
}

#[async_trait]
impl WriteObservations for Writer {
    async fn observation_save(
        &mut self,
        deployment: DeploymentId,
        observation: &mut Observation,
    ) -> Result<bool> {
        let saved = sqlx::query!(
            "insert into observation (deployment_id, detail, row_version) values ($1, $2, 1)
            on conflict (deployment_id) do update set detail = excluded.detail,
            row_version = observation.row_version + 1 where observation.row_version = $3",
            deployment.as_uuid(),
            json(observation),
            observation.row_version,
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            observation.row_version += 1;
            self.tell(Change::Deployment(deployment));
        }
        Ok(saved)
    }
}

//! Deployments and approvals.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    Approval, Change, Deployment, DeploymentCause, DeploymentFilter, NewDeployment, Page, ReadDeployments,
    RecordsError, Result, WriteDeployments,
};
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId, VersionId};
use slipway_types::state::DeploymentState;
use slipway_types::{Digest, Version, Violation};
use sqlx::PgConnection;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Json, Text, below, int, json, now, rows, text};

struct DeploymentRow {
    id: Id<DeploymentId>,
    application_id: Id<ApplicationId>,
    environment_id: Id<EnvironmentId>,
    generation: Int<u64>,
    bundle_id: Id<VersionId>,
    bundle_version: Text<Version>,
    bundle_digest: Text<Digest>,
    lock_digest: Text<Digest>,
    choice: Json<serde_json::Value>,
    cause: Json<DeploymentCause>,
    created_by: String,
    document: Option<String>,
    revision: Option<Text<Digest>>,
    predecessor: Option<Text<Digest>>,
    violations: Json<Vec<Violation>>,
    notes: Json<Vec<String>>,
    state: Json<DeploymentState>,
    row_version: i64,
    created_at: DateTime<Utc>,
    frozen_at: Option<DateTime<Utc>>,
    handed_off_at: Option<DateTime<Utc>>,
    live_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<DeploymentRow> for Deployment {
    fn from(row: DeploymentRow) -> Self {
        Self {
            id: row.id.0,
            application_id: row.application_id.0,
            environment_id: row.environment_id.0,
            generation: row.generation.0,
            bundle_id: row.bundle_id.0,
            bundle_version: row.bundle_version.0,
            bundle_digest: row.bundle_digest.0,
            lock: row.lock_digest.0,
            choice: row.choice.0,
            cause: row.cause.0,
            created_by: row.created_by,
            document: row.document,
            revision: row.revision.map(|digest| digest.0),
            predecessor: row.predecessor.map(|digest| digest.0),
            violations: row.violations.0,
            notes: row.notes.0,
            state: row.state.0,
            row_version: row.row_version,
            created_at: row.created_at,
            frozen_at: row.frozen_at,
            handed_off_at: row.handed_off_at,
            live_at: row.live_at,
            finished_at: row.finished_at,
        }
    }
}

macro_rules! deployments {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            DeploymentRow,
            r#"select id as "id!: _", application_id as "application_id!: _",
            environment_id as "environment_id!: _", generation as "generation!: _",
            bundle_id as "bundle_id!: _", bundle_version as "bundle_version!: _",
            bundle_digest as "bundle_digest!: _", lock_digest as "lock_digest!: _", choice as "choice!: _",
            cause as "cause!: _", created_by as "created_by!", document, revision as "revision?: _",
            predecessor as "predecessor?: _", violations as "violations!: _", notes as "notes!: _",
            state_json as "state!: _", row_version as "row_version!", created_at as "created_at!",
            frozen_at as "frozen_at?", handed_off_at as "handed_off_at?",
            live_at as "live_at?", finished_at as "finished_at?" from deployment d "# + $tail
            $(, $arg)*
        )
    };
}

// After the macro, which it uses.
mod rollback;
mod secret_use;

struct PlaceRow {
    application_id: Id<ApplicationId>,
    environment_id: Id<EnvironmentId>,
}

struct ApprovalRow {
    deployment_id: Id<DeploymentId>,
    person: String,
    revision: Text<Digest>,
    token: String,
    reason: Option<String>,
    at: DateTime<Utc>,
}

impl From<ApprovalRow> for Approval {
    fn from(row: ApprovalRow) -> Self {
        Self {
            deployment_id: row.deployment_id.0,
            person: row.person,
            revision: row.revision.0,
            token: row.token,
            reason: row.reason,
            at: row.at,
        }
    }
}

#[async_trait]
impl<H: Handle> ReadDeployments for Session<H> {
    async fn deployment_get(&mut self, id: DeploymentId) -> Result<Option<Deployment>> {
        let row = deployments!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Deployment::from))
    }

    async fn deployment_by_generation(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        generation: u64,
    ) -> Result<Option<Deployment>> {
        let row = deployments!(
            "where environment_id = $1 and application_id = $2 and generation = $3",
            environment.as_uuid(),
            application.as_uuid(),
            int(generation)
        )
        .fetch_optional(self.db())
        .await;
        Ok(row.map_err(failed)?.map(Deployment::from))
    }

    async fn deployment_list(&mut self, filter: &DeploymentFilter, page: Page) -> Result<Vec<Deployment>> {
        let states: Option<Vec<String>> = (!filter.states.is_empty())
            .then(|| filter.states.iter().map(|state| (*state).to_owned()).collect());
        let (below, limit) = (below(page.after), rows(page.limit));
        let application = filter.application.map(|id| id.as_uuid());
        let environment = filter.environment.map(|id| id.as_uuid());
        // One text for each way in, so that each has an index to walk, newest first.
        let found = if let Some(bundle) = filter.bundle {
            deployments!(
                "where bundle_id = $1 and id < $2 and ($3::uuid is null or application_id = $3)
                and ($4::uuid is null or environment_id = $4)
                and ($5::text[] is null or state = any($5)) order by id desc limit $6",
                bundle.as_uuid(),
                below,
                application,
                environment,
                states.as_deref(),
                limit
            )
            .fetch_all(self.db())
            .await
        } else if application.is_some() {
            deployments!(
                "where application_id = $1 and id < $2 and ($3::uuid is null or environment_id = $3)
                and ($4::text[] is null or state = any($4)) order by id desc limit $5",
                application,
                below,
                environment,
                states.as_deref(),
                limit
            )
            .fetch_all(self.db())
            .await
        } else if environment.is_some() {
            deployments!(
                "where environment_id = $1 and id < $2 and ($3::text[] is null or state = any($3))
                order by id desc limit $4",
                environment,
                below,
                states.as_deref(),
                limit
            )
            .fetch_all(self.db())
            .await
        } else if let [state] = filter.states[..] {
            deployments!("where state = $1 and id < $2 order by id desc limit $3", state, below, limit)
                .fetch_all(self.db())
                .await
        } else {
            deployments!(
                "where id < $1 and ($2::text[] is null or state = any($2)) order by id desc limit $3",
                below,
                states.as_deref(),
                limit
            )
            .fetch_all(self.db())
            .await
        };
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_open(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
    ) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where environment_id = $1 and application_id = $2
            and state not in ('rejected', 'broken', 'declined', 'expired', 'withdrawn', 'terminated',
                'superseded', 'deleted') order by generation",
            environment.as_uuid(),
            application.as_uuid()
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_pending_among(
        &mut self,
        applications: &[ApplicationId],
        environments: &[EnvironmentId],
    ) -> Result<Vec<Deployment>> {
        let applications: Vec<_> = applications.iter().map(ApplicationId::as_uuid).collect();
        let environments: Vec<_> = environments.iter().map(EnvironmentId::as_uuid).collect();
        let found = deployments!(
            "where state in ('draft', 'frozen', 'awaiting', 'approved') and application_id = any($1)
            and environment_id = any($2) order by generation",
            &applications,
            &environments
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_fallen_last(&mut self, limit: u32) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where state in ('rejected', 'broken', 'expired')
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation)
            order by id desc limit $1",
            rows(limit)
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_out(&mut self) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by application_id, environment_id"
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_out_of(&mut self, application: ApplicationId) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where application_id = $1
            and state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by environment_id",
            application.as_uuid()
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_out_in(&mut self, environment: EnvironmentId) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where environment_id = $1
            and state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by application_id",
            environment.as_uuid()
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployment_out(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
    ) -> Result<Option<Deployment>> {
        let found = deployments!(
            "where environment_id = $1 and application_id = $2
            and state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by generation desc limit 1",
            environment.as_uuid(),
            application.as_uuid()
        )
        .fetch_optional(self.db())
        .await;
        Ok(found.map_err(failed)?.map(Deployment::from))
    }

    async fn deployments_out_among(
        &mut self,
        applications: &[ApplicationId],
        environments: &[EnvironmentId],
    ) -> Result<Vec<Deployment>> {
        let applications: Vec<_> = applications.iter().map(ApplicationId::as_uuid).collect();
        let environments: Vec<_> = environments.iter().map(EnvironmentId::as_uuid).collect();
        let found = deployments!(
            "where id in (
                select (select n.id from deployment n
                    where n.environment_id = e.id and n.application_id = a.id
                    and (n.handed_off_at is not null or n.state in ('handed_off', 'delivered', 'progressing',
                        'suspended', 'live', 'degraded', 'unreachable', 'failed', 'timed_out', 'terminating',
                        'terminated', 'deleting'))
                    order by n.generation desc limit 1)
                from unnest($1::uuid[]) a (id) cross join unnest($2::uuid[]) e (id))
            and state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            order by application_id, environment_id",
            &applications,
            &environments
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_troubled(
        &mut self,
        application: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where state in ('suspended', 'degraded', 'unreachable', 'failed', 'timed_out')
            and ($1::uuid is null or application_id = $1)
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by application_id, environment_id limit $2",
            application.map(|id| id.as_uuid()),
            rows(limit)
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployment_places(
        &mut self,
        applications: &[ApplicationId],
    ) -> Result<Vec<(ApplicationId, EnvironmentId)>> {
        let applications: Vec<_> = applications.iter().map(ApplicationId::as_uuid).collect();
        let found = sqlx::query_as!(
            PlaceRow,
            r#"select distinct application_id as "application_id!: _", environment_id as "environment_id!: _"
            from deployment d where application_id = any($1)
            and state in ('draft', 'frozen', 'awaiting', 'approved', 'handed_off', 'delivered', 'progressing',
                'suspended', 'live', 'degraded', 'unreachable', 'failed', 'timed_out', 'terminating',
                'terminated', 'deleting')
            and (state in ('draft', 'frozen', 'awaiting', 'approved')
                or not exists (select 1 from deployment n where n.environment_id = d.environment_id
                    and n.application_id = d.application_id and n.generation > d.generation
                    and n.handed_off_at is not null))"#,
            &applications,
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(|row| (row.application_id.0, row.environment_id.0)).collect())
    }

    async fn approvals_of(&mut self, deployment: DeploymentId) -> Result<Vec<Approval>> {
        let found = sqlx::query_as!(
            ApprovalRow,
            r#"select deployment_id as "deployment_id!: _", person as "person!", revision as "revision!: _",
            token as "token!", reason, at as "at!" from approval where deployment_id = $1
            order by at, person"#,
            deployment.as_uuid(),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(Approval::from).collect())
    }
}

/// The generation that comes next at an environment's address. Generations are given one after the other, and none
/// once a removal of the environment was committed, for which this waits.
async fn next_generation(
    db: &mut PgConnection,
    environment: EnvironmentId,
    application: ApplicationId,
) -> Result<u64> {
    let place = sqlx::query!(
        r#"select name as "name!", removed_at is not null as "removed!" from environment where id = $1 for update"#,
        environment.as_uuid(),
    )
    .fetch_optional(&mut *db)
    .await
    .map_err(failed)?;
    if let Some(place) = place.filter(|place| place.removed) {
        return Err(RecordsError::Removed { what: format!("environment `{}`", place.name) });
    }
    let generation = sqlx::query_scalar!(
        r#"select coalesce(max(taken.generation), 0) + 1 as "generation!: Int<u64>" from (
            select generation from deployment where application_id = $2 and environment_id in
                (select there.id from environment own join environment there on there.address = own.address
                where own.id = $1)
            union all
            select known.generation from reconcile_state known
                join environment place on place.address = known.environment
                join application product on product.name = known.application
                where place.id = $1 and product.id = $2
        ) taken"#,
        environment.as_uuid(),
        application.as_uuid(),
    )
    .fetch_one(db)
    .await
    .map_err(failed)?;
    Ok(generation.0)
}

#[async_trait]
impl WriteDeployments for Writer {
    async fn deployment_insert(&mut self, new: NewDeployment) -> Result<Deployment> {
        let generation = next_generation(self.db(), new.environment_id, new.application_id).await?;
        let deployment = new.draft(generation, now());
        sqlx::query!(
            "insert into deployment (id, application_id, environment_id, generation, bundle_id, bundle_version,
            bundle_digest, lock_digest, choice, cause, created_by, document, violations, notes, state,
            state_json, row_version, created_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
            deployment.id.as_uuid(),
            deployment.application_id.as_uuid(),
            deployment.environment_id.as_uuid(),
            int(deployment.generation),
            deployment.bundle_id.as_uuid(),
            deployment.bundle_version.to_string(),
            deployment.bundle_digest.to_string(),
            deployment.lock.to_string(),
            json(&deployment.choice),
            json(&deployment.cause),
            text(&deployment.created_by),
            deployment.document.as_deref().map(text),
            json(&deployment.violations),
            json(&deployment.notes),
            deployment.state.word(),
            json(&deployment.state),
            deployment.row_version,
            deployment.created_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.tell(Change::Deployment(deployment.id));
        Ok(deployment)
    }

    async fn deployment_raise(&mut self, deployment: &mut Deployment, floor: u64) -> Result<bool> {
        let (environment, application) = (deployment.environment_id, deployment.application_id);
        let next = next_generation(self.db(), environment, application).await?;
        let generation = next.max(floor.saturating_add(1));
        let raised = sqlx::query!(
            "update deployment set generation = $3, row_version = row_version + 1
            where id = $1 and row_version = $2 and state = 'draft'",
            deployment.id.as_uuid(),
            deployment.row_version,
            int(generation),
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if raised {
            deployment.generation = generation;
            deployment.row_version += 1;
            self.tell(Change::Deployment(deployment.id));
        }
        Ok(raised)
    }

    async fn deployment_save(&mut self, deployment: &mut Deployment) -> Result<bool> {
        let saved = sqlx::query!(
            "update deployment set revision = $3, predecessor = $4, violations = $5, notes = $6, state = $7,
            state_json = $8, frozen_at = $9, handed_off_at = $10, finished_at = $11,
            live_at = $12, row_version = row_version + 1 where id = $1 and row_version = $2",
            deployment.id.as_uuid(),
            deployment.row_version,
            deployment.revision.map(|digest| digest.to_string()),
            deployment.predecessor.map(|digest| digest.to_string()),
            json(&deployment.violations),
            json(&deployment.notes),
            deployment.state.word(),
            json(&deployment.state),
            deployment.frozen_at,
            deployment.handed_off_at,
            deployment.finished_at,
            deployment.live_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            deployment.row_version += 1;
            self.tell(Change::Deployment(deployment.id));
        }
        Ok(saved)
    }

    async fn approval_put(&mut self, approval: &Approval) -> Result<()> {
        sqlx::query!(
            "insert into approval (deployment_id, person, revision, token, reason, at)
            values ($1, $2, $3, $4, $5, $6) on conflict (deployment_id, person) do update
            set revision = excluded.revision, token = excluded.token, reason = excluded.reason,
            at = excluded.at",
            approval.deployment_id.as_uuid(),
            text(&approval.person),
            approval.revision.to_string(),
            text(&approval.token),
            approval.reason.as_deref().map(text),
            approval.at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.tell(Change::Deployment(approval.deployment_id));
        Ok(())
    }
}

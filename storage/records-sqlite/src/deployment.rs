//! Deployments and approvals.

use async_trait::async_trait;
use slipway_records::{
    Approval, Change, Deployment, DeploymentCause, DeploymentFilter, NewDeployment, Page, ReadDeployments,
    Result, WriteDeployments,
};
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId, VersionId};
use slipway_types::state::DeploymentState;
use slipway_types::{Digest, Version, Violation};
use sqlx::SqliteConnection;

use crate::environment::refuse_removed;
use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Json, Millis, Text, below, int, json, millis, now, rows};

struct DeploymentRow {
    id: Text<DeploymentId>,
    application_id: Text<ApplicationId>,
    environment_id: Text<EnvironmentId>,
    generation: Int<u64>,
    bundle_id: Text<VersionId>,
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
    created_at: Millis,
    frozen_at: Option<Millis>,
    handed_off_at: Option<Millis>,
    live_at: Option<Millis>,
    finished_at: Option<Millis>,
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
            created_at: row.created_at.0,
            frozen_at: row.frozen_at.map(|at| at.0),
            handed_off_at: row.handed_off_at.map(|at| at.0),
            live_at: row.live_at.map(|at| at.0),
            finished_at: row.finished_at.map(|at| at.0),
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
            state_json as "state!: _", row_version as "row_version!", created_at as "created_at!: _",
            frozen_at as "frozen_at?: _", handed_off_at as "handed_off_at?: _",
            live_at as "live_at?: _", finished_at as "finished_at?: _" from deployment d "# + $tail
            $(, $arg)*
        )
    };
}

// After the macro, which it uses.
mod rollback;
mod secret_use;

struct PlaceRow {
    application_id: Text<ApplicationId>,
    environment_id: Text<EnvironmentId>,
}

struct ApprovalRow {
    deployment_id: Text<DeploymentId>,
    person: String,
    revision: Text<Digest>,
    token: String,
    reason: Option<String>,
    at: Millis,
}

impl From<ApprovalRow> for Approval {
    fn from(row: ApprovalRow) -> Self {
        Self {
            deployment_id: row.deployment_id.0,
            person: row.person,
            revision: row.revision.0,
            token: row.token,
            reason: row.reason,
            at: row.at.0,
        }
    }
}

#[async_trait]
impl<H: Handle> ReadDeployments for Session<H> {
    async fn deployment_get(&mut self, id: DeploymentId) -> Result<Option<Deployment>> {
        let row = deployments!("where id = ?1", id.to_string()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Deployment::from))
    }

    async fn deployment_by_generation(
        &mut self,
        environment: EnvironmentId,
        application: ApplicationId,
        generation: u64,
    ) -> Result<Option<Deployment>> {
        let row = deployments!(
            "where environment_id = ?1 and application_id = ?2 and generation = ?3",
            environment.to_string(),
            application.to_string(),
            int(generation)
        )
        .fetch_optional(self.db())
        .await;
        Ok(row.map_err(failed)?.map(Deployment::from))
    }

    async fn deployment_list(&mut self, filter: &DeploymentFilter, page: Page) -> Result<Vec<Deployment>> {
        let states = (!filter.states.is_empty()).then(|| json(&filter.states));
        let (below, limit) = (below(page.after), rows(page.limit));
        let application = filter.application.map(|id| id.to_string());
        let environment = filter.environment.map(|id| id.to_string());
        // One text for each way in, so that each has an index to walk, newest first.
        let found = if let Some(bundle) = filter.bundle {
            deployments!(
                "where bundle_id = ?1 and id < ?2 and (?3 is null or application_id = ?3)
                and (?4 is null or environment_id = ?4)
                and (?5 is null or state in (select value from json_each(?5))) order by id desc limit ?6",
                bundle.to_string(),
                below,
                application,
                environment,
                states,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if application.is_some() {
            deployments!(
                "where application_id = ?1 and id < ?2 and (?3 is null or environment_id = ?3)
                and (?4 is null or state in (select value from json_each(?4))) order by id desc limit ?5",
                application,
                below,
                environment,
                states,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if environment.is_some() {
            deployments!(
                "where environment_id = ?1 and id < ?2 and (?3 is null or state in (select value from json_each(?3)))
                order by id desc limit ?4",
                environment,
                below,
                states,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if let [state] = filter.states[..] {
            deployments!("where state = ?1 and id < ?2 order by id desc limit ?3", state, below, limit)
                .fetch_all(self.db())
                .await
        } else {
            deployments!(
                "where id < ?1 and (?2 is null or state in (select value from json_each(?2))) order by id desc limit ?3",
                below,
                states,
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
            "where environment_id = ?1 and application_id = ?2
            and state not in ('rejected', 'broken', 'declined', 'expired', 'withdrawn', 'terminated',
                'superseded', 'deleted') order by generation",
            environment.to_string(),
            application.to_string()
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
        let found = deployments!(
            "where state in ('draft', 'frozen', 'awaiting', 'approved')
            and +application_id in (select value from json_each(?1))
            and +environment_id in (select value from json_each(?2)) order by generation",
            json(applications),
            json(environments)
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
            order by id desc limit ?1",
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
            "where application_id = ?1
            and state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by environment_id",
            application.to_string()
        )
        .fetch_all(self.db())
        .await;
        Ok(found.map_err(failed)?.into_iter().map(Deployment::from).collect())
    }

    async fn deployments_out_in(&mut self, environment: EnvironmentId) -> Result<Vec<Deployment>> {
        let found = deployments!(
            "where environment_id = ?1
            and state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by application_id",
            environment.to_string()
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
            "where environment_id = ?1 and application_id = ?2
            and state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by generation desc limit 1",
            environment.to_string(),
            application.to_string()
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
        // The unary plus has the rows read by their identity, and not by going through a state.
        let found = deployments!(
            "where id in (
                select (select n.id from deployment n
                    where n.environment_id = e.value and n.application_id = a.value
                    and (n.handed_off_at is not null or n.state in ('handed_off', 'delivered', 'progressing',
                        'suspended', 'live', 'degraded', 'unreachable', 'failed', 'timed_out', 'terminating',
                        'terminated', 'deleting'))
                    order by n.generation desc limit 1)
                from json_each(?1) a cross join json_each(?2) e)
            and +state in ('handed_off', 'delivered', 'progressing', 'suspended', 'live', 'degraded',
                'unreachable', 'failed', 'timed_out', 'terminating', 'terminated', 'deleting')
            order by application_id, environment_id",
            json(applications),
            json(environments)
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
            and (?1 is null or application_id = ?1)
            and not exists (select 1 from deployment n where n.environment_id = d.environment_id
                and n.application_id = d.application_id and n.generation > d.generation
                and n.handed_off_at is not null)
            order by application_id, environment_id limit ?2",
            application.map(|id| id.to_string()),
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
        let found = sqlx::query_as!(
            PlaceRow,
            r#"select distinct application_id as "application_id!: _", environment_id as "environment_id!: _"
            from deployment d where +application_id in (select value from json_each(?1))
            and state in ('draft', 'frozen', 'awaiting', 'approved', 'handed_off', 'delivered', 'progressing',
                'suspended', 'live', 'degraded', 'unreachable', 'failed', 'timed_out', 'terminating',
                'terminated', 'deleting')
            and (state in ('draft', 'frozen', 'awaiting', 'approved')
                or not exists (select 1 from deployment n where n.environment_id = d.environment_id
                    and n.application_id = d.application_id and n.generation > d.generation
                    and n.handed_off_at is not null))"#,
            json(applications),
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
            token as "token!", reason, at as "at!: _" from approval where deployment_id = ?1
            order by at, person"#,
            deployment.to_string(),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(Approval::from).collect())
    }
}

/// The generation that comes next at an environment's address; none once the environment was removed.
async fn next_generation(
    db: &mut SqliteConnection,
    environment: EnvironmentId,
    application: ApplicationId,
) -> Result<u64> {
    refuse_removed(db, environment).await?;
    let generation = sqlx::query_scalar!(
        r#"select coalesce(max(taken.generation), 0) + 1 as "generation!: Int<u64>" from (
            select generation from deployment where application_id = ?2 and environment_id in
                (select there.id from environment own join environment there on there.address = own.address
                where own.id = ?1)
            union all
            select known.generation from reconcile_state known
                join environment place on place.address = known.environment
                join application product on product.name = known.application
                where place.id = ?1 and product.id = ?2
        ) taken"#,
        environment.to_string(),
        application.to_string(),
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
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            deployment.id.to_string(),
            deployment.application_id.to_string(),
            deployment.environment_id.to_string(),
            int(deployment.generation),
            deployment.bundle_id.to_string(),
            deployment.bundle_version.to_string(),
            deployment.bundle_digest.to_string(),
            deployment.lock.to_string(),
            json(&deployment.choice),
            json(&deployment.cause),
            deployment.created_by,
            deployment.document,
            json(&deployment.violations),
            json(&deployment.notes),
            deployment.state.word(),
            json(&deployment.state),
            deployment.row_version,
            millis(deployment.created_at),
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
            "update deployment set generation = ?3, row_version = row_version + 1
            where id = ?1 and row_version = ?2 and state = 'draft'",
            deployment.id.to_string(),
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
            "update deployment set revision = ?3, predecessor = ?4, violations = ?5, notes = ?6, state = ?7,
            state_json = ?8, frozen_at = ?9, handed_off_at = ?10, finished_at = ?11,
            live_at = ?12, row_version = row_version + 1 where id = ?1 and row_version = ?2",
            deployment.id.to_string(),
            deployment.row_version,
            deployment.revision.map(|digest| digest.to_string()),
            deployment.predecessor.map(|digest| digest.to_string()),
            json(&deployment.violations),
            json(&deployment.notes),
            deployment.state.word(),
            json(&deployment.state),
            deployment.frozen_at.map(millis),
            deployment.handed_off_at.map(millis),
            deployment.finished_at.map(millis),
            deployment.live_at.map(millis),
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
            values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (deployment_id, person) do update
            set revision = excluded.revision, token = excluded.token, reason = excluded.reason,
            at = excluded.at",
            approval.deployment_id.to_string(),
            approval.person,
            approval.revision.to_string(),
            approval.token,
            approval.reason,
            millis(approval.at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.tell(Change::Deployment(approval.deployment_id));
        Ok(())
    }
}

//! Restarts of what runs with a rotated secret.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{
    ReadRotations, RecordsError, RestartFate, RestartPlace, Result, Rotation, RotationRestart, WriteRotations,
};
use slipway_types::ApplicationName;
use slipway_types::id::{ApplicationId, DeploymentId, EnvironmentId};
use slipway_types::name::EnvironmentName;

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Text, int, text};

struct RotationRow {
    secret: String,
    version: Int<u64>,
    reason: String,
    person: String,
    actor: String,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    problem: Option<String>,
}

impl From<RotationRow> for Rotation {
    fn from(row: RotationRow) -> Self {
        Self {
            secret: row.secret,
            version: row.version.0,
            reason: row.reason,
            person: row.person,
            actor: row.actor,
            started_at: row.started_at,
            ended_at: row.ended_at,
            problem: row.problem,
        }
    }
}

macro_rules! rotations {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            RotationRow,
            r#"select secret as "secret!", version as "version!: _", reason as "reason!", person as "person!",
            actor as "actor!", started_at as "started_at!", ended_at as "ended_at?", problem
            from secret_rotation "# + $tail
            $(, $arg)*
        )
    };
}

struct RestartRow {
    environment_id: Id<EnvironmentId>,
    application_id: Id<ApplicationId>,
    environment: Text<EnvironmentName>,
    application: Text<ApplicationName>,
    deployment_id: Option<Id<DeploymentId>>,
    problem: Option<String>,
    hint: Option<String>,
    generation: Option<Int<u64>>,
}

impl From<RestartRow> for RotationRestart {
    fn from(row: RestartRow) -> Self {
        let fate = match (row.deployment_id, row.problem) {
            (Some(deployment), _) => RestartFate::Made(deployment.0),
            (None, Some(problem)) => RestartFate::Left { problem, hint: row.hint },
            (None, None) => RestartFate::Waiting,
        };
        Self {
            environment_id: row.environment_id.0,
            application_id: row.application_id.0,
            environment: row.environment.0,
            application: row.application.0,
            fate,
            generation: row.generation.map(|generation| generation.0),
        }
    }
}

#[async_trait]
impl<H: Handle> ReadRotations for Session<H> {
    async fn rotation_get(&mut self, secret: &str, version: u64) -> Result<Option<Rotation>> {
        let row = rotations!("where secret = $1 and version = $2", secret, int(version))
            .fetch_optional(self.db())
            .await;
        Ok(row.map_err(failed)?.map(Rotation::from))
    }

    async fn rotation_newest(&mut self, secret: &str) -> Result<Option<Rotation>> {
        let row = rotations!("where secret = $1 order by version desc limit 1", secret)
            .fetch_optional(self.db())
            .await;
        Ok(row.map_err(failed)?.map(Rotation::from))
    }

    async fn rotation_restarts(&mut self, secret: &str, version: u64) -> Result<Vec<RotationRestart>> {
        let found = sqlx::query_as!(
            RestartRow,
            r#"select r.environment_id as "environment_id!: _", r.application_id as "application_id!: _",
            e.name as "environment!: _", a.name as "application!: _", r.deployment_id as "deployment_id?: _",
            r.problem, r.hint, d.generation as "generation?: _" from secret_restart r
            join environment e on e.id = r.environment_id join application a on a.id = r.application_id
            left join deployment d on d.id = r.deployment_id
            where r.secret = $1 and r.version = $2
            order by a.name, e.name, r.application_id, r.environment_id"#,
            secret,
            int(version),
        )
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(RotationRestart::from).collect())
    }
}

#[async_trait]
impl WriteRotations for Writer {
    async fn rotation_insert(&mut self, rotation: &Rotation) -> Result<()> {
        let made = sqlx::query!(
            "insert into secret_rotation (secret, version, reason, person, actor, started_at, ended_at, problem)
            values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (secret, version) do nothing",
            rotation.secret,
            int(rotation.version),
            text(&rotation.reason),
            text(&rotation.person),
            text(&rotation.actor),
            rotation.started_at,
            rotation.ended_at,
            rotation.problem.as_deref().map(text),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        if made.rows_affected() == 0 {
            let (secret, version) = (&rotation.secret, rotation.version);
            return Err(RecordsError::Conflict {
                what: format!("restarts for version {version} of `{secret}`"),
            });
        }
        Ok(())
    }

    async fn rotation_place(&mut self, place: RestartPlace<'_>) -> Result<bool> {
        let made = sqlx::query!(
            "insert into secret_restart (secret, version, environment_id, application_id)
            values ($1, $2, $3, $4) on conflict (secret, version, environment_id, application_id) do nothing",
            place.secret,
            int(place.version),
            place.environment.as_uuid(),
            place.application.as_uuid(),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(made.rows_affected() == 1)
    }

    async fn rotation_settle(&mut self, place: RestartPlace<'_>, fate: &RestartFate) -> Result<bool> {
        let (deployment, problem, hint) = match fate {
            RestartFate::Waiting => return Ok(false),
            RestartFate::Made(deployment) => (Some(deployment.as_uuid()), None, None),
            RestartFate::Left { problem, hint } => (None, Some(text(problem)), hint.as_deref().map(text)),
        };
        let settled = sqlx::query!(
            "update secret_restart set deployment_id = $5, problem = $6, hint = $7
            where secret = $1 and version = $2 and environment_id = $3 and application_id = $4
            and deployment_id is null and problem is null",
            place.secret,
            int(place.version),
            place.environment.as_uuid(),
            place.application.as_uuid(),
            deployment,
            problem,
            hint,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(settled.rows_affected() == 1)
    }

    async fn rotation_end(
        &mut self,
        secret: &str,
        version: u64,
        at: DateTime<Utc>,
        problem: Option<&str>,
    ) -> Result<bool> {
        let ended = sqlx::query!(
            "update secret_rotation set ended_at = $3, problem = $4
            where secret = $1 and version = $2 and ended_at is null",
            secret,
            int(version),
            at,
            problem.map(text),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(ended.rows_affected() == 1)
    }
}

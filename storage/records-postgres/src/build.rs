//! Builds and their results.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_records::{Build, BuildResult, Change, ReadBuilds, Result, WriteBuilds};
use slipway_types::id::{ApplicationId, BuildId, RunId};
use slipway_types::state::{BuildState, BuiltImage};
use slipway_types::{ComponentName, Digest};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Id, Int, Json, Text, json, text};

struct BuildRow {
    id: Id<BuildId>,
    run_id: Id<RunId>,
    application_id: Id<ApplicationId>,
    component: Text<ComponentName>,
    kit: String,
    position: Int<u32>,
    backend: Option<String>,
    backend_why: Option<String>,
    plan: Json<serde_json::Value>,
    image_fingerprint: Option<Text<Digest>>,
    state: Json<BuildState>,
    attempt: Int<u32>,
    stages_ms: Json<serde_json::Value>,
    generation: i64,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<BuildRow> for Build {
    fn from(row: BuildRow) -> Self {
        Self {
            id: row.id.0,
            run_id: row.run_id.0,
            application_id: row.application_id.0,
            component: row.component.0,
            kit: row.kit,
            position: row.position.0,
            backend: row.backend,
            backend_why: row.backend_why,
            plan: row.plan.0,
            image_fingerprint: row.image_fingerprint.map(|digest| digest.0),
            state: row.state.0,
            attempt: row.attempt.0,
            stages_ms: row.stages_ms.0,
            generation: row.generation,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

macro_rules! builds {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            BuildRow,
            r#"select id as "id!: _", run_id as "run_id!: _", application_id as "application_id!: _",
            component as "component!: _", kit as "kit!", position as "position!: _", backend as "backend?", backend_why as "backend_why?",
            plan as "plan!: _", image_fingerprint as "image_fingerprint?: _", state_json as "state!: _",
            attempt as "attempt!: _", stages_ms as "stages_ms!: _", generation as "generation!",
            created_at as "created_at!", started_at as "started_at?", finished_at as "finished_at?"
            from build "# + $tail
            $(, $arg)*
        )
    };
}

struct ResultRow {
    build_id: Id<BuildId>,
    images: Json<Vec<BuiltImage>>,
    built_at: DateTime<Utc>,
}

#[async_trait]
impl<H: Handle> ReadBuilds for Session<H> {
    async fn build_get(&mut self, id: BuildId) -> Result<Option<Build>> {
        self.lock_application_of_build(id).await?;
        let row = builds!("where id = $1", id.as_uuid()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Build::from))
    }

    async fn builds_of(&mut self, run: RunId) -> Result<Vec<Build>> {
        self.lock_application_of_run(run).await?;
        let rows = builds!("where run_id = $1 order by position, component", run.as_uuid())
            .fetch_all(self.db())
            .await;
        Ok(rows.map_err(failed)?.into_iter().map(Build::from).collect())
    }

    async fn result_find(
        &mut self,
        application: ApplicationId,
        component: &ComponentName,
        fingerprint: &Digest,
    ) -> Result<Option<BuildResult>> {
        let row = sqlx::query_as!(
            ResultRow,
            r#"select build_id as "build_id!: _", images as "images!: _", built_at as "built_at!"
            from build_result where application_id = $1 and component = $2 and fingerprint = $3"#,
            application.as_uuid(),
            component.as_str(),
            fingerprint.to_string(),
        )
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        Ok(row.map(|row| BuildResult {
            application_id: application,
            component: component.clone(),
            fingerprint: *fingerprint,
            build_id: row.build_id.0,
            images: row.images.0,
            built_at: row.built_at,
        }))
    }
}

#[async_trait]
impl WriteBuilds for Writer {
    async fn builds_insert(&mut self, builds: &[Build]) -> Result<()> {
        for build in builds {
            self.lock_application(build.application_id).await?;
            let made = sqlx::query!(
                "insert into build (id, run_id, application_id, component, kit, position, backend, backend_why,
                plan, image_fingerprint, state, state_json, attempt, stages_ms, generation, created_at,
                started_at, finished_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
                on conflict (run_id, component) do nothing",
                build.id.as_uuid(),
                build.run_id.as_uuid(),
                build.application_id.as_uuid(),
                build.component.as_str(),
                build.kit,
                i64::from(build.position),
                build.backend,
                build.backend_why.as_deref().map(text),
                json(&build.plan),
                build.image_fingerprint.map(|digest| digest.to_string()),
                build.state.word(),
                json(&build.state),
                i64::from(build.attempt),
                json(&build.stages_ms),
                build.generation,
                build.created_at,
                build.started_at,
                build.finished_at,
            )
            .execute(self.db())
            .await
            .map_err(failed)?
            .rows_affected()
                == 1;
            if made {
                self.tell(Change::Build(build.run_id, build.id));
            }
        }
        Ok(())
    }

    async fn build_save(&mut self, build: &mut Build) -> Result<bool> {
        self.lock_application(build.application_id).await?;
        let saved = sqlx::query!(
            "update build set backend = $3, backend_why = $4, plan = $5, image_fingerprint = $6, state = $7,
            state_json = $8, attempt = $9, stages_ms = $10, started_at = $11, finished_at = $12,
            generation = generation + 1 where id = $1 and generation = $2",
            build.id.as_uuid(),
            build.generation,
            build.backend,
            build.backend_why.as_deref().map(text),
            json(&build.plan),
            build.image_fingerprint.map(|digest| digest.to_string()),
            build.state.word(),
            json(&build.state),
            i64::from(build.attempt),
            json(&build.stages_ms),
            build.started_at,
            build.finished_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            build.generation += 1;
            self.tell(Change::Build(build.run_id, build.id));
        }
        Ok(saved)
    }

    async fn result_put(&mut self, result: &BuildResult) -> Result<()> {
        sqlx::query!(
            "insert into build_result (application_id, component, fingerprint, build_id, images, built_at)
            values ($1, $2, $3, $4, $5, $6)
            on conflict (application_id, component, fingerprint) do update
            set build_id = excluded.build_id, images = excluded.images, built_at = excluded.built_at
            where excluded.built_at >= build_result.built_at",
            result.application_id.as_uuid(),
            result.component.as_str(),
            result.fingerprint.to_string(),
            result.build_id.as_uuid(),
            json(&result.images),
            result.built_at,
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }
}

//! Runs.

use async_trait::async_trait;
use slipway_records::{Change, Inserted, NewRun, Page, ReadRuns, Result, Run, RunFilter, WriteRuns};
use slipway_types::id::{ApplicationId, DeliveryId, RunId};
use slipway_types::selection::CommitPrefix;
use slipway_types::state::RunState;
use slipway_types::{CommitId, GitRef};

use crate::error::failed;
use crate::session::{Handle, Session, Writer};
use crate::value::{Int, Json, Millis, Text, below, int, json, millis, now, rows};

struct RunRow {
    id: Text<RunId>,
    number: i64,
    application_id: Text<ApplicationId>,
    git_ref: Text<GitRef>,
    commit_id: Text<CommitId>,
    actor: String,
    subject: String,
    author: String,
    committed_at: Millis,
    delivery_id: Option<Text<DeliveryId>>,
    retry_of: Option<Text<RunId>>,
    fresh: bool,
    version_number: Option<Int<u64>>,
    state: Json<RunState>,
    generation: i64,
    created_at: Millis,
    started_at: Option<Millis>,
    finished_at: Option<Millis>,
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        Self {
            id: row.id.0,
            number: row.number,
            application_id: row.application_id.0,
            git_ref: row.git_ref.0,
            commit: row.commit_id.0,
            actor: row.actor,
            subject: row.subject,
            author: row.author,
            committed_at: row.committed_at.0,
            delivery_id: row.delivery_id.map(|id| id.0),
            retry_of: row.retry_of.map(|id| id.0),
            fresh: row.fresh,
            version_number: row.version_number.map(|number| number.0),
            state: row.state.0,
            generation: row.generation,
            created_at: row.created_at.0,
            started_at: row.started_at.map(|at| at.0),
            finished_at: row.finished_at.map(|at| at.0),
        }
    }
}

macro_rules! runs {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            RunRow,
            r#"select id as "id!: _", number as "number!", application_id as "application_id!: _",
            git_ref as "git_ref!: _", commit_id as "commit_id!: _", actor as "actor!", subject as "subject!",
            author as "author!", committed_at as "committed_at!: _", delivery_id as "delivery_id?: _",
            retry_of as "retry_of?: _", fresh as "fresh!: _", version_number as "version_number?: _",
            state_json as "state!: _", generation as "generation!", created_at as "created_at!: _",
            started_at as "started_at?: _", finished_at as "finished_at?: _" from run "# + $tail
            $(, $arg)*
        )
    };
}

#[async_trait]
impl<H: Handle> ReadRuns for Session<H> {
    async fn run_get(&mut self, id: RunId) -> Result<Option<Run>> {
        let row = runs!("where id = ?1", id.to_string()).fetch_optional(self.db()).await;
        Ok(row.map_err(failed)?.map(Run::from))
    }

    async fn run_by_number(&mut self, application: ApplicationId, number: i64) -> Result<Option<Run>> {
        let row = runs!("where application_id = ?1 and number = ?2", application.to_string(), number)
            .fetch_optional(self.db())
            .await;
        Ok(row.map_err(failed)?.map(Run::from))
    }

    async fn run_list(&mut self, filter: &RunFilter, page: Page) -> Result<Vec<Run>> {
        let git_ref = filter.git_ref.as_ref().map(ToString::to_string);
        let commit = filter.commit.as_ref().map(CommitPrefix::as_str);
        let states = (!filter.states.is_empty()).then(|| json(&filter.states));
        let (below, limit) = (below(page.after), rows(page.limit));
        // One text for each way in, so that each has an index to walk, newest first. Below `g` lies each digit.
        let rows = if let Some(application) = filter.application
            && git_ref.is_some()
        {
            runs!(
                "where application_id = ?1 and git_ref = ?2 and id < ?3
                and (?4 is null or commit_id between ?4 and ?4 || 'g')
                and (?5 is null or state in (select value from json_each(?5))) order by id desc limit ?6",
                application.to_string(),
                git_ref,
                below,
                commit,
                states,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if let Some(application) = filter.application
            && let [state] = filter.states[..]
        {
            runs!(
                "where application_id = ?1 and state = ?2 and id < ?3
                and (?4 is null or commit_id between ?4 and ?4 || 'g') order by id desc limit ?5",
                application.to_string(),
                state,
                below,
                commit,
                limit
            )
            .fetch_all(self.db())
            .await
        } else if let Some(application) = filter.application {
            runs!(
                "where application_id = ?1 and id < ?2
                and (?3 is null or commit_id between ?3 and ?3 || 'g')
                and (?4 is null or state in (select value from json_each(?4))) order by id desc limit ?5",
                application.to_string(),
                below,
                commit,
                states,
                limit
            )
            .fetch_all(self.db())
            .await
        } else {
            runs!(
                "where id < ?1 and (?2 is null or git_ref = ?2)
                and (?3 is null or commit_id between ?3 and ?3 || 'g')
                and (?4 is null or state in (select value from json_each(?4))) order by id desc limit ?5",
                below,
                git_ref,
                commit,
                states,
                limit
            )
            .fetch_all(self.db())
            .await
        };
        Ok(rows.map_err(failed)?.into_iter().map(Run::from).collect())
    }

    async fn runs_live(&mut self, application: ApplicationId) -> Result<Vec<Run>> {
        let rows = runs!(
            "where application_id = ?1
            and state in ('queued', 'planning', 'building', 'packaging', 'cancelling') order by number",
            application.to_string()
        )
        .fetch_all(self.db())
        .await;
        Ok(rows.map_err(failed)?.into_iter().map(Run::from).collect())
    }

    async fn runs_failed_last(&mut self, limit: u32) -> Result<Vec<Run>> {
        // One step along an index for each application, however many runs there are.
        let rows = runs!(
            "where state in ('failed', 'timed_out') and id in (
                select (select r.id from run r where r.application_id = a.id order by r.id desc limit 1)
                from application a where a.deleted_at is null)
            order by id desc limit ?1",
            rows(limit)
        )
        .fetch_all(self.db())
        .await;
        Ok(rows.map_err(failed)?.into_iter().map(Run::from).collect())
    }

    async fn run_last_done(&mut self, application: ApplicationId, git_ref: &GitRef) -> Result<Option<Run>> {
        let row = runs!(
            "where application_id = ?1 and git_ref = ?2 and state = 'done' order by number desc limit 1",
            application.to_string(),
            git_ref.to_string()
        )
        .fetch_optional(self.db())
        .await;
        Ok(row.map_err(failed)?.map(Run::from))
    }
}

impl Writer {
    /// The newest run of the key: the first or its latest retry.
    async fn run_of(&mut self, run: &NewRun) -> Result<Option<Run>> {
        let row = runs!(
            "where application_id = ?1 and git_ref = ?2 and commit_id = ?3 order by number desc limit 1",
            run.application_id.to_string(),
            run.git_ref.to_string(),
            run.commit.as_str()
        )
        .fetch_optional(self.db())
        .await;
        Ok(row.map_err(failed)?.map(Run::from))
    }
}

#[async_trait]
impl WriteRuns for Writer {
    async fn run_insert(&mut self, run: NewRun) -> Result<Inserted<Run>> {
        if run.retry_of.is_none()
            && let Some(found) = self.run_of(&run).await?
        {
            return Ok(Inserted::Existing(found));
        }
        let number = sqlx::query_scalar!(
            r#"select coalesce(max(number), 0) + 1 as "number!: i64" from run where application_id = ?1"#,
            run.application_id.to_string(),
        )
        .fetch_one(self.db())
        .await
        .map_err(failed)?;
        let run = Run {
            id: RunId::new(),
            number,
            application_id: run.application_id,
            git_ref: run.git_ref,
            commit: run.commit,
            actor: run.actor,
            subject: run.subject,
            author: run.author,
            committed_at: run.committed_at,
            delivery_id: run.delivery_id,
            retry_of: run.retry_of,
            fresh: run.fresh,
            version_number: None,
            state: RunState::Queued { why: None },
            generation: 1,
            created_at: now(),
            started_at: None,
            finished_at: None,
        };
        sqlx::query!(
            "insert into run (id, number, application_id, git_ref, commit_id, actor, subject, author,
            committed_at, delivery_id, retry_of, fresh, state, state_json, generation, created_at)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            run.id.to_string(),
            run.number,
            run.application_id.to_string(),
            run.git_ref.to_string(),
            run.commit.as_str(),
            run.actor,
            run.subject,
            run.author,
            millis(run.committed_at),
            run.delivery_id.map(|id| id.to_string()),
            run.retry_of.map(|id| id.to_string()),
            run.fresh,
            run.state.word(),
            json(&run.state),
            run.generation,
            millis(run.created_at),
        )
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.tell(Change::Run(run.id));
        Ok(Inserted::New(run))
    }

    async fn run_save(&mut self, run: &mut Run) -> Result<bool> {
        let saved = sqlx::query!(
            "update run set state = ?3, state_json = ?4, version_number = ?5, started_at = ?6, finished_at = ?7,
            generation = generation + 1 where id = ?1 and generation = ?2",
            run.id.to_string(),
            run.generation,
            run.state.word(),
            json(&run.state),
            run.version_number.map(int),
            run.started_at.map(millis),
            run.finished_at.map(millis),
        )
        .execute(self.db())
        .await
        .map_err(failed)?
        .rows_affected()
            == 1;
        if saved {
            run.generation += 1;
            self.tell(Change::Run(run.id));
        }
        Ok(saved)
    }
}

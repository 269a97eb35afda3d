//! A connection for reading and a transaction for writing: the same statements on both.
//!
//! Locks in a transaction, always in this order: the source's row, the application's, the
//! registry's, then others. Whatever a transaction reads or writes about the runs and builds of an application, it
//! first locks that application's row, so that what it read still holds when it writes; the same
//! goes for the refs, packs and deliveries of a source.

use std::sync::Arc;

use async_trait::async_trait;
use slipway_records::{Change, NewJob, Read, Result, Write};
use slipway_types::id::{ApplicationId, BuildId, JobId, RunId, SourceId, VersionId};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::error::failed;
use crate::news::News;
use crate::queue;

/// What statements run on.
pub(crate) trait Handle: Send + 'static {
    /// Whether it is a transaction, which locks what it reads.
    const WRITES: bool;
    fn connection(&mut self) -> &mut PgConnection;
}

impl Handle for PoolConnection<Postgres> {
    const WRITES: bool = false;

    fn connection(&mut self) -> &mut PgConnection {
        self
    }
}

impl Handle for Transaction<'static, Postgres> {
    const WRITES: bool = true;

    fn connection(&mut self) -> &mut PgConnection {
        self
    }
}

/// Statements on one connection.
pub(crate) struct Session<H> {
    handle: H,
    news: Arc<News>,
    /// Told only once they are committed.
    told: Vec<Change>,
    /// Sources and applications whose rows this transaction has locked.
    locked: Vec<Uuid>,
    /// Whether this transaction keeps upkeep out of the registry, or others out for upkeep.
    in_registry: bool,
}

/// The advisory lock of the registry: shared by those who push, held alone by upkeep while it looks
/// for what nothing needs and removes it.
const REGISTRY_LOCK: i64 = 0x0073_6c69_7077_6179;

/// A transaction.
pub(crate) type Writer = Session<Transaction<'static, Postgres>>;

impl<H: Handle> Session<H> {
    pub(crate) fn new(handle: H, news: Arc<News>) -> Self {
        Self { handle, news, told: Vec::new(), locked: Vec::new(), in_registry: false }
    }

    pub(crate) fn db(&mut self) -> &mut PgConnection {
        self.handle.connection()
    }

    pub(crate) fn tell(&mut self, change: Change) {
        if !self.told.contains(&change) {
            self.told.push(change);
        }
    }

    /// Whether the row is still to be locked.
    fn to_lock(&self, id: Uuid) -> bool {
        H::WRITES && !self.locked.contains(&id)
    }

    /// Keeps other transactions from what belongs to the source. Does nothing outside of one.
    pub(crate) async fn lock_source(&mut self, source: SourceId) -> Result<()> {
        let id = source.as_uuid();
        if self.to_lock(id) {
            sqlx::query_scalar!("select id from source where id = $1 for no key update", id)
                .fetch_optional(self.db())
                .await
                .map_err(failed)?;
            self.locked.push(id);
        }
        Ok(())
    }

    /// Keeps other transactions from what belongs to the application. Does nothing outside of one.
    pub(crate) async fn lock_application(&mut self, application: ApplicationId) -> Result<()> {
        let id = application.as_uuid();
        if self.to_lock(id) {
            sqlx::query_scalar!("select id from application where id = $1 for no key update", id)
                .fetch_optional(self.db())
                .await
                .map_err(failed)?;
            self.locked.push(id);
        }
        Ok(())
    }

    /// The same for a run's application.
    pub(crate) async fn lock_application_of_run(&mut self, run: RunId) -> Result<()> {
        if !H::WRITES {
            return Ok(());
        }
        let id = sqlx::query_scalar!("select application_id from run where id = $1", run.as_uuid())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        match id {
            Some(id) => self.lock_application(id.into()).await,
            None => Ok(()),
        }
    }

    /// The same for a build's application.
    pub(crate) async fn lock_application_of_build(&mut self, build: BuildId) -> Result<()> {
        if !H::WRITES {
            return Ok(());
        }
        let id = sqlx::query_scalar!("select application_id from build where id = $1", build.as_uuid())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        match id {
            Some(id) => self.lock_application(id.into()).await,
            None => Ok(()),
        }
    }

    /// The same for a version's application.
    pub(crate) async fn lock_application_of_version(&mut self, version: VersionId) -> Result<()> {
        if !H::WRITES {
            return Ok(());
        }
        let id = sqlx::query_scalar!("select application_id from version where id = $1", version.as_uuid())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        match id {
            Some(id) => self.lock_application(id.into()).await,
            None => Ok(()),
        }
    }
}

impl<H: Handle> Session<H> {
    /// Keeps what this transaction finds in the registry there until it ends. Does nothing outside of
    /// one.
    pub(crate) async fn enter_registry(&mut self) -> Result<()> {
        if H::WRITES && !self.in_registry {
            sqlx::query!(r#"select 1 as "one!" from pg_advisory_xact_lock_shared($1)"#, REGISTRY_LOCK)
                .fetch_one(self.db())
                .await
                .map_err(failed)?;
            self.in_registry = true;
        }
        Ok(())
    }
}

impl Writer {
    /// Keeps everybody else from changing the registry until this transaction ends.
    pub(crate) async fn close_registry(&mut self) -> Result<()> {
        sqlx::query!(r#"select 1 as "one!" from pg_advisory_xact_lock($1)"#, REGISTRY_LOCK)
            .fetch_one(self.db())
            .await
            .map_err(failed)?;
        self.in_registry = true;
        Ok(())
    }
}

impl<H: Handle> Read for Session<H> {}

#[async_trait]
impl Write for Writer {
    async fn job_enqueue(&mut self, job: NewJob) -> Result<JobId> {
        let id = queue::enqueue(self.db(), &job).await?;
        self.tell(Change::Job);
        Ok(id)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let told = std::mem::take(&mut self.told);
        let news = Arc::clone(&self.news);
        news.announce(self.db(), &told).await?;
        self.handle.commit().await.map_err(failed)?;
        news.send(&told);
        Ok(())
    }
}

//! Connecting to the database, and what it offers as a whole.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slipway_records::{Changes, Queue, Read, Records, RecordsError, Result, Write};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{PgPool, Postgres, Transaction};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{MigrationLate, failed};
use crate::news::{self, News};
use crate::options::{PostgresOptions, place};
use crate::session::Session;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/postgres");

/// The records in one PostgreSQL database, which other servers may use at the same time.
#[derive(Debug)]
pub struct PostgresRecords {
    place: String,
    /// Apart from the readers, so that who reads and then writes waits for nobody who does the same.
    pub(crate) writers: PgPool,
    pub(crate) readers: PgPool,
    pub(crate) news: Arc<News>,
    listener: AbortOnDropHandle<()>,
}

impl PostgresRecords {
    /// Connects and brings the tables up to this release as needed; of several servers that start at
    /// once, one does. Tables of a newer release are taken as they are.
    pub async fn connect(options: PostgresOptions) -> Result<Self> {
        migrate(&options).await?;
        let connecting = options.connecting()?;
        let readers = (options.max_connections / 2).max(1);
        let writers = options.max_connections.saturating_sub(readers);
        let news = Arc::new(News::new());
        let listener = news::listen(connecting.clone(), Arc::clone(&news)).await?;
        Ok(Self {
            place: place(&connecting),
            writers: options.pool(writers).connect_lazy_with(connecting.clone()),
            readers: options.pool(readers).connect_lazy_with(connecting),
            news,
            listener,
        })
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.listener.abort();
        self.readers.close().await;
        self.writers.close().await;
    }

    pub(crate) async fn transaction(&self) -> Result<Transaction<'static, Postgres>> {
        self.writers.begin().await.map_err(failed)
    }
}

async fn migrate(options: &PostgresOptions) -> Result<()> {
    let pool = options.pool(1).connect_with(options.migrating()?).await.map_err(failed)?;
    let mut migrator =
        Migrator { migrations: MIGRATOR.migrations.clone(), ..Migrator::with_migrations(Vec::new()) };
    migrator.set_ignore_missing(true);
    let limit_ms = options.migration_timeout_ms;
    match tokio::time::timeout(Duration::from_millis(limit_ms), migrator.run(&pool)).await {
        Ok(Ok(())) => {}
        Ok(Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _))) => {
            return Err(failed(error));
        }
        Ok(Err(other)) => return Err(RecordsError::Refused(other.into())),
        Err(_elapsed) => return Err(RecordsError::Unavailable(MigrationLate { limit_ms }.into())),
    }
    pool.close().await;
    Ok(())
}

#[async_trait]
impl Records for PostgresRecords {
    async fn read(&self) -> Result<Box<dyn Read>> {
        let connection = self.readers.acquire().await.map_err(failed)?;
        Ok(Box::new(Session::new(connection, Arc::clone(&self.news))))
    }

    async fn begin(&self) -> Result<Box<dyn Write>> {
        Ok(Box::new(Session::new(self.transaction().await?, Arc::clone(&self.news))))
    }

    fn queue(&self) -> &dyn Queue {
        self
    }

    fn changes(&self) -> &Changes {
        &self.news.changes
    }

    fn describe(&self) -> String {
        format!("PostgreSQL at {}", self.place)
    }

    async fn ping(&self) -> Result<()> {
        sqlx::query_scalar!("select 1").fetch_one(&self.readers).await.map_err(failed)?;
        Ok(())
    }
}

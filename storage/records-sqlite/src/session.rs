//! A connection for reading and a transaction for writing: the same statements on both.

use async_trait::async_trait;
use slipway_records::{Change, Changes, NewJob, Read, Result, Write};
use slipway_types::id::JobId;
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::error::failed;
use crate::queue;

/// What statements run on.
pub(crate) trait Handle: Send + 'static {
    fn connection(&mut self) -> &mut SqliteConnection;
}

impl Handle for PoolConnection<Sqlite> {
    fn connection(&mut self) -> &mut SqliteConnection {
        self
    }
}

impl Handle for Transaction<'static, Sqlite> {
    fn connection(&mut self) -> &mut SqliteConnection {
        self
    }
}

/// Statements on one connection.
pub(crate) struct Session<H> {
    handle: H,
    changes: Changes,
    /// Told only once they are committed.
    news: Vec<Change>,
}

/// A transaction.
pub(crate) type Writer = Session<Transaction<'static, Sqlite>>;

impl<H: Handle> Session<H> {
    pub(crate) fn new(handle: H, changes: Changes) -> Self {
        Self { handle, changes, news: Vec::new() }
    }

    pub(crate) fn db(&mut self) -> &mut SqliteConnection {
        self.handle.connection()
    }

    pub(crate) fn tell(&mut self, change: Change) {
        if !self.news.contains(&change) {
            self.news.push(change);
        }
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

    async fn commit(self: Box<Self>) -> Result<()> {
        self.handle.commit().await.map_err(failed)?;
        for change in self.news {
            self.changes.send(change);
        }
        Ok(())
    }
}

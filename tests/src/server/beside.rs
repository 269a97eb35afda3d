//! What another process writes into the records beside the running server.

use slipway_records::{LogChunk, Records as _, Write};
use slipway_records_sqlite::{SqliteOptions, SqliteRecords};
use uuid::Uuid;

use super::{Server, world};

impl Server {
    /// Changes the records in one transaction. The server must be one alone, on SQLite; it sees what was changed when it
    /// next looks.
    pub fn write<T>(&self, change: impl AsyncFnOnce(&mut dyn Write) -> T) -> T {
        assert!(self.database.is_none(), "the database is in no file");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let path = self.data().join("slipway.db");
            let records = SqliteRecords::open(&path, SqliteOptions::default()).await;
            let records = records.expect("the database can be opened");
            let mut tx = records.begin().await.expect("a transaction");
            let made = change(tx.as_mut()).await;
            tx.commit().await.expect("a commit");
            records.close().await;
            made
        })
    }

    /// Appends pieces to a log, each so many times; a log is named by the id of its run or build. A piece is stored once, so
    /// that a long log costs little.
    pub fn append_log(&self, log: Uuid, pieces: &[(&str, u32)]) {
        self.write(async |tx: &mut dyn Write| {
            let blobs = world::blobs(None, &self.data(), &self.scratch().join("spool")).await;
            let mut offset = tx.log_size(log).await.expect("a size");
            for (text, times) in pieces {
                let blob = blobs.put(text.as_bytes().to_vec()).await.expect("a stored piece");
                for _ in 0..*times {
                    let chunk = LogChunk { offset, length: blob.size, digest: blob.digest, mark: None };
                    assert!(tx.log_append(log, &chunk).await.expect("an answer"), "the log is longer");
                    offset += blob.size;
                }
            }
        });
    }
}

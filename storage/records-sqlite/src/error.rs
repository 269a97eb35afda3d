//! What SQLite's errors mean to a caller.

use slipway_records::RecordsError;

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const IO: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;
/// Growing the index of the write-ahead log failed: in practice a full disk.
const IO_SHM_SIZE: u32 = 4874;
/// A trigger refused: the blob is being removed and must be stored again.
const CONSTRAINT_TRIGGER: u32 = 1811;

/// A text stored in a row that is no value of its type in this release.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not known")]
pub(crate) struct UnknownWord(pub(crate) String);

/// The error a caller can act on.
pub(crate) fn failed(error: sqlx::Error) -> RecordsError {
    match &error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0);
            match (code, code & 0xff) {
                (IO_SHM_SIZE, _) | (_, FULL) => RecordsError::NoSpace(error.into()),
                (CONSTRAINT_TRIGGER, _) | (_, BUSY | LOCKED | IO | CANNOT_OPEN) => {
                    RecordsError::Unavailable(error.into())
                }
                (_, CORRUPT | NOT_A_DATABASE) => RecordsError::Damaged(error.into()),
                _ => RecordsError::Refused(error.into()),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => RecordsError::Unavailable(error.into()),
        sqlx::Error::ColumnDecode { index, .. } => {
            RecordsError::Unreadable { what: format!("column {index}"), source: error.into() }
        }
        _ => RecordsError::Refused(error.into()),
    }
}

/// The same, where a broken unique index means that `what` exists.
pub(crate) fn failed_insert(error: sqlx::Error, what: impl FnOnce() -> String) -> RecordsError {
    match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => {
            RecordsError::Conflict { what: what() }
        }
        _ => failed(error),
    }
}

//! What PostgreSQL's errors mean to a caller.

use slipway_records::RecordsError;

/// A text stored in a row that is no value of its type in this release.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not known")]
pub(crate) struct UnknownWord(pub(crate) String);

/// The tables were not brought up to this release in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "another server brings the tables up to its release, or the migration is slow: not within {limit_ms} ms"
)]
pub(crate) struct MigrationLate {
    pub(crate) limit_ms: u64,
}

const DISK_FULL: &str = "53100";

/// Whether the database may do the same statement another time: by code, or by the code's class.
fn may_pass(code: &str) -> bool {
    const CODES: [&str; 11] = [
        "25006", // read-only: a standby, until it is promoted
        "25P03", // idle in a transaction for too long
        "3D000", // the database is not there (yet)
        "40001", // serialization
        "40P01", // deadlock
        "40003", // completion unknown
        "55P03", // a lock is not available
        "55006", // a blob is being removed: store it again
        "57014", // cancelled: the statement took too long
        "XX000", // what poolers and proxies answer when they lost the server
        "58030", // the server's own I/O failed
    ];
    // Connection, authorization, resources, and the server's going down or coming up.
    const CLASSES: [&str; 4] = ["08", "28", "53", "57"];
    CODES.contains(&code) || CLASSES.iter().any(|class| code.starts_with(class))
}

/// The error a caller can act on.
pub(crate) fn failed(error: sqlx::Error) -> RecordsError {
    match &error {
        sqlx::Error::Database(database) => match database.code().as_deref() {
            Some(DISK_FULL) => RecordsError::NoSpace(error.into()),
            Some(code) if may_pass(code) => RecordsError::Unavailable(error.into()),
            _ => RecordsError::Refused(error.into()),
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => RecordsError::Unavailable(error.into()),
        sqlx::Error::ColumnDecode { index, .. } => {
            RecordsError::Unreadable { what: format!("column {index}"), source: error.into() }
        }
        sqlx::Error::Configuration(_) => RecordsError::Unreadable {
            what: "the configured address of the database".to_owned(),
            source: error.into(),
        },
        _ => RecordsError::Refused(error.into()),
    }
}

/// Whether a unique index stopped the statement.
pub(crate) fn is_taken(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if database.is_unique_violation())
}

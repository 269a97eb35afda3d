//! How the values of `slipway-types` are stored in SQLite.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use slipway_records::PAGE_ROWS_MAX;
use slipway_types::Digest;
use sqlx::Sqlite;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteTypeInfo, SqliteValueRef};

pub(crate) use sqlx::types::Json;

/// A value stored as the text it displays as.
pub(crate) struct Text<T>(pub(crate) T);

/// A whole number of another width than SQLite's 64 signed bits.
#[derive(Debug)]
pub(crate) struct Int<T>(pub(crate) T);

/// A time stored as milliseconds since 1970.
pub(crate) struct Millis(pub(crate) DateTime<Utc>);

impl<T> sqlx::Type<Sqlite> for Text<T> {
    fn type_info() -> SqliteTypeInfo {
        <str as sqlx::Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        <str as sqlx::Type<Sqlite>>::compatible(info)
    }
}

impl<'r, T: FromStr<Err: Error + Send + Sync + 'static>> sqlx::Decode<'r, Sqlite> for Text<T> {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<&str as sqlx::Decode<Sqlite>>::decode(value)?.parse()?))
    }
}

macro_rules! stored_as_integer {
    ($($type:ty $(: $parameter:ident)?),*) => {$(
        impl$(<$parameter>)? sqlx::Type<Sqlite> for $type {
            fn type_info() -> SqliteTypeInfo {
                <i64 as sqlx::Type<Sqlite>>::type_info()
            }

            fn compatible(info: &SqliteTypeInfo) -> bool {
                <i64 as sqlx::Type<Sqlite>>::compatible(info)
            }
        }
    )*};
}

stored_as_integer!(Int<T>: T, Millis);

impl<'r, T: TryFrom<i64, Error: Error + Send + Sync + 'static>> sqlx::Decode<'r, Sqlite> for Int<T> {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<i64 as sqlx::Decode<Sqlite>>::decode(value)?.try_into()?))
    }
}

impl<'r> sqlx::Decode<'r, Sqlite> for Millis {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let millis = <i64 as sqlx::Decode<Sqlite>>::decode(value)?;
        DateTime::from_timestamp_millis(millis)
            .map(Self)
            .ok_or_else(|| "no time has so many milliseconds".into())
    }
}

/// The time now, as exact as it is stored.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// A time as it is stored.
pub(crate) fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

/// `delay` from now, as it is stored.
pub(crate) fn millis_after(delay: Duration) -> i64 {
    millis(now()).saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))
}

/// A size or count as it is stored.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).expect("invariant: sizes and counts stay below 2^63")
}

/// JSON as it is stored.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("invariant: records hold only what JSON can hold")
}

/// Digests as a JSON array.
pub(crate) fn digests_json(digests: &[Digest]) -> String {
    json(&digests.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// The rows of a page, as SQLite takes them.
pub(crate) fn rows(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_ROWS_MAX))
}

/// A text greater than every UUID: the first page comes after it, going down.
const ABOVE_ALL: &str = "g";

/// What the rows of a page, newest first, lie below.
pub(crate) fn below(after: Option<uuid::Uuid>) -> String {
    after.map_or_else(|| ABOVE_ALL.to_owned(), |id| id.to_string())
}

//! How the values of `slipway-types` are stored in PostgreSQL.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use serde_json::Value;
use slipway_records::PAGE_ROWS_MAX;
use slipway_types::Digest;
use sqlx::Postgres;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use uuid::Uuid;

pub(crate) use sqlx::types::Json;

/// A value stored as the text it displays as.
pub(crate) struct Text<T>(pub(crate) T);

/// An identifier.
pub(crate) struct Id<T>(pub(crate) T);

/// A whole number of another width than PostgreSQL's 64 signed bits.
#[derive(Debug)]
pub(crate) struct Int<T>(pub(crate) T);

macro_rules! stored_as {
    ($($type:ident: $column:ty),*) => {$(
        impl<T> sqlx::Type<Postgres> for $type<T> {
            fn type_info() -> PgTypeInfo {
                <$column as sqlx::Type<Postgres>>::type_info()
            }

            fn compatible(info: &PgTypeInfo) -> bool {
                <$column as sqlx::Type<Postgres>>::compatible(info)
            }
        }
    )*};
}

stored_as!(Text: str, Id: Uuid, Int: i64);

impl<'r, T: FromStr<Err: Error + Send + Sync + 'static>> sqlx::Decode<'r, Postgres> for Text<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<&str as sqlx::Decode<Postgres>>::decode(value)?.parse()?))
    }
}

impl<'r, T: From<Uuid>> sqlx::Decode<'r, Postgres> for Id<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<Uuid as sqlx::Decode<Postgres>>::decode(value)?.into()))
    }
}

impl<'r, T: TryFrom<i64, Error: Error + Send + Sync + 'static>> sqlx::Decode<'r, Postgres> for Int<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<i64 as sqlx::Decode<Postgres>>::decode(value)?.try_into()?))
    }
}

/// The time now, as exact as it is stored.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The longest delay or lease, so that no time overflows: a hundred years.
const DURATION_MAX: Duration = Duration::from_hours(100 * 366 * 24);

/// A delay in seconds, as `make_interval` takes it.
pub(crate) fn seconds(delay: Duration) -> f64 {
    delay.min(DURATION_MAX).as_secs_f64()
}

/// A size or count as it is stored.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).expect("invariant: sizes and counts stay below 2^63")
}

/// A text from outside: PostgreSQL stores every character but NUL.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Digests as an array of texts.
pub(crate) fn digest_texts(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(ToString::to_string).collect()
}

/// JSON as it is stored, without NUL in any text.
pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Value {
    let mut value = serde_json::to_value(value).expect("invariant: records hold only what JSON can hold");
    replace_nul(&mut value);
    value
}

fn replace_nul(value: &mut Value) {
    match value {
        Value::String(found) if found.contains('\0') => *found = text(found),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(fields) => {
            if fields.keys().any(|key| key.contains('\0')) {
                *fields =
                    std::mem::take(fields).into_iter().map(|(key, value)| (text(&key), value)).collect();
            }
            fields.values_mut().for_each(replace_nul);
        }
        _ => {}
    }
}

/// The rows of a page, as PostgreSQL takes them.
pub(crate) fn rows(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_ROWS_MAX))
}

/// What the rows of a page, newest first, lie below.
pub(crate) fn below(after: Option<Uuid>) -> Uuid {
    after.unwrap_or(Uuid::max())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_wherever_it_stands() {
        let stored = json(&serde_json::json!({"a\0": ["x\0y", {"b": "\0"}], "c": "\\u0000"}));
        let expected = serde_json::json!({"a\u{fffd}": ["x\u{fffd}y", {"b": "\u{fffd}"}], "c": "\\u0000"});
        assert_eq!(stored, expected);
    }
}

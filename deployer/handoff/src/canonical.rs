//! The one JSON text of a value, whose SHA-256 is its digest.
//!
//! Object keys in byte order, no white space, only the escapes that JSON demands, and whole numbers
//! in decimal: what RFC 8785 gives for documents without fractions and with plain keys.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use slipway_types::Digest;

/// The canonical JSON of `value`.
pub fn canonical(value: &impl Serialize) -> Bytes {
    slipway_oci::canonical_json(value)
}

/// The digest of the canonical JSON of `value`.
pub fn digest(value: &impl Serialize) -> Digest {
    Digest::of(canonical(value))
}

/// Whether a number in `value` has a fraction or an exponent: programs write those differently.
pub fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_i64() && !number.is_u64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(map) => map.values().any(has_fraction),
        _ => false,
    }
}

//! What keeps the server observable and bounded: health, metrics, request ids, time limits.

pub(crate) mod health;
pub(crate) mod landing;
pub mod metrics;
pub(crate) mod open_streams;
pub(crate) mod rate;
pub(crate) mod request;

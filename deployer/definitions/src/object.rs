//! Kubernetes objects as definitions write them: identity, fields, merging.

pub mod claims;
pub mod identity;
pub mod leaves;
pub mod lists;
pub mod merge;
pub mod shape;

pub use identity::{GroupKind, ObjectKey};

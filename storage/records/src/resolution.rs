//! What image references led to when their registries last answered.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::{Digest, ImageReference};

use crate::Result;

/// What one reference led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The reference as asked for.
    pub reference: ImageReference,
    /// The manifest or index that it named, for whatever platforms.
    pub digest: Digest,
    /// When the registry said so.
    pub resolved_at: DateTime<Utc>,
}

/// Looking up resolutions.
#[async_trait]
pub trait ReadResolutions {
    /// The last one of a reference.
    async fn resolution_get(&mut self, reference: &ImageReference) -> Result<Option<Resolution>>;
}

/// Changing resolutions.
#[async_trait]
pub trait WriteResolutions {
    /// Keeps a resolution in the place of an older one; one that is newer stays.
    async fn resolution_put(&mut self, resolution: &Resolution) -> Result<()>;
    /// Removes those made before `before`, at most `limit`; returns how many.
    async fn resolutions_remove(&mut self, before: DateTime<Utc>, limit: u32) -> Result<u64>;
}

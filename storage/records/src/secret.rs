//! Built-in secrets, sealed before they come here.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::Result;

/// A secret's sealed value: opaque here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The data key, sealed by the master key.
    pub sealed_key: Vec<u8>,
    /// The value, sealed by the data key.
    pub sealed_value: Vec<u8>,
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Name, e.g. `npm-token` or `webhook/shop`.
    pub name: String,
    /// Counts from 1 with every new value; goes on after removal.
    pub version: u64,
    /// Who set it.
    pub set_by: String,
    /// When.
    pub set_at: DateTime<Utc>,
}

/// Looking up secrets.
#[async_trait]
pub trait ReadSecrets {
    /// The newest value.
    async fn secret_get(&mut self, name: &str) -> Result<Option<(SecretRow, SealedSecret)>>;
    /// All secrets by name.
    async fn secret_list(&mut self) -> Result<Vec<SecretRow>>;
    /// The secrets by name whose names begin with `prefix` and come after `after`, at most `limit`, which is capped
    /// at [`crate::PAGE_ROWS_MAX`]; `None`: from the first.
    async fn secret_page(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<SecretRow>>;
}

/// Changing secrets.
#[async_trait]
pub trait WriteSecrets {
    /// Sets a value and gives it the next version.
    async fn secret_put(&mut self, name: &str, sealed: &SealedSecret, by: &str) -> Result<SecretRow>;
    /// Removes a secret; `false` if there was none.
    async fn secret_remove(&mut self, name: &str) -> Result<bool>;
}

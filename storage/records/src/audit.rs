//! The audit record: every change of the deploy stage, append-only, each entry's digest covering the
//! one before it, so that what was taken out or altered afterwards shows.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use slipway_types::Digest;

use crate::Result;

/// What somebody did, to be kept.
#[derive(Debug, Clone)]
pub struct NewAuditEntry {
    /// Who.
    pub actor: String,
    /// What, e.g. `deployment.approve`.
    pub action: &'static str,
    /// To what, e.g. `environment/prod`.
    pub subject: String,
    /// The rest.
    pub detail: Value,
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Rises with every entry.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The rest.
    pub detail: Value,
    /// Covers this entry and the digest of the one before.
    pub digest: Digest,
}

impl AuditEntry {
    /// The digest of an entry after one with `previous` (`None`: it is the first). The time counts in
    /// milliseconds, so that every database gives the same.
    pub fn chain(previous: Option<&Digest>, new: &NewAuditEntry, at: DateTime<Utc>) -> Digest {
        Self::digest_of(previous, at, &new.actor, new.action, &new.subject, &new.detail)
    }

    /// Whether this entry follows one with `previous`, unaltered.
    pub fn follows(&self, previous: Option<&Digest>) -> bool {
        let own = Self::digest_of(previous, self.at, &self.actor, &self.action, &self.subject, &self.detail);
        own == self.digest
    }

    fn digest_of(
        previous: Option<&Digest>,
        at: DateTime<Utc>,
        actor: &str,
        action: &str,
        subject: &str,
        detail: &Value,
    ) -> Digest {
        let previous = previous.map(ToString::to_string);
        let document = serde_json::json!([previous, at.timestamp_millis(), actor, action, subject, detail]);
        Digest::of(document.to_string())
    }
}

/// Reading the audit record.
#[async_trait]
pub trait ReadAudit {
    /// Entries, newest first, before `before`, of a subject or of all; at most `limit`.
    async fn audit_list(
        &mut self,
        subject: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>>;
}

/// Adding to the audit record.
#[async_trait]
pub trait WriteAudit {
    /// Keeps what somebody did, with the transaction that does it.
    async fn audit(&mut self, entry: NewAuditEntry) -> Result<()>;
}

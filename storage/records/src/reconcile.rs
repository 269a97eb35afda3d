//! What the built-in reconcile core knows of each application in each environment, and what it told.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::{Address, ApplicationName};

use crate::{RecordsError, Result};

/// The largest [`ReconcileState::document`], in bytes.
pub const STATE_BYTES_MAX: usize = 16 << 20;

/// What a state is of: one application in one environment.
pub type ReconcileKey = (Address, ApplicationName);

/// All that the core knows of an application in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileState {
    /// Where.
    pub environment: Address,
    /// What.
    pub application: ApplicationName,
    /// The newest generation that was taken.
    pub generation: u64,
    /// The number of its last event; 0: there was none yet.
    pub sequence: u64,
    /// JSON of the core's own, at most [`STATE_BYTES_MAX`] bytes.
    pub document: String,
    /// Whether nothing is under way.
    pub is_settled: bool,
    /// When it was last stored: set by [`WriteReconcile::reconcile_save`], by the clock by which jobs are due.
    pub updated_at: DateTime<Utc>,
    /// Rises with every stored change; 0: not stored yet.
    pub row_version: i64,
}

/// Something that the core told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileEvent {
    /// Its number; rises per key.
    pub sequence: u64,
    /// Of which generation.
    pub generation: u64,
    /// JSON of the hand-off contract.
    pub event: String,
    /// When this was so.
    pub at: DateTime<Utc>,
}

/// Which events of a generation are kept when there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsKept {
    /// So many from the beginning; at least 1.
    pub first: u32,
    /// So many up to the last; at least 1.
    pub newest: u32,
}

impl ReconcileState {
    /// Refuses a document that is too large to be kept.
    ///
    /// # Errors
    ///
    /// [`RecordsError::TooLarge`] beyond [`STATE_BYTES_MAX`].
    pub fn check_size(&self) -> Result<()> {
        let bytes = self.document.len();
        if bytes <= STATE_BYTES_MAX {
            return Ok(());
        }
        let what = format!("the reconcile state of `{}` in {}", self.application, self.environment);
        Err(RecordsError::TooLarge { what, bytes, limit: STATE_BYTES_MAX })
    }
}

/// Looking up what the core knows.
#[async_trait]
pub trait ReadReconcile {
    /// What is known of an application in an environment.
    async fn reconcile_get(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
    ) -> Result<Option<ReconcileState>>;
    /// The [`ReconcileState::row_version`] of an application in an environment; `None`: nothing is known of it.
    async fn reconcile_version(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
    ) -> Result<Option<i64>>;
    /// Its events with a number above `since`, the oldest first; `limit` is capped at
    /// [`crate::PAGE_ROWS_MAX`].
    async fn reconcile_events(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
        since: u64,
        limit: u32,
    ) -> Result<Vec<ReconcileEvent>>;
    /// What is known on a cluster, of whatever unit: keys after `after` in the byte order of their texts;
    /// `limit` is capped at [`crate::PAGE_ROWS_MAX`].
    async fn reconcile_of_cluster(
        &mut self,
        cluster: &str,
        after: Option<ReconcileKey>,
        limit: u32,
    ) -> Result<Vec<ReconcileKey>>;
}

/// Changing what the core knows.
#[async_trait]
pub trait WriteReconcile {
    /// Stores it with its new events, sets `state.updated_at` and raises `state.row_version`; `false`,
    /// and nothing is stored, if somebody was faster. Somebody was if the row has another
    /// `row_version`, or a later generation because it was removed and made anew, or is gone.
    ///
    /// # Errors
    ///
    /// [`RecordsError::TooLarge`] for its document, [`RecordsError::Conflict`] if an event has a number
    /// that is taken. After an error the transaction must not be committed.
    async fn reconcile_save(&mut self, state: &mut ReconcileState, events: &[ReconcileEvent])
    -> Result<bool>;
    /// Removes the events of generations before this one; returns how many.
    async fn reconcile_forget_events(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
        before_generation: u64,
    ) -> Result<u64>;
    /// Removes the events of a generation between the first and the newest ones that are kept; returns how
    /// many.
    async fn reconcile_thin_events(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
        generation: u64,
        kept: EventsKept,
    ) -> Result<u64>;
    /// Removes what is known and its events; `false` if nothing is known. Generations and numbers of
    /// events are forgotten with it.
    async fn reconcile_remove(
        &mut self,
        environment: &Address,
        application: &ApplicationName,
    ) -> Result<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_beyond_the_limit_is_refused_by_name() {
        let mut state = ReconcileState {
            environment: "eu/kind/shop".parse().unwrap(),
            application: "commerce/shop".parse().unwrap(),
            generation: 1,
            sequence: 0,
            document: " ".repeat(STATE_BYTES_MAX),
            is_settled: false,
            updated_at: DateTime::UNIX_EPOCH,
            row_version: 0,
        };
        assert!(state.check_size().is_ok());
        state.document.push(' ');
        let said = state.check_size().unwrap_err().to_string();
        assert!(
            said.starts_with(
                "the reconcile state of `commerce/shop` in eu/kind/shop/default has 16777217 bytes"
            ),
            "{said}"
        );
        assert!(said.contains("16777216"), "{said}");
    }
}

//! An instance on its way out: first what its definition runs at a release, then everything goes.
//!
//! What is run is a generation of its own that is applied: the receiver removes what that no longer has only once
//! it is ready, so nothing goes before the run has come to its end. The removal is the generation after it.

use chrono::Utc;
use slipway_definitions::Function;
use slipway_records::{AddonInstance, JobError};
use slipway_types::state::AddonEvent;

use super::subject::AddonSubject;
use super::{AddonHandler, Stepped, key};

impl AddonHandler {
    /// Freezes what is run before anything is taken away, if anything is.
    pub(super) async fn freeze_ending(&self, subject: AddonSubject) -> Result<Stepped, JobError> {
        if subject.addon.predecessor.is_none() || !subject.addon.has_release {
            return self.store(subject.addon, Some(AddonEvent::Ended)).await;
        }
        self.freeze(subject, Function::Release).await
    }

    /// What was to run came to its end: the rest is the next generation.
    pub(super) async fn go_on(&self, mut addon: AddonInstance) -> Result<Stepped, JobError> {
        let by = addon.changed_by.clone();
        addon.change(AddonEvent::Ended, &by, Utc::now());
        self.store(addon, None).await
    }

    /// Freezes that nothing is to be there: what was frozen before, without its objects.
    pub(super) async fn freeze_removal(&self, subject: AddonSubject) -> Result<Stepped, JobError> {
        let Some(before) = subject.addon.predecessor else {
            return self.store(subject.addon, Some(AddonEvent::Gone)).await;
        };
        match self.stage.kept_revision(&key(&subject), &before).await {
            Ok(frozen) => self.keep(subject, &frozen.emptied()).await,
            Err(fault) => self.wait_or_fail(subject.addon, fault).await,
        }
    }
}

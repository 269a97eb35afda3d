//! An instance on its way out: first what its definition runs at a release, then everything goes.
//!
//! What is run is a generation of its own that is applied: the receiver removes what that no longer has only once
//! it is ready, so nothing goes before the run has come to its end. The removal is the generation after it.
//!
//! And what is run begins only once what was applied before has come to its end ([`super::earlier`]).

use chrono::Utc;
use slipway_definitions::Function;
use slipway_records::{AddonInstance, JobError};
use slipway_types::Class;
use slipway_types::state::AddonEvent;

use super::subject::AddonSubject;
use super::{AddonHandler, Stepped, key};
use crate::handler::AWAY_PAUSE;

impl AddonHandler {
    /// Freezes what is run before anything is taken away, if anything is.
    pub(super) async fn freeze_ending(&self, subject: AddonSubject) -> Result<Stepped, JobError> {
        let Some(before) = subject.addon.predecessor.filter(|_| subject.addon.has_release) else {
            return self.store(subject.addon, Some(AddonEvent::Ended)).await;
        };
        let why = match self.under_way(&subject).await {
            Ok(None) => return self.freeze(subject, Function::Release).await,
            Ok(Some(what)) => format!("what was applied before has not ended: {what}"),
            Err(fault) if fault.class == Class::Transient => fault.message,
            Err(fault) => return self.fail(subject.addon, fault.to_string()).await,
        };
        let allowed = match self.stage.kept_revision(&key(&subject), &before).await {
            Ok(frozen) => self.allowed(&frozen.revision),
            Err(fault) => return self.wait_or_fail(subject.addon, fault).await,
        };
        if Utc::now() >= subject.addon.changed_at + allowed {
            let why = format!("nothing is run at its release after {} minutes: {why}", allowed.num_minutes());
            return self.fail(subject.addon, why).await;
        }
        self.wait(subject.addon, why, AWAY_PAUSE).await
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

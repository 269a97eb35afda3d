//! The `core` receiver: the seam to the built-in reconcile core.
//!
//! The core lives in this process, so it is reached through a port. Until a server wires one, its
//! environments cannot choose `core`: [`crate::settings::violations`] says so at check time.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::admission::{admit, admit_objects};
use crate::answer::{Answer, Capability};
use crate::event::Event;
use crate::manifests::Manifests;
use crate::receiver::{Order, Receiver, ReceiverError, ReceiverKind};
use crate::revision::Limits;
use crate::submission::{Key, Submission};

/// The built-in core, as far as a hand-off goes.
#[async_trait]
pub trait CorePort: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> BTreeSet<Capability>;

    /// Takes a submission that is sound by itself: keeps it, and answers. Generations are its affair.
    async fn accept(
        &self,
        submission: &Submission,
        manifests: &dyn Manifests,
    ) -> Result<Answer, ReceiverError>;

    /// What happened to a key after `since`.
    async fn events(&self, key: &Key, since: u64) -> Result<Vec<Event>, ReceiverError>;

    /// Carries out an order.
    async fn order(&self, order: &Order) -> Result<Answer, ReceiverError>;
}

/// Hands submissions to the built-in core.
#[derive(Clone)]
pub struct CoreReceiver {
    port: Arc<dyn CorePort>,
    limits: Limits,
}

impl CoreReceiver {
    /// The core behind `port`.
    pub fn new(port: Arc<dyn CorePort>, limits: Limits) -> Self {
        Self { port, limits }
    }
}

#[async_trait]
impl Receiver for CoreReceiver {
    fn kind(&self) -> ReceiverKind {
        ReceiverKind::Core
    }

    async fn capabilities(&self) -> Result<BTreeSet<Capability>, ReceiverError> {
        Ok(self.port.capabilities())
    }

    async fn submit(
        &self,
        submission: &Submission,
        manifests: &dyn Manifests,
    ) -> Result<Answer, ReceiverError> {
        if let Some(answer) = admit(submission, None, &self.port.capabilities(), &self.limits) {
            return Ok(answer);
        }
        if let Some(answer) = admit_objects(submission, manifests, &self.limits).await? {
            return Ok(answer);
        }
        self.port.accept(submission, manifests).await
    }

    async fn observe(&self, key: &Key, since: u64) -> Result<Vec<Event>, ReceiverError> {
        self.port.events(key, since).await
    }

    async fn command(&self, order: &Order) -> Result<Answer, ReceiverError> {
        let capability = order.command.capability();
        if !self.port.capabilities().contains(&capability) {
            return Err(ReceiverError::Undeclared { kind: self.kind(), capability });
        }
        self.port.order(order).await
    }
}

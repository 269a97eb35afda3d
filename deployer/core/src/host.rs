//! What the core asks of the server that it is part of.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use slipway_handoff::node::Call;
use slipway_handoff::{Key, ManifestSet, Revision, SecretUse};
use slipway_kubernetes::Cluster;
use slipway_types::{Address, Digest, Fault};

use crate::evidence::Evidence;
use crate::schedule::Turn;

/// A cluster that the core drives.
pub struct Driven {
    /// The name that it is registered under.
    pub name: String,
    /// The way there.
    pub cluster: Arc<Cluster>,
    /// Whether it is asked now and then what changed there, instead of being watched.
    pub is_polled: bool,
}

/// What is done about what others change of what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriftRule {
    /// It is told.
    Report,
    /// It is written again.
    Correct,
    /// It would be, but somebody holds it: why, in words.
    Held(String),
}

/// What the core asks of the server that it is part of. A fault that is transient is asked about again within
/// the deadline of what needs it; any other ends that.
#[async_trait]
pub trait Host: Send + Sync {
    /// Keeps a revision with its manifests for as long as something may need it.
    async fn keep(&self, key: &Key, document: &Revision, manifests: &ManifestSet) -> Result<(), Fault>;

    /// A revision that was kept.
    async fn kept(&self, key: &Key, revision: &Digest) -> Result<(Revision, ManifestSet), Fault>;

    /// The cluster of an address.
    async fn cluster(&self, environment: &Address) -> Result<Arc<Cluster>, Fault>;

    /// The registered clusters of the environments that the core drives. One that cannot be connected to just now is
    /// left out: the turns there tell why.
    async fn clusters(&self) -> Result<Vec<Driven>, Fault>;

    /// The value that a secret has now, in the scope that the revision names.
    async fn secret(&self, key: &Key, used: &SecretUse) -> Result<SecretString, Fault>;

    /// A digest of a value at a place, told part by part: whoever keeps it can tell that the value became another, and
    /// nobody what it is. Under another master key all are others.
    fn keyed_digest(&self, place: &[&str], value: &[u8]) -> String;

    /// What is done there about what others change.
    async fn drift(&self, key: &Key) -> Result<DriftRule, Fault>;

    /// Makes an HTTP request of a revision of `key`, if the configuration lists its host.
    async fn call(&self, key: &Key, call: &Call) -> Result<(), Fault>;

    /// Whether what was found when an attempt of a node failed is kept, or there is nothing that it could be kept
    /// with.
    async fn has_evidence(&self, key: &Key, generation: u64, turn: &Turn) -> Result<bool, Fault>;

    /// Keeps what was found when an attempt of a node failed, unless something is kept of that already.
    async fn keep_evidence(&self, key: &Key, generation: u64, evidence: &Evidence) -> Result<(), Fault>;

    /// Lets those who wait for news of a key know that there are some; that they are not heard loses nothing.
    async fn tell(&self, key: &Key, generation: u64);
}

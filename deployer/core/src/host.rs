//! What the core asks of the server that it is part of.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use slipway_handoff::node::Call;
use slipway_handoff::{Key, ManifestSet, Revision, SecretUse};
use slipway_kubernetes::Cluster;
use slipway_types::{Address, Digest, Fault};

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

    /// The registered clusters, by name, of the environments that the core drives. One that cannot be connected to
    /// just now is left out: the turns there tell why.
    async fn clusters(&self) -> Result<Vec<(String, Arc<Cluster>)>, Fault>;

    /// The value that a secret has now, in the scope that the revision names.
    async fn secret(&self, key: &Key, used: &SecretUse) -> Result<SecretString, Fault>;

    /// Makes an HTTP request of a revision of `key`, if the configuration lists its host.
    async fn call(&self, key: &Key, call: &Call) -> Result<(), Fault>;

    /// Lets those who wait for news of a key know that there are some; that they are not heard loses nothing.
    async fn tell(&self, key: &Key, generation: u64);
}

//! Clusters, environments, and what operators configure along an address.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use slipway_types::environment::{ClusterFacts, ClusterSettings, EnvironmentSettings};
use slipway_types::id::{ApplicationId, ClusterId, EnvironmentId};
use slipway_types::name::{ClusterName, EnvironmentName};
use slipway_types::{Address, Digest};

use crate::{ConfigurationOrigin, Result};

/// A registered Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Identity.
    pub id: ClusterId,
    /// Unique among those not removed; the address's second part.
    pub name: ClusterName,
    /// UID of its namespace `kube-system`.
    pub uid: String,
    /// How it is reached and what may go there.
    pub settings: ClusterSettings,
    /// What it said of itself when it was last looked at.
    pub facts: Option<ClusterFacts>,
    /// Rises with every stored change; the key of compare-and-swap.
    pub revision: i64,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
}

/// A place applications are deployed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Identity.
    pub id: EnvironmentId,
    /// Unique among those not removed.
    pub name: EnvironmentName,
    /// Unique among those not removed; never changes.
    pub address: Address,
    /// Upstream, receiver, gates.
    pub settings: EnvironmentSettings,
    /// Rises with every stored change; the key of compare-and-swap.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// When its settings last changed.
    pub changed_at: DateTime<Utc>,
    /// By whom.
    pub changed_by: String,
    /// When it was removed; `None`: it is there.
    pub removed_at: Option<DateTime<Utc>>,
}

/// What operators wrote for an application at one level of the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Whose.
    pub application_id: ApplicationId,
    /// One of [`Address::levels`]; empty for all environments.
    pub level: String,
    /// Counts from 1 for each application and level.
    pub version: i64,
    /// An OAM `Application`, as written; empty if it was removed.
    pub document: String,
    /// Digest of the document.
    pub digest: Digest,
    /// When it was set.
    pub set_at: DateTime<Utc>,
    /// By whom; of one from git the commit's author.
    pub set_by: String,
    /// Why.
    pub reason: Option<String>,
    /// The file it was taken from, if it was followed from git.
    pub origin: Option<ConfigurationOrigin>,
}

/// A configuration to be stored.
#[derive(Debug, Clone)]
pub struct NewConfiguration {
    /// Whose.
    pub application_id: ApplicationId,
    /// Where.
    pub level: String,
    /// What; empty removes it.
    pub document: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// The file it is taken from.
    pub origin: Option<ConfigurationOrigin>,
}

/// Looking up clusters, environments and configuration. Removed ones are not found.
#[async_trait]
pub trait ReadEnvironments {
    /// One cluster by name.
    async fn cluster_by_name(&mut self, name: &ClusterName) -> Result<Option<Cluster>>;
    /// One cluster by the UID of its `kube-system`.
    async fn cluster_by_uid(&mut self, uid: &str) -> Result<Option<Cluster>>;
    /// All clusters by name.
    async fn cluster_list(&mut self) -> Result<Vec<Cluster>>;
    /// The clusters by name that come after that name, at most `limit`, which is capped at
    /// [`crate::PAGE_ROWS_MAX`]; `None`: from the first.
    async fn cluster_page(&mut self, after: Option<&ClusterName>, limit: u32) -> Result<Vec<Cluster>>;
    /// One environment, removed ones too.
    async fn environment_get(&mut self, id: EnvironmentId) -> Result<Option<Environment>>;
    /// Those of these environments that there are or were, each once, in no order.
    async fn environments_get(&mut self, ids: &[EnvironmentId]) -> Result<Vec<Environment>>;
    /// One environment by name.
    async fn environment_by_name(&mut self, name: &EnvironmentName) -> Result<Option<Environment>>;
    /// The environments that have or had that name, at most `limit`, which is capped at [`crate::PAGE_ROWS_MAX`]: the
    /// one that is there, then those that were removed, the last one first.
    async fn environments_named(&mut self, name: &EnvironmentName, limit: u32) -> Result<Vec<Environment>>;
    /// One environment by address.
    async fn environment_by_address(&mut self, address: &Address) -> Result<Option<Environment>>;
    /// All environments by name.
    async fn environment_list(&mut self) -> Result<Vec<Environment>>;
    /// The environments by name that come after that name, at most `limit`, which is capped at
    /// [`crate::PAGE_ROWS_MAX`]; `None`: from the first.
    async fn environment_page(
        &mut self,
        after: Option<&EnvironmentName>,
        limit: u32,
    ) -> Result<Vec<Environment>>;
    /// The newest configuration of an application at a level.
    async fn configuration_at(
        &mut self,
        application: ApplicationId,
        level: &str,
    ) -> Result<Option<Configuration>>;
    /// All versions of an application's configuration at a level, newest first, at most `limit`.
    async fn configuration_history(
        &mut self,
        application: ApplicationId,
        level: &str,
        limit: u32,
    ) -> Result<Vec<Configuration>>;
}

/// Changing clusters, environments and configuration.
#[async_trait]
pub trait WriteEnvironments {
    /// Registers a cluster. `Conflict` if its name or UID is taken.
    async fn cluster_insert(
        &mut self,
        name: &ClusterName,
        uid: &str,
        settings: &ClusterSettings,
        facts: Option<&ClusterFacts>,
        by: &str,
    ) -> Result<Cluster>;
    /// Stores UID, settings and facts if the row still has `cluster.revision`, and raises it; `false`
    /// if somebody was faster.
    async fn cluster_save(&mut self, cluster: &mut Cluster) -> Result<bool>;
    /// Forgets a cluster; `false` if it was forgotten.
    async fn cluster_remove(&mut self, id: ClusterId) -> Result<bool>;
    /// Makes an environment. `Conflict` if its name or address is taken.
    async fn environment_insert(
        &mut self,
        name: &EnvironmentName,
        address: &Address,
        settings: &EnvironmentSettings,
        by: &str,
    ) -> Result<Environment>;
    /// Stores settings if the row still has `environment.revision`, and raises it; `false` if somebody
    /// was faster.
    async fn environment_save(&mut self, environment: &mut Environment, by: &str) -> Result<bool>;
    /// Forgets an environment; `false` if it was forgotten. Until the transaction ends nobody makes a deployment, an
    /// add-on or a binding there: whoever wants to waits, and gets [`Removed`](crate::RecordsError::Removed) once this is
    /// committed. So what is read there after this call is all there will be.
    async fn environment_remove(&mut self, id: EnvironmentId) -> Result<bool>;
    /// Stores the next version of a configuration.
    async fn configuration_put(&mut self, new: NewConfiguration) -> Result<Configuration>;
}

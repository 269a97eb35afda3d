//! What there is of a kind at one moment, in digests: for whoever asks now and then instead of watching.

use std::collections::BTreeMap;

use kube::api::{DynamicObject, ListParams};
use slipway_types::Digest;

use crate::call::CallError;
use crate::cluster::Cluster;
use crate::kinds::Served;
use crate::objects::{ObjectKey, typed};
use crate::watching::digest_of;

/// What an object was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glimpse {
    /// Which one.
    pub key: ObjectKey,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Of all that it was: see [`digest_of`].
    pub digest: Digest,
}

impl Cluster {
    /// What there is of a kind, in `namespace` or anywhere in the cluster, that a label selector chooses. Of a kind
    /// that is not served there is nothing. It needs the right to list the kind there.
    ///
    /// # Errors
    ///
    /// The kind cannot be listed, or has more objects than
    /// [`max_listed_objects`](crate::ClusterOptions::max_listed_objects).
    pub async fn glimpses(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<Glimpse>, CallError> {
        let Some(served) = self.once_served(api_version, kind).await? else { return Ok(Vec::new()) };
        let found = self.glimpses_of(&served, namespace, selector).await;
        if !found.as_ref().is_err_and(CallError::is_not_found) {
            return found;
        }
        // It went, or has another place since the list of kinds was made.
        self.kinds_now().await?;
        match self.served(api_version, kind).await? {
            Some(served) => self.glimpses_of(&served, namespace, selector).await,
            None => Ok(Vec::new()),
        }
    }

    /// A kind as it was served when that was last looked at, however long ago that is: that a list fails tells soon
    /// enough that it was too long, and a look costs more requests than the list.
    async fn once_served(&self, api_version: &str, kind: &str) -> Result<Option<Served>, CallError> {
        if let Ok(Some(served)) = self.kinds_ever().await?.find(api_version, kind) {
            return Ok(Some(served.clone()));
        }
        Ok(self.kinds().await?.find(api_version, kind)?.cloned())
    }

    async fn glimpses_of(
        &self,
        served: &Served,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<Glimpse>, CallError> {
        let api = self.api_of(served, namespace);
        let resource = &served.resource;
        let take = |mut object: DynamicObject| {
            object.metadata.managed_fields = None;
            let key = ObjectKey {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
                namespace: object.metadata.namespace.clone().unwrap_or_default(),
                name: object.metadata.name.clone().unwrap_or_default(),
            };
            let labels = object.metadata.labels.clone().unwrap_or_default();
            Glimpse { key, labels, digest: digest_of(&typed(object, resource)) }
        };
        self.every_as(&api, resource, &ListParams::default().labels(selector), &take).await
    }
}

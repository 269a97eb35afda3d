//! What there is of a kind at one moment, in digests: for whoever asks now and then instead of watching.

use std::collections::BTreeMap;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
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
    /// What there is of a kind, anywhere in the cluster, that a label selector chooses. Of a kind that is not served
    /// there is nothing. It needs the right to list the kind in all namespaces.
    ///
    /// # Errors
    ///
    /// The kind cannot be listed, or has more objects than
    /// [`max_listed_objects`](crate::ClusterOptions::max_listed_objects).
    pub async fn glimpses(
        &self,
        api_version: &str,
        kind: &str,
        selector: &str,
    ) -> Result<Vec<Glimpse>, CallError> {
        let Some(served) = self.once_served(api_version, kind).await? else { return Ok(Vec::new()) };
        let found = self.glimpses_of(&served, selector).await;
        if !found.as_ref().is_err_and(CallError::is_not_found) {
            return found;
        }
        // It went, or has another place since the list of kinds was made.
        self.kinds_now().await?;
        match self.served(api_version, kind).await? {
            Some(served) => self.glimpses_of(&served, selector).await,
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

    async fn glimpses_of(&self, served: &Served, selector: &str) -> Result<Vec<Glimpse>, CallError> {
        let api = self.api_of(served, None);
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

    /// Whether the kubeconfig's user may watch a kind in all namespaces; of a kind that is not served, yes.
    pub async fn may_watch(&self, api_version: &str, kind: &str) -> Result<bool, CallError> {
        let Some(served) = self.served(api_version, kind).await? else { return Ok(true) };
        let attributes = ResourceAttributes {
            group: Some(served.resource.group),
            resource: Some(served.resource.plural),
            verb: Some("watch".to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = self.ask(reviews.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

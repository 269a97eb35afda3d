//! What the kubeconfig's user may do.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use crate::call::CallError;
use crate::cluster::Cluster;
use crate::kinds::Served;

/// How it may be heard of what becomes of the objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Followed {
    /// They may be neither watched nor listed: each is to be got by itself.
    Not,
    /// They may be listed, now and then.
    Listed,
    /// They may be watched, which takes a list first.
    Watched,
}

impl Cluster {
    /// How the kubeconfig's user may follow a kind in `namespace`, or in all of them; a kind that is not served may
    /// be watched.
    ///
    /// # Errors
    ///
    /// The API server does not answer, or takes no questions of what may be done.
    pub async fn may_follow(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Followed, CallError> {
        let Some(served) = self.served(api_version, kind).await? else { return Ok(Followed::Watched) };
        if !self.may(&served, "list", namespace).await? {
            return Ok(Followed::Not);
        }
        let may_watch = self.may(&served, "watch", namespace).await?;
        Ok(if may_watch { Followed::Watched } else { Followed::Listed })
    }

    async fn may(&self, served: &Served, verb: &str, namespace: Option<&str>) -> Result<bool, CallError> {
        let attributes = ResourceAttributes {
            group: Some(served.resource.group.clone()),
            resource: Some(served.resource.plural.clone()),
            verb: Some(verb.to_owned()),
            namespace: namespace.map(str::to_owned),
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

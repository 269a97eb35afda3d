//! Lists of objects: of one kind in one place, and of whatever carries a label.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::Status;
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use crate::call::CallError;
use crate::cluster::{AT_ONCE, Cluster};
use crate::kinds::Served;
use crate::objects::{ObjectKey, typed};

/// How often a list is begun anew that the API server forgot between two pages.
const LISTED_ANEW_MAX: usize = 3;

/// How current a list has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As everything is. Older API servers read every object of the kind from their storage for it, whatever is chosen.
    Now,
    /// As the API server asked last heard, which is what its watches tell: for what is looked at again when it changes.
    Lately,
}

impl Freshness {
    /// A list that is as current.
    pub(crate) fn list(self) -> ListParams {
        match self {
            Self::Now => ListParams::default(),
            Self::Lately => ListParams::default().match_any(),
        }
    }
}

/// Objects of one kind in one namespace.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// By name.
    pub objects: BTreeMap<String, Value>,
    /// Whether there are no others.
    pub all: bool,
}

/// Objects of all kinds that carry a label.
#[derive(Clone, Default)]
pub struct Labelled {
    /// Each once, though several APIs may serve it. Controllers copy labels to what they make (a Service's
    /// to its Endpoints): who wrote an object stands in its `managedFields` and `ownerReferences`.
    pub objects: Vec<Value>,
    /// What could not be listed, so that objects may be missing: `apps/v1 Deployment`, or an API that does
    /// not answer, `metrics.k8s.io/v1beta1`.
    pub unreadable: Vec<String>,
}

/// All objects of one kind, or why not.
type OfKind<'a> = BoxFuture<'a, Result<Vec<Value>, CallError>>;

impl Cluster {
    /// Up to `limit` objects of the kind and in the namespace that `like` names, by name; not all of them if
    /// there are more. Empty if the kind is not served.
    pub async fn list(&self, like: &ObjectKey, limit: u32) -> Result<Listed, CallError> {
        let Some(served) = self.served(&like.api_version, &like.kind).await? else {
            return Ok(Listed { objects: BTreeMap::new(), all: true });
        };
        let api = self.api_of(&served, Some(&like.namespace));
        let found = self.ask(api.list(&ListParams::default().limit(limit))).await?;
        let all = found.metadata.continue_.as_deref().unwrap_or_default().is_empty();
        let objects = found.items.into_iter();
        let objects = objects.map(|object| (object.name_any(), typed(object, &served.resource)));
        Ok(Listed { objects: objects.collect(), all })
    }

    /// Objects of these kinds (`apiVersion`, `kind`) that a label selector chooses: in `namespace`, or
    /// anywhere; kinds without namespaces are looked at whole. A kind that is not served has none.
    ///
    /// # Errors
    ///
    /// Some kind could not be listed, or there are more objects than
    /// [`max_listed_objects`](crate::ClusterOptions::max_listed_objects).
    pub async fn labelled(
        &self,
        selector: &str,
        kinds: &BTreeSet<(String, String)>,
        namespace: Option<&str>,
        freshness: Freshness,
    ) -> Result<Vec<Value>, CallError> {
        let mut known = self.kinds().await?;
        let is_known =
            |(api_version, kind): &(String, String)| matches!(known.find(api_version, kind), Ok(Some(_)));
        if !kinds.iter().all(is_known) {
            known = self.kinds_anew().await?;
        }
        let mut lists: Vec<OfKind<'_>> = Vec::with_capacity(kinds.len());
        for (api_version, kind) in kinds {
            if let Some(served) = known.find(api_version, kind)? {
                lists.push(Box::pin(self.of_kind(served, freshness.list().labels(selector), namespace)));
            }
        }
        let lists: Vec<_> = stream::iter(lists).buffered(AT_ONCE).collect().await;
        let mut found = Vec::new();
        for list in lists {
            match list {
                Ok(objects) => found.extend(objects),
                // It went since the list of kinds was made.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        self.bounded(found.len())?;
        Ok(found)
    }

    /// Objects of all kinds that can be listed and deleted, wherever they are, that a label selector
    /// chooses. This costs a request a kind: it is for what knows nothing else any more.
    ///
    /// # Errors
    ///
    /// The API server is away, or there are more objects than
    /// [`max_listed_objects`](crate::ClusterOptions::max_listed_objects). That some kinds cannot be read is
    /// no error.
    pub async fn labelled_everywhere(&self, selector: &str) -> Result<Labelled, CallError> {
        let kinds = self.kinds_now().await?;
        let gathered = kinds.gathered();
        let mut lists: Vec<OfKind<'_>> = Vec::with_capacity(gathered.len());
        for served in &gathered {
            lists.push(Box::pin(self.of_kind(served, ListParams::default().labels(selector), None)));
        }
        let lists: Vec<_> = stream::iter(lists).buffered(AT_ONCE).collect().await;
        let mut labelled = Labelled { objects: Vec::new(), unreadable: kinds.silent().cloned().collect() };
        let mut uids = BTreeSet::new();
        for (served, list) in gathered.into_iter().zip(lists) {
            match list {
                Ok(objects) => {
                    labelled.objects.extend(objects.into_iter().filter(|object| is_new(&mut uids, object)));
                }
                Err(CallError::Refused(status)) if [403, 404, 405].contains(&status.code) => {
                    let ApiResource { api_version, kind, .. } = &served.resource;
                    labelled.unreadable.push(format!("{api_version} {kind}"));
                }
                Err(error) => return Err(error),
            }
        }
        self.bounded(labelled.objects.len())?;
        Ok(labelled)
    }

    async fn of_kind(
        &self,
        served: &Served,
        chosen: ListParams,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, CallError> {
        let api = self.api_of(served, namespace);
        self.every(&api, &served.resource, &chosen).await
    }

    /// All objects that `chosen` chooses, page by page.
    pub(crate) async fn every(
        &self,
        api: &Api<DynamicObject>,
        resource: &ApiResource,
        chosen: &ListParams,
    ) -> Result<Vec<Value>, CallError> {
        let take = |object: DynamicObject| typed(object, resource);
        self.every_as(api, resource, chosen, &take).await
    }

    /// What `take` makes of each of these objects; of the objects themselves one page at most is kept.
    pub(crate) async fn every_as<T: Send>(
        &self,
        api: &Api<DynamicObject>,
        resource: &ApiResource,
        chosen: &ListParams,
        take: &(dyn Fn(DynamicObject) -> T + Send + Sync),
    ) -> Result<Vec<T>, CallError> {
        for _ in 0..LISTED_ANEW_MAX {
            match self.pages(api, chosen, take).await {
                // All pages are of one moment, which the API server forgets after some minutes.
                Err(error) if error.has_code(410) => {}
                listed => return listed,
            }
        }
        let kind = &resource.kind;
        Err(CallError::Away(format!("its list of {kind} expires before the last page")))
    }

    async fn pages<T: Send>(
        &self,
        api: &Api<DynamicObject>,
        chosen: &ListParams,
        take: &(dyn Fn(DynamicObject) -> T + Send + Sync),
    ) -> Result<Vec<T>, CallError> {
        let mut found = Vec::new();
        // What the API server has at hand it gives whole: with a limit it reads from its storage.
        let is_at_hand = chosen.resource_version.is_some();
        let limit = (!is_at_hand).then_some(self.options.page_objects);
        let mut wanted = ListParams { limit, ..chosen.clone() };
        loop {
            let page = self.ask(api.list(&wanted)).await?;
            found.extend(page.items.into_iter().map(take));
            self.bounded(found.len())?;
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => wanted = wanted.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    fn bounded(&self, found: usize) -> Result<(), CallError> {
        let max = self.options.max_listed_objects;
        if found <= max {
            return Ok(());
        }
        let message = format!("more than {max} objects (max_listed_objects): narrow the selector");
        let status = Status::failure(&message, "RequestEntityTooLarge").with_code(413);
        Err(CallError::Refused(status.boxed()))
    }
}

/// Whether no other API has served the object yet.
fn is_new(uids: &mut BTreeSet<String>, object: &Value) -> bool {
    object["metadata"]["uid"].as_str().is_none_or(|uid| uids.insert(uid.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_two_apis_serve_counts_once() {
        let mut uids = BTreeSet::new();
        let mut is_new = |uid: &str| is_new(&mut uids, &json!({"metadata": {"uid": uid}}));
        assert!(is_new("a") && is_new("b") && !is_new("a"));
    }
}

//! The kinds that a cluster serves.
//!
//! An API that another server answers for (metrics, say) may be silent for hours. What it serves is then
//! unknown, which is not the same as not served: nobody may take its objects for gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResource, APIResourceList};
use kube::api::ApiResource;

use crate::call::CallError;
use crate::cluster::{AT_ONCE, Cluster};

/// Events tell of objects and are none that anybody applies; a cluster has many of them.
const EVENT: &str = "Event";
/// Older servers serve its kinds a second time, under the groups they went to.
const OLD_GROUP: &str = "extensions";

/// Group and kind of what defines kinds.
const DEFINING: [(&str, &str); 2] =
    [("apiextensions.k8s.io", "CustomResourceDefinition"), ("apiregistration.k8s.io", "APIService")];

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scoped {
    /// Each in a namespace.
    Namespaced,
    /// In the cluster itself.
    Cluster,
}

/// A kind that a cluster serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) resource: ApiResource,
    pub(crate) scoped: Scoped,
    /// Whether this version of the kind is the one to look for its objects in.
    is_gathered: bool,
}

/// The kinds of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    /// By `apiVersion/kind`.
    served: BTreeMap<String, Served>,
    /// Why an API, by its `apiVersion`, did not tell its kinds.
    silent: BTreeMap<String, String>,
    /// Group and kind of those that have their version to look in.
    gathered: BTreeSet<(String, String)>,
}

/// An `apiVersion`, and what was answered when its kinds were asked for.
type Told = (String, Result<APIResourceList, CallError>);

/// The last look at the kinds.
pub(crate) struct Look {
    at: Instant,
    found: Result<Arc<Kinds>, CallError>,
}

fn word(api_version: &str, kind: &str) -> String {
    format!("{api_version}/{kind}")
}

impl Kinds {
    /// `None` if the kind is not served.
    pub(crate) fn find(&self, api_version: &str, kind: &str) -> Result<Option<&Served>, CallError> {
        let served = self.served.get(&word(api_version, kind));
        match self.silent.get(api_version) {
            Some(why) if served.is_none() => Err(silence(api_version, why)),
            _ => Ok(served),
        }
    }

    /// Where the objects of a kind are, in whatever version the cluster serves it: an object is the same in all
    /// versions of its API. `None` if no version of its group has it.
    fn find_any(&self, api_version: &str, kind: &str) -> Result<Option<&Served>, CallError> {
        let exact = self.find(api_version, kind);
        if let Ok(Some(_)) = exact {
            return exact;
        }
        let group = group_of(api_version);
        let versions = self
            .served
            .values()
            .filter(|served| served.resource.group == group && served.resource.kind == kind);
        if let Some(served) = versions.max_by_key(|served| served.is_gathered) {
            return Ok(Some(served));
        }
        match self.silent.iter().find(|(silent, _)| group_of(silent) == group) {
            Some((silent, why)) => Err(silence(silent, why)),
            None => exact,
        }
    }

    /// `apiVersion/kind` of all.
    pub(crate) fn words(&self) -> impl Iterator<Item = (&String, Scoped)> {
        self.served.iter().map(|(word, served)| (word, served.scoped))
    }

    /// Each kind once whose objects can be listed and deleted, in the version that the cluster prefers.
    pub(crate) fn gathered(&self) -> Vec<&Served> {
        let all = || self.served.values().filter(|served| served.is_gathered);
        let is_old = |served: &&Served| served.resource.group == OLD_GROUP;
        all().filter(|served| !is_old(served)).chain(all().filter(is_old)).collect()
    }

    /// The APIs that did not tell their kinds.
    pub(crate) fn silent(&self) -> impl Iterator<Item = &String> {
        self.silent.keys()
    }

    /// Fails if some API did not tell its kinds.
    pub(crate) fn all_told(&self) -> Result<(), CallError> {
        match self.silent.first_key_value() {
            Some((api_version, why)) => Err(silence(api_version, why)),
            None => Ok(()),
        }
    }

    /// Takes in what one API says. Versions of a group come in the order of preference.
    fn take(&mut self, api_version: &str, said: Result<APIResourceList, CallError>) {
        match said {
            Ok(list) => {
                // A name with a slash is a part of another's.
                for resource in list.resources.iter().filter(|resource| !resource.name.contains('/')) {
                    self.add(api_version, resource);
                }
            }
            // It went between two requests.
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                self.silent.insert(api_version.to_owned(), error.says());
            }
        }
    }

    fn add(&mut self, api_version: &str, resource: &APIResource) {
        let group = group_of(api_version);
        let version = api_version.rsplit('/').next().unwrap_or(api_version);
        let can = |verb: &str| resource.verbs.iter().any(|can| can == verb);
        let is_gathered = can("list") && can("delete") && resource.kind != EVENT;
        let is_gathered = is_gathered && self.gathered.insert((group.to_owned(), resource.kind.clone()));
        let served = Served {
            resource: ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.to_owned(),
                kind: resource.kind.clone(),
                plural: resource.name.clone(),
            },
            scoped: if resource.namespaced { Scoped::Namespaced } else { Scoped::Cluster },
            is_gathered,
        };
        self.served.insert(word(api_version, &resource.kind), served);
    }
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

fn silence(api_version: &str, why: &str) -> CallError {
    CallError::Away(format!("the API {api_version} does not answer: {why}"))
}

/// The versions of a group as `apiVersion`, the preferred one first.
fn versions(group: APIGroup) -> Vec<String> {
    let preferred = group.preferred_version.map(|version| version.group_version);
    let others = group.versions.into_iter().map(|version| version.group_version);
    let others: Vec<String> = others.filter(|version| Some(version) != preferred.as_ref()).collect();
    preferred.into_iter().chain(others).collect()
}

impl Cluster {
    /// `None` if the cluster does not serve the kind.
    pub(crate) async fn served(&self, api_version: &str, kind: &str) -> Result<Option<Served>, CallError> {
        let kinds = self.kinds().await?;
        if let Ok(Some(served)) = kinds.find(api_version, kind) {
            return Ok(Some(served.clone()));
        }
        Ok(self.kinds_anew().await?.find(api_version, kind)?.cloned())
    }

    /// Where the objects of a kind are, be it in another version of its API; `None` if the cluster serves none.
    pub(crate) async fn served_any(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Served>, CallError> {
        let kinds = self.kinds().await?;
        if let Ok(Some(served)) = kinds.find(api_version, kind) {
            return Ok(Some(served.clone()));
        }
        Ok(self.kinds_anew().await?.find_any(api_version, kind)?.cloned())
    }

    /// The kinds as they were a while ago.
    pub(crate) async fn kinds(&self) -> Result<Arc<Kinds>, CallError> {
        let keep = Duration::from_secs(self.options.kinds_keep_s);
        self.kinds_since(Instant::now().checked_sub(keep)).await
    }

    /// The kinds as they were a moment ago, for what is not among those of a while ago: whoever waits for a
    /// kind asks again and again. What was defined since counts.
    pub(crate) async fn kinds_anew(&self) -> Result<Arc<Kinds>, CallError> {
        let keep = Duration::from_millis(self.options.absent_keep_ms);
        let defined = *self.defined.lock().unwrap_or_else(PoisonError::into_inner);
        self.kinds_since(Instant::now().checked_sub(keep).max(defined)).await
    }

    /// Something was applied: the kinds that it defines are asked for anew.
    pub(crate) fn note_defined(&self, api_version: &str, kind: &str) {
        if DEFINING.contains(&(group_of(api_version), kind)) {
            self.doubt_absent();
        }
    }

    /// That a kind is not served is asked for anew from now on: for a person, who may just have defined it.
    pub fn doubt_absent(&self) {
        *self.defined.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The kinds as they were when they were last looked at, whenever that was.
    pub(crate) async fn kinds_ever(&self) -> Result<Arc<Kinds>, CallError> {
        self.kinds_since(None).await
    }

    /// The kinds as they are.
    pub(crate) async fn kinds_now(&self) -> Result<Arc<Kinds>, CallError> {
        self.kinds_since(Some(Instant::now())).await
    }

    /// The kinds as they were at `since` or later. Many who ask at once share one look.
    async fn kinds_since(&self, since: Option<Instant>) -> Result<Arc<Kinds>, CallError> {
        let asked = Instant::now();
        let mut last = self.kinds.lock().await;
        match &*last {
            Some(Look { at, found: Ok(kinds) }) if since.is_none_or(|since| *at >= since) => {
                return Ok(Arc::clone(kinds));
            }
            Some(Look { at, found: Err(error) }) if *at >= asked => return Err(error.clone()),
            _ => {}
        }
        let at = Instant::now();
        let found = self.look_at_kinds().await.map(Arc::new);
        *last = Some(Look { at, found: found.clone() });
        found
    }

    async fn look_at_kinds(&self) -> Result<Kinds, CallError> {
        let core = self.ask(self.client.list_core_api_versions()).await?;
        let groups = self.ask(self.client.list_api_groups()).await?;
        let all = core.versions.into_iter().chain(groups.groups.into_iter().flat_map(versions));
        let mut asked: Vec<BoxFuture<'_, Told>> = Vec::new();
        for api_version in all {
            asked.push(Box::pin(self.resources(api_version)));
        }
        let told: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut kinds = Kinds::default();
        for (api_version, said) in told {
            kinds.take(&api_version, said);
        }
        Ok(kinds)
    }

    async fn resources(&self, api_version: String) -> Told {
        let said = if api_version.contains('/') {
            self.ask(self.client.list_api_group_resources(&api_version)).await
        } else {
            self.ask(self.client.list_core_api_resources(&api_version)).await
        };
        (api_version, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(resources: &[(&str, &str, &[&str])]) -> APIResourceList {
        let resources = resources.iter().map(|(name, kind, verbs)| APIResource {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            namespaced: *kind != "Node",
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            ..APIResource::default()
        });
        APIResourceList { resources: resources.collect(), ..APIResourceList::default() }
    }

    const ALL: &[&str] = &["get", "list", "delete"];

    fn gathered(kinds: &Kinds) -> Vec<String> {
        let gathered = kinds.gathered().into_iter();
        gathered.map(|served| word(&served.resource.api_version, &served.resource.kind)).collect()
    }

    #[test]
    fn a_kind_is_looked_for_in_the_first_version_that_has_it() {
        let mut kinds = Kinds::default();
        kinds.take("batch/v1", Ok(list(&[("jobs", "Job", ALL), ("jobs/status", "Job", ALL)])));
        kinds.take("batch/v1beta1", Ok(list(&[("cronjobs", "CronJob", ALL), ("jobs", "Job", ALL)])));
        assert_eq!(gathered(&kinds), ["batch/v1/Job", "batch/v1beta1/CronJob"]);
        assert!(kinds.find("batch/v1beta1", "Job").expect("told").is_some(), "served, though not looked in");
    }

    #[test]
    fn what_cannot_be_listed_and_deleted_is_not_looked_for() {
        let mut kinds = Kinds::default();
        let resources: &[(&str, &str, &[&str])] = &[
            ("bindings", "Binding", &["create"]),
            ("componentstatuses", "ComponentStatus", &["get", "list"]),
            ("events", "Event", ALL),
            ("nodes", "Node", ALL),
        ];
        kinds.take("v1", Ok(list(resources)));
        assert_eq!(gathered(&kinds), ["v1/Node"]);
        let scopes: Vec<Scoped> = kinds.words().map(|(_, scoped)| scoped).collect();
        assert_eq!(scopes.iter().filter(|scoped| **scoped == Scoped::Cluster).count(), 1);
    }

    #[test]
    fn the_group_that_kinds_left_comes_last() {
        let mut kinds = Kinds::default();
        kinds.take("extensions/v1beta1", Ok(list(&[("ingresses", "Ingress", ALL)])));
        kinds.take("networking.k8s.io/v1", Ok(list(&[("ingresses", "Ingress", ALL)])));
        assert_eq!(gathered(&kinds), ["networking.k8s.io/v1/Ingress", "extensions/v1beta1/Ingress"]);
    }

    #[test]
    fn a_kind_of_a_silent_api_is_unknown_and_not_unserved() {
        let mut kinds = Kinds::default();
        kinds.take("v1", Ok(list(&[("pods", "Pod", ALL)])));
        kinds.take("metrics.k8s.io/v1beta1", Err(CallError::Away("503 unavailable".to_owned())));
        let unknown = kinds.find("metrics.k8s.io/v1beta1", "PodMetrics").expect_err("unknown");
        assert!(unknown.to_string().contains("503 unavailable"), "{unknown}");
        assert!(kinds.find("v1", "Foo").expect("told").is_none());
        assert!(kinds.find("v1", "Pod").expect("told").is_some());
        assert!(kinds.all_told().is_err());
    }

    #[test]
    fn an_object_is_looked_for_in_another_version_once_its_own_is_not_served() {
        let mut kinds = Kinds::default();
        kinds.take("policy/v1", Ok(list(&[("poddisruptionbudgets", "PodDisruptionBudget", ALL)])));
        kinds.take("policy/v2alpha1", Ok(list(&[("poddisruptionbudgets", "PodDisruptionBudget", ALL)])));
        kinds.take("batch/v1", Ok(list(&[("jobs", "Job", ALL)])));
        let version = |asked: &str, kind: &str| {
            let found = kinds.find_any(asked, kind).expect("told");
            found.map(|served| served.resource.api_version.clone())
        };
        let budget = "PodDisruptionBudget";
        assert_eq!(version("policy/v1beta1", budget).as_deref(), Some("policy/v1"), "the preferred one");
        assert_eq!(
            version("policy/v2alpha1", budget).as_deref(),
            Some("policy/v2alpha1"),
            "its own is served"
        );
        assert_eq!(version("policy/v1beta1", "Job"), None, "another group");
        assert_eq!(version("v1", "Job"), None);
        assert!(kinds.find("policy/v1beta1", budget).expect("told").is_none(), "nothing is applied there");
    }

    #[test]
    fn while_a_version_of_its_group_is_silent_nothing_counts_as_gone() {
        let mut kinds = Kinds::default();
        kinds.take("example.com/v1", Ok(list(&[("others", "Other", ALL)])));
        kinds.take("example.com/v2", Err(CallError::Away("503 unavailable".to_owned())));
        let unknown = kinds.find_any("example.com/v1", "Widget").expect_err("unknown");
        assert!(unknown.to_string().contains("example.com/v2"), "{unknown}");
        assert!(
            kinds.find_any("example.com/v2", "Other").expect("told").is_some(),
            "the first version has it"
        );
        assert!(kinds.find_any("example.org/v1", "Widget").expect("told").is_none());
    }

    #[test]
    fn the_preferred_version_of_a_group_comes_first() {
        let group = serde_json::json!({
            "name": "autoscaling",
            "preferredVersion": {"groupVersion": "autoscaling/v1", "version": "v1"},
            "versions": [
                {"groupVersion": "autoscaling/v2", "version": "v2"},
                {"groupVersion": "autoscaling/v1", "version": "v1"},
            ],
        });
        let group: APIGroup = serde_json::from_value(group).expect("a group");
        assert_eq!(versions(group), ["autoscaling/v1", "autoscaling/v2"]);
    }
}

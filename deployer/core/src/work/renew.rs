//! Making pods anew that run with what a Secret held before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use slipway_handoff::{Object, ObjectRef};
use slipway_kubernetes::{Applied, Cluster};

use super::apply::{TRIES_MAX, told};
use super::{Note, Work, key_of};
use crate::hitch::Hitch;
use crate::inventory::{Live, PODS_MANAGER, belongs_to};
use crate::pod_secrets::{HELD, MadeWith, PodSecrets, Read, read_by};

/// Where a workload has the annotations of its pods.
const ANNOTATIONS: &str = "/spec/template/metadata/annotations";

/// A workload whose pods read Secrets of the revision, before it is applied.
pub(super) struct Reader {
    object: ObjectRef,
    /// The Secrets, with the manifests that have no values.
    secrets: Vec<(Object, Value)>,
    /// Whether it is there: else its pods are made with what the Secrets hold now.
    was_there: bool,
}

impl Work {
    /// `None`: it is no workload, or its pods read no Secret that this application alone writes.
    pub(super) async fn reader(
        &self,
        cluster: &Cluster,
        object: &Object,
        manifest: &Value,
    ) -> Result<Option<Reader>, Hitch> {
        let read = read_by(&object.object, manifest);
        if object.shared || read.is_empty() {
            return Ok(None);
        }
        let secrets = self.secrets_of(&object.object, &read);
        if secrets.is_empty() {
            return Ok(None);
        }
        let was_there = cluster.get(&key_of(&object.object)).await?.is_some();
        Ok(Some(Reader { object: object.object.clone(), secrets, was_there }))
    }

    /// The Secrets of the revision that pods of a workload read.
    fn secrets_of(&self, workload: &ObjectRef, read: &BTreeSet<Read<'_>>) -> Vec<(Object, Value)> {
        let objects = self.submission.document.graph.objects().map(|(_, object)| object);
        let is_read = |object: &&Object| {
            let ObjectRef { namespace, name, .. } = &object.object;
            let is_own = object.object.is_secret() && !object.shared;
            is_own && *namespace == workload.namespace && read.iter().any(|read| read.is_of(name))
        };
        objects.filter(is_read).filter_map(|secret| Some((secret.clone(), self.manifest(secret)?))).collect()
    }

    /// Has the pods of a workload that was just applied made anew, if they were made with other values than those that
    /// its Secrets hold; and notes with which they are made. What the cluster has counts: that is what pods get.
    pub(super) async fn renew(
        &self,
        cluster: &Cluster,
        reader: &Reader,
        manifest: &Value,
        before: &PodSecrets,
        notes: &mut Vec<Note>,
    ) -> Result<(), Hitch> {
        let read = read_by(&reader.object, manifest);
        let mut held = BTreeMap::new();
        for (secret, manifest) in &reader.secrets {
            let Some(live) = cluster.get(&key_of(&secret.object)).await? else { continue };
            let name = &secret.object.name;
            let digests = self.held(secret, manifest, &live).into_iter();
            let taken = digests.filter(|(key, _)| read.iter().any(|read| read.takes(name, key)));
            held.extend(taken.map(|(key, digest)| ((name.clone(), key), digest)));
        }
        let now = self.made_with(&reader.object, &held);
        let is_behind = before.of(&reader.object).is_some_and(|before| before.is_behind(&now));
        if is_behind && reader.was_there {
            self.make_pods_anew(cluster, &reader.object, &now).await?;
        }
        notes.push(Note::Made(now));
        Ok(())
    }

    /// Changes the pod template of a workload by one annotation, as a writer of its own: the manifests do not have it,
    /// so the next apply leaves it. Twice changes nothing.
    async fn make_pods_anew(
        &self,
        cluster: &Cluster,
        object: &ObjectRef,
        made: &MadeWith,
    ) -> Result<(), Hitch> {
        let key = key_of(object);
        for _ in 0..TRIES_MAX {
            self.goes_on()?;
            // Gone meanwhile: whoever makes it anew makes its pods anew.
            let Some(found) = cluster.get(&key).await? else { return Ok(()) };
            let live = Live::of(&found).map_err(|error| Hitch::Passing(format!("{object}: {error}")))?;
            if let Some(terminating) = live.terminating() {
                return Err(Hitch::Passing(format!("{object} {terminating}")));
            }
            if !belongs_to(&live, &self.submission.key) || self.marks.newer_on(&live).is_some() {
                return Err(Hitch::Passing(format!("{object} is not this generation's any more")));
            }
            if says(&found, made) {
                return Ok(());
            }
            let body = annotated(object, live.resource_version(), made);
            let applied = cluster.apply_at(&key, &body, PODS_MANAGER, true).await;
            match applied.map_err(|error| told(object, Hitch::from(error)))? {
                Applied::Done(_) => {
                    tracing::info!(%object, "its pods are made anew: a Secret that they read holds another value");
                    return Ok(());
                }
                Applied::Outrun => {}
                Applied::NotServed => {
                    return Err(Hitch::Passing(format!("the cluster does not serve {object} any more")));
                }
            }
        }
        Err(Hitch::Passing(format!("{object} is changed by others faster than it can be written")))
    }
}

/// Whether the pod template of a workload says that already.
fn says(workload: &Value, made: &MadeWith) -> bool {
    let annotations = workload.pointer(ANNOTATIONS);
    annotations.and_then(|annotations| annotations.get(HELD)).and_then(Value::as_str) == Some(made.digest())
}

/// The whole of what [`PODS_MANAGER`] says of a workload, at the version that was read.
fn annotated(object: &ObjectRef, resource_version: &str, made: &MadeWith) -> Value {
    let ObjectRef { api_version, kind, namespace, name } = object;
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": resource_version},
        "spec": {"template": {"metadata": {"annotations": {HELD: made.digest()}}}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_one_annotation_of_pods_and_is_seen_there() {
        let object = ObjectRef {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        };
        let made = |word: &str| {
            let held = BTreeMap::from([(("db".to_owned(), "password".to_owned()), word.to_owned())]);
            MadeWith::new(&object, &held, &|place: &[&str], value: &[u8]| {
                format!("{}{}", place.len(), value.len())
            })
        };
        let (one, other) = (made("1"), made("22"));
        let body = annotated(&object, "5", &one);
        assert_eq!(body["spec"], json!({"template": {"metadata": {"annotations": {HELD: one.digest()}}}}));
        assert_eq!(body["metadata"]["resourceVersion"], "5");
        assert!(says(&body, &one) && !says(&body, &other) && !says(&json!({}), &one));
    }
}

//! Making pods anew that run with what a Secret held before.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use slipway_handoff::{Object, ObjectRef};
use slipway_kubernetes::{Applied, Cluster};

use super::apply::{TRIES_MAX, told};
use super::look::{Found, see};
use super::{Note, Prepared, Work, key_of};
use crate::hitch::Hitch;
use crate::inventory::{Live, PODS_MANAGER, belongs_to};
use crate::pod_secrets::{HELD, MadeWith, PodSecrets, Read, read_by};

/// Where a workload has the annotations of its pods.
const ANNOTATIONS: &str = "/spec/template/metadata/annotations";

/// A workload whose pods read Secrets of the revision.
struct Reader<'a> {
    object: &'a ObjectRef,
    read: BTreeSet<Read<'a>>,
    /// The Secrets, with the manifests that have no values.
    secrets: Vec<(&'a Object, Value)>,
}

/// With what the pods of a node's workloads may have been made, before anything of it is written.
pub(super) struct MadeBefore {
    kept: Arc<PodSecrets>,
    /// What their Secrets held that were there. What is kept may be older: what came of a turn that ends because its row
    /// was changed, or because its server dies, is not kept.
    there: PodSecrets,
}

impl MadeBefore {
    fn of<'a>(&'a self, workload: &'a ObjectRef) -> impl Iterator<Item = &'a MadeWith> {
        [&*self.kept, &self.there].into_iter().filter_map(move |known| known.of(workload))
    }
}

impl Work {
    /// With what the pods of a node's workloads may have been made, before anything of it is written. Where nothing is
    /// kept of one, or under another master key, what its Secrets hold is noted. `found`: Secrets that were read.
    pub(super) async fn made_before(
        &self,
        cluster: &Cluster,
        prepared: &Prepared,
        found: &mut Found,
        notes: &mut Vec<Note>,
    ) -> Result<MadeBefore, Hitch> {
        let kept = Arc::clone(&prepared.pods);
        let mut there = PodSecrets::default();
        for (object, manifest) in &prepared.objects {
            self.goes_on()?;
            let Some(reader) = self.reader(object, manifest) else { continue };
            let made = self.made_now(cluster, &reader, found).await?;
            if kept.of(reader.object).is_none_or(|known| !known.tells(&self.digests())) {
                notes.push(Note::Made(made.clone()));
            }
            there.made(made);
        }
        Ok(MadeBefore { kept, there })
    }

    /// Has the pods of a workload that was just applied made anew, if they may have been made with another value than
    /// their Secrets hold; and notes with which they are made. What the cluster has counts: that is what pods get.
    /// `was_there`: else its pods are new. `found`: Secrets that were read, none of which was written since.
    pub(super) async fn renew(
        &self,
        cluster: &Cluster,
        (object, manifest): (&Object, &Value),
        was_there: bool,
        before: &MadeBefore,
        found: &mut Found,
        notes: &mut Vec<Note>,
    ) -> Result<(), Hitch> {
        let Some(reader) = self.reader(object, manifest) else { return Ok(()) };
        let mut now = self.made_now(cluster, &reader, found).await?;
        if was_there {
            if before.of(reader.object).any(|known| known.is_behind(&now)) {
                let stamp = now.stamp(&self.digests());
                self.make_pods_anew(cluster, reader.object, &stamp).await?;
            }
            for known in before.of(reader.object) {
                now.remember(known);
            }
        }
        notes.push(Note::Made(now));
        Ok(())
    }

    /// Whether a workload is there whose pods read Secrets of the revision.
    pub(super) async fn is_there_and_reads(
        &self,
        cluster: &Cluster,
        object: &Object,
        manifest: &Value,
    ) -> Result<bool, Hitch> {
        let reads = self.reader(object, manifest).is_some();
        Ok(reads && cluster.get(&key_of(&object.object)).await?.is_some())
    }

    /// `None`: it is no workload, or its pods read no Secret that this application alone writes.
    fn reader<'a>(&'a self, object: &'a Object, manifest: &'a Value) -> Option<Reader<'a>> {
        let read = read_by(&object.object, manifest);
        if object.shared || read.is_empty() {
            return None;
        }
        let all = self.submission.document.graph.objects().map(|(_, object)| object);
        let secrets = all.filter(|secret| {
            let is_own = secret.object.is_secret() && !secret.shared;
            let is_near = secret.object.namespace == object.object.namespace;
            is_own && is_near && read.iter().any(|read| read.is_of(&secret.object.name))
        });
        let secrets: Vec<_> = secrets.filter_map(|secret| Some((secret, self.manifest(secret)?))).collect();
        (!secrets.is_empty()).then_some(Reader { object: &object.object, read, secrets })
    }

    /// With what pods would be made now. A Secret that is not in `found` yet is read.
    async fn made_now(
        &self,
        cluster: &Cluster,
        reader: &Reader<'_>,
        found: &mut Found,
    ) -> Result<MadeWith, Hitch> {
        let mut made = MadeWith::new(reader.object, &self.digests());
        for (secret, manifest) in &reader.secrets {
            self.goes_on()?;
            let Some(live) = see(cluster, found, &secret.object).await? else { continue };
            let held = self.held(secret, manifest, live);
            for read in reader.read.iter().filter(|read| read.is_of(&secret.object.name)) {
                made.read(read, &held, &self.digests());
            }
        }
        Ok(made)
    }

    /// Changes the pod template of a workload by one annotation, as a writer of its own: the manifests do not have it,
    /// so the next apply leaves it. Twice changes nothing.
    async fn make_pods_anew(&self, cluster: &Cluster, object: &ObjectRef, stamp: &str) -> Result<(), Hitch> {
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
            if says(&found, stamp) {
                return Ok(());
            }
            // By apply it would be made, of this alone, if it went meanwhile; merged, that is 404, which passes.
            let patch = annotation(live.resource_version(), stamp);
            self.written.forget(object);
            let merged = cluster.merge_at(&key, &patch, PODS_MANAGER).await;
            match merged.map_err(|error| told(object, Hitch::from(error)))? {
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
fn says(workload: &Value, stamp: &str) -> bool {
    let annotations = workload.pointer(ANNOTATIONS);
    annotations.and_then(|annotations| annotations.get(HELD)).and_then(Value::as_str) == Some(stamp)
}

/// The merge patch by which the pod template of a workload says it, at the version that was read.
fn annotation(resource_version: &str, stamp: &str) -> Value {
    json!({
        "metadata": {"resourceVersion": resource_version},
        "spec": {"template": {"metadata": {"annotations": {HELD: stamp}}}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_one_annotation_of_pods_and_is_seen_there() {
        let patch = annotation("5", "one");
        let expected = json!({
            "metadata": {"resourceVersion": "5"},
            "spec": {"template": {"metadata": {"annotations": {HELD: "one"}}}},
        });
        assert_eq!(patch, expected);
        assert!(says(&patch, "one") && !says(&patch, "other") && !says(&json!({}), "one"));
    }
}

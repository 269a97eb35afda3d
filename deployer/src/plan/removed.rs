//! A revision against the one that its environment runs: what changes between the two, and what the new
//! one no longer has.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::Value;
use slipway_handoff::{Collect, Object, ObjectRef};
use slipway_kubernetes::{CallError, Cluster, ObjectKey};
use slipway_records::{Application, Environment};
use slipway_types::{Address, ApplicationName, Digest, Fault, Version};

use super::Frozen;
use super::against_cluster::{Change, Difference, difference};
use super::objects::Dressing;
use crate::clusters::fault_of;
use crate::receivers::key;
use crate::stage::Stage;

/// How many objects are asked about at once.
const AT_ONCE: usize = 8;

/// What an environment runs.
#[derive(Debug)]
pub struct Running {
    /// The generation that a receiver has.
    pub generation: u64,
    /// Its bundle.
    pub version: Version,
    /// Its revision.
    pub revision: Digest,
    frozen: Frozen,
}

impl Stage {
    /// The newest revision that the environment's receiver has; `None`: it runs nothing of the
    /// application.
    ///
    /// # Errors
    ///
    /// The records fail, or the revision was kept and cannot be read.
    pub async fn running(
        &self,
        application: &Application,
        environment: &Environment,
    ) -> Result<Option<Running>, Fault> {
        let mut read = self.records.read().await.map_err(|error| crate::records_fault(&error))?;
        let newest = read.deployment_out(environment.id, application.id).await;
        drop(read);
        let Some(newest) = newest.map_err(|error| crate::records_fault(&error))? else { return Ok(None) };
        let Some(revision) = newest.revision else { return Ok(None) };
        let frozen = self.kept_revision(&key(&application.name, environment), &revision).await?;
        Ok(Some(Running { generation: newest.generation, version: newest.bundle_version, revision, frozen }))
    }
}

impl Running {
    /// What tells the new revision's objects from those that run, object by object: those that are `written`, and
    /// those that `new` does not have.
    pub fn differences(&self, new: &Frozen, written: &Frozen) -> Vec<Difference> {
        let before: BTreeMap<_, _> = self
            .frozen
            .revision
            .graph
            .objects()
            .map(|(_, object)| (object.object.identity(), object))
            .collect();
        let mut found: Vec<Difference> = written
            .revision
            .graph
            .objects()
            .map(|(_, object)| {
                let old = before.get(&object.object.identity()).and_then(|old| manifest(&self.frozen, old));
                let new = manifest(written, object).unwrap_or_default();
                difference(&key_of(&object.object), old.as_ref(), &new)
            })
            .collect();
        found.extend(self.departed(new).into_iter().map(leaves));
        found
    }

    /// What becomes of objects in the cluster that the new revision no longer has. Those that are not
    /// there any more, or are somebody else's by now, are not told.
    pub async fn removed(
        &self,
        cluster: &Cluster,
        new: &Frozen,
        application: &ApplicationName,
        address: &Address,
    ) -> Result<Vec<Difference>, Fault> {
        let dressing = Dressing { application, address, pull_secret: false };
        let mut found = Vec::new();
        for some in self.departed(new).chunks(AT_ONCE) {
            let looks = some.iter().map(|object| still_ours(cluster, &dressing, object));
            for (object, ours) in some.iter().zip(join_all(looks).await) {
                if ours.map_err(|error| fault_of(address.cluster(), &error))? {
                    found.push(leaves(object));
                }
            }
        }
        Ok(found)
    }

    /// The objects that run and that the new revision does not have, in any version of their API.
    fn departed(&self, new: &Frozen) -> Vec<&Object> {
        let kept: std::collections::BTreeSet<_> =
            new.revision.graph.objects().map(|(_, object)| object.object.identity()).collect();
        let running = self.frozen.revision.graph.objects().map(|(_, object)| object);
        running.filter(|object| !kept.contains(&object.object.identity())).collect()
    }
}

async fn still_ours(cluster: &Cluster, dressing: &Dressing<'_>, object: &Object) -> Result<bool, CallError> {
    let live = cluster.get(&key_of(&object.object)).await?;
    Ok(live.is_some_and(|live| dressing.foreign_owner(&live).is_none()))
}

/// What becomes of an object that is no longer part of the application, as it was frozen.
fn leaves(object: &Object) -> Difference {
    let (change, why) = match (object.collect, object.shared) {
        (Collect::Never, _) => (Change::Keep, Some("is never removed")),
        (Collect::OnDelete, _) => (Change::Keep, Some("stays until the application is removed")),
        (Collect::OnUpdate, true) => (Change::Remove, Some("goes with its last owner")),
        (Collect::OnUpdate, false) => (Change::Remove, None),
    };
    let fields = why.into_iter().map(str::to_owned).collect();
    Difference { object: key_of(&object.object).to_string(), change, fields }
}

fn manifest(frozen: &Frozen, object: &Object) -> Option<Value> {
    serde_json::from_slice(frozen.manifests.get(&object.manifest)?).ok()
}

fn key_of(reference: &ObjectRef) -> ObjectKey {
    ObjectKey {
        api_version: reference.api_version.clone(),
        kind: reference.kind.clone(),
        namespace: reference.namespace.clone().unwrap_or_default(),
        name: reference.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_goes_or_stays_as_it_was_frozen() {
        let reference = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "a".to_owned(),
        };
        let plain = Object::new(reference, Digest::of("a"));
        for (object, change, told) in [
            (plain.clone(), Change::Remove, 0),
            (Object { shared: true, ..plain.clone() }, Change::Remove, 1),
            (Object { collect: Collect::OnDelete, ..plain.clone() }, Change::Keep, 1),
            (Object { collect: Collect::Never, shared: true, ..plain }, Change::Keep, 1),
        ] {
            let left = leaves(&object);
            assert_eq!((left.change, left.fields.len()), (change, told), "{object:?}");
        }
    }
}

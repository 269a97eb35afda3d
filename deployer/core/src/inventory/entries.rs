//! The objects that an inventory holds.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_handoff::{Collect, Graph, ObjectRef};

use super::id::InventoryId;
use super::live::Live;
use super::owners::Owners;

/// One object that may be in the cluster because of this inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which object.
    pub object: ObjectRef,
    /// Its UID as of the last confirmed write; `None`: no write was confirmed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The last generation that had it.
    pub generation: u64,
    /// When it goes.
    #[serde(default)]
    pub collect: Collect,
    /// Whether others may own it too.
    #[serde(default)]
    pub shared: bool,
}

/// All objects that may be in the cluster because of one application in one environment. An object is the same
/// in every version of its API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Inventory(BTreeMap<Identity, Entry>);

/// A list of entries that is no inventory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the inventory holds {0} twice")]
pub struct TwiceHeld(pub ObjectRef);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    group: String,
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl Identity {
    fn of(object: &ObjectRef) -> Self {
        let (group, kind, namespace, name) = object.identity();
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }
}

impl Inventory {
    /// What a generation wants, before anything of it was applied.
    pub fn of(graph: &Graph, generation: u64) -> Self {
        let entries = graph.objects().map(|(_, object)| Entry {
            object: object.object.clone(),
            uid: None,
            generation,
            collect: object.collect,
            shared: object.shared || object.object.is_namespace(),
        });
        Self(entries.map(|entry| (Identity::of(&entry.object), entry)).collect())
    }

    /// What a cluster has of an inventory that was lost: of the objects whose label [`super::INVENTORY`] is set
    /// (to anything: of a shared object it names one owner only), those that Slipway applied for it. Objects to
    /// which controllers copied the label are not among them.
    pub fn rebuilt<'a>(inventory: &InventoryId, objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let entries = objects.into_iter().filter_map(|object| {
            let (live, reference) = (Live::of(object).ok()?, ObjectRef::of(object)?);
            let ours = Owners::of(&live).has(inventory) && live.is_applied_here();
            ours.then(|| Entry {
                object: reference,
                uid: Some(live.uid().to_owned()),
                generation: live.generation().unwrap_or(0),
                collect: live.collect(),
                shared: live.is_shared(),
            })
        });
        Self(entries.map(|entry| (Identity::of(&entry.object), entry)).collect())
    }

    /// What may be in the cluster while `new` is applied: all that is there, and all that comes. To be kept
    /// before the first write. What the new generation says of an object counts from now on.
    #[must_use]
    pub fn union_before_apply(&self, new: &Self) -> Self {
        let mut union = self.0.clone();
        for (identity, entry) in &new.0 {
            let uid = entry.uid.clone().or_else(|| self.0.get(identity)?.uid.clone());
            union.insert(identity.clone(), Entry { uid, ..entry.clone() });
        }
        Self(union)
    }

    /// A write of an object was confirmed, or it was found to be as wanted; `false` if it is not held.
    #[must_use]
    pub fn applied(&mut self, object: &ObjectRef, uid: &str, generation: u64) -> bool {
        match self.0.entry(Identity::of(object)) {
            Slot::Occupied(mut slot) => {
                let entry = slot.get_mut();
                entry.object = object.clone();
                entry.uid = Some(uid.to_owned());
                entry.generation = generation;
                true
            }
            Slot::Vacant(_) => false,
        }
    }

    /// An object is confirmed to be gone, or no longer this inventory's.
    pub fn dropped(&mut self, object: &ObjectRef) -> Option<Entry> {
        self.0.remove(&Identity::of(object))
    }

    /// The entry of an object, in any version of its API.
    pub fn get(&self, object: &ObjectRef) -> Option<&Entry> {
        self.0.get(&Identity::of(object))
    }

    /// Whether it holds an object, in any version of its API.
    pub fn has(&self, object: &ObjectRef) -> bool {
        self.get(object).is_some()
    }

    /// All entries, by group, kind, namespace and name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }

    /// The entries that `wanted` does not have.
    pub fn beyond(&self, wanted: &Self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(|(identity, _)| !wanted.0.contains_key(identity)).map(|(_, entry)| entry)
    }

    /// How many objects it holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<Entry>> for Inventory {
    type Error = TwiceHeld;

    fn try_from(entries: Vec<Entry>) -> Result<Self, TwiceHeld> {
        let mut held = BTreeMap::new();
        for entry in entries {
            match held.entry(Identity::of(&entry.object)) {
                Slot::Vacant(slot) => slot.insert(entry),
                Slot::Occupied(_) => return Err(TwiceHeld(entry.object)),
            };
        }
        Ok(Self(held))
    }
}

impl From<Inventory> for Vec<Entry> {
    fn from(inventory: Inventory) -> Self {
        inventory.0.into_values().collect()
    }
}

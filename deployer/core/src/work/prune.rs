//! Removing what the key owns and no longer wants.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_handoff::{Mode, ObjectRef};
use slipway_kubernetes::{Applied, Cluster, Deleted};
use slipway_records::fault_point;

use super::{Note, Work, key_of};
use crate::hitch::Hitch;
use crate::inventory::{Entry, Fate, Inventory, Kept, Live, OWNERS_MANAGER, Sweep, fate, prune};

/// The most objects that are named as still there.
const NAMED_MAX: usize = 3;
/// How often a removal is sent in one turn while the object changes: a rollout writes its status several times a second.
const REMOVALS_MAX: usize = 5;

impl Work {
    /// Removes what is no longer wanted; done once the cluster says that all of it is gone.
    /// `unwanted`: what the graph has and is not to stay.
    pub(super) async fn prune(
        &self,
        inventory: &Inventory,
        unwanted: &[ObjectRef],
        notes: &mut Vec<Note>,
    ) -> Result<(), Hitch> {
        let document = &self.submission.document;
        let mut wanted = self.stays.as_ref().clone();
        for object in unwanted {
            wanted.dropped(object);
        }
        let found = self.found_first().await?;
        notes.extend(found.clone().map(Note::Found));
        let inventory = &match &found {
            Some(found) => found.union_before_apply(inventory),
            None => inventory.clone(),
        };
        if inventory.beyond(&wanted).next().is_none() {
            return Ok(());
        }
        let cluster = self.cluster().await?;
        let found = read(&cluster, inventory.beyond(&wanted).map(|entry| &entry.object)).await?;
        let mut sights = BTreeMap::new();
        for (object, found) in &found {
            let live = found.as_ref().map(Live::of).transpose();
            sights
                .insert(object.clone(), live.map_err(|error| Hitch::Passing(format!("{object}: {error}")))?);
        }
        let sweep = match self.submission.mode {
            Mode::Delete => Sweep::Removal,
            Mode::Apply | Mode::DryRun => {
                Sweep::Update { wanted: &wanted, allow_empty: document.allow_empty }
            }
        };
        let prunings = prune(inventory, &sweep, &self.marks, &sights);
        let prunings = prunings.map_err(|empty| Hitch::Lasting(empty.to_string()))?;
        let mut left = Vec::new();
        for pruning in prunings {
            self.goes_on()?;
            let entry = inventory.get(&pruning.object);
            let entry = entry.expect("invariant: what is pruned is of this inventory");
            left.extend(self.carry_out_pruning(&cluster, entry, &sweep, pruning.fate, notes).await?);
        }
        still_there(&left)
    }

    /// What is still there of it, in words.
    async fn carry_out_pruning(
        &self,
        cluster: &Cluster,
        entry: &Entry,
        sweep: &Sweep<'_>,
        fate: Fate,
        notes: &mut Vec<Note>,
    ) -> Result<Option<String>, Hitch> {
        let object = entry.object.clone();
        let left = match fate {
            fate if fate.forgets() => {
                notes.push(Note::Dropped(object));
                None
            }
            Fate::Going(terminating) => Some(format!("{object} {terminating}")),
            Fate::Keep(kept @ (Kept::NotLooked | Kept::Newer(_))) => Some(format!("{object} {kept}")),
            Fate::Delete { uid, resource_version } => {
                let left = self.remove(cluster, entry, sweep, &uid, resource_version).await?;
                if left.is_none() {
                    notes.push(Note::Dropped(object));
                }
                left
            }
            Fate::Release(write) => {
                let key = ObjectRef::of(&write.body).map_or_else(|| key_of(&object), |found| key_of(&found));
                match cluster.apply_at(&key, &write.body, write.manager, write.force).await? {
                    Applied::Done(_) => {
                        notes.push(Note::Dropped(object));
                        None
                    }
                    // Its API changed since it was read: it is read again.
                    Applied::Outrun | Applied::NotServed => Some(format!("{object} was changed meanwhile")),
                }
            }
            Fate::Leave(patch) => match cluster.merge_at(&key_of(&object), &patch, OWNERS_MANAGER).await? {
                Applied::Done(_) => {
                    tracing::info!(%object, "stays without an owner, for others may have something in it");
                    notes.push(Note::Dropped(object));
                    None
                }
                Applied::Outrun | Applied::NotServed => Some(format!("{object} was changed meanwhile")),
            },
            _ => None,
        };
        Ok(left)
    }

    /// What is still there of an object that goes, in words. It goes as it was read and not otherwise; where it was
    /// changed since, be it by a status, it is read and judged again.
    async fn remove(
        &self,
        cluster: &Cluster,
        entry: &Entry,
        sweep: &Sweep<'_>,
        uid: &str,
        mut resource_version: String,
    ) -> Result<Option<String>, Hitch> {
        let (object, key) = (&entry.object, key_of(&entry.object));
        for _ in 0..REMOVALS_MAX {
            self.goes_on()?;
            let deleted = cluster.delete_exactly(&key, uid, Some(&resource_version)).await?;
            fault_point::reach("core.pruned");
            if deleted == Deleted::Gone {
                return Ok(None);
            }
            // Most are gone at once; finalizers and grace periods hold the others.
            let Some(found) = cluster.get(&key).await? else { return Ok(None) };
            if deleted == Deleted::Ordered {
                return Ok(Some(format!("{object} is being removed")));
            }
            let live = Live::of(&found).map_err(|error| Hitch::Passing(format!("{object}: {error}")))?;
            match fate(entry, sweep, &self.marks, Some(&Some(live))) {
                Fate::Delete { uid: found, resource_version: newer } if found == uid => {
                    resource_version = newer;
                }
                // The next turn finds out what becomes of it now.
                _ => break,
            }
        }
        Ok(Some(format!("{object} was changed meanwhile")))
    }
}

async fn read(
    cluster: &Cluster,
    objects: impl Iterator<Item = &ObjectRef>,
) -> Result<BTreeMap<ObjectRef, Option<Value>>, Hitch> {
    let mut found = BTreeMap::new();
    for object in objects {
        found.insert(object.clone(), cluster.get(&key_of(object)).await?);
    }
    Ok(found)
}

fn still_there(left: &[String]) -> Result<(), Hitch> {
    if left.is_empty() {
        return Ok(());
    }
    let named = left.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    let more = left.len().saturating_sub(NAMED_MAX);
    Err(Hitch::Passing(if more == 0 { named } else { format!("{named}; and {more} more") }))
}

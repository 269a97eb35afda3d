//! Removing what the key owns and no longer wants.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_handoff::{Mode, ObjectRef};
use slipway_kubernetes::{Applied, Cluster, Deleted};
use slipway_records::fault_point;

use super::{Note, Work, key_of};
use crate::hitch::Hitch;
use crate::inventory::{Fate, Inventory, Kept, Live, OWNERS_MANAGER, Pruning, Sweep, prune};

/// The most objects that are named as still there.
const NAMED_MAX: usize = 3;

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
            left.extend(self.carry_out_pruning(&cluster, pruning, notes).await?);
        }
        still_there(&left)
    }

    /// What is still there of it, in words.
    async fn carry_out_pruning(
        &self,
        cluster: &Cluster,
        pruning: Pruning,
        notes: &mut Vec<Note>,
    ) -> Result<Option<String>, Hitch> {
        let Pruning { object, fate } = pruning;
        let left = match fate {
            fate if fate.forgets() => {
                notes.push(Note::Dropped(object));
                None
            }
            Fate::Going(terminating) => Some(format!("{object} {terminating}")),
            Fate::Keep(kept @ (Kept::NotLooked | Kept::Newer(_))) => Some(format!("{object} {kept}")),
            Fate::Delete { uid, resource_version } => {
                let key = key_of(&object);
                let deleted = cluster.delete_exactly(&key, &uid, resource_version.as_deref()).await?;
                fault_point::reach("core.pruned");
                match deleted {
                    Deleted::Gone => {
                        notes.push(Note::Dropped(object));
                        None
                    }
                    // Most are gone at once; finalizers and grace periods hold the others.
                    Deleted::Ordered if cluster.get(&key).await?.is_none() => {
                        notes.push(Note::Dropped(object));
                        None
                    }
                    Deleted::Ordered => Some(format!("{object} is being removed")),
                    Deleted::Other => Some(format!("{object} was changed meanwhile")),
                }
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

//! What a cluster has of a key whose inventory was lost, or was never kept here, or may lack what a server made that
//! was lost.

use std::collections::BTreeSet;

use serde_json::Value;
use slipway_handoff::{Object, ObjectRef};
use slipway_kubernetes::{CallError, Cluster, Freshness};

use super::Work;
use crate::hitch::Hitch;
use crate::inventory::{INVENTORY, Inventory};

impl Work {
    /// What the cluster has of the key, the first time that it is asked; before the first write, for what is
    /// written then may be of an older generation than what is there.
    pub(super) async fn found_first(&self) -> Result<Option<Inventory>, Hitch> {
        let mut is_listed = self.is_listed.lock().await;
        if *is_listed {
            return Ok(None);
        }
        let found = self.listed().await?;
        *is_listed = true;
        Ok(Some(found))
    }

    /// What the cluster has of the key now.
    pub(crate) async fn listed(&self) -> Result<Inventory, Hitch> {
        let cluster = self.cluster().await?;
        self.list(&cluster).await.map_err(|error| {
            let why = format!("what the cluster has of it already cannot be listed: {}", error.says());
            match error {
                CallError::Away(_) | CallError::Unreachable(_) => Hitch::Away(why),
                CallError::Refused(_) => Hitch::Passing(why),
            }
        })
    }

    async fn list(&self, cluster: &Cluster) -> Result<Inventory, CallError> {
        let inventory = self.marks.inventory();
        let labelled = cluster.labelled_as(INVENTORY, inventory.as_str()).await?;
        if !labelled.unreadable.is_empty() {
            let unreadable = labelled.unreadable.join(", ");
            tracing::warn!(key = %self.submission.key, unreadable, "not known what there is of these kinds");
        }
        let mut objects = labelled.objects;
        if !labelled.unreadable.is_empty() {
            // The right to list may be there in its own namespace alone.
            let selector = format!("{INVENTORY}={inventory}");
            let namespace = self.submission.key.environment.namespace();
            objects.extend(self.of_kinds(cluster, &selector, Some(namespace), |_| true).await);
        }
        // Shared objects carry the label of the owner that leads.
        objects.extend(self.of_kinds(cluster, INVENTORY, None, |object| object.shared).await);
        let found = Inventory::rebuilt(inventory, &objects);
        if !found.is_empty() {
            let (key, objects) = (&self.submission.key, found.len());
            tracing::info!(%key, objects, "what the cluster has is taken into the inventory");
        }
        Ok(found)
    }

    /// What the cluster has of the kinds of some of the revision's objects. What cannot be listed is not found,
    /// and stays.
    async fn of_kinds(
        &self,
        cluster: &Cluster,
        selector: &str,
        namespace: Option<&str>,
        of: impl Fn(&Object) -> bool,
    ) -> Vec<Value> {
        let objects = self.submission.document.graph.objects();
        let kinds: BTreeSet<(String, String)> =
            objects.filter(|(_, object)| of(object)).map(|(_, object)| kind_of(&object.object)).collect();
        let mut found = Vec::new();
        for kind in kinds {
            match cluster.labelled(selector, &BTreeSet::from([kind.clone()]), namespace, Freshness::Now).await
            {
                Ok(objects) => found.extend(objects),
                Err(error) => {
                    let (key, kind) = (&self.submission.key, kind.1);
                    tracing::warn!(%key, kind, %error, "not known what there is of a kind");
                }
            }
        }
        found
    }
}

fn kind_of(object: &ObjectRef) -> (String, String) {
    (object.api_version.clone(), object.kind.clone())
}

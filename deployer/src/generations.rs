//! Which generations a cluster has seen of an application of which the built-in core keeps nothing: its row was
//! lost, or another server had it.

use std::collections::BTreeSet;

use slipway_core::inventory::{INVENTORY, InventoryId, Live};
use slipway_kubernetes::{CallError, Freshness};
use slipway_records::Environment;
use slipway_types::environment::ReceiverSettings;
use slipway_types::{ApplicationName, Fault};

use crate::clusters::fault_of;
use crate::plan::Frozen;
use crate::receivers::key;
use crate::stage::Stage;

impl Stage {
    /// The highest generation that the application's objects of a revision's kinds carry, where the core keeps
    /// nothing of it: what is new has to come after that. `None`: none, or the core knows.
    pub(crate) async fn generation_there(
        &self,
        application: &ApplicationName,
        environment: &Environment,
        frozen: &Frozen,
    ) -> Result<Option<u64>, Fault> {
        if !matches!(environment.settings.receiver, ReceiverSettings::Core {}) {
            return Ok(None);
        }
        let mut read = self.records.read().await.map_err(|error| crate::records_fault(&error))?;
        let kept = read.reconcile_get(&environment.address, application).await;
        drop(read);
        if kept.map_err(|error| crate::records_fault(&error))?.is_some() {
            return Ok(None);
        }
        let cluster = self.cluster_of(environment).await?;
        let selector = format!("{INVENTORY}={}", InventoryId::of(&key(application, environment)));
        let objects = frozen.revision.graph.objects().map(|(_, object)| &object.object);
        let kinds: BTreeSet<(String, String)> =
            objects.map(|object| (object.api_version.clone(), object.kind.clone())).collect();
        let mut highest = None;
        for kind in kinds {
            let namespace = Some(environment.address.namespace());
            let found =
                match cluster.labelled(&selector, &BTreeSet::from([kind]), namespace, Freshness::Now).await {
                    Ok(found) => found,
                    // Without the right to list, the core tells when it meets such an object.
                    Err(CallError::Refused(_)) => continue,
                    Err(error) => return Err(fault_of(environment.address.cluster(), &error)),
                };
            let lives = found.iter().filter_map(|object| Live::of(object).ok());
            highest = highest.max(lives.filter_map(|live| live.generation()).max());
        }
        Ok(highest)
    }
}

//! An instance of an add-on with what it is about.

use std::collections::BTreeMap;

use slipway_records::{AddonBinding, AddonInstance, Environment};
use slipway_types::Fault;
use slipway_types::id::{AddonId, EnvironmentId};

use crate::stage::Stage;

/// An instance of an add-on with what it is about.
pub(crate) struct AddonSubject {
    pub(crate) addon: AddonInstance,
    pub(crate) environment: Environment,
    /// Who is or was bound to it, oldest first.
    pub(crate) bindings: Vec<AddonBinding>,
    /// The namespaces of the environments of those.
    pub(crate) namespaces: BTreeMap<EnvironmentId, String>,
}

impl Stage {
    /// An instance as it is now; `None` if there is none of that identity.
    pub(crate) async fn addon_subject(&self, id: AddonId) -> Result<Option<AddonSubject>, Fault> {
        let mut read = self.records.read().await.map_err(|error| crate::records_fault(&error))?;
        let addon = read.addon_get(id).await.map_err(|error| crate::records_fault(&error))?;
        drop(read);
        match addon {
            Some(addon) => self.subject_of(addon).await.map(Some),
            None => Ok(None),
        }
    }

    /// What an instance is about, whether it is stored or not.
    pub(crate) async fn subject_of(&self, addon: AddonInstance) -> Result<AddonSubject, Fault> {
        let fault = |error| crate::records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        let environment = read.environment_get(addon.environment_id).await.map_err(fault)?;
        let environment = environment
            .ok_or_else(|| Fault::bug("addon_unreadable", "the environment of an add-on is gone"))?;
        let bindings = read.addon_bindings(addon.id).await.map_err(fault)?;
        let mut namespaces = BTreeMap::new();
        for binding in &bindings {
            if namespaces.contains_key(&binding.environment_id) {
                continue;
            }
            let found = read.environment_get(binding.environment_id).await.map_err(fault)?;
            let namespace = found.map(|found| found.address.namespace().to_owned());
            namespaces.insert(binding.environment_id, namespace.unwrap_or_default());
        }
        Ok(AddonSubject { addon, environment, bindings, namespaces })
    }
}

//! Who owns a shared object.
//!
//! One of the owners leads: the label names it, and it alone writes the object, so that two applications never
//! write against each other. The others are in the list. When the one that leads goes, the first of the others
//! leads; when the last one goes, the object goes.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::json;
use slipway_handoff::ObjectRef;

use super::id::InventoryId;
use super::live::Live;
use super::verdict::Write;
use super::{INVENTORY, OWNERS_MANAGER, SHARED_BY};

/// The owners of an object: inventories, and whoever people wrote into the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owners(BTreeSet<String>);

impl Owners {
    /// The owners of an object: those in its list, and the one in its label.
    pub fn of(live: &Live<'_>) -> Self {
        let listed = live.annotation(SHARED_BY).unwrap_or_default().split(',');
        let all = listed.map(str::trim).chain(live.inventory()).filter(|owner| !owner.is_empty());
        Self(all.map(str::to_owned).collect())
    }

    /// Adds an owner; `false` if it was one.
    pub fn add(&mut self, owner: &InventoryId) -> bool {
        self.0.insert(owner.as_str().to_owned())
    }

    /// Removes an owner; `false` if it was none.
    pub fn remove(&mut self, owner: &InventoryId) -> bool {
        self.0.remove(owner.as_str())
    }

    /// Whether it is one of them.
    pub fn has(&self, owner: &InventoryId) -> bool {
        self.0.contains(owner.as_str())
    }

    /// Whether nobody owns it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Who leads: whom the label names, if it is an owner, else the first inventory.
    pub(super) fn lead(&self, live: &Live<'_>) -> Option<&str> {
        let labelled = live.inventory().and_then(|inventory| self.0.get(inventory));
        let first = || self.0.iter().find(|owner| owner.parse::<InventoryId>().is_ok());
        labelled.or_else(first).map(String::as_str)
    }

    /// The write that makes these the owners of an object and changes nothing else of it.
    pub(super) fn write(&self, object: &ObjectRef, live: &Live<'_>) -> Write {
        let mut body = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": {
                "name": object.name,
                "resourceVersion": live.resource_version(),
                "annotations": {SHARED_BY: self.to_string()},
            },
        });
        if let Some(namespace) = &object.namespace {
            body["metadata"]["namespace"] = namespace.as_str().into();
        }
        // Left out, the label would stay with who goes: then it is emptied.
        let lead = self.lead(live).unwrap_or_default();
        body["metadata"]["labels"] = json!({ INVENTORY: lead });
        Write { manager: OWNERS_MANAGER, force: true, body }
    }
}

impl fmt::Display for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().collect::<Vec<_>>().join(","))
    }
}

//! An object as a cluster has it.

use std::fmt;

use serde_json::Value;
use slipway_handoff::{Collect, ObjectRef};
use slipway_types::Digest;

use super::fields::Fields;
use super::marks::{self, APPLICATION, STAGE, TEAM};
use super::{FIELD_MANAGER, GENERATION, INVENTORY, OWNERS_MANAGER, PODS_MANAGER, REVISION, SHARED_BY};

/// An object as a cluster has it, read with its `managedFields`. That there is none is for the caller to say,
/// never for this type: only a cluster's answer "not found" means that.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    object: &'a Value,
    uid: &'a str,
    resource_version: &'a str,
}

/// A value that no cluster gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the object has no metadata.{0}: it was not read from a cluster")]
pub struct Incomplete(&'static str);

/// Somebody who wrote to an object.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it applies; others write as they like.
    pub applies: bool,
    /// The version of the API that its fields are written in.
    pub api_version: &'a str,
    /// When it last wrote, as the API server says it.
    pub at: &'a str,
    pub(super) fields: Option<Fields<'a>>,
}

/// That an object is on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminating {
    /// Since when, as the API server writes it.
    pub since: String,
    /// What must happen before it is gone.
    pub finalizers: Vec<String>,
}

impl<'a> Live<'a> {
    /// An object as it was read.
    pub fn of(object: &'a Value) -> Result<Self, Incomplete> {
        let text = |field: &'static str| {
            let value =
                object.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
            value.filter(|text| !text.is_empty()).ok_or(Incomplete(field))
        };
        Ok(Self { object, uid: text("uid")?, resource_version: text("resourceVersion")? })
    }

    /// The object.
    pub fn object(&self) -> &'a Value {
        self.object
    }

    /// Its UID: another object of the same name has another one.
    pub fn uid(&self) -> &'a str {
        self.uid
    }

    /// Changes with every write.
    pub fn resource_version(&self) -> &'a str {
        self.resource_version
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&'a str> {
        self.object.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        self.object.get("metadata")?.get("annotations")?.get(key)?.as_str()
    }

    /// The inventory that its label names.
    pub fn inventory(&self) -> Option<&'a str> {
        self.label(INVENTORY).filter(|inventory| !inventory.is_empty())
    }

    /// The generation that wrote it last; shared objects have none.
    pub fn generation(&self) -> Option<u64> {
        self.annotation(GENERATION)?.parse().ok()
    }

    /// The revision that wrote it last.
    pub fn revision(&self) -> Option<Digest> {
        self.annotation(REVISION)?.parse().ok()
    }

    /// When it goes, as it was applied. What cannot be read means never.
    pub fn collect(&self) -> Collect {
        marks::collect_of(self.annotation(super::COLLECT))
    }

    /// Whether it was applied for several to own.
    pub fn is_shared(&self) -> bool {
        self.annotation(SHARED_BY).is_some()
    }

    /// Everybody who wrote to it, status and other subresources aside.
    pub fn managers(&self) -> impl Iterator<Item = Manager<'a>> + use<'a> {
        let entries = self.object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let text =
            |entry: &'a Value, field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        let whole = entries.into_iter().flatten().filter(move |entry| text(entry, "subresource").is_empty());
        whole.map(move |entry| Manager {
            name: text(entry, "manager"),
            applies: text(entry, "operation") == "Apply",
            api_version: text(entry, "apiVersion"),
            at: text(entry, "time"),
            fields: entry.get("fieldsV1").and_then(Fields::of),
        })
    }

    /// Whether Slipway itself applied it: controllers copy labels to objects of their own.
    pub fn is_applied_here(&self) -> bool {
        self.managers()
            .any(|manager| manager.applies && [FIELD_MANAGER, OWNERS_MANAGER].contains(&manager.name))
    }

    /// Set while it is being removed.
    pub fn terminating(&self) -> Option<Terminating> {
        let metadata = self.object.get("metadata")?;
        let since = metadata.get("deletionTimestamp")?.as_str()?.to_owned();
        let finalizers = metadata.get("finalizers").and_then(Value::as_array).into_iter().flatten();
        let finalizers = finalizers.filter_map(Value::as_str).map(str::to_owned).collect();
        Some(Terminating { since, finalizers })
    }

    /// Whose it is, for people.
    pub fn told_owner(&self) -> String {
        let label = |key| self.label(key).unwrap_or_default();
        match (self.label(APPLICATION), self.inventory()) {
            (Some(application), None) => {
                format!("{}/{application} in stage {}", label(TEAM), label(STAGE))
            }
            (Some(application), Some(inventory)) => {
                format!("{}/{application} in stage {} (inventory {inventory})", label(TEAM), label(STAGE))
            }
            (None, Some(inventory)) => format!("inventory {inventory}"),
            (None, None) => "nobody that Slipway knows".to_owned(),
        }
    }
}

/// Who but Slipway last wrote to a field, which is named step by step.
pub fn writer_of<'a>(live: &Live<'a>, path: &[&str]) -> Option<&'a str> {
    let has = |manager: &Manager<'a>| {
        let mut fields = manager.fields;
        for step in path {
            fields = fields.and_then(|fields| fields.field(step));
        }
        fields.is_some()
    };
    let own = [FIELD_MANAGER, OWNERS_MANAGER, PODS_MANAGER];
    let others = live.managers().filter(|manager| !own.contains(&manager.name));
    others.filter(has).max_by_key(|manager| manager.at).map(|manager| manager.name)
}

impl fmt::Debug for Live<'_> {
    /// Without the object, which may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Live");
        shown.field("object", &ObjectRef::of(self.object).map(|object| object.to_string()));
        shown.field("uid", &self.uid).field("resource_version", &self.resource_version).finish()
    }
}

impl fmt::Display for Terminating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is being removed since {}", self.since)?;
        if !self.finalizers.is_empty() {
            write!(f, ", its finalizers are {}", self.finalizers.join(", "))?;
        }
        Ok(())
    }
}

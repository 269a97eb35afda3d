//! A revision against the cluster: whose objects are there already, and what apply would change. Nothing
//! but reading and `dryRun=All`.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde::Serialize;
use serde_json::Value;
use slipway_core::inventory::{
    self, COLLECT, GENERATION, INVENTORY, REVISION, SHARED_BY, changes_no_value, is_left, keep_selector,
    without_leftovers,
};
use slipway_handoff::{ManifestSet, Object};
use slipway_kubernetes::{CallError, Cluster, FIELD_MANAGER, ObjectKey};
use slipway_records::AdoptedObject;
use slipway_types::{Address, ApplicationName, Fault, Violation};

use super::Frozen;
use super::live::Live;
use super::objects::Dressing;
use crate::clusters::fault_of;

/// How many objects are asked about at once.
pub(super) const AT_ONCE: usize = 16;
/// The most differing fields told of one object.
const FIELDS_MAX: usize = 100;

/// What becomes of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `Deployment web`.
    pub object: String,
    /// Made, changed or left as it is.
    pub change: Change,
    /// The fields that differ, each `path: old → new`; values of Secrets are never shown.
    pub fields: Vec<String>,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Create,
    /// Some fields change.
    Update,
    /// It is as wanted.
    Same,
    /// It is no longer part of the application, and goes.
    Remove,
    /// It is no longer part of the application, and stays by a policy.
    Keep,
    /// It could not be asked about before what it needs is there.
    Unknown,
}

/// Differences and violations of a frozen plan in its cluster; `leave`: what of others may be taken over.
pub async fn compare(
    cluster: &Cluster,
    frozen: &Frozen,
    application: &ApplicationName,
    address: &Address,
    leave: &[AdoptedObject],
) -> Result<(Vec<Difference>, Vec<Violation>), Fault> {
    cluster.doubt_absent();
    cluster.doubt_outage();
    let dressing = Dressing { application, address, pull_secret: false };
    let graph = &frozen.revision.graph;
    let brought = brought(graph.objects().map(|(_, object)| object), &frozen.manifests);
    let keys: Vec<ObjectKey> = graph.objects().map(|(_, object)| key_of(object)).collect();
    let live = Live::look(cluster, &keys).await.map_err(|error| fault_of(address.cluster(), &error))?;
    let mut looks: Vec<BoxFuture<'_, Result<Looked, CallError>>> = Vec::with_capacity(keys.len());
    for ((node, object), key) in graph.objects().zip(&keys) {
        let subject = Subject { node, object, key, leave };
        looks.push(Box::pin(look(cluster, &live, &dressing, frozen, subject, &brought)));
    }
    let mut looks = stream::iter(looks).buffered(AT_ONCE);
    let (mut differences, mut violations) = (Vec::new(), Vec::new());
    while let Some(looked) = looks.next().await {
        let (difference, violation) = looked.map_err(|error| fault_of(address.cluster(), &error))?;
        differences.push(difference);
        violations.extend(violation);
    }
    Ok((differences, violations))
}

pub(super) fn key_of(object: &Object) -> ObjectKey {
    let reference = &object.object;
    ObjectKey {
        api_version: reference.api_version.clone(),
        kind: reference.kind.clone(),
        namespace: reference.namespace.clone().unwrap_or_default(),
        name: reference.name.clone(),
    }
}

/// An object of the revision.
struct Subject<'a> {
    node: &'a str,
    object: &'a Object,
    key: &'a ObjectKey,
    leave: &'a [AdoptedObject],
}

impl Subject<'_> {
    /// Whether this very object may be taken over.
    fn has_leave(&self, live: &Value) -> bool {
        let uid = live["metadata"]["uid"].as_str();
        self.leave.iter().any(|leave| {
            let is_it = leave.kind == self.key.kind && leave.name == self.key.name;
            is_it && Some(leave.uid.as_str()) == uid
        })
    }
}

/// What was found of one object.
type Looked = (Difference, Option<Violation>);

/// Kinds and namespaces that the revision itself brings: what needs them cannot be tried yet.
fn brought<'a>(objects: impl Iterator<Item = &'a Object>, manifests: &ManifestSet) -> BTreeSet<String> {
    let mut brought = BTreeSet::new();
    for object in objects {
        let manifest: Option<Value> =
            manifests.get(&object.manifest).and_then(|bytes| serde_json::from_slice(bytes).ok());
        match object.object.kind.as_str() {
            "CustomResourceDefinition" => {
                let kind = manifest.as_ref().and_then(|crd| crd.pointer("/spec/names/kind"));
                brought.extend(kind.and_then(Value::as_str).map(str::to_owned));
            }
            "Namespace" => {
                brought.insert(format!("namespace/{}", object.object.name));
            }
            _ => {}
        }
    }
    brought
}

/// Whether the object is nobody's since whoever brought it last went.
fn was_left(object: &Object, live: &Value) -> bool {
    inventory::Live::of(live).is_ok_and(|live| is_left(&object.object, &live))
}

async fn look(
    cluster: &Cluster,
    live: &Live,
    dressing: &Dressing<'_>,
    frozen: &Frozen,
    subject: Subject<'_>,
    brought: &BTreeSet<String>,
) -> Result<Looked, CallError> {
    let Subject { node, object, key, .. } = subject;
    let plain = |change| Difference { object: key.to_string(), change, fields: Vec::new() };
    let component = node.split('.').next().unwrap_or(node);
    let path = format!("components[{component}]");
    let live = live.get(cluster, key).await?;
    if let Some(owner) = live
        .as_deref()
        .filter(|live| !subject.has_leave(live) && !was_left(object, live))
        .and_then(|live| dressing.foreign_owner(live))
        .filter(|_| !object.shared && key.kind != "Namespace")
    {
        let violation = Violation::new("object_owned_elsewhere", path, format!("{key} is there already and belongs to {owner}"))
            .hint("name it otherwise, share it by a policy, or label the object as this application's to take it over");
        return Ok((plain(Change::Unknown), Some(violation)));
    }
    let needs = brought.contains(&key.kind) || brought.contains(&format!("namespace/{}", key.namespace));
    if needs && live.is_none() {
        return Ok((plain(Change::Create), None));
    }
    let mut manifest: Value = frozen
        .manifests
        .get(&object.manifest)
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    if let Some(live) = live.as_deref() {
        keep_selector(&mut manifest, live, subject.has_leave(live));
    }
    if live.as_deref().is_some_and(|live| changes_no_value(live, &manifest, FIELD_MANAGER)) {
        return Ok((plain(Change::Same), None));
    }
    let sent = without_markers(manifest);
    match cluster.try_apply(key, &sent, FIELD_MANAGER).await {
        Ok(Some(applied)) => Ok((difference(key, live.as_deref(), &applied), None)),
        Ok(None) => {
            let message = format!("the cluster does not serve {} {}", key.api_version, key.kind);
            Ok((plain(Change::Unknown), Some(Violation::new("requirement_missing", path, message))))
        }
        Err(CallError::Refused(status)) => {
            let refused = CallError::Refused(status.clone());
            if let Some(difference) = taken_out(key, live.as_deref(), &sent, &refused) {
                return Ok((difference, None));
            }
            let mut violation =
                Violation::new("refused_by_cluster", path, format!("{key}: {}", status.message));
            let hint = match status.code {
                404 => {
                    Some("does its namespace exist? Make it, or let the environment make it: createNamespace")
                }
                _ => refused.way_out(),
            };
            if let Some(hint) = hint {
                violation = violation.hint(hint);
            }
            Ok((plain(Change::Unknown), Some(violation)))
        }
        Err(error) => Err(error),
    }
}

/// What is taken out of an object before it is applied, if the API server refuses only what apply itself would
/// leave behind.
fn taken_out(key: &ObjectKey, live: Option<&Value>, sent: &Value, refused: &CallError) -> Option<Difference> {
    let live = live?;
    let invalid = refused.invalid_fields()?;
    let trimmed = without_leftovers(&inventory::Live::of(live).ok()?, sent, &invalid)?;
    Some(difference(key, Some(live), &trimmed))
}

/// The object with texts in place of secret references, as an API server takes it.
pub(super) fn without_markers(mut object: Value) -> Value {
    for (field, stand_in) in [("data", "c2xpcHdheQ=="), ("stringData", "slipway")] {
        let Some(fields) = object.get_mut(field).and_then(Value::as_object_mut) else { continue };
        for value in fields.values_mut().filter(|value| value.is_object()) {
            *value = stand_in.into();
        }
    }
    object
}

/// What tells `applied` from `live`, for people; without `live` it is new.
pub(super) fn difference(key: &ObjectKey, live: Option<&Value>, applied: &Value) -> Difference {
    let Some(live) = live else {
        return Difference { object: key.to_string(), change: Change::Create, fields: Vec::new() };
    };
    let mut fields = Vec::new();
    let hides = key.kind == "Secret";
    compare_values(live, applied, String::new(), hides, &mut fields);
    let change = if fields.is_empty() { Change::Same } else { Change::Update };
    Difference { object: key.to_string(), change, fields }
}

/// Fields that the API server writes by itself, and those by which the built-in core knows its own.
fn is_servers(path: &str) -> bool {
    ["metadata.managedFields", "metadata.resourceVersion", "metadata.generation", "status"]
        .iter()
        .any(|own| path == *own || path.starts_with(&format!("{own}.")))
        || is_mark(path)
}

fn is_mark(path: &str) -> bool {
    let of = |kind: &str, marks: &[&str]| {
        let name = path.strip_prefix("metadata.").and_then(|rest| rest.strip_prefix(kind));
        name.and_then(|name| name.strip_prefix('.')).is_some_and(|name| marks.contains(&name))
    };
    of("labels", &[INVENTORY]) || of("annotations", &[GENERATION, REVISION, SHARED_BY, COLLECT])
}

fn compare_values(old: &Value, new: &Value, at: String, hides: bool, found: &mut Vec<String>) {
    if old == new || is_servers(&at) || found.len() >= FIELDS_MAX {
        return;
    }
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    let is_marked = ["metadata.labels", "metadata.annotations"].contains(&at.as_str());
    match (old, new) {
        (Value::Object(old), Value::Null) if is_marked => {
            for (key, old) in old {
                compare_values(old, &Value::Null, below(key), hides, found);
            }
        }
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let (old, new) = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
                compare_values(old, new, below(key), hides, found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare_values(old, new, format!("{at}[{index}]"), hides, found);
            }
        }
        _ if hides && (at.starts_with("data") || at.starts_with("stringData")) => {
            found.push(format!("{at}: changes"));
        }
        _ => found.push(format!("{at}: {old} → {new}")),
    }
}

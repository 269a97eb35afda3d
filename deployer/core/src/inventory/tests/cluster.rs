//! A cluster in memory. It applies as an API server does: mappings field by field, lists of named items by
//! name, other lists whole; what its only owner no longer sends goes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use slipway_handoff::ObjectRef;

use crate::inventory::Write;

/// Steps as `fieldsV1` writes them.
type Path = Vec<String>;

#[derive(Debug, Clone, PartialEq)]
struct Stored {
    uid: String,
    version: u64,
    leaves: BTreeMap<Path, Value>,
    /// By manager and operation.
    owners: BTreeMap<(String, &'static str), BTreeSet<Path>>,
    terminating: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Cluster {
    objects: BTreeMap<ObjectRef, Stored>,
    clock: u64,
    /// UIDs by who made them.
    pub(super) made_by: BTreeMap<String, String>,
    /// UIDs that were removed, with the object.
    pub(super) removed: Vec<(ObjectRef, String)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict;

impl Cluster {
    pub(super) fn apply(&mut self, write: &Write) -> Result<String, Conflict> {
        let object = ObjectRef::of(&write.body).unwrap();
        let version = write.body["metadata"]["resourceVersion"].as_str();
        let manager = (write.manager.to_owned(), "Apply");
        let sent = leaves(&write.body);
        self.clock += 1;
        let mut stored = match self.objects.get(&object) {
            Some(stored) if version.is_some_and(|version| version != stored.version.to_string()) => {
                return Err(Conflict);
            }
            None if version.is_some() => return Err(Conflict),
            Some(stored) => stored.clone(),
            None => self.empty(write.manager),
        };
        let before = stored.clone();
        for (path, value) in &sent {
            let differs = stored.leaves.get(path).is_some_and(|there| there != value);
            for (other, owned) in stored.owners.iter_mut().filter(|(other, _)| **other != manager && differs)
            {
                if owned.contains(path) && !write.force {
                    return Err(Conflict);
                }
                assert_ne!(other.0, "", "somebody wrote it");
                owned.remove(path);
            }
        }
        let owned: BTreeSet<Path> = sent.keys().cloned().collect();
        let earlier = stored.owners.insert(manager.clone(), owned.clone()).unwrap_or_default();
        for path in earlier.difference(&owned) {
            let is_others = stored.owners.values().any(|owned| owned.contains(path));
            if !is_others {
                stored.leaves.remove(path);
            }
        }
        stored.leaves.extend(sent);
        self.keep(object, stored, &before)
    }

    /// A write of somebody who does not apply; `null` removes.
    pub(super) fn update(&mut self, by: &str, object: &ObjectRef, path: &[&str], value: Value) {
        self.clock += 1;
        let path: Path = path.iter().map(|step| (*step).to_owned()).collect();
        let mut stored = self.objects[object].clone();
        let before = stored.clone();
        stored.owners.values_mut().for_each(|owned| {
            owned.remove(&path);
        });
        if value.is_null() {
            stored.leaves.remove(&path);
        } else {
            stored.leaves.insert(path.clone(), value);
            stored.owners.entry((by.to_owned(), "Update")).or_default().insert(path);
        }
        self.keep(object.clone(), stored, &before).unwrap();
    }

    /// A merge patch, at the version that it names.
    pub(super) fn merge(&mut self, by: &str, object: &ObjectRef, patch: &Value) {
        assert_eq!(patch["metadata"]["resourceVersion"], self.objects[object].version.to_string());
        for (path, value) in leaves(patch) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.update(by, object, &path, value);
        }
    }

    /// Somebody makes an object, in place of any that is there.
    pub(super) fn put(&mut self, by: &str, manifest: &Value) {
        let object = ObjectRef::of(manifest).unwrap();
        self.clock += 1;
        let mut stored = self.empty(by);
        let before = stored.clone();
        stored.leaves = leaves(manifest);
        stored.owners.insert((by.to_owned(), "Update"), stored.leaves.keys().cloned().collect());
        self.keep(object, stored, &before).unwrap();
    }

    /// The object is removed and restored from a copy, as another one.
    pub(super) fn restore(&mut self, object: &ObjectRef) {
        self.clock += 1;
        let uid = format!("uid-{}", self.clock);
        let stored = self.objects.get_mut(object).unwrap();
        self.made_by.insert(uid.clone(), self.made_by[&stored.uid].clone());
        stored.uid = uid;
        stored.version = self.clock;
    }

    pub(super) fn terminate(&mut self, object: &ObjectRef) {
        self.objects.get_mut(object).unwrap().terminating = true;
    }

    pub(super) fn delete(&mut self, object: &ObjectRef, uid: &str, version: &str) -> Result<(), Conflict> {
        let Some(stored) = self.objects.get(object) else { return Ok(()) };
        if stored.uid != uid || version != stored.version.to_string() {
            return Err(Conflict);
        }
        let inside: Vec<ObjectRef> = match object.is_namespace() {
            true => self
                .objects
                .keys()
                .filter(|one| one.namespace.as_ref() == Some(&object.name))
                .cloned()
                .collect(),
            false => Vec::new(),
        };
        for gone in inside.iter().chain([object]) {
            let stored = self.objects.remove(gone).unwrap();
            self.removed.push((gone.clone(), stored.uid));
        }
        Ok(())
    }

    pub(super) fn uid(&self, object: &ObjectRef) -> String {
        self.objects[object].uid.clone()
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.objects.keys()
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Option<Value> {
        let stored = self.objects.get(object)?;
        let mut value = json!({"apiVersion": object.api_version, "kind": object.kind, "metadata": {}});
        for (path, leaf) in &stored.leaves {
            put(&mut value, path, leaf);
        }
        let metadata = &mut value["metadata"];
        metadata["name"] = object.name.clone().into();
        if let Some(namespace) = &object.namespace {
            metadata["namespace"] = namespace.clone().into();
        }
        metadata["uid"] = stored.uid.clone().into();
        metadata["resourceVersion"] = stored.version.to_string().into();
        if stored.terminating {
            metadata["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
        }
        let managers = stored.owners.iter().filter(|(_, owned)| !owned.is_empty());
        let managers = managers.map(|((manager, operation), owned)| {
            let mut fields = json!({});
            for path in owned {
                put_fields(&mut fields, path);
            }
            json!({"manager": manager, "operation": operation, "apiVersion": object.api_version, "fieldsV1": fields})
        });
        metadata["managedFields"] = managers.collect();
        Some(value)
    }

    pub(super) fn all(&self) -> Vec<Value> {
        self.objects.keys().map(|object| self.get(object).unwrap()).collect()
    }

    fn empty(&mut self, by: &str) -> Stored {
        let uid = format!("uid-{}", self.clock);
        self.made_by.insert(uid.clone(), by.to_owned());
        Stored {
            uid,
            version: self.clock,
            leaves: BTreeMap::new(),
            owners: BTreeMap::new(),
            terminating: false,
        }
    }

    fn keep(&mut self, object: ObjectRef, mut stored: Stored, before: &Stored) -> Result<String, Conflict> {
        if object.kind == "Deployment" {
            let replicas = ["f:spec", "f:replicas"].map(str::to_owned).to_vec();
            stored.leaves.entry(replicas).or_insert(json!(1));
        }
        if stored != *before {
            stored.version = self.clock;
        }
        let uid = stored.uid.clone();
        self.objects.insert(object, stored);
        Ok(uid)
    }
}

fn leaves(manifest: &Value) -> BTreeMap<Path, Value> {
    let mut fields = manifest.clone();
    let top = fields.as_object_mut().unwrap();
    top.remove("apiVersion");
    top.remove("kind");
    let metadata = top["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| !["name", "namespace", "resourceVersion"].contains(&key.as_str()));
    if metadata.is_empty() {
        top.remove("metadata");
    }
    let mut found = BTreeMap::new();
    flatten(&fields, &mut Vec::new(), &mut found);
    found
}

fn flatten(value: &Value, at: &mut Path, found: &mut BTreeMap<Path, Value>) {
    let mut below = |step: String, value: &Value| {
        at.push(step);
        flatten(value, at, found);
        at.pop();
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                below(format!("f:{key}"), value);
            }
        }
        Value::Array(items) if items.iter().any(|item| item["name"].is_string()) => {
            for item in items {
                below(format!("k:{{\"name\":{}}}", item["name"]), item);
            }
        }
        _ => {
            found.insert(at.clone(), value.clone());
        }
    }
}

fn put(value: &mut Value, path: &[String], leaf: &Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = leaf.clone();
        return;
    };
    if let Some(name) = step.strip_prefix("f:") {
        if !value.is_object() {
            *value = json!({});
        }
        return put(&mut value[name], rest, leaf);
    }
    let keys: Map<String, Value> = serde_json::from_str(&step[2..]).unwrap();
    if !value.is_array() {
        *value = json!([]);
    }
    let items = value.as_array_mut().unwrap();
    let found = items.iter().position(|item| item["name"] == keys["name"]);
    let index = found.unwrap_or_else(|| {
        items.push(Value::Object(keys));
        items.len() - 1
    });
    put(&mut items[index], rest, leaf);
}

fn put_fields(fields: &mut Value, path: &[String]) {
    if let Some((step, rest)) = path.split_first() {
        if fields.get(step).is_none() {
            fields[step] = if step.starts_with("k:") { json!({".": {}}) } else { json!({}) };
        }
        put_fields(&mut fields[step], rest);
    }
}

//! Objects that another tool made, and what makes them this writer's.
//!
//! Taking over has two writes. The first, [`handed_over`], moves what the tool owned to [`FIELD_MANAGER`] and takes
//! away the marks by which the tool finds its objects. The second is the usual apply: since its writer owns what
//! the tool had, fields that the revision has not go with it. Without the first they would stay for ever, for
//! server-side apply removes only what its own writer once applied
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>, "upgrading from client-side apply").

use std::fmt;

use serde_json::{Map, Value, json};

use super::FIELD_MANAGER;
use super::fields::{Fields, Step};
use super::live::{Live, Manager};

/// As whom the marks of other tools are taken away.
pub const ADOPTER: &str = "slipway-adoption";

/// Helm names the release on each of its objects
/// (<https://helm.sh/docs/chart_best_practices/labels/>).
pub const HELM_RELEASE: &str = "meta.helm.sh/release-name";
/// Its namespace.
pub const HELM_NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// Helm leaves what says `keep` here, if an upgrade no longer has it.
const HELM_POLICY: &str = "helm.sh/resource-policy";
/// Label: by what an object is managed; `Helm` on all that Helm has.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Argo CD names application and object, `APP:GROUP/KIND:NAMESPACE/NAME`
/// (<https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/>).
pub const ARGO_TRACKING: &str = "argocd.argoproj.io/tracking-id";
/// Label: the Argo CD application, where it tracks by labels. Charts set it too.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// What Argo CD does to an object that it no longer wants.
const ARGO_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// What `kubectl apply` keeps of the manifest.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Annotations by which tools know what is theirs.
const MARKS: [&str; 4] = [HELM_RELEASE, HELM_NAMESPACE, ARGO_TRACKING, LAST_APPLIED];
/// As what Argo CD writes.
const ARGO_WRITERS: [&str; 2] = ["argocd-controller", "argocd-application-controller"];
/// Who writes manifests beside what is called `kubectl…`. The last holds what was there before the first
/// server-side apply.
const MANIFEST_WRITERS: [&str; 3] = ["kustomize-controller", "kapp-controller", "before-first-apply"];

/// Which tool has an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// A release of Helm.
    Helm {
        /// The release's name.
        release: String,
        /// Its namespace.
        namespace: String,
    },
    /// An application of Argo CD.
    ArgoCd {
        /// The application's name.
        application: String,
    },
    /// Somebody who applies manifests or writes objects by hand.
    Manifests {
        /// By which the API server knows them.
        writer: String,
    },
}

impl Tool {
    /// Which tool has an object. That it is Slipway's is not looked at here.
    pub fn of(live: &Live<'_>) -> Self {
        if let Some(release) = live.annotation(HELM_RELEASE).filter(|release| !release.is_empty()) {
            let namespace = live.annotation(HELM_NAMESPACE).unwrap_or_default().to_owned();
            return Self::Helm { release: release.to_owned(), namespace };
        }
        if let Some(application) = argo_application(live) {
            return Self::ArgoCd { application: application.to_owned() };
        }
        let writer = live.managers().find(|manager| is_manifest_writer(manager.name));
        let writer = writer.or_else(|| live.managers().next());
        Self::Manifests { writer: writer.map_or("nobody known", |writer| writer.name).to_owned() }
    }

    /// Whether what this writer owns is the tool's.
    fn writes_as(&self, name: &str) -> bool {
        match self {
            // Older releases of Helm do not say who they are.
            Self::Helm { .. } => {
                ["helm", "Helm", "Go-http-client"].contains(&name) || is_manifest_writer(name)
            }
            Self::ArgoCd { .. } => ARGO_WRITERS.contains(&name) || is_manifest_writer(name),
            Self::Manifests { .. } => is_manifest_writer(name),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helm { release, namespace } => write!(f, "the Helm release {namespace}/{release}"),
            Self::ArgoCd { application } => write!(f, "the Argo CD application {application}"),
            Self::Manifests { writer } => write!(f, "whoever writes as {writer}"),
        }
    }
}

fn is_manifest_writer(name: &str) -> bool {
    name == "kubectl" || name.starts_with("kubectl-") || MANIFEST_WRITERS.contains(&name)
}

/// The Argo CD application that an object names. The label counts only where Argo CD wrote the object: charts
/// set it as well.
fn argo_application<'a>(live: &Live<'a>) -> Option<&'a str> {
    let tracked = live.annotation(ARGO_TRACKING).and_then(|id| id.split(':').next());
    let is_written = || live.managers().any(|manager| ARGO_WRITERS.contains(&manager.name));
    tracked.or_else(|| live.label(INSTANCE).filter(|_| is_written())).filter(|name| !name.is_empty())
}

/// The controller that writes an object as its own, so that nobody else can: `ReplicaSet web-5d7`.
pub fn controller_of(live: &Live<'_>) -> Option<String> {
    let owners = live.object().pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let text = |field: &str| owner[field].as_str().unwrap_or_default().to_owned();
    Some(format!("{} {}", text("kind"), text("name")))
}

/// The merge patch that makes what a tool owns of an object this writer's, at the version that was read; `None`:
/// nothing of it is left.
pub fn handed_over(live: &Live<'_>, manifest: &Value) -> Option<Value> {
    let tool = Tool::of(live);
    let is_left = live.managers().any(|manager| tool.writes_as(manager.name));
    let marks: Vec<&str> = MARKS.into_iter().filter(|mark| live.annotation(mark).is_some()).collect();
    if !is_left && marks.is_empty() {
        return None;
    }
    let mut annotations: Map<String, Value> =
        marks.into_iter().map(|mark| (mark.to_owned(), Value::Null)).collect();
    let mut labels = Map::new();
    match &tool {
        Tool::Helm { .. } => {
            annotations.insert(HELM_POLICY.to_owned(), "keep".into());
            labels.insert(MANAGED_BY.to_owned(), Value::Null);
        }
        Tool::ArgoCd { .. } => {
            annotations.insert(ARGO_OPTIONS.to_owned(), "Prune=false,Delete=false".into());
            labels.insert(INSTANCE.to_owned(), Value::Null);
        }
        Tool::Manifests { .. } => {}
    }
    let mut metadata = json!({"resourceVersion": live.resource_version(), "annotations": annotations});
    if is_left {
        metadata["managedFields"] = managed_fields(live, manifest, &tool);
    }
    if !labels.is_empty() {
        metadata["labels"] = Value::Object(labels);
    }
    Some(json!({ "metadata": metadata }))
}

/// Who owns what once the tool's fields are this writer's.
fn managed_fields(live: &Live<'_>, manifest: &Value, tool: &Tool) -> Value {
    let entries = live.object().pointer("/metadata/managedFields").and_then(Value::as_array);
    let (theirs, kept): (Vec<&Value>, Vec<&Value>) =
        entries.into_iter().flatten().partition(|entry| is_of(entry, tool) || is_own(entry));
    // Fields of another version of the API cannot be added up; nobody owns them from now on.
    let wanted = manifest["apiVersion"].as_str().unwrap_or_default();
    let version = if theirs.iter().any(|entry| speaks(entry, wanted)) {
        wanted
    } else {
        theirs.first().and_then(|entry| entry["apiVersion"].as_str()).unwrap_or(wanted)
    };
    let mut owned = Value::Object(Map::new());
    for entry in theirs.iter().filter(|entry| speaks(entry, version)) {
        merge(&mut owned, &entry["fieldsV1"]);
    }
    let left = without_foreign(&mut owned, manifest);
    let mut entry = json!({
        "manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": version,
        "fieldsType": "FieldsV1", "fieldsV1": owned,
    });
    if let Some(time) = theirs.first().and_then(|entry| entry.get("time")) {
        entry["time"] = time.clone();
    }
    let mut all = vec![entry.clone()];
    if let Some(fields) = left {
        let mut rest = entry;
        rest["manager"] = ADOPTER.into();
        rest["operation"] = "Update".into();
        rest["fieldsV1"] = fields;
        all.push(rest);
    }
    all.extend(kept.into_iter().cloned());
    Value::Array(all)
}

fn is_of(entry: &Value, tool: &Tool) -> bool {
    let is_whole = entry["subresource"].as_str().unwrap_or_default().is_empty();
    is_whole && tool.writes_as(entry["manager"].as_str().unwrap_or_default())
}

fn speaks(entry: &Value, version: &str) -> bool {
    entry["apiVersion"] == version
}

fn is_own(entry: &Value) -> bool {
    entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply"
}

/// Takes out of what a tool owned what is not to go with it: a status, and the number of replicas if the manifest
/// does not say it, since then an autoscaler or a person does. Gives the latter.
fn without_foreign(owned: &mut Value, manifest: &Value) -> Option<Value> {
    let fields = owned.as_object_mut()?;
    fields.remove("f:status");
    if manifest.pointer("/spec/replicas").is_some() {
        return None;
    }
    let spec = fields.get_mut("f:spec")?.as_object_mut()?;
    let replicas = spec.remove("f:replicas")?;
    // An empty set would mean the whole of it.
    if spec.is_empty() {
        fields.remove("f:spec");
    }
    Some(json!({"f:spec": {"f:replicas": replicas}}))
}

/// Adds the set of fields `more` to `all`. An empty set means the place as a whole.
fn merge(all: &mut Value, more: &Value) {
    let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) else { return };
    for (step, below) in more {
        match all.get_mut(step) {
            None => {
                all.insert(step.clone(), below.clone());
            }
            Some(known) => {
                let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
                if is_empty(known) != is_empty(below) {
                    known[SELF] = json!({});
                }
                merge(known, below);
            }
        }
    }
}

/// In a set of fields: the place itself.
const SELF: &str = ".";

/// What `applied`, which server-side apply would make of a manifest, becomes once the tool's fields are this
/// writer's: without what only the tool has. The API server may fill in defaults for it.
pub fn without_theirs(live: &Live<'_>, manifest: &Value, applied: &Value) -> Value {
    let tool = Tool::of(live);
    let mut after = applied.clone();
    let (theirs, others): (Vec<Manager<'_>>, Vec<Manager<'_>>) =
        live.managers().partition(|manager| tool.writes_as(manager.name));
    let others: Vec<Fields<'_>> = others.iter().filter_map(|manager| manager.fields).collect();
    let mut owned = Value::Object(Map::new());
    for manager in theirs.iter().filter(|manager| manager.api_version == manifest["apiVersion"]) {
        merge(&mut owned, &manager.fields.map(Fields::to_value).unwrap_or_default());
    }
    without_foreign(&mut owned, manifest);
    if let Some(owned) = Fields::of(&owned).filter(|owned| !owned.is_whole()) {
        leave_out(&mut after, Some(manifest), owned, &others);
    }
    let marks = match &tool {
        Tool::Helm { .. } => Some(MANAGED_BY),
        Tool::ArgoCd { .. } => Some(INSTANCE),
        Tool::Manifests { .. } => None,
    };
    for (group, names) in [("annotations", MARKS.as_slice()), ("labels", marks.as_slice())] {
        for name in names.iter().filter(|name| manifest["metadata"][group].get(name).is_none()) {
            let fields = after.pointer_mut(&format!("/metadata/{group}"));
            if let Some(fields) = fields.and_then(Value::as_object_mut) {
                fields.remove(*name);
            }
        }
    }
    after
}

/// Takes out of `value` what `theirs` names, `sent` does not say and nobody of `others` has.
fn leave_out(value: &mut Value, sent: Option<&Value>, theirs: Fields<'_>, others: &[Fields<'_>]) {
    match value {
        Value::Object(fields) => {
            for (step, below) in theirs.steps() {
                let Step::Field(name) = step else { continue };
                let Some(child) = fields.get_mut(name) else { continue };
                let sent = sent.and_then(|sent| sent.get(name));
                let others: Vec<Fields<'_>> = others.iter().filter_map(|other| other.field(name)).collect();
                if goes(child, sent, below, &others) {
                    fields.remove(name);
                }
            }
        }
        Value::Array(items) => {
            let mut index = 0;
            items.retain_mut(|item| {
                let found = theirs.item(item, index);
                index += 1;
                let Some((step, below)) = found else { return true };
                let mut said = sent.and_then(Value::as_array).into_iter().flatten().enumerate();
                let sent = said.find(|(at, sent)| step.means(sent, *at)).map(|(_, sent)| sent);
                let others: Vec<Fields<'_>> = others
                    .iter()
                    .filter_map(|other| other.steps().find(|(known, _)| *known == step))
                    .map(|(_, below)| below)
                    .collect();
                !goes(item, sent, below, &others)
            });
        }
        _ => {}
    }
}

/// Whether a place goes with the tool; what is only partly the tool's loses that part.
fn goes(value: &mut Value, sent: Option<&Value>, theirs: Fields<'_>, others: &[Fields<'_>]) -> bool {
    if sent.is_none() && others.is_empty() && (theirs.is_whole() || theirs.has_itself()) {
        return true;
    }
    if theirs.is_whole() {
        return false;
    }
    leave_out(value, sent, theirs, others);
    let is_empty = match &*value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    is_empty && sent.is_none() && others.is_empty()
}

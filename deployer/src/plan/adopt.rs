//! What a bundle would take over of what other tools have in a cluster, and what that would change. Nothing but
//! reading and `dryRun=All`.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde_json::{Map, Value};
use slipway_core::inventory::{
    ADOPTER, ARGO_TRACKING, HELM_NAMESPACE, HELM_RELEASE, INSTANCE, InventoryId, LAST_APPLIED, Live,
    MANAGED_BY, Tool, controller_of, keep_selector, without_theirs,
};
use slipway_handoff::admission::wanting;
use slipway_handoff::{Capability, Mode, Object, ObjectRef};
use slipway_kubernetes::{Applied, CallError, Cluster, FIELD_MANAGER, ObjectKey};
use slipway_records::{
    AdoptFate, AdoptFrom, AdoptPlan, AdoptRequest, AdoptedObject, AdoptedView, Environment,
};
use slipway_types::{Class, Fault, Violation};

use super::against_cluster::{AT_ONCE, difference, key_of, without_markers};
use super::objects::Dressing;
use super::{Frozen, PlanRequest};
use crate::clusters::fault_of;
use crate::receivers;
use crate::stage::Stage;

mod left;

impl Stage {
    /// Plans a bundle and says of each of its objects whether it would be taken over from a tool. Of what the
    /// revision would change in objects that are not taken over, an ordinary plan tells.
    ///
    /// # Errors
    ///
    /// Records, stores or the cluster do not answer.
    pub async fn adoption_of(&self, wanted: &AdoptRequest) -> Result<AdoptPlan, Fault> {
        let deploy = &wanted.deploy;
        let request = PlanRequest {
            application: deploy.application.clone(),
            environment: deploy.environment.clone(),
            bundle: deploy.bundle.clone(),
            document: deploy.document.clone(),
            keep: false,
        };
        let planned = Stage::plan(self, &request).await?;
        let mut told =
            AdoptPlan { violations: planned.violations, notes: planned.notes, ..AdoptPlan::default() };
        let Some(frozen) = planned.revision else { return Ok(told) };
        let environment = &deploy.environment;
        told.violations.extend(self.objections(environment, &frozen.revision, Mode::Apply).await?);
        told.violations.extend(self.cannot_adopt(environment).await?);
        told.revision = Some(frozen.revision.digest());
        let cluster = self.cluster_of(environment).await?;
        cluster.doubt_absent();
        cluster.doubt_outage();
        let look = Look::new(&cluster, &frozen, wanted);
        let found = look.gather(&mut told).await;
        found.map_err(|error| fault_of(environment.address.cluster(), &error))?;
        Ok(told)
    }

    /// What stands against taking over by an environment's receiver.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn cannot_adopt(&self, environment: &Environment) -> Result<Option<Violation>, Fault> {
        let receiver = match self.receiver(environment).await {
            Ok(receiver) => receiver,
            // Told by `objections`.
            Err(fault) if fault.class == Class::Permanent => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let capability = Capability::Adoption;
        if receiver.capabilities().await?.contains(&capability) {
            return Ok(None);
        }
        let message = format!("the receiver `{}` cannot do `{capability}`", receiver.kind());
        Ok(Some(Violation::new("receiver_cannot", "receiver", message).hint(wanting(capability))))
    }
}

/// A revision beside what a cluster has.
struct Look<'a> {
    cluster: &'a Cluster,
    frozen: &'a Frozen,
    wanted: &'a AdoptRequest,
    dressing: Dressing<'a>,
    inventory: InventoryId,
}

/// What is known of one object.
struct Seen {
    view: AdoptedView,
    /// Who has it, if it can be taken over.
    taken: Option<(Tool, AdoptedObject)>,
}

impl Seen {
    fn plain(key: &ObjectKey, fate: AdoptFate) -> Self {
        let view = AdoptedView {
            object: key.to_string(),
            fate,
            owner: None,
            fields: Vec::new(),
            restarts: false,
            why: None,
        };
        Self { view, taken: None }
    }

    fn refused(key: &ObjectKey, owner: Option<String>, why: impl Into<String>) -> Self {
        let plain = Self::plain(key, AdoptFate::Refused);
        Self { view: AdoptedView { owner, why: Some(why.into()), ..plain.view }, taken: None }
    }
}

impl<'a> Look<'a> {
    fn new(cluster: &'a Cluster, frozen: &'a Frozen, wanted: &'a AdoptRequest) -> Self {
        let (application, environment) = (&wanted.deploy.application, &wanted.deploy.environment);
        Self {
            cluster,
            frozen,
            wanted,
            dressing: Dressing {
                application: &application.name,
                address: &environment.address,
                pull_secret: false,
            },
            inventory: InventoryId::of(&receivers::key(&application.name, environment)),
        }
    }

    /// Adds all that is found to what is told.
    async fn gather(&self, told: &mut AdoptPlan) -> Result<(), CallError> {
        let mut looks: Vec<BoxFuture<'_, Result<Seen, CallError>>> = Vec::new();
        for (_, object) in self.frozen.revision.graph.objects() {
            looks.push(Box::pin(self.look(object)));
        }
        let mut looks = stream::iter(looks).buffered(AT_ONCE);
        let mut tools = BTreeSet::new();
        while let Some(seen) = looks.next().await {
            let Seen { view, taken } = seen?;
            told.objects.push(view);
            if let Some((tool, leave)) = taken {
                tools.insert(tool);
                told.leave.push(leave);
            }
        }
        drop(looks);
        self.left(&tools, told).await
    }

    async fn look(&self, object: &Object) -> Result<Seen, CallError> {
        let key = key_of(object);
        let Some(live) = self.cluster.get(&key).await? else {
            return Ok(Seen::plain(&key, AdoptFate::Create));
        };
        let seen = Live::of(&live).map_err(|error| CallError::Away(format!("{key}: {error}")))?;
        if let Some(known) = self.known(object, &key, &seen) {
            return Ok(known);
        }
        let tool = Tool::of(&seen);
        let owner = Some(tool.to_string());
        if let Some(controller) = controller_of(&seen) {
            return Ok(Seen::refused(&key, Some(controller), "its controller makes it anew as it likes"));
        }
        if let Some(terminating) = seen.terminating() {
            return Ok(Seen::refused(&key, owner, terminating.to_string()));
        }
        if !self.is_meant(&tool) {
            let why = format!("it belongs to {tool}: take it over {}", way_from(&tool));
            return Ok(Seen::refused(&key, owner, why));
        }
        match self.preview(object, &key, &live, &seen).await? {
            Err(why) => Ok(Seen::refused(&key, owner, why)),
            Ok(after) => Ok(taken_over(object, &key, tool, (&live, &after), &seen)),
        }
    }

    /// What an object is that no tool's is to be taken over for.
    fn known(&self, object: &Object, key: &ObjectKey, live: &Live<'_>) -> Option<Seen> {
        let is_shared = object.shared || object.object.is_namespace();
        let owned = |owner: Option<String>| {
            let plain = Seen::plain(key, AdoptFate::Ours);
            Seen { view: AdoptedView { owner, ..plain.view }, taken: None }
        };
        match live.inventory() {
            Some(inventory) if inventory == self.inventory.as_str() => Some(owned(None)),
            _ if is_shared => Some(owned(Some(live.told_owner()))),
            Some(_) => {
                let why = format!("it belongs to {}: name one of the two otherwise", live.told_owner());
                Some(Seen::refused(key, Some(live.told_owner()), why))
            }
            None => match self.dressing.foreign_owner(live.object()) {
                None => Some(owned(None)),
                Some(_) if live.label(slipway_definitions::label::APPLICATION).is_some() => {
                    let why = format!("it belongs to {}, another application of Slipway", live.told_owner());
                    Some(Seen::refused(key, Some(live.told_owner()), why))
                }
                Some(_) => None,
            },
        }
    }

    /// Whether this is the tool that was named.
    fn is_meant(&self, tool: &Tool) -> bool {
        let is_named = |name: &str| self.wanted.release.as_deref().is_none_or(|wanted| wanted == name);
        match (self.wanted.from, tool) {
            (AdoptFrom::Helm, Tool::Helm { release, .. }) => is_named(release),
            (AdoptFrom::Argocd, Tool::ArgoCd { application }) => is_named(application),
            (AdoptFrom::Manifests, Tool::Manifests { .. }) => true,
            _ => false,
        }
    }

    /// The object as it would be once taken over, or why the API server does not take it.
    async fn preview(
        &self,
        object: &Object,
        key: &ObjectKey,
        live: &Value,
        seen: &Live<'_>,
    ) -> Result<Result<Value, String>, CallError> {
        let bytes = self.frozen.manifests.get(&object.manifest);
        let manifest: Value = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        let mut sent = without_markers(manifest);
        for once in &object.once {
            if let Some(there) = once.get(live) {
                once.set(&mut sent, there.clone());
            }
        }
        keep_selector(&mut sent, live, true);
        let applied = match self.cluster.try_apply(key, &sent, FIELD_MANAGER).await {
            Ok(Some(applied)) => applied,
            Ok(None) => return Ok(Err(format!("the cluster does not serve {}", object.object.api_version))),
            Err(error @ CallError::Refused(_)) => return Ok(Err(error.says())),
            Err(error) => return Err(error),
        };
        let after = without_theirs(seen, &sent, &applied);
        match self.cluster.try_merge(key, &patch(live, &after), ADOPTER).await {
            Ok(Applied::Done(after)) => Ok(Ok(after)),
            Ok(Applied::Outrun | Applied::NotServed) => {
                Err(CallError::Away(format!("{key} changes while it is looked at")))
            }
            Err(error @ CallError::Refused(_)) => Ok(Err(error.says())),
            Err(error) => Err(error),
        }
    }
}

fn taken_over(
    object: &Object,
    key: &ObjectKey,
    tool: Tool,
    (live, after): (&Value, &Value),
    seen: &Live<'_>,
) -> Seen {
    let mut fields = difference(key, Some(live), after).fields;
    fields.retain(|field| !is_mark(field));
    let ObjectRef { api_version, kind, namespace, name } = object.object.clone();
    let leave = AdoptedObject { api_version, kind, namespace, name, uid: seen.uid().to_owned() };
    let view = AdoptedView {
        fate: AdoptFate::TakeOver,
        owner: Some(tool.to_string()),
        fields,
        restarts: restarts(&object.object, live, after),
        ..Seen::plain(key, AdoptFate::TakeOver).view
    };
    Seen { view, taken: Some((tool, leave)) }
}

/// Whether a change makes pods anew.
fn restarts(object: &ObjectRef, live: &Value, after: &Value) -> bool {
    object.rolls_pods() && live.pointer("/spec/template") != after.pointer("/spec/template")
}

/// Whether a difference is one of the marks by which tools and Slipway know what is theirs.
fn is_mark(field: &str) -> bool {
    let annotations = [HELM_RELEASE, HELM_NAMESPACE, ARGO_TRACKING, LAST_APPLIED];
    let of = |kind: &str, marks: &[&str]| {
        let name = field.strip_prefix("metadata.").and_then(|rest| rest.strip_prefix(kind));
        name.is_some_and(|name| {
            name.starts_with("slipway.dev/") || marks.iter().any(|mark| name.starts_with(mark))
        })
    };
    of("annotations.", &annotations) || of("labels.", &[MANAGED_BY, INSTANCE])
}

/// How an object is taken over from a tool, after `take it over`.
fn way_from(tool: &Tool) -> String {
    match tool {
        Tool::Helm { release, .. } => format!("by --from helm --release {release}"),
        Tool::ArgoCd { application } => format!("by --from argocd --release {application}"),
        Tool::Manifests { .. } => "by --from manifests".to_owned(),
    }
}

/// The merge patch (RFC 7386) from an object as it is to one as it would be, without what the API server writes.
fn patch(live: &Value, after: &Value) -> Value {
    let mut patch = Map::new();
    for value in [live, after] {
        for key in value.as_object().into_iter().flat_map(Map::keys) {
            let is_servers = ["apiVersion", "kind", "metadata", "status"].contains(&key.as_str());
            if !is_servers && live.get(key) != after.get(key) {
                patch.insert(key.clone(), change(live.get(key), after.get(key)));
            }
        }
    }
    let mut metadata = Map::new();
    for key in ["labels", "annotations"] {
        let (old, new) = (live["metadata"].get(key), after["metadata"].get(key));
        if old != new {
            metadata.insert(key.to_owned(), change(old, new));
        }
    }
    patch.insert("metadata".to_owned(), Value::Object(metadata));
    Value::Object(patch)
}

/// What of a merge patch leads from `old` to `new`; `None`: it is not there.
fn change(old: Option<&Value>, new: Option<&Value>) -> Value {
    match (old, new) {
        (_, None) => Value::Null,
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
            Value::Object(changed.map(|key| (key.clone(), change(old.get(key), new.get(key)))).collect())
        }
        (_, Some(new)) => new.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_says_what_changes_and_what_goes() {
        let live = json!({"kind": "ConfigMap", "metadata": {"uid": "1", "labels": {"a": "1", "b": "2"}},
            "spec": {"replicas": 2, "list": [1, 2], "same": {"a": 1}}, "status": {"a": 1}, "data": {"a": "1"}});
        let after = json!({"kind": "ConfigMap", "metadata": {"uid": "1", "labels": {"a": "1"}},
            "spec": {"list": [1], "same": {"a": 1}, "new": {"b": 1}}});
        let expected = json!({"metadata": {"labels": {"b": null}}, "data": null,
            "spec": {"replicas": null, "list": [1], "new": {"b": 1}}});
        assert_eq!(patch(&live, &after), expected);
        assert_eq!(patch(&live, &live), json!({"metadata": {}}));
    }

    #[test]
    fn only_a_template_of_pods_restarts_something() {
        let object = |image: &str| json!({"spec": {"replicas": 1, "template": {"image": image}}});
        for (api_version, kind, expected) in [
            ("apps/v1", "Deployment", true),
            ("apps.kruise.io/v1alpha1", "CloneSet", true),
            ("batch/v1", "Job", false),
            ("example.com/v1", "Deployment", false),
        ] {
            let reference = ObjectRef {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                namespace: None,
                name: "web".to_owned(),
            };
            assert_eq!(restarts(&reference, &object("a"), &object("b")), expected, "{kind}");
            let mut scaled = object("a");
            scaled["spec"]["replicas"] = json!(3);
            assert!(!restarts(&reference, &object("a"), &scaled), "{kind}");
        }
    }

    #[test]
    fn marks_are_no_change() {
        for (field, expected) in [
            ("metadata.annotations.meta.helm.sh/release-name: \"shop\" → null", true),
            ("metadata.labels.slipway.dev/application: null → \"shop\"", true),
            ("metadata.labels.app.kubernetes.io/managed-by: \"Helm\" → null", true),
            ("metadata.labels.app: \"a\" → \"b\"", false),
            ("spec.template.metadata.labels.slipway.dev/component: null → \"web\"", false),
        ] {
            assert_eq!(is_mark(field), expected, "{field}");
        }
    }
}

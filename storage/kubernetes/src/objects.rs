//! Single objects of any kind: read, applied, removed.

use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, TypeMeta};
use kube::core::Status;
use serde_json::Value;

use crate::call::{CallError, missing_namespace};
use crate::cluster::Cluster;
use crate::kinds::{Scoped, Served};

/// With these the API server quotes what it was sent.
const QUOTING: [u16; 3] = [400, 422, 500];
/// How often an object is looked for whose kind goes meanwhile.
const LOOKS_MAX: usize = 2;

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// E.g. `apps/v1`.
    pub api_version: String,
    /// E.g. `Deployment`.
    pub kind: String,
    /// Its namespace; not looked at for kinds without one.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a manifest, in `namespace` if it names none.
    pub fn of(object: &Value, namespace: &str) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let metadata = &object["metadata"];
        Some(Self {
            api_version: text(&object["apiVersion"])?,
            kind: text(&object["kind"])?,
            namespace: text(&metadata["namespace"]).unwrap_or_else(|| namespace.to_owned()),
            name: text(&metadata["name"])?,
        })
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What became of an object that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was not there, nor is its kind served.
    Gone,
    /// It is removed, or will be once its finalizers have done.
    Ordered,
    /// Another object has its name, by another UID, or it was changed since it was read; what is there is left alone.
    Other,
}

/// What became of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// The object as it is now.
    Done(Value),
    /// Another has changed the object since it was read, or made it: read it again.
    Outrun,
    /// The cluster does not serve its kind.
    NotServed,
}

impl Cluster {
    /// `None` if the cluster does not serve the kind.
    pub(crate) async fn api(&self, key: &ObjectKey) -> Result<Option<Api<DynamicObject>>, CallError> {
        let served = self.served(&key.api_version, &key.kind).await?;
        Ok(served.map(|served| self.api_of(&served, Some(&key.namespace))))
    }

    /// Objects of a kind, in `namespace` if the kind has them there.
    pub(crate) fn api_of(&self, served: &Served, namespace: Option<&str>) -> Api<DynamicObject> {
        match (served.scoped, namespace) {
            (Scoped::Namespaced, Some(namespace)) => {
                Api::namespaced_with(self.client.clone(), namespace, &served.resource)
            }
            _ => Api::all_with(self.client.clone(), &served.resource),
        }
    }

    /// Objects of the kind in whatever version of its API the cluster serves; `None` if it serves none.
    async fn api_any(&self, key: &ObjectKey) -> Result<Option<Api<DynamicObject>>, CallError> {
        let served = self.served_any(&key.api_version, &key.kind).await?;
        Ok(served.map(|served| self.api_of(&served, Some(&key.namespace))))
    }

    /// The object as it is; `None` if it is not there, or its kind is not served. It comes in another version of
    /// its API if the cluster does not serve the one that `key` names.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<Value>, CallError> {
        for _ in 0..LOOKS_MAX {
            let Some(api) = self.api_any(key).await? else { return Ok(None) };
            match self.within(api.get(&key.name)).await? {
                Ok(object) => return Ok(Some(to_json(object))),
                Err(kube::Error::Api(status)) if is_path_gone(&status) => drop(self.kinds_now().await?),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
                Err(error) => return Err(CallError::of(error)),
            }
        }
        Err(comes_and_goes(key))
    }

    /// What server-side apply would make of a manifest, changing nothing. `None` if its kind is not
    /// served.
    pub async fn try_apply(
        &self,
        key: &ObjectKey,
        manifest: &Value,
        writer: &str,
    ) -> Result<Option<Value>, CallError> {
        let parameters = PatchParams { dry_run: true, ..PatchParams::apply(writer).force() };
        self.patch(key, manifest, &parameters).await
    }

    /// Server-side apply, taking over the fields of the manifest. `None` if its kind is not served.
    pub async fn apply(
        &self,
        key: &ObjectKey,
        manifest: &Value,
        writer: &str,
    ) -> Result<Option<Value>, CallError> {
        self.patch(key, manifest, &PatchParams::apply(writer).force()).await
    }

    async fn patch(
        &self,
        key: &ObjectKey,
        manifest: &Value,
        parameters: &PatchParams,
    ) -> Result<Option<Value>, CallError> {
        let Some(api) = self.api(key).await? else { return Ok(None) };
        let applied = self.ask(api.patch(&key.name, parameters, &Patch::Apply(manifest))).await?;
        self.note_defined(&key.api_version, &key.kind);
        Ok(Some(to_json(applied)))
    }

    /// Server-side apply; with `force` fields that others own are taken over, else such a field is
    /// [`Applied::Outrun`]. A manifest with `metadata.resourceVersion` is applied only to the object that has
    /// this version.
    ///
    /// # Errors
    ///
    /// What the API server refuses for good is [`CallError::Refused`]: a namespace that is not there (404),
    /// rights (403), a manifest that is wrong or denied by a webhook (most often 422 or 403). Of a Secret
    /// it names fields, never values.
    pub async fn apply_at(
        &self,
        key: &ObjectKey,
        manifest: &Value,
        writer: &str,
        force: bool,
    ) -> Result<Applied, CallError> {
        let Some(api) = self.api(key).await? else { return Ok(Applied::NotServed) };
        let parameters = PatchParams { force, ..PatchParams::apply(writer) };
        let answer = self.within(api.patch(&key.name, &parameters, &Patch::Apply(manifest))).await?;
        self.note_defined(&key.api_version, &key.kind);
        applied(key, answer)
    }

    /// JSON merge patch (RFC 7386) of an object that is there; a patch with `metadata.resourceVersion` is only
    /// merged into the object that has this version, else it is [`Applied::Outrun`].
    ///
    /// # Errors
    ///
    /// As of [`Cluster::apply_at`]. An object that is not there is [`CallError::Refused`] (404).
    pub async fn merge_at(&self, key: &ObjectKey, patch: &Value, writer: &str) -> Result<Applied, CallError> {
        self.merge(key, patch, &merging(writer)).await
    }

    /// What [`Cluster::merge_at`] would make of an object, changing nothing.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn try_merge(
        &self,
        key: &ObjectKey,
        patch: &Value,
        writer: &str,
    ) -> Result<Applied, CallError> {
        self.merge(key, patch, &PatchParams { dry_run: true, ..merging(writer) }).await
    }

    async fn merge(
        &self,
        key: &ObjectKey,
        patch: &Value,
        parameters: &PatchParams,
    ) -> Result<Applied, CallError> {
        let Some(api) = self.api(key).await? else { return Ok(Applied::NotServed) };
        let answer = self.within(api.patch(&key.name, parameters, &Patch::Merge(patch))).await?;
        match answer {
            Err(kube::Error::Api(status)) if has_no_path(&status) => {
                Err(without_values(key, CallError::of(kube::Error::Api(status))))
            }
            answer => applied(key, answer),
        }
    }

    /// Removes an object; that it is not there is as good.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), CallError> {
        let Some(api) = self.api(key).await? else { return Ok(()) };
        match self.ask(api.delete(&key.name, &DeleteParams::background())).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes the object that has this UID, and this resource version if one is given; what it owns goes in
    /// the background. It is found in whatever version of its API the cluster serves.
    pub async fn delete_exactly(
        &self,
        key: &ObjectKey,
        uid: &str,
        resource_version: Option<&str>,
    ) -> Result<Deleted, CallError> {
        let only = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: resource_version.map(str::to_owned),
        };
        let parameters = DeleteParams::background().preconditions(only);
        for _ in 0..LOOKS_MAX {
            let Some(api) = self.api_any(key).await? else { return Ok(Deleted::Gone) };
            match self.within(api.delete(&key.name, &parameters)).await? {
                Ok(_) => return Ok(Deleted::Ordered),
                Err(kube::Error::Api(status)) if is_path_gone(&status) => drop(self.kinds_now().await?),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Deleted::Gone),
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    // The UID need not be why: a namespace that ends refuses like this, too.
                    let live = self.get(key).await?;
                    let deleted = after_conflict(live.as_ref(), uid, resource_version);
                    return deleted.ok_or_else(|| CallError::of(kube::Error::Api(status)));
                }
                Err(error) => return Err(CallError::of(error)),
            }
        }
        Err(comes_and_goes(key))
    }
}

/// Whether what was asked has no path, so that it says nothing of the object: its kind went since the list of
/// kinds was made.
fn is_path_gone(status: &Status) -> bool {
    status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

fn comes_and_goes(key: &ObjectKey) -> CallError {
    CallError::Away(format!("the API {} is told of and then not served", key.api_version))
}

fn merging(writer: &str) -> PatchParams {
    PatchParams { field_manager: Some(writer.to_owned()), ..PatchParams::default() }
}

/// What the object that is there says of a removal that met a conflict; `None`: not why.
fn after_conflict(live: Option<&Value>, uid: &str, resource_version: Option<&str>) -> Option<Deleted> {
    let Some(live) = live else { return Some(Deleted::Gone) };
    let metadata = &live["metadata"];
    if metadata["uid"].as_str() != Some(uid) {
        return Some(Deleted::Other);
    }
    if metadata["deletionTimestamp"].is_string() {
        return Some(Deleted::Ordered);
    }
    let is_changed = resource_version.is_some_and(|read| metadata["resourceVersion"].as_str() != Some(read));
    is_changed.then_some(Deleted::Other)
}

pub(crate) fn applied(key: &ObjectKey, answer: kube::Result<DynamicObject>) -> Result<Applied, CallError> {
    match answer {
        Ok(object) => Ok(Applied::Done(to_json(object))),
        Err(kube::Error::Api(status)) if is_outrun(key, &status) => Ok(Applied::Outrun),
        Err(kube::Error::Api(status)) if has_no_path(&status) => Ok(Applied::NotServed),
        Err(error) => Err(without_values(key, CallError::of(error))),
    }
}

/// Whether the object is not as the manifest expects it.
fn is_outrun(key: &ObjectKey, status: &Status) -> bool {
    let is_conflict = status.code == 409 && ["Conflict", "AlreadyExists"].contains(&status.reason.as_str());
    // A quota that others use up meanwhile conflicts as well: under its own name.
    let named = status.details.as_ref().map_or("", |details| details.name.as_str());
    is_conflict && (named.is_empty() || named == key.name)
}

/// Whether the kind went since the list of kinds was made: apply makes what is not there, so that nothing
/// else but a namespace can be missing.
fn has_no_path(status: &Status) -> bool {
    status.code == 404 && missing_namespace(status).is_none()
}

/// What is wrong with a Secret, without what the API server quotes of it.
fn without_values(key: &ObjectKey, error: CallError) -> CallError {
    if key.kind != "Secret" {
        return error;
    }
    match error {
        CallError::Refused(status) if QUOTING.contains(&status.code) => {
            CallError::Refused(unquoted(&key.name, status))
        }
        CallError::Away(why) if why.starts_with("500 ") && !why.contains("webhook") => {
            CallError::Away(format!("500 the Secret {} could not be taken", key.name))
        }
        error => error,
    }
}

fn unquoted(name: &str, mut status: Box<Status>) -> Box<Status> {
    let mut fields = Vec::new();
    for cause in status.details.iter_mut().flat_map(|details| details.causes.iter_mut()) {
        cause.message.clone_from(&cause.reason);
        fields.push(cause.field.clone());
    }
    let at = if fields.is_empty() { String::new() } else { format!(" at {}", fields.join(", ")) };
    status.message = format!("the Secret {name} is not valid{at}");
    status
}

/// An object of a list, which says once of what kind its items are.
pub(crate) fn typed(mut object: DynamicObject, resource: &ApiResource) -> Value {
    object.types = Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
    to_json(object)
}

pub(crate) fn to_json(object: DynamicObject) -> Value {
    serde_json::to_value(object).expect("invariant: what came as JSON is JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(kind: &str) -> ObjectKey {
        let (api_version, namespace) = ("v1".to_owned(), "shop".to_owned());
        ObjectKey { api_version, kind: kind.to_owned(), namespace, name: "web".to_owned() }
    }

    fn refused(kind: &str, status: Value) -> Result<Applied, CallError> {
        let status: Status = serde_json::from_value(status).expect("a status");
        applied(&key(kind), Err(kube::Error::Api(status.boxed())))
    }

    #[test]
    fn a_conflict_over_the_object_is_outrun_and_one_over_a_quota_passes() {
        let modified = json!({
            "code": 409, "reason": "Conflict", "details": {"name": "web", "kind": "configmaps"},
            "message": "Operation cannot be fulfilled on configmaps \"web\": the object has been modified",
        });
        assert_eq!(refused("ConfigMap", modified).expect("no error"), Applied::Outrun);
        let made = json!({"code": 409, "reason": "AlreadyExists", "details": {"name": "web"}});
        assert_eq!(refused("ConfigMap", made).expect("no error"), Applied::Outrun);
        let quota = json!({
            "code": 409, "reason": "Conflict", "details": {"name": "small", "kind": "resourcequotas"},
        });
        assert!(matches!(refused("ConfigMap", quota), Err(CallError::Away(_))));
    }

    #[test]
    fn a_kind_that_went_is_not_served_and_a_missing_namespace_is_refused() {
        let path = json!({"code": 404, "message": "404 page not found"});
        assert_eq!(refused("Foo", path).expect("no error"), Applied::NotServed);
        let namespace = json!({
            "code": 404, "reason": "NotFound", "message": "namespaces \"shop\" not found",
            "details": {"name": "shop", "kind": "namespaces"},
        });
        let error = refused("ConfigMap", namespace).expect_err("refused");
        assert!(error.is_not_found(), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_told_without_its_values() {
        let status = json!({
            "code": 422, "reason": "Invalid", "message": "Invalid value: \"hunter2\"",
            "details": {"name": "web", "kind": "Secret", "causes": [
                {"field": "data[key]", "reason": "FieldValueInvalid", "message": "\"hunter2\" is wrong"},
            ]},
        });
        let error = refused("Secret", status.clone()).expect_err("refused");
        assert!(!format!("{error:?} {error} {}", error.says()).contains("hunter2"), "{error:?}");
        assert!(error.to_string().contains("data[key]") && error.says().contains("data[key]"), "{error}");
        let told = refused("ConfigMap", status).expect_err("refused");
        assert!(told.to_string().contains("hunter2"), "{told}");
        let internal = json!({"code": 500, "message": "cannot read \"hunter2\""});
        let error = refused("Secret", internal).expect_err("away");
        assert!(matches!(&error, CallError::Away(why) if !why.contains("hunter2")), "{error}");
    }

    #[test]
    fn a_path_that_is_gone_says_nothing_of_an_object() {
        let gone = |status: Value| is_path_gone(&serde_json::from_value(status).expect("a status"));
        assert!(gone(json!({"code": 404, "message": "404 page not found"})));
        assert!(gone(json!({
            "code": 404, "reason": "NotFound", "details": {},
            "message": "the server could not find the requested resource",
        })));
        assert!(!gone(
            json!({"code": 404, "reason": "NotFound", "details": {"name": "web", "kind": "jobs"}})
        ));
        assert!(!gone(json!({"code": 403, "reason": "Forbidden"})));
    }

    #[test]
    fn after_a_conflict_the_object_that_is_there_tells_what_became_of_the_removal() {
        let live = json!({"metadata": {"uid": "a", "resourceVersion": "7"}});
        let ends = json!({"metadata": {"uid": "a", "resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        for (found, uid, version, wanted) in [
            (None, "a", None, Some(Deleted::Gone)),
            (Some(&live), "b", None, Some(Deleted::Other)),
            (Some(&ends), "b", None, Some(Deleted::Other)),
            (Some(&ends), "a", Some("6"), Some(Deleted::Ordered)),
            (Some(&live), "a", Some("6"), Some(Deleted::Other)),
            (Some(&live), "a", Some("7"), None),
            (Some(&live), "a", None, None),
        ] {
            assert_eq!(after_conflict(found, uid, version), wanted, "{found:?} {uid} {version:?}");
        }
    }
}

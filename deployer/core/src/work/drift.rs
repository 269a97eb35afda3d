//! What others changed of an object since it was applied.

use serde_json::Value;
use slipway_handoff::{Object, ObjectRef};
use slipway_kubernetes::Cluster;
use slipway_types::state::NOT_AS_APPLIED;

use super::look::{Found, see};
use super::passing::goes_by_itself;
use super::{Prepared, Work, key_of};
use crate::applied_secrets::AppliedSecret;
use crate::hitch::Hitch;
use crate::inventory::{Live, Verdict, Wanted, before_apply, keep_marks, writer_of};

/// Parts of an object that the API server and controllers write by themselves.
const OTHERS: [&str; 2] = ["metadata", "status"];
/// Parts of `metadata` that they do not.
const NAMED: [&str; 2] = ["labels", "annotations"];

/// Whom a change is laid to whose writer is not known.
const SOMEBODY: &str = "somebody";

/// What others changed of an object.
pub(super) struct Drift {
    /// Which object.
    pub(super) object: Object,
    /// As it was applied, without the values of secrets.
    pub(super) manifest: Value,
    /// What is not as it was applied, in words.
    pub(super) told: String,
    /// Who did it; `None`: it cannot be set right by writing the object.
    pub(super) by: Option<String>,
    /// What the object, a Secret that is there, held when it was applied.
    pub(super) secret: Option<AppliedSecret>,
}

/// The words and the writer of a [`Drift`].
type Told = (String, Option<String>);

/// The most keys of a Secret that are named as changed.
const KEYS_MAX: usize = 5;

impl Work {
    /// What others changed of objects that were applied.
    pub(super) async fn drifts(
        &self,
        cluster: &Cluster,
        applied: &Prepared,
        found: &mut Found,
    ) -> Result<Vec<Drift>, Hitch> {
        let mut drifts = Vec::new();
        for (object, manifest) in &applied.objects {
            let live = see(cluster, found, &object.object).await?;
            if live.is_none() && goes_by_itself(manifest) {
                continue;
            }
            // What was known of a Secret before it was shared is not what its owners write.
            let is_own = live.is_some() && !object.shared;
            let secret = applied.secrets.of(&object.object).filter(|_| is_own);
            if let Some((told, by)) = self.drift(cluster, (object, manifest), live, secret).await? {
                let (object, manifest, secret) = (object.clone(), manifest.clone(), secret.cloned());
                drifts.push(Drift { object, manifest, told, by, secret });
            }
        }
        Ok(drifts)
    }

    /// What is not as it was applied. Of Secrets that is their data, by digests: the values may have been rotated since.
    async fn drift(
        &self,
        cluster: &Cluster,
        (object, manifest): (&Object, &Value),
        live: Option<&Value>,
        secret: Option<&AppliedSecret>,
    ) -> Result<Option<Told>, Hitch> {
        let reference = &object.object;
        let Some(found) = live else {
            return Ok(Some((
                format!("{reference} {NOT_AS_APPLIED}: {SOMEBODY} deleted it"),
                Some(SOMEBODY.to_owned()),
            )));
        };
        let Ok(seen) = Live::of(found) else { return Ok(None) };
        let wanted = Wanted { object, manifest, adopt: self.may_adopt(reference, &seen) };
        let mut write = match before_apply(&wanted, &self.seen_by, Some(&seen)) {
            Verdict::Update(write) => write,
            Verdict::Wait(terminating) => return Ok(Some((format!("{reference} {terminating}"), None))),
            Verdict::Refused(refusal) => return Ok(Some((refusal.to_string(), None))),
            Verdict::Create(_) | Verdict::Join(_) | Verdict::AlreadySame | Verdict::Borrow => {
                return Ok(None);
            }
        };
        if reference.is_secret() {
            let keys = secret.map(|secret| self.changed_keys(secret, found)).unwrap_or_default();
            return Ok(told_keys(reference, &seen, &keys));
        }
        // What is only written otherwise, such as a quantity, the API server alone can tell. A status may have
        // changed since, and a webhook may be away: what cannot be tried is not known, and no drift.
        keep_marks(&mut write.body, &seen);
        if let Some(metadata) = write.body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
        let tried = match cluster.try_apply(&key_of(reference), &write.body, write.manager).await {
            Ok(tried) => tried,
            Err(error) => {
                tracing::debug!(object = %reference, %error, "not known whether it was changed");
                None
            }
        };
        Ok(tried.and_then(|tried| changed(found, &tried)).map(|field| told(reference, &seen, &field)))
    }
}

fn told(reference: &ObjectRef, seen: &Live<'_>, field: &str) -> Told {
    // Two steps at most, and a key may have dots.
    let path: Vec<&str> = field.splitn(2, '.').collect();
    let by = writer_of(seen, &path).unwrap_or(SOMEBODY);
    (format!("{reference} {NOT_AS_APPLIED}: {by} changed {field}"), Some(by.to_owned()))
}

/// The same of keys of a Secret, sorted; `None`: of none.
fn told_keys(reference: &ObjectRef, seen: &Live<'_>, keys: &[String]) -> Option<Told> {
    let (_, by) = told(reference, seen, &format!("data.{}", keys.first()?));
    let named = keys.iter().take(KEYS_MAX).map(|key| format!("data.{key}")).collect::<Vec<_>>().join(", ");
    let named = match keys.len().saturating_sub(KEYS_MAX) {
        0 => named,
        more => format!("{named} and {more} more keys"),
    };
    let writer = by.as_deref().unwrap_or(SOMEBODY);
    Some((format!("{reference} {NOT_AS_APPLIED}: {writer} changed {named}"), by))
}

/// The first field, two steps deep, in which two states of one object differ.
fn changed(live: &Value, tried: &Value) -> Option<String> {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let named = NAMED.into_iter().find(|name| live["metadata"][*name] != tried["metadata"][*name]);
    if let Some(name) = named {
        return Some(format!("metadata.{name}"));
    }
    let (live, tried) = (fields(live), fields(tried));
    for (key, wanted) in tried.iter().filter(|(key, _)| !OTHERS.contains(&key.as_str())) {
        let found = live.get(key);
        if found == Some(wanted) {
            continue;
        }
        let (found, wanted) = (fields(found.unwrap_or(&Value::Null)), fields(wanted));
        let names = found.keys().chain(wanted.keys());
        let below = names.into_iter().find(|name| found.get(*name) != wanted.get(*name));
        return Some(below.map_or_else(|| key.clone(), |below| format!("{key}.{below}")));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changed_keys_of_a_secret_are_named_with_who_wrote_them() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "db", "namespace": "shop", "uid": "1", "resourceVersion": "5", "managedFields": [
                {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:tls.crt": {}}}},
            ]},
            "data": {"tls.crt": "c2VjcmV0"},
        });
        let (reference, seen) = (ObjectRef::of(&secret).unwrap(), Live::of(&secret).unwrap());
        let told = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            told_keys(&reference, &seen, &keys)
        };
        assert_eq!(told(&[]), None);
        let (words, by) = told(&["tls.crt", "tls.key"]).unwrap();
        assert_eq!(by.as_deref(), Some("kubectl-edit"));
        assert_eq!(
            words,
            "v1/Secret shop/db is not as it was applied: kubectl-edit changed data.tls.crt, data.tls.key"
        );
        let (words, by) = told(&["a", "b", "c", "d", "e", "f", "g"]).unwrap();
        assert!(words.ends_with("somebody changed data.a, data.b, data.c, data.d, data.e and 2 more keys"));
        assert_eq!(by.as_deref(), Some("somebody"));
    }

    #[test]
    fn the_field_that_was_changed_is_named() {
        let live = json!({"kind": "Deployment", "metadata": {"resourceVersion": "2"}, "spec": {"replicas": 3, "paused": false}, "status": {"a": 1}});
        let mut tried = live.clone();
        tried["metadata"]["resourceVersion"] = json!("1");
        tried["status"] = json!({});
        assert_eq!(changed(&live, &tried), None);
        let mut labelled = tried.clone();
        labelled["metadata"]["labels"] = json!({"app": "web"});
        assert_eq!(changed(&live, &labelled).as_deref(), Some("metadata.labels"));
        tried["spec"]["replicas"] = json!(2);
        assert_eq!(changed(&live, &tried).as_deref(), Some("spec.replicas"));
        assert_eq!(changed(&json!({"data": "a"}), &json!({"data": "b"})).as_deref(), Some("data"));
    }
}

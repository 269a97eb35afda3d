//! Values in place of references, only on the way to the cluster.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use slipway_handoff::{Object, ObjectRef, SecretUse, secret};
use slipway_types::SecretReference;

use super::Work;
use crate::applied_secrets::{self, AppliedSecret};
use crate::hitch::Hitch;

impl Work {
    /// Puts values where references stand in a Secret. The object must not be shown after it.
    pub(super) async fn put_secrets(&self, object: &ObjectRef, manifest: &mut Value) -> Result<(), Hitch> {
        if !object.is_secret() {
            return Ok(());
        }
        for field in ["data", "stringData"] {
            let Some(fields) = manifest.get_mut(field).and_then(Value::as_object_mut) else { continue };
            for (key, value) in fields.iter_mut() {
                let Some(reference) = secret::marker(value) else { continue };
                let reference =
                    reference.map_err(|why| Hitch::Lasting(format!("{object} {field}.{key}: {why}")))?;
                let used = self.used(&reference).ok_or_else(|| {
                    Hitch::Lasting(format!("{object} {field}.{key}: the revision does not list {reference}"))
                })?;
                let secret = self.core.host.secret(&self.submission.key, used).await?;
                let text = secret.expose_secret();
                let is_encoded = field == "data";
                *value = Value::String(if is_encoded { STANDARD.encode(text) } else { text.to_owned() });
            }
        }
        fold(manifest);
        Ok(())
    }

    /// What a manifest that has the values makes of a Secret; `None`: it is none, or others may write it.
    pub(super) fn applied_secret(&self, object: &Object, manifest: &Value) -> Option<AppliedSecret> {
        let is_own = object.object.is_secret() && !object.shared;
        is_own.then(|| AppliedSecret::of(object, manifest, &self.digests()))
    }

    /// The keys of which a Secret holds other values than those that were applied.
    pub(super) fn changed_keys(&self, applied: &AppliedSecret, secret: &Value) -> Vec<String> {
        applied.changed_in(secret, &self.digests())
    }

    /// Digests of what a Secret that is there holds, by the keys that its manifest gives it.
    pub(super) fn held(&self, object: &Object, manifest: &Value, live: &Value) -> BTreeMap<String, String> {
        applied_secrets::held(object, manifest, live, &self.digests())
    }

    /// How values are digested here.
    pub(super) fn digests(&self) -> impl Fn(&[&str], &[u8]) -> String {
        |place, value| self.core.host.keyed_digest(place, value)
    }

    fn used(&self, reference: &SecretReference) -> Option<&SecretUse> {
        self.submission.document.secrets.iter().find(|used| used.reference == *reference)
    }
}

/// Puts all into `data`: what was once sent as `stringData` no later apply removes
/// (<https://kubernetes.io/docs/concepts/configuration/secret/>).
fn fold(secret: &mut Value) {
    let Some(texts) = secret.as_object_mut().and_then(|secret| secret.remove("stringData")) else { return };
    let Value::Object(texts) = texts else { return };
    if !secret["data"].is_object() {
        secret["data"] = Value::Object(serde_json::Map::new());
    }
    for (key, text) in texts {
        secret["data"][key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_sent_as_data_and_count_before_it() {
        let mut secret =
            json!({"kind": "Secret", "data": {"a": "eA==", "b": "eQ=="}, "stringData": {"b": "z"}});
        fold(&mut secret);
        assert_eq!(secret, json!({"kind": "Secret", "data": {"a": "eA==", "b": "eg=="}}));
        let mut secret = json!({"kind": "Secret", "stringData": {"b": "z"}});
        fold(&mut secret);
        assert_eq!(secret["data"], json!({"b": "eg=="}));
    }
}

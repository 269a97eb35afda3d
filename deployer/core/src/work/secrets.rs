//! Values in place of references, only on the way to the cluster.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use slipway_handoff::{ObjectRef, SecretUse, secret};
use slipway_types::SecretReference;

use super::Work;
use crate::hitch::Hitch;

impl Work {
    /// Puts values where references stand in a Secret. The object must not be shown after it.
    pub(super) async fn put_secrets(&self, object: &ObjectRef, manifest: &mut Value) -> Result<(), Hitch> {
        if !object.is_secret() {
            return Ok(());
        }
        for (field, is_encoded) in [("data", true), ("stringData", false)] {
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
                *value = Value::String(if is_encoded { STANDARD.encode(text) } else { text.to_owned() });
            }
        }
        Ok(())
    }

    fn used(&self, reference: &SecretReference) -> Option<&SecretUse> {
        self.submission.document.secrets.iter().find(|used| used.reference == *reference)
    }
}

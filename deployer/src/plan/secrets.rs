//! Secrets of a revision: references and versions, never values.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_handoff::secret::{MARKER, SecretPlace};
use slipway_handoff::{ObjectRef, SecretUse};
use slipway_types::{Fault, SecretReference, Violation};

use crate::stage::Stage;

/// Whose doing it is that a rendered secret is kept.
pub(super) const KEEPER: &str = "slipway";

/// Every reference in an object's `data` and `stringData`, with its key.
pub(super) fn references(object: &Value) -> Vec<(String, SecretReference)> {
    let mut found = Vec::new();
    for field in ["data", "stringData"] {
        let Some(fields) = object[field].as_object() else { continue };
        for (key, value) in fields {
            let reference = value[MARKER].as_str().and_then(|text| text.parse().ok());
            found.extend(reference.map(|reference| (key.clone(), reference)));
        }
    }
    found
}

/// Uses of secrets, gathered over a revision's objects.
#[derive(Default)]
pub(super) struct Uses(BTreeMap<SecretReference, Vec<SecretPlace>>);

impl Uses {
    /// Notes what an object uses.
    pub(super) fn note(&mut self, key: &ObjectRef, object: &Value) {
        for (name, reference) in references(object) {
            self.0.entry(reference).or_default().push(SecretPlace { object: key.clone(), key: name });
        }
    }

    /// The uses with the version that each secret has now. `pending` are those that are stored when the
    /// revision is.
    pub(super) async fn versions(
        self,
        stage: &Stage,
        pending: &(dyn Fn(&SecretReference) -> bool + Sync),
    ) -> Result<(Vec<SecretUse>, Vec<Violation>), Fault> {
        let mut uses = Vec::new();
        let mut violations = Vec::new();
        for (reference, mut used_in) in self.0 {
            used_in.sort();
            used_in.dedup();
            let version = match stage.secrets.resolve(&reference).await {
                Ok(resolved) => resolved.version,
                Err(_) if pending(&reference) => "1".to_owned(),
                Err(error) => {
                    let fault: Fault = error.into();
                    if fault.class == slipway_types::Class::Transient {
                        return Err(fault);
                    }
                    let path = used_in.first().map(|place| place.object.to_string()).unwrap_or_default();
                    violations.push(
                        Violation::new("secret_missing", path, format!("{reference}: {}", fault.message))
                            .hint("set it: slipway secret set NAME"),
                    );
                    continue;
                }
            };
            uses.push(SecretUse { reference, version, used_in });
        }
        Ok((uses, violations))
    }
}

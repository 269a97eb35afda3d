//! Secrets of a revision: references, scopes and versions, never values.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_handoff::secret::{MARKER, SecretPlace};
use slipway_handoff::{ObjectRef, SecretUse};
use slipway_records::Environment;
use slipway_secrets::Asker;
use slipway_types::secret::SecretProvider;
use slipway_types::{ApplicationName, Class, Fault, SecretReference, SecretScope, Violation};

use super::package_objects::rendered_scope;
use crate::stage::Stage;

/// Whose doing it is that a rendered secret is kept.
pub(super) const KEEPER: &str = "slipway";

/// Every reference in an object's `data` and `stringData`, with its key.
fn references(object: &Value) -> Vec<(String, SecretReference)> {
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

/// Whose secrets: an application's in an environment.
#[derive(Clone, Copy)]
pub(crate) struct SecretsOf<'a> {
    pub(crate) application: &'a ApplicationName,
    pub(crate) environment: &'a Environment,
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

    /// Forgets an object that is not drawn as it was noted.
    pub(super) fn forget(&mut self, key: &ObjectRef) {
        for places in self.0.values_mut() {
            places.retain(|place| place.object != *key);
        }
        self.0.retain(|_, places| !places.is_empty());
    }

    /// Each secret with its places, sorted and once each.
    pub(super) fn places(self) -> impl Iterator<Item = (SecretReference, Vec<SecretPlace>)> {
        self.0.into_iter().map(|(reference, mut used_in)| {
            used_in.sort();
            used_in.dedup();
            (reference, used_in)
        })
    }

    /// The uses with the version that each secret has now. `pending` are those that are stored when the
    /// revision is.
    pub(super) async fn versions(
        self,
        stage: &Stage,
        place: SecretsOf<'_>,
        pending: &(dyn Fn(&SecretReference) -> bool + Sync),
    ) -> Result<(Vec<SecretUse>, Vec<Violation>), Fault> {
        let mut uses = Vec::new();
        let mut violations = Vec::new();
        for (reference, used_in) in self.places() {
            match stage.secret_version(&reference, place).await {
                Ok((scope, version)) => uses.push(SecretUse { reference, scope, version, used_in }),
                Err(_) if pending(&reference) => {
                    let (scope, version) = (Some(SecretScope::Global), "1".to_owned());
                    uses.push(SecretUse { reference, scope, version, used_in });
                }
                Err(fault) if fault.class == Class::Transient => return Err(fault),
                Err(fault) => {
                    violations.push(violation(fault, first_place(&used_in)));
                }
            }
        }
        Ok((uses, violations))
    }
}

/// Where a use is told of.
pub(super) fn first_place(used_in: &[SecretPlace]) -> String {
    used_in.first().map(|place| place.object.to_string()).unwrap_or_default()
}

fn violation(fault: Fault, path: String) -> Violation {
    let violation = Violation::new(&fault.code, path, fault.message);
    match fault.hint {
        Some(hint) => violation.hint(hint),
        None => violation,
    }
}

impl Stage {
    /// Scope and version that a secret has now for an application in an environment.
    async fn secret_version(
        &self,
        reference: &SecretReference,
        place: SecretsOf<'_>,
    ) -> Result<(Option<SecretScope>, String), Fault> {
        let SecretsOf { application, environment } = place;
        if reference.provider == SecretProvider::Kubernetes {
            return Ok((None, self.cluster_secret(reference, place).await?.version));
        }
        if rendered_scope(application, &environment.name).has(reference) {
            let rendered = self.secrets.resolve(reference).await?;
            return Ok((Some(SecretScope::Global), rendered.version));
        }
        let asker = Asker { application, environment: Some(&environment.name) };
        match self.secrets.resolve_for(reference, asker).await {
            Ok(found) => Ok((Some(found.scope), found.resolved.version)),
            Err(error) => {
                let is_missing = matches!(error, slipway_secrets::SecretError::Missing { .. });
                let fault = Fault::from(error);
                let (name, env) = (&reference.path, &environment.name);
                let set = format!("set it: slipway secret set {name} --app {application} --env {env} < FILE");
                Err(if is_missing { fault.hint(set) } else { fault })
            }
        }
    }

    /// A revision's uses of secrets with the version that each has now in the scope it was taken from, and
    /// what stands against it.
    pub(crate) async fn secrets_of_now(
        &self,
        uses: &[SecretUse],
        place: SecretsOf<'_>,
    ) -> Result<(Vec<SecretUse>, Vec<Violation>), Fault> {
        let mut now = Vec::new();
        let mut violations = Vec::new();
        for used in uses {
            match self.version_of_now(used, place).await {
                Ok(version) => now.push(SecretUse { version, ..used.clone() }),
                Err(fault) if fault.class == Class::Transient => return Err(fault),
                Err(fault) => violations.push(violation(fault, first_place(&used.used_in))),
            }
        }
        Ok((now, violations))
    }

    async fn version_of_now(&self, used: &SecretUse, place: SecretsOf<'_>) -> Result<String, Fault> {
        let reference = &used.reference;
        if reference.provider != SecretProvider::Builtin {
            return Ok(self.secret_version(reference, place).await?.1);
        }
        let scope = used.scope.clone().unwrap_or(SecretScope::Global);
        match self.secrets.resolve_in(reference, &scope).await {
            Ok(found) => Ok(found.version),
            Err(error) => {
                let is_missing = matches!(error, slipway_secrets::SecretError::Missing { .. });
                let fault = Fault::from(error);
                let (application, env) = (place.application, &place.environment.name);
                let again = format!(
                    "it was taken from the scope {scope}: set it there, or have it chosen anew: \
                     slipway deploy restart {application} --env {env} --reason …"
                );
                Err(if is_missing { fault.hint(again) } else { fault })
            }
        }
    }
}

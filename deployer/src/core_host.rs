//! What the built-in reconcile core gets from the server that it is part of.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use slipway_core::schedule::Turn;
use slipway_core::{DriftRule, Driven, Evidence, Host};
use slipway_handoff::{Call, Key, ManifestSet, Revision, SecretUse};
use slipway_kubernetes::Cluster;
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::{DeploymentCause, Environment};
use slipway_secrets::Asker;
use slipway_types::environment::{DriftPolicy, ReceiverSettings, Sensing};
use slipway_types::secret::SecretProvider;
use slipway_types::{Address, Digest, Fault, SecretReference, SecretScope};

use crate::calls::Calls;
use crate::plan::{Frozen, SecretsOf};
use crate::stage::Stage;

/// The core's way to clusters, secrets and kept revisions.
pub struct CoreHost {
    /// The stage, which need not have the core itself.
    pub stage: Stage,
    /// The way to hosts that revisions may call.
    pub calls: Calls,
}

impl CoreHost {
    async fn environment(&self, address: &Address) -> Result<Environment, Fault> {
        let mut read = self.stage.records.read().await.map_err(|error| crate::records_fault(&error))?;
        let found = read.environment_by_address(address).await;
        found.map_err(|error| crate::records_fault(&error))?.ok_or_else(|| {
            Fault::permanent("no_environment", format!("there is no environment at {address} any more"))
        })
    }

    /// Who keeps an application in an environment as it is, in words. A pin keeps its version, and what others
    /// change of that is no part of it, unless it came of a rollback.
    async fn holder(&self, key: &Key, environment: &Environment) -> Result<Option<String>, Fault> {
        let fault = |error| crate::records_fault(&error);
        let mut read = self.stage.records.read().await.map_err(fault)?;
        let Some(application) = read.application_by_name(&key.application).await.map_err(fault)? else {
            return Ok(None);
        };
        let hold = read.hold_get(environment.id, application.id).await.map_err(fault)?;
        let Some(hold) = hold else { return Ok(None) };
        if hold.version_id.is_some() {
            let out = read.deployment_out(environment.id, application.id).await.map_err(fault)?;
            if !out.is_some_and(|out| matches!(out.cause, DeploymentCause::Rollback { .. })) {
                return Ok(None);
            }
        }
        let release = format!("slipway release {} --env {}", application.name, environment.name);
        Ok(Some(format!("{} holds it ({}) until `{release}`", hold.by, hold.reason)))
    }

    /// A secret as an application gets it now.
    async fn secret_of(&self, key: &Key, reference: &SecretReference) -> Result<SecretString, Fault> {
        let environment = self.environment(&key.environment).await?;
        if reference.provider == SecretProvider::Kubernetes {
            let place = SecretsOf { application: &key.application, environment: &environment };
            return Ok(self.stage.cluster_secret(reference, place).await?.value);
        }
        let asker = Asker { application: &key.application, environment: Some(&environment.name) };
        Ok(self.stage.secrets.resolve_for(reference, asker).await?.resolved.value)
    }

    /// Has what waits for news of a deployment ask for them now.
    async fn wake(&self, key: &Key, generation: u64) -> Result<(), Fault> {
        let fault = |error| crate::records_fault(&error);
        let mut tx = self.stage.records.begin().await.map_err(fault)?;
        if let Some(name) = key.application.addon() {
            let Some(addon) = tx.addon_by_name(&name).await.map_err(fault)? else { return Ok(()) };
            tx.job_enqueue(addon.job()).await.map_err(fault)?;
            return tx.commit().await.map_err(fault);
        }
        let Some(application) = tx.application_by_name(&key.application).await.map_err(fault)? else {
            return Ok(());
        };
        let Some(environment) = tx.environment_by_address(&key.environment).await.map_err(fault)? else {
            return Ok(());
        };
        let found = tx.deployment_by_generation(environment.id, application.id, generation).await;
        let Some(deployment) = found.map_err(fault)? else { return Ok(()) };
        let payload = JobPayload::Observe { deployment: deployment.id };
        tx.job_enqueue(NewJob::new(payload, Some(application.id))).await.map_err(fault)?;
        tx.commit().await.map_err(fault)
    }
}

/// Whether the built-in core is handed what goes there.
fn is_driven(environment: &Environment) -> bool {
    matches!(environment.settings.receiver, ReceiverSettings::Core {})
}

#[async_trait]
impl Host for CoreHost {
    async fn keep(&self, key: &Key, document: &Revision, manifests: &ManifestSet) -> Result<(), Fault> {
        let frozen = Frozen { revision: document.clone(), manifests: manifests.clone() };
        self.stage.keep_revision(key, &frozen).await?;
        Ok(())
    }

    async fn kept(&self, key: &Key, revision: &Digest) -> Result<(Revision, ManifestSet), Fault> {
        let frozen = self.stage.kept_revision(key, revision).await?;
        Ok((frozen.revision, frozen.manifests))
    }

    async fn cluster(&self, address: &Address) -> Result<Arc<Cluster>, Fault> {
        let environment = self.environment(address).await?;
        self.stage.cluster_of(&environment).await
    }

    async fn clusters(&self) -> Result<Vec<Driven>, Fault> {
        let fault = |error| crate::records_fault(&error);
        let mut read = self.stage.records.read().await.map_err(fault)?;
        let environments = read.environment_list().await.map_err(fault)?;
        let rows = read.cluster_list().await.map_err(fault)?;
        drop(read);
        let driven = environments.iter().filter(|environment| is_driven(environment));
        let driven: BTreeSet<&str> = driven.map(|environment| environment.address.cluster()).collect();
        let mut clusters = Vec::new();
        for row in rows.iter().filter(|row| driven.contains(row.name.as_str())) {
            match self.stage.clusters.of(row).await {
                Ok(cluster) => clusters.push(Driven {
                    name: row.name.to_string(),
                    cluster,
                    is_polled: row.settings.sensing == Sensing::Pull,
                }),
                Err(fault) => tracing::debug!(cluster = %row.name, fault = fault.message, "is not sensed"),
            }
        }
        Ok(clusters)
    }

    async fn secret(&self, key: &Key, used: &SecretUse) -> Result<SecretString, Fault> {
        let reference = &used.reference;
        if reference.provider == SecretProvider::Kubernetes {
            let environment = self.environment(&key.environment).await?;
            let place = SecretsOf { application: &key.application, environment: &environment };
            return Ok(self.stage.cluster_secret(reference, place).await?.value);
        }
        if reference.provider != SecretProvider::Builtin {
            return Ok(self.stage.secrets.resolve(reference).await?.value);
        }
        let scope = used.scope.clone().unwrap_or(SecretScope::Global);
        Ok(self.stage.secrets.resolve_in(reference, &scope).await?.value)
    }

    fn keyed_digest(&self, place: &[&str], value: &[u8]) -> String {
        self.stage.secrets.keyed_digest(place, value)
    }

    async fn drift(&self, key: &Key) -> Result<DriftRule, Fault> {
        let environment = self.environment(&key.environment).await?;
        match environment.settings.drift() {
            DriftPolicy::Report => Ok(DriftRule::Report),
            DriftPolicy::Correct => {
                let holder = self.holder(key, &environment).await?;
                Ok(holder.map_or(DriftRule::Correct, DriftRule::Held))
            }
        }
    }

    async fn call(&self, key: &Key, call: &Call) -> Result<(), Fault> {
        let secret = match &call.secret {
            Some(reference) => Some(self.secret_of(key, reference).await?),
            None => None,
        };
        self.calls.make(call, secret.as_ref()).await
    }

    async fn has_evidence(&self, key: &Key, generation: u64, turn: &Turn) -> Result<bool, Fault> {
        self.stage.has_failure(key, generation, turn).await
    }

    async fn keep_evidence(&self, key: &Key, generation: u64, evidence: &Evidence) -> Result<(), Fault> {
        self.stage.keep_failure(key, generation, evidence).await
    }

    async fn tell(&self, key: &Key, generation: u64) {
        if let Err(fault) = self.wake(key, generation).await {
            tracing::warn!(%key, fault = fault.message, "news of the core are heard later");
        }
    }
}

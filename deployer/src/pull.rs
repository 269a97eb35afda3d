//! What an environment needs to pull: images in its registry, and a secret in its namespace.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use slipway_kubernetes::{FIELD_MANAGER, ObjectKey};
use slipway_oci::manifest::Manifest;
use slipway_oci::source::{INTERNAL_HOST, ImageSource as _};
use slipway_records::{
    Application, Environment, NewAuditEntry, NewToken, PackageVersion, TokenRow, pull_token,
};
use slipway_types::environment::{ClusterSettings, PullRegistry};
use slipway_types::state::BuiltImage;
use slipway_types::{Class, Fault, ImageReference, RegistryPrefix, SecretReference, SecretScope};

use crate::clusters::fault_of;
use crate::handler::SLIPWAY;
use crate::packages;
use crate::plan::pull_secret_name;
use crate::stage::Stage;

impl Stage {
    /// Copies images where the environment pulls from, and keeps the pull secret in its namespace.
    pub async fn prepare_pull(
        &self,
        application: Application,
        environment: &Environment,
        bundle: &PackageVersion,
    ) -> Result<(), Fault> {
        let members = packages::members(bundle)?;
        let images: Vec<&BuiltImage> = members.iter().flat_map(|member| &member.images).collect();
        if let Some(pull) = &environment.settings.pull_registry {
            for image in &images {
                self.copy(image, pull).await?;
            }
        }
        if images.is_empty() {
            return Ok(());
        }
        let Some((host, user, password)) = self.pull_credential(&application, environment).await? else {
            return Ok(());
        };
        let auth = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
        let config = json!({"auths": {host: {"auth": auth}}}).to_string();
        let name = pull_secret_name(&application.name);
        let namespace = environment.address.namespace().to_owned();
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/dockerconfigjson",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/managed-by": "slipway"},
            },
            "data": {".dockerconfigjson": STANDARD.encode(config)},
        });
        let cluster = self.cluster_of(environment).await?;
        if environment.settings.create_namespace {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            let key = ObjectKey {
                api_version: "v1".into(),
                kind: "Namespace".into(),
                namespace: String::new(),
                name: namespace.clone(),
            };
            let applied = cluster.apply(&key, &object, FIELD_MANAGER).await;
            applied.map_err(|error| fault_of(environment.address.cluster(), &error))?;
        }
        let key = ObjectKey { api_version: "v1".into(), kind: "Secret".into(), namespace, name };
        let applied = cluster.apply(&key, &secret, FIELD_MANAGER).await;
        applied.map_err(|error| {
            let fault = fault_of(environment.address.cluster(), &error);
            if error.is_not_found() {
                fault.hint("make the namespace first, or let the environment make it: createNamespace")
            } else {
                fault
            }
        })?;
        Ok(())
    }

    async fn pull_credential(
        &self,
        application: &Application,
        environment: &Environment,
    ) -> Result<Option<(String, String, SecretString)>, Fault> {
        if let Some(pull) = &environment.settings.pull_registry {
            let Some(reference) = &pull.credential else { return Ok(None) };
            let pair = self.secrets.resolve(reference).await?.value;
            let (user, password) = pair.expose_secret().split_once(':').ok_or_else(|| {
                Fault::permanent("pull_credential", format!("{reference} is not USER:PASSWORD"))
            })?;
            let host = host_of(&pull.prefix.to_string());
            return Ok(Some((host, user.to_owned(), SecretString::from(password.to_owned()))));
        }
        let token = self.pull_token(application, environment).await?;
        let host = host_of(&self.options.pull_registry.to_string());
        Ok(Some((host, "slipway".to_owned(), token)))
    }

    /// The token by which the nodes of an environment pull an application: its images and packages, nothing else.
    async fn pull_token(
        &self,
        application: &Application,
        environment: &Environment,
    ) -> Result<SecretString, Fault> {
        let name = pull_token::name(&environment.name, &application.name);
        let kept = SecretReference::builtin(format!("pull/{}/{}", environment.name, application.name.path()));
        let fault = |error| crate::records_fault(&error);
        let mut tx = self.records.begin().await.map_err(fault)?;
        let live = tx.token_live_by_name(&name).await.map_err(fault)?;
        let is_own = |token: &TokenRow| {
            (token.pulls_for, token.application_id) == (Some(environment.id), Some(application.id))
        };
        if live.as_ref().is_some_and(is_own) {
            match self.secrets.resolve(&kept).await {
                Ok(resolved) => return Ok(resolved.value),
                Err(error) => {
                    let fault = Fault::from(error);
                    // It may well be there: nodes go on with it.
                    if fault.class == Class::Transient {
                        return Err(fault);
                    }
                }
            }
        }
        if let Some(other) = live {
            let because = "another takes its place";
            pull_token::end(tx.as_mut(), &other, SLIPWAY, because).await.map_err(fault)?;
        }
        let (plain, hash) = slipway_secrets::new_token();
        let made = tx.token_insert(NewToken {
            name,
            hash,
            person: None,
            role: None,
            break_glass: false,
            application_id: Some(application.id),
            pulls_for: Some(environment.id),
            grants: Vec::new(),
            expires_at: None,
        });
        let made = made.await.map_err(fault)?;
        tx.audit(created(&made, application, environment)).await.map_err(fault)?;
        let secrets = &self.secrets;
        secrets.set_within(tx.as_mut(), &SecretScope::Global, &kept.path, &plain, SLIPWAY).await?;
        tx.commit().await.map_err(fault)?;
        Ok(plain)
    }

    /// Copies an image with all its platforms; what is there is not sent again.
    async fn copy(&self, image: &BuiltImage, pull: &PullRegistry) -> Result<(), Fault> {
        let from = |digest| match &image.registry {
            Some(prefix) => prefix.reference(&image.repository, Some(digest)),
            None => ImageReference {
                host: INTERNAL_HOST.to_owned(),
                repository: image.repository.clone(),
                tag: None,
                digest: Some(digest),
            },
        };
        let to = |digest| pull.prefix.reference(&image.repository, Some(digest));
        if self.images.head_manifest(&to(image.digest)).await?.is_some() {
            return Ok(());
        }
        let platforms = image.platforms.iter().map(|platform| platform.digest);
        // The index last: whoever sees it finds what it names.
        let digests: Vec<_> = platforms.chain(std::iter::once(image.digest)).collect();
        let mut done = BTreeSet::new();
        for digest in digests {
            if !done.insert(digest) {
                continue;
            }
            let fetched = self.images.fetch_manifest(&from(digest)).await?;
            if let Manifest::Image(manifest) = &fetched.manifest {
                for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    let blob = self.images.fetch_blob(&from(digest), descriptor).await?;
                    self.images.push_blob(&to(digest), &blob).await?;
                }
            }
            self.images.push_manifest(&to(digest), fetched.bytes, &fetched.media_type).await?;
        }
        Ok(())
    }

    /// Why nodes of a cluster cannot pull from `own`, the registry of an environment, or else from where this
    /// server has clusters pull, as far as addresses tell.
    pub(crate) async fn pull_objection(
        &self,
        cluster: &ClusterSettings,
        own: Option<&RegistryPrefix>,
    ) -> Option<String> {
        let prefix = own.unwrap_or(&self.options.pull_registry);
        if !prefix.is_loopback() || self.clusters.is_here(cluster).await? {
            return None;
        }
        let set = match own {
            Some(_) => "name another `pullRegistry`",
            None => {
                "set `deploy.pull_registry`, or `server.public_url`, to an address of this server that they \
                 reach, or `pullRegistry` of each environment"
            }
        };
        Some(format!(
            "nodes of this cluster cannot pull images from {prefix}, which is their own loopback: {set}"
        ))
    }

    /// A reference of the built-in registry as others reach it.
    pub fn public_name(&self, reference: &str) -> String {
        match reference.strip_prefix(INTERNAL_HOST) {
            Some(rest) => format!("{}{rest}", self.options.pull_registry),
            None => reference.to_owned(),
        }
    }
}

/// What the audit record keeps of a token by which an environment pulls.
fn created(token: &TokenRow, application: &Application, environment: &Environment) -> NewAuditEntry {
    NewAuditEntry {
        actor: SLIPWAY.to_owned(),
        action: "token.create",
        subject: format!("token/{}", token.name),
        detail: json!({"id": token.id, "pulls_for": environment.name, "application": application.name}),
    }
}

/// The host of a registry's prefix.
fn host_of(prefix: &str) -> String {
    prefix.split('/').next().unwrap_or(prefix).to_owned()
}

//! The built-in registry, the registries of others, and the one that images go to.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use slipway_builder::target::ImageTarget;
use slipway_objects::Blobs;
use slipway_oci::builtin::BuiltinRegistry;
use slipway_oci::client::{ClientOptions, Credential, HostSettings, Registries};
use slipway_oci::external::ExternalRegistry;
use slipway_oci::source::Images;
use slipway_records::Records;
use slipway_secrets::Secrets;
use slipway_types::{RegistryPrefix, SecretReference};

use crate::config::Config;

/// Where images are read from and written to.
pub(super) struct Registry {
    pub(super) builtin: BuiltinRegistry,
    /// The one that images go to instead.
    pub(super) external: Option<ExternalRegistry>,
    pub(super) images: Images,
    pub(super) target: Arc<ImageTarget>,
}

impl Registry {
    pub(super) async fn open(
        config: &Config,
        secrets: &Secrets,
        records: Arc<dyn Records>,
        blobs: &Blobs,
    ) -> Result<Self> {
        let others = Registries::new(client_options(config), BTreeMap::new(), blobs.clone())?;
        let builtin = BuiltinRegistry::new(records, blobs.clone());
        let Some(prefix) = config.image_target()? else {
            // Images that went to a registry once may still lie there.
            let builtin = builtin.with_upstream(others.clone());
            let images = Images::new(builtin.clone(), others);
            let target = Arc::new(ImageTarget::builtin(images.clone()));
            return Ok(Self { builtin, external: None, images, target });
        };
        let operators = operators_client(config, &prefix, secrets, blobs).await?;
        let builtin = builtin.with_upstream(operators.clone());
        let external = ExternalRegistry::new(prefix, operators, builtin.clone());
        let images = Images::new(builtin.clone(), others);
        let target = Arc::new(ImageTarget::external(images.clone(), external.clone()));
        Ok(Self { builtin, external: Some(external), images, target })
    }
}

/// A client of its own for the registry that the operator names. Its credential and its right to
/// private addresses are not for what Dockerfiles name.
async fn operators_client(
    config: &Config,
    prefix: &RegistryPrefix,
    secrets: &Secrets,
    blobs: &Blobs,
) -> Result<Registries> {
    let registry = &config.registry;
    let mut options = client_options(config);
    options.allowed_private_hosts.push(prefix.host.clone());
    let credential = if registry.image_target_password.is_empty() {
        None
    } else {
        let key = "registry.image_target_password";
        let reference: SecretReference = registry.image_target_password.parse().context(key)?;
        let password = secrets.resolve(&reference).await.context(key)?.value;
        Some(Credential { user: registry.image_target_user.clone(), password })
    };
    let insecure_http = registry.image_target_allow_http.then_some(true);
    let settings = HostSettings { credential, insecure_http, ..HostSettings::default() };
    let hosts = BTreeMap::from([(prefix.host.clone(), settings)]);
    Ok(Registries::new(options, hosts, blobs.clone())?)
}

fn client_options(config: &Config) -> ClientOptions {
    ClientOptions {
        own_hosts: config.own_hosts(),
        allowed_private_hosts: config.registry.allow_private_hosts.clone(),
        idle_timeout_ms: config.registry.idle_timeout_ms,
        max_attempts: config.registry.max_attempts,
        ..ClientOptions::default()
    }
}

//! The built-in registry, the registries of others, and the one that images go to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use slipway_builder::target::ImageTarget;
use slipway_network::Network;
use slipway_objects::Blobs;
use slipway_oci::builtin::BuiltinRegistry;
use slipway_oci::client::{ClientOptions, Credential, HostSettings, Mirror, Registries};
use slipway_oci::external::ExternalRegistry;
use slipway_oci::source::Images;
use slipway_records::Records;
use slipway_secrets::Secrets;
use slipway_types::{ApplicationName, RegistryPrefix, SecretReference};

use crate::config::{Config, Mistakes, RegistryCredential};

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
        network: &Network,
        secrets: &Secrets,
        records: Arc<dyn Records>,
        blobs: &Blobs,
    ) -> Result<Self> {
        let others = Others::open(config, network, secrets, blobs).await?;
        let builtin =
            BuiltinRegistry::new(records, blobs.clone()).with_rollback_depth(config.deploy.rollback_depth);
        let Some(prefix) = config.image_target()? else {
            // Images that went to a registry once may still lie there.
            let builtin = builtin.with_upstream(others.all.clone());
            let images = others.images(&builtin);
            let target = Arc::new(ImageTarget::builtin(images.clone()));
            return Ok(Self { builtin, external: None, images, target });
        };
        let operators = operators_client(config, network, &prefix, secrets, blobs).await?;
        let builtin = builtin.with_upstream(operators.clone());
        let external = ExternalRegistry::new(prefix, operators, builtin.clone());
        let images = others.images(&builtin);
        let target = Arc::new(ImageTarget::external(images.clone(), external.clone()));
        Ok(Self { builtin, external: Some(external), images, target })
    }
}

/// The registries that Dockerfiles name.
struct Others {
    /// For everybody.
    all: Registries,
    /// For applications with credentials of their own.
    by_application: BTreeMap<ApplicationName, Registries>,
}

impl Others {
    async fn open(config: &Config, network: &Network, secrets: &Secrets, blobs: &Blobs) -> Result<Self> {
        let mirrors = mirrors(config)?;
        let options = client_options(config, network);
        let mut given: Vec<_> = config.registries.credentials.iter().collect();
        // An application's own come after those for all, and win.
        given.sort_by_key(|credential| !credential.applications.is_empty());
        let mut resolved = Vec::new();
        for credential in given {
            let password = secrets.resolve(&credential.password.parse()?).await;
            let password =
                password.with_context(|| format!("registries.credentials: {}", credential.host))?;
            resolved.push((credential, password.value));
        }
        let client = |application: Option<&ApplicationName>| {
            let mut hosts: BTreeMap<String, HostSettings> = BTreeMap::new();
            for (host, mirrors) in &mirrors {
                hosts.entry(host.clone()).or_default().mirrors.clone_from(mirrors);
            }
            for (credential, password) in &resolved {
                if may_use(credential, application) {
                    give(
                        &mut hosts,
                        &credential.host.to_ascii_lowercase(),
                        &Credential { user: credential.user.clone(), password: password.clone() },
                    );
                }
            }
            Registries::new(options.clone(), hosts, blobs.clone())
        };
        let own: BTreeSet<ApplicationName> = config
            .registries
            .credentials
            .iter()
            .flat_map(|credential| &credential.applications)
            .map(|name| name.parse().context("registries.credentials"))
            .collect::<Result<_>>()?;
        let by_application =
            own.into_iter().map(|name| Ok((name.clone(), client(Some(&name))?))).collect::<Result<_>>()?;
        Ok(Self { all: client(None)?, by_application })
    }

    fn images(self, builtin: &BuiltinRegistry) -> Images {
        Images::new(builtin.clone(), self.all).with_applications(self.by_application)
    }
}

/// Looks at what the configuration says by itself.
pub(super) fn check(config: &Config, mistakes: &mut Mistakes) {
    for text in &config.registries.mirrors {
        mistakes.of("registries.mirrors", mirror(text));
    }
    // Which credentials are for mirrors is known only once those are.
    let Ok(mirrors) = mirrors(config) else { return };
    let is_mirror = |place: &str| mirrors.values().flatten().any(|mirror| mirror.at.to_string() == place);
    let mut known = BTreeSet::new();
    for credential in &config.registries.credentials {
        let checked =
            check_credential(credential, is_mirror(&credential.host.to_ascii_lowercase()), &mut known);
        mistakes.of("registries.credentials", checked);
    }
}

/// Looks at one credential; `known` has who gets which before it.
fn check_credential(
    credential: &RegistryCredential,
    is_mirror: bool,
    known: &mut BTreeSet<(String, Option<ApplicationName>)>,
) -> Result<()> {
    let context = || format!("registries.credentials: {}", credential.host);
    let place = credential.host.to_ascii_lowercase();
    let is_host = !place.is_empty() && !place.contains('/');
    if !(is_host || is_mirror) || credential.user.is_empty() {
        bail!(
            "registries.credentials: `{}` needs a user, and a host without scheme and path or a mirror as \
             registries.mirrors has it",
            credential.host
        );
    }
    credential.password.parse::<SecretReference>().with_context(context)?;
    for application in
        credential.applications.iter().map(Some).chain(credential.applications.is_empty().then_some(None))
    {
        let name =
            application.map(|name| name.parse::<ApplicationName>().with_context(context)).transpose()?;
        if !known.insert((place.clone(), name)) {
            bail!("registries.credentials: {} is given twice for the same application", credential.host);
        }
    }
    Ok(())
}

fn may_use(credential: &RegistryCredential, application: Option<&ApplicationName>) -> bool {
    let named = |name: &String| name.parse().ok().as_ref() == application;
    credential.applications.is_empty() || (application.is_some() && credential.applications.iter().any(named))
}

/// A credential for a mirror is for that alone; another is for what Dockerfiles name.
fn give(hosts: &mut BTreeMap<String, HostSettings>, place: &str, credential: &Credential) {
    let mut is_mirror = false;
    let mirrors = hosts.values_mut().flat_map(|settings| &mut settings.mirrors);
    for mirror in mirrors.filter(|mirror| mirror.at.to_string() == place) {
        mirror.credential = Some(credential.clone());
        is_mirror = true;
    }
    if !is_mirror {
        hosts.entry(place.to_owned()).or_default().credential = Some(credential.clone());
    }
}

/// By the host that Dockerfiles name.
fn mirrors(config: &Config) -> Result<BTreeMap<String, Vec<Mirror>>> {
    let mut mirrors: BTreeMap<String, Vec<Mirror>> = BTreeMap::new();
    for text in &config.registries.mirrors {
        let (host, mirror) = mirror(text)?;
        mirrors.entry(host).or_default().push(mirror);
    }
    Ok(mirrors)
}

/// A host and a mirror of it.
fn mirror(text: &str) -> Result<(String, Mirror)> {
    let context = || format!("registries.mirrors: `{text}` is not HOST=[http://]MIRROR[:PORT][/PREFIX]");
    let (host, mirror) = text.split_once('=').with_context(context)?;
    let host = host.trim().to_ascii_lowercase();
    if host.is_empty() || host.contains('/') {
        bail!(context());
    }
    let mirror = mirror.trim();
    let (at, insecure_http) = match mirror.strip_prefix("http://") {
        Some(rest) => (rest, Some(true)),
        None => (mirror.strip_prefix("https://").unwrap_or(mirror), None),
    };
    let at = at.trim_end_matches('/').parse().with_context(context)?;
    Ok((host, Mirror { at, insecure_http, credential: None }))
}

/// A client of its own for the registry that the operator names. Its credential and its right to
/// private addresses are not for what Dockerfiles name.
async fn operators_client(
    config: &Config,
    network: &Network,
    prefix: &RegistryPrefix,
    secrets: &Secrets,
    blobs: &Blobs,
) -> Result<Registries> {
    let registry = &config.registry;
    let mut options = client_options(config, network);
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

fn client_options(config: &Config, network: &Network) -> ClientOptions {
    ClientOptions {
        network: network.clone(),
        own_hosts: config.own_hosts(),
        allowed_private_hosts: config.registries.allow_private_hosts.clone(),
        idle_timeout_ms: config.registries.idle_timeout_ms,
        max_attempts: config.registries.max_attempts,
        ..ClientOptions::default()
    }
}

//! The way to others from its configuration.

use std::path::Path;

use anyhow::{Context, Result};
use slipway_network::{Authorities, Bundle, InvalidProxy, Network, Proxy, ProxyCredential};
use slipway_secrets::Secrets;
use slipway_types::SecretReference;

use crate::config::{self, Config, Mistakes};

/// Reads the certificates and the proxy's password.
pub(super) async fn open(config: &Config, data: &Path, secrets: &Secrets) -> Result<Network> {
    let network = &config.network;
    let credential = if network.proxy_password.is_empty() {
        None
    } else {
        let key = "network.proxy_password";
        let reference: SecretReference = network.proxy_password.parse().context(key)?;
        let password = secrets.resolve(&reference).await.context(key)?.value;
        Some(ProxyCredential { user: network.proxy_user.clone(), password })
    };
    let bundle = &network.ca_bundle;
    let authorities = (!bundle.as_os_str().is_empty())
        .then(|| Authorities::open(bundle, &data.join("cache").join("authorities.pem")))
        .transpose()
        .context("network.ca_bundle")?;
    Ok(Network::new(proxy(network, credential)?, authorities))
}

/// Looks at what the configuration says by itself.
pub(super) fn check(config: &Config, mistakes: &mut Mistakes) {
    let network = &config.network;
    if network.proxy_user.is_empty() != network.proxy_password.is_empty() {
        let key = if network.proxy_user.is_empty() { "network.proxy_password" } else { "network.proxy_user" };
        let message = "network.proxy_user and network.proxy_password belong together: set both or none";
        mistakes.note(key, message);
    }
    if !network.proxy_password.is_empty() {
        let key = "network.proxy_password";
        mistakes.of(key, network.proxy_password.parse::<SecretReference>().context(key));
    }
    if network.proxy.is_empty() {
        for (key, is_set) in [
            ("network.proxy_user", !network.proxy_user.is_empty()),
            ("network.no_proxy", !network.no_proxy.is_empty()),
        ] {
            if is_set {
                mistakes.note(key, format!("{key} is set, but network.proxy is empty"));
            }
        }
    }
    if let Err(error) = proxy(network, None) {
        // It says first which setting it is.
        mistakes.note(&error.to_string(), format!("{error:#}"));
    }
    let bundle = &network.ca_bundle;
    if !bundle.as_os_str().is_empty() {
        mistakes.of("network.ca_bundle", Bundle::read(bundle).context("network.ca_bundle"));
    }
}

fn proxy(network: &config::Network, credential: Option<ProxyCredential>) -> Result<Option<Proxy>> {
    (!network.proxy.is_empty())
        .then(|| {
            let proxy = Proxy::new(&network.proxy, credential, &network.no_proxy)?;
            Ok(proxy.resolving(network.proxy_resolves))
        })
        .transpose()
        .map_err(|error| {
            let key = if matches!(error, InvalidProxy::Exception(_)) { "no_proxy" } else { "proxy" };
            anyhow::Error::new(error).context(format!("network.{key}"))
        })
}

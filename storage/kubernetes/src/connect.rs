//! From a kubeconfig to a client that takes the network's way out.

use std::path::Path;

use kube::config::KubeConfigOptions;
pub use kube::config::Kubeconfig;
use kube::{Client, Config};
use secrecy::ExposeSecret as _;
use slipway_network::Network;
use slipway_yaml as yaml;

/// By which the API server's operators tell our requests from others.
const USER_AGENT: &str = concat!("slipway/", env!("CARGO_PKG_VERSION"));

/// Why there is no client. What is wrong with a kubeconfig is told without its text: that holds
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(pub String);

/// Reads a kubeconfig from a file.
pub fn read_kubeconfig(path: &Path) -> Result<Kubeconfig, ConnectError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConnectError(format!("{shown} cannot be read: {error}")))?;
    parse_kubeconfig(&text).map_err(|error| ConnectError(format!("{shown} {error}")))
}

/// Reads a kubeconfig from text; the error goes on after a name for it.
pub fn parse_kubeconfig(text: &str) -> Result<Kubeconfig, ConnectError> {
    if let Err(errors) = yaml::read(text.as_bytes(), &yaml::YamlOptions::default()) {
        let place = errors.first().map_or(String::new(), |error| format!(", line {}", error.at.line));
        return Err(ConnectError(format!("is not YAML{place}")));
    }
    Kubeconfig::from_yaml(text).map_err(|_| ConnectError("is no kubeconfig".to_owned()))
}

/// A client by a context of a kubeconfig; without one, of the cluster this process runs in.
pub async fn connect(
    file: Option<Kubeconfig>,
    context: Option<&str>,
    network: &Network,
) -> Result<Client, ConnectError> {
    let wrong = |error: &dyn std::fmt::Display| ConnectError(error.to_string());
    let mut own_proxy = None;
    let config = match file {
        None => Config::incluster().map_err(|error| wrong(&error))?,
        Some(file) => {
            own_proxy = proxy_of(&file, context);
            let options = KubeConfigOptions { context: context.map(ToOwned::to_owned), ..Default::default() };
            Config::from_custom_kubeconfig(file, &options).await.map_err(|error| wrong(&error))?
        }
    };
    let mut config = route(config, own_proxy, network).map_err(|why| wrong(&why))?;
    config.headers.push((
        "user-agent".parse().expect("invariant: a header's name"),
        USER_AGENT.parse().expect("invariant: a header's value"),
    ));
    Client::try_from(config).map_err(|error| wrong(&error))
}

/// Sends requests through the network's proxy and trusts its authorities, where the kubeconfig says nothing of
/// that.
///
/// `own_proxy`: what the kubeconfig says; `Config` itself may have taken one from the environment.
fn route(mut config: Config, own_proxy: Option<String>, network: &Network) -> Result<Config, String> {
    let address = config.cluster_url.to_string();
    let url = address.parse().map_err(|error| format!("`{address}` is no URL: {error}"))?;
    let networks = || network.proxy_for(&url).map(|proxy| proxy.full_address().expose_secret().to_owned());
    let proxy = own_proxy.filter(|proxy| !proxy.is_empty()).or_else(networks);
    let proxy = proxy.map(|proxy| proxy.parse()).transpose();
    config.proxy_url = proxy.map_err(|error| format!("the proxy's address: {error}"))?;
    if let Some(authorities) = network.authorities() {
        match &mut config.root_cert {
            None => config.root_cert = Some(authorities.all().map(<[u8]>::to_vec).collect()),
            // The certificate of such a proxy is the company's, not the cluster's.
            Some(own) if config.proxy_url.as_ref().is_some_and(|url| url.scheme_str() == Some("https")) => {
                own.extend(authorities.own().map(<[u8]>::to_vec));
            }
            Some(_) => {}
        }
    }
    Ok(config)
}

/// The cluster of a kubeconfig's context.
fn cluster_of<'f>(file: &'f Kubeconfig, context: Option<&str>) -> Option<&'f kube::config::Cluster> {
    let context = context.or(file.current_context.as_deref())?;
    let context = file.contexts.iter().find(|named| named.name == context)?.context.as_ref()?;
    let cluster = file.clusters.iter().find(|named| named.name == context.cluster)?;
    cluster.cluster.as_ref()
}

/// The proxy of a kubeconfig's context.
fn proxy_of(file: &Kubeconfig, context: Option<&str>) -> Option<String> {
    cluster_of(file, context)?.proxy_url.clone()
}

/// The host of the API server of a kubeconfig's context, without its port.
pub fn server_host<'f>(file: &'f Kubeconfig, context: Option<&str>) -> Option<&'f str> {
    let server = cluster_of(file, context)?.server.as_deref()?;
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(inside) => inside.split(']').next(),
        None => host.split(':').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_api_server_is_read_from_its_context() {
        for (server, host) in [
            ("https://127.0.0.1:6443", "127.0.0.1"),
            ("https://[::1]:6443/k8s", "::1"),
            ("https://api.eu.example.com", "api.eu.example.com"),
            ("10.0.0.7:6443", "10.0.0.7"),
        ] {
            let text = format!(
                "contexts:\n- name: a\n  context: {{cluster: c}}\nclusters:\n- name: c\n  cluster: {{server: '{server}'}}\n"
            );
            let file = parse_kubeconfig(&text).unwrap();
            assert_eq!(server_host(&file, Some("a")), Some(host));
            assert_eq!(server_host(&file, None), None, "no context is current");
            assert_eq!(server_host(&file, Some("b")), None);
        }
    }
}

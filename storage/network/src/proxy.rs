//! The proxy, and what is reached without it.

use hyper_util::client::proxy::matcher::Matcher;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Never asked of a proxy: this machine, and the metadata services of clouds.
const ALWAYS_DIRECT: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,fe80::/10";

/// An HTTP proxy.
pub struct Proxy {
    /// Without user and password.
    address: Url,
    /// With them, if there are any.
    full: SecretString,
    exceptions: String,
    resolves: bool,
    matcher: Matcher,
}

/// What a proxy is told of who asks.
pub struct ProxyCredential {
    /// User.
    pub user: String,
    /// Password.
    pub password: SecretString,
}

/// Settings that name no proxy.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProxy {
    /// Not a URL of one.
    #[error("`{0}` is no address of a proxy: use http://HOST:PORT or https://HOST:PORT")]
    Address(String),
    /// The address holds a secret.
    #[error("the proxy's address must hold no user and no password: they have settings of their own")]
    Credential,
    /// An exception that would not be understood.
    #[error(
        "`{0}` is no exception: use a domain (example.com, .example.com), an address or a network (10.0.0.0/8)"
    )]
    Exception(String),
}

impl Proxy {
    /// `address`: `http://HOST:PORT` or `https://HOST:PORT`. `exceptions`: domains with all below them,
    /// addresses and networks that are reached without it.
    pub fn new(
        address: &str,
        credential: Option<ProxyCredential>,
        exceptions: &[String],
    ) -> Result<Self, InvalidProxy> {
        let invalid = || InvalidProxy::Address(address.to_owned());
        let url = Url::parse(address).map_err(|_| invalid())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidProxy::Credential);
        }
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !is_bare {
            return Err(invalid());
        }
        if let Some(wrong) = exceptions.iter().find(|exception| !is_exception(exception)) {
            return Err(InvalidProxy::Exception(wrong.clone()));
        }
        let exceptions = [ALWAYS_DIRECT].into_iter().chain(exceptions.iter().map(String::as_str));
        let exceptions = exceptions.collect::<Vec<_>>().join(",");
        let matcher = Matcher::builder().all(url.as_str()).no(exceptions.as_str()).build();
        let full = with_credential(&url, credential)?;
        Ok(Self { address: url, full, exceptions, resolves: false, matcher })
    }

    /// Leaves names that are unknown here to it: it must itself refuse those that lead to what this server's
    /// users may not reach.
    #[must_use]
    pub fn resolving(self, resolves: bool) -> Self {
        Self { resolves, ..self }
    }

    /// Whether names that are unknown here are left to it.
    pub fn resolves(&self) -> bool {
        self.resolves
    }

    /// Its address, without user and password.
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// `HOST:PORT`.
    pub fn host_and_port(&self) -> String {
        let port = self.address.port_or_known_default().unwrap_or(80);
        format!("{}:{port}", self.address.host_str().unwrap_or_default())
    }

    /// Its address with user and password: for memory and the environment of a child process alone.
    pub fn full_address(&self) -> &SecretString {
        &self.full
    }

    /// What is reached without it, as `NO_PROXY` has it.
    pub fn exceptions(&self) -> &str {
        &self.exceptions
    }

    /// Whether `url` is reached through it.
    pub fn serves(&self, url: &Url) -> bool {
        url.as_str().parse().is_ok_and(|uri: http::Uri| self.matcher.intercept(&uri).is_some())
    }

    pub(crate) fn for_client(&self) -> reqwest::Proxy {
        reqwest::Proxy::all(self.full.expose_secret())
            .expect("invariant: the address is a URL")
            .no_proxy(reqwest::NoProxy::from_string(&self.exceptions))
    }
}

fn with_credential(address: &Url, credential: Option<ProxyCredential>) -> Result<SecretString, InvalidProxy> {
    let mut full = address.clone();
    if let Some(credential) = credential {
        let invalid = |()| InvalidProxy::Address(address.to_string());
        full.set_username(&credential.user).map_err(invalid)?;
        full.set_password(Some(credential.password.expose_secret())).map_err(invalid)?;
    }
    Ok(String::from(full).into())
}

/// Whether the text says the same to every program that reads `NO_PROXY`.
fn is_exception(text: &str) -> bool {
    let is_network = text.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<std::net::IpAddr>().is_ok_and(|address| {
            bits.parse::<u8>().is_ok_and(|bits| bits <= if address.is_ipv4() { 32 } else { 128 })
        })
    });
    let domain = text.strip_prefix('.').unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let is_domain = domain.split('.').all(is_label);
    is_network || is_domain || text.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(exceptions: &[&str]) -> Proxy {
        let exceptions: Vec<String> = exceptions.iter().map(|&exception| exception.to_owned()).collect();
        Proxy::new("http://proxy.example.com:3128", None, &exceptions).unwrap()
    }

    #[test]
    fn the_exceptions_and_this_machine_are_reached_directly() {
        let proxy = proxy(&["corp.example.com", ".svc", "10.0.0.0/8", "192.168.7.9"]);
        let serves = |url: &str| proxy.serves(&url.parse().unwrap());
        for through in [
            "https://example.com/x",
            "http://docker.io/v2/",
            "https://11.0.0.1/",
            "https://mycorp.example.com/",
        ] {
            assert!(serves(through), "{through}");
        }
        for direct in [
            "https://corp.example.com/",
            "https://git.corp.example.com:8443/a.git",
            "https://api.cluster.svc/",
            "http://10.2.3.4:5000/v2/",
            "http://192.168.7.9/",
            "http://localhost:7300/",
            "http://127.0.0.1:9000/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert!(!serves(direct), "{direct}");
        }
    }

    #[test]
    fn a_credential_is_kept_apart_from_the_address() {
        let credential = ProxyCredential { user: "an n".into(), password: "p@ss:w/rd".into() };
        let proxy = Proxy::new("http://proxy.example.com:3128", Some(credential), &[]).unwrap();
        assert_eq!(proxy.address().as_str(), "http://proxy.example.com:3128/");
        assert_eq!(
            proxy.full_address().expose_secret(),
            "http://an%20n:p%40ss%3Aw%2Frd@proxy.example.com:3128/"
        );
        let network = crate::Network::new(Some(proxy), None);
        assert!(!format!("{network:?} {:?}", network.build_variables()).contains("rd@"));
        assert_eq!(network.build_variables()["https_proxy"], "http://proxy.example.com:3128");
    }

    #[test]
    fn settings_that_name_no_proxy_are_refused() {
        for address in ["proxy:3128", "socks5://proxy:1080", "http://proxy:3128/path", "http://", ""] {
            assert!(matches!(Proxy::new(address, None, &[]), Err(InvalidProxy::Address(_))), "{address}");
        }
        assert!(matches!(Proxy::new("http://a:b@proxy:3128", None, &[]), Err(InvalidProxy::Credential)));
        for exception in ["*.example.com", "10.0.0.0/99", "http://x", "a b", "", "a,b"] {
            let made = Proxy::new("http://proxy:3128", None, &[exception.to_owned()]);
            assert!(matches!(made, Err(InvalidProxy::Exception(_))), "{exception}");
        }
    }
}

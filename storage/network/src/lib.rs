//! How this server reaches others: through which proxy, and whose certificates it trusts.
//!
//! One [`Network`] serves git, registries, object stores, clusters, forges and builds, so that a host
//! goes the same way whoever asks for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use url::Url;

mod authorities;
mod proxy;

pub use authorities::{Authorities, Bundle, InvalidAuthorities};
pub use proxy::{InvalidProxy, Proxy, ProxyCredential};

/// The way to others. Cheap to clone; the default is the direct way with the system's authorities.
#[derive(Clone, Default)]
pub struct Network {
    proxy: Option<Arc<Proxy>>,
    authorities: Option<Arc<Authorities>>,
}

impl Network {
    /// Through `proxy`, trusting `authorities` besides the system's.
    pub fn new(proxy: Option<Proxy>, authorities: Option<Authorities>) -> Self {
        Self { proxy: proxy.map(Arc::new), authorities: authorities.map(Arc::new) }
    }

    /// The proxy that `url` is reached through, if any.
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        self.proxy.as_deref().filter(|proxy| proxy.serves(url))
    }

    /// The proxy, whatever is reached through it.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_deref()
    }

    /// The authorities that are trusted besides the system's.
    pub fn authorities(&self) -> Option<&Authorities> {
        self.authorities.as_deref()
    }

    /// A client that goes this way. The environment's proxy variables count for nothing.
    pub fn configure(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let builder = match &self.authorities {
            Some(authorities) => builder.tls_certs_merge(authorities.certificates().iter().cloned()),
            None => builder,
        };
        match &self.proxy {
            Some(proxy) => builder.proxy(proxy.for_client()),
            None => builder.no_proxy(),
        }
    }

    /// What tells a program inside a build of the proxy, in both spellings; without its credential.
    pub fn build_variables(&self) -> BTreeMap<String, String> {
        let Some(proxy) = &self.proxy else { return BTreeMap::new() };
        let address = proxy.address().as_str().trim_end_matches('/').to_owned();
        let pairs = [
            ("HTTP_PROXY", address.clone()),
            ("HTTPS_PROXY", address),
            ("NO_PROXY", proxy.exceptions().to_owned()),
        ];
        let both = pairs
            .into_iter()
            .flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_ascii_lowercase(), value)]);
        both.collect()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("proxy", &self.proxy.as_ref().map(|proxy| proxy.address().as_str()))
            .field(
                "authorities",
                &self.authorities.as_ref().map(|authorities| authorities.certificates().len()),
            )
            .finish()
    }
}

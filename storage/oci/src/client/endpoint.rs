//! Where a registry's API is.

use slipway_types::RegistryPrefix;
use slipway_types::image::DOCKER_HUB;
use url::{Host, Url};

use super::{HostSettings, Inner};
use crate::error::ImageError;

/// One registry's API.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Host as references write it: settings and messages go by it.
    pub(super) host: String,
    /// `…/v2/`.
    base: Url,
    /// What stands before every repository's path; empty: nothing.
    prefix: String,
}

impl Endpoint {
    /// The registry itself.
    pub(super) fn origin(inner: &Inner, host: &str) -> Result<Self, ImageError> {
        let api = if host == DOCKER_HUB { "registry-1.docker.io" } else { host };
        let scheme = if inner.speaks_http(host) { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{api}/v2/"))
            .map_err(|e| ImageError::AddressRefused { host: host.to_owned(), why: e.to_string() })?;
        let endpoint = Self { host: host.to_owned(), base, prefix: String::new() };
        inner.check_address(&endpoint.host, &endpoint.base)?;
        Ok(endpoint)
    }

    /// Its mirrors, in order.
    pub(super) fn mirrors(inner: &Inner, host: &str) -> Result<Vec<Self>, ImageError> {
        let mirrors = inner.settings(host).map_or(&[][..], |settings| &settings.mirrors);
        let endpoint = |mirror: &RegistryPrefix| {
            Ok(Self { prefix: mirror.prefix.clone(), ..Self::origin(inner, &mirror.host)? })
        };
        mirrors.iter().map(endpoint).collect()
    }

    /// What this registry calls the repository.
    pub(super) fn path(&self, repository: &str) -> String {
        if self.prefix.is_empty() { repository.to_owned() } else { format!("{}/{repository}", self.prefix) }
    }

    /// `/v2/REPOSITORY/KIND/REST`. Repository and rest are checked texts without `..`, `?` or `#`.
    pub(super) fn url(&self, repository: &str, kind: &str, rest: &str) -> Url {
        self.base
            .join(&format!("{}/{kind}/{rest}", self.path(repository)))
            .expect("invariant: repositories, tags and digests are URL paths")
    }

    /// Whether credentials for this registry may be sent to `url`.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }
}

impl Inner {
    pub(super) fn settings(&self, host: &str) -> Option<&HostSettings> {
        self.hosts.get(host)
    }

    /// Whether a host speaks plain HTTP: as set, else loopback does.
    pub(super) fn speaks_http(&self, host: &str) -> bool {
        if let Some(set) = self.settings(host).and_then(|settings| settings.insecure_http) {
            return set;
        }
        let is_loopback = |url: Url| match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            _ => false,
        };
        Url::parse(&format!("http://{host}/")).is_ok_and(is_loopback)
    }

    /// Refuses literal addresses the policy refuses.
    pub(super) fn check_address(&self, host: &str, url: &Url) -> Result<(), ImageError> {
        self.policy
            .check_url(url)
            .map_err(|refused| ImageError::AddressRefused { host: host.to_owned(), why: refused.0 })
    }

    /// Refuses to be sent from `endpoint` to `url`, by redirect, upload location or token realm,
    /// unless that is the same place, or encrypted (or known to speak HTTP) and allowed by itself.
    pub(super) fn check_sent_to(&self, endpoint: &Endpoint, url: &Url) -> Result<(), ImageError> {
        if endpoint.is_origin_of(url) {
            return Ok(());
        }
        let target = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => String::new(),
        };
        let refused = |why: String| ImageError::AddressRefused {
            host: target.clone(),
            why: format!("registry {} sends there, and {why}", endpoint.host),
        };
        match url.scheme() {
            "https" => {}
            "http" if self.speaks_http(&target) => {}
            scheme => return Err(refused(format!("{scheme} is not encrypted"))),
        }
        self.policy.check_url(url).map_err(|error| refused(error.0))
    }
}

//! Where a registry's API is.

use slipway_types::image::DOCKER_HUB;
use url::{Host, Url};

use super::{AddressPolicy, Credential, HostSettings, Inner, Mirror};
use crate::error::ImageError;

fn api_base(host: &str, api: &str, speaks_http: bool) -> Result<Url, ImageError> {
    let scheme = if speaks_http { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{api}/v2/"))
        .map_err(|error| ImageError::AddressRefused { host: host.to_owned(), why: error.to_string() })
}

fn is_loopback(host: &str) -> bool {
    let is_loopback = |url: Url| match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        _ => false,
    };
    Url::parse(&format!("http://{host}/")).is_ok_and(is_loopback)
}

/// One registry's API.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Host as references write it: settings and messages go by it.
    pub(super) host: String,
    /// `…/v2/`.
    base: Url,
    /// What stands before every repository's path; empty: nothing.
    prefix: String,
    /// Whether it is asked in another's place.
    pub(super) is_mirror: bool,
    credential: Option<Credential>,
}

impl Endpoint {
    /// The registry itself.
    pub(super) fn origin(inner: &Inner, host: &str) -> Result<Self, ImageError> {
        let api = if host == DOCKER_HUB { "registry-1.docker.io" } else { host };
        let base = api_base(host, api, inner.speaks_http(host))?;
        let credential = inner.settings(host).and_then(|settings| settings.credential.clone());
        let endpoint =
            Self { host: host.to_owned(), base, prefix: String::new(), is_mirror: false, credential };
        inner.check_address(&endpoint, &endpoint.base)?;
        Ok(endpoint)
    }

    /// A registry that is asked in another's place.
    pub(super) fn mirror(inner: &Inner, mirror: &Mirror) -> Result<Self, ImageError> {
        let host = &mirror.at.host;
        let base = api_base(host, host, mirror.insecure_http.unwrap_or_else(|| is_loopback(host)))?;
        let (prefix, credential) = (mirror.at.prefix.clone(), mirror.credential.clone());
        let endpoint = Self { host: host.clone(), base, prefix, is_mirror: true, credential };
        inner.check_address(&endpoint, &endpoint.base)?;
        Ok(endpoint)
    }

    /// What it is logged in to with.
    pub(super) fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
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
        is_loopback(host)
    }

    /// Which addresses are allowed where this endpoint leads.
    pub(super) fn policy_for(&self, endpoint: &Endpoint) -> &AddressPolicy {
        if endpoint.is_mirror { &self.mirror_policy } else { &self.policy }
    }

    /// Refuses literal addresses the policy refuses.
    pub(super) fn check_address(&self, endpoint: &Endpoint, url: &Url) -> Result<(), ImageError> {
        let checked = self.policy_for(endpoint).check_url(url);
        checked.map_err(|refused| ImageError::AddressRefused { host: endpoint.host.clone(), why: refused.0 })
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
        self.policy_for(endpoint).check_url(url).map_err(|error| refused(error.0))
    }
}

//! Registries of others, over HTTP: auth, retries, timeouts, mirrors, and no way into this network.
//!
//! Registry hosts come from developers' Dockerfiles, token servers and redirects from registries.
//! Every address is therefore checked by [`AddressPolicy`], names after they were resolved. That is
//! why requests are made here and not by the `oci-client` crate, which has no such hook.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use slipway_network::Network;
use slipway_objects::{Blob, Blobs};
use slipway_types::{Digest, ImageReference, RegistryPrefix};

use crate::error::ImageError;
use crate::manifest::{Descriptor, ManifestLimits};
use crate::source::{FetchedManifest, ImageSource};

mod address;
mod auth;
mod endpoint;
mod mirror;
mod pull;
mod push;
mod request;
mod retry;
mod served;
mod stream;
#[cfg(test)]
mod tests;

pub use address::AddressPolicy;
pub use stream::RemoteBlob;

use endpoint::Endpoint;
use served::Served;

/// How registries are spoken to.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Proxy and authorities.
    pub network: Network,
    /// The server's own addresses, `host:port`; references to them never leave the process.
    pub own_hosts: Vec<String>,
    /// Registries, `host` or `host:port`, that may have private or loopback addresses.
    pub allowed_private_hosts: Vec<String>,
    /// Time to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time in which something must be sent or received, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Time for a whole operation with its retries, in milliseconds.
    pub total_timeout_ms: u64,
    /// Time in which a mirror must answer for a manifest, in milliseconds.
    pub mirror_timeout_ms: u64,
    /// How long a mirror that did not answer is passed over, in milliseconds.
    pub mirror_rest_ms: u64,
    /// Tries of an operation that fails for a passing reason, the first included.
    pub max_attempts: u32,
    /// Pause before the second try, in milliseconds; it doubles with every further one.
    pub backoff_ms: u64,
    /// The longest pause between tries, in milliseconds.
    pub max_backoff_ms: u64,
    /// Redirects followed in one request.
    pub max_redirects: u32,
    /// The largest manifest fetched, in bytes.
    pub max_manifest_bytes: u64,
    /// The largest blob fetched, in bytes.
    pub max_blob_bytes: u64,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            network: Network::default(),
            own_hosts: Vec::new(),
            allowed_private_hosts: Vec::new(),
            connect_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            total_timeout_ms: 30 * 60_000,
            mirror_timeout_ms: 5_000,
            mirror_rest_ms: 60_000,
            max_attempts: 4,
            backoff_ms: 250,
            max_backoff_ms: 10_000,
            max_redirects: 5,
            max_manifest_bytes: 4 << 20,
            max_blob_bytes: 16 << 30,
        }
    }
}

/// User and password, or user and access token.
#[derive(Debug, Clone)]
pub struct Credential {
    /// User.
    pub user: String,
    /// Password or token.
    pub password: SecretString,
}

/// How one registry is spoken to.
#[derive(Debug, Clone, Default)]
pub struct HostSettings {
    /// Its credential.
    pub credential: Option<Credential>,
    /// Whether it speaks plain HTTP; unset: only loopback does.
    pub insecure_http: Option<bool>,
    /// Asked first when pulling.
    pub mirrors: Vec<Mirror>,
    /// Its certificate authority, PEM, trusted besides the system's.
    pub ca_pem: Option<Vec<u8>>,
}

/// Where the images of a registry are asked for first. Its right to a private address and its credential are
/// for that alone, never for what references name.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// There a repository has its path below the prefix.
    pub at: RegistryPrefix,
    /// Whether it speaks plain HTTP; unset: only loopback does.
    pub insecure_http: Option<bool>,
    /// Its credential.
    pub credential: Option<Credential>,
}

/// Why the client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate authority of a host cannot be read.
    #[error("the certificate authority of registry {host} is not PEM")]
    Ca {
        /// Whose.
        host: String,
        /// What is wrong.
        #[source]
        source: reqwest::Error,
    },
    /// TLS cannot be set up, e.g. because the system has no root certificates.
    #[error("the HTTP client for registries cannot be made: check that the system has root certificates")]
    Http(#[source] reqwest::Error),
}

/// The registries of others. Cheap to clone; tokens are shared between clones.
#[derive(Clone)]
pub struct Registries {
    inner: Arc<Inner>,
}

struct Inner {
    options: ClientOptions,
    limits: ManifestLimits,
    hosts: BTreeMap<String, HostSettings>,
    policy: AddressPolicy,
    /// The policy for mirrors: their own addresses may be private.
    mirror_policy: AddressPolicy,
    http: reqwest::Client,
    mirror_http: reqwest::Client,
    /// Mirrors that did not answer, and since when.
    resting: Mutex<HashMap<String, Instant>>,
    http_with_ca: BTreeMap<String, reqwest::Client>,
    tokens: Mutex<HashMap<auth::TokenKey, auth::CachedToken>>,
    blobs: Blobs,
    served: Served,
}

impl Registries {
    /// A client that keeps what it fetches in `blobs`. `hosts` by registry host as in references.
    pub fn new(
        options: ClientOptions,
        hosts: BTreeMap<String, HostSettings>,
        blobs: Blobs,
    ) -> Result<Self, ClientError> {
        // Not the server's own: references to them stay in the process, and beside its port are others.
        let proxy = options.network.proxy().map(slipway_network::Proxy::host_and_port);
        let policy = AddressPolicy::new(options.allowed_private_hosts.iter().cloned().chain(proxy));
        let mirrors = hosts.values().flat_map(|settings| &settings.mirrors);
        let mirror_policy = policy.clone().with(mirrors.map(|mirror| mirror.at.host.clone()));
        let builder = || request::client_builder(&options, &policy);
        let http = builder().build().map_err(ClientError::Http)?;
        let mirror_http =
            request::client_builder(&options, &mirror_policy).build().map_err(ClientError::Http)?;
        let mut http_with_ca = BTreeMap::new();
        for (host, pem) in hosts.iter().filter_map(|(host, s)| Some((host, s.ca_pem.as_ref()?))) {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|source| ClientError::Ca { host: host.clone(), source })?;
            let client = builder().tls_certs_merge(certificates).build().map_err(ClientError::Http)?;
            http_with_ca.insert(host.clone(), client);
        }
        let limits =
            ManifestLimits { max_manifest_bytes: options.max_manifest_bytes, ..ManifestLimits::default() };
        let tokens = Mutex::default();
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                limits,
                hosts,
                policy,
                mirror_policy,
                http,
                mirror_http,
                resting: Mutex::default(),
                http_with_ca,
                tokens,
                blobs,
                served: Served::default(),
            }),
        })
    }

    /// How it speaks.
    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// A blob as it comes from the registry itself: nothing is kept here.
    pub async fn open_blob(
        &self,
        image: &ImageReference,
        blob: &Descriptor,
    ) -> Result<RemoteBlob, ImageError> {
        let inner = &*self.inner;
        let endpoint = Endpoint::origin(inner, &image.host)?;
        retry::with_retries(&inner.options, &image.host, || inner.open_blob(&endpoint, image, blob)).await
    }

    /// Puts a stored blob into the reference's repository: by mounting it from `from`, another
    /// repository of that registry, or else by sending it. One that is there is left alone.
    pub async fn push_blob_from(
        &self,
        image: &ImageReference,
        blob: &Blob,
        from: Option<&str>,
    ) -> Result<(), ImageError> {
        let inner = &*self.inner;
        let endpoint = Endpoint::origin(inner, &image.host)?;
        retry::with_retries(&inner.options, &image.host, || inner.push_blob(&endpoint, image, blob, from))
            .await
    }
}

impl Registries {
    async fn download(&self, image: &ImageReference, blob: &Descriptor) -> Result<Blob, ImageError> {
        let inner = &*self.inner;
        for mirror in inner.mirrors(&image.host)? {
            let attempt = inner.fetch_blob(&mirror, image, blob);
            match retry::within_total(&inner.options, &mirror.host, attempt).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => inner.note_mirror(&mirror, &error),
            }
        }
        let endpoint = Endpoint::origin(inner, &image.host)?;
        retry::with_retries(&inner.options, &image.host, || inner.fetch_blob(&endpoint, image, blob)).await
    }
}

#[async_trait]
impl ImageSource for Registries {
    async fn head_manifest(&self, image: &ImageReference) -> Result<Option<Digest>, ImageError> {
        let inner = &*self.inner;
        for mirror in inner.mirrors(&image.host)? {
            match inner.soon(&mirror, inner.head_manifest(&mirror, image)).await {
                Ok(Some(digest)) => return Ok(Some(digest)),
                Ok(None) => {}
                Err(error) => inner.note_mirror(&mirror, &error),
            }
        }
        let endpoint = Endpoint::origin(inner, &image.host)?;
        retry::with_retries(&inner.options, &image.host, || inner.head_manifest(&endpoint, image)).await
    }

    async fn fetch_manifest(&self, image: &ImageReference) -> Result<FetchedManifest, ImageError> {
        let inner = &*self.inner;
        for mirror in inner.mirrors(&image.host)? {
            match inner.soon(&mirror, inner.fetch_manifest(&mirror, image)).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => inner.note_mirror(&mirror, &error),
            }
        }
        let endpoint = Endpoint::origin(inner, &image.host)?;
        retry::with_retries(&inner.options, &image.host, || inner.fetch_manifest(&endpoint, image)).await
    }

    async fn fetch_blob(&self, image: &ImageReference, blob: &Descriptor) -> Result<Blob, ImageError> {
        let inner = &*self.inner;
        if inner.served.has(image, &blob.digest)
            && let Some(blob) = inner.stored(&blob.digest).await?
        {
            return Ok(blob);
        }
        let fetched = self.download(image, blob).await?;
        inner.served.note(image, fetched.digest);
        Ok(fetched)
    }

    async fn fetch_bytes(
        &self,
        image: &ImageReference,
        blob: &Descriptor,
        max_bytes: u64,
    ) -> Result<Bytes, ImageError> {
        if blob.size > max_bytes {
            return Err(ImageError::Protocol {
                host: image.host.clone(),
                what: format!("blob {} of {image}", blob.digest),
                detail: format!("it has {} bytes, more than {max_bytes}", blob.size),
            });
        }
        let stored = self.fetch_blob(image, blob).await?;
        Ok(self.inner.blobs.get(&stored.digest, max_bytes).await?)
    }

    async fn push_blob(&self, image: &ImageReference, blob: &Blob) -> Result<(), ImageError> {
        self.push_blob_from(image, blob, None).await
    }

    async fn push_manifest(
        &self,
        image: &ImageReference,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<Digest, ImageError> {
        let inner = &*self.inner;
        let endpoint = Endpoint::origin(inner, &image.host)?;
        retry::with_retries(&inner.options, &image.host, || {
            inner.push_manifest(&endpoint, image, &bytes, media_type)
        })
        .await
    }
}

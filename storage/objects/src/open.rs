//! From settings to a store that was seen to work.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use secrecy::ExposeSecret;
use slipway_network::Network;
use url::Url;

use crate::local::LocalDirectory;
use crate::{Blobs, BlobsOptions, OpenError};

/// A store as its URL names it.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// What stands before `blobs/` in every key.
    pub(crate) prefix: Path,
    /// Present if blobs are files of this machine.
    pub(crate) local: Option<LocalDirectory>,
}

pub(crate) async fn open(options: &BlobsOptions) -> Result<Opened, OpenError> {
    check_limits(options)?;
    make_directory(&options.spool_dir)?;
    probe_directory(&options.spool_dir)?;
    let url = Url::parse(&options.url).map_err(|e| setting("url", format!("`{}`: {e}", options.url)))?;
    match url.scheme() {
        "file" => open_local(&url),
        "memory" => Ok(Opened { store: Arc::new(InMemory::new()), prefix: Path::default(), local: None }),
        "s3" => open_s3(&url, options).await,
        other => Err(setting(
            "url",
            format!("`{other}` is not supported: use file:///directory, s3://bucket/prefix or memory:///"),
        )),
    }
}

fn check_limits(options: &BlobsOptions) -> Result<(), OpenError> {
    if options.url.is_empty() {
        return Err(setting("url", "set it to file:///directory or s3://bucket/prefix"));
    }
    if !options.spool_dir.is_absolute() {
        return Err(setting("spool_dir", "set it to an absolute directory"));
    }
    let positive = [
        ("max_spool_bytes", options.max_spool_bytes),
        ("multipart_threshold_bytes", options.multipart_threshold_bytes),
        ("part_bytes", options.part_bytes),
        ("max_concurrent_parts", options.max_concurrent_parts as u64),
        ("request_timeout_ms", options.request_timeout_ms),
        ("retry_timeout_ms", options.retry_timeout_ms),
    ];
    match positive.iter().find(|(_, value)| *value == 0) {
        Some((name, _)) => Err(setting(name, "must be greater than 0")),
        None => Ok(()),
    }
}

fn open_local(url: &Url) -> Result<Opened, OpenError> {
    let root = url
        .to_file_path()
        .map_err(|()| setting("url", format!("`{url}` needs an absolute path: file:///directory")))?;
    let local = LocalDirectory::new(root.clone());
    for directory in [local.blobs(), local.incoming()] {
        make_directory(&directory)?;
    }
    probe_local(&local)?;
    local.sync_layout().map_err(|source| OpenError::Directory { path: root.clone(), source })?;
    let store = LocalFileSystem::new_with_prefix(&root)
        .map_err(|e| OpenError::Store { url: url.to_string(), source: e.into() })?
        .with_fsync(true);
    Ok(Opened { store: Arc::new(store), prefix: Path::default(), local: Some(local) })
}

async fn open_s3(url: &Url, options: &BlobsOptions) -> Result<Opened, OpenError> {
    let failed = |source| OpenError::Store { url: url.to_string(), source };
    let prefix = Path::from_url_path(url.path()).map_err(|e| setting("url", format!("`{url}`: {e}")))?;
    let store: Arc<dyn ObjectStore> =
        Arc::new(s3_builder(url, options)?.build().map_err(|e| failed(e.into()))?);
    let deadline = Duration::from_millis(options.request_timeout_ms);
    let probe = tokio::time::timeout(deadline, probe_store(store.as_ref(), &prefix)).await;
    probe
        .map_err(|_| failed(format!("no answer within {deadline:?} (`request_timeout_ms`)").into()))?
        .map_err(|e| failed(e.into()))?;
    Ok(Opened { store, prefix, local: None })
}

fn s3_builder(url: &Url, options: &BlobsOptions) -> Result<AmazonS3Builder, OpenError> {
    let s3 = &options.s3;
    let bucket = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| setting("url", format!("`{url}` names no bucket: s3://bucket/prefix")))?;
    let builder = match (&s3.access_key, &s3.secret_key) {
        (Some(key), Some(secret)) => AmazonS3Builder::new()
            .with_access_key_id(key.expose_secret())
            .with_secret_access_key(secret.expose_secret()),
        (None, None) => AmazonS3Builder::from_env(),
        (Some(_), None) => return Err(setting("s3.secret_key", "missing beside `s3.access_key`")),
        (None, Some(_)) => return Err(setting("s3.access_key", "missing beside `s3.secret_key`")),
    };
    let timeout = Duration::from_millis(options.request_timeout_ms);
    let connector = Connector { network: options.network.clone(), timeout };
    let retry = RetryConfig {
        max_retries: 6,
        retry_timeout: Duration::from_millis(options.retry_timeout_ms),
        ..RetryConfig::default()
    };
    let builder = builder
        .with_bucket_name(bucket)
        .with_region(&s3.region)
        .with_virtual_hosted_style_request(!s3.path_style)
        .with_disable_tagging(s3.disable_tagging)
        .with_disable_bulk_delete(s3.disable_bulk_delete)
        .with_client_options(ClientOptions::new().with_allow_http(s3.allow_http))
        .with_http_connector(connector)
        .with_retry(retry);
    let Some(endpoint) = &s3.endpoint else { return Ok(builder) };
    if endpoint.starts_with("http://") && !s3.allow_http {
        return Err(setting("s3.endpoint", "is not encrypted: use https, or set `s3.allow_http`"));
    }
    Ok(builder.with_endpoint(endpoint))
}

/// Clients that go the network's way: object_store's own would read the environment's proxy.
#[derive(Debug)]
struct Connector {
    network: Network,
    timeout: Duration,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        // The time of a whole request is not bounded: a slow reader of a large blob is no fault. A
        // read that brings nothing is.
        let builder = reqwest::Client::builder()
            .read_timeout(self.timeout)
            .connect_timeout(self.timeout.min(Duration::from_secs(10)))
            // Compression would change what ranges and sizes mean.
            .http1_only();
        let client = self.network.configure(builder).build();
        let failed =
            |error: reqwest::Error| object_store::Error::Generic { store: "http", source: error.into() };
        Ok(HttpClient::new(client.map_err(failed)?))
    }
}

impl Blobs {
    /// Sees that the store still takes, gives back and deletes a small object, within `limit`; that the directories of
    /// a local one still take a file.
    pub async fn probe(&self, limit: Duration) -> Result<(), OpenError> {
        let url = self.0.options.url.clone();
        let failed = |source| OpenError::Store { url, source };
        // One that is late goes on by itself: given up halfway it would leave its object in the store.
        let probe = tokio::spawn(self.clone().probe_whole());
        match tokio::time::timeout(limit, probe).await {
            Ok(Ok(probed)) => probed,
            Ok(Err(error)) => Err(failed(error.into())),
            Err(_) => Err(failed(format!("no answer within {limit:?}").into())),
        }
    }

    async fn probe_whole(self) -> Result<(), OpenError> {
        let failed = |source| OpenError::Store { url: self.0.options.url.clone(), source };
        match self.0.local.clone() {
            Some(local) => {
                let looked = tokio::task::spawn_blocking(move || probe_local(&local)).await;
                looked.unwrap_or_else(|error| Err(failed(error.into())))
            }
            None => probe_store(self.0.store.as_ref(), &self.0.prefix).await.map_err(|e| failed(e.into())),
        }
    }
}

fn probe_local(local: &LocalDirectory) -> Result<(), OpenError> {
    [local.blobs(), local.incoming()].iter().try_for_each(probe_directory)
}

/// Writes, reads and deletes a small object.
async fn probe_store(store: &dyn ObjectStore, prefix: &Path) -> object_store::Result<()> {
    let key = prefix.clone().join("probe").join(uuid::Uuid::now_v7().to_string());
    let text = "written by Slipway to see that it can\n";
    store.put(&key, text.into()).await?;
    let found = read_whole(store, &key).await;
    store.delete(&key).await?;
    if found? == text {
        return Ok(());
    }
    Err(object_store::Error::Generic { store: "probe", source: "gave back other bytes than it took".into() })
}

async fn read_whole(store: &dyn ObjectStore, key: &Path) -> object_store::Result<Bytes> {
    store.get(key).await?.bytes().await
}

fn make_directory(path: &FsPath) -> Result<(), OpenError> {
    std::fs::create_dir_all(path).map_err(|source| OpenError::Directory { path: path.into(), source })
}

fn probe_directory(path: &PathBuf) -> Result<(), OpenError> {
    tempfile::tempfile_in(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"probe"))
        .map_err(|source| OpenError::Directory { path: path.clone(), source })
}

fn setting(name: &'static str, reason: impl Into<String>) -> OpenError {
    OpenError::Setting { name, reason: reason.into() }
}

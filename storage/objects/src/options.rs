//! Where blobs lie and how much of the machine they may use.

use std::path::PathBuf;

use secrecy::SecretString;
use slipway_network::Network;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Settings of the object store. `url` and `spool_dir` have no default.
#[derive(Debug, Clone)]
pub struct BlobsOptions {
    /// `file:///absolute/directory`, `s3://bucket/prefix` or `memory:///`.
    pub url: String,
    /// How to reach an `s3://` store.
    pub s3: S3Options,
    /// Proxy and authorities.
    pub network: Network,
    /// The directory for uploads under way; on the file system of a `file://` store they are moved, not copied.
    pub spool_dir: PathBuf,
    /// How many bytes all spools of this process may hold together.
    pub max_spool_bytes: u64,
    /// From this size on an upload goes up in parts.
    pub multipart_threshold_bytes: u64,
    /// The size of a part; most stores refuse less than 5 MiB.
    pub part_bytes: u64,
    /// How many parts of one upload are under way, and in memory, at once.
    pub max_concurrent_parts: usize,
    /// How long one request to the store may stay without an answer.
    pub request_timeout_ms: u64,
    /// How long one request may be repeated before its failure is reported.
    pub retry_timeout_ms: u64,
}

impl Default for BlobsOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            s3: S3Options::default(),
            network: Network::default(),
            spool_dir: PathBuf::new(),
            max_spool_bytes: 64 * GIB,
            multipart_threshold_bytes: 16 * MIB,
            part_bytes: 8 * MIB,
            max_concurrent_parts: 3,
            request_timeout_ms: 60_000,
            retry_timeout_ms: 150_000,
        }
    }
}

impl BlobsOptions {
    /// The defaults for the store at `url`, spooling in `spool_dir`.
    pub fn new(url: impl Into<String>, spool_dir: impl Into<PathBuf>) -> Self {
        Self { url: url.into(), spool_dir: spool_dir.into(), ..Self::default() }
    }
}

/// Settings of an S3 store. Without `access_key` the machine's own AWS identity is used.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a configuration file, each its own")]
pub struct S3Options {
    /// The address of the service, for example `http://127.0.0.1:9000`; none means AWS.
    pub endpoint: Option<String>,
    /// The region requests are signed for.
    pub region: String,
    /// The access key id.
    pub access_key: Option<SecretString>,
    /// The secret access key.
    pub secret_key: Option<SecretString>,
    /// Whether the bucket stands in the path rather than in the host name. Without it, `endpoint`
    /// must contain the bucket (Alibaba OSS).
    pub path_style: bool,
    /// Whether an `http://` endpoint is accepted.
    pub allow_http: bool,
    /// Never send object tags; some stores refuse the header.
    pub disable_tagging: bool,
    /// Delete objects one by one; some stores refuse bulk deletion without `Content-MD5`.
    pub disable_bulk_delete: bool,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: "us-east-1".into(),
            access_key: None,
            secret_key: None,
            path_style: true,
            allow_http: false,
            disable_tagging: true,
            disable_bulk_delete: true,
        }
    }
}

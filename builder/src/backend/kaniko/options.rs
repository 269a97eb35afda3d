//! How Jobs are made and how long what may take.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use slipway_network::Network;
use slipway_types::{Fault, Platform};
use url::Url;

/// How much longer Kubernetes lets a check's Job run than Slipway does, in seconds.
pub(super) const BACKSTOP_S: u64 = 300;

/// How Jobs are made.
#[derive(Debug, Clone)]
pub struct KanikoOptions {
    /// Names this installation among all that use a namespace: the Jobs of others are not touched.
    pub owner: String,
    /// The executor: any image that takes Kaniko's flags, by digest.
    pub image: String,
    /// Slipway's own image, by digest: it fetches the context.
    pub slipway_image: String,
    /// Where pods reach this server: `http://10.0.0.7:7300`.
    pub address: Url,
    /// The way to clusters, and what builds are told of it.
    pub network: Network,
    /// The authorities that signed that server's certificate, in PEM; pods get them.
    pub ca_bundle: Option<String>,
    /// What the nodes build for.
    pub platform: Platform,
    /// How long steps are kept in the application's cache repository; `None`: not at all.
    pub cache_days: Option<u32>,
    /// Further flags of the executor.
    pub flags: Vec<String>,
    /// `HOST:PORT` by which nodes pull the images that checks run in; `None`: that of `address`.
    pub pull_registry: Option<String>,
    /// The pod.
    pub pod: PodOptions,
    /// The longest wait for room on a cluster, in milliseconds.
    pub place_timeout_ms: u64,
    /// The longest from Job to running executor, in milliseconds.
    pub start_timeout_ms: u64,
    /// The longest that Kubernetes lets a Job run, in milliseconds; a backstop beyond the build's own.
    pub deadline_ms: u64,
    /// How long Kubernetes keeps an ended Job that nobody removed, in seconds.
    pub ttl_s: u32,
    /// The longest wait until a deleted Job's pods are gone, in milliseconds.
    pub stop_timeout_ms: u64,
    /// The longest wait for the answer to one request, in milliseconds.
    pub call_timeout_ms: u64,
    /// The largest context, in bytes of its files.
    pub max_context_bytes: u64,
    /// Most entries of a context.
    pub max_context_entries: usize,
    /// Lines of the log that a failure shows.
    pub failure_lines: usize,
}

/// What a pod asks for.
#[derive(Debug, Clone, Default)]
pub struct PodOptions {
    /// Requested amounts by resource: `cpu` → `1`.
    pub requests: BTreeMap<String, String>,
    /// Limits by resource.
    pub limits: BTreeMap<String, String>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Kubernetes tolerations.
    pub tolerations: Vec<Value>,
    /// Priority class.
    pub priority_class: Option<String>,
    /// Further labels of Job and pod.
    pub labels: BTreeMap<String, String>,
    /// Merged into the pod template at the end: objects by key, lists of objects by `name`, else replaced.
    pub overlay: Option<Value>,
}

/// A cluster that runs Jobs.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Name, for people.
    pub name: String,
    /// kubeconfig file; `None`: the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// Context of that file; `None`: its current one.
    pub context: Option<String>,
    /// Namespace of the Jobs.
    pub namespace: String,
    /// Most Jobs at once.
    pub max_jobs: usize,
}

impl Default for KanikoOptions {
    fn default() -> Self {
        Self {
            owner: "slipway".to_owned(),
            image: String::new(),
            slipway_image: String::new(),
            address: Url::parse("http://127.0.0.1:7300").expect("invariant: a constant URL"),
            network: Network::default(),
            ca_bundle: None,
            platform: Platform::default(),
            cache_days: Some(14),
            flags: Vec::new(),
            pull_registry: None,
            pod: PodOptions::default(),
            place_timeout_ms: 6 * 60 * 60_000,
            start_timeout_ms: 10 * 60_000,
            deadline_ms: 2 * 60 * 60_000,
            ttl_s: 60 * 60,
            stop_timeout_ms: 60_000,
            call_timeout_ms: 15_000,
            max_context_bytes: 2 << 30,
            max_context_entries: 1_000_000,
            failure_lines: 20,
        }
    }
}

impl KanikoOptions {
    /// Refuses images that are not named by digest.
    pub fn check(&self) -> Result<(), Fault> {
        for (key, image) in [("image", &self.image), ("slipway_image", &self.slipway_image)] {
            let pinned = image.rsplit_once('@').is_some_and(|(_, digest)| digest.starts_with("sha256:"));
            if !pinned {
                let message = format!("kaniko.{key} `{image}` must name an image by digest: NAME@sha256:…");
                return Err(Fault::permanent("kaniko_image", message));
            }
        }
        Ok(())
    }

    /// `HOST:PORT` by which nodes name the registry.
    pub(super) fn pull_registry(&self) -> String {
        self.pull_registry.clone().unwrap_or_else(|| self.registry())
    }

    /// `HOST:PORT` by which pods name the registry.
    pub(super) fn registry(&self) -> String {
        let host = self.address.host_str().unwrap_or_default();
        self.address.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

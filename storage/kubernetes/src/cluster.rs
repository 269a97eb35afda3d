//! A cluster: how it is asked, and what it says of itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use slipway_types::Platform;
use slipway_types::environment::ClusterFacts;
use tokio::sync::Mutex;

use crate::breaker::Breaker;
use crate::call::CallError;
use crate::kinds::{Look, Scoped};
use crate::rounds::Rounds;

/// How many requests of one question are under way at once.
pub(crate) const AT_ONCE: usize = 4;

/// How objects are asked for.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How long one request may take.
    pub call_timeout_ms: u64,
    /// How long the list of kinds is taken for current, in seconds.
    pub kinds_keep_s: u64,
    /// For how long an answer that there is no such kind is taken for current, in milliseconds; what defines
    /// kinds, applied from here, ends that at once.
    pub absent_keep_ms: u64,
    /// How many objects a list brings with one request; lists of more take several.
    pub page_objects: u32,
    /// Up to how many objects are listed; more are an error.
    pub max_listed_objects: usize,
    /// How long a watch may be silent before the API server is asked whether it is there, in seconds.
    pub silence_s: u64,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            call_timeout_ms: 15_000,
            kinds_keep_s: 300,
            absent_keep_ms: 3_000,
            page_objects: 500,
            max_listed_objects: 10_000,
            silence_s: 20,
        }
    }
}

/// A cluster whose objects are read and written. Clones share the connection, the list of kinds and what is known of
/// whether it answers: while it does not, requests are refused at once ([`CallError::Unreachable`]).
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    pub(crate) options: ClusterOptions,
    pub(crate) kinds: Arc<Mutex<Option<Look>>>,
    /// When something that defines kinds was last applied from here.
    pub(crate) defined: Arc<std::sync::Mutex<Option<Instant>>>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) rounds: Arc<Rounds>,
}

impl Cluster {
    /// A cluster behind a client.
    pub fn new(client: Client, options: ClusterOptions) -> Self {
        let (kinds, defined) = (Arc::default(), Arc::default());
        let (breaker, rounds) = (Arc::default(), Arc::default());
        Self { client, options, kinds, defined, breaker, rounds }
    }

    /// How long one request may take.
    pub(crate) fn call_limit(&self) -> Duration {
        Duration::from_millis(self.options.call_timeout_ms)
    }

    pub(crate) async fn ask<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
        self.within(call).await?.map_err(CallError::of)
    }

    /// Whether the API server answers at all.
    pub async fn answers(&self) -> Result<(), CallError> {
        self.ask(self.client.apiserver_version()).await.map(drop)
    }

    /// UID of the namespace `kube-system`: what a cluster is, however it is reached.
    pub async fn uid(&self) -> Result<String, CallError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = self.ask(namespaces.get("kube-system")).await?;
        namespace.uid().ok_or_else(|| CallError::Away("its namespace kube-system has no UID".to_owned()))
    }

    /// What the cluster says of itself.
    pub async fn facts(&self) -> Result<ClusterFacts, CallError> {
        let version = self.ask(self.client.apiserver_version()).await?;
        let nodes: Api<Node> = Api::all(self.client.clone());
        let nodes = self.ask(nodes.list(&ListParams::default())).await?;
        let kinds = self.kinds_now().await?;
        // What is left out of the facts counts as not served.
        kinds.all_told()?;
        let scoped = kinds.words().filter(|(_, scoped)| *scoped == Scoped::Cluster);
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        Ok(ClusterFacts {
            version: format!("{}.{}", digits(&version.major), digits(&version.minor)),
            apis: kinds.words().map(|(word, _)| word.clone()).collect(),
            cluster_scoped: scoped.map(|(word, _)| word.clone()).collect(),
            platforms: nodes.items.iter().filter_map(platform_of).collect(),
            nodes: nodes.items.len(),
        })
    }
}

fn platform_of(node: &Node) -> Option<Platform> {
    let info = node.status.as_ref()?.node_info.as_ref()?;
    format!("{}/{}", info.operating_system, info.architecture).parse().ok()
}

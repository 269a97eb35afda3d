//! Objects of any kind in one cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, TypeMeta};
use kube::discovery::{ApiResource, Discovery, Scope};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use slipway_types::Platform;
use slipway_types::environment::ClusterFacts;
use tokio::sync::Mutex;

use crate::call::CallError;

/// How objects are asked for.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How long one request may take.
    pub call_timeout_ms: u64,
    /// How long the list of kinds is taken for current, in seconds.
    pub kinds_keep_s: u64,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { call_timeout_ms: 15_000, kinds_keep_s: 300 }
    }
}

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// E.g. `apps/v1`.
    pub api_version: String,
    /// E.g. `Deployment`.
    pub kind: String,
    /// Its namespace; not looked at for kinds without one.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a manifest, in `namespace` if it names none.
    pub fn of(object: &Value, namespace: &str) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let metadata = &object["metadata"];
        Some(Self {
            api_version: text(&object["apiVersion"])?,
            kind: text(&object["kind"])?,
            namespace: text(&metadata["namespace"]).unwrap_or_else(|| namespace.to_owned()),
            name: text(&metadata["name"])?,
        })
    }

    fn kind_word(&self) -> String {
        format!("{}/{}", self.api_version, self.kind)
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Objects of one kind in one namespace.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// By name.
    pub objects: BTreeMap<String, Value>,
    /// Whether there are no others.
    pub all: bool,
}

/// The kinds of a cluster, by `apiVersion/kind`.
type Kinds = BTreeMap<String, (ApiResource, Scope)>;

/// A cluster whose objects are read and written.
pub struct Cluster {
    client: Client,
    options: ClusterOptions,
    kinds: Mutex<Option<(Instant, Arc<Kinds>)>>,
}

impl Cluster {
    /// A cluster behind a client.
    pub fn new(client: Client, options: ClusterOptions) -> Self {
        Self { client, options, kinds: Mutex::new(None) }
    }

    async fn ask<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
        let limit = Duration::from_millis(self.options.call_timeout_ms);
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(CallError::of),
            Err(_) => Err(CallError::Away(format!("no answer within {} ms", limit.as_millis()))),
        }
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
        let kinds = self.look_at_kinds().await?;
        let scoped = kinds.iter().filter(|(_, (_, scope))| matches!(scope, Scope::Cluster));
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        Ok(ClusterFacts {
            version: format!("{}.{}", digits(&version.major), digits(&version.minor)),
            apis: kinds.keys().cloned().collect(),
            cluster_scoped: scoped.map(|(word, _)| word.clone()).collect(),
            platforms: nodes.items.iter().filter_map(platform_of).collect(),
            nodes: nodes.items.len(),
        })
    }

    async fn look_at_kinds(&self) -> Result<Arc<Kinds>, CallError> {
        let discovery = self.ask(Discovery::new(self.client.clone()).run()).await?;
        let mut kinds = Kinds::new();
        for group in discovery.groups() {
            for version in group.versions() {
                for (resource, capabilities) in group.versioned_resources(version) {
                    let word = format!("{}/{}", resource.api_version, resource.kind);
                    kinds.insert(word, (resource, capabilities.scope));
                }
            }
        }
        let kinds = Arc::new(kinds);
        *self.kinds.lock().await = Some((Instant::now(), Arc::clone(&kinds)));
        Ok(kinds)
    }

    async fn kinds(&self) -> Result<Arc<Kinds>, CallError> {
        let keep = Duration::from_secs(self.options.kinds_keep_s);
        if let Some((at, kinds)) = &*self.kinds.lock().await
            && at.elapsed() < keep
        {
            return Ok(Arc::clone(kinds));
        }
        self.look_at_kinds().await
    }

    /// `None` if the cluster does not serve the kind.
    async fn api(&self, key: &ObjectKey) -> Result<Option<Api<DynamicObject>>, CallError> {
        let mut kinds = self.kinds().await?;
        if !kinds.contains_key(&key.kind_word()) {
            // It may have come since the list was made.
            kinds = self.look_at_kinds().await?;
        }
        Ok(kinds.get(&key.kind_word()).map(|(resource, scope)| match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), &key.namespace, resource),
        }))
    }

    /// The object as it is; `None` if it is not there, or its kind is not served.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<Value>, CallError> {
        let Some(api) = self.api(key).await? else { return Ok(None) };
        Ok(self.ask(api.get_opt(&key.name)).await?.map(to_json))
    }

    /// Up to `limit` objects of the kind and in the namespace that `like` names, by name; not all of them if
    /// there are more. Empty if the kind is not served.
    pub async fn list(&self, like: &ObjectKey, limit: u32) -> Result<Listed, CallError> {
        let Some(api) = self.api(like).await? else {
            return Ok(Listed { objects: BTreeMap::new(), all: true });
        };
        let found = self.ask(api.list(&ListParams::default().limit(limit))).await?;
        let all = found.metadata.continue_.as_deref().unwrap_or_default().is_empty();
        let types = TypeMeta { api_version: like.api_version.clone(), kind: like.kind.clone() };
        let objects = found.items.into_iter().map(|mut object| {
            // A list says once of what kind its items are.
            object.types = Some(types.clone());
            (object.name_any(), to_json(object))
        });
        Ok(Listed { objects: objects.collect(), all })
    }

    /// What server-side apply would make of a manifest, changing nothing. `None` if its kind is not
    /// served.
    pub async fn try_apply(
        &self,
        key: &ObjectKey,
        manifest: &Value,
        writer: &str,
    ) -> Result<Option<Value>, CallError> {
        let parameters = PatchParams { dry_run: true, ..PatchParams::apply(writer).force() };
        self.patch(key, manifest, &parameters).await
    }

    /// Server-side apply, taking over the fields of the manifest. `None` if its kind is not served.
    pub async fn apply(
        &self,
        key: &ObjectKey,
        manifest: &Value,
        writer: &str,
    ) -> Result<Option<Value>, CallError> {
        self.patch(key, manifest, &PatchParams::apply(writer).force()).await
    }

    async fn patch(
        &self,
        key: &ObjectKey,
        manifest: &Value,
        parameters: &PatchParams,
    ) -> Result<Option<Value>, CallError> {
        let Some(api) = self.api(key).await? else { return Ok(None) };
        let applied = self.ask(api.patch(&key.name, parameters, &Patch::Apply(manifest))).await?;
        Ok(Some(to_json(applied)))
    }

    /// Removes an object; that it is not there is as good.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), CallError> {
        let Some(api) = self.api(key).await? else { return Ok(()) };
        match self.ask(api.delete(&key.name, &DeleteParams::background())).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn platform_of(node: &Node) -> Option<Platform> {
    let info = node.status.as_ref()?.node_info.as_ref()?;
    format!("{}/{}", info.operating_system, info.architecture).parse().ok()
}

fn to_json(object: DynamicObject) -> Value {
    serde_json::to_value(object).expect("invariant: what came as JSON is JSON")
}

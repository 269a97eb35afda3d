//! What the reconcile core needs of a cluster, against a real API server.

mod failures;
mod kinds;
mod listing;
mod objects;
mod silence;
mod watching;

use std::path::Path;

use serde_json::{Value, json};
use slipway_kubernetes::{
    Applied, Cluster, ClusterOptions, ObjectKey, connect, parse_kubeconfig, read_kubeconfig,
};
use slipway_network::Network;
use slipway_tests::namespace::Namespace;

/// By which the objects of a test are found; the value is the name of its namespace.
const LABEL: &str = "slipway.dev/inventory";
const WRITER: &str = "slipway";

/// A namespace of the test's own, and the way to its cluster.
struct Field {
    namespace: Namespace,
    cluster: Cluster,
}

async fn cluster_of(kubeconfig: &Path, options: ClusterOptions) -> Cluster {
    drop(rustls::crypto::ring::default_provider().install_default());
    let file = read_kubeconfig(kubeconfig).expect("a kubeconfig");
    let client = connect(Some(file), None, &Network::default()).await.expect("a client");
    Cluster::new(client, options)
}

/// The cluster behind a server without TLS.
async fn cluster_at(address: &str, options: ClusterOptions) -> Cluster {
    drop(rustls::crypto::ring::default_provider().install_default());
    let file = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "test", "user": {}}],
    });
    let file = parse_kubeconfig(&file.to_string()).expect("a kubeconfig");
    let client = connect(Some(file), None, &Network::default()).await.expect("a client");
    Cluster::new(client, options)
}

impl Field {
    async fn prepare() -> Self {
        Self::with(ClusterOptions::default()).await
    }

    async fn with(options: ClusterOptions) -> Self {
        let namespace = Namespace::create();
        let cluster = cluster_of(&namespace.cluster.kubeconfig, options).await;
        Self { namespace, cluster }
    }

    fn key(&self, api_version: &str, kind: &str, name: &str) -> ObjectKey {
        ObjectKey {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: self.namespace.name.clone(),
            name: name.to_owned(),
        }
    }

    /// Chooses the objects of this test.
    fn selector(&self) -> String {
        format!("{LABEL}={}", self.namespace.name)
    }

    /// A manifest with the label of this test, and what stands beside its metadata.
    fn manifest(&self, key: &ObjectKey, rest: &Value) -> Value {
        let mut manifest = json!({
            "apiVersion": key.api_version, "kind": key.kind,
            "metadata": {"name": key.name, "labels": {LABEL: self.namespace.name}},
        });
        let fields = rest.as_object().into_iter().flatten();
        manifest
            .as_object_mut()
            .expect("a map")
            .extend(fields.map(|(key, value)| (key.clone(), value.clone())));
        manifest
    }

    /// Applies it; gives the object.
    async fn apply(&self, key: &ObjectKey, rest: &Value) -> Value {
        match self.cluster.apply_at(key, &self.manifest(key, rest), WRITER, true).await {
            Ok(Applied::Done(object)) => object,
            other => panic!("{key}: {other:?}"),
        }
    }

    async fn get(&self, key: &ObjectKey) -> Option<Value> {
        self.cluster.get(key).await.expect("an answer")
    }
}

/// A text of an object.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}: {object:#}"))
}

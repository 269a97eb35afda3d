//! A second cluster, which is the first one by another way.

use serde_json::json;
use slipway_tests::namespace::Namespace;
use slipway_tests::plain_api::PlainApi;
use slipway_tests::server::FickleProxy;
use uuid::Uuid;

use crate::ground::Ground;

/// A second way to the cluster, under a UID of its own, which can fall silent.
pub(crate) struct Hole {
    pub(crate) proxy: FickleProxy,
    _plain: PlainApi,
    /// A namespace that is reached by it.
    pub(crate) space: Namespace,
}

impl Hole {
    /// Registers it as `hole`.
    pub(crate) fn dig(ground: &Ground) -> Self {
        let plain = PlainApi::start(&ground.namespace);
        let proxy = FickleProxy::start(plain.address());
        let own = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "kube-system", "uid": Uuid::now_v7().to_string()},
        });
        proxy.answer("GET /api/v1/namespaces/kube-system", own.to_string());
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "hole",
            "contexts": [{"name": "hole", "context": {"cluster": "hole", "user": "hole"}}],
            "clusters": [{"name": "hole", "cluster": {"server": format!("http://{}", proxy.address())}}],
            "users": [{"name": "hole", "user": {}}],
        });
        let file = ground.file("hole.json", &config);
        ground.server.cli(&["cluster", "add", "hole", "--kubeconfig-file", &file]).ok();
        Self { proxy, _plain: plain, space: Namespace::create() }
    }
}

//! Somebody else who watches the cluster: since when it says of a Deployment that it lacks a replica, or does not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::StreamExt as _;
use serde_json::Value;
use slipway_kubernetes::{Cluster, Sensed};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// By the name of the Deployment: whether it is as wanted, and since when.
type Seen = BTreeMap<String, (bool, Instant)>;

/// What a watch of its own tells of the Deployments of a namespace.
pub(super) struct Witness {
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
}

impl Witness {
    pub(super) fn begin(runtime: &Runtime, cluster: &Cluster, namespace: &str) -> Self {
        let kind = ("apps/v1".to_owned(), "Deployment".to_owned());
        let mut watch = cluster.watch(kind, Some(namespace.to_owned()), String::new());
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let told = Arc::clone(&seen);
        let watching = runtime.spawn(async move {
            while let Some(sensed) = watch.next().await {
                let Sensed::Seen { key, object, .. } = sensed else { continue };
                let is_good = is_as_wanted(&object);
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.get(&key.name).is_none_or(|(was_good, _)| *was_good != is_good) {
                    told.insert(key.name, (is_good, Instant::now()));
                }
            }
        });
        Self { seen, watching }
    }

    /// Since when a Deployment is as wanted, or is not.
    pub(super) fn since(&self, name: &str, is_good: bool) -> Option<Instant> {
        self.seen().get(name).filter(|(is, _)| *is == is_good).map(|(_, since)| *since)
    }

    /// How many are as wanted.
    pub(super) fn good(&self) -> usize {
        self.seen().values().filter(|(is_good, _)| *is_good).count()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Whether its controller has seen what is wanted of it, and has as many replicas available.
fn is_as_wanted(deployment: &Value) -> bool {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64);
    let is_seen = number("/status/observedGeneration") == number("/metadata/generation");
    is_seen && number("/status/availableReplicas").unwrap_or(0) == number("/spec/replicas").unwrap_or(1)
}

//! Sensing by watching: one watch a kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, AbortHandle, Abortable, BoxStream, SelectAll};
use slipway_kubernetes::Cluster;

use super::kinds::Kind;
use super::sensing::{Report, Sensing, Told};
use crate::inventory::INVENTORY;

/// The watches of a cluster.
pub(super) struct Watches {
    cluster: Arc<Cluster>,
    told: SelectAll<Abortable<BoxStream<'static, Told>>>,
    /// By which watches are ended.
    aborts: BTreeMap<Kind, AbortHandle>,
}

impl Watches {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, told: SelectAll::new(), aborts: BTreeMap::new() }
    }
}

impl Sensing for Watches {
    fn begin(&mut self, kind: &Kind, number: u64) {
        let named = Arc::new(kind.clone());
        let names = (kind.api_version.clone(), kind.kind.clone());
        let sensed = self.cluster.watch(names, kind.namespace.clone(), INVENTORY.to_owned());
        let told = sensed
            .map(move |sensed| Told::Of { kind: Arc::clone(&named), number, report: Report::One(sensed) })
            .boxed();
        let (told, abort) = stream::abortable(told);
        self.told.push(told);
        self.aborts.insert(kind.clone(), abort);
    }

    fn end(&mut self, kind: &Kind) {
        if let Some(abort) = self.aborts.remove(kind) {
            abort.abort();
        }
    }

    async fn told(&mut self) -> Told {
        match self.told.next().await {
            Some(told) => told,
            // There is no watch.
            None => std::future::pending().await,
        }
    }
}

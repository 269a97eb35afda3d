//! One cluster under watch: a watch of each kind that its keys hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, AbortHandle, Abortable, BoxStream, SelectAll};
use slipway_handoff::Key;
use slipway_kubernetes::{Cluster, Sensed};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::kinds::{Kind, Rewatch, WATCHES_MAX};
use super::senses::Post;
use super::sight::Sight;
use crate::inventory::INVENTORY;
use crate::receiver::Core;

mod learn;

/// How often it is looked which keys there are and what they hold.
const LEARN_EVERY: Duration = Duration::from_secs(30);
/// The least time between two such looks, however much is heard of that is not known.
const LEARN_APART: Duration = Duration::from_secs(3);
/// So many keys are woken by one transaction.
const WAKES_AT_ONCE: usize = 64;
/// When keys are woken that could not be, because the records did not answer.
const WAKE_AGAIN: Duration = Duration::from_secs(1);

/// What a watch told, with its kind and its number.
type Told = (Arc<Kind>, u64, Sensed);

/// A cluster under watch.
pub(super) struct Ward {
    core: Core,
    name: String,
    cluster: Arc<Cluster>,
    sight: Sight,
    told: SelectAll<Abortable<BoxStream<'static, Told>>>,
    /// By which watches are ended.
    aborts: BTreeMap<Kind, AbortHandle>,
    /// Keys whose inventories are to be read.
    unread: BTreeSet<Key>,
    learnt_at: Instant,
    learn_at: Instant,
    /// Whether it was told that some kinds are beyond the limit.
    is_limit_told: bool,
}

impl Ward {
    pub(super) fn new(core: Core, name: String, cluster: Arc<Cluster>) -> Self {
        let post = Post::take(Arc::clone(&core.senses), name.clone());
        let now = Instant::now();
        Self {
            core,
            sight: Sight::new(name.clone(), post),
            name,
            cluster,
            told: SelectAll::new(),
            aborts: BTreeMap::new(),
            unread: BTreeSet::new(),
            learnt_at: now,
            learn_at: now,
            is_limit_told: false,
        }
    }

    /// Watches until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.step()).await.is_some() {}
    }

    async fn step(&mut self) {
        let wake_at = self.sight.wakes.next();
        tokio::select! {
            () = tokio::time::sleep_until(self.learn_at) => self.learn().await,
            () = self.sight.post.stirred() => self.learn_soon(),
            () = tokio::time::sleep_until(wake_at.unwrap_or(self.learn_at)), if wake_at.is_some() => {
                self.wake().await;
            }
            Some((kind, number, sensed)) = self.told.next() => {
                if self.sight.take(&kind, number, sensed, Instant::now()) {
                    self.learn_soon();
                }
            }
        }
    }

    /// Something was heard of that is not known.
    fn learn_soon(&mut self) {
        self.learn_at = self.learn_at.min(self.learnt_at + LEARN_APART);
    }

    /// Wakes the keys that are due.
    async fn wake(&mut self) {
        let keys = self.sight.wakes.take(Instant::now(), WAKES_AT_ONCE);
        if keys.is_empty() {
            return;
        }
        if let Err(fault) = self.core.wake(&keys).await {
            tracing::warn!(cluster = self.name, fault = fault.message, "keys are woken later");
            self.sight.wakes.again(&keys, Instant::now() + WAKE_AGAIN);
        }
    }

    /// Watches the kinds that keys hold now, and no others.
    fn rewatch(&mut self) {
        let rewatch = Rewatch::of(&self.sight.watched(), &self.sight.index.kinds(), WATCHES_MAX);
        for kind in &rewatch.end {
            self.unwatch(kind);
        }
        for kind in rewatch.begin {
            self.watch(kind);
        }
        let is_limited = !rewatch.left_out.is_empty();
        if is_limited && !self.is_limit_told {
            tracing::warn!(
                cluster = self.name,
                kinds = rewatch.left_out.len(),
                "more kinds than {WATCHES_MAX} are in use: what has others is looked at more often instead"
            );
        }
        self.is_limit_told = is_limited;
    }

    fn watch(&mut self, kind: Kind) {
        let number = self.sight.begin(kind.clone());
        let named = Arc::new(kind.clone());
        let sensed = self.cluster.watch((kind.api_version.clone(), kind.kind.clone()), INVENTORY.to_owned());
        let told = sensed.map(move |sensed| (Arc::clone(&named), number, sensed)).boxed();
        let (told, abort) = stream::abortable(told);
        self.told.push(told);
        self.aborts.insert(kind, abort);
    }

    fn unwatch(&mut self, kind: &Kind) {
        if let Some(abort) = self.aborts.remove(kind) {
            abort.abort();
        }
        self.sight.end(kind);
    }
}

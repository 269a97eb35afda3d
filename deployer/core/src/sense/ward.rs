//! One cluster under watch: a watch of each kind that its keys hold.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, AbortHandle, Abortable, BoxStream, SelectAll};
use slipway_handoff::Key;
use slipway_kubernetes::{Cluster, Sensed};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::digests::{Digests, Mark, News, OBJECTS_MAX, Owner, Place};
use super::index::Index;
use super::kinds::{Kind, Rewatch, WATCHES_MAX};
use super::senses::Post;
use super::wakes::{Cause, Wakes};
use crate::inventory::INVENTORY;
use crate::receiver::Core;

mod learn;

/// How often it is looked which keys there are and what they hold.
const LEARN_EVERY: Duration = Duration::from_secs(30);
/// The least time between two such looks, however much is heard of that is not known.
const LEARN_APART: Duration = Duration::from_secs(3);
/// So many labels that lead to no key are remembered, so that each is asked about once.
const STRANGERS_MAX: usize = 1024;
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
    post: Post,
    index: Index,
    digests: Digests,
    wakes: Wakes,
    watches: BTreeMap<Kind, Watch>,
    told: SelectAll<Abortable<BoxStream<'static, Told>>>,
    /// Watches there have been.
    count: u64,
    /// Keys whose inventories are to be read.
    unread: BTreeSet<Key>,
    /// Labels that led to no key when they were asked about.
    strangers: HashSet<Owner>,
    learnt_at: Instant,
    learn_at: Instant,
    /// Whether it was told that the cluster is not watched.
    is_break_told: bool,
    /// Whether it was told that some kinds are beyond the limit.
    is_limit_told: bool,
}

/// The watch of one kind.
struct Watch {
    number: u64,
    stands: Stands,
    /// Whether it was complete once: what is new from then on is news.
    was_whole: bool,
    /// Whether it was told that the right is missing.
    is_denial_told: bool,
    abort: AbortHandle,
}

/// Where a watch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Listing,
    Whole,
    Broken,
    Denied,
}

impl Ward {
    pub(super) fn new(core: Core, name: String, cluster: Arc<Cluster>) -> Self {
        let post = Post::take(Arc::clone(&core.senses), name.clone());
        let now = Instant::now();
        Self {
            core,
            name,
            cluster,
            post,
            index: Index::default(),
            digests: Digests::new(OBJECTS_MAX),
            wakes: Wakes::default(),
            watches: BTreeMap::new(),
            told: SelectAll::new(),
            count: 0,
            unread: BTreeSet::new(),
            strangers: HashSet::new(),
            learnt_at: now,
            learn_at: now,
            is_break_told: false,
            is_limit_told: false,
        }
    }

    /// Watches until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.step()).await.is_some() {}
    }

    async fn step(&mut self) {
        let wake_at = self.wakes.next();
        tokio::select! {
            () = tokio::time::sleep_until(self.learn_at) => self.learn().await,
            () = self.post.stirred() => self.learn_soon(),
            () = tokio::time::sleep_until(wake_at.unwrap_or(self.learn_at)), if wake_at.is_some() => {
                self.wake().await;
            }
            Some((kind, number, sensed)) = self.told.next() => self.take(&kind, number, sensed),
        }
    }

    /// Something was heard of that is not known.
    fn learn_soon(&mut self) {
        self.learn_at = self.learn_at.min(self.learnt_at + LEARN_APART);
    }

    /// Wakes the keys that are due.
    async fn wake(&mut self) {
        let keys = self.wakes.take(Instant::now(), WAKES_AT_ONCE);
        if keys.is_empty() {
            return;
        }
        if let Err(fault) = self.core.wake(&keys).await {
            tracing::warn!(cluster = self.name, fault = fault.message, "keys are woken later");
            self.wakes.again(&keys, Instant::now() + WAKE_AGAIN);
        }
    }

    /// Watches the kinds that keys hold now, and no others.
    fn rewatch(&mut self) {
        let watched = self.watches.keys().cloned().collect();
        let rewatch = Rewatch::of(&watched, &self.index.kinds(), WATCHES_MAX);
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
        self.count += 1;
        let number = self.count;
        let named = Arc::new(kind.clone());
        let sensed = self.cluster.watch((kind.api_version.clone(), kind.kind.clone()), INVENTORY.to_owned());
        let told = sensed.map(move |sensed| (Arc::clone(&named), number, sensed)).boxed();
        let (told, abort) = stream::abortable(told);
        self.told.push(told);
        let stands = Stands::Listing;
        self.watches.insert(kind, Watch { number, stands, was_whole: false, is_denial_told: false, abort });
    }

    fn unwatch(&mut self, kind: &Kind) {
        let Some(watch) = self.watches.remove(kind) else { return };
        watch.abort.abort();
        self.post.tell(kind, false);
        self.digests.forget(watch.number);
    }

    fn take(&mut self, kind: &Kind, number: u64, sensed: Sensed) {
        let Some(watch) = self.watches.get(kind).filter(|watch| watch.number == number) else { return };
        let was_whole = watch.was_whole;
        match sensed {
            Sensed::Seen { key, labels, digest, object: _ } => {
                let (place, label) = (Place::of_key(&key), inventory_of(&labels));
                match self.digests.seen(number, place, Mark::new(Owner::of(label), &digest)) {
                    News::Nothing => {}
                    // Nobody relied on this watch yet, and whoever will looks before.
                    News::New if !was_whole => {}
                    News::New => self.changed(place, label, None),
                    News::Changed(before) => self.changed(place, label, Some(before)),
                }
            }
            Sensed::Gone { key, labels } => {
                let place = Place::of_key(&key);
                let before = self.digests.gone(number, place);
                self.changed(place, inventory_of(&labels), before);
            }
            Sensed::Listed => self.listed(kind),
            Sensed::Broken(why) => self.broke(kind, Stands::Broken, &why),
            Sensed::Denied(why) => self.broke(kind, Stands::Denied, &why),
        }
    }

    /// Wakes whoever an object is of, and was of.
    fn changed(&mut self, place: Place, label: &str, before: Option<Owner>) {
        let (now, owner) = (Instant::now(), Owner::of(label));
        let before = before.filter(|before| *before != owner).and_then(|before| self.index.owner(before));
        let current = self.index.labelled(label);
        for key in current.into_iter().chain(before).chain(self.index.sharers(place)) {
            self.wakes.changed(key, now);
        }
        // A key that is new is woken once it is known.
        let is_stranger = current.is_none() && !label.is_empty();
        if is_stranger && self.strangers.len() < STRANGERS_MAX && self.strangers.insert(owner) {
            self.learn_soon();
        }
    }

    /// All there is of a kind was told.
    fn listed(&mut self, kind: &Kind) {
        let Some(watch) = self.watches.get_mut(kind) else { return };
        watch.stands = Stands::Whole;
        watch.was_whole = true;
        watch.is_denial_told = false;
        self.post.tell(kind, true);
        let (post, index) = (&self.post, &self.index);
        self.wakes.mended(|key| post.are_whole(index.kinds_of(key)));
        let mut watches = self.watches.values();
        if self.is_break_told && watches.all(|watch| matches!(watch.stands, Stands::Whole | Stands::Denied)) {
            self.is_break_told = false;
            tracing::info!(cluster = self.name, "the cluster is watched again");
        }
    }

    /// A kind may not be relied on any more.
    fn broke(&mut self, kind: &Kind, stands: Stands, why: &str) {
        let Some(watch) = self.watches.get_mut(kind) else { return };
        let was_whole = watch.stands == Stands::Whole;
        watch.stands = stands;
        self.post.tell(kind, false);
        if was_whole {
            let now = Instant::now();
            for key in self.index.holding(kind) {
                self.wakes.spread(key, Cause::Break, now);
            }
        }
        let is_told = match stands {
            Stands::Denied => &mut watch.is_denial_told,
            _ => &mut self.is_break_told,
        };
        if !std::mem::replace(is_told, true) {
            tracing::warn!(
                cluster = self.name,
                kind = kind.kind,
                why,
                "cannot watch: what is live there is looked at more often instead"
            );
        }
    }
}

/// The label that says whose an object is; empty without one.
fn inventory_of(labels: &BTreeMap<String, String>) -> &str {
    labels.get(INVENTORY).map(String::as_str).unwrap_or_default()
}

//! What is seen of one cluster, and who is to be woken by it. Nothing here asks a cluster.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use slipway_handoff::Key;
use slipway_kubernetes::Sensed;
use tokio::time::Instant;

use super::digests::{Digests, Mark, News, OBJECTS_MAX, Owner, Place};
use super::index::Index;
use super::kinds::Kind;
use super::senses::Post;
use super::sensing::Glimpse;
use super::wakes::{Cause, Wakes};
use crate::inventory::{INVENTORY, Inventory};

/// So many labels that lead to no key are remembered, so that each is asked about once.
const STRANGERS_MAX: usize = 1024;
/// So many polls look again at a key that is not good: the first may have been under way already when a turn saw so.
const DOUBTED_POLLS: u8 = 2;

/// What is seen of one cluster.
pub(super) struct Sight {
    cluster: String,
    pub(super) post: Post,
    pub(super) index: Index,
    pub(super) wakes: Wakes,
    digests: Digests,
    watches: BTreeMap<Kind, Watch>,
    /// Watches there have been.
    count: u64,
    /// Labels that led to no key when they were asked about.
    strangers: HashSet<Owner>,
    /// Keys that a turn saw not to be good, with how many polls of a kind are to wake them. What a turn saw, polls may
    /// never have seen: if it is as before by the next one, that looks as if nothing had changed.
    doubts: BTreeMap<(Kind, Key), u8>,
    /// Whether it was told that the cluster is not sensed.
    is_break_told: bool,
}

/// The watch of one kind.
struct Watch {
    number: u64,
    stands: Stands,
    /// Whether it was complete once: what is new from then on is news.
    was_whole: bool,
    /// Whether it was told that the right is missing.
    is_denial_told: bool,
}

/// Where a watch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Listing,
    Whole,
    Broken,
    Denied,
}

impl Sight {
    pub(super) fn new(cluster: String, post: Post) -> Self {
        Self {
            cluster,
            post,
            index: Index::default(),
            wakes: Wakes::default(),
            digests: Digests::new(OBJECTS_MAX),
            watches: BTreeMap::new(),
            count: 0,
            strangers: HashSet::new(),
            doubts: BTreeMap::new(),
            is_break_told: false,
        }
    }

    /// The kinds that are watched.
    pub(super) fn watched(&self) -> BTreeSet<Kind> {
        self.watches.keys().cloned().collect()
    }

    /// A watch of a kind begins: its number.
    pub(super) fn begin(&mut self, kind: Kind) -> u64 {
        self.count += 1;
        let (number, stands) = (self.count, Stands::Listing);
        self.watches.insert(kind, Watch { number, stands, was_whole: false, is_denial_told: false });
        number
    }

    /// The watch of a kind ended.
    pub(super) fn end(&mut self, kind: &Kind) {
        let Some(watch) = self.watches.remove(kind) else { return };
        self.post.tell(kind, false);
        self.digests.forget(watch.number);
    }

    /// A key's inventory was read.
    pub(super) fn learnt(&mut self, key: &Key, inventory: &Inventory, now: Instant) {
        if self.index.put(key, inventory, now) {
            // It may rely on a watch that was not, by the word of another process or of an earlier boot.
            self.wakes.spread(key, Cause::Change, now);
        }
    }

    /// Forgets what does not matter any more.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.wakes.tidy(now);
        let index = &self.index;
        self.doubts.retain(|(_, key), _| index.has(key));
        if self.strangers.len() >= STRANGERS_MAX {
            self.strangers.clear();
        }
    }

    /// Takes in what a watch told; `true`: something is of a key that is not known.
    pub(super) fn take(&mut self, kind: &Kind, number: u64, sensed: Sensed, now: Instant) -> bool {
        let Some(watch) = self.watches.get(kind).filter(|watch| watch.number == number) else { return false };
        let was_whole = watch.was_whole;
        match sensed {
            Sensed::Seen { key, labels, digest, object: _ } => {
                let label = inventory_of(&labels).to_owned();
                let glimpse = Glimpse { place: Place::of_key(&key), label, digest };
                self.seen(number, was_whole, &glimpse, now)
            }
            Sensed::Gone { key, labels } => {
                let place = Place::of_key(&key);
                let before = self.digests.gone(number, place);
                self.changed(place, inventory_of(&labels), before, now)
            }
            Sensed::Listed => {
                self.listed(kind);
                false
            }
            Sensed::Broken(why) => {
                self.broke(kind, Stands::Broken, &why, now);
                false
            }
            Sensed::Denied(why) => {
                self.broke(kind, Stands::Denied, &why, now);
                false
            }
        }
    }

    /// Takes in all there is of a kind at one moment; `true`: something is of a key that is not known.
    pub(super) fn take_all(&mut self, kind: &Kind, number: u64, glimpses: &[Glimpse], now: Instant) -> bool {
        let Some(watch) = self.watches.get(kind).filter(|watch| watch.number == number) else { return false };
        let was_whole = watch.was_whole;
        self.look_again(kind, now);
        let mut is_strange = false;
        for glimpse in glimpses {
            is_strange |= self.seen(number, was_whole, glimpse, now);
        }
        let there: HashSet<Place> = glimpses.iter().map(|glimpse| glimpse.place).collect();
        for (place, owner) in self.digests.retain(number, &there) {
            for key in self.index.owner(owner).into_iter().chain(self.index.sharers(place)) {
                self.wakes.changed(key, now);
            }
        }
        if self.digests.is_full() {
            self.broke(kind, Stands::Broken, "there are more objects than are told apart", now);
        } else {
            self.listed(kind);
        }
        is_strange
    }

    /// Has those looked at again that turned out not to be good, as far as something of them is polled.
    pub(super) fn doubt<'k>(&mut self, polled: impl Iterator<Item = &'k Kind>) {
        let not_good = self.post.not_good();
        for kind in polled {
            let doubted = self.index.holding(kind).filter(|key| not_good.contains(*key));
            self.doubts.extend(doubted.map(|key| ((kind.clone(), key.clone()), DOUBTED_POLLS)));
        }
    }

    /// A kind was polled: whoever is doubted and holds it is woken.
    fn look_again(&mut self, kind: &Kind, now: Instant) {
        if self.doubts.is_empty() {
            return;
        }
        for key in self.index.holding(kind) {
            let doubt = (kind.clone(), key.clone());
            let Some(polls) = self.doubts.remove(&doubt) else { continue };
            if polls > 1 {
                self.doubts.insert(doubt, polls - 1);
            }
            self.wakes.changed(key, now);
        }
    }

    /// The cluster gave no answer for so long that nothing that was polled may be relied on.
    pub(super) fn expired<'k>(&mut self, kinds: impl Iterator<Item = &'k Kind>, why: &str, now: Instant) {
        for kind in kinds {
            self.broke(kind, Stands::Broken, why, now);
        }
    }

    /// It answers again: all that was said of it since is looked at anew.
    pub(super) fn returned(&mut self, now: Instant) {
        self.wakes.back(self.index.keys(), now);
    }

    /// Takes in what an object is; `true`: it is of a key that is not known.
    fn seen(&mut self, number: u64, was_whole: bool, glimpse: &Glimpse, now: Instant) -> bool {
        let Glimpse { place, label, digest } = glimpse;
        match self.digests.seen(number, *place, Mark::new(Owner::of(label), digest)) {
            News::Nothing => false,
            // Nobody relies on this watch yet, and whoever will has looked by then.
            News::New if !was_whole => false,
            News::New => self.changed(*place, label, None, now),
            News::Changed(before) => self.changed(*place, label, Some(before), now),
        }
    }

    /// Wakes whoever an object is of, and was of; `true`: it is of nobody who is known.
    fn changed(&mut self, place: Place, label: &str, before: Option<Owner>, now: Instant) -> bool {
        let owner = Owner::of(label);
        let before = before.filter(|before| *before != owner).and_then(|before| self.index.owner(before));
        let current = self.index.owner(owner);
        for key in current.into_iter().chain(before).chain(self.index.sharers(place)) {
            self.wakes.changed(key, now);
        }
        // A key that is new is woken once it is known.
        let is_stranger = current.is_none() && !label.is_empty();
        is_stranger && self.strangers.len() < STRANGERS_MAX && self.strangers.insert(owner)
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
            tracing::info!(cluster = self.cluster, "the cluster is sensed again");
        }
    }

    /// A kind may not be relied on any more.
    fn broke(&mut self, kind: &Kind, stands: Stands, why: &str, now: Instant) {
        let Some(watch) = self.watches.get_mut(kind) else { return };
        let was_whole = watch.stands == Stands::Whole;
        watch.stands = stands;
        self.post.tell(kind, false);
        if was_whole {
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
                cluster = self.cluster,
                kind = kind.kind,
                why,
                "cannot be sensed: what is live there is looked at more often instead"
            );
        }
    }
}

/// The label that says whose an object is; empty without one.
pub(super) fn inventory_of(labels: &BTreeMap<String, String>) -> &str {
    labels.get(INVENTORY).map(String::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;

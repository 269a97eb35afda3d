//! What turns may rely on: which kinds are sensed in which cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use slipway_handoff::{Key, ObjectRef, Submission};
use tokio::sync::Notify;

use super::kinds::Kind;
use crate::inventory::Inventory;
use crate::schedule::Pace;

/// The first pause between looks at what is live and sensed whole: whatever changes there wakes its key.
const SENSED_FIRST_MS: u64 = 1_800_000;
/// The longest such pause.
const SENSED_MOST_MS: u64 = 3_600_000;
/// The pause between looks at what is live in a cluster that is known to be away: when it comes back, its keys are
/// woken.
const EXPIRED_MS: u64 = 900_000;

/// What is watched, told by the sensor of this process and asked by its turns. Without a sensor: nothing.
#[derive(Debug, Default)]
pub(crate) struct Senses {
    clusters: Mutex<BTreeMap<String, Arc<Board>>>,
}

/// What is told of one cluster, and to whoever watches it.
#[derive(Debug, Default)]
struct Board {
    /// Kinds that were told to the end, and since then as they change.
    whole: Mutex<BTreeSet<Kind>>,
    /// Keys for which something was handed off.
    handed_off: Mutex<BTreeSet<Key>>,
    stirred: Notify,
    /// Keys that turned out not to be as they should be.
    not_good: Mutex<BTreeSet<Key>>,
    restless: Notify,
    /// Whether the cluster is known to be away.
    is_expired: AtomicBool,
}

/// The place of who watches a cluster. With it goes all that it told.
#[derive(Debug)]
pub(super) struct Post {
    senses: Arc<Senses>,
    cluster: String,
    board: Arc<Board>,
}

impl Senses {
    /// How often what a submission leads to is looked at, while the key has `inventory`.
    pub(crate) fn pace(&self, submission: &Submission, inventory: &Inventory) -> Pace {
        let cluster = submission.key.environment.cluster();
        // What is there on the way only is in no inventory any more, and nobody looks at it.
        let nodes = submission.document.graph.nodes().values().filter(|node| !node.temporary);
        let objects = nodes.flat_map(|node| &node.objects).map(|object| &object.object);
        let usual = Pace::default();
        if self.is_whole(cluster, objects, inventory) {
            Pace { watch_first_ms: SENSED_FIRST_MS, watch_most_ms: SENSED_MOST_MS, ..usual }
        } else if self.board(cluster).is_some_and(|board| board.is_expired.load(Ordering::Relaxed)) {
            Pace { watch_first_ms: EXPIRED_MS, watch_most_ms: EXPIRED_MS, ..usual }
        } else {
            usual
        }
    }

    /// A key is not as it should be: its cluster is asked often for a while, if it is not watched.
    pub(crate) fn not_good(&self, key: &Key) {
        let Some(board) = self.board(key.environment.cluster()) else { return };
        board.not_good.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        board.restless.notify_one();
    }

    fn is_whole<'o>(
        &self,
        cluster: &str,
        mut objects: impl Iterator<Item = &'o ObjectRef>,
        inventory: &Inventory,
    ) -> bool {
        let Some(board) = self.board(cluster) else { return false };
        let whole = board.whole.lock().unwrap_or_else(PoisonError::into_inner);
        // What is merely used has no label of an inventory, so no watch tells of it.
        objects.all(|object| inventory.has(object) && Kind::of(object).is_within(&whole))
            && inventory.entries().all(|entry| Kind::of(&entry.object).is_within(&whole))
    }

    /// Something was handed off for a key: its inventory may hold other kinds now.
    pub(crate) fn handed_off(&self, key: &Key) {
        let Some(board) = self.board(key.environment.cluster()) else { return };
        board.handed_off.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        board.stirred.notify_one();
    }

    fn board(&self, cluster: &str) -> Option<Arc<Board>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).get(cluster).cloned()
    }
}

impl Post {
    /// Takes the place of who watched the cluster before.
    pub(super) fn take(senses: Arc<Senses>, cluster: String) -> Self {
        let board = Arc::new(Board::default());
        let mut clusters = senses.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.insert(cluster.clone(), Arc::clone(&board));
        drop(clusters);
        Self { senses, cluster, board }
    }

    /// Tells whether a kind may be relied on.
    pub(super) fn tell(&self, kind: &Kind, is_whole: bool) {
        let mut whole = self.board.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if is_whole {
            whole.insert(kind.clone());
        } else {
            whole.remove(kind);
        }
    }

    /// Whether all these kinds may be relied on.
    pub(super) fn are_whole<'k>(&self, mut kinds: impl Iterator<Item = &'k Kind>) -> bool {
        let whole = self.board.whole.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.all(|kind| kind.is_within(&whole))
    }

    /// Tells whether the cluster is known to be away.
    pub(super) fn tell_expired(&self, is_expired: bool) {
        self.board.is_expired.store(is_expired, Ordering::Relaxed);
    }

    /// Returns once something is not good.
    pub(super) async fn restless(&self) {
        self.board.restless.notified().await;
    }

    /// Keys that turned out not to be good since this was last asked.
    pub(super) fn not_good(&self) -> BTreeSet<Key> {
        let mut keys = self.board.not_good.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *keys)
    }

    /// Returns once something was handed off.
    pub(super) async fn stirred(&self) {
        self.board.stirred.notified().await;
    }

    /// Keys for which something was handed off since this was last asked.
    pub(super) fn handed_off(&self) -> BTreeSet<Key> {
        let mut keys = self.board.handed_off.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *keys)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let mut clusters = self.senses.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        if clusters.get(&self.cluster).is_some_and(|board| Arc::ptr_eq(board, &self.board)) {
            clusters.remove(&self.cluster);
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_handoff::Collect;

    use super::*;
    use crate::inventory::Entry;

    fn object(kind: &str) -> ObjectRef {
        ObjectRef {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: Some("shop".to_owned()),
            name: "a".to_owned(),
        }
    }

    fn inventory(kinds: &[&str]) -> Inventory {
        let entry = |kind: &&str| Entry {
            object: object(kind),
            uid: None,
            generation: 1,
            collect: Collect::OnUpdate,
            shared: false,
        };
        Inventory::try_from(kinds.iter().map(entry).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_key_is_watched_whole_while_each_of_its_kinds_is() {
        let senses = Arc::new(Senses::default());
        let (both, objects) = (inventory(&["Service", "Secret"]), [object("Service"), object("Secret")]);
        let is_whole = || senses.is_whole("kind", objects.iter(), &both);
        assert!(!is_whole(), "nobody watches");
        let post = Post::take(Arc::clone(&senses), "kind".to_owned());
        post.tell(&Kind::of(&object("Service")), true);
        assert!(!is_whole(), "one kind is wanting");
        post.tell(&Kind::of(&object("Secret")), true);
        assert!(is_whole());
        assert!(!senses.is_whole("other", objects.iter(), &both), "another cluster");
        post.tell(&Kind::of(&object("Service")), false);
        assert!(!is_whole(), "one broke");
        assert!(senses.is_whole("kind", [object("Secret")].iter(), &inventory(&["Secret"])));
        assert!(post.are_whole([Kind::of(&object("Secret"))].iter()));
        assert!(!post.are_whole([Kind::of(&object("Service"))].iter()));
    }

    #[test]
    fn a_kind_that_is_watched_anywhere_is_watched_in_each_namespace_and_not_the_other_way() {
        let senses = Arc::new(Senses::default());
        let post = Post::take(Arc::clone(&senses), "kind".to_owned());
        let is_whole = || senses.is_whole("kind", [object("Service")].iter(), &inventory(&["Service"]));
        let there = Kind::of(&object("Service"));
        post.tell(&Kind { namespace: Some("web".to_owned()), ..there.clone() }, true);
        assert!(!is_whole(), "another namespace");
        post.tell(&there, true);
        assert!(is_whole());
        post.tell(&there, false);
        post.tell(&there.anywhere(), true);
        assert!(is_whole());
        assert!(post.are_whole([there].iter()));
    }

    #[test]
    fn what_a_key_uses_and_does_not_own_is_not_watched() {
        let senses = Arc::new(Senses::default());
        let post = Post::take(Arc::clone(&senses), "kind".to_owned());
        post.tell(&Kind::of(&object("Service")), true);
        assert!(!senses.is_whole("kind", [object("Service")].iter(), &Inventory::default()));
    }

    #[test]
    fn what_goes_beyond_the_revision_counts_too() {
        let senses = Arc::new(Senses::default());
        let post = Post::take(Arc::clone(&senses), "kind".to_owned());
        post.tell(&Kind::of(&object("Service")), true);
        let more = inventory(&["Service", "Secret"]);
        assert!(!senses.is_whole("kind", [object("Service")].iter(), &more));
    }

    #[test]
    fn with_who_watches_goes_what_it_told_but_not_what_its_successor_tells() {
        let senses = Arc::new(Senses::default());
        let nothing = Inventory::default();
        let first = Post::take(Arc::clone(&senses), "kind".to_owned());
        let second = Post::take(Arc::clone(&senses), "kind".to_owned());
        drop(first);
        assert!(senses.is_whole("kind", [].iter(), &nothing));
        drop(second);
        assert!(!senses.is_whole("kind", [].iter(), &nothing));
    }

    #[test]
    fn what_was_handed_off_is_told_once_and_to_its_cluster_alone() {
        let senses = Arc::new(Senses::default());
        let post = Post::take(Arc::clone(&senses), "kind".to_owned());
        let key = |environment: &str| Key {
            environment: environment.parse().unwrap(),
            application: "commerce/shop".parse().unwrap(),
        };
        senses.handed_off(&key("eu/kind/shop"));
        senses.handed_off(&key("eu/other/shop"));
        assert_eq!(post.handed_off(), BTreeSet::from([key("eu/kind/shop")]));
        assert_eq!(post.handed_off(), BTreeSet::new());
    }
}

//! What each object was when it was last seen, so that only what changed wakes.

use std::collections::{HashMap, HashSet};

use slipway_handoff::ObjectRef;
use slipway_kubernetes::ObjectKey;
use slipway_types::Digest;

/// Of so many objects of a cluster it is known what they were: at most about 6 MiB. Of each further one every
/// report counts as a change.
pub(super) const OBJECTS_MAX: usize = 100_000;

/// The first 8 bytes of a digest.
pub(super) fn head(digest: &Digest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// An object in any version of its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn of(object: &ObjectRef) -> Self {
        let (group, kind, namespace, name) = object.identity();
        Self::at(group, kind, namespace.unwrap_or_default(), name)
    }

    pub(super) fn of_key(key: &ObjectKey) -> Self {
        let group = key.api_version.split_once('/').map_or("", |(group, _)| group);
        Self::at(group, &key.kind, &key.namespace, &key.name)
    }

    fn at(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        // No part can have a slash in it.
        Self(head(&Digest::of(format!("{group}/{kind}/{namespace}/{name}"))))
    }
}

/// Whose an object is, by the label's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owner(u64);

impl Owner {
    pub(super) fn of(label: &str) -> Self {
        Self(head(&Digest::of(label)))
    }
}

/// What is known of an object: 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    owner: Owner,
    content: u64,
}

impl Mark {
    pub(super) fn new(owner: Owner, content: &Digest) -> Self {
        Self { owner, content: head(content) }
    }
}

/// What a report of an object means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It is as it was.
    Nothing,
    /// It was not known.
    New,
    /// It is not as it was, and was this owner's.
    Changed(Owner),
}

/// The objects of a cluster, by the number of the watch that tells of them.
#[derive(Debug)]
pub(super) struct Digests {
    watches: HashMap<u64, HashMap<Place, Mark>>,
    len: usize,
    max: usize,
}

impl Digests {
    /// None yet, and never more than `max`.
    pub(super) fn new(max: usize) -> Self {
        Self { watches: HashMap::new(), len: 0, max }
    }

    /// An object was told of.
    pub(super) fn seen(&mut self, watch: u64, place: Place, mark: Mark) -> News {
        let objects = self.watches.entry(watch).or_default();
        if let Some(known) = objects.get_mut(&place) {
            let before = std::mem::replace(known, mark);
            return if before == mark { News::Nothing } else { News::Changed(before.owner) };
        }
        if self.len < self.max {
            objects.insert(place, mark);
            self.len += 1;
        }
        News::New
    }

    /// An object went: whose it was, if that is known.
    pub(super) fn gone(&mut self, watch: u64, place: Place) -> Option<Owner> {
        let mark = self.watches.get_mut(&watch)?.remove(&place)?;
        self.len -= 1;
        Some(mark.owner)
    }

    /// All objects of a watch are these: gives the others that it had, with whose they were.
    pub(super) fn retain(&mut self, watch: u64, there: &HashSet<Place>) -> Vec<(Place, Owner)> {
        let Some(objects) = self.watches.get_mut(&watch) else { return Vec::new() };
        let gone = objects.extract_if(|place, _| !there.contains(place));
        let gone: Vec<(Place, Owner)> = gone.map(|(place, mark)| (place, mark.owner)).collect();
        self.len -= gone.len();
        gone
    }

    /// Whether a new object may find no room.
    pub(super) fn is_full(&self) -> bool {
        self.len >= self.max
    }

    /// A watch ended.
    pub(super) fn forget(&mut self, watch: u64) {
        let objects = self.watches.remove(&watch);
        self.len -= objects.map_or(0, |objects| objects.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(owner: &str, content: &str) -> Mark {
        Mark::new(Owner::of(owner), &Digest::of(content))
    }

    #[test]
    fn only_what_changed_is_news() {
        let mut digests = Digests::new(10);
        let place = Place(1);
        assert_eq!(digests.seen(1, place, mark("a", "1")), News::New);
        assert_eq!(digests.seen(1, place, mark("a", "1")), News::Nothing);
        assert_eq!(digests.seen(1, place, mark("a", "2")), News::Changed(Owner::of("a")));
        assert_eq!(digests.seen(1, place, mark("b", "2")), News::Changed(Owner::of("a")), "another's now");
        assert_eq!(digests.gone(1, place), Some(Owner::of("b")));
        assert_eq!(digests.gone(1, place), None);
        assert_eq!(digests.seen(1, place, mark("b", "2")), News::New, "it came again");
    }

    #[test]
    fn what_finds_no_room_is_always_news() {
        let mut digests = Digests::new(1);
        assert_eq!(digests.seen(1, Place(1), mark("a", "1")), News::New);
        for _ in 0..2 {
            assert_eq!(digests.seen(1, Place(2), mark("a", "1")), News::New);
        }
        digests.forget(1);
        assert_eq!(digests.seen(2, Place(2), mark("a", "1")), News::New);
        assert_eq!(digests.seen(2, Place(2), mark("a", "1")), News::Nothing, "a watch that ended made room");
    }

    #[test]
    fn what_a_list_does_not_have_went() {
        let mut digests = Digests::new(3);
        for (watch, place) in [(1, 1), (1, 2), (2, 3)] {
            digests.seen(watch, Place(place), mark("a", "1"));
        }
        assert!(digests.is_full());
        assert_eq!(digests.retain(1, &HashSet::from([Place(1), Place(7)])), [(Place(2), Owner::of("a"))]);
        assert!(!digests.is_full());
        assert_eq!(digests.seen(2, Place(3), mark("a", "1")), News::Nothing, "another watch keeps its own");
        assert_eq!(digests.retain(4, &HashSet::new()), []);
    }

    #[test]
    fn an_object_has_one_place_by_whatever_it_is_named() {
        let object = ObjectRef {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
        };
        let key = ObjectKey {
            api_version: "apps/v1beta1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        };
        assert_eq!(Place::of(&object), Place::of_key(&key));
        assert_ne!(Place::of(&object), Place::of_key(&ObjectKey { name: "web2".to_owned(), ..key }));
        assert_ne!(Place::of(&object), Place::of(&ObjectRef { namespace: None, ..object.clone() }));
    }

    proptest! {
        #[test]
        fn never_more_is_kept_than_the_limit_and_it_is_counted_right(
            steps in proptest::collection::vec((0_u8..5, 0_u64..3, 0_u64..12), 0..200),
            max in 0_usize..8,
        ) {
            let mut digests = Digests::new(max);
            for (what, watch, place) in steps {
                match what {
                    0 => digests.forget(watch),
                    1 => {
                        digests.gone(watch, Place(place));
                    }
                    2 => {
                        digests.retain(watch, &HashSet::from([Place(place), Place(place + 1)]));
                    }
                    _ => {
                        digests.seen(watch, Place(place), mark("a", &what.to_string()));
                    }
                }
                let kept: usize = digests.watches.values().map(HashMap::len).sum();
                prop_assert_eq!(kept, digests.len);
                prop_assert!(kept <= max);
            }
        }
    }
}

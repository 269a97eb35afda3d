//! Which kinds of objects are watched in a cluster.

use std::collections::BTreeSet;

use slipway_handoff::ObjectRef;

use crate::inventory::Inventory;

/// So many kinds are watched in a cluster at once; keys that hold others are looked at by the ladder.
pub(super) const WATCHES_MAX: usize = 64;
/// The same of a cluster some of whose kinds are watched in one namespace after the other.
pub(super) const NARROW_WATCHES_MAX: usize = 256;

/// A kind of objects in a version of its API, in all namespaces or in one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// E.g. `apps/v1`.
    pub(crate) api_version: String,
    /// E.g. `Deployment`.
    pub(crate) kind: String,
    /// `None`: anywhere.
    pub(crate) namespace: Option<String>,
}

impl Kind {
    /// The kind of an object where that lies.
    pub(crate) fn of(object: &ObjectRef) -> Self {
        Self {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
        }
    }

    /// The same kind wherever it is.
    pub(super) fn anywhere(&self) -> Self {
        Self { namespace: None, ..self.clone() }
    }

    /// Whether all that is of the other is of this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let is_there = self.namespace.is_none() || self.namespace == other.namespace;
        is_there && self.kind == other.kind && self.api_version == other.api_version
    }

    /// Whether one of these covers it.
    pub(super) fn is_within(&self, sensed: &BTreeSet<Self>) -> bool {
        sensed.contains(&self.anywhere()) || sensed.contains(self)
    }

    /// All that an inventory holds something of.
    pub(super) fn all_of(inventory: &Inventory) -> BTreeSet<Self> {
        inventory.entries().map(|entry| Self::of(&entry.object)).collect()
    }
}

/// What is to change so that the right kinds are watched.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rewatch {
    /// Nobody has them any more.
    pub(super) end: Vec<Kind>,
    /// To be watched from now on.
    pub(super) begin: Vec<Kind>,
    /// Held, but beyond the limit.
    pub(super) left_out: Vec<Kind>,
}

impl Rewatch {
    /// From what is `watched` to what is `held`, at most `limit`. What is watched and held stays.
    pub(super) fn of(watched: &BTreeSet<Kind>, held: &BTreeSet<Kind>, limit: usize) -> Self {
        let end = watched.difference(held).cloned().collect();
        let room = limit.saturating_sub(watched.intersection(held).count());
        let mut begin: Vec<Kind> = held.difference(watched).cloned().collect();
        let left_out = begin.split_off(room.min(begin.len()));
        Self { end, begin, left_out }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn kinds(names: impl IntoIterator<Item = u8>) -> BTreeSet<Kind> {
        let kind =
            |name: u8| Kind { api_version: "v1".to_owned(), kind: format!("K{name:03}"), namespace: None };
        names.into_iter().map(kind).collect()
    }

    #[test]
    fn a_kind_anywhere_covers_the_same_in_each_namespace() {
        let at = |kind: &str, namespace: Option<&str>| Kind {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
        };
        let (anywhere, shop) = (at("Secret", None), at("Secret", Some("shop")));
        assert_eq!(shop.anywhere(), anywhere);
        for (one, other, expected) in [
            (&anywhere, &shop, true),
            (&anywhere, &anywhere, true),
            (&shop, &shop, true),
            (&shop, &anywhere, false),
            (&shop, &at("Secret", Some("web")), false),
            (&anywhere, &at("Service", Some("shop")), false),
        ] {
            assert_eq!(one.covers(other), expected, "{one:?} {other:?}");
            assert_eq!(other.is_within(&BTreeSet::from([one.clone()])), expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_nobody_has_is_unwatched_and_makes_room() {
        let rewatch = Rewatch::of(&kinds([1, 2]), &kinds([2, 3, 4]), 2);
        assert_eq!(rewatch.end, kinds([1]).into_iter().collect::<Vec<_>>());
        assert_eq!(rewatch.begin, kinds([3]).into_iter().collect::<Vec<_>>());
        assert_eq!(rewatch.left_out, kinds([4]).into_iter().collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn after_any_change_what_is_held_is_watched_up_to_the_limit(
            watched in btree_set(0_u8..30, 0..8),
            held in btree_set(0_u8..30, 0..20),
            limit in 8_usize..16,
        ) {
            let (watched, held) = (kinds(watched), kinds(held));
            let rewatch = Rewatch::of(&watched, &held, limit);
            let mut after = watched.clone();
            for kind in &rewatch.end {
                prop_assert!(after.remove(kind), "only what is watched ends");
            }
            for kind in &rewatch.begin {
                prop_assert!(after.insert(kind.clone()), "nothing is watched twice");
            }
            prop_assert!(after.is_subset(&held));
            prop_assert_eq!(after.len(), held.len().min(limit));
            let stays = watched.intersection(&held).all(|kind| after.contains(kind));
            prop_assert!(stays, "none is dropped for another");
            let left_out: BTreeSet<Kind> = rewatch.left_out.into_iter().collect();
            let others: BTreeSet<Kind> = held.difference(&after).cloned().collect();
            prop_assert_eq!(left_out, others);
        }
    }
}

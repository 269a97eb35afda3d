//! Whose what is: from an object's label, and for shared objects from the object, to keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use slipway_handoff::Key;
use tokio::time::Instant;

use super::digests::{Owner, Place};
use super::kinds::Kind;
use crate::inventory::{Inventory, InventoryId};

/// The keys of a cluster with what matters of their inventories.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: BTreeMap<Key, Held>,
    /// By the label's value.
    owners: HashMap<Owner, Key>,
    /// The label of a shared object names one of its owners only.
    shared: HashMap<Place, BTreeSet<Key>>,
}

#[derive(Debug)]
struct Held {
    /// Each where it lies.
    kinds: BTreeSet<Kind>,
    shared: BTreeSet<Place>,
    read_at: Instant,
}

impl Index {
    /// Takes in a key's inventory as it was read; `true`: of something in it no change could be told so far.
    pub(super) fn put(&mut self, key: &Key, inventory: &Inventory, now: Instant) -> bool {
        let kinds = Kind::all_of(inventory);
        let shared = inventory.entries().filter(|entry| entry.shared);
        let shared: BTreeSet<Place> = shared.map(|entry| Place::of(&entry.object)).collect();
        let before = self.keys.get(key);
        let was_told =
            before.is_some_and(|held| kinds.is_subset(&held.kinds) && shared.is_subset(&held.shared));
        self.remove(key);
        for place in &shared {
            self.shared.entry(*place).or_default().insert(key.clone());
        }
        self.owners.insert(Owner::of(InventoryId::of(key).as_str()), key.clone());
        self.keys.insert(key.clone(), Held { kinds, shared, read_at: now });
        !was_told
    }

    /// Forgets a key; `false`: it was not known.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let Some(held) = self.keys.remove(key) else { return false };
        self.owners.remove(&Owner::of(InventoryId::of(key).as_str()));
        for place in held.shared {
            if let Some(keys) = self.shared.get_mut(&place) {
                keys.remove(key);
                if keys.is_empty() {
                    self.shared.remove(&place);
                }
            }
        }
        true
    }

    /// Forgets all keys but these.
    pub(super) fn retain(&mut self, all: &BTreeSet<Key>) {
        for key in self.keys.keys().filter(|key| !all.contains(*key)).cloned().collect::<Vec<_>>() {
            self.remove(&key);
        }
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.keys.contains_key(key)
    }

    /// So many keys, those first that were read the longest ago.
    pub(super) fn oldest(&self, count: usize) -> Vec<Key> {
        let mut keys: Vec<(Instant, &Key)> =
            self.keys.iter().map(|(key, held)| (held.read_at, key)).collect();
        keys.sort_unstable();
        keys.into_iter().take(count).map(|(_, key)| key.clone()).collect()
    }

    /// Whose label this is.
    pub(super) fn owner(&self, owner: Owner) -> Option<&Key> {
        self.owners.get(&owner)
    }

    /// Who shares an object.
    pub(super) fn sharers(&self, place: Place) -> impl Iterator<Item = &Key> {
        self.shared.get(&place).into_iter().flatten()
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.keys()
    }

    /// All kinds that some key holds: anywhere, but those of `narrow` in each namespace where one is held.
    pub(super) fn kinds(&self, narrow: &BTreeSet<Kind>) -> BTreeSet<Kind> {
        let held = self.keys.values().flat_map(|held| &held.kinds);
        let sensed = held.map(|kind| match kind.anywhere() {
            anywhere if narrow.contains(&anywhere) => kind.clone(),
            anywhere => anywhere,
        });
        sensed.collect()
    }

    /// Whether objects of a kind are held in namespaces.
    pub(super) fn is_namespaced(&self, kind: &Kind) -> bool {
        let mut held = self.keys.values().flat_map(|held| &held.kinds);
        held.any(|held| held.namespace.is_some() && kind.covers(held))
    }

    /// The kinds that a key holds, each where it lies.
    pub(super) fn kinds_of(&self, key: &Key) -> impl Iterator<Item = &Kind> {
        self.keys.get(key).into_iter().flat_map(|held| &held.kinds)
    }

    /// Keys that hold something of a kind.
    pub(super) fn holding(&self, kind: &Kind) -> impl Iterator<Item = &Key> {
        let holding = self.keys.iter().filter(move |(_, held)| held.kinds.iter().any(|one| kind.covers(one)));
        holding.map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use slipway_handoff::{Collect, ObjectRef};

    use super::*;
    use crate::inventory::Entry;

    fn key(name: &str) -> Key {
        Key { environment: "eu/kind/shop".parse().unwrap(), application: name.parse().unwrap() }
    }

    fn entry(kind: &str, name: &str, shared: bool) -> Entry {
        let object = ObjectRef {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        };
        Entry { object, uid: None, generation: 1, collect: Collect::OnUpdate, shared }
    }

    fn inventory(entries: Vec<Entry>) -> Inventory {
        Inventory::try_from(entries).unwrap()
    }

    fn kind(kind: &str) -> Kind {
        Kind { api_version: "v1".to_owned(), kind: kind.to_owned(), namespace: None }
    }

    #[test]
    fn a_label_leads_to_its_key_for_as_long_as_that_is_known() {
        let (mut index, now) = (Index::default(), Instant::now());
        let (shop, web) = (key("commerce/shop"), key("commerce/web"));
        assert!(index.put(&shop, &Inventory::default(), now));
        assert!(index.put(&web, &Inventory::default(), now));
        assert!(!index.put(&shop, &Inventory::default(), now), "it is known");
        let label = InventoryId::of(&shop);
        assert_eq!(index.owner(Owner::of(label.as_str())), Some(&shop));
        assert_eq!(index.owner(Owner::of("shop")), None);
        index.retain(&BTreeSet::from([web.clone()]));
        assert!(index.has(&web) && !index.has(&shop));
        assert_eq!(index.owner(Owner::of(label.as_str())), None);
    }

    #[test]
    fn kinds_are_the_union_of_what_all_keys_hold_now() {
        let (mut index, now) = (Index::default(), Instant::now());
        let (shop, web) = (key("shop"), key("web"));
        index.put(&shop, &Inventory::default(), now);
        let both = inventory(vec![entry("Service", "a", false), entry("Secret", "a", false)]);
        assert!(index.put(&shop, &both, now), "it has new kinds");
        index.put(&web, &inventory(vec![entry("Service", "b", false)]), now);
        assert_eq!(index.kinds(&BTreeSet::new()), BTreeSet::from([kind("Secret"), kind("Service")]));
        assert_eq!(index.holding(&kind("Service")).collect::<Vec<_>>(), [&shop, &web]);
        assert!(!index.put(&shop, &inventory(vec![entry("Service", "a", false)]), now), "it has one less");
        assert_eq!(index.kinds(&BTreeSet::new()), BTreeSet::from([kind("Service")]));
        assert_eq!(index.holding(&kind("Secret")).count(), 0);
        let there = Kind { namespace: Some("shop".to_owned()), ..kind("Service") };
        assert_eq!(index.kinds_of(&shop).collect::<Vec<_>>(), [&there]);
        assert!(index.is_namespaced(&kind("Service")) && !index.is_namespaced(&kind("Secret")));
    }

    #[test]
    fn kinds_that_are_denied_everywhere_are_sensed_where_they_are_held() {
        let (mut index, now) = (Index::default(), Instant::now());
        let mut role = entry("ClusterRole", "a", false);
        role.object.namespace = None;
        let mut elsewhere = entry("Service", "b", false);
        elsewhere.object.namespace = Some("web".to_owned());
        let both = inventory(vec![entry("Service", "a", false), entry("Secret", "a", false), role]);
        index.put(&key("shop"), &both, now);
        index.put(&key("web"), &inventory(vec![elsewhere]), now);
        let at = |name: &str, namespace: &str| Kind { namespace: Some(namespace.to_owned()), ..kind(name) };
        let narrow = BTreeSet::from([kind("Service"), kind("ClusterRole")]);
        let expected = [kind("ClusterRole"), kind("Secret"), at("Service", "shop"), at("Service", "web")];
        assert_eq!(index.kinds(&narrow), BTreeSet::from(expected));
        assert_eq!(index.holding(&at("Service", "web")).collect::<Vec<_>>(), [&key("web")]);
        assert_eq!(index.holding(&kind("Service")).count(), 2);
        assert!(!index.is_namespaced(&kind("ClusterRole")));
    }

    #[test]
    fn a_shared_object_leads_to_all_that_share_it() {
        let (mut index, now) = (Index::default(), Instant::now());
        let (shop, web) = (key("shop"), key("web"));
        let shared = entry("ConfigMap", "both", true);
        let place = Place::of(&shared.object);
        index.put(&shop, &inventory(vec![shared.clone()]), now);
        index.put(&web, &inventory(vec![shared, entry("ConfigMap", "own", false)]), now);
        assert_eq!(index.sharers(place).collect::<Vec<_>>(), [&shop, &web]);
        assert_eq!(index.sharers(Place::of(&entry("ConfigMap", "own", false).object)).count(), 0);
        index.remove(&shop);
        assert_eq!(index.sharers(place).collect::<Vec<_>>(), [&web]);
        index.put(&web, &Inventory::default(), now);
        assert!(index.shared.is_empty());
    }

    #[test]
    fn those_read_the_longest_ago_are_read_again_first() {
        let (mut index, now) = (Index::default(), Instant::now());
        for (name, second) in [("a", 3), ("b", 1), ("c", 2)] {
            index.put(&key(name), &Inventory::default(), now + Duration::from_secs(second));
        }
        assert_eq!(index.oldest(2), [key("b"), key("c")]);
    }
}

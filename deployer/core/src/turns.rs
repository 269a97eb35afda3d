//! How many turns the applications of one cluster have at once, so that no cluster takes all of them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_handoff::Key;

/// The turns that are under way, by cluster.
pub(crate) struct Turns {
    /// So many of one cluster.
    max: usize,
    crowds: Mutex<HashMap<String, Crowd>>,
}

/// The turns of one cluster.
#[derive(Default)]
struct Crowd {
    under_way: usize,
    /// Who found no place, in this order; who has come again meanwhile is not among `left` any more.
    order: VecDeque<Key>,
    left: HashSet<Key>,
}

/// A turn's place, given back when this is dropped.
pub(crate) struct Place {
    turns: Arc<Turns>,
    cluster: String,
}

impl Turns {
    /// Up to `max` of each cluster, and one in any case.
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), crowds: Mutex::default() }
    }

    /// A place for a turn of a key; `None`: its cluster has no more just now, and the key is remembered.
    pub(crate) fn take(self: &Arc<Self>, key: &Key) -> Option<Place> {
        let cluster = key.environment.cluster();
        let mut crowds = self.crowds();
        let crowd = crowds.entry(cluster.to_owned()).or_default();
        if crowd.under_way >= self.max {
            if crowd.left.insert(key.clone()) {
                crowd.order.push_back(key.clone());
            }
            return None;
        }
        crowd.left.remove(key);
        crowd.under_way += 1;
        Some(Place { turns: Arc::clone(self), cluster: cluster.to_owned() })
    }

    fn crowds(&self) -> MutexGuard<'_, HashMap<String, Crowd>> {
        self.crowds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crowd {
    fn next(&mut self) -> Option<Key> {
        while let Some(key) = self.order.pop_front() {
            if self.left.remove(&key) {
                return Some(key);
            }
        }
        None
    }
}

impl Place {
    /// Gives the place back; gives the key that found none and is next.
    pub(crate) fn end(self) -> Option<Key> {
        self.turns.crowds().get_mut(&self.cluster)?.next()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut crowds = self.turns.crowds();
        if let Some(crowd) = crowds.get_mut(&self.cluster) {
            crowd.under_way -= 1;
            if crowd.under_way == 0 && crowd.left.is_empty() {
                crowds.remove(&self.cluster);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(cluster: &str, number: usize) -> Key {
        Key {
            environment: format!("eu/{cluster}/shop").parse().unwrap(),
            application: format!("commerce/shop-{number}").parse().unwrap(),
        }
    }

    #[test]
    fn a_cluster_has_so_many_turns_and_takes_none_from_another() {
        let turns = Arc::new(Turns::new(2));
        let places: Vec<Place> = (0..2).filter_map(|number| turns.take(&key("a", number))).collect();
        assert_eq!(places.len(), 2);
        assert!(turns.take(&key("a", 2)).is_none());
        assert!(turns.take(&key("b", 0)).is_some());
        drop(places);
        assert!(turns.take(&key("a", 2)).is_some());
    }

    #[test]
    fn who_found_no_place_is_named_once_and_in_order() {
        let turns = Arc::new(Turns::new(1));
        let place = turns.take(&key("a", 0)).expect("a place");
        for number in [3, 1, 3, 2] {
            assert!(turns.take(&key("a", number)).is_none());
        }
        assert_eq!(place.end(), Some(key("a", 3)));
        // Another came before who was named.
        let place = turns.take(&key("a", 1)).expect("a place");
        assert!(turns.take(&key("a", 3)).is_none());
        assert_eq!(place.end(), Some(key("a", 2)));
        let place = turns.take(&key("a", 2)).expect("a place");
        assert_eq!(place.end(), Some(key("a", 3)));
        let place = turns.take(&key("a", 3)).expect("a place");
        assert_eq!(place.end(), None);
        assert!(turns.crowds().is_empty(), "nothing is kept of a cluster at rest");
    }
}

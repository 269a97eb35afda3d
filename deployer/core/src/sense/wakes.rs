//! When which key is woken: at once, but never again and again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use slipway_handoff::Key;
use slipway_types::Digest;
use tokio::time::Instant;

/// A key is woken at most once in this time.
const APART: Duration = Duration::from_millis(300);
/// The same for a key in which something never stops changing.
const APART_RESTLESS: Duration = Duration::from_secs(5);
/// So many wakes without a pause of [`QUIET`] make a key restless.
const IN_A_ROW_MAX: u32 = 60;
/// After such a pause a key is at rest again.
const QUIET: Duration = Duration::from_secs(10);
/// How far apart the wakes of keys are whose cluster is back.
const BACK_APART: Duration = Duration::from_millis(20);
/// Over how long the wakes of many keys are spread, in milliseconds.
const SPREAD_MS: u64 = 30_000;

/// Why a key is woken. Of several reasons the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A watch broke. Once it tells all again there is no reason any more.
    Break,
    /// Something changed, or may have.
    Change,
}

/// Keys that are to be woken, and those that were.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    due: BTreeMap<Key, Due>,
    /// The same by time.
    order: BTreeSet<(Instant, Key)>,
    woken: HashMap<Key, Woken>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    cause: Cause,
}

#[derive(Debug, Clone, Copy)]
struct Woken {
    last: Instant,
    in_a_row: u32,
}

impl Woken {
    fn apart(self) -> Duration {
        if self.in_a_row < IN_A_ROW_MAX { APART } else { APART_RESTLESS }
    }
}

/// A key's own share of the time over which many are spread.
fn phase(key: &Key) -> Duration {
    let [a, b, ..] = *Digest::of(key.to_string()).as_bytes();
    Duration::from_millis(u64::from(u16::from_be_bytes([a, b])) * SPREAD_MS / (1 << 16))
}

impl Wakes {
    /// Something of a key changed.
    pub(super) fn changed(&mut self, key: &Key, now: Instant) {
        self.plan(key, Due { at: now, cause: Cause::Change });
    }

    /// A key is woken at its own time within half a minute.
    pub(super) fn spread(&mut self, key: &Key, cause: Cause, now: Instant) {
        self.plan(key, Due { at: now + phase(key), cause });
    }

    /// The cluster of these keys answers again: each is woken, the first at once.
    pub(super) fn back<'k>(&mut self, keys: impl Iterator<Item = &'k Key>, now: Instant) {
        let mut at = now;
        for key in keys {
            self.plan(key, Due { at, cause: Cause::Change });
            at += BACK_APART;
        }
    }

    /// Keys that could not be woken are, later.
    pub(super) fn again(&mut self, keys: &[Key], at: Instant) {
        for key in keys {
            self.plan(key, Due { at, cause: Cause::Change });
        }
    }

    fn plan(&mut self, key: &Key, mut due: Due) {
        if let Some(woken) = self.woken.get(key) {
            due.at = due.at.max(woken.last + woken.apart());
        }
        if let Some(known) = self.cancel(key) {
            due = Due { at: due.at.min(known.at), cause: due.cause.max(known.cause) };
        }
        self.due.insert(key.clone(), due);
        self.order.insert((due.at, key.clone()));
    }

    fn cancel(&mut self, key: &Key) -> Option<Due> {
        let due = self.due.remove(key)?;
        self.order.remove(&(due.at, key.clone()));
        Some(due)
    }

    /// Watches tell all again: keys for which that holds are not woken for having been without.
    pub(super) fn mended(&mut self, is_whole: impl Fn(&Key) -> bool) {
        let all = self.due.iter().filter(|(key, due)| due.cause == Cause::Break && is_whole(key));
        for key in all.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.cancel(&key);
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Those that are due, at most `limit`, sorted. They count as woken.
    pub(super) fn take(&mut self, now: Instant, limit: usize) -> Vec<Key> {
        let due = self.order.iter().take_while(|(at, _)| *at <= now).take(limit);
        let mut keys: Vec<Key> = due.map(|(_, key)| key.clone()).collect();
        keys.sort_unstable();
        for key in &keys {
            self.cancel(key);
            let before = self.woken.get(key).filter(|woken| now - woken.last < QUIET);
            let in_a_row = before.map_or(0, |woken| woken.in_a_row).saturating_add(1);
            self.woken.insert(key.clone(), Woken { last: now, in_a_row });
        }
        keys
    }

    /// Forgets what does not matter any more.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.woken.retain(|_, woken| now - woken.last < QUIET);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> Key {
        Key {
            environment: "eu/kind/shop".parse().unwrap(),
            application: format!("commerce/shop-{number}").parse().unwrap(),
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_change_wakes_at_once_and_a_burst_wakes_once_more_at_its_end() {
        let (mut wakes, start) = (Wakes::default(), Instant::now());
        wakes.changed(&key(1), start);
        assert_eq!(wakes.take(start, 10), [key(1)]);
        for after in [10, 20, 290] {
            wakes.changed(&key(1), start + ms(after));
        }
        wakes.changed(&key(2), start + ms(10));
        assert_eq!(wakes.take(start + ms(299), 10), [key(2)], "one key does not hold up another");
        assert_eq!(wakes.next(), Some(start + APART));
        assert_eq!(wakes.take(start + APART, 10), [key(1)]);
        assert_eq!(wakes.next(), None);
    }

    #[test]
    fn a_key_that_never_rests_is_woken_less_often_until_it_does() {
        let (mut wakes, start) = (Wakes::default(), Instant::now());
        let mut now = start;
        for _ in 0..IN_A_ROW_MAX {
            wakes.changed(&key(1), now);
            assert_eq!(wakes.take(now, 10), [key(1)]);
            now += APART;
        }
        wakes.changed(&key(1), now);
        assert_eq!(wakes.next(), Some(now - APART + APART_RESTLESS));
        now += APART_RESTLESS;
        assert_eq!(wakes.take(now, 10), [key(1)]);
        now += QUIET;
        wakes.changed(&key(1), now);
        assert_eq!(wakes.take(now, 10), [key(1)]);
        wakes.changed(&key(1), now);
        assert_eq!(wakes.next(), Some(now + APART), "it is at rest again");
    }

    #[test]
    fn whoever_was_without_a_watch_is_not_woken_once_it_is_whole() {
        let (mut wakes, now) = (Wakes::default(), Instant::now());
        for number in 1..=3 {
            wakes.spread(&key(number), Cause::Break, now);
        }
        wakes.changed(&key(3), now);
        wakes.mended(|mended| *mended != key(2));
        assert_eq!(wakes.take(now + ms(SPREAD_MS), 10), [key(2), key(3)]);
    }

    #[test]
    fn wakes_of_many_keys_are_spread_over_half_a_minute() {
        let (mut wakes, now) = (Wakes::default(), Instant::now());
        for number in 0..=255 {
            wakes.spread(&key(number), Cause::Break, now);
        }
        let early = wakes.take(now + ms(SPREAD_MS / 2), 1000).len();
        assert!((64..=192).contains(&early), "{early} of 256 in the first half");
        assert_eq!(wakes.take(now + ms(SPREAD_MS), 1000).len(), 256 - early);
    }

    #[test]
    fn when_their_cluster_is_back_a_few_keys_are_woken_at_once_and_many_soon() {
        let (mut wakes, now) = (Wakes::default(), Instant::now());
        let keys: Vec<Key> = (0..100).map(key).collect();
        wakes.back(keys.iter(), now);
        assert_eq!(wakes.take(now, 1000).len(), 1);
        assert_eq!(wakes.take(now + ms(1000), 1000).len(), 50);
        assert_eq!(wakes.take(now + ms(2000), 1000).len(), 49);
    }

    #[test]
    fn those_that_could_not_be_woken_are_woken_later_and_no_more_than_asked_are_taken() {
        let (mut wakes, now) = (Wakes::default(), Instant::now());
        for number in 1..=3 {
            wakes.changed(&key(number), now);
        }
        let taken = wakes.take(now, 2);
        assert_eq!(taken, [key(1), key(2)]);
        wakes.again(&taken, now + ms(1000));
        assert_eq!(wakes.take(now, 2), [key(3)]);
        assert_eq!(wakes.take(now + ms(1000), 2), taken);
    }

    proptest! {
        #[test]
        fn every_change_is_followed_by_a_wake_and_no_two_are_closer_than_they_may(
            changes in proptest::collection::vec((0_u64..700, 0_u8..3), 1..200),
        ) {
            let mut wakes = Wakes::default();
            let start = Instant::now();
            let mut now = start;
            let mut woken: BTreeMap<Key, Vec<Instant>> = BTreeMap::new();
            let mut changed: BTreeMap<Key, Instant> = BTreeMap::new();
            for (pause, number) in changes {
                let until = now + ms(pause);
                while let Some(at) = wakes.next().filter(|at| *at <= until) {
                    now = now.max(at);
                    for key in wakes.take(now, 10) {
                        woken.entry(key).or_default().push(now);
                    }
                }
                now = until;
                wakes.changed(&key(number), now);
                changed.insert(key(number), now);
                let next = wakes.next().expect("a change is to wake");
                prop_assert!(next <= now + APART_RESTLESS);
            }
            while let Some(at) = wakes.next() {
                now = now.max(at);
                for key in wakes.take(now, 10) {
                    woken.entry(key).or_default().push(now);
                }
            }
            for (key, at) in changed {
                let last = woken.get(&key).and_then(|woken| woken.last());
                prop_assert!(last.is_some_and(|last| *last >= at), "the last change of {key} woke nobody");
            }
            for times in woken.values() {
                prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= APART));
            }
        }
    }
}

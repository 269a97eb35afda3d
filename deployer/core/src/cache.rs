//! Revisions that were read, so that a turn need not read and parse what the one before it had.
//!
//! A revision is immutable and named by its digest, so what is here is never stale; it may only be missing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_handoff::{ManifestSet, Revision};
use slipway_types::Digest;

/// A parsed document takes about so many times the memory of its text.
const PARSED_FACTOR: usize = 3;

/// A revision with its manifests.
#[derive(Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) document: Revision,
    pub(crate) manifests: Arc<ManifestSet>,
}

impl Read {
    pub(crate) fn new(document: Revision, manifests: ManifestSet) -> Self {
        Self { document, manifests: Arc::new(manifests) }
    }

    /// About how much memory it takes, in bytes.
    fn bytes(&self) -> usize {
        let manifests: usize = self.manifests.iter().map(|(_, bytes)| bytes.len()).sum();
        manifests + self.document.canonical().len() * PARSED_FACTOR
    }
}

/// The revisions that were used last.
#[derive(Debug)]
pub(crate) struct Revisions {
    max_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Digest, Entry>,
    /// The one that was used the longest ago first.
    order: BTreeMap<u64, Digest>,
    bytes: usize,
    /// Uses there have been.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    read: Arc<Read>,
    bytes: usize,
    used: u64,
}

impl Revisions {
    /// None yet, and never more than about `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, kept: Mutex::default() }
    }

    pub(crate) fn get(&self, revision: &Digest) -> Option<Arc<Read>> {
        let mut kept = self.kept();
        let used = kept.next_use();
        let entry = kept.entries.get_mut(revision)?;
        let before = std::mem::replace(&mut entry.used, used);
        let read = Arc::clone(&entry.read);
        kept.order.remove(&before);
        kept.order.insert(used, *revision);
        Some(read)
    }

    /// Keeps one, in the place of those that were not used for the longest. One that is too large alone is given back
    /// all the same.
    pub(crate) fn put(&self, revision: Digest, read: Read) -> Arc<Read> {
        let (bytes, read) = (read.bytes(), Arc::new(read));
        if bytes > self.max_bytes {
            return read;
        }
        let mut kept = self.kept();
        kept.remove(&revision);
        while kept.bytes + bytes > self.max_bytes {
            let Some((_, oldest)) = kept.order.first_key_value() else { break };
            let oldest = *oldest;
            kept.remove(&oldest);
        }
        let used = kept.next_use();
        kept.bytes += bytes;
        kept.order.insert(used, revision);
        kept.entries.insert(revision, Entry { read: Arc::clone(&read), bytes, used });
        read
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn remove(&mut self, revision: &Digest) {
        if let Some(entry) = self.entries.remove(revision) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;
    use slipway_handoff::{Bundle, Configuration, Environment, Graph, revision};

    use super::*;

    fn document() -> Revision {
        Revision {
            format: revision::FORMAT,
            application: "shop".parse().unwrap(),
            bundle: Bundle {
                digest: Digest::of("bundle"),
                version: "1.4.2".parse().unwrap(),
                source: None,
                commit: None,
            },
            lock: Digest::of("lock"),
            environment: Environment {
                address: "eu/kind/shop".parse().unwrap(),
                settings: Digest::of("settings"),
            },
            configuration: Configuration { digest: Digest::of("configuration"), levels: BTreeMap::new() },
            definitions: BTreeSet::new(),
            graph: Graph::try_from(BTreeMap::new()).unwrap(),
            secrets: Vec::new(),
            allow_empty: true,
        }
    }

    /// One of about so many bytes beside its document.
    fn read(number: usize, bytes: usize) -> Read {
        let mut manifests = ManifestSet::new();
        manifests.insert(&json!({"data": "x".repeat(bytes), "number": number}));
        Read::new(document(), manifests)
    }

    fn name(number: usize) -> Digest {
        Digest::of(number.to_string())
    }

    #[test]
    fn what_was_not_used_for_the_longest_goes_first() {
        let each = read(0, 1_000).bytes();
        let revisions = Revisions::new(each * 2 + 100);
        for number in [0, 1] {
            revisions.put(name(number), read(number, 1_000));
        }
        assert_eq!(*revisions.get(&name(0)).unwrap(), read(0, 1_000));
        revisions.put(name(2), read(2, 1_000));
        let is_kept = |number| revisions.get(&name(number)).is_some();
        assert!(is_kept(0) && !is_kept(1) && is_kept(2));
    }

    #[test]
    fn one_that_is_too_large_is_given_back_and_not_kept() {
        let revisions = Revisions::new(10);
        assert_eq!(*revisions.put(name(1), read(1, 100)), read(1, 100));
        assert!(revisions.get(&name(1)).is_none());
    }

    proptest! {
        #[test]
        fn never_more_is_kept_than_the_limit_and_it_is_counted_right(
            steps in proptest::collection::vec((any::<bool>(), 0_usize..8, 0_usize..2_000), 1..60),
        ) {
            let limit = read(0, 0).bytes() * 3 + 2_000;
            let revisions = Revisions::new(limit);
            for (is_put, number, bytes) in steps {
                if is_put {
                    revisions.put(name(number), read(number, bytes));
                } else {
                    revisions.get(&name(number));
                }
                let kept = revisions.kept();
                prop_assert!(kept.bytes <= limit);
                prop_assert_eq!(kept.bytes, kept.entries.values().map(|entry| entry.bytes).sum::<usize>());
                prop_assert_eq!(kept.order.len(), kept.entries.len());
            }
        }
    }
}

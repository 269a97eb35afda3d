//! Kinds for which a right is missing, and when it is asked again whether it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::sense::kinds::Kind;

/// How often it is asked whether a right was given by now.
const ASK_EVERY: Duration = Duration::from_secs(600);

/// Kinds for which a right is missing, by when it is asked again.
#[derive(Debug, Default)]
pub(super) struct Denied {
    ask_at: BTreeMap<Kind, Instant>,
}

impl Denied {
    pub(super) fn add(&mut self, kind: Kind, now: Instant) {
        self.ask_at.insert(kind, now + ASK_EVERY);
    }

    pub(super) fn remove(&mut self, kind: &Kind) {
        self.ask_at.remove(kind);
    }

    /// All of them.
    pub(super) fn kinds(&self) -> BTreeSet<Kind> {
        self.ask_at.keys().cloned().collect()
    }

    /// Forgets all but those.
    pub(super) fn retain(&mut self, keep: impl Fn(&Kind) -> bool) {
        self.ask_at.retain(|kind, _| keep(kind));
    }

    /// One about which is to be asked now: the one that has waited longest, so that each has its turn.
    pub(super) fn due(&self, now: Instant) -> Option<Kind> {
        let due = self.ask_at.iter().filter(|(_, at)| **at <= now);
        due.min_by_key(|(_, at)| **at).map(|(kind, _)| kind.clone())
    }

    /// It was asked about one.
    pub(super) fn asked(&mut self, kind: &Kind, is_given: bool, now: Instant) {
        if is_given {
            self.remove(kind);
        } else {
            self.add(kind.clone(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_about_every_ten_minutes_until_the_right_is_given() {
        let (mut denied, now) = (Denied::default(), Instant::now());
        let kind = |name: &str| Kind { api_version: "v1".to_owned(), kind: name.to_owned(), namespace: None };
        denied.add(kind("Secret"), now);
        denied.add(kind("Service"), now + Duration::from_secs(1));
        assert_eq!(denied.due(now + Duration::from_secs(599)), None);
        let then = now + ASK_EVERY;
        assert_eq!(denied.due(then), Some(kind("Secret")));
        denied.asked(&kind("Secret"), false, then);
        assert_eq!(denied.due(then), None);
        let later = then + ASK_EVERY;
        denied.remove(&kind("Service"));
        assert_eq!(denied.due(later), Some(kind("Secret")));
        denied.asked(&kind("Secret"), true, later);
        assert_eq!(denied.due(later + ASK_EVERY), None);
        denied.add(kind("Secret"), now);
        denied.retain(|kept| *kept != kind("Secret"));
        assert!(denied.kinds().is_empty());
    }

    #[test]
    fn who_has_waited_longest_is_asked_about_first() {
        let (mut denied, now) = (Denied::default(), Instant::now());
        let kind = |name: &str| Kind { api_version: "v1".to_owned(), kind: name.to_owned(), namespace: None };
        denied.add(kind("Service"), now);
        denied.add(kind("ConfigMap"), now + Duration::from_secs(1));
        let later = now + ASK_EVERY + Duration::from_secs(1);
        assert_eq!(denied.due(later), Some(kind("Service")));
        denied.asked(&kind("Service"), false, later);
        assert_eq!(denied.due(later), Some(kind("ConfigMap")));
    }
}

//! Kinds that may not be watched, and when it is asked again whether they may.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::sense::kinds::Kind;

/// How often it is asked whether a kind may be watched by now.
const ASK_EVERY: Duration = Duration::from_secs(600);

/// Kinds that may not be watched, by when it is asked again.
#[derive(Debug, Default)]
pub(super) struct Unwatchable {
    ask_at: BTreeMap<Kind, Instant>,
}

impl Unwatchable {
    pub(super) fn add(&mut self, kind: Kind, now: Instant) {
        self.ask_at.insert(kind, now + ASK_EVERY);
    }

    pub(super) fn remove(&mut self, kind: &Kind) {
        self.ask_at.remove(kind);
    }

    /// One about which is to be asked now.
    pub(super) fn due(&self, now: Instant) -> Option<Kind> {
        self.ask_at.iter().find(|(_, at)| **at <= now).map(|(kind, _)| kind.clone())
    }

    /// It was asked whether a kind may be watched.
    pub(super) fn asked(&mut self, kind: &Kind, may_watch: bool, now: Instant) {
        if may_watch {
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
    fn each_is_asked_about_every_ten_minutes_until_it_may_be_watched() {
        let (mut unwatchable, now) = (Unwatchable::default(), Instant::now());
        let kind = |name: &str| Kind { api_version: "v1".to_owned(), kind: name.to_owned() };
        unwatchable.add(kind("Secret"), now);
        unwatchable.add(kind("Service"), now + Duration::from_secs(1));
        assert_eq!(unwatchable.due(now + Duration::from_secs(599)), None);
        let then = now + ASK_EVERY;
        assert_eq!(unwatchable.due(then), Some(kind("Secret")));
        unwatchable.asked(&kind("Secret"), false, then);
        assert_eq!(unwatchable.due(then), None);
        let later = then + ASK_EVERY;
        unwatchable.remove(&kind("Service"));
        assert_eq!(unwatchable.due(later), Some(kind("Secret")));
        unwatchable.asked(&kind("Secret"), true, later);
        assert_eq!(unwatchable.due(later + ASK_EVERY), None);
    }
}

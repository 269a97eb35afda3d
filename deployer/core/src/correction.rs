//! What was written again because others changed it: how often, and when it may be again.
//!
//! Two who write against each other change an object for ever, and each change may restart its pods. So every
//! further correction of an object waits longer, and after [`TIMES_MAX`] it is left and told.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use slipway_handoff::ObjectRef;

/// The pause after the first correction of an object; it doubles with each further one.
const PAUSE_FIRST: TimeDelta = TimeDelta::minutes(5);
/// How soon after a correction it is looked whether all is as wanted again.
const LOOK_AFTER: TimeDelta = TimeDelta::seconds(5);
/// So often an object is corrected.
const TIMES_MAX: u32 = 4;
/// Who leaves an object alone for so long does not fight over it.
const PEACE: TimeDelta = TimeDelta::hours(24);

/// The corrections of one generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Corrections(Vec<Correction>);

/// How often an object was written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Correction {
    object: ObjectRef,
    /// Who changed it last.
    by: String,
    times: u32,
    /// When it was last written.
    at: DateTime<Utc>,
}

/// Whether an object that others changed may be written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leave {
    /// At once.
    Now,
    /// Not before this time.
    From {
        /// That time.
        at: DateTime<Utc>,
        /// So often others changed it after it was written again.
        times: u32,
    },
    /// No more.
    Never {
        /// So often others changed it after it was written again.
        times: u32,
    },
}

impl Correction {
    /// When the object may be written again; `None`: no more.
    fn next(&self) -> Option<DateTime<Utc>> {
        let doubled = 1_i32.checked_shl(self.times.saturating_sub(1)).unwrap_or(i32::MAX);
        let pause = PAUSE_FIRST.checked_mul(doubled).unwrap_or(TimeDelta::MAX);
        (self.times < TIMES_MAX)
            .then(|| self.at.checked_add_signed(pause).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }
}

impl Corrections {
    /// Whether nothing was ever corrected.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object that others changed may be written again.
    pub(crate) fn leave(&self, object: &ObjectRef, now: DateTime<Utc>) -> Leave {
        let Some(known) = self.0.iter().find(|known| known.object == *object) else { return Leave::Now };
        let times = known.times;
        match known.next() {
            None => Leave::Never { times },
            Some(at) if at > now => Leave::From { at, times },
            Some(_) => Leave::Now,
        }
    }

    /// An object that `by` changed was written again.
    pub(crate) fn corrected(&mut self, object: ObjectRef, by: String, now: DateTime<Utc>) {
        match self.0.iter_mut().find(|known| known.object == object) {
            Some(known) => {
                let is_peace = now.signed_duration_since(known.at) >= PEACE;
                known.times = if is_peace { 1 } else { known.times.saturating_add(1) };
                known.by = by;
                known.at = now;
            }
            None => self.0.push(Correction { object, by, times: 1, at: now }),
        }
    }

    /// Whether an object that is as wanted now was written again, and nobody has changed it since for so long that this
    /// does not count any more.
    pub(crate) fn is_over(&self, object: &ObjectRef, now: DateTime<Utc>) -> bool {
        let is_old = |known: &Correction| now.signed_duration_since(known.at) >= PEACE;
        self.0.iter().any(|known| known.object == *object && is_old(known))
    }

    /// What was written again of an object does not count any more.
    pub(crate) fn forget(&mut self, object: &ObjectRef) {
        self.0.retain(|known| known.object != *object);
    }

    /// The first time after `since` to look again: soon after a correction, and when something may be written
    /// again.
    pub(crate) fn due_after(&self, since: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let soon = self.0.iter().filter_map(|known| known.at.checked_add_signed(LOOK_AFTER));
        soon.chain(self.0.iter().filter_map(Correction::next)).filter(|at| *at > since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> ObjectRef {
        ObjectRef {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("shop".into()),
            name: name.into(),
        }
    }

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn pauses_grow_until_it_is_left() {
        let mut corrections = Corrections::default();
        let web = object("web");
        assert_eq!(corrections.leave(&web, at(0)), Leave::Now);
        let mut now = 0;
        for (times, pause) in [(1, 5), (2, 10), (3, 20)] {
            corrections.corrected(web.clone(), "kubectl-edit".into(), at(now));
            let next = at(now + pause);
            assert_eq!(corrections.leave(&web, at(now + pause - 1)), Leave::From { at: next, times });
            let soon = at(now) + LOOK_AFTER;
            assert_eq!(corrections.due_after(at(now)), Some(soon));
            assert_eq!(corrections.due_after(soon), Some(next));
            assert_eq!(corrections.due_after(next), None, "once it is due nobody is woken for it again");
            assert_eq!(corrections.leave(&web, next), Leave::Now);
            now += pause;
        }
        corrections.corrected(web.clone(), "kubectl-edit".into(), at(now));
        assert_eq!(corrections.leave(&web, at(now + 100_000)), Leave::Never { times: TIMES_MAX });
        assert_eq!(corrections.due_after(at(now) + LOOK_AFTER), None);
        assert_eq!(corrections.leave(&object("other"), at(now)), Leave::Now, "each object by itself");
    }

    #[test]
    fn who_keeps_peace_begins_anew() {
        let mut corrections = Corrections::default();
        let day = 24 * 60;
        for times in 0..10 {
            corrections.corrected(object("web"), "cron".into(), at(times * day));
            assert_eq!(corrections.leave(&object("web"), at(times * day + 5)), Leave::Now, "after {times}");
        }
    }

    #[test]
    fn what_is_as_wanted_a_day_later_is_no_fight_any_more() {
        let (mut corrections, web, day) = (Corrections::default(), object("web"), 24 * 60);
        for _ in 0..TIMES_MAX {
            corrections.corrected(web.clone(), "kubectl-edit".into(), at(0));
        }
        assert!(!corrections.is_over(&web, at(day - 1)) && corrections.is_over(&web, at(day)));
        assert!(!corrections.is_over(&object("other"), at(day)), "it never was one");
        corrections.forget(&object("other"));
        assert_eq!(corrections.leave(&web, at(day)), Leave::Never { times: TIMES_MAX });
        corrections.forget(&web);
        assert_eq!(corrections.leave(&web, at(day)), Leave::Now);
    }

    #[test]
    fn what_is_kept_reads_as_it_was() {
        let mut corrections = Corrections::default();
        corrections.corrected(object("web"), "kubectl-edit".into(), at(1));
        let text = serde_json::to_string(&corrections).unwrap();
        assert_eq!(serde_json::from_str::<Corrections>(&text).unwrap(), corrections);
    }
}

//! What was seen of an application's parts, in whatever order it arrives.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::application::{ApplicationState, fold};
use crate::bounded;

/// How new a report is: by generation, then by what was observed, then by when.
///
/// An object that is made anew counts its own generations from one again. Whoever reports it has to go on
/// counting in `observed_generation`, or its reports are older than those of the object before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// The generation of the application it is about.
    pub generation: u64,
    /// The generation of the part that its controller had seen.
    pub observed_generation: u64,
    /// When it was so.
    pub observed_at: DateTime<Utc>,
}

impl Stamp {
    /// Of a part that nobody looked at since `generation` began: older than any look at it.
    fn unseen(generation: u64) -> Self {
        Self { generation, observed_generation: 0, observed_at: DateTime::UNIX_EPOCH }
    }
}

/// What was seen of one part. The newer report is the greater one; of two that are equally new, the one
/// whose state weighs more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Where the part stands.
    pub state: ApplicationState,
    /// Why, for people; at most [`REASON_CHARS_MAX`](crate::REASON_CHARS_MAX) characters are kept.
    #[serde(default)]
    pub reason: String,
    /// How new it is.
    pub stamp: Stamp,
}

impl Report {
    /// A report whose reason is cut to what is kept.
    pub fn new(state: ApplicationState, reason: impl Into<String>, stamp: Stamp) -> Self {
        Self { state, reason: bounded(reason.into()), stamp }
    }
}

impl Ord for Report {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |report: &Self| (report.stamp, report.state);
        key(self).cmp(&key(other)).then_with(|| self.reason.cmp(&other.reason))
    }
}

impl PartialOrd for Report {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The newest report of each part of one generation of an application.
///
/// Reports may come late, twice and in any order, and two collections of them may be joined either way
/// round: what stands at the end is the same. A part that has not been reported is pending, and so is a
/// generation whose parts are not known yet: nothing is live because nobody looked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reports {
    generation: u64,
    #[serde(default)]
    begun: bool,
    #[serde(default)]
    parts: BTreeMap<String, Report>,
}

impl Reports {
    /// The generation that is told of.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The newest report of each part, by its name.
    pub fn parts(&self) -> &BTreeMap<String, Report> {
        &self.parts
    }

    /// These are the `parts` of `generation`. Reports of an older generation are forgotten with the parts
    /// that are no more; to begin an older one changes nothing.
    pub fn begin(&mut self, generation: u64, parts: impl IntoIterator<Item = impl Into<String>>) {
        if generation < self.generation {
            return;
        }
        self.turn(generation);
        self.begun = true;
        for part in parts {
            let stamp = Stamp::unseen(generation);
            self.keep(part.into(), Report::new(ApplicationState::Pending, "not looked at yet", stamp));
        }
    }

    /// Takes `report` of `part`; whether it changed anything. An older one than is known changes nothing,
    /// one of a newer generation begins that generation, whose other parts are not known yet.
    pub fn take(&mut self, part: impl Into<String>, report: Report) -> bool {
        let generation = report.stamp.generation;
        if generation < self.generation {
            return false;
        }
        let turned = self.turn(generation);
        let report = Report { reason: bounded(report.reason), ..report };
        self.keep(part.into(), report) || turned
    }

    /// Takes over all that `other` knows better.
    pub fn join(&mut self, other: Self) {
        if other.generation < self.generation {
            return;
        }
        self.turn(other.generation);
        self.begun |= other.begun;
        for (part, report) in other.parts {
            self.keep(part, report);
        }
    }

    /// The state of the whole: its heaviest part, and pending while not all parts are known.
    pub fn state(&self) -> ApplicationState {
        let parts = fold(self.parts.values().map(|report| report.state));
        let unknown = (!self.begun || parts.is_none()).then_some(ApplicationState::Pending);
        fold(parts.into_iter().chain(unknown)).unwrap_or(ApplicationState::Pending)
    }

    /// The part that keeps the whole from being live, with what is known of it: the heaviest, the first by
    /// name of several.
    pub fn blocker(&self) -> Option<(&str, &Report)> {
        // Of equally heavy ones the last is taken, so they come in reverse.
        let (name, report) = self.parts.iter().rev().max_by_key(|(_, report)| report.state)?;
        (!report.state.is_settled()).then_some((name.as_str(), report))
    }

    /// Goes on to `generation` if it is newer; whether it was.
    fn turn(&mut self, generation: u64) -> bool {
        let newer = generation > self.generation;
        if newer {
            *self = Self { generation, ..Self::default() };
        }
        newer
    }

    /// Keeps the greater of `report` and what is known; whether it was `report`.
    fn keep(&mut self, part: String, report: Report) -> bool {
        match self.parts.entry(part) {
            Entry::Vacant(place) => {
                place.insert(report);
                true
            }
            Entry::Occupied(mut place) if *place.get() < report => {
                place.insert(report);
                true
            }
            Entry::Occupied(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;

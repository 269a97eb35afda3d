//! Sensing by asking: when it is the cluster's turn, all that there is of each kind is listed, and of that list one
//! number is kept.
//!
//! That a cluster gives no answer once or twice says nothing of what is in it. After some times it is expired:
//! nobody relies on what was heard of it before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use slipway_kubernetes::{CallError, Cluster, Sensed};

use super::digests::Place;
use super::kinds::Kind;
use super::ladder::{Polled, Turned};
use super::rounds::{Rounds, Seat};
use super::sensing::{Glimpse, Report, Sensing, Told, fingerprint};
use super::sight::inventory_of;
use crate::inventory::INVENTORY;

/// So many lists of a kind in a row may fail before what was listed of it is not relied on any more.
const MISSES_MAX: u8 = 3;

/// Where objects are listed.
#[async_trait]
pub(super) trait Lists: Send + Sync {
    /// All there is of a kind that belongs to somebody, in any order.
    async fn list(&self, kind: &Kind) -> Result<Vec<Glimpse>, CallError>;

    /// Whether there is an answer to anything at all.
    async fn answers(&self) -> Result<(), CallError>;
}

#[async_trait]
impl Lists for Cluster {
    async fn list(&self, kind: &Kind) -> Result<Vec<Glimpse>, CallError> {
        // Polls have pauses of their own, and longer ones.
        self.doubt_outage();
        let namespace = kind.namespace.as_deref();
        let found = self.glimpses(&kind.api_version, &kind.kind, namespace, INVENTORY).await?;
        let glimpses = found.into_iter().map(|found| Glimpse {
            place: Place::of_key(&found.key),
            label: inventory_of(&found.labels).to_owned(),
            digest: found.digest,
        });
        Ok(glimpses.collect())
    }

    async fn answers(&self) -> Result<(), CallError> {
        Cluster::answers(self).await
    }
}

/// The kinds of a cluster that are polled.
pub(super) struct Polls {
    cluster: Arc<dyn Lists>,
    name: String,
    rounds: Arc<Rounds>,
    /// As long as there is a kind.
    seat: Option<Seat>,
    kinds: BTreeMap<Arc<Kind>, Known>,
    under_way: Option<BoxFuture<'static, Round>>,
    ready: VecDeque<Told>,
}

/// What is known of a kind.
#[derive(Debug, Clone, Copy)]
struct Known {
    number: u64,
    /// Of what was listed last; `None`: that was not told, or may not be relied on any more.
    fingerprint: Option<u64>,
    /// Lists in a row that failed though the cluster answers.
    misses: u8,
}

/// What a poll of one kind, under its number, came to.
type Answer = (Arc<Kind>, u64, Result<Vec<Glimpse>, CallError>);

/// What a poll came to.
enum Round {
    Answered(Vec<Answer>),
    Silent(String),
}

impl Polls {
    pub(super) fn new(cluster: Arc<dyn Lists>, name: String, rounds: Arc<Rounds>) -> Self {
        let (kinds, ready) = (BTreeMap::new(), VecDeque::new());
        Self { cluster, name, rounds, seat: None, kinds, under_way: None, ready }
    }

    /// Something there is not good: it is polled often for a while.
    pub(super) fn hasten(&self) {
        if let Some(seat) = &self.seat {
            seat.hasten();
        }
    }

    /// The kinds that are polled.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.keys().map(AsRef::as_ref)
    }

    fn take(&mut self, round: Round) {
        // Nobody asks any more.
        let Some(seat) = &self.seat else { return };
        let (polled, why, answers) = match round {
            Round::Silent(why) => (Polled::Unreachable, why, Vec::new()),
            Round::Answered(answers) => (Polled::Unchanged, String::new(), answers),
        };
        let mut is_changed = false;
        let mut told = Vec::new();
        for (kind, number, listed) in answers {
            let Some(known) = self.kinds.get_mut(&kind).filter(|known| known.number == number) else {
                continue;
            };
            let was_told = known.fingerprint.is_some();
            let report = known.take(listed);
            is_changed |= was_told && matches!(report, Some(Report::All(_)));
            told.extend(report.map(|report| Told::Of { kind, number, report }));
        }
        let polled = if is_changed { Polled::Changed } else { polled };
        match seat.polled(polled) {
            Some(Turned::Expired) => {
                for known in self.kinds.values_mut() {
                    known.fingerprint = None;
                }
                self.ready.push_back(Told::Expired(why));
            }
            Some(Turned::Returned) => self.ready.push_back(Told::Returned),
            None => {}
        }
        self.ready.extend(told);
    }
}

impl Known {
    fn new(number: u64) -> Self {
        Self { number, fingerprint: None, misses: 0 }
    }

    /// What there is to tell of a list; nothing, if it is as it was.
    fn take(&mut self, listed: Result<Vec<Glimpse>, CallError>) -> Option<Report> {
        match listed {
            Ok(glimpses) => {
                self.misses = 0;
                let now = fingerprint(&glimpses);
                let before = self.fingerprint.replace(now);
                (before != Some(now)).then_some(Report::All(glimpses))
            }
            Err(error) if error.is_forbidden() => {
                self.fingerprint = None;
                Some(Report::One(Sensed::Denied(error.says())))
            }
            Err(error) => {
                self.misses = self.misses.saturating_add(1);
                if self.fingerprint.is_some() && self.misses < MISSES_MAX {
                    return None;
                }
                self.fingerprint = None;
                Some(Report::One(Sensed::Broken(error.says())))
            }
        }
    }
}

impl Sensing for Polls {
    fn begin(&mut self, kind: &Kind, number: u64) {
        self.kinds.insert(Arc::new(kind.clone()), Known::new(number));
        if self.seat.is_none() {
            self.seat = Some(Seat::take(Arc::clone(&self.rounds), &self.name));
        }
        self.hasten();
    }

    fn end(&mut self, kind: &Kind) {
        self.kinds.remove(kind);
        if self.kinds.is_empty() {
            self.seat = None;
            self.under_way = None;
        }
    }

    async fn told(&mut self) -> Told {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return told;
            }
            if let Some(poll) = &mut self.under_way {
                let round = poll.await;
                self.under_way = None;
                self.take(round);
                continue;
            }
            // Without a kind there is nothing to ask.
            let Some(seat) = &self.seat else { return std::future::pending().await };
            seat.turn().await;
            let kinds = self.kinds.iter().map(|(kind, known)| (Arc::clone(kind), known.number)).collect();
            self.under_way = Some(poll(Arc::clone(&self.cluster), kinds).boxed());
        }
    }
}

/// Lists one kind after the other, as long as the cluster answers.
async fn poll(cluster: Arc<dyn Lists>, kinds: Vec<(Arc<Kind>, u64)>) -> Round {
    let mut answers = Vec::with_capacity(kinds.len());
    let mut is_doubted = true;
    for (kind, number) in kinds {
        let mut listed = cluster.list(&kind).await;
        match &mut listed {
            // The same objects in another order are the same.
            Ok(glimpses) => {
                glimpses.sort_unstable_by_key(|glimpse| glimpse.place);
                is_doubted = false;
            }
            Err(CallError::Unreachable(outage)) => return Round::Silent(outage.told()),
            // It may be the API of this kind alone that is silent.
            Err(CallError::Away(why)) if is_doubted => {
                if cluster.answers().await.is_err() {
                    return Round::Silent(std::mem::take(why));
                }
                is_doubted = false;
            }
            Err(_) => is_doubted = false,
        }
        answers.push((kind, number, listed));
    }
    Round::Answered(answers)
}

#[cfg(test)]
mod fleet;
#[cfg(test)]
mod tests;

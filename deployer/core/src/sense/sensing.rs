//! The ways to hear what becomes of the objects of a cluster.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use slipway_kubernetes::Sensed;
use slipway_types::Digest;

use super::digests::Place;
use super::kinds::Kind;

/// A way to hear what becomes of objects, kind by kind. One way watches, the other asks now and then; what they tell
/// is for [`super::sight`] to understand.
pub(super) trait Sensing {
    /// From now on it tells of this kind, under this number.
    fn begin(&mut self, kind: &Kind, number: u64);

    /// It tells of this kind no more.
    fn end(&mut self, kind: &Kind);

    /// What it tells next, sooner or later. Nothing is lost by not waiting for it to the end.
    fn told(&mut self) -> impl Future<Output = Told> + Send;
}

/// What is told.
#[derive(Debug)]
pub(super) enum Told {
    /// Of one kind.
    Of {
        /// Which.
        kind: Arc<Kind>,
        /// Under which number.
        number: u64,
        /// What.
        report: Report,
    },
    /// The cluster gave no answer so often in a row that nothing is known of it any more.
    Expired(String),
    /// It answers again.
    Returned,
}

/// What is told of a kind.
#[derive(Debug)]
pub(super) enum Report {
    /// One thing that happened.
    One(Sensed),
    /// All there is at one moment.
    All(Vec<Glimpse>),
}

/// What an object was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Glimpse {
    pub(super) place: Place,
    /// The label that says whose it is; empty without one.
    pub(super) label: String,
    pub(super) digest: Digest,
}

/// One number for all there is of a kind.
pub(super) fn fingerprint(glimpses: &[Glimpse]) -> u64 {
    let mut hasher = DefaultHasher::new();
    glimpses.hash(&mut hasher);
    hasher.finish()
}

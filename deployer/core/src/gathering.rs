//! Gathering what is found when nodes fail, beside the turn that sees them fail: no state waits for it.
//!
//! It is kept once for each attempt of a node. A process that is killed between a state and what was found
//! then leaves its job to another, whose turn finds nothing kept, and gathers it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;

use crate::schedule::{Progress, Schedule, Standing, Turn};
use crate::work::{Failed, Work};

/// So much later than a node failed, what is found tells of something else.
const AGE_MAX: TimeDelta = TimeDelta::hours(1);
/// Of so many nodes it is gathered in one stretch of work.
const NODES_MAX: usize = 10;
/// How long a turn that has nothing else to do waits for it.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// What is being gathered.
#[derive(Default)]
pub(crate) struct Gathering {
    begun: BTreeSet<Turn>,
    under_way: JoinSet<()>,
}

impl Gathering {
    /// Begins it for the nodes that failed lately, each attempt once.
    pub(crate) fn begin(&mut self, schedule: &Schedule, work: &Work, now: DateTime<Utc>) {
        for (node, progress) in schedule.nodes().filter(|(_, progress)| is_due(progress, now)) {
            let Some(state) = lost_as(&progress.standing) else { continue };
            let turn = Turn { node: node.clone(), attempt: progress.attempt };
            if self.begun.len() >= NODES_MAX || !self.begun.insert(turn.clone()) {
                continue;
            }
            let failed = Failed { turn, state, blocker: progress.standing.reason(), at: progress.since };
            let work = work.clone();
            self.under_way.spawn(async move { work.keep_evidence(failed).await });
        }
    }

    /// Lets it come to its end. With `wait` it is waited for, so that whoever is killed meanwhile has not said
    /// that all is done.
    pub(crate) async fn end(mut self, wait: bool) {
        if wait {
            let ended = async { while self.under_way.join_next().await.is_some() {} };
            if tokio::time::timeout(ENDS_WITHIN, ended).await.is_err() {
                tracing::warn!("what was found of a failure is not kept yet");
            }
        }
        self.under_way.detach_all();
    }
}

fn is_due(progress: &Progress, now: DateTime<Utc>) -> bool {
    now - progress.since <= AGE_MAX
}

/// The word of a state in which what was found is kept.
fn lost_as(standing: &Standing) -> Option<&'static str> {
    match standing {
        Standing::Failed { .. } => Some("failed"),
        Standing::TimedOut { .. } => Some("timed_out"),
        _ => None,
    }
}

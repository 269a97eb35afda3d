//! Gathering what is found when nodes fail, beside the turn that sees them fail: no state waits for it.
//!
//! It is kept once for each attempt of a node. A process that is killed between a state and what was found
//! then leaves its job to another, whose turn finds nothing kept, and gathers it. What begins anew would take
//! away what is to be found, such as the Job that failed, so its writing waits for the gathering.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_handoff::NodeName;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::schedule::{Action, Lost, Schedule, Turn};
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
    /// By node, cancelled when the newest gathering of it has ended.
    ended: BTreeMap<NodeName, CancellationToken>,
    under_way: JoinSet<()>,
}

impl Gathering {
    /// Begins it for the nodes that failed lately, each attempt once.
    pub(crate) fn begin(&mut self, schedule: &Schedule, work: &Work, now: DateTime<Utc>) {
        for (node, progress) in schedule.nodes() {
            let Some(lost) = progress.lost_attempt().filter(|lost| now - lost.at <= AGE_MAX) else {
                continue;
            };
            let turn = Turn { node: node.clone(), attempt: lost.attempt };
            let is_full = self.ended.len() >= NODES_MAX && !self.ended.contains_key(node);
            if is_full || !self.begun.insert(turn.clone()) {
                continue;
            }
            let ended = CancellationToken::new();
            let ends = ended.clone().drop_guard();
            self.ended.insert(node.clone(), ended);
            let failed = failed(turn, lost);
            let work = work.clone();
            self.under_way.spawn(async move {
                work.keep_evidence(failed).await;
                drop(ends);
            });
        }
    }

    /// What has to have ended before an action begins: it writes what the gathering reads.
    pub(crate) fn before(&self, action: &Action) -> Option<CancellationToken> {
        match action {
            Action::StartNode(turn) => self.ended.get(&turn.node).cloned(),
            Action::Call(_) | Action::CheckNode(_) | Action::Prune | Action::Look(_) | Action::WakeAt(_) => {
                None
            }
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

fn failed(turn: Turn, lost: Lost) -> Failed {
    let state = if lost.timed_out { "timed_out" } else { "failed" };
    Failed { turn, state, blocker: lost.reason, at: lost.at }
}

//! What is kept of a key between two turns: one document, changed by compare-and-swap.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_handoff::{Adoption, Answer, Cause, Key, Known, Mode, Proof, Revision, Submission, Tasks};
use slipway_types::Digest;

use crate::applied_secrets::AppliedSecrets;
use crate::correction::Corrections;
use crate::inventory::Inventory;
use crate::pod_secrets::PodSecrets;
use crate::schedule::Checkpoint;
use crate::task_memory::TaskMemory;

/// So many orders are remembered, so that one that comes again changes nothing.
const ORDERS_MAX: usize = 64;

/// A submission without its document, which is kept by its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) contract: u32,
    pub(crate) key: Key,
    pub(crate) generation: u64,
    pub(crate) mode: Mode,
    pub(crate) revision: Digest,
    pub(crate) proof: Vec<Proof>,
    pub(crate) predecessor: Option<Digest>,
    pub(crate) cause: Cause,
    pub(crate) deadline: DateTime<Utc>,
    #[serde(default)]
    pub(crate) tasks: Tasks,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) adopt: Vec<Adoption>,
}

impl Header {
    pub(crate) fn of(submission: &Submission) -> Self {
        Self {
            contract: submission.contract,
            key: submission.key.clone(),
            generation: submission.generation,
            mode: submission.mode,
            revision: submission.revision,
            proof: submission.proof.clone(),
            predecessor: submission.predecessor,
            cause: submission.cause.clone(),
            deadline: submission.deadline,
            tasks: submission.tasks,
            adopt: submission.adopt.clone(),
        }
    }

    /// The submission that it was.
    pub(crate) fn with(self, document: Revision) -> Submission {
        Submission {
            contract: self.contract,
            key: self.key,
            generation: self.generation,
            mode: self.mode,
            revision: self.revision,
            document,
            proof: self.proof,
            predecessor: self.predecessor,
            cause: self.cause,
            deadline: self.deadline,
            tasks: self.tasks,
            adopt: self.adopt,
        }
    }
}

/// An order that was taken, with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) answer: Answer,
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The core's name for what it does of this generation.
    pub(crate) run: String,
    pub(crate) submission: Header,
    pub(crate) checkpoint: Checkpoint,
    /// What the key owns in its cluster, or is about to.
    pub(crate) inventory: Inventory,
    pub(crate) orders: VecDeque<Taken>,
    /// How long after it was stored the next turn is to be, in milliseconds, if nobody needs one earlier.
    #[serde(default)]
    pub(crate) rests_ms: Option<u64>,
    /// What Jobs gave, of this generation and of those before.
    #[serde(default)]
    pub(crate) tasks: TaskMemory,
    /// What was written again since others changed it.
    #[serde(default, skip_serializing_if = "Corrections::is_empty")]
    pub(crate) corrections: Corrections,
    /// What its Secrets held when they were applied, by digests.
    #[serde(default, skip_serializing_if = "AppliedSecrets::is_empty")]
    pub(crate) secrets: AppliedSecrets,
    /// With what of its Secrets the pods of its workloads were made, by digests.
    #[serde(default, skip_serializing_if = "PodSecrets::is_empty")]
    pub(crate) pods: PodSecrets,
    /// Whether nobody knows yet what the cluster has of the key: there was nothing kept of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_unlisted: bool,
    /// When what the cluster has of the key is listed once more, since whoever drove it was lost: by then nothing can
    /// come any more of what that server wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listed_from: Option<DateTime<Utc>>,
    /// The newest generation whose driver may have been lost while it wrote, or that is not known to have ended: what it
    /// or a lower one wrote last is marked anew. 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) fence: u64,
}

impl Kept {
    /// Whoever drove it was lost, and what it wrote last may come until then; `false`: that was known.
    pub(crate) fn lose_driver(&mut self, until: DateTime<Utc>) -> bool {
        let fence = self.fence.max(self.submission.generation);
        let is_news = self.listed_from < Some(until) || fence > self.fence;
        self.listed_from = self.listed_from.max(Some(until));
        self.fence = fence;
        is_news
    }

    /// Takes in what the cluster has of the key; whether something of it was in no inventory any more.
    pub(crate) fn found(&mut self, found: &Inventory) -> bool {
        let is_any_new = found.beyond(&self.inventory).next().is_some();
        self.inventory = found.union_before_apply(&self.inventory);
        is_any_new
    }

    /// What a receiver compares a submission with.
    pub(crate) fn known(&self) -> Known {
        Known {
            generation: self.submission.generation,
            revision: self.submission.revision,
            run: self.run.clone(),
        }
    }

    /// The answer that an order got before.
    pub(crate) fn answered(&self, id: &str) -> Option<Answer> {
        self.orders.iter().find(|taken| taken.id == id).map(|taken| taken.answer.clone())
    }

    pub(crate) fn remember(&mut self, id: &str, answer: Answer) {
        self.orders.push_back(Taken { id: id.to_owned(), answer });
        while self.orders.len() > ORDERS_MAX {
            self.orders.pop_front();
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(generation: &u64) -> bool {
    *generation == 0
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;
    use slipway_handoff::{Collect, ObjectRef};

    use super::*;
    use crate::inventory::Entry;

    fn kept() -> Kept {
        let (revision, at) = (Digest::of("revision"), DateTime::UNIX_EPOCH);
        let course = json!({"begun_at": at, "deadline": at, "sweep": {"state": "done"}});
        let kept = json!({
            "run": "run-1",
            "submission": {
                "contract": 1,
                "key": {"environment": "eu/kind/shop/default", "application": "shop"},
                "generation": 7,
                "mode": "apply",
                "revision": revision,
                "proof": [],
                "predecessor": null,
                "cause": {"cause": "deploy", "by": "ann"},
                "deadline": at,
            },
            "checkpoint": {"format": 1, "generation": 7, "revision": revision, "course": course},
            "inventory": [],
            "orders": [],
        });
        serde_json::from_value(kept).unwrap()
    }

    #[test]
    fn what_a_lost_server_made_is_news_once() {
        let mut kept = kept();
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        assert!(kept.lose_driver(at(20)) && kept.lose_driver(at(40)), "another one was lost later");
        assert!(!kept.lose_driver(at(20)));
        assert_eq!((kept.listed_from, kept.fence), (Some(at(40)), 7));
        let object = ObjectRef {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("shop".into()),
            name: "late".into(),
        };
        let uid = Some("uid-1".to_owned());
        let entry = Entry { object, uid, generation: 6, collect: Collect::OnUpdate, shared: false };
        let found = Inventory::try_from(vec![entry]).unwrap();
        assert!(kept.found(&found));
        assert_eq!(kept.inventory, found);
        assert!(!kept.found(&found));
    }
}

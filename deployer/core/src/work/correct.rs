//! Writing again what others changed.

use chrono::Utc;
use slipway_handoff::ObjectRef;
use slipway_kubernetes::Cluster;

use super::drift::Drift;
use super::look::Seen;
use super::{Note, Outcome, Work};
use crate::correction::{Corrections, Leave};
use crate::hitch::Hitch;
use crate::host::DriftRule;
use crate::schedule::{Happened, Turn, Verdict};

/// The most objects of a node that are named as changed.
const NAMED_MAX: usize = 3;

impl Work {
    /// What looks came to: what others changed is told, and written again where that is asked for. `corrections`:
    /// how often that was done; `None`: it may not be done now.
    pub(super) async fn settle_looks(
        &self,
        looks: Vec<(Turn, Seen)>,
        corrections: Option<&Corrections>,
    ) -> Outcome {
        let is_changed = looks.iter().any(|(_, seen)| !seen.drifts.is_empty());
        let rule = match corrections {
            Some(_) if is_changed => self.rule().await,
            _ => DriftRule::Report,
        };
        let mut outcome = Outcome::default();
        for (turn, seen) in looks {
            let Seen { mut verdict, drifts } = seen;
            if drifts.is_empty() && matches!(verdict, Verdict::Ready { .. }) {
                outcome.notes.extend(self.at_peace(&turn, corrections));
            }
            let mut told = Vec::with_capacity(drifts.len());
            for drift in drifts {
                told.push(self.settle_drift(drift, &rule, corrections, &mut outcome.notes).await);
            }
            // What is behind because somebody changed it is told as that, if it is to be as it was.
            if !told.is_empty() && (rule != DriftRule::Report || matches!(verdict, Verdict::Ready { .. })) {
                verdict = Verdict::NotYet { blocker: in_words(&told) };
            }
            outcome.happened.push(Happened::Looked { turn, verdict });
        }
        outcome
    }

    /// Objects of a node that is as wanted which nobody has changed for long since they were written again.
    fn at_peace(&self, turn: &Turn, corrections: Option<&Corrections>) -> Vec<Note> {
        let (node, now) = (self.node(&turn.node), Utc::now());
        let objects = node.into_iter().flat_map(|node| &node.objects).map(|object| &object.object);
        let is_over = |object: &&ObjectRef| corrections.is_some_and(|known| known.is_over(object, now));
        objects.filter(is_over).cloned().map(Note::AtPeace).collect()
    }

    /// What nobody says is not done.
    async fn rule(&self) -> DriftRule {
        let key = &self.submission.key;
        self.core.host.drift(key).await.unwrap_or_else(|fault| {
            tracing::warn!(%key, fault = fault.message, "not known what is done about drift");
            DriftRule::Report
        })
    }

    /// What becomes of what others changed of one object, in words.
    async fn settle_drift(
        &self,
        drift: Drift,
        rule: &DriftRule,
        corrections: Option<&Corrections>,
        notes: &mut Vec<Note>,
    ) -> String {
        let (Some(by), Some(corrections)) = (drift.by.clone(), corrections) else { return drift.told };
        let object = drift.object.object.clone();
        match rule {
            DriftRule::Report => return drift.told,
            DriftRule::Held(why) => return format!("{}; it stays so: {why}", drift.told),
            DriftRule::Correct => {}
        }
        match corrections.leave(&object, Utc::now()) {
            Leave::From { at, times } => {
                let at = at.format("%Y-%m-%d %H:%M:%S UTC");
                format!("{}; it was written back {}, next at {at}", drift.told, in_times(times))
            }
            Leave::Never { times } => format!(
                "{}; {by} wrote it back {}, so it is not corrected any more: end that, then \
                 `slipway deploy restart`",
                drift.told,
                in_times(times)
            ),
            Leave::Now => match self.write_again(&drift, notes).await {
                Ok(()) => {
                    tracing::info!(%object, by, "what others changed was written again");
                    notes.push(Note::Corrected { object, by });
                    format!("{}; it was corrected", drift.told)
                }
                Err(Hitch::Passing(why) | Hitch::Away(why) | Hitch::Lasting(why)) => {
                    format!("{}; it cannot be corrected: {why}", drift.told)
                }
            },
        }
    }

    async fn write_again(&self, drift: &Drift, notes: &mut Vec<Note>) -> Result<(), Hitch> {
        self.goes_on()?;
        let cluster = self.cluster().await?;
        let mut manifest = drift.manifest.clone();
        self.put_secrets(&drift.object.object, &mut manifest).await?;
        // A value that was rotated since comes with a deployment and not by the way; but without a Secret that was
        // deleted no pod starts, and its former values are kept nowhere.
        let newer = drift.secret.as_ref().map(|applied| self.changed_keys(applied, &manifest));
        if let Some(newer) = newer.filter(|keys| !keys.is_empty()) {
            return Err(Hitch::Lasting(format!(
                "{} was rotated since it was applied, so its former value is not to be had: `slipway deploy restart \
                 --secrets-only` brings the new one",
                newer.iter().map(|key| format!("data.{key}")).collect::<Vec<_>>().join(", ")
            )));
        }
        let cluster: &Cluster = &cluster;
        let done = self.apply_noted(cluster, &drift.object, &manifest, notes).await;
        self.written.forget(&drift.object.object);
        done
    }
}

fn in_times(times: u32) -> String {
    if times == 1 { "once".to_owned() } else { format!("{times} times") }
}

fn in_words(told: &[String]) -> String {
    let named = told.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    match told.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named}; and {more} more objects"),
    }
}

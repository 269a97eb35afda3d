//! Holds of nodes: what people are told of them, and who lets them go on.

use chrono::{DateTime, Utc};
use slipway_handoff::Approvals;

use super::Schedule;
use super::happened::bounded;
use super::orders::Refused;
use super::plan::Part;
use super::standing::{Move, Standing};

impl Schedule {
    /// What people are told of a node's hold.
    pub(super) fn note_of_hold(&self, at: usize) -> String {
        let Some(hold) = &self.plan.step(at).node.hold else { return String::new() };
        let approvals = hold.approvals.as_ref().map(|asked| {
            let by = &self.progress(at).approved_by;
            let names = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
            format!("{} of {} approvals{names}", by.len(), asked.count)
        });
        let parts: Vec<String> = hold.message.clone().into_iter().chain(approvals).collect();
        bounded(parts.join("; "))
    }

    /// Who must let a node go on that stands at its hold; `None`: anybody, or it does not stand there.
    pub(super) fn approvals(&self, at: usize) -> Option<&Approvals> {
        let stands = matches!(self.progress(at).standing, Standing::Suspended { .. });
        self.plan.step(at).node.hold.as_ref().filter(|_| stands)?.approvals.as_ref()
    }

    /// Goes past a node's hold, if it stands there.
    pub(super) fn pass_hold(&mut self, at: usize, now: DateTime<Utc>) {
        if matches!(self.progress(at).standing, Standing::Suspended { .. }) {
            self.renew(now);
            self.onward(at, Some(Part::Hold), now);
        }
    }

    /// One more person says that a node may go on; with the last one it does.
    pub(super) fn approve(
        &mut self,
        at: usize,
        asked: &Approvals,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Refused> {
        if by == self.plan.author && !asked.author_may {
            return Err(Refused::Author { node: self.plan.step(at).name.clone(), by: by.to_owned() });
        }
        if self.progress(at).approved_by.iter().any(|known| known == by) {
            let (node, note) = (self.plan.step(at).name.clone(), self.note_of_hold(at));
            return Err(Refused::Approved { node, by: by.to_owned(), note });
        }
        let progress = self.progress_mut(at);
        progress.approved_by.push(by.to_owned());
        if progress.approved_by.len() >= usize::try_from(asked.count).unwrap_or(usize::MAX) {
            self.pass_hold(at, now);
        } else {
            let note = self.note_of_hold(at);
            self.go(at, Move::Hold { until: None, note }, now);
        }
        Ok(())
    }
}

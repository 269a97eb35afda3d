//! What follows by itself, from time and from what nodes have become.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use slipway_handoff::node::TIMEOUT_MS_DEFAULT;
use slipway_handoff::{NodeName, Output};

use super::Schedule;
use super::course::End;
use super::happened::bounded;
use super::plan::{Part, after, after_ms};
use super::progress::{Look, Trace};
use super::ruling::Ruling;
use super::standing::{Blocker, Doing, Move, Slot, Standing};

/// What a node waits for before anybody looked at it.
const UNSEEN: &str = "it has not been looked at yet";

impl Schedule {
    /// Lets time pass up to `now`, and starts what may start.
    pub(super) fn settle(&mut self, now: DateTime<Utc>) {
        if !self.is_under_way() {
            return;
        }
        if self.course.suspended.is_none() {
            self.end_holds(now);
            self.expire(now);
        }
        // A condition that cannot be judged fails its node at once, and that has followers of its own.
        loop {
            self.skip_lost(now);
            if !self.is_under_way() {
                return;
            }
            if now >= self.deadline() {
                return self.give_up(now);
            }
            if !self.start(now) {
                return;
            }
        }
    }

    /// When the whole is given up.
    pub(super) fn deadline(&self) -> DateTime<Utc> {
        let deadline = self.course.deadline;
        if let Some(held) = &self.course.suspended {
            return deadline.max(after_ms(held.since, self.plan.pace.max_suspended_ms));
        }
        let held = self.nodes.iter().filter(|node| matches!(node.standing, Standing::Suspended { .. }));
        held.filter_map(|node| node.deadline).fold(deadline, Ord::max)
    }

    /// Begins a new deadline, as long as the first was.
    pub(super) fn renew(&mut self, now: DateTime<Utc>) {
        let allowed = self.plan.deadline.signed_duration_since(self.course.begun_at);
        let renewed = after(now, allowed).max(after_ms(now, TIMEOUT_MS_DEFAULT));
        self.course.deadline = self.course.deadline.max(renewed);
    }

    fn put_off(&mut self, by: TimeDelta) {
        self.course.deadline = after(self.course.deadline, by.max(TimeDelta::zero()));
    }

    /// Holds that end by themselves.
    fn end_holds(&mut self, now: DateTime<Utc>) {
        for at in 0..self.nodes.len() {
            let progress = self.progress(at);
            let Standing::Suspended { until: Some(until), .. } = progress.standing else { continue };
            if until <= now {
                let held = until.signed_duration_since(progress.since);
                self.put_off(held);
                self.onward(at, Some(Part::Hold), now);
            }
        }
    }

    /// Nodes whose time is over.
    fn expire(&mut self, now: DateTime<Utc>) {
        for at in 0..self.nodes.len() {
            let progress = self.progress(at);
            let Some(deadline) = progress.deadline.filter(|deadline| *deadline <= now) else { continue };
            if !progress.standing.is_running() {
                continue;
            }
            let timeout_ms = self.plan.step(at).node.timeout_ms;
            let reason = format!("timeout_ms = {timeout_ms} passed; last: {}", progress.standing.in_words());
            if matches!(progress.standing, Standing::Suspended { .. }) {
                let held = deadline.signed_duration_since(progress.since);
                self.put_off(held);
            }
            self.go(at, Move::TimeOut(reason), now);
        }
    }

    /// Nodes that need one that will not be ready.
    fn skip_lost(&mut self, now: DateTime<Utc>) {
        for at in 0..self.nodes.len() {
            if !self.progress(at).standing.is_ahead() {
                continue;
            }
            let lost = self.plan.step(at).needs.iter().find(|need| self.progress(**need).standing.is_lost());
            let Some(root) = lost.map(|lost| self.root(*lost)) else { continue };
            let standing = self.plan.position(&root).map(|root| &self.progress(root).standing);
            let ended = standing.map_or("ended", |standing| standing.word());
            let reason = format!("`{root}` {ended}");
            self.go(at, Move::Skip { because: Some(root), reason }, now);
        }
    }

    /// The node because of which `lost` was lost.
    fn root(&self, lost: usize) -> NodeName {
        match &self.progress(lost).standing {
            Standing::Skipped { because: Some(root), .. } => root.clone(),
            _ => self.plan.step(lost).name.clone(),
        }
    }

    fn give_up(&mut self, now: DateTime<Utc>) {
        let whole = self.whole();
        let deadline = self.deadline().to_rfc3339();
        let mut late = None;
        for at in 0..self.nodes.len() {
            let standing = &self.progress(at).standing;
            if standing.is_running() {
                let reason =
                    format!("the deadline of the whole, {deadline}, passed; last: {}", standing.in_words());
                late.get_or_insert(at);
                self.go(at, Move::TimeOut(reason), now);
            } else if standing.is_ahead() {
                let reason = format!("the deadline of the whole, {deadline}, passed before it began");
                self.go(at, Move::Skip { because: None, reason }, now);
            }
        }
        let node = late.map(|at| self.plan.step(at).name.clone());
        let reason = format!("the deadline {deadline} passed; last: {}", whole.reason);
        self.course.end = Some(End::TimedOut { node, reason });
    }

    /// Starts what may start; gives whether a node failed by that.
    fn start(&mut self, now: DateTime<Utc>) -> bool {
        let mut has_failed = false;
        let at_work = self.nodes.iter().filter(|node| node.standing.is_at_work()).count();
        let mut free = self.plan.pace.max_parallel.get().saturating_sub(at_work);
        for at in 0..self.nodes.len() {
            match &self.progress(at).standing {
                Standing::Pending | Standing::Blocked { .. } => {
                    has_failed |= self.consider(at, &mut free, now);
                }
                Standing::Applying { slot: Slot::Rests { until }, .. } if *until > now => {}
                Standing::Applying { slot: Slot::Rests { .. } | Slot::Wants, .. }
                    if self.course.suspended.is_none() =>
                {
                    self.try_again(at, &mut free, now);
                }
                _ => {}
            }
        }
        has_failed
    }

    fn try_again(&mut self, at: usize, free: &mut usize, now: DateTime<Utc>) {
        if *free == 0 {
            self.go(at, Move::Queue, now);
        } else if self.go(at, Move::Again, now) {
            *free -= 1;
        }
    }

    /// Lets a node begin, or says why it may not; gives whether it failed by that.
    fn consider(&mut self, at: usize, free: &mut usize, now: DateTime<Utc>) -> bool {
        let takes_slot = self.plan.step(at).part_after(None).is_some_and(Part::takes_slot);
        if let Some(need) = self.awaited(at) {
            let need = &self.plan.step(need).name;
            // The usual case, in graphs of thousands of nodes: nothing is new.
            let standing = &self.progress(at).standing;
            if !matches!(standing, Standing::Blocked { by: Blocker::Node(known) } if known == need) {
                let by = Blocker::Node(need.clone());
                self.go(at, Move::Block(by), now);
            }
            return false;
        }
        if let Some(by) = self.held_back() {
            self.go(at, Move::Block(by), now);
            return false;
        }
        match self.ruling(at) {
            Ruling::Runs if takes_slot && *free == 0 => {
                self.go(at, Move::Block(Blocker::Turn), now);
            }
            Ruling::Runs => {
                *free -= usize::from(takes_slot);
                self.begin(at, now);
            }
            Ruling::LeavesOut(reason) => {
                self.go(at, Move::LeaveOut(bounded(reason)), now);
            }
            Ruling::Fails(reason) => {
                self.count(at, now);
                self.go(at, Move::Fail(bounded(reason)), now);
                return true;
            }
        }
        false
    }

    /// What a node that is ahead waits for among the others.
    fn awaited(&self, at: usize) -> Option<usize> {
        let step = self.plan.step(at);
        let mut needs = step.needs.iter().copied();
        let needed = needs.find(|need| !self.progress(*need).standing.is_done());
        let mut after = step.after.iter().copied();
        needed.or_else(|| after.find(|before| self.progress(*before).standing.is_open()))
    }

    /// Why no node may begin now.
    fn held_back(&self) -> Option<Blocker> {
        let older = self.course.older.map(Blocker::Older);
        older.or_else(|| self.course.suspended.as_ref().map(|held| Blocker::Order(held.by.clone())))
    }

    /// Counts an attempt, whose time runs from now.
    fn count(&mut self, at: usize, now: DateTime<Utc>) {
        let deadline = after_ms(now, self.plan.step(at).node.timeout_ms);
        let progress = self.progress_mut(at);
        progress.attempt = progress.attempt.saturating_add(1);
        progress.started_at = Some(now);
        progress.deadline = Some(deadline);
    }

    fn begin(&mut self, at: usize, now: DateTime<Utc>) {
        self.count(at, now);
        self.onward(at, None, now);
    }

    /// Lets a node that has `done` its part go to its next.
    pub(super) fn onward(&mut self, at: usize, done: Option<Part>, now: DateTime<Utc>) {
        let step = self.plan.step(at);
        let event = match step.part_after(done) {
            Some(Part::Call) => Move::Begin(Doing::Call),
            Some(Part::Apply) => Move::Begin(Doing::Apply),
            Some(Part::Hold) => {
                let for_ms = step.node.hold.as_ref().and_then(|hold| hold.for_ms);
                Move::Hold { until: for_ms.map(|ms| after_ms(now, ms)), note: self.note_of_hold(at) }
            }
            Some(Part::Look) => Move::Wait(UNSEEN.to_owned()),
            None => return self.arrive(at, BTreeMap::new(), now),
        };
        let progress = self.progress_mut(at);
        progress.failures = 0;
        progress.look = Look::now(now);
        if event == Move::Begin(Doing::Apply) {
            progress.trace = progress.trace.max(Trace::Mixed);
        }
        self.go(at, event, now);
    }

    /// A node is ready, and gave these outputs beside those that were known before.
    pub(super) fn arrive(&mut self, at: usize, read: BTreeMap<String, Value>, now: DateTime<Utc>) {
        let known = self.plan.step(at).node.outputs.iter().filter_map(|(name, output)| match output {
            Output::Value(value) => Some((name.clone(), value.clone())),
            Output::From { .. } | Output::Message { .. } => None,
        });
        let outputs = known.chain(read).collect();
        if self.go(at, Move::Arrive, now) {
            let progress = self.progress_mut(at);
            progress.outputs = outputs;
            progress.failures = 0;
            progress.look = Look::default();
        }
    }
}

impl Standing {
    /// What it waits for, if need be in its own word.
    pub(super) fn in_words(&self) -> String {
        let reason = self.reason();
        if reason.is_empty() { self.word().to_owned() } else { reason }
    }
}

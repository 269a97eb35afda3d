//! A test that a receiver can run against itself: does it keep to the contract?
//!
//! [`run`] takes any [`Receiver`]; [`run_http`] takes a service and looks at its signatures too. Both
//! really submit: one ConfigMap named [`probe::OBJECT_NAME`], into an environment of the caller's
//! choice, removed at the end where the receiver can.

use std::fmt;

use serde::Serialize;

use crate::http::HttpReceiver;
use crate::receiver::Receiver;
use crate::submission::Key;

mod contract;
pub mod probe;
mod signed;

/// What is tested where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The environment and application that the submissions name.
    pub key: Key,
    /// Its generations begin here: more than any that the receiver knows of the key.
    pub first_generation: u64,
    /// How long the first events may take, in milliseconds.
    pub event_timeout_ms: u64,
    /// How often they are asked for, in milliseconds.
    pub event_poll_ms: u64,
}

impl Options {
    /// The usual times.
    pub fn new(key: Key, first_generation: u64) -> Self {
        Self { key, first_generation, event_timeout_ms: 30_000, event_poll_ms: 500 }
    }
}

/// How one check went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// As the contract says.
    Passed,
    /// Otherwise.
    Failed {
        /// What was wanted and what came.
        why: String,
    },
    /// It could not be asked.
    Skipped {
        /// Why not.
        why: String,
    },
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, the same in every report.
    pub name: &'static str,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All checks, in the order they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The checks.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether none failed.
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// Names of those that failed.
    pub fn failed(&self) -> impl Iterator<Item = &'static str> {
        let failed = |check: &&Check| matches!(check.outcome, Outcome::Failed { .. });
        self.checks.iter().filter(failed).map(|check| check.name)
    }

    fn add(&mut self, name: &'static str, outcome: Outcome) {
        self.checks.push(Check { name, outcome });
    }

    fn verdict(&mut self, name: &'static str, holds: bool, why: impl FnOnce() -> String) {
        let outcome = if holds { Outcome::Passed } else { Outcome::Failed { why: why() } };
        self.add(name, outcome);
    }

    fn skip(&mut self, name: &'static str, why: &str) {
        self.add(name, Outcome::Skipped { why: why.to_owned() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, outcome } in &self.checks {
            match outcome {
                Outcome::Passed => writeln!(f, "passed   {name}")?,
                Outcome::Failed { why } => writeln!(f, "FAILED   {name}: {why}")?,
                Outcome::Skipped { why } => writeln!(f, "skipped  {name}: {why}")?,
            }
        }
        let failed = self.failed().count();
        let skipped = |check: &&Check| matches!(check.outcome, Outcome::Skipped { .. });
        let skipped = self.checks.iter().filter(skipped).count();
        write!(f, "{} passed, {failed} failed, {skipped} skipped", self.checks.len() - failed - skipped)
    }
}

/// Tests any receiver.
pub async fn run(receiver: &dyn Receiver, options: &Options) -> Report {
    let mut report = Report::default();
    contract::run(receiver, options, &mut report).await;
    report
}

/// Tests a service: its signatures first, then the rest.
pub async fn run_http(receiver: &HttpReceiver, options: &Options) -> Report {
    let mut report = Report::default();
    signed::run(receiver.channel(), options, &mut report).await;
    contract::run(receiver, options, &mut report).await;
    report
}

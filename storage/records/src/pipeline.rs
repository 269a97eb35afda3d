//! Moving runs: the one place that stores a run's transition together with what must follow it.

use std::time::Duration;

use chrono::Utc;
use slipway_types::GitRef;
use slipway_types::state::{RunEvent, RunState};

use crate::job::{JobPayload, NewJob};
use crate::run::Run;
use crate::{Result, Write};

/// How a transition went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// It is stored in the transaction.
    Stored,
    /// The state does not take the event: look again.
    Refused,
    /// Another changed the run since it was read: look again.
    Outrun,
}

/// Applies `event` to `run` and stores it. A run that becomes terminal wakes the runs of its
/// application that wait for it; every change is told to the forge.
pub async fn run_move(tx: &mut dyn Write, run: &mut Run, event: RunEvent) -> Result<Moved> {
    let Ok(state) = run.state.clone().apply(event) else {
        return Ok(Moved::Refused);
    };
    let now = Utc::now();
    if matches!(state, RunState::Planning) {
        run.started_at.get_or_insert(now);
    }
    if state.is_terminal() {
        run.finished_at.get_or_insert(now);
    }
    run.state = state;
    if !tx.run_save(run).await? {
        return Ok(Moved::Outrun);
    }
    tx.job_enqueue(NewJob::new(JobPayload::Status { run: run.id }, Some(run.application_id))).await?;
    if run.state.is_terminal() {
        wake_waiting(tx, run).await?;
    }
    Ok(Moved::Stored)
}

/// Makes the jobs of runs that may wait for `ended` due now.
async fn wake_waiting(tx: &mut dyn Write, ended: &Run) -> Result<()> {
    let live = tx.runs_live(ended.application_id).await?;
    // A queued run waits for the nearest one ahead of it, so one is woken, however long the line is.
    let behind = live.iter().filter(|run| run.number > ended.number && run.commit == ended.commit);
    let next = behind.min_by_key(|run| run.number).filter(|run| matches!(run.state, RunState::Queued { .. }));
    let packaging =
        live.iter().filter(|run| run.git_ref == ended.git_ref && matches!(run.state, RunState::Packaging));
    let planned = next.map(|run| JobPayload::Plan { run: run.id });
    for payload in planned.into_iter().chain(packaging.map(|run| JobPayload::Package { run: run.id })) {
        tx.job_enqueue(NewJob::new(payload, Some(ended.application_id))).await?;
    }
    Ok(())
}

/// How long a waiting job sleeps if nothing wakes it.
pub const WAIT_FALLBACK: Duration = Duration::from_secs(15);

/// The live run that `run` must let pass before it plans: the nearest earlier one of the same commit,
/// whose images it will share.
pub fn ahead_in_planning<'a>(run: &Run, live: &'a [Run]) -> Option<&'a Run> {
    let ahead = live.iter().filter(|other| other.number < run.number && other.commit == run.commit);
    ahead.max_by_key(|other| other.number)
}

/// The live run that `run` must let pass before it packages: an earlier one of its branch, so that
/// a branch's versions rise in the order of its pushes.
pub fn ahead_in_packaging<'a>(run: &Run, live: &'a [Run]) -> Option<&'a Run> {
    let on_branch = matches!(run.git_ref, GitRef::Branch(_));
    live.iter().find(|other| on_branch && other.number < run.number && other.git_ref == run.git_ref)
}

//! Named points between the effects of the pipeline at which a test may hold the process, to kill it
//! exactly there. Outside of tests nothing is armed and passing a point costs one load.
//!
//! `SLIPWAY_TEST_STOP_AT=POINT:N` holds the thread that comes to POINT for the Nth time, once the
//! point's name is in the file `SLIPWAY_TEST_STOP_MARKER`.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Every point that any push comes to, in that order.
pub const POINTS: [&str; 21] = [
    "receive.quarantined",
    "receive.pack_stored",
    "receive.before_commit",
    "receive.committed",
    "receive.adopted",
    "deliver.before_commit",
    "deliver.committed",
    "plan.begun",
    "plan.before_commit",
    "plan.committed",
    "build.started",
    "build.layer_stored",
    "build.manifest_pushed",
    "build.before_commit",
    "build.committed",
    "package.numbered",
    "package.written",
    "package.before_commit",
    "package.committed",
    "job.handled",
    "job.completed",
];

/// Those that only builds on a cluster come to.
pub const CLUSTER_POINTS: [&str; 7] = [
    "kaniko.context",
    "kaniko.secret",
    "kaniko.job",
    "kaniko.owned",
    "kaniko.running",
    "kaniko.ended",
    "kaniko.settled",
];

/// Those that every deployment comes to, in that order.
pub const DEPLOY_POINTS: [&str; 7] = [
    "deploy.kept",
    "deploy.frozen",
    "deploy.pull_ready",
    "deploy.before_submit",
    "deploy.submitted",
    "deploy.before_commit",
    "deploy.committed",
];

/// Those that only orders to receivers come to, in that order.
pub const ORDER_POINTS: [&str; 3] = ["order.kept", "order.answered", "order.settled"];

/// Those that only what the built-in core drives comes to.
pub const CORE_POINTS: [&str; 5] =
    ["core.accepted", "core.saved", "core.applied", "core.checked", "core.pruned"];

/// Those that only what failed in the built-in core comes to.
pub const FAILURE_POINTS: [&str; 1] = ["core.gathering"];

/// Those that only checks come to.
pub const CHECK_POINTS: [&str; 3] = ["check.started", "check.ended", "check.committed"];

/// Those that only notices come to, in that order.
pub const NOTICE_POINTS: [&str; 3] = ["notice.spread", "notice.before_send", "notice.sent"];

/// Those that only restarts after a rotation come to, in that order.
pub const ROTATE_POINTS: [&str; 2] = ["rotate.gathered", "rotate.restarted"];

struct Armed {
    point: String,
    left: AtomicU32,
    marker: PathBuf,
}

impl Armed {
    fn from_env() -> Option<Self> {
        let stop_at = std::env::var("SLIPWAY_TEST_STOP_AT").ok()?;
        let marker = std::env::var_os("SLIPWAY_TEST_STOP_MARKER")?.into();
        let (point, count) = stop_at.split_once(':')?;
        let left = AtomicU32::new(count.parse().ok()?);
        Some(Self { point: point.to_owned(), left, marker })
    }

    fn is_due(&self, point: &str) -> bool {
        self.point == point && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Never returns: whoever armed the point kills the process.
    fn hold(&self) {
        drop(std::fs::write(&self.marker, &self.point));
        let for_ever = || {
            loop {
                std::thread::park();
            }
        };
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            // Whatever else waits for this worker goes on with another: a database connection on its way back to
            // its pool would stop the whole server.
            Ok(RuntimeFlavor::MultiThread) => block_in_place(for_ever),
            _ => for_ever(),
        }
    }
}

/// Tells that the process has come to `point`, one of those listed here.
pub fn reach(point: &'static str) {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    debug_assert!(
        [
            &POINTS[..],
            &CLUSTER_POINTS,
            &DEPLOY_POINTS,
            &ORDER_POINTS,
            &CORE_POINTS,
            &FAILURE_POINTS,
            &CHECK_POINTS,
            &NOTICE_POINTS,
            &ROTATE_POINTS,
        ]
        .concat()
        .contains(&point),
        "{point} is not listed"
    );
    if let Some(armed) = ARMED.get_or_init(Armed::from_env)
        && armed.is_due(point)
    {
        armed.hold();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_waits_for_the_same_worker_goes_on_while_one_task_is_held() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let armed = Armed { point: "plan.begun".into(), left: AtomicU32::new(1), marker: PathBuf::new() };
        let (sender, receiver) = channel();
        drop(runtime.spawn(async move {
            drop(tokio::spawn(async move { sender.send(()).unwrap() }));
            armed.hold();
        }));
        let went_on = receiver.recv_timeout(Duration::from_secs(20));
        runtime.shutdown_background();
        assert_eq!(went_on, Ok(()));
    }

    #[test]
    fn only_the_named_point_is_due_and_only_at_its_count() {
        let armed = Armed { point: "plan.begun".into(), left: AtomicU32::new(2), marker: PathBuf::new() };
        assert!(!armed.is_due("plan.begun"));
        assert!(!armed.is_due("plan.committed"));
        assert!(armed.is_due("plan.begun"));
        assert!(!armed.is_due("plan.begun"));
    }
}

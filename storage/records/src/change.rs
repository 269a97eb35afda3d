//! News of commits, to wake those who wait. Only a hint: whoever waits also polls slowly.

use slipway_types::id::{BuildId, DeploymentId, RunId};
use tokio::sync::broadcast;
use uuid::Uuid;

/// What was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A job became ready.
    Job,
    /// A run changed.
    Run(RunId),
    /// A build of the run changed.
    Build(RunId, BuildId),
    /// A deployment changed.
    Deployment(DeploymentId),
    /// A log grew.
    Log(Uuid),
}

/// Sends and receives news.
#[derive(Debug, Clone)]
pub struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(1024))
    }
}

impl Changes {
    /// Tells all who listen.
    pub fn send(&self, change: Change) {
        // Nobody listening is no error.
        drop(self.0.send(change));
    }

    /// News from now on. A slow listener loses the oldest and must look for itself.
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }
}

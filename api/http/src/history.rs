//! The commits that lie between two versions of an application.

use std::time::Duration;

use slipway_git::CommitInfo;
use slipway_records::{Application, PackageVersion};
use slipway_types::CommitId;
use tokio::time::timeout;

use crate::state::ServerState;

/// Commits of each kind that are told.
const COMMITS_MAX: usize = 50;
/// Who asks waits so long for the history: a repository may have to be brought here first.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(3);

/// How the histories of two versions differ.
pub(crate) struct History {
    /// Those that the second one has and the first one has not.
    pub(crate) added: Vec<CommitInfo>,
    /// Those that the first one has and the second one has not.
    pub(crate) dropped: Vec<CommitInfo>,
}

impl History {
    /// What lies between two versions; `None` where one is of no commit or the history cannot be read now.
    pub(crate) async fn between(
        state: &ServerState,
        application: &Application,
        from: &PackageVersion,
        to: &PackageVersion,
    ) -> Option<Self> {
        let (from, to) = (from.source_commit()?, to.source_commit()?);
        let added = beyond(state, application, from, to).await?;
        let dropped = beyond(state, application, to, from).await?;
        Some(Self { added, dropped })
    }

    /// Whether there may be more than are told.
    pub(crate) fn may_be_longer(&self) -> bool {
        self.added.len() == COMMITS_MAX || self.dropped.len() == COMMITS_MAX
    }
}

async fn beyond(
    state: &ServerState,
    application: &Application,
    base: &CommitId,
    head: &CommitId,
) -> Option<Vec<CommitInfo>> {
    let history = state.git.commits_beyond(application.source_id, base, head, COMMITS_MAX);
    match timeout(HISTORY_TIMEOUT, history).await {
        Ok(Ok(commits)) => Some(commits),
        Ok(Err(error)) => {
            tracing::warn!(%error, %base, %head, "the history between two commits cannot be read");
            None
        }
        Err(_) => None,
    }
}

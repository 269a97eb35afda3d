//! The commits that lie between two versions of an application.

use std::time::Duration;

use slipway_git::CommitInfo;
use slipway_records::{Application, PackageVersion, Source, SourceKind};
use slipway_types::CommitId;
use tokio::time::timeout;

use super::bundle_rows::{author_name, link_of_commit};
use super::parts::Moment;
use super::tabs::Link;
use super::texts::Texts;
use crate::state::ServerState;

/// Commits of each kind that are shown.
const COMMITS_MAX: usize = 50;
/// A page waits so long for the history: a repository may have to be brought here first.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(3);

/// How the histories of two versions differ.
pub(super) struct CommitsBetween {
    /// Those that the second one has and the first one has not.
    pub(super) added: Vec<CommitLine>,
    /// Those that the first one has and the second one has not.
    pub(super) dropped: Vec<CommitLine>,
    /// Whether there may be more than are shown.
    pub(super) more: bool,
    /// All of them at the forge.
    pub(super) forge: Option<String>,
}

/// A commit.
pub(super) struct CommitLine {
    pub(super) commit: Link,
    pub(super) subject: String,
    pub(super) author: String,
    pub(super) at: Moment,
}

/// What lies between two versions; `None` where one is of no commit or the history cannot be read now.
pub(super) async fn between(
    state: &ServerState,
    t: &'static Texts,
    (application, source): (&Application, Option<&Source>),
    from: &PackageVersion,
    to: &PackageVersion,
) -> Option<CommitsBetween> {
    let (from, to) = (from.source_commit()?, to.source_commit()?);
    let added = beyond(state, application, from, to).await?;
    let dropped = beyond(state, application, to, from).await?;
    let line = |info: CommitInfo| CommitLine {
        commit: link_of_commit(application, source, &info.id),
        author: author_name(&info.author),
        at: Moment::new(t, info.committed_at, chrono::Utc::now()),
        subject: info.subject,
    };
    Some(CommitsBetween {
        more: added.len() == COMMITS_MAX || dropped.len() == COMMITS_MAX,
        added: added.into_iter().map(line).collect(),
        dropped: dropped.into_iter().map(line).collect(),
        forge: source.and_then(|source| comparison(source, from, to)),
    })
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

/// Where every forge that webhooks come from compares two commits.
fn comparison(source: &Source, from: &CommitId, to: &CommitId) -> Option<String> {
    match &source.kind {
        SourceKind::Builtin => None,
        SourceKind::Https { url } => {
            let url = url.trim_end_matches('/').trim_end_matches(".git");
            Some(format!("{url}/compare/{from}...{to}"))
        }
    }
}

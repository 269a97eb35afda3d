//! The commits that lie between two versions of an application.

use slipway_git::CommitInfo;
use slipway_records::{Application, PackageVersion, Source, SourceKind};
use slipway_types::CommitId;

use super::bundle_rows::{author_name, link_of_commit};
use super::parts::Moment;
use super::tabs::Link;
use super::texts::Texts;
use crate::history::History;
use crate::state::ServerState;

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
    let history = History::between(state, application, from, to).await?;
    Some(CommitsBetween::of(t, (application, source), (from, to), history))
}

impl CommitsBetween {
    /// What is known of the history, as it is shown.
    pub(super) fn of(
        t: &'static Texts,
        (application, source): (&Application, Option<&Source>),
        (from, to): (&PackageVersion, &PackageVersion),
        history: History,
    ) -> Self {
        let line = |info: CommitInfo| CommitLine {
            commit: link_of_commit(application, source, &info.id),
            author: author_name(&info.author),
            at: Moment::new(t, info.committed_at, chrono::Utc::now()),
            subject: info.subject,
        };
        let ends = from.source_commit().zip(to.source_commit());
        Self {
            more: history.may_be_longer(),
            added: history.added.into_iter().map(line).collect(),
            dropped: history.dropped.into_iter().map(line).collect(),
            forge: source.zip(ends).and_then(|(source, (from, to))| comparison(source, from, to)),
        }
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

//! What can be reached from what.

use git2::Sort;
use slipway_types::id::SourceId;
use slipway_types::version::VersionTag;
use slipway_types::{CommitId, GitRef, Version};

use crate::cache::{GitStore, blocking};
use crate::error::{GitError, object_error};
use crate::tree::{CommitInfo, oid, open_objects};

impl GitStore {
    /// Whether `commit` is `head` or one of its ancestors. A commit that is not there is not.
    pub async fn is_reachable(
        &self,
        source: SourceId,
        commit: &CommitId,
        head: &CommitId,
    ) -> Result<bool, GitError> {
        if commit == head {
            return Ok(true);
        }
        let dir = self.sync(source).await?;
        let (commit, head) = (oid(commit), oid(head));
        blocking(move || {
            let repository = open_objects(&[dir.join("objects")])?;
            match repository.find_commit(commit) {
                Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(false),
                found => drop(found.map_err(GitError::Damaged)?),
            }
            repository.graph_descendant_of(head, commit).map_err(object_error("the head's history"))
        })
        .await
    }

    /// The commits that `head` reaches and `base` does not, the newest first, children before their parents; at
    /// most `limit`.
    pub async fn commits_beyond(
        &self,
        source: SourceId,
        base: &CommitId,
        head: &CommitId,
        limit: usize,
    ) -> Result<Vec<CommitInfo>, GitError> {
        if base == head {
            return Ok(Vec::new());
        }
        let dir = self.sync(source).await?;
        let (base, head) = (oid(base), oid(head));
        blocking(move || {
            let repository = open_objects(&[dir.join("objects")])?;
            let mut walk = repository.revwalk().map_err(GitError::Damaged)?;
            walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME).map_err(GitError::Damaged)?;
            walk.push(head).map_err(object_error("the newer commit"))?;
            walk.hide(base).map_err(object_error("the older commit"))?;
            let read = |id: Result<git2::Oid, git2::Error>| {
                let commit = id.and_then(|id| repository.find_commit(id));
                commit.map(|commit| CommitInfo::of(&commit)).map_err(object_error("the history"))
            };
            walk.take(limit).map(read).collect()
        })
        .await
    }

    /// The highest release `vX.Y.Z` whose tag is reachable from `commit`, merges followed on every
    /// side, with the commit it names. Pre-releases and components' tags do not count.
    pub async fn highest_release(
        &self,
        source: SourceId,
        commit: &CommitId,
    ) -> Result<Option<(Version, CommitId)>, GitError> {
        let rows = self.ref_rows(source).await?;
        let mut releases: Vec<(Version, CommitId)> =
            rows.into_values().filter_map(|row| Some((release_of(&row.name)?, row.commit))).collect();
        if releases.is_empty() {
            return Ok(None);
        }
        releases.sort_by(|a, b| b.0.precedence(&a.0));
        let dir = self.sync(source).await?;
        let mut command = self.git().command(&dir);
        command.args(["for-each-ref", "--format=%(refname)", "--merged", commit.as_str(), "refs/tags/v*"]);
        let output = self.git().run(command, "for-each-ref", None).await?.expect_ok("for-each-ref")?;
        let merged = String::from_utf8_lossy(&output);
        let merged: Vec<Version> =
            merged.lines().filter_map(|line| release_of(&line.parse().ok()?)).collect();
        Ok(releases.into_iter().find(|(version, _)| merged.contains(version)))
    }
}

/// The release that a tag names.
fn release_of(name: &GitRef) -> Option<Version> {
    let GitRef::Tag(tag) = name else { return None };
    match VersionTag::parse(tag)? {
        VersionTag::Application(version) if !version.is_prerelease() => Some(version),
        _ => None,
    }
}

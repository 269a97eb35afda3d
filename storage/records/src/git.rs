//! Git data of a source: packs (bytes in the object store) and refs (rows). The bare repository on
//! disk is a cache rebuilt from these.

use async_trait::async_trait;
use slipway_types::id::SourceId;
use slipway_types::{CommitId, Digest, GitRef};

use crate::Result;

/// One stored pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRow {
    /// Order of arrival in its source, from 1.
    pub seq: i64,
    /// Blob holding the pack.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// One ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefRow {
    /// The ref.
    pub name: GitRef,
    /// What it points to: a commit or an annotated tag object.
    pub object: CommitId,
    /// The commit it leads to.
    pub commit: CommitId,
}

/// One ref's move, a compare-and-swap on what it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefMove {
    /// The ref.
    pub name: GitRef,
    /// What it must point to now; `None`: it must not exist.
    pub old: Option<CommitId>,
    /// What it shall point to (object and peeled commit); `None` deletes it.
    pub new: Option<(CommitId, CommitId)>,
}

/// Looking up git data.
#[async_trait]
pub trait ReadGit {
    /// All refs of a source, sorted by name.
    async fn git_refs(&mut self, source: SourceId) -> Result<Vec<RefRow>>;
    /// Packs of a source with `seq` above `after`, in order.
    async fn git_packs(&mut self, source: SourceId, after: i64) -> Result<Vec<PackRow>>;
    /// Rises with every change of refs or packs of the source; 0 if there was none.
    async fn git_revision(&mut self, source: SourceId) -> Result<i64>;
}

/// Changing git data.
#[async_trait]
pub trait WriteGit {
    /// Adds a pack; one with that digest in the source is adopted.
    async fn git_pack_add(&mut self, source: SourceId, digest: Digest, size: u64) -> Result<PackRow>;
    /// Puts one pack, which holds all that `replaced` hold, in their place: it gets the next `seq`, they
    /// go. `None`, and nothing happens, if one of them is not there any more.
    async fn git_packs_replace(
        &mut self,
        source: SourceId,
        replaced: &[PackRow],
        digest: Digest,
        size: u64,
    ) -> Result<Option<PackRow>>;
    /// Moves one ref; `false` if it did not point to `old`.
    async fn git_ref_move(&mut self, source: SourceId, change: &RefMove) -> Result<bool>;
}

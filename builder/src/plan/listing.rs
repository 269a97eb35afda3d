//! What kits may look at of a commit.

use slipway_buildkits::{ContextListing, ReadError};
use slipway_git::{Snapshot, TreeEntry};

use crate::backend::assemble::join;

/// A context as kits see it.
pub(super) struct GitListing<'a> {
    snapshot: &'a Snapshot,
    context: &'a str,
    paths: Vec<String>,
}

impl<'a> GitListing<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, context: &'a str, files: &[TreeEntry]) -> Self {
        let inside = |entry: &TreeEntry| {
            entry.path.strip_prefix(context).unwrap_or(&entry.path).trim_start_matches('/').to_owned()
        };
        Self { snapshot, context, paths: files.iter().map(inside).collect() }
    }
}

impl ContextListing for GitListing<'_> {
    fn paths(&self) -> &[String] {
        &self.paths
    }

    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
        let unreadable = |error: slipway_git::GitError| ReadError::Unreadable(error.fault().message);
        let resolved = self.snapshot.resolve(&join(self.context, path)).map_err(unreadable)?;
        let bytes = self.snapshot.blob_size(&resolved.entry.id).map_err(unreadable)?;
        if bytes > max_bytes {
            return Err(ReadError::TooLarge { bytes, max_bytes });
        }
        self.snapshot.read_blob(&resolved.entry.id, max_bytes).map_err(unreadable)
    }
}

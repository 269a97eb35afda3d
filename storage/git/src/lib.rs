//! Git objects: received packs, refs, mirrors, trees.
//!
//! Git data is rows and blobs: a received pack is a blob before any ref needs it, refs are rows, and
//! the bare repository on disk is a cache that [`GitStore`] rebuilds from them. The `git` binary
//! does all transport and everything with packs; libgit2 only reads objects.

mod accept;
pub mod cache;
mod command;
mod consolidate;
pub mod error;
pub mod fetch;
pub mod history;
pub mod options;
pub mod pkt_line;
mod quarantine;
pub mod receive;
pub mod tree;
pub mod upload;

pub use cache::GitStore;
pub use error::{GitError, PathError};
pub use fetch::{Credential, Fetched, Notify, RemoteRef, Wanted};
pub use options::GitOptions;
pub use receive::{Pusher, Received};
pub use tree::{BlobReader, CommitInfo, EntryKind, Hazard, HazardKind, Resolved, Snapshot, TreeEntry};
pub use upload::UploadStream;

/// The id of any git object: commit, tree, blob or tag.
pub type ObjectId = slipway_types::CommitId;

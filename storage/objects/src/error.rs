//! What can go wrong with a blob, sorted by what the caller does about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use slipway_types::Digest;

type Source = Box<dyn Error + Send + Sync>;

/// Why the object store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting cannot be used as it stands.
    #[error("`{name}`: {reason}")]
    Setting {
        /// The field of [`crate::BlobsOptions`].
        name: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A directory cannot be created or written.
    #[error("cannot write in {}: make it a directory owned by the user Slipway runs as, on a disk with space left", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The store did not take, give back and delete a small object.
    #[error(
        "the object store {url} cannot be used: check the address, that the bucket exists, and that the key may read, write and delete in it"
    )]
    Store {
        /// The store.
        url: String,
        /// What it answered.
        #[source]
        source: Source,
    },
}

/// Why a blob could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The store does not have the blob.
    #[error("blob {digest} is not in the object store")]
    Missing {
        /// The blob asked for.
        digest: Digest,
    },
    /// The stored bytes are not those of the digest.
    #[error("blob {digest} is damaged, its bytes hash to {found}: restore it from a backup or push it again")]
    Corrupt {
        /// The blob asked for.
        digest: Digest,
        /// What the bytes hash to.
        found: Digest,
    },
    /// The disk is full.
    #[error("no space left on the disk of the spool or the object store")]
    NoSpace {
        /// What the system said.
        #[source]
        source: Source,
    },
    /// All spools together hold as much as they may.
    #[error(
        "uploads under way fill the spool: `max_spool_bytes` is {limit_bytes}, try again when one of them ended"
    )]
    SpoolFull {
        /// The limit.
        limit_bytes: u64,
    },
    /// The content is larger than the caller allows.
    #[error("the content is larger than the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// A range begins at or after the end of the blob.
    #[error("the range begins at byte {start}, the blob has {size}")]
    OutOfRange {
        /// The first byte asked for.
        start: u64,
        /// The size of the blob.
        size: u64,
    },
    /// The store refuses these credentials or this operation.
    #[error("the object store refused to {operation}: check its key and policy")]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// What it answered.
        #[source]
        source: Source,
    },
    /// The store or the disk did not do it this time.
    #[error("cannot {operation}: the object store or its disk does not answer as it should")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// What it answered.
        #[source]
        source: Source,
    },
}

impl BlobError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::SpoolFull { .. } | Self::Unavailable { .. })
    }

    /// The error of a system call; one of ours that passed through [`io::Error`] comes out unchanged.
    pub(crate) fn from_io(operation: &'static str, error: io::Error) -> Self {
        if is_full(&error) && !is_own(&error) {
            return Self::NoSpace { source: error.into() };
        }
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(other) => Self::unavailable(operation, other),
        }
    }

    /// The error of a call about `digest`.
    pub(crate) fn from_store(operation: &'static str, digest: Digest, error: object_store::Error) -> Self {
        use object_store::Error as Store;
        match error {
            Store::NotFound { .. } => Self::Missing { digest },
            Store::PermissionDenied { .. }
            | Store::Unauthenticated { .. }
            | Store::NotSupported { .. }
            | Store::NotImplemented { .. } => Self::Denied { operation, source: error.into() },
            _ if caused_by_full_disk(&error) => Self::NoSpace { source: error.into() },
            _ => Self::unavailable(operation, error),
        }
    }

    pub(crate) fn unavailable(operation: &'static str, source: impl Into<Source>) -> Self {
        Self::Unavailable { operation, source: source.into() }
    }
}

impl From<BlobError> for io::Error {
    fn from(error: BlobError) -> Self {
        let kind = match &error {
            BlobError::Missing { .. } => io::ErrorKind::NotFound,
            BlobError::Corrupt { .. } => io::ErrorKind::InvalidData,
            BlobError::NoSpace { .. } => io::ErrorKind::StorageFull,
            BlobError::SpoolFull { .. } => io::ErrorKind::QuotaExceeded,
            BlobError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            BlobError::OutOfRange { .. } => io::ErrorKind::InvalidInput,
            BlobError::Denied { .. } => io::ErrorKind::PermissionDenied,
            BlobError::Unavailable { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// What a [`crate::BlockingSpool`] refused comes out of the `io::Error` of its writer as it went in.
impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        Self::from_io("write to the spool", error)
    }
}

fn is_own(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<BlobError>)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn caused_by_full_disk(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(is_full) {
            return true;
        }
        next = error.source();
    }
    false
}

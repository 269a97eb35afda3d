//! What can go wrong with git data, told apart by what the caller should do.

use slipway_objects::BlobError;
use slipway_records::RecordsError;
use slipway_types::{Class, Fault};

/// Why something about git data was not done.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The other side sent what is not the git protocol: answer 400.
    #[error("malformed git request: {0}")]
    Protocol(String),
    /// No such object or source: answer 404.
    #[error("{what} was not found")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// Larger than a configured limit: answer 413.
    #[error("{what} is larger than {max} (limit `{limit}`)")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit's name.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// A deadline passed.
    #[error("{what} took longer than {ms} ms (limit `{limit}`)")]
    Timeout {
        /// What was waited for.
        what: String,
        /// The limit's name.
        limit: &'static str,
        /// Its value in milliseconds.
        ms: u64,
    },
    /// A path in a tree cannot be used: the file that names it must change.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Refused or failed for a reason that is already worded for people.
    #[error("{0}")]
    Fault(Fault),
    /// An object in the cache cannot be read; [`crate::GitStore::rebuild`] makes it anew.
    #[error("the git cache is damaged")]
    Damaged(#[source] git2::Error),
    /// A git command failed that should not have.
    #[error("git {command} failed: {stderr}")]
    Command {
        /// Its name.
        command: &'static str,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// The disk did not do it.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The records did not do it.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The object store did not do it.
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// A path that cannot be used as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing is there.
    #[error("`{path}` does not exist in the repository")]
    NotFound {
        /// The path.
        path: String,
    },
    /// It, or a link on the way, leads out of the repository.
    #[error("`{path}` leads outside the repository")]
    Outside {
        /// The path.
        path: String,
    },
    /// Links that lead in a circle.
    #[error("`{path}` is a chain of symbolic links that does not end")]
    Loop {
        /// The path.
        path: String,
    },
    /// Something other than a directory stands where one is needed.
    #[error("`{path}` is not a directory")]
    NotADirectory {
        /// The path.
        path: String,
    },
    /// Something other than a file stands where one is needed.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// The way leads into a submodule, whose files are not here.
    #[error("`{path}` lies in a git submodule; fetching submodules comes with a later release")]
    Submodule {
        /// The path.
        path: String,
    },
    /// A name that is not UTF-8.
    #[error("`{path}` is not valid UTF-8; rename the file")]
    NotUtf8 {
        /// The path, with replacement characters.
        path: String,
    },
    /// A pattern that cannot be read.
    #[error("`{path}` is not a valid pattern: {why}")]
    Pattern {
        /// The pattern.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl GitError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The same for people, as runs and pages show it.
    pub fn fault(&self) -> Fault {
        let (class, code) = match self {
            Self::Fault(fault) => return fault.clone(),
            Self::Records(error) => return slipway_records::worker::fault_of(error),
            Self::Protocol(_) => (Class::Permanent, "git_protocol"),
            Self::NotFound { .. } => (Class::Permanent, "git_not_found"),
            Self::TooLarge { .. } => (Class::Permanent, "git_too_large"),
            Self::Path(_) => (Class::Permanent, "git_path"),
            Self::Timeout { .. } => (Class::Transient, "git_timeout"),
            Self::Damaged(_) | Self::Io { .. } | Self::Blobs(_) => (Class::Transient, "git_storage"),
            Self::Command { .. } => (Class::Transient, "git_command"),
        };
        Fault::new(class, code, self.to_string())
    }
}

/// A read of libgit2: a missing object is told apart from one that cannot be read.
pub(crate) fn object_error(what: &str) -> impl FnOnce(git2::Error) -> GitError {
    let what = what.to_owned();
    move |error| match error.code() {
        git2::ErrorCode::NotFound => GitError::NotFound { what },
        _ => GitError::Damaged(error),
    }
}

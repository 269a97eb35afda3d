//! What a kit sees of the repository: its context at one commit.

use std::collections::BTreeMap;

/// The files below a component's context at one commit.
pub trait ContextListing {
    /// Every file's path from the context's top, with `/`, sorted by bytes; no directories.
    fn paths(&self) -> &[String];

    /// The content of the file at `path`, refused if longer than `max_bytes`.
    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, ReadError>;
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("no such file")]
    Missing,
    /// It is longer than allowed.
    #[error("the file has {bytes} bytes, more than the limit max_file_bytes = {max_bytes}")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The repository could not be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

/// Whether the listing has a file at `path`.
pub(crate) fn has_file(files: &dyn ContextListing, path: &str) -> bool {
    files.paths().binary_search_by(|known| known.as_str().cmp(path)).is_ok()
}

/// Whether the listing has files below the directory `path`; `""` is the top.
pub(crate) fn has_directory(files: &dyn ContextListing, path: &str) -> bool {
    if path.is_empty() {
        return !files.paths().is_empty();
    }
    let prefix = format!("{path}/");
    let from = files.paths().partition_point(|known| known.as_str() < prefix.as_str());
    files.paths().get(from).is_some_and(|known| known.starts_with(&prefix))
}

/// A context held in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryContext {
    paths: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryContext {
    /// The context of these files.
    pub fn new<P: Into<String>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        let files: BTreeMap<String, Vec<u8>> =
            files.into_iter().map(|(path, bytes)| (path.into(), bytes.into())).collect();
        Self { paths: files.keys().cloned().collect(), files }
    }
}

impl ContextListing for MemoryContext {
    fn paths(&self) -> &[String] {
        &self.paths
    }

    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
        let bytes = self.files.get(path).ok_or(ReadError::Missing)?;
        if bytes.len() as u64 > max_bytes {
            return Err(ReadError::TooLarge { bytes: bytes.len() as u64, max_bytes });
        }
        Ok(bytes.clone())
    }
}

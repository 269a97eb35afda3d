//! What looks like content but is not: LFS pointers and submodule links.

use super::{EntryKind, Snapshot};
use crate::error::GitError;

/// The first line of an LFS pointer (git-lfs specification).
const LFS_FIRST_LINE: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// A pointer is smaller than this, by the same specification.
const LFS_BYTES_MAX: u64 = 1024;
/// The most hazards that are named.
const HAZARDS_MAX: usize = 20;
/// The largest `.gitmodules` that is looked at.
const MODULES_BYTES_MAX: u64 = 1 << 20;

/// What kind of stand-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HazardKind {
    /// A Git LFS pointer instead of the file.
    LfsPointer,
    /// A link to another repository instead of a directory.
    Submodule,
}

impl HazardKind {
    /// What it is, for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::LfsPointer => "a Git LFS pointer; fetching LFS files comes with a later release",
            Self::Submodule => "a git submodule; fetching submodules comes with a later release",
        }
    }
}

/// One stand-in whose content is not in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hazard {
    /// Where it is.
    pub path: String,
    /// Its line: in `.gitmodules` for a submodule that is named there, 1 for a pointer.
    pub line: Option<u32>,
    /// What it is.
    pub kind: HazardKind,
}

impl Snapshot {
    /// The first stand-ins at or below `path`, sorted by path. A path that is not there has none.
    pub fn hazards(&self, path: &str) -> Result<Vec<Hazard>, GitError> {
        let Some(entry) = self.entry(path)? else { return Ok(Vec::new()) };
        let entries = if entry.kind == EntryKind::Directory { self.list(path, true)? } else { vec![entry] };
        let mut hazards = Vec::new();
        for entry in entries {
            let hazard = match entry.kind {
                EntryKind::Submodule => Some((self.submodule_line(&entry.path)?, HazardKind::Submodule)),
                EntryKind::File | EntryKind::Executable if self.is_lfs_pointer(&entry.id)? => {
                    Some((Some(1), HazardKind::LfsPointer))
                }
                _ => None,
            };
            if let Some((line, kind)) = hazard {
                hazards.push(Hazard { path: entry.path, line, kind });
            }
            if hazards.len() >= HAZARDS_MAX {
                break;
            }
        }
        Ok(hazards)
    }

    fn is_lfs_pointer(&self, id: &crate::ObjectId) -> Result<bool, GitError> {
        Ok(self.blob_size(id)? < LFS_BYTES_MAX
            && self.read_blob(id, LFS_BYTES_MAX)?.starts_with(LFS_FIRST_LINE))
    }

    fn submodule_line(&self, path: &str) -> Result<Option<u32>, GitError> {
        let modules = match self.entry(".gitmodules")? {
            Some(entry) if entry.kind.is_file() => entry,
            _ => return Ok(None),
        };
        if self.blob_size(&modules.id)? > MODULES_BYTES_MAX {
            return Ok(None);
        }
        let content = self.read_blob(&modules.id, MODULES_BYTES_MAX)?;
        let content = String::from_utf8_lossy(&content);
        let names = |line: &str| {
            line.split_once('=').is_some_and(|(key, value)| key.trim() == "path" && value.trim() == path)
        };
        Ok((1..).zip(content.lines()).find(|(_, line)| names(line)).map(|(number, _)| number))
    }
}
